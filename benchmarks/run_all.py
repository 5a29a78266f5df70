"""Runs every benchmark and writes benchmarks/RESULTS.md, and speeds.toml from it. Leave the machine to it meanwhile.

    python benchmarks/run_all.py

`--only updates against` runs some and puts them in the place of their last results in that file, or behind the others.
`--quick` only shows that they run, each script once: its numbers mean nothing.
"""

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

from measure import markdown, sections_of
from speeds import RESULTS, write

from common.cli import Parser, run
from common.errors import UsageError

HEAD = "# Benchmarks\n\n`python benchmarks/run_all.py` runs these and writes this file.\n"
FOLDER = Path(__file__).resolve().parent
QUICK = {
    "updates": "--num_seeds 1 2 --batch_size 8 --rows 200 --updates 4 --rounds 2",
    "against": "HEAD --num_seeds 2 --rows 200 --updates 4 --rounds 2",
    "evaluation_share": "--num_seeds 1 2 --batch_size 8 --steps 200",
    "embedding_stages": "--steps 1000 --epochs 1 --epoch_size 256 --decoder_epochs 1 --decoder_batches 2 "
    "--peer_steps 300 --products 2 --rounds 2 --runs 1",
    "pixel_agents": "--num_seeds 1 2 --batch_size 4 --block 10 --rounds 2",
    "scheduler": "--tasks 6",
    "pixels": "--steps 200 --episodes 1 --batch_size 4 --batches 2 --rounds 2",
}
RUNS = [
    *[(name, "") for name in QUICK],
    ("embedding_stages", "--env Pusher-v2"),
    ("embedding_stages", "--env Pusher-v2 --traj_len 8"),
]


def main():
    parser = Parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    parser.add_argument("--only", nargs="+", choices=list(QUICK), default=None, help="which; without it: all of them")
    parser.add_argument("--out", default=str(RESULTS), help="file to write")
    parser.add_argument("--json_dir", default=None, help="folder that also gets each benchmark's result as .json")
    parser.add_argument("--results_dir", default=None, help="folder for temporary files; without it: results/")
    args = parser.parse_args()
    for flag, folder in (("--out", Path(args.out).absolute().parent), ("--json_dir", Path(args.json_dir or "."))):
        if not folder.is_dir():
            raise UsageError(f"{flag}: there is no folder {folder}: make it first")
    sections = sections_of(Path(args.out)) if args.only else {}
    with tempfile.TemporaryDirectory() as temporary:
        for number, (name, flags) in enumerate(RUNS):
            if (args.only and name not in args.only) or (args.quick and flags):
                continue
            stem = f"{name}_{number}" if name == "embedding_stages" and flags else name
            flags = shlex.split(flags) + (shlex.split(QUICK[name]) if args.quick else [])
            flags += ["--results_dir", args.results_dir] if args.results_dir else []
            path = Path(args.json_dir or temporary).absolute() / f"{stem}.json"
            subprocess.run([sys.executable, FOLDER / f"{name}.py", *flags, "--out", path], check=True)
            content = json.loads(path.read_text())
            command = shlex.join(["python", f"benchmarks/{name}.py", *flags])
            sections[command] = markdown(content | {"command": command})
            Path(args.out).write_text("\n".join([HEAD, *sections.values()]))
    if Path(args.out).resolve() == RESULTS:
        write()
    print(f"\nwritten: {args.out}")


if __name__ == "__main__":
    run(main)
