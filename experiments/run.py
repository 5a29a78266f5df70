"""Trains and publishes everything that published.toml names: dependencies first, then runs, then curves, figures, tables.

    python experiments/run.py --dry-run
    python experiments/run.py --status
    python experiments/run.py --only 'ReacherTurn-v2 * published'
    python experiments/run.py --address auto

Called again it goes on where it stopped, on any machine that sees the folder of results. Results that were made with other
flags than the manifest asks for are refused before anything runs. --only takes a pattern as the
shell does, and what the named tasks need is run too. A task that fails by itself is told, the others go on, and the exit
code is 1.
"""

import argparse
import fnmatch
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from runpy import run_path
from typing import Any

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

from common.cli import Parser, folder_path, fraction, positive_int, run
from common.errors import NOT_WRITTEN_CODE, UsageError
from common.machine import usable_cores
from common.paths import REPOSITORY, RESULTS
from experiments.engine import carry_out
from experiments.manifest import read
from experiments.task import Task
from experiments.tasks import check_results, lacking, needed, tasks_of, undone

MANIFEST = Path(__file__).with_name("published.toml")
SPEEDS = REPOSITORY / "benchmarks" / "speeds.toml"


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the flags of this script."""
    parser = Parser(__doc__)
    parser.add_argument("--manifest", default=str(MANIFEST), help="what to train and publish")
    parser.add_argument("--only", default="*", help="pattern of the tasks to run, with what they need")
    parser.add_argument("--dry_run", action="store_true", help="print what would run, and run nothing")
    parser.add_argument(
        "--status", action="store_true", help="print what is not done and how far it is, and run nothing"
    )
    parser.add_argument("--cores", type=positive_int, default=usable_cores(), help="tasks at once on this machine")
    parser.add_argument("--gpus", type=fraction, default=0.0, help="share of a GPU that a task takes; 0: none")
    parser.add_argument("--address", default=None, help="a Ray cluster that exists; without it: this machine")
    parser.add_argument(
        "--results_dir", type=folder_path, default=str(RESULTS), help="folder that results are written to"
    )
    return parser.parse_args(argv)


def chosen(args: argparse.Namespace) -> list[Task]:
    """The tasks that the flags ask for and what these need, in order; raises `UsageError` for a bad manifest or pattern."""
    speeds = tomllib.loads(SPEEDS.read_text())["speeds"] if SPEEDS.is_file() else {}  # a package comes without
    tasks = tasks_of(read(args.manifest), args.results_dir, speeds)
    wanted = [task for task in tasks if fnmatch.fnmatchcase(task.name, args.only)]
    if not wanted:
        raise UsageError(f"--only {args.only}: no task has such a name: --dry-run lists them")
    return needed(tasks, wanted)


def main() -> None:
    args = parse()
    tasks = chosen(args)
    check_results(tasks)
    left = undone(tasks)
    hours = sum(task.hours * (1 - task.progress() / task.steps if task.steps else 1) for task in left)
    unknown = sum(not task.hours and bool(task.steps) for task in left)
    more = f", and {unknown} tasks of methods whose speed is not in {SPEEDS.name}" if unknown else ""
    print(f"{len(left)} of {len(tasks)} tasks to do, about {hours:.1f} core-hours{more}")
    if args.status:
        print("\n".join(lacking(tasks)))
        return
    if args.dry_run:
        for task in left:
            print(f"{task.name}: {shlex.join(['python', *task.command])}")
        return
    logs = Path(args.results_dir).absolute() / "logs"
    where: dict[str, Any] = {"address": args.address, "cores": args.cores, "gpus": args.gpus}
    outcomes = carry_out(tasks, **where, logs=logs, tell=lambda line: print(line, flush=True))
    failed = sorted(name for name, outcome in outcomes.items() if outcome.code)
    published = [name for name, outcome in outcomes.items() if outcome.code == 0 and _is_shown(name)]
    if published and args.manifest == str(MANIFEST) and Path(args.results_dir).resolve() == RESULTS:
        for script in ("figures.py results", "report.py"):
            done = subprocess.run([sys.executable, *f"analysis/{script}".split()], cwd=REPOSITORY, check=False)
            failed += [f"analysis/{script}"] if done.returncode else []
    if failed:
        print(f"{len(failed)} failed: {', '.join(failed)}")
        sys.exit(NOT_WRITTEN_CODE)


def _is_shown(name: str) -> bool:
    return name.endswith((" published", " final policies")) or name.startswith(("ablation ", "table ", "probe "))


if __name__ == "__main__":
    run(main)
