"""What a run of several seeds keeps on the disk: a `SeedStore` each, and the checkpoint that they have in common."""

import argparse
import contextlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from common import checkpoint, entries
from common.checkpoint import CheckpointError, digest
from common.environment_identity import PROBED_STEPS
from common.errors import UsageError
from common.paths import check_own_folder, folders_of_seeds
from common.progress import tell
from common.run_flags import check_flags
from rl.fingerprint import Fingerprint
from rl.policies import newest_checkpoint
from rl.protocols import ActionSpace, Content, StateSpace
from rl.run_start import check_siblings, one_at_a_time
from rl.seed_store import SeedStore


class RunStore:
    """The folders of a run's N seeds.

    Args:
        folder: the run's, results/rl/<env>/<method>/<name>.
        seeds: the N seeds.
        row_width: floats a row of replay.
        args: the script's flags.
        replay_size: how many of the newest rows a seed's replay keeps.
    """

    def __init__(
        self, folder: Path, seeds: Sequence[int], row_width: int, args: argparse.Namespace, replay_size: int
    ) -> None:
        self.folder, self.seeds, self.args = folder, seeds, args
        self.stores = [SeedStore(folder, seed, row_width, args, replay_size) for seed in seeds]

    def __getitem__(self, n: int) -> SeedStore:
        """The `SeedStore` of seed index `n`."""
        return self.stores[n]

    def check(self) -> None:
        """Raises `UsageError` if a folder cannot be used as the flags ask."""
        check_own_folder(self.folder.parents[1], self.args.env_name)
        if not (self.args.resume or self.args.overwrite) and (new := self._new()):
            raise UsageError(
                f"--num_seeds {len(self.seeds)}: the run {self.folder} has some of these seeds already: {new}, or "
                "replace all of them by --overwrite"
            )
        for store in self.stores:
            store.check()
        self._check_siblings()

    def _new(self) -> str:
        """How to begin those of the seeds that have not begun, in words, if some have and some have not; else nothing."""
        new = [seed for seed, store in zip(self.seeds, self.stores, strict=True) if store.folder.is_empty()]
        if not 0 < len(new) < len(self.seeds):
            return ""
        count = next(count for count in range(1, len(new) + 1) if new[0] + count not in new)
        return f"begin the first new ones with --seed {new[0]} --num_seeds {count}"

    def _check_siblings(self) -> None:
        ours = [store.folder.path for store in self.stores]
        go_on = self.args.resume and all(map(newest_checkpoint, ours))  # with --resume a seed may begin, too
        check_siblings(self.folder, ours, self.stores[0].flags, go_on)

    def start_alone(self) -> contextlib.AbstractContextManager[None]:
        """Within `with`, no other process begins or resumes seeds of this run (`rl.run_start.one_at_a_time`)."""
        return one_at_a_time(self.folder)

    def lock(self) -> None:
        """Takes all folders, within `start_alone`.

        Raises:
            UsageError: as in `common.run_folder.RunFolder.lock`; or other seeds of the run have begun with other flags since
                `check`.
        """
        for store in self.stores:
            store.lock()
        self._check_siblings()

    def check_joined(self, states: StateSpace, actions: ActionSpace, fingerprint: Fingerprint) -> None:
        """Raises `UsageError` if other seeds of the run, by their checkpoints, have other spaces; tells it if they were trained on
        another environment, as a processor that rounds otherwise makes it.

        Args:
            states, actions: the spaces of the seeds that begin.
            fingerprint: of their environment.
        """
        ours = {store.folder.path for store in self.stores}
        for path in folders_of_seeds(self.folder):
            newest = None if path in ours else newest_checkpoint(path)
            if newest is None:
                continue
            try:
                content = checkpoint.load(newest, "run")
            except CheckpointError:
                continue  # it cannot contradict
            told = f"--name {self.args.name}: {path.name} of the run {self.folder}"
            if space := _other_space(content, states, actions):
                raise UsageError(
                    f"{told} began with another space than {space.description} is now: it was trained anew, or the "
                    "environment has changed: choose another --name"
                )
            if not fingerprint.is_of(content):
                tell(
                    f"{told} was trained where the environment, its code, its arguments or its first {PROBED_STEPS} steps were "
                    "others: if more than rounding has changed, stop and choose another --name"
                )
                return

    def release(self) -> None:
        """Gives all folders back."""
        for store in self.stores:
            store.folder.release()

    def failures(self) -> dict[int, str]:
        """{seed index: why it was given up} of the seeds that were."""
        reasons = {n: store.folder.failure for n, store in enumerate(self.stores)}
        return {n: reason for n, reason in reasons.items() if reason}

    def newest(self, indices: Iterable[int], states: StateSpace, actions: ActionSpace) -> list[Content] | None:
        """The contents of the newest checkpoint that the seeds of these indices have in common; None if there is none.

        Args:
            states, actions: the spaces that the flags ask for; they must be those of the checkpoints.
        Raises:
            UsageError: some have one that others lack, or more steps than there will be, or a space differs.
        """
        stores = [self.stores[n] for n in indices]
        found = [{content["steps"]: content for content in _contents(store)} for store in stores]
        common = set.intersection(*map(set, found)) if found else set()
        if not common:
            # Killed while the first checkpoints were written, or never begun: nothing is lost by starting over.
            if all(len(contents) == 0 or set(contents) == {0} for contents in found):
                for store, contents in zip(stores, found, strict=True):
                    if not contents and store.has_results():
                        store.folder.refuse_to_start_over()
                return None
            if new := self._new():
                raise UsageError(f"--resume: some of these seeds of {self.folder} have not begun: {new}")
            lacking = next((s for s, c in zip(stores, found, strict=True) if not c), stores[0])
            raise UsageError(
                f"--resume: {lacking.folder.path} has no checkpoint of the same step as the other seeds: resume the seeds "
                "one by one with --seed and --num_seeds 1, or start over with --overwrite"
            )
        newest = [checkpoints[max(common)] for checkpoints in found]
        self._check_further(stores, [max(checkpoints) for checkpoints in found], max(common))
        for content, store in zip(newest, stores, strict=True):
            check_flags(content["flags"], store.flags)
            _check_spaces(content, states, actions, stores[0].folder.path)
        return newest

    def _check_further(self, stores: Sequence[SeedStore], steps: Sequence[int], common: int) -> None:
        """Tells which seeds go back to the step that all have in common, and take the steps behind it again, in whole blocks.

        Args:
            steps: of the newest checkpoint of each.
            common: the newest step that all have.
        Raises:
            UsageError: one would have fewer in the end.
        """
        block = getattr(self.args, "update_every", 1)
        end = common + math.ceil((self.args.max_timesteps - common) / block) * block
        if end <= common:  # nothing is left to do, and nothing is written
            return
        for store, own in zip(stores, steps, strict=True):
            if own > end:
                raise UsageError(
                    f"--max_timesteps {self.args.max_timesteps}: {store.folder.path} has {own} steps, the other seeds {common}: "
                    f"give at least {own}, or resume the others without it"
                )
            if own > common:
                tell(f"{store.folder.path} goes back from {own} steps to the {common} that all seeds have")

    def close(self) -> None:
        """Flushes all results and gives the folders back."""
        for store in self.stores:
            store.close()


