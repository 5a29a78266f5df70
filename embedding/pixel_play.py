"""Random play seen as pixels: its frames in a memory map on disk, and windows of it (paper, sections 5.3 and A.1).

The episodes are those of `embedding.random_play.random_play` with the same seed: its actions are stepped once more, and every
state is drawn. A frame is kept once, as uint8 (3, 64, 64), 12 288 bytes; stacks of four are formed when they are read.
Until an episode has four frames its first one stands for those before it, as `envs.pixels.PixelObservation` has it.

All cores draw, each in a process with an OpenGL context of its own, one episode at a time. An episode's bytes depend on
its seed and actions alone, so it does not matter who draws it. When all of them are written its checksum is: whatever
stops the drawing, the next call verifies what is there and goes on with what is not.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from common.environments import make_env
from common.errors import DISK_FULL, UsageError
from common.files import open_for_lock, write_atomically
from common.memory import require_disk
from common.paths import play_folder
from common.pixel_environments import make_pixel_env
from common.progress import Progress
from embedding.play_drawing import Layout, draw_all
from embedding.play_key import pixel_key
from embedding.random_play import RandomPlay, check_lengths, load_random_play, state_size
from envs.pixels import FRAMES, SIZE, SOURCE_WIDTH, stack_rows

HEADER, LOCK = "play.npz", "drawing.lock"
FRAME_BYTES = 3 * SIZE * SIZE
REMEDY = "delete the folder, then it is drawn anew"
UNREADABLE = (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)


@dataclass
class PixelPlay(RandomPlay):
    """Random play with an image of every state. Rows of episodes as in `RandomPlay.states`.

    Attributes:
        frames: (T + E, 3, 64, 64) uint8 tensor, mapped from the disk; not to be written to.
        observations: (T + E, O) float64, what the environment itself observes, which may hold more than the
            simulator's state (the target of ReacherVertical); for probes.
    """

    frames: torch.Tensor
    observations: np.ndarray


class PixelWindows:
    """All windows of k steps inside an episode: the stack at t, a_t .. a_{t+k-1}, the frames at t+k-1 and t+k.

    Appendix B: "we predict only the two latest frames of the future state". Every t of an episode that k steps follow
    is one, its first included: a policy meets these stacks too.

    Args:
        play: `PixelPlay`.
        k: the number of actions.
    Attributes:
        actions: (W, k, A) float32, in the environment's units.
        frames: the play's; may be moved to another device.
    Raises:
        UsageError: no episode has k steps.
    """

    def __init__(self, play: PixelPlay, k: int) -> None:
        check_lengths(play, k)
        self.frames = play.frames
        first_action = np.concatenate([[0], np.cumsum(play.lengths)[:-1]])
        counts = np.maximum(play.lengths - k + 1, 0)
        episode = np.repeat(np.arange(len(counts)), counts)
        step = np.arange(len(episode)) - np.repeat(np.cumsum(counts) - counts, counts)
        begin = first_action[episode] + step
        row = begin + episode  # every episode before this one has one frame more than actions
        self.actions = torch.from_numpy(play.actions[begin[:, None] + np.arange(k)])
        future = row[:, None] + np.array([k - 1, k])
        self._rows = torch.from_numpy(np.concatenate([stack_rows(row - step, row), future], axis=1))

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Reads windows.

        Args:
            index: (B,) int64, of windows.
        Returns:
            stacks (B, 12, 64, 64) and the two frames to be predicted (B, 2, 3, 64, 64), uint8, on the frames' device.
        """
        rows = self._rows[index]
        frames = take_frames(self.frames, rows.flatten()).view(len(rows), FRAMES + 2, 3, SIZE, SIZE)
        return frames[:, :FRAMES].reshape(-1, 3 * FRAMES, SIZE, SIZE), frames[:, FRAMES:]


