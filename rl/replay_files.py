"""A seed's replay on the disk: rows are appended as they come, so a checkpoint need not write them again."""

import contextlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.errors import UsageError
from common.files import open_to_read, sync_folder
from rl.protocols import Content

CHUNK = 100_000  # rows a file
PART = 2**26  # bytes that are read at once


class ReplayFiles:
    """Every row that one seed ever wrote and may still need, as raw float32 in `replay/<chunk>.f32`.

    A checkpoint notes how many rows there were and a checksum of each file up to there (`snapshot`); `verify` and `rewind`
    return to that.

    Args:
        folder: the folder of the seed.
        width: floats a row.
        capacity: how many of the newest rows the replay keeps.
    """

    def __init__(self, folder: str | Path, width: int, capacity: int) -> None:
        self.folder, self.width, self.capacity = Path(folder) / "replay", width, capacity
        self.rows = 0
        self.checksums: dict[int, int] = {}
        self._unsynced: set[int] = set()  # chunks that were written to since `snapshot`
        self._still_needed = 0  # first row that the older checkpoint needs

    def _path(self, chunk: int) -> Path:
        return self.folder / f"{chunk}.f32"

    def append(self, rows: np.ndarray) -> None:
        """Writes rows (M, width) float32."""
        self.folder.mkdir(exist_ok=True)
        while len(rows):
            chunk, used = divmod(self.rows, CHUNK)
            part, rows = rows[: CHUNK - used], rows[CHUNK - used :]
            data = np.ascontiguousarray(part).tobytes()
            with open(self._path(chunk), "ab") as file:
                file.write(data)
            self._unsynced.add(chunk)
            self.checksums[chunk] = zlib.crc32(data, self.checksums.get(chunk, 0))
            self.rows += len(part)

    def snapshot(self) -> Content:
        """Makes sure that all rows are on the disk and returns what `verify` and `rewind` take, plain values."""
        first = max(0, self.rows - self.capacity)
        for chunk in [chunk for chunk in self.checksums if (chunk + 1) * CHUNK <= min(first, self._still_needed)]:
            self._path(chunk).unlink()
            del self.checksums[chunk]
        self._still_needed = first
        for chunk in self._unsynced & self.checksums.keys():
            with open(self._path(chunk), "rb") as file:
                os.fsync(file.fileno())
        if self._unsynced:
            sync_folder(self.folder)
        self._unsynced = set()
        return {"rows": self.rows, "checksums": dict(self.checksums)}

    def verify(self, state: Content) -> Iterator[np.ndarray]:
        """Yields the rows that the replay held at a state that `snapshot` returned, in parts (M, width); changes nothing.

        Raises:
            UsageError: the files are not what they were.
        """
        if self.folder.is_symlink():
            raise UsageError(f"--resume: {self.folder} is a link: put the folder there, or start over with --overwrite")
        first = max(0, state["rows"] - self.capacity)
        for chunk, checksum in sorted(state["checksums"].items()):
            begin, left, found = chunk * CHUNK, self._size(chunk, state["rows"]), 0
            with contextlib.suppress(FileNotFoundError), open_to_read(self._path(chunk)) as file:
                while left and (data := file.read(min(left, max(1, PART // (4 * self.width)) * 4 * self.width))):
                    left, found = left - len(data), zlib.crc32(data, found)
                    if len(data) % (4 * self.width):
                        break
                    rows = np.frombuffer(data, np.float32).reshape(-1, self.width)
                    yield rows[max(0, first - begin) :]
                    begin += len(rows)
            if left or found != checksum:
                raise UsageError(f"--resume: {self._path(chunk)} is damaged: start over with --overwrite")

    def rewind(self, state: Content) -> None:
        """Cuts the files back to a state that `snapshot` returned and `verify` found whole."""
        self.rows, self.checksums = state["rows"], dict(state["checksums"])
        self._still_needed = max(0, self.rows - self.capacity)
        for chunk in self.checksums:
            os.truncate(self._path(chunk), self._size(chunk, self.rows))
        for path in self.folder.glob("*.f32"):
            if path.stem.isdecimal() and int(path.stem) not in self.checksums:
                path.unlink()

    def _size(self, chunk: int, rows: int) -> int:
        """Bytes of a chunk's file when there are so many rows."""
        return (min(rows, (chunk + 1) * CHUNK) - chunk * CHUNK) * self.width * 4
