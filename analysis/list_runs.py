"""Lists all runs in a results folder: embeddings and policies, which are running, finished, failed or can be resumed.

    python analysis/list_runs.py
    python analysis/list_runs.py results/demo
    python analysis/list_runs.py --published

State and steps are those of the newest whole checkpoint of each seed; the last return is the mean over seeds of the
last evaluation, the size is that of all files.

running: a living process holds the folder. finished: it reached its --max_timesteps, or its last epoch. failed: it was
given up (something was not finite), or none of its checkpoints is whole. resumable: all else, go on with --resume.

--published shows what experiments/published.toml still lacks there, as experiments/run.py --status does.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from runpy import run_path
from typing import Any

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import numpy as np
import pandas as pd

from common import checkpoint
from common.cli import Parser, run
from common.entries import UNFIT
from common.errors import UsageError, one_line
from common.files import open_to_read, read_entries
from common.paths import REPOSITORY, RESULTS, is_seed_folder
from common.run_folder import LOCK, RunFolder

LAST_LINES = 2**16  # bytes of the end of a table that the last of its lines are looked for in
WHOLE = "decoder.pt"  # what is written at the end of an embedding
COLUMNS = ["run", "seeds", "state", "progress", "last return", "MB"]


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("results", nargs="?", default=str(RESULTS), help="folder runs were written to")
    parser.add_argument("--published", action="store_true", help="also show what is to be published and is not done")
    args = parser.parse_args()
    results = Path(args.results).absolute()  # the folder of one seed, too: its name tells what it is
    try:
        folders = find_runs(results)
        above = results.parent if is_seed_folder(results) else results
        table = pd.DataFrame([describe(folder, above) for folder in folders])
    except OSError as error:
        raise UsageError(f"{results}: it cannot be read ({error.strerror}): name a folder of results") from error
    if table.empty:
        print(f"there are no runs in {args.results}")
    else:
        print(join_seeds(table).map(one_line).to_string(index=False))  # names and failures may hold anything
    if args.published:
        command = [
            sys.executable,
            str(REPOSITORY / "experiments" / "run.py"),
            "--status",
            "--results_dir",
            str(results),
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        print("\n" + done.stdout, end="")
        print(done.stderr, end="", file=sys.stderr)
        sys.exit(done.returncode)


def find_runs(results: Path) -> list[Path]:
    """The folders below `results`, sorted, that embeddings and seeds of policies were written to; no copies of seeds by other names.

    Raises:
        UsageError: there is no folder `results`.
    """
    if not results.is_dir():
        raise UsageError(f"{results}: there is no such folder: name one that runs were written to, their --results_dir")
    # Roots grow: what a link leads to comes behind what lies there itself, and only if it is none of that.
    folders, seen, roots = [], set(), [results]
    for root in roots:
        for path, below, files in os.walk(root, onerror=_tell):
            real, is_run = os.path.realpath(path), LOCK in files or "opt.json" in files
            misnamed = is_run and is_seed_folder(Path(path)) != is_seed_folder(Path(real))  # by a link's own name
            # Of a seed: no embedding is called seed_<something>.
            is_copy = is_run and Path(path).name.startswith("seed_") and not is_seed_folder(Path(path))
            if real in seen or misnamed or is_copy:
                below.clear()
                continue
            seen.add(real)
            roots += [Path(path, name) for name in below if os.path.islink(os.path.join(path, name))]
            if is_run:
                folders.append(Path(path))
    return sorted(folders, key=lambda folder: (folder.parent, len(folder.name), folder.name))


def _tell(error: OSError) -> None:
    """Raises what a folder cannot be read for, unless it is another user's or has just vanished."""
    if not isinstance(error, PermissionError | FileNotFoundError):
        raise error


def describe(folder: Path, results: Path) -> dict[str, str | float]:
    """A row of the table for the folder of one embedding or seed: dict of `COLUMNS`, `seeds` a number or None."""
    is_policy = is_seed_folder(folder)
    run_folder = RunFolder(folder, "run" if is_policy else "embedding run")
    content, whole = newest(run_folder)
    failure = run_folder.failure or (None if whole else "no checkpoint is whole")
    try:
        is_over, progress = progress_of(content, folder, is_policy)
    except UNFIT:
        is_over, progress = False, "unknown: written by another version"
    state = "resumable"
    if run_folder.in_use():
        state = "running"
    elif failure:
        state = f"failed: {failure}"
    elif is_over:
        state = "finished"
    values = (
        str((folder.parent if is_policy else folder).relative_to(results)),
        folder.name.removeprefix("seed_") if is_policy else "",
        state,
        progress,
        last_return(folder / "eval.csv"),
        size_of(folder) / 1e6,
    )
    return dict(zip(COLUMNS, values, strict=True))


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def newest(run_folder: RunFolder) -> tuple[dict[str, Any] | None, bool]:
    """The content of the newest checkpoint that verifies, or None, and whether there is none that is damaged alone."""
    paths = [path for path in (run_folder.newest, run_folder.older) if path.exists()]
    for path in paths:
        try:
            return checkpoint.load(path, run_folder.kind), True
        except checkpoint.CheckpointError:
            continue
    return None, not paths


def noted_flags(folder: Path) -> dict[str, Any]:
    """The flags in a folder's opt.json; {} if it cannot be read."""
    try:
        return read_entries(folder / "opt.json")
    except (OSError, ValueError):
        return {}


def progress_of(content: dict[str, Any] | None, folder: Path, is_policy: bool) -> tuple[bool, str]:
    """Whether a run has reached its end, and how far it is, as text."""
    if content is None:
        complete = (folder / WHOLE).is_file()
        return complete, f"{WHOLE}, no checkpoint" if complete else "nothing yet"
    if is_policy:
        end = noted_flags(folder).get("max_timesteps") or content["flags"]["max_timesteps"]
        return content["steps"] >= end, f"{content['steps']:,} of {end:,} steps"
    part, parts = content["part"], content["parts"]
    if part == len(parts):
        return True, ", ".join(f"{name} {epochs} epochs" for name, epochs in parts)
    name, epochs = parts[part]
    return False, f"{name} {content['epoch']} of {epochs} epochs"


def last_return(path: Path) -> float:
    """The mean return in the last whole line of an eval.csv; NaN if there is none."""
    if not path.is_file():
        return np.nan
    with open_to_read(path) as file:
        file.seek(max(0, path.stat().st_size - LAST_LINES))
        text = file.read(LAST_LINES).decode(errors="replace")
    for line in reversed(text.splitlines(keepends=True)):
        fields = line.split(",")
        if line.endswith("\n") and len(fields) == 3:
            try:
                return float(fields[2])
            except ValueError:
                continue
    return np.nan


def join_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of one run whose seeds are in the same state become one: seeds listed, returns averaged, sizes added."""
    keys = ["run", "state", "progress"]
    joined = table.groupby(keys, sort=False, as_index=False).agg(
        {"seeds": " ".join, "last return": "mean", "MB": "sum"}
    )[COLUMNS]
    joined["last return"] = [f"{value:.1f}" if np.isfinite(value) else "" for value in joined["last return"]]
    joined["MB"] = [f"{value:.1f}" for value in joined["MB"]]
    return joined


if __name__ == "__main__":
    run(main)
