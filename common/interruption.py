"""Stopping politely: SIGINT, SIGTERM and SIGHUP become a wish to stop at the next good moment."""

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn, Self

from common.run_folder import resume_command


def stopping_signals() -> list[signal.Signals]:
    """Those that stop a run: Ctrl-C's, `kill`'s, and that of a terminal that closes, unless nohup has it ignored."""
    found = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        found.append(signal.SIGHUP)
    return found


class Interruption:
    """Within `with`, notes the first of `stopping_signals` instead of dying, and says so; a second SIGINT stops at once.

    Args:
        finishing: what is finished first, in words.
    Attributes:
        finishing: as above; it may change.
        received: the number of the signal that came, or None.
    """

    def __init__(self, finishing: str) -> None:
        self.finishing = finishing
        self.received: int | None = None

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in stopping_signals()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is None:
            self.received = number
            text = f"\n{signal.Signals(number).name}: finishing {self.finishing} and saving; Ctrl-C stops at once\n"
            with contextlib.suppress(OSError):
                os.write(2, text.encode())  # print may be under way

    def leave(self) -> NoReturn:
        """Ends the process, its state being saved: says how to go on and exits with 128 + the signal's number."""
        assert self.received is not None
        print(
            f"\nstopped by {signal.Signals(self.received).name}; continue with\n  {resume_command()}", file=sys.stderr
        )
        sys.exit(128 + self.received)
