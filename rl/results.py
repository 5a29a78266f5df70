"""The result files of one seed: eval.csv, eval.npy, train.csv, and tensorboard events if asked for."""

import csv
import io

import numpy as np

from embedding.checkpoint import write_atomically

EVAL_COLUMNS = ["episodes", "steps", "mean_return"]
TRAIN_COLUMNS = ["episodes", "steps", "episode_return", "episode_length", "critic_loss", "value"]


class SeedResults:
    """Writes the curves of one seed into its folder.

    Args:
        folder: results/rl/<env>/<method>/<name>/seed_<n>.
        tensorboard: whether to write events as well.
    """

    def __init__(self, folder, tensorboard=False):
        self.folder, self.evaluations, self.writer = folder, [], None
        self._append("eval.csv", [EVAL_COLUMNS])
        self._append("train.csv", [TRAIN_COLUMNS])
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(folder / "tensorboard")

    def add_evaluation(self, episodes, steps, mean_return):
        """One evaluation, after so many episodes and steps of training."""
        self.evaluations.append((episodes, steps, mean_return))
        self._append("eval.csv", [self.evaluations[-1]])
        table = np.array(self.evaluations, dtype=np.float64)
        write_atomically(self.folder / "eval.npy", lambda file: np.save(file, table))
        self._scalars("evaluation", steps, {"mean_return": mean_return})

    def add_episodes(self, first, ended, diagnostics):
        """Training episodes that ended: `ended` is (steps, return, length) of each, numbered from `first` on."""
        rows = [
            [first + i, *episode, diagnostics["critic_loss"], diagnostics["value"]] for i, episode in enumerate(ended)
        ]
        self._append("train.csv", rows)
        for _, steps, episode_return, *_ in rows:
            self._scalars("training", steps, {"episode_return": episode_return, **diagnostics})

    def _append(self, name, rows):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        with open(self.folder / name, "a", newline="") as file:
            file.write(text.getvalue())

    def _scalars(self, group, steps, values):
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(f"{group}/{name}", value, steps)

    def close(self):
        """Flushes what is open."""
        if self.writer is not None:
            self.writer.close()
