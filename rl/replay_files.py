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


def rows_on_disk(steps: int, replay_size: int, between_checkpoints: int) -> int:
    """How many rows of one seed's replay the disk holds at most: what two checkpoints need, in whole files."""
    return min(steps, replay_size + 2 * between_checkpoints + CHUNK)


class ReplayFiles:
    """Every row that one seed ever wrote and may still need, as raw float32 in `replay/<chunk>.f32`.

    A checkpoint notes how many rows there were and a checksum of each file that it needs (`snapshot`); `verify` and `rewind`
    return to that. Files stay until neither the newest checkpoint nor the one before it needs them (`prune`).

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
        self._first = 0  # first row that the last `snapshot` needs
        self._first_before = 0  # first row that the checkpoint before it needs

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
        for chunk in self._unsynced & self.checksums.keys():
            with open(self._path(chunk), "rb") as file:
                os.fsync(file.fileno())
        if self._unsynced:
            sync_folder(self.folder)
        self._unsynced = set()
        self._first = self._first_of(self.rows)
        return {"rows": self.rows, "checksums": _since(self._first, self.checksums)}

    def prune(self) -> None:
        """Deletes the files that two checkpoints do not need: that of the last `snapshot`, which is written by now, and the
        one before it."""
        for chunk, path in self._files():
            if (chunk + 1) * CHUNK <= self._first_before:
                path.unlink()
        self.checksums = _since(self._first_before, self.checksums)
        self._first_before = self._first

    def verify(self, state: Content) -> Iterator[np.ndarray]:
        """Yields the rows that the replay held at a state that `snapshot` returned, in parts (M, width); changes nothing.

        Raises:
            UsageError: the files are not what they were.
        """
        if self.folder.is_symlink():
            raise UsageError(f"--resume: {self.folder} is a link: put the folder there, or start over with --overwrite")
        first = self._first_of(state["rows"])
        for chunk, checksum in sorted(_since(first, state["checksums"]).items()):
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
        """Cuts the files back to a state that `snapshot` returned and `verify` found whole; older rows stay."""
        self.rows = state["rows"]
        self._first = self._first_before = self._first_of(self.rows)
        self.checksums = _since(self._first, state["checksums"])
        for chunk in self.checksums:
            os.truncate(self._path(chunk), self._size(chunk, self.rows))
        for chunk, path in self._files():
            if chunk * CHUNK >= self.rows:
                path.unlink()

    def _first_of(self, rows: int) -> int:
        """The first row that is kept when there are so many."""
        return max(0, rows - self.capacity)

    def _files(self) -> list[tuple[int, Path]]:
        """(chunk, path) of the files there are."""
        return [(int(path.stem), path) for path in self.folder.glob("*.f32") if path.stem.isdecimal()]

    def _size(self, chunk: int, rows: int) -> int:
        """Bytes of a chunk's file when there are so many rows."""
        return (min(rows, (chunk + 1) * CHUNK) - chunk * CHUNK) * self.width * 4


def _since(first: int, checksums: dict[int, int]) -> dict[int, int]:
    """Those of {chunk: checksum} whose files hold a row from `first` on."""
    return {chunk: checksum for chunk, checksum in checksums.items() if (chunk + 1) * CHUNK > first}
