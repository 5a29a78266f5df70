"""What a task costs in experiments/run.py beside its own script: dummy scripts through the scheduler, and started plainly.

    python benchmarks/scheduler.py
    python benchmarks/scheduler.py --tasks 100

The dummy script ends at once. Overhead is counted in time of one core, seconds times cores, a task; a share of the scheduler's
start and end is in it.
"""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

from measure import Report, add_report_flags, temporary_folder

from common.cli import Parser, positive_int, run
from common.errors import UsageError
from common.machine import usable_cores
from experiments.engine import carry_out
from experiments.task import Task

DUMMY = "benchmarks/dummy_task.py"


def parse():
    """The flags of this script."""
    parser = Parser(__doc__)
    parser.add_argument("--tasks", type=positive_int, default=1000, help="how many")
    parser.add_argument("--cores", type=positive_int, default=usable_cores(), help="tasks at once")
    add_report_flags(parser)
    return parser.parse_args()


def seconds_through_the_scheduler(tasks, cores, folder):
    """Seconds that the scheduler takes for tasks, with its own start and end."""
    start = time.perf_counter()
    outcomes = carry_out(tasks, address=None, cores=cores, gpus=0.0, logs=folder / "logs", tell=lambda line: None)
    if [outcome for outcome in outcomes.values() if outcome.code] or len(outcomes) < len(tasks):
        raise UsageError(f"{DUMMY}: a dummy task failed: {folder / 'logs'} says why")
    return time.perf_counter() - start


def seconds_started_plainly(count, cores):
    """Seconds that so many dummy scripts take, started as soon as a core is free."""
    script = str(Path(__file__).resolve().parent.parent / DUMMY)

    def once(_):
        subprocess.run([sys.executable, script], check=True, stdin=subprocess.DEVNULL)

    start = time.perf_counter()
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(once, range(count)))
    return time.perf_counter() - start


def main():
    args = parse()
    report = Report("Overhead of the scheduler", args.out)
    if find_spec("ray") is None:
        print("nothing is scheduled: Ray is not installed")
        report.write()
        return
    with temporary_folder(args.results_dir) as temporary:
        folder = Path(temporary)
        folders = [folder / f"task_{n}" for n in range(args.tasks)]
        tasks = [
            Task(f"dummy {n}", (DUMMY,), (), of_task, of_task / ".done", needs_folder=True, product=of_task)
            for n, of_task in enumerate(folders)
        ]
        plain = seconds_started_plainly(args.tasks, args.cores)
        whole = seconds_through_the_scheduler(tasks, args.cores, folder)
    a_task = 1000 * args.cores / args.tasks  # seconds of all to milliseconds of a core
    report.table(
        f"{args.tasks:,} dummy tasks on {args.cores} cores",
        ["", "seconds", "ms of a core a task"],
        [
            ["started plainly", plain, plain * a_task],
            ["through the scheduler, with its start and end", whole, whole * a_task],
        ],
    )
    report.claim("ms of a core that a task costs beside its script", (whole - plain) * a_task, most=100)
    report.write()


if __name__ == "__main__":
    run(main)
