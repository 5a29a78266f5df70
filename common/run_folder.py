"""The folder of one run: its lock, its flags, its CSV files and its two newest checkpoints.

What a run writes is kept so that it may stop at any moment and go on from its newest checkpoint as if it had not:
checkpoints replace each other atomically, one older is kept, and what was written to CSV files after a checkpoint is
cut off when it is resumed.
"""

import fcntl
import json
import os
import platform
import shlex
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from common import checkpoint
from common.errors import UsageError, one_line
from common.files import open_for_lock, open_to_read, read_entries, write_atomically
from common.folders import make_folder, remove_empty
from common.run_files import FAILURE, WRITTEN, WRITTEN_BELOW, delete, matching
from common.run_flags import check_flags

LOCK = ".lock"


class RunFolder:
    """A folder that one process at a time may write to.

    Args:
        path: the folder; it need not exist.
        kind: what its checkpoints are called (`common.checkpoint`).
    Attributes:
        resolved: what `opt.json` tells beside the flags: what these have come to.
    """

    def __init__(self, path: str | Path, kind: str) -> None:
        self.path, self.kind = Path(path), kind
        self.newest, self.older = self.path / "checkpoint.pt", self.path / "checkpoint.previous.pt"
        self._lock: BinaryIO | None = None
        self._made: list[Path] = []  # folders that were made for it
        self.resolved: dict[str, Any] = {}

    # ---- before anything is written ----

    def check(self, resume: bool, overwrite: bool) -> None:
        """Raises `UsageError` if the folder exists and is not to be used, is in use, or could not be written."""
        try:
            self._check(resume, overwrite)
        except OSError as error:
            raise UsageError(
                f"--results_dir: {self.path} cannot be a folder ({error.strerror}): choose another"
            ) from error

    def _check(self, resume: bool, overwrite: bool) -> None:
        if not (resume or overwrite):
            self._check_empty()
        if not resume or not (self.newest.exists() or self.older.exists()):
            self._check_links()
        self._check_places()
        parent = self.path
        while not parent.exists() and not parent.is_symlink():
            parent = parent.parent
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise UsageError(f"--results_dir: {parent} is not a folder that can be written: choose another")
        if self.in_use():
            raise UsageError(
                f"--name: another process is writing to {self.path}: wait for it, or choose another --name"
            )

    def in_use(self) -> bool:
        """Whether a living process holds the folder's lock."""
        try:
            with open_to_read(self.path / LOCK) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def is_empty(self) -> bool:
        """Whether nothing is in the folder, or it is not there."""
        return not self.path.is_dir() or all(entry.name == LOCK for entry in self.path.iterdir())

    def _check_empty(self) -> None:
        if not self.is_empty():
            raise UsageError(
                f"--name: the run {self.path} exists: go on with it by --resume, replace it by --overwrite, or choose another "
                "--name"
            )

    def _check_links(self) -> None:
        """Raises `UsageError` if the folder, or one above it up to the environment's, is a link: `begin` would delete there."""
        levels = 4 if self.kind == "run" else 2  # rl/<env>/<method>/<name>/<seed>, <env>/<name>
        for path in [self.path, *self.path.parents][:levels]:
            if path.is_symlink():
                raise UsageError(
                    f"--name: {path} is a link, and a run replaces nothing through one: remove the link, or choose another "
                    "--name or --results_dir"
                )

    def _check_places(self) -> None:
        """Raises `UsageError` if a folder or a pipe lies where a file is to be written, or a file where a folder is."""
        files = [self.newest, self.older, self.path / LOCK, *matching(self.path, WRITTEN)]
        folders = [self.path / name for name in WRITTEN_BELOW]
        for folder, patterns in zip(folders, WRITTEN_BELOW.values(), strict=True):
            files += matching(folder, patterns) if not folder.is_symlink() else []
        wrong = [(path, "file") for path in files if path.exists() and not (path.is_file() or path.is_symlink())]
        wrong += [(path, "folder") for path in folders if os.path.lexists(path) and not path.is_dir()]
        for path, kind in wrong:
            raise UsageError(
                f"--name: {path} is no {kind}, and a run writes one there: move it, or choose another --name"
            )

    # ---- opening ----

    def lock(self, empty: bool = False) -> None:
        """Makes the folder and takes its lock, which ends with this process.

        Args:
            empty: whether the folder must hold nothing.
        Raises:
            UsageError: it cannot be written, another process has it, or it is not empty.
        """
        try:
            for patience in (0.1, 0.1, 0.1, 0):  # somebody may be looking whether it is in use
                self._made += make_folder(self.path)
                file = open_for_lock(self.path / LOCK)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if os.path.samestat(os.fstat(file.fileno()), os.stat(self.path / LOCK)):
                        self._lock = file
                        break
                except (BlockingIOError, FileNotFoundError):
                    if not patience:
                        raise
                file.close()  # in use, or taken away by `release` meanwhile
                time.sleep(patience)
            else:
                raise BlockingIOError
        except BlockingIOError as error:
            raise UsageError(f"--name: another process is writing to {self.path}: choose another --name") from error
        except OSError as error:
            reason = error.strerror
            raise UsageError(f"--results_dir: {self.path} cannot be written ({reason}): choose another") from error
        if empty:
            self._check_empty()  # another process may have come and gone since `check`

    def begin(self, flags: dict[str, Any]) -> None:
        """Deletes what runs wrote to the locked folder, its checkpoints first, and writes `opt.json`.

        What runs do not write stays, and so does what links point to.
        """
        for path in (self.newest, self.older):
            path.unlink(missing_ok=True)
        delete(self.path, WRITTEN)
        for name, patterns in WRITTEN_BELOW.items():
            folder = self.path / name
            if folder.is_symlink():
                folder.unlink()
            elif folder.is_dir():
                delete(folder, patterns)
                remove_empty([folder])
        self.write_flags(flags)

    def write_flags(self, flags: dict[str, Any]) -> None:
        """Writes `opt.json`: the flags, and what they have come to with which versions, for people."""
        resolved = {**self.resolved, "versions": checkpoint.versions() | _own_versions()}
        text = json.dumps({**flags, "resolved": resolved}, indent=2, sort_keys=True) + "\n"
        write_atomically(self.path / "opt.json", lambda file: file.write(text.encode()))

    def release(self) -> None:
        """Gives the lock back; of a folder that was made for it and holds nothing else nothing is left."""
        if self._lock is None:
            return
        if [entry.name for entry in self.path.iterdir()] == [LOCK]:
            (self.path / LOCK).unlink()
            remove_empty(self._made)
        self._lock.close()
        self._lock = None

    # ---- checkpoints ----

    def save(self, content: dict[str, Any]) -> None:
        """Makes `content` the newest checkpoint; the one that was becomes the older."""
        written = self.path / ".checkpoint.new"
        try:
            checkpoint.save(written, self.kind, content)
            if self.newest.exists():
                os.replace(self.newest, self.older)
            os.replace(written, self.newest)
        finally:
            written.unlink(missing_ok=True)

    def checkpoints(self) -> list[dict[str, Any]]:
        """The contents of the checkpoints that verify, the newest first.

        Raises:
            UsageError: there are some, and none of them verifies.
        """
        bodies, errors = [], []
        for path in (self.newest, self.older):
            if path.exists():
                try:
                    bodies.append(checkpoint.read(path, self.kind))
                except checkpoint.CheckpointError as error:
                    errors.append(error)
        if errors and not bodies:
            raise UsageError(f"--resume: {errors[0]}, and no older checkpoint is whole: start over with --overwrite")
        for damage in errors:
            print(f"{damage}; the other checkpoint is used")
        if bodies and bodies[0]["versions"] != checkpoint.versions():
            then, now = ({*body.items()} for body in (bodies[0]["versions"], checkpoint.versions()))
            before = ", ".join(f"{library} {version}" for library, version in sorted(then - now))
            print(f"{self.path} was written with {before}: numbers may differ from here on")
        return [body["content"] for body in bodies]

    def rewind(self, steps: int) -> None:
        """Promotes the checkpoint taken at `steps`, one of `checkpoints()`, to newest and drops a newer one."""
        try:
            newest = checkpoint.load(self.newest, self.kind).get("steps") if self.newest.exists() else None
        except checkpoint.CheckpointError:
            newest = None
        if newest != steps:
            os.replace(self.older, self.newest)

    def drop_damaged(self) -> None:
        """Puts the older checkpoint in the place of a newest one that is damaged: the next save would drop the older one."""
        try:
            checkpoint.read(self.newest, self.kind)
        except checkpoint.CheckpointError:
            if self.older.exists():
                os.replace(self.older, self.newest)

    def check_resume(self, flags: dict[str, Any], result: str) -> dict[str, Any] | None:
        """The content of the newest checkpoint, if there is one.

        Raises:
            UsageError: flags contradict it, or a file `result` is there without any.
        """
        contents = self.checkpoints()
        if contents:
            saved = contents[0].get("flags")
            if not isinstance(saved, dict):
                raise UsageError(f"--resume: {self.path} notes no flags: start over with --overwrite")
            check_flags(saved, flags)
            return contents[0]
        if (self.path / result).exists():
            self.refuse_to_start_over()
        return None

    def refuse_to_start_over(self) -> NoReturn:
        """Raises the `UsageError` of a folder that has results and nothing to resume."""
        raise UsageError(
            f"--resume: {self.path} holds results, but no checkpoint to go on from: choose another --name, or start over "
            "with --overwrite"
        )

    # ---- failure ----

    @property
    def failure(self) -> str | None:
        """Why the run was given up, or None."""
        path = self.path / FAILURE
        if not path.is_file():
            return None
        try:
            return str(read_entries(path)["reason"])
        except (OSError, ValueError, KeyError, TypeError):
            return f"{FAILURE} cannot be read"

    def fail(self, reason: object) -> None:
        """Notes that the run was given up, and why; its checkpoints stay."""
        text = json.dumps({"reason": one_line(reason)}, indent=2) + "\n"
        write_atomically(self.path / FAILURE, lambda file: file.write(text.encode()))

    def after_failure(self) -> str:
        """What a run that was given up leaves, and the way out, in words."""
        if self.newest.exists() or self.older.exists():
            return f"the last good checkpoint is kept: to try again from it, delete {FAILURE} beside it and --resume"
        return "there is no checkpoint yet: once that is mended, start over with --overwrite"


def _own_versions() -> dict[str, str]:
    """Those of Python and of this project."""
    try:
        dyne = version("dyne")
    except PackageNotFoundError:
        dyne = "not installed"
    return {"python": platform.python_version(), "dyne": dyne}


def resume_command() -> str:
    """The command that continues this run."""
    words = [word for word in sys.argv if word not in ("--overwrite", "--resume")]
    return shlex.join([sys.executable, *words, "--resume"])
