"""What one seed of a run keeps on the disk, and finding the point that a run of several seeds can go on from."""

import json

from common.checkpoint import digest
from common.errors import UsageError
from common.paths import seed_folder
from common.run_folder import RunFolder, check_flags, first_difference
from rl.replay_files import ReplayFiles
from rl.results import SeedResults


class SeedStore:
    """The folder of one seed: checkpoints, replay, curves.

    Args:
        run: the folder of the run, results/rl/<env>/<method>/<name>.
        seed: the seed.
        row_width: floats a row of replay.
        args: the script's flags.
    """

    def __init__(self, run, seed, row_width, args):
        self.seed, self.args = seed, args
        self.flags = {**vars(args), "seed": seed, "num_seeds": 1}
        self.folder = RunFolder(seed_folder(run, seed), "run")
        self.results = SeedResults(self.folder.path, args.tensorboard)
        self.replay = ReplayFiles(self.folder.path, row_width, args.replay_size)

    def check(self):
        """Raises `UsageError` if the folder cannot be used as the flags ask."""
        self.folder.check(self.args.resume, self.args.overwrite)

    def lock(self):
        """Takes the folder; errors as in `common.run_folder.RunFolder.lock`."""
        self.folder.lock(empty=not (self.args.resume or self.args.overwrite))

    def has_results(self):
        """Whether there are more evaluations than that before the first checkpoint."""
        return self.results.eval.path.is_file() and len(self.results.eval.rows()) > 1

    def begin(self):
        """Starts the locked folder afresh."""
        self.folder.begin(self.flags)
        self.results.begin()

    def save(self, content, parts):
        """Writes a checkpoint of `content` (plain values and tensors), and the replay's new rows, parts (M, width)."""
        for part in parts:
            self.replay.append(part)
        files = {"replay": self.replay.sync(), "results": self.results.sync(), "flags": self.flags}
        self.folder.save(content | files)

    def verify(self, content):
        """Checks flags and files against a checkpoint's content; returns the rows of its replay, in parts (M, width).

        Nothing is changed.

        Raises:
            UsageError: a flag contradicts, or a file has been altered.
        """
        check_flags(content["flags"], self.flags)
        self.results.check(content["results"])
        return self.replay.read(content["replay"])

    def go_back(self, content):
        """Brings all files back to a checkpoint's content, which `verify` found whole."""
        self.folder.roll_back(content["steps"])
        self.folder.write_flags(self.flags)
        self.results.restore(content["results"])
        self.replay.go_back(content["replay"])

    def close(self):
        """Flushes the results and gives the folder back."""
        self.results.close()
        self.folder.release()


def check_siblings(run, stores):
    """Raises `UsageError` if seeds of the folder `run` that are not among `stores` were trained with other flags."""
    flags, ours = stores[0].flags, {store.folder.path for store in stores}
    for path in sorted(run.glob("seed_*/opt.json")):
        if path.parent in ours:
            continue
        try:
            theirs = dict(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            continue  # it cannot contradict
        if differing := first_difference(theirs | {"seed": stores[0].seed}, flags):
            raise UsageError(
                f"{differing[0]}: {path.parent.name} of the run {run} has {differing[1]}: give that, or choose another "
                "--name"
            )


def find_common(stores, states, actions):
    """The contents, one for each of `stores`, of the newest checkpoint that all of them have; None if none has any.

    Args:
        states, actions: the spaces that the flags ask for; they must be those of the checkpoints.
    Raises:
        UsageError: some have one that others lack, or a space differs.
    """
    found = [{content["steps"]: content for content in store.folder.checkpoints()} for store in stores]
    common = set.intersection(*map(set, found)) if found else set()
    if not common:
        # Killed while the first checkpoints were written, or never begun: nothing is lost by starting over.
        if all(len(contents) == 0 or set(contents) == {0} for contents in found):
            for store, contents in zip(stores, found, strict=True):
                if not contents and store.has_results():
                    store.folder.refuse_to_start_over()
            return None
        lacking = next((s for s, c in zip(stores, found, strict=True) if not c), stores[0])
        raise UsageError(
            f"--resume: {lacking.folder.path} has no checkpoint of the same step as the other seeds: resume the seeds "
            "one by one with --seed and --num_seeds 1, or start over with --overwrite"
        )
    contents = [checkpoints[max(common)] for checkpoints in found]
    asked = {"states": (states, "see"), "actions": (actions, "act in")}
    if any(asked.keys() - content.keys() for content in contents):
        raise UsageError(
            f"--resume: {stores[0].folder.path} was written by another version: start over with --overwrite"
        )
    for name, (space, use) in asked.items():
        if any(digest(content[name]) != digest(space.content()) for content in contents):
            raise UsageError(
                f"--resume: what the policy is to {use} ({space.description}) is not what this run began with: name the "
                "same environment, encoder and decoder, or start over with --overwrite"
            )
    return contents
