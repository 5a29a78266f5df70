"""How fast TD3 and DynE-TD3 learn against an earlier version of this project, both measured in one run.

    python benchmarks/against.py
    python benchmarks/against.py HEAD~5

takes the files of that commit out of git into a temporary folder and lets each version do updates in a process of its
own (update_worker.py), with the same flags. The two take turns, a few updates each, so that both meet the machine as it is.
"""

import itertools
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import numpy as np
from measure import Report, add_report_flags, ratio, temporary_folder

from common.cli import Parser, add_env_flag, positive_int, run
from common.errors import UsageError
from common.paths import REPOSITORY

METHODS = ("TD3", "DynE-TD3")
WORKER = Path(__file__).with_name("update_worker.py")
EARLIER = "58084a4"  # the last commit whose agents were trained by autograd


def parse():
    """Returns the flags of this script."""
    parser = Parser(__doc__)
    parser.add_argument("commit", nargs="?", default=EARLIER, help="the earlier version, as git names it")
    add_env_flag(parser)
    parser.add_argument("--num_seeds", type=positive_int, nargs="+", default=[1, 8], help="seeds, one row each")
    parser.add_argument("--rows", type=positive_int, default=5_000, help="rows of replay beforehand, a seed")
    parser.add_argument("--updates", type=positive_int, default=20, help="updates of every seed, a turn")
    parser.add_argument("--rounds", type=positive_int, default=60, help="turns of each")
    add_report_flags(parser)
    return parser.parse_args()


def extract(commit, folder):
    """Puts the files of a commit into a folder."""
    done = subprocess.run(["git", "-C", REPOSITORY, "archive", commit], capture_output=True, check=False)
    if done.returncode:
        raise UsageError(f"commit {commit}: git: {done.stderr.decode().strip()}: name one of this repository")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # new in 3.11.4


class Version:
    """A version of the project, in a process of its own, that does updates when it is asked to."""

    def __init__(self, root, method, num_seeds, args, folder):
        sizes = [str(number) for number in (num_seeds, args.env_name, args.updates, args.rows)]
        command = [sys.executable, "-P", WORKER, method, *sizes, folder]
        environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'benchmarks'}"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=environment, **pipes)
        self._read()

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("a version could not be measured: its error stands above")
        return float(line)

    def turn(self):
        """Updates of one seed a second, of all seeds together."""
        print(file=self.process.stdin, flush=True)
        return self._read()

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()


def main():
    args = parse()
    report = Report("Updates against an earlier version", args.out)
    rows = []
    with temporary_folder(args.results_dir) as folder:
        earlier = Path(folder) / "earlier"
        extract(args.commit, earlier)
        for case in itertools.product(METHODS, args.num_seeds):
            roots = {"before": earlier, "now": REPOSITORY}
            versions = {
                name: Version(root, *case, args, str(Path(folder) / f"{name}-{case[0]}-{case[1]}"))
                for name, root in roots.items()
            }
            rates = {name: np.zeros(args.rounds) for name in versions}
            for turn in range(args.rounds):
                for name, version in versions.items():
                    rates[name][turn] = version.turn()
            for version in versions.values():
                version.close()
            rows.append([*case, *(float(np.median(r)) for r in rates.values()), ratio(rates["now"], rates["before"])])
    report.table(
        f"Updates of one seed a second, of all seeds together, --batch_size 100, one thread; before: commit {args.commit}",
        ["", "--num_seeds", "before", "now", "x before"],
        rows,
    )
    for method, num_seeds, _, _, gain in rows:
        report.claim(f"updates of {method}, --num_seeds {num_seeds}, to those of {args.commit}", gain, least=1.55)
    report.write()


if __name__ == "__main__":
    run(main)
