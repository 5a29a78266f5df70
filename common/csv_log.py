"""A CSV file that grows row by row."""

import csv
import io
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.files import LARGEST_TABLE, naming, open_to_read, read_whole, write_atomically


class CsvLog:
    """A CSV file that can be cut back to where a checkpoint left it.

    Args:
        path: the file.
        columns: its header. A file that an earlier version began may have the first of them only; it keeps to these.
    Attributes:
        size: bytes written so far.
        checksum: CRC-32 of these.
    """

    def __init__(self, path: str | Path, columns: Sequence[str]) -> None:
        self.path, self.columns = Path(path), list(columns)
        self.size, self.checksum = 0, 0

    def begin(self) -> None:
        """Writes the header into a new file, which takes the place of what was there, be it a link; nobody reads it empty."""
        data = self._encoded([self.columns])
        write_atomically(self.path, lambda file: file.write(data))
        self.size, self.checksum = len(data), zlib.crc32(data)

    def append(self, rows: Iterable[Sequence[Any]]) -> None:
        """Writes rows behind the last; of each, as many fields as the file has columns."""
        data = self._encoded(row[: len(self.columns)] for row in rows)
        with naming(self.path), open(self.path, "ab") as file:
            file.write(data)
        self.size, self.checksum = self.size + len(data), zlib.crc32(data, self.checksum)

    def snapshot(self) -> dict[str, int]:
        """Makes sure that the file is on the disk; returns the size and the checksum of what was written to it."""
        with naming(self.path), open(self.path, "ab") as file:
            os.fsync(file.fileno())
        return {"size": self.size, "checksum": self.checksum}

    def verify(self, state: dict[str, int] | int) -> None:
        """Raises `UsageError` unless the file begins with what it held at `state`, which `snapshot` returned.

        A plain number is the size alone, as older checkpoints have it: then the form of the rows is checked.
        """
        self._read(state)

    def rewind(self, state: dict[str, int] | int) -> None:
        """Cuts the file back to `state`; errors as in `verify`."""
        data = self._read(state)
        self.columns = self._columns_of(data)
        self.size, self.checksum = len(data), zlib.crc32(data)
        os.truncate(self.path, self.size)

    def _read(self, state: dict[str, int] | int) -> bytes:
        """What the file held at `state`; errors as in `verify`."""
        size = state if isinstance(state, int) else state["size"]
        data = b""
        if self.path.is_file() and not self.path.is_symlink():
            with open_to_read(self.path) as file:
                data = file.read(size)
        known = self._has_form(data) if isinstance(state, int) else zlib.crc32(data) == state["checksum"]
        if len(data) < size or not known:
            raise UsageError(
                f"--resume: {self.path} was changed since its checkpoint: put back what it was, or start over with "
                "--overwrite"
            )
        return data

    def _has_form(self, data: bytes) -> bool:
        """Whether these bytes are the header and whole rows of as many fields."""
        lines, columns = data.split(b"\n"), self._columns_of(data)
        commas = {line.count(b",") for line in lines[:-1]}
        return data.startswith(self._encoded([columns])) and not lines[-1] and commas == {len(columns) - 1}

    def _columns_of(self, data: bytes) -> list[str]:
        """Those of the columns that the header of these bytes has."""
        return self.columns[: data.partition(b"\n")[0].count(b",") + 1]

    @staticmethod
    def _encoded(rows: Iterable[Iterable[Any]]) -> bytes:
        """Rows as they stand in the file."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode()

    def rows(self) -> list[list[str]]:
        """The rows behind the header, as lists of text."""
        text = read_whole(self.path, LARGEST_TABLE).decode(errors="replace")
        return list(csv.reader(io.StringIO(text, newline="")))[1:]
