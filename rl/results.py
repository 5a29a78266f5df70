"""The result files of one seed: eval.csv, eval.npy, train.csv, speed.csv, and tensorboard events if asked for."""

import contextlib
import csv
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from common.csv_log import CsvLog
from common.files import write_atomically
from common.run_files import WRITTEN_BELOW, delete
from rl.tensorboard_events import Events, check_folder

EVENTS = "tensorboard"  # folder of events
EVAL_COLUMNS = ["episodes", "steps", "mean_return"]
# Of the block of updates behind an episode's end: means of the critics' losses, of Q_1(s, mu(s)) and of the actor's loss, and
# the least and largest value that the critics gave the last batch.
DIAGNOSTICS = ["critic_loss", "value", "actor_loss", "q_min", "q_max"]
TRAIN_COLUMNS = ["episodes", "steps", "episode_return", "episode_length", *DIAGNOSTICS]
SPEED_COLUMNS = ["steps", "steps_per_second"]
NOT_MEASURED = dict.fromkeys(DIAGNOSTICS, float("nan"))  # of what has no such losses


class SeedResults:
    """Writes the curves of one seed into its folder.

    Args:
        folder: results/rl/<env>/<method>/<name>/seed_<n>.
        tensorboard: whether to write events as well.
    Raises:
        UsageError: tensorboard cannot write into such a folder.
    """

    def __init__(self, folder: Path, tensorboard: bool = False) -> None:
        if tensorboard:
            check_folder(folder)
        self.folder, self.tensorboard = folder, tensorboard
        self.events: Events | None = None
        self.eval = CsvLog(folder / "eval.csv", EVAL_COLUMNS)
        self.train = CsvLog(folder / "train.csv", TRAIN_COLUMNS)
        self.speed = CsvLog(folder / "speed.csv", SPEED_COLUMNS)  # the only one that depends on the clock
        self.evaluations: list[tuple[float, ...]] = []
        self._since: tuple[int, float] | None = None  # the step and the time of this process's last evaluation

    def begin(self) -> None:
        """Starts empty files."""
        for log in (self.eval, self.train, self.speed):
            log.begin()

    def snapshot(self) -> dict[str, Any]:
        """Brings the files to the disk and returns what `verify` and `rewind` take."""
        if self.events is not None:
            self.events.flush()
        return {"eval": self.eval.snapshot(), "train": self.train.snapshot()}

    def verify(self, state: dict[str, Any]) -> None:
        """Raises `UsageError` if what the files held has been changed since `snapshot` was called."""
        self.eval.verify(state["eval"])
        self.train.verify(state["train"])

    def rewind(self, state: dict[str, Any], steps: int) -> None:
        """Cuts the files back to where `snapshot` was called, after so many steps."""
        self.eval.rewind(state["eval"])
        self.train.rewind(state["train"])
        self.evaluations = [tuple(map(float, row)) for row in self.eval.rows()]
        self._rewind_speed(steps)
        self._write_npy()
        if self.tensorboard:
            self._write_events_again()

    def _rewind_speed(self, steps: int) -> None:
        """Keeps the speeds up to a step. No checkpoint knows this file: what is no speed in it is left out, too."""
        rows, kept = [], []
        if self.speed.path.is_file() and not self.speed.path.is_symlink():
            with contextlib.suppress(OSError, csv.Error):  # it is whatever someone has made of it
                rows = self.speed.rows()
        for row in rows:
            with contextlib.suppress(ValueError):
                at, speed = map(float, row)
                if 0 <= at <= steps and math.isfinite(speed):
                    kept.append(row)
        self.speed.begin()
        self.speed.append(kept)

    def _write_events_again(self) -> None:
        """Events of what the tables hold take the place of all that earlier processes wrote, if they wrote any."""
        if not (self.folder / EVENTS).is_symlink():
            delete(self.folder / EVENTS, WRITTEN_BELOW[EVENTS])
        for _, at, mean_return in self.evaluations:
            self._scalars("evaluation", int(at), {"mean_return": mean_return})
        for row in self.train.rows():
            _, at, episode_return, _, *noted = map(float, row)
            numbers = dict(zip(DIAGNOSTICS, noted, strict=False))  # an earlier version noted fewer
            self._scalars("training", int(at), {"episode_return": episode_return, **numbers})
        for row in self.speed.rows():
            at, speed = map(float, row)
            self._scalars("training", int(at), {"steps_per_second": speed})

    def add_evaluation(self, episodes: int, steps: int, mean_return: float) -> None:
        """One evaluation, after so many episodes and steps of training."""
        self.evaluations.append((episodes, steps, mean_return))
        self.eval.append([self.evaluations[-1]])
        self._write_npy()
        self._scalars("evaluation", steps, {"mean_return": mean_return})
        self._add_speed(steps)

    def _add_speed(self, steps: int) -> None:
        """How many steps a second it has been since the evaluation before, evaluations and checkpoints included."""
        now, since = time.monotonic(), self._since
        self._since = steps, now
        if since is None or steps == since[0] or now <= since[1]:  # a clock may be stopped
            return
        speed = (steps - since[0]) / (now - since[1])
        self.speed.append([(steps, round(speed, 2))])
        self._scalars("training", steps, {"steps_per_second": speed})

    def _write_npy(self) -> None:
        table = np.array(self.evaluations, dtype=np.float64).reshape(-1, 3)
        write_atomically(self.folder / "eval.npy", lambda file: np.save(file, table))

    def add_episodes(self, first: int, ended: Iterable[tuple[int, float, int]], diagnostics: dict[str, float]) -> None:
        """Training episodes that ended: `ended` is (steps, return, length) of each, numbered from `first` on."""
        noted, episodes = [diagnostics[name] for name in DIAGNOSTICS], list(ended)
        self.train.append([(first + i, *episode, *noted) for i, episode in enumerate(episodes)])
        for steps, episode_return, _ in episodes:
            self._scalars("training", steps, {"episode_return": episode_return, **diagnostics})

    def _scalars(self, group: str, steps: int, values: dict[str, float]) -> None:
        if self.tensorboard and self.events is None:
            self.events = Events(self.folder / EVENTS)
        if self.events is not None:
            self.events.write(group, steps, values)

    def close(self) -> None:
        """Flushes what is open."""
        if self.events is not None:
            self.events.close()
