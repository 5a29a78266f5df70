"""What scripts print never stops them: output that cannot be written is dropped."""

import os
import sys
from typing import Any, TextIO, cast


class Output:
    """A text stream like another, that drops what it is given once the other cannot be written any more.

    Such are a pipe whose reader has gone, a terminal that was closed, a full disk. Characters that its encoding lacks are
    escaped.

    Args:
        stream: the other; None, as Python has it where a script was started without: all is dropped.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream or open(os.devnull, "w")  # noqa: SIM115 (it lasts as long as the process)
        self._lost = False

    def write(self, text: str) -> int:
        """Writes text, or drops it; returns its length."""
        try:
            if not self._lost:
                self._stream.write(text)
                if text.endswith("\n"):  # so that in a log of both streams lines stand in their order
                    self._stream.flush()
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            return self.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError):  # ValueError: it was closed
            self._lost = True
        return len(text)

    def flush(self) -> None:
        """Flushes what was written, or drops it."""
        try:
            if not self._lost:
                self._stream.flush()
        except (OSError, ValueError):
            self._lost = True

    def isatty(self) -> bool:
        """Whether it is a terminal that can still be written to."""
        try:
            return not self._lost and self._stream.isatty()
        except (OSError, ValueError):
            return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def never_stop_at_output() -> None:
    """Makes stdout and stderr of this process an `Output` each; descriptors that were closed lead to nowhere."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would be in its place
            os.open(os.devnull, os.O_RDWR)
    if not isinstance(sys.stdout, Output):
        sys.stdout = cast(TextIO, Output(sys.stdout))
    if not isinstance(sys.stderr, Output):
        sys.stderr = cast(TextIO, Output(sys.stderr))


def put_back_output(stdout: TextIO | None, stderr: TextIO | None) -> None:
    """Gives a process the streams back that it had before an environment set them to None."""
    if sys.stdout is None:
        sys.stdout = stdout
    if sys.stderr is None:
        sys.stderr = stderr