def take_frames(frames: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Rows (B,) int64 of frames, wherever these are: (B, 3, 64, 64) uint8 in memory of their own."""
    return frames.index_select(0, rows.to(frames.device))


def load_pixel_play(
    env_name: str,
    steps: int,
    seed: int,
    results_dir: str | Path,
    k: int = 1,
    source_img_width: int = SOURCE_WIDTH,
    workers: int | None = None,
) -> PixelPlay:
    """Random play of `steps` steps with its frames, kept under `results_dir/<env>/data/`; what is missing is drawn.

    The folder's key holds everything that determines the content, but for the OpenGL driver, which may move edges by
    a few levels. Takes 1.24 GB for 100 000 steps.

    Args:
        env_name: id or module:id, as for `make_pixel_env`.
        k: the number of actions of a window: some episode must have so many.
        source_img_width: what is drawn before it is averaged, pixels.
        workers: how many processes draw, all cores by default; the result does not depend on it.
    Raises:
        UsageError: the environment has no pixels, is not deterministic, its states are not finite, or no episode has k
            steps; the disk has no room; the folder holds something else.
    """
    env = make_env(env_name)
    assert env.spec is not None and env.observation_space.shape is not None
    key = json.dumps(pixel_key(env, steps, seed, source_img_width), sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    folder = play_folder(results_dir, env.spec.id) / f"pixels-{digest}"
    require_disk(f"--steps {steps}: its frames", steps * FRAME_BYTES, folder, "frames.*")
    if not (folder / HEADER).exists():
        make_pixel_env(env_name, source_img_width).close()  # refused before anything is written
    played = load_random_play(env, steps, seed, results_dir, k)
    layout = Layout(folder, played.lengths, state_size(env), env.observation_space.shape[0])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_places(layout)
        with _locked(folder):
            _write_header(layout, key, played)
            layout.allocate()
            done = layout.verify()
            if damaged := (layout.flagged() & ~done).sum():
                print(f"random play: {damaged} episodes in {folder} are damaged and drawn anew")
            todo, before = np.flatnonzero(~done), int(played.lengths[done].sum())
            if len(todo):
                with Progress(steps, "drawing", "step", before) as shown:
                    draw_all(layout, env_name, source_img_width, seed, played.actions, todo, workers, shown.update)
            else:
                print(f"random play: frames read from {folder}")
    except OSError as error:
        if error.errno in (*DISK_FULL, errno.EIO):
            raise
        raise UsageError(f"--results_dir: {folder} cannot be written ({error.strerror}): choose another") from error
    return open_pixel_play(folder, key, verify=False)


def open_pixel_play(folder: str | Path, key: str | None = None, verify: bool = True) -> PixelPlay:
    """Reads the finished random play in `folder`; draws and writes nothing.

    Args:
        key: the key (text) that it must have, or None: any.
        verify: whether to verify all checksums, which takes a second for a gigabyte.
    Raises:
        UsageError: it is not whole, or of something else.
    """
    folder = Path(folder)
    _check_files([folder / HEADER])
    try:
        with np.load(folder / HEADER, allow_pickle=False) as file:
            header = {name: file[name] for name in ("key", "actions", "lengths", "sizes")}
    except UNREADABLE as error:
        raise UsageError(f"{folder / HEADER} cannot be read ({type(error).__name__}): {REMEDY}") from error
    if key is not None and str(header["key"]) != key:
        raise UsageError(f"{folder} holds random play of other settings than its name says: {REMEDY}")
    layout = Layout(folder, header["lengths"], *header["sizes"].tolist())
    if not layout.is_allocated():
        raise UsageError(f"{folder}: its files are cut short or missing: {REMEDY}")
    done = layout.verify() if verify else layout.flagged()
    if not done.all():
        raise UsageError(f"{folder}: {(~done).sum()} of {len(done)} episodes are missing or damaged: {REMEDY}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*not writable", UserWarning)  # nobody writes to it
        frames = torch.from_numpy(layout.map("frames"))
    states, observations = (np.array(layout.map(name)) for name in ("states", "observations"))
    return PixelPlay(states, header["actions"], header["lengths"], frames, observations)


def _check_places(layout: Layout) -> None:
    """Raises `UsageError` if something else than a file lies where one of random play is to be."""
    _check_files([layout.folder / HEADER, layout.folder / LOCK, *layout.paths()])


def _check_files(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise UsageError(f"{path} is no file: {REMEDY}")


def _write_header(layout: Layout, key: str, played: RandomPlay) -> None:
    """Writes what is known before anything is drawn; leaves a header of the same key, refuses one of another."""
    path, found = layout.folder / HEADER, None
    with contextlib.suppress(*UNREADABLE), np.load(path, allow_pickle=False) as file:
        found = str(file["key"])
        if found == key and np.array_equal(file["actions"], played.actions):
            return
    if found not in (None, key):
        raise UsageError(f"{layout.folder} holds random play of other settings than its name says: {REMEDY}")
    actions, lengths, sizes = played.actions, played.lengths, layout.sizes
    write_atomically(path, lambda file: np.savez(file, key=key, actions=actions, lengths=lengths, sizes=sizes))


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Within `with`, no other process draws into the folder; waits until none does."""
    with open_for_lock(folder / LOCK) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"random play: another process draws into {folder}: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