def _contents(store: SeedStore) -> list[Content]:
    """The contents of a seed's checkpoints; raises `UsageError` if one is of no run."""
    contents = store.folder.checkpoints()
    try:
        for content in contents:
            entries.whole(content, "steps", 0, 2**53)
            entries.table(content, "flags")
    except CheckpointError as error:
        raise UsageError(f"--resume: {store.folder.path}: {error}: start over with --overwrite") from error
    return contents


def _check_spaces(content: Content, states: StateSpace, actions: ActionSpace, path: Path) -> None:
    """Raises `UsageError` unless these are the spaces of a checkpoint's content."""
    if not {"states", "actions"} <= content.keys():
        raise UsageError(f"--resume: {path} was written by another version: start over with --overwrite")
    if space := _other_space(content, states, actions):
        use = "act in" if space is actions else "see"
        raise UsageError(
            f"--resume: what the policy is to {use} ({space.description}) is not what this run began with, though the flags "
            "are: the environment's bounds or observations have changed, or a decoder or an encoder was trained anew: put back "
            "what it was, or start over with --overwrite"
        )


def _other_space(content: Content, states: StateSpace, actions: ActionSpace) -> StateSpace | ActionSpace | None:
    """The first of these spaces that is not that of a checkpoint's content; None if both are."""
    spaces: dict[str, StateSpace | ActionSpace] = {"states": states, "actions": actions}
    return next((space for name, space in spaces.items() if digest(content.get(name)) != digest(space.content())), None)
