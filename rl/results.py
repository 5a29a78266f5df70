"""The result files of one seed: eval.csv, eval.npy, train.csv, and tensorboard events if asked for."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.csv_log import CsvLog
from common.files import write_atomically

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

EVAL_COLUMNS = ["episodes", "steps", "mean_return"]
TRAIN_COLUMNS = ["episodes", "steps", "episode_return", "episode_length", "critic_loss", "value"]
NOT_MEASURED = {"critic_loss": float("nan"), "value": float("nan")}  # of what has no such losses


class SeedResults:
    """Writes the curves of one seed into its folder.

    Args:
        folder: results/rl/<env>/<method>/<name>/seed_<n>.
        tensorboard: whether to write events as well.
    """

    def __init__(self, folder: Path, tensorboard: bool = False) -> None:
        self.folder, self.tensorboard = folder, tensorboard
        self.writer: SummaryWriter | None = None
        self.eval = CsvLog(folder / "eval.csv", EVAL_COLUMNS)
        self.train = CsvLog(folder / "train.csv", TRAIN_COLUMNS)

    def begin(self) -> None:
        """Starts empty files."""
        self.eval.begin()
        self.train.begin()
        self.evaluations: list[tuple[float, ...]] = []

    def snapshot(self) -> dict[str, Any]:
        """Brings the files to the disk and returns what `verify` and `rewind` take."""
        if self.writer is not None:
            self.writer.flush()
        return {"eval": self.eval.snapshot(), "train": self.train.snapshot()}

    def verify(self, state: dict[str, Any]) -> None:
        """Raises `UsageError` if what the files held has been changed since `snapshot` was called."""
        self.eval.verify(state["eval"])
        self.train.verify(state["train"])

    def rewind(self, state: dict[str, Any]) -> None:
        """Cuts the files back to where `snapshot` was called."""
        self.eval.rewind(state["eval"])
        self.train.rewind(state["train"])
        self.evaluations = [tuple(map(float, row)) for row in self.eval.rows()]
        self._write_npy()

    def add_evaluation(self, episodes: int, steps: int, mean_return: float) -> None:
        """One evaluation, after so many episodes and steps of training."""
        self.evaluations.append((episodes, steps, mean_return))
        self.eval.append([self.evaluations[-1]])
        self._write_npy()
        self._scalars("evaluation", steps, {"mean_return": mean_return})

    def _write_npy(self) -> None:
        table = np.array(self.evaluations, dtype=np.float64).reshape(-1, 3)
        write_atomically(self.folder / "eval.npy", lambda file: np.save(file, table))

    def add_episodes(self, first: int, ended: Iterable[tuple[int, float, int]], diagnostics: dict[str, float]) -> None:
        """Training episodes that ended: `ended` is (steps, return, length) of each, numbered from `first` on."""
        rows = [
            (first + i, *episode, diagnostics["critic_loss"], diagnostics["value"]) for i, episode in enumerate(ended)
        ]
        self.train.append(rows)
        for _, steps, episode_return, *_ in rows:
            self._scalars("training", steps, {"episode_return": episode_return, **diagnostics})

    def _scalars(self, group: str, steps: int, values: dict[str, float]) -> None:
        if self.tensorboard and self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(self.folder / "tensorboard", purge_step=steps)
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(f"{group}/{name}", value, steps)

    def close(self) -> None:
        """Flushes what is open."""
        if self.writer is not None:
            self.writer.close()
