"""How far a script is: a bar on a terminal; elsewhere, as in a file or behind a pipe, a plain line every few seconds."""

import sys
import time
from typing import Self

from tqdm import tqdm

EVERY = 5.0  # seconds from line to line
REDRAWN = 0.5  # seconds between two states of a bar


class Progress:
    """Progress towards `total`, on stderr; used by `with`.

    Args:
        total: the end.
        label: what is under way.
        unit: what is counted, in the singular.
        initial: what was done before.
        shown: whether anything is shown.
    Attributes:
        done: how much is done.
    """

    def __init__(self, total: int, label: str, unit: str, initial: int = 0, shown: bool = True) -> None:
        self.total, self.label, self.unit, self.done = total, label, unit, initial
        self._initial, self._note, self._shown = initial, "", shown
        self._began = self._told = time.monotonic()
        self._bar: tqdm | None = None
        if shown and sys.stderr.isatty():
            self._bar = tqdm(
                total=total, initial=initial, desc=label, unit=unit, mininterval=REDRAWN, smoothing=0.05, leave=True
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif error is None:
            self._tell(over=True)

    def update(self, count: int = 1) -> None:
        """So much more is done."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._told >= EVERY:
            self._tell()

    def alive(self) -> None:
        """Shows that it goes on, though nothing more is done yet: what was shown last is shown anew if that was long ago."""
        if time.monotonic() - self._told >= EVERY:
            if self._bar is None:
                self._tell()
            else:
                self._bar.refresh()
                self._told = time.monotonic()

    def note(self, text: str) -> None:
        """Shows `text` behind the numbers from now on."""
        self._note = text
        if self._bar is not None:
            self._bar.set_postfix_str(text)

    def _tell(self, over: bool = False) -> None:
        """Prints a line; with `over` the last."""
        if not self._shown:
            return
        self._told = time.monotonic()
        seconds, done = self._told - self._began, self.done - self._initial
        parts = [f"{self.done:,} of {self.total:,} {self.unit}s"]
        if done and seconds:
            rate = done / seconds
            parts.append(f"{rate:,.0f} a second" if rate >= 10 else f"{seconds / done:.2g} s each")
            left = tqdm.format_interval((self.total - self.done) / rate)
            parts.append(f"in {tqdm.format_interval(seconds)}" if over else f"{left} left")
        print(f"{self.label}: {', '.join([*parts, *([self._note] if self._note else [])])}", file=sys.stderr)


def tell(text: str) -> None:
    """Prints a line on stdout, above the bars."""
    tqdm.write(text)
