"""Trains TD3 from states on raw actions, the baseline.

    python rl/main_td3.py --env ReacherVertical-v2 --max_timesteps 50000 --num_seeds 8

writes results/rl/<env>/<policy>/<name>/seed_<n>/{opt.json, eval.csv, eval.npy, train.csv, checkpoint.pt, videos/}.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

from common.cli import positive_float, run
from common.errors import UsageError
from rl.flags import training_parser
from rl.methods import METHODS, methods_of
from rl.training import train


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the flags of this script."""
    parser = training_parser(__doc__, methods_of("main_td3.py"))
    parser.add_argument(
        "--noise_unit",
        choices=["raw", "bounds"],
        default="raw",
        help="what --expl_noise, --policy_noise and --noise_clip count in: units of the action, or half its range",
    )
    parser.add_argument(
        "--action_bound", type=positive_float, default=None, help="the policy's actions stay within +- this"
    )
    parser.add_argument(
        "--action_range",
        choices=["first", "own"],
        default="first",
        help="what the policy's actions span where all bounds lie about 0: the first dimension's in all, as in the authors' "
        "release, or each its own, as they always do where bounds do not lie about 0",
    )
    args = parser.parse_args(argv)
    if args.action_bound is not None and METHODS[args.policy_name].sees == "nothing":
        raise UsageError(f"--action_bound {args.action_bound}: {args.policy_name} does not use it: leave it out")
    if args.action_range != "first" and METHODS[args.policy_name].sees == "nothing":
        raise UsageError(f"--action_range {args.action_range}: {args.policy_name} does not use it: leave it out")
    return args


def main() -> None:
    args = parse()
    train(args, METHODS[args.policy_name])


if __name__ == "__main__":
    run(main)
