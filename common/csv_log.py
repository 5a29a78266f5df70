"""A CSV file that grows row by row."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from common.errors import UsageError


class CsvLog:
    """A CSV file that can be cut back to where a checkpoint left it.

    Args:
        path: the file.
        columns: its header.
    """

    def __init__(self, path: str | Path, columns: Sequence[str]) -> None:
        self.path, self.columns = Path(path), columns

    def begin(self) -> None:
        """Writes the header into an empty file."""
        self.path.write_bytes(b"")
        self.append([self.columns])

    def append(self, rows: Iterable[Iterable[Any]]) -> None:
        """Writes rows behind the last."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        with open(self.path, "ab") as file:
            file.write(text.getvalue().encode())

    def snapshot(self) -> int:
        """Makes sure that the file is on the disk; returns its size in bytes."""
        with open(self.path, "ab") as file:
            os.fsync(file.fileno())
            return file.tell()

    def verify(self, size: int) -> None:
        """Raises `UsageError` if the file is shorter than `size` bytes, as `snapshot` returned it: it was altered since."""
        if not self.path.is_file() or self.path.stat().st_size < size:
            raise UsageError(f"--resume: {self.path} was cut short since its checkpoint: start over with --overwrite")

    def rewind(self, size: int) -> None:
        """Cuts the file back to `size` bytes; errors as in `verify`."""
        self.verify(size)
        os.truncate(self.path, size)

    def rows(self) -> list[list[str]]:
        """The rows behind the header, as lists of text."""
        with open(self.path, newline="") as file:
            return list(csv.reader(file))[1:]
