"""What one seed of a run keeps on the disk."""

import argparse
import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from common import entries
from common.checkpoint import CheckpointError
from common.errors import UsageError
from common.paths import seed_folder
from common.run_flags import check_flags
from common.run_folder import RunFolder
from rl.fingerprint import Fingerprint
from rl.protocols import ActionSpace, Content, StateSpace
from rl.replay_files import ReplayFiles
from rl.results import SeedResults


def run_entries(
    env_name: str, fingerprint: Fingerprint, method: str, seed: int, states: StateSpace, actions: ActionSpace
) -> Content:
    """What a checkpoint of any method tells of its run: environment, method, seed, and the spaces that the policy sees and acts in."""
    return {
        **entries.environment_entries(env_name),
        **fingerprint.entries(),
        "method": method,
        "seed": seed,
        "states": states.content(),
        "actions": actions.content(),
    }


class SeedStore:
    """The folder of one seed: checkpoints, replay, curves.

    Args:
        run: the folder of the run, results/rl/<env>/<method>/<name>.
        seed: the seed.
        row_width: floats a row of replay.
        args: the script's flags.
        replay_size: how many of the newest rows the replay keeps.
    """

    def __init__(self, run: Path, seed: int, row_width: int, args: argparse.Namespace, replay_size: int) -> None:
        self.seed, self.args = seed, args
        self.flags = {**vars(args), "seed": seed, "num_seeds": 1}
        self.folder = RunFolder(seed_folder(run, seed), "run")
        self.results = SeedResults(self.folder.path, getattr(args, "tensorboard", False))
        self.replay = ReplayFiles(self.folder.path, row_width, replay_size)

    def check(self) -> None:
        """Raises `UsageError` if the folder cannot be used as the flags ask."""
        self.folder.check(self.args.resume, self.args.overwrite)

    def lock(self) -> None:
        """Takes the folder; errors as in `common.run_folder.RunFolder.lock`."""
        self.folder.lock(empty=not (self.args.resume or self.args.overwrite))

    def has_results(self) -> bool:
        """Whether eval.csv has more than the evaluation at step 0, which comes before the first checkpoint."""
        return self.results.eval.path.is_file() and len(self.results.eval.rows()) > 1

    def begin(self) -> None:
        """Starts the locked folder afresh."""
        self.folder.begin(self.flags)
        self.results.begin()

    def save(self, content: Content, parts: Iterable[np.ndarray]) -> None:
        """Writes a checkpoint of `content` (plain values and tensors), and the replay's new rows, parts (M, width)."""
        for part in parts:
            self.replay.append(part)
        files = {"replay": self.replay.snapshot(), "results": self.results.snapshot(), "flags": self.flags}
        self.folder.save(content | files)
        self.replay.prune()

    def verify(self, content: Content) -> Iterator[np.ndarray]:
        """Checks flags and files against a checkpoint's content; returns the rows of its replay, in parts (M, width).

        Nothing is changed.

        Raises:
            UsageError: a flag contradicts, or a file has been altered.
        """
        check_flags(content["flags"], self.flags)
        self.results.verify(content["results"])
        return self.replay.verify(content["replay"])

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Within `with`, a checkpoint of this seed whose content does not fit raises `UsageError`."""
        try:
            yield
        except (CheckpointError, *entries.UNFIT) as error:
            raise UsageError(
                f"--resume: {self.folder.path} was written by another version ({error!r}): start over with --overwrite"
            ) from error

    def rewind(self, content: Content) -> None:
        """Brings all files back to a checkpoint's content, which `verify` found whole."""
        self.folder.rewind(content["steps"])
        self.folder.write_flags(self.flags)
        self.results.rewind(content["results"], content["steps"])
        self.replay.rewind(content["replay"])

    def kept(self, steps: int) -> str:
        """What a run that breaks off leaves, and how it goes on; `steps`: those of the newest checkpoint, -1: there is none."""
        if steps < 0:
            return "there is no checkpoint yet: start over with --overwrite"
        return f"the checkpoint of step {steps}, {self.folder.newest}, is kept: go on with it by --resume"

    def close(self) -> None:
        """Flushes the results and gives the folder back."""
        self.results.close()
        self.folder.release()
