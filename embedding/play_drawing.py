"""Draws episodes of random play into files, in as many processes as there are cores; see `embedding.pixel_play`."""

import contextlib
import errno
import multiprocessing
import os
import signal
import traceback
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, cast

import numpy as np

from common.errors import EnvironmentFault, UsageError
from common.machine import usable_cores
from common.pixel_environments import make_pixel_env
from embedding.random_play import episode_seed, state_reader
from envs.pixels import SIZE, PixelObservation

DONE = 1 << 32  # set in an episode's entry of the checksums, above the CRC, once all its bytes are written
STEPS_A_WORKER = 2000  # from so many on, the start of another process pays
NO_FALLOCATE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)

Task = tuple[int, np.ndarray]  # the number of an episode, and its actions (T, A)


class Layout:
    """The files of random play that was drawn: where each episode's rows lie in them, and which are there.

    Args:
        folder: the files' folder.
        lengths: (E,) the number of actions of each episode; it has one row more.
        state_dim, observation_dim: S and O.
    Attributes:
        rows: of the frames, states and observations.
        first: (E,) the first row of each episode.
    """

    def __init__(self, folder: str | Path, lengths: np.ndarray, state_dim: int, observation_dim: int) -> None:
        self.folder, self.lengths = Path(folder), np.asarray(lengths)
        self.sizes = np.array([state_dim, observation_dim])
        self.rows, self.first = int((self.lengths + 1).sum()), np.cumsum(self.lengths + 1) - self.lengths - 1
        self._arrays: dict[str, tuple[int, np.dtype, tuple[int, ...]]] = {
            "frames": (self.rows, np.dtype(np.uint8), (3, SIZE, SIZE)),
            "states": (self.rows, np.dtype(np.float64), (int(state_dim),)),
            "observations": (self.rows, np.dtype(np.float64), (int(observation_dim),)),
            "checks": (len(self.lengths), np.dtype(np.uint64), ()),
        }

    def path(self, name: str) -> Path:
        """The file of `frames`, `states`, `observations` or `checks`: rows of plain numbers, nothing else."""
        return self.folder / f"{name}.{self._arrays[name][1].name}"

    def map(self, name: str) -> np.memmap:
        """A file's rows, mapped from the disk, read-only."""
        rows, dtype, shape = self._arrays[name]
        return np.memmap(self.path(name), dtype, "r", shape=(rows, *shape))

    def _row_bytes(self, name: str) -> int:
        _, dtype, shape = self._arrays[name]
        return dtype.itemsize * int(np.prod(shape))

    def _file_bytes(self, name: str) -> int:
        return self._arrays[name][0] * self._row_bytes(name)

    def allocate(self) -> None:
        """Gives all files their sizes, with their room on the disk; what they hold stays.

        Raises:
            OSError: there is no room.
        """
        for name in self._arrays:
            size = self._file_bytes(name)
            with open(self.path(name), "ab") as file:
                try:
                    if hasattr(os, "posix_fallocate"):  # macOS has none: there a full disk shows as it is written
                        os.posix_fallocate(file.fileno(), 0, size)
                except OSError as error:
                    if error.errno not in NO_FALLOCATE:
                        raise OSError(error.errno, error.strerror, str(self.path(name))) from error
                os.truncate(file.fileno(), size)

    def paths(self) -> list[Path]:
        """All files."""
        return [self.path(name) for name in self._arrays]

    def is_allocated(self) -> bool:
        """Whether all files are there and have their sizes."""
        paths = {name: self.path(name) for name in self._arrays}
        return all(path.is_file() and path.stat().st_size == self._file_bytes(name) for name, path in paths.items())

    def flagged(self) -> np.ndarray:
        """(E,) bool: which episodes were written to their ends."""
        return (self.map("checks") & np.uint64(DONE)) != 0

    def verify(self) -> np.ndarray:
        """(E,) bool: which episodes were written to their ends and are what was written."""
        done, checks = self.flagged(), self.map("checks")
        arrays = [self.map(name) for name in ("frames", "states", "observations")]
        for episode in np.flatnonzero(done):
            rows = slice(self.first[episode], self.first[episode] + self.lengths[episode] + 1)
            done[episode] = int(checks[episode]) == _checksum([array[rows] for array in arrays])
        return done

    def write(self, episode: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes an episode, its checksum last.

        Args:
            arrays: {name: (length + 1, ...)} of `frames`, `states` and `observations`.
        Raises:
            OSError: the disk is full.
        """
        ordered = [np.ascontiguousarray(arrays[name]) for name in ("frames", "states", "observations")]
        for name, array in zip(("frames", "states", "observations"), ordered, strict=True):
            self._write(name, self.first[episode], array)
        self._write("checks", episode, np.array([_checksum(ordered)], np.uint64))

    def _write(self, name: str, row: int, array: np.ndarray) -> None:
        data, offset = array.data.cast("B"), int(row) * self._row_bytes(name)
        with open(self.path(name), "r+b", buffering=0) as file:
            while data:
                written = os.pwrite(file.fileno(), data, offset)
                data, offset = data[written:], offset + written


def _checksum(arrays: Sequence[np.ndarray]) -> int:
    check = 0
    for array in arrays:
        check = zlib.crc32(array.data.cast("B"), check)
    return check | DONE


def draw_episode(env: PixelObservation, seed: int, episode: int, actions: np.ndarray) -> dict[str, np.ndarray]:
    """Plays an episode of random play and draws each of its states.

    Args:
        env: `PixelObservation`.
        seed: of the random play.
        actions: (T, A) of the episode.
    Returns:
        {"frames": (T + 1, 3, 64, 64) uint8, "states": (T + 1, S) float64, "observations": (T + 1, O) float64}.
    Raises:
        UsageError: the episode ends before its actions do.
    """
    read = state_reader(env)
    frames: list[np.ndarray] = []
    states: list[np.ndarray] = []
    observations: list[np.ndarray] = []

    def note(info: dict[str, Any]) -> None:
        frames.append(env.newest.copy())
        observations.append(np.array(info["state"], np.float64))
        states.append(read(observations[-1]))

    note(env.reset(seed=episode_seed(seed, episode))[1])
    for step, action in enumerate(actions, start=1):
        _, _, terminated, truncated, info = env.step(action)
        note(info)
        if (terminated or truncated) and step < len(actions):
            assert env.spec is not None
            raise UsageError(
                f"--env {env.spec.id}: the same actions ended its random episode {episode} after {step} steps, before "
                f"after {len(actions)}: it is not deterministic: use one that is"
            )
    return {"frames": np.stack(frames), "states": np.stack(states), "observations": np.stack(observations)}


def draw_all(
    layout: Layout,
    env_name: str,
    source_img_width: int,
    seed: int,
    actions: np.ndarray,
    episodes: np.ndarray,
    workers: int | None,
    progress: Callable[[int], object],
) -> None:
    """Draws and writes `episodes` of random play.

    Args:
        layout: `Layout`, allocated.
        env_name, source_img_width: as for `make_pixel_env`.
        seed, actions: of the random play, (T, A) of all its episodes.
        episodes: the numbers of those to be drawn.
        workers: how many processes draw; None: one a core, fewer for few steps. With one it is this process.
        progress: is called with the number of steps of every episode that is written.
    Raises:
        UsageError: the environment cannot be drawn, or is not deterministic, or a process ended.
        OSError: the disk is full. What was written stays.
    """
    begins = np.cumsum(layout.lengths) - layout.lengths
    tasks = ((int(e), actions[begins[e] : begins[e] + layout.lengths[e]]) for e in episodes)
    pays = 1 + int(layout.lengths[episodes].sum()) // STEPS_A_WORKER
    workers = min(workers or min(usable_cores(), pays), len(episodes))
    if workers == 1:
        env = make_pixel_env(env_name, source_img_width)
        for episode, part in tasks:
            layout.write(episode, draw_episode(env, seed, episode, part))
            progress(len(part))
        env.close()
        return
    context = multiprocessing.get_context("spawn")  # an OpenGL context does not survive a fork
    processes: dict[Connection, SpawnProcess] = {}
    try:
        for _ in range(workers):
            ours, theirs = context.Pipe()
            arguments = (theirs, layout, env_name, source_img_width, seed)
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            processes[ours] = process
        _share_out(tasks, processes, progress)
    finally:
        for connection in processes:
            connection.close()
        for process in processes.values():  # they end with the episode under way
            process.join(30)
            process.terminate()


def _share_out(
    tasks: Iterator[Task], processes: Mapping[Connection, SpawnProcess], progress: Callable[[int], object]
) -> None:
    """Gives every process of {connection: process} a task whenever it has none, until all are done."""
    busy = set(processes)
    while busy:
        for connection in cast(list[Connection], wait(list(busy))):
            error: Exception | None
            try:
                steps, error = connection.recv()
            except EOFError:
                processes[connection].join(10)
                code = processes[connection].exitcode
                raise UsageError(
                    f"--steps: a process that draws ended with code {code} (is memory short?): call it again, it goes "
                    "on with the episodes that are missing"
                ) from None
            if error is not None:
                raise error
            progress(steps)
            task = next(tasks, None)
            if task is None:
                busy.remove(connection)
            else:
                connection.send(task)


def _work(connection: Connection, layout: Layout, env_name: str, source_img_width: int, seed: int) -> None:
    """A process that draws: announces itself, then draws what it is sent until its parent is gone or has no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    with contextlib.suppress(EOFError, ConnectionError):
        steps = 0
        try:
            env = make_pixel_env(env_name, source_img_width)
            while True:
                connection.send((steps, None))
                episode, actions = connection.recv()
                layout.write(episode, draw_episode(env, seed, episode, actions))
                steps = len(actions)
        except (UsageError, OSError) as error:
            if isinstance(error, (EOFError, ConnectionError)):
                raise
            if isinstance(error, EnvironmentFault):
                error.add_note(traceback.format_exc())  # what raised it does not pass through the pipe
            connection.send((0, error))
