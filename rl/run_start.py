"""How a run of several seeds begins: one process at a time, and with the flags of the seeds that are there."""

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from common import checkpoint, entries
from common.checkpoint import CheckpointError
from common.errors import UsageError
from common.files import open_for_lock, read_entries
from common.folders import make_folder, remove_empty
from common.paths import folders_of_seeds
from common.run_flags import first_difference
from rl.methods import of_all_seeds
from rl.policies import newest_checkpoint

STARTING = ".starting"


@contextlib.contextmanager
def one_at_a_time(run: Path) -> Iterator[None]:
    """Within `with`, this process alone takes seeds of a run and notes their flags; others wait for its end.

    Nothing but what is written within is left of it.

    Args:
        run: the run's folder; it need not exist.
    Raises:
        UsageError: it cannot be written.
    """
    made: list[Path] = []
    file = None
    try:
        while file is None:
            made += make_folder(run)
            file = _take(run / STARTING)
    except OSError as error:
        remove_empty(made)
        raise UsageError(f"--results_dir: {run} cannot be written ({error.strerror}): choose another") from error
    try:
        yield
    finally:
        (run / STARTING).unlink(missing_ok=True)
        remove_empty(made)
        file.close()


def _take(path: Path) -> BinaryIO | None:
    """Waits for the lock of a file; None if the file was taken away meanwhile."""
    try:
        file = open_for_lock(path)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:  # nobody can lock it there
        path.unlink(missing_ok=True)
        raise
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            return file
    file.close()
    return None


def check_siblings(run: Path, ours: Iterable[Path], flags: dict[str, Any], resumed: bool) -> None:
    """Raises `UsageError` if other seeds of a run were trained, or are being trained, with other flags.

    Args:
        run: the run's folder, results/rl/<env>/<method>/<name>.
        ours: the folders of the seeds that are to begin, or to go on.
        flags: theirs, of any one of them.
        resumed: whether all of them go on; then what all seeds of a method must share has been compared as they began.
    """
    compared = set() if resumed else of_all_seeds(run.parent.name)
    for folder in sorted(set(folders_of_seeds(run)) - set(ours)):
        if differing := first_difference(flags_of(folder) | {"seed": flags["seed"]}, flags, compared):
            raise UsageError(
                f"{differing[0]}: {folder.name} of the run {run} has {differing[1]}: give that, or choose another --name"
            )


def flags_of(folder: Path) -> dict[str, Any]:
    """The flags in the newest checkpoint of a seed's folder; where there is none, in its opt.json; {}: they cannot be read."""
    if newest := newest_checkpoint(folder):
        with contextlib.suppress(CheckpointError):
            return entries.table(checkpoint.load(newest, "run"), "flags")
    with contextlib.suppress(OSError, ValueError):
        return read_entries(folder / "opt.json")
    return {}
