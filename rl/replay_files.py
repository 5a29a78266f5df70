"""A seed's replay on the disk: rows are appended as they come, so a checkpoint need not write them again."""

import os
import zlib
from pathlib import Path

import numpy as np

from embedding.flags import UsageError

CHUNK = 100_000  # rows a file


class ReplayFiles:
    """Every row that one seed ever wrote and may still need, as raw float32 in `replay/<chunk>.f32`.

    A checkpoint notes how many rows there were and a checksum of each file up to there (`sync`); `restore` goes back
    to that.

    Args:
        folder: the folder of the seed.
        width: floats a row.
        capacity: how many of the newest rows the replay keeps.
    """

    def __init__(self, folder, width, capacity):
        self.folder, self.width, self.capacity = Path(folder) / "replay", width, capacity
        self.rows, self.checksums = 0, {}
        self._still_needed = 0  # first row that the older checkpoint needs

    def _path(self, chunk):
        return self.folder / f"{chunk}.f32"

    def append(self, rows):
        """Writes rows (M, width) float32."""
        self.folder.mkdir(exist_ok=True)
        while len(rows):
            chunk, used = divmod(self.rows, CHUNK)
            part, rows = rows[: CHUNK - used], rows[CHUNK - used :]
            data = np.ascontiguousarray(part).tobytes()
            with open(self._path(chunk), "ab") as file:
                file.write(data)
            self.checksums[chunk] = zlib.crc32(data, self.checksums.get(chunk, 0))
            self.rows += len(part)

    def sync(self):
        """Makes sure that all rows are on the disk and returns what `restore` takes, plain values."""
        first = max(0, self.rows - self.capacity)
        for chunk in [chunk for chunk in self.checksums if (chunk + 1) * CHUNK <= min(first, self._still_needed)]:
            self._path(chunk).unlink()
            del self.checksums[chunk]
        self._still_needed = first
        if self.rows:
            with open(self._path((self.rows - 1) // CHUNK), "ab") as file:
                os.fsync(file.fileno())
        return {"rows": self.rows, "checksums": dict(self.checksums)}

    def restore(self, state):
        """Goes back to a state that `sync` returned, and returns the rows (M, width) that the replay held then.

        Raises:
            UsageError: the files are not what they were.
        """
        self.rows, self.checksums = state["rows"], dict(state["checksums"])
        first = max(0, self.rows - self.capacity)
        self._still_needed = first
        parts = [np.empty((0, self.width), np.float32)]
        for chunk, checksum in sorted(self.checksums.items()):
            size = (min(self.rows, (chunk + 1) * CHUNK) - chunk * CHUNK) * self.width * 4
            path = self._path(chunk)
            data = path.read_bytes()[:size] if path.is_file() else b""
            if len(data) < size or zlib.crc32(data) != checksum:
                raise UsageError(f"--resume: {path} is damaged: start over with --overwrite")
            os.truncate(path, size)
            rows = np.frombuffer(data, np.float32).reshape(-1, self.width)
            parts.append(rows[max(0, first - chunk * CHUNK) :])
        for path in self.folder.glob("*.f32"):
            if int(path.stem) not in self.checksums:
                path.unlink()
        return np.concatenate(parts)
