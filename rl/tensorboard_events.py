"""Tensorboard events of one seed."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common.errors import UsageError, one_line

WRITER = "_AsyncWriterThread"  # tensorboard's thread that writes


def check_folder(folder: Path) -> None:
    """Raises `UsageError` if tensorboard cannot name a folder: it writes no names that are not UTF-8."""
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"--tensorboard: {one_line(folder)} is no UTF-8, as tensorboard's folders must be: choose another --results_dir, or "
            "leave the flag out"
        ) from error


class Events:
    """Writes numbers as tensorboard events; whatever is called raises `OSError`, which names the folder, once they cannot be written.

    Args:
        folder: where; it is made.
    """

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        _quieten()
        with self._naming():  # it writes already
            self._writer = SummaryWriter(folder)

    def write(self, group: str, steps: int, values: Mapping[str, float]) -> None:
        """Numbers after so many steps, each called <group>/<name>."""
        with self._naming():
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, steps)

    def flush(self) -> None:
        """Brings all to the disk."""
        with self._naming():
            self._writer.flush()

    def close(self) -> None:
        """Flushes, and ends tensorboard's thread."""
        with self._naming():
            self._writer.close()

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), str(self.folder)) from error


def _quieten() -> None:
    """From now on tensorboard's thread prints no traceback when it ends: the next call that writes raises what ended it."""
    before = threading.excepthook
    if getattr(before, "__module__", "") == __name__:  # it was called before
        return

    def hook(failed: Any) -> None:
        if type(failed.thread).__name__ != WRITER or not isinstance(failed.exc_value, OSError):
            before(failed)

    threading.excepthook = hook
