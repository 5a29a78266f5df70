"""A script to be run: what it makes, of what, and whether that is done."""

import contextlib
import hashlib
import os
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.finished_seeds import last_evaluation
from analysis.tables import read_csv
from common import checkpoint, entries
from common.checkpoint import CheckpointError
from common.cli import LARGEST_WHOLE
from common.errors import UsageError
from common.files import read_entries
from common.run_flags import first_difference
from common.run_folder import RunFolder
from rl.results import EVAL_COLUMNS

WITHOUT_EFFECT = {"name", "threads"}  # flags that a training may differ in, beside those that `--resume` may change


@dataclass(frozen=True)
class Task:
    """A script to be run.

    Attributes:
        name: what it makes, in words; `--only` is matched against it.
        command: the script, relative to the repository, and its arguments.
        after: the names of the tasks that must be done before.
        folder: what it writes into, which other processes must have left.
        target: a file that is there when it has been done: one of its script's, or a mark that tells the command, and what
            was made of what.
        steps: environment steps that it takes; 0: it takes none.
        hours: core-hours that it is expected to take.
        flags: of a training, all flags of its script, defaults included, as opt.json notes them.
        needs_folder: whether its script asks for a folder that is there.
        product: what its script makes, if its target is a mark; None: the target.
        made_of: the files that the product is made of.
        policies_of: the steps that the policies which it plays or publishes were trained for; 0: it takes none.
    """

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...]
    folder: Path
    target: Path
    steps: int = 0
    hours: float = 0.0
    flags: Mapping[str, Any] = field(default_factory=dict, hash=False)
    needs_folder: bool = False
    product: Path | None = None
    made_of: tuple[Path, ...] = ()
    policies_of: int = 0

    def prepare(self) -> None:
        """Makes the folder if its script asks for one; where it cannot be made, the script says so. A table of its own that lost
        the text beside it is taken away: the script would not replace it. What others wrote stays."""
        with contextlib.suppress(OSError):
            if self.needs_folder:
                self.folder.mkdir(parents=True, exist_ok=True)
            if self.product and self.product.is_file() and not os.path.lexists(_text(self.product)):
                mark = self.target.read_text(errors="replace")
                if f"\n{_digest([self.product])} and " in mark:
                    self.product.unlink()

    def conclude(self) -> None:
        """Leaves the mark of a task whose script has ended well; `OSError`: it cannot, or what the script writes is not there."""
        made = self.product or self.target
        if not made.exists():
            raise FileNotFoundError(f"the script ended well, but {made} is not there")
        if self.product:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self.target.write_text(self._mark)

    def difference(self) -> tuple[str, str] | None:
        """The first flag that differs from those that results in its folder were made with, as it is here and there."""
        folder = RunFolder(self.folder, "run")
        if not any(path.is_file() for path in (self.target, folder.newest, folder.older)):
            return None  # nothing that a script would go on with
        try:
            noted = read_entries(self.folder / "opt.json")
        except (OSError, ValueError):
            return None  # it cannot contradict
        asked = {flag: value for flag, value in self.flags.items() if flag not in WITHOUT_EFFECT and value != "auto"}
        return first_difference(noted, asked)

    def trained_longer(self) -> tuple[Path, int] | None:
        """The first folder of a policy that has more steps than it is to be of, and was to have them, and its steps."""
        unknown = OSError, ValueError, KeyError, TypeError, CheckpointError  # its script tells what is wrong
        for folder in [path.parent for path in self.made_of] if self.policies_of else []:
            with contextlib.suppress(*unknown):
                planned = read_entries(folder / "opt.json")["max_timesteps"]
                steps = entries.whole(checkpoint.load(folder / "checkpoint.pt", "run"), "steps", 0, LARGEST_WHOLE)
                if min(planned, steps) > self.policies_of:
                    return folder, steps
        return None

    def progress(self) -> int:
        """How many of its steps are done."""
        if not self.steps or not (self.folder / "eval.csv").is_file():
            return 0
        curve = read_csv(self.folder / "eval.csv", EVAL_COLUMNS, growing=True)
        return min(self.steps, int(curve.steps.max())) if len(curve) else 0

    def is_done(self) -> bool:
        """Whether there is nothing left to do; of a training in steps: whether its last evaluation and its newest checkpoint
        are there. A run may end behind its last evaluation, and its checkpoints may fall behind that."""
        if self.product:
            with contextlib.suppress(OSError):  # of a file that has just been taken away
                if self.product.exists() and self.target.is_file():
                    return self.target.read_text(errors="replace") in (self._mark, *self._earlier_marks())
            return False
        if not self.steps:
            return self.target.is_file()
        try:
            flags = read_entries(self.folder / "opt.json") | {"max_timesteps": self.steps}
            if self.progress() < min(self.steps, last_evaluation(flags)):
                return False
            content = checkpoint.load(self.target, "run")
            return entries.whole(content, "steps", 0, LARGEST_WHOLE) >= self.steps
        except (OSError, ValueError, KeyError, TypeError, UsageError, CheckpointError):
            return False

    @property
    def _mark(self) -> str:
        """The command, files told by their names alone: other machines may have the folder of results elsewhere. Then
        digests of the product, of the text beside it, and of what it was made of."""
        assert self.product is not None
        made = sorted(self.product.rglob("*")) if self.product.is_dir() else [self.product]
        command = shlex.join([word.rpartition("/")[2] or word for word in self.command])
        return f"{command}\n{_digest(made)} and {_digest([_text(self.product)])} made of {_digest(self.made_of)}\n"

    def _earlier_marks(self) -> Iterator[str]:
        """What earlier versions would have noted: the command alone, and the product's digest together with its text's."""
        assert self.product is not None
        command = self._mark.splitlines(keepends=True)[0]
        made = sorted(self.product.rglob("*")) if self.product.is_dir() else [self.product, _text(self.product)]
        yield command
        yield f"{command}{_digest(made)} made of {_digest(self.made_of)}\n"

    def state(self, done: Collection[str]) -> str:
        """How far it is, in words, if it is not done; `done`: the names of the tasks that are."""
        folder = RunFolder(self.folder, "run")
        steps = f"{self.progress():,} of {self.steps:,} steps" if self.steps else ""
        if folder.in_use():
            return f"running, {steps}" if steps else "running"
        if folder.failure:
            return f"failed: {folder.failure}"
        if missing := set(self.after) - set(done):
            return f"needs {min(missing)}" + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        return steps if self.progress() else "not begun"


def _text(table: Path) -> Path:
    """The text beside a table."""
    return table.with_suffix(".txt")


def _digest(files: Iterable[Path]) -> str:
    """A checksum of files, those left out that are not there."""
    sha = hashlib.sha256()
    for path in (path for path in files if path.is_file()):
        sha.update(hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest()[:16]
