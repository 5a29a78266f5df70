"""Trains TD3 from states on raw actions, the baseline.

    python rl/main_td3.py --env ReacherVertical-v2 --max_timesteps 50000 --num_seeds 8

writes results/rl/<env>/<method>/<name>/seed_<n>/{opt.json, eval.csv, eval.npy, train.csv, checkpoint.pt, videos/}.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

from common.cli import run
from rl.flags import check_raw_action_flags, training_parser
from rl.methods import METHODS, methods_of
from rl.training import train


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the flags of this script."""
    parser = training_parser(__doc__, "TD3", methods_of("main_td3.py"))
    args = parser.parse_args(argv)
    check_raw_action_flags(args, METHODS[args.policy_name])
    return args


def main() -> None:
    args = parse()
    train(args, METHODS[args.policy_name])


if __name__ == "__main__":
    run(main)
