"""Stopping politely: SIGINT and SIGTERM become a wish to stop at the next good moment."""

import signal
import sys
from types import FrameType
from typing import NoReturn, Self

from common.run_folder import resume_command

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Within `with`, notes the first SIGINT or SIGTERM instead of dying; a second SIGINT stops at once.

    Attributes:
        received: the number of the signal that came, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or number

    def leave(self) -> NoReturn:
        """Ends the process, its state being saved: says how to go on and exits with 128 + the signal's number."""
        assert self.received is not None
        print(
            f"\nstopped by {signal.Signals(self.received).name}; continue with\n  {resume_command()}", file=sys.stderr
        )
        sys.exit(128 + self.received)
