"""Trains Pixel-TD3: TD3 with a convolutional network that learns to see by itself, the baseline of section 5.3.

    python rl/main_pixel_td3.py --env ReacherVertical-v2 --max_timesteps 25000 --num_seeds 2

writes results/rl/<env>/<method>/<name>/seed_<n>/{opt.json, eval.csv, eval.npy, train.csv, checkpoint.pt, videos/}. Its
replay keeps images: 1.2 GB for 100 000 steps of a seed, in memory, and as much on the disk for --resume.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

from common.cli import run
from common.devices import add_precision_flag, choose_device, choose_precision
from common.pixel_environments import add_pixel_flags
from rl.flags import PIXELS_EVAL_FREQ, training_parser
from rl.methods import METHODS, methods_of
from rl.training import train


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the flags of this script."""
    parser = training_parser(
        __doc__, "Pixel-TD3", methods_of("main_pixel_td3.py", from_pixels=True), PIXELS_EVAL_FREQ, 10_000
    )
    add_pixel_flags(parser)
    add_precision_flag(parser)
    return parser.parse_args(argv)


def main() -> None:
    args = parse()
    args.precision = choose_precision(args.precision, choose_device(args.device, args.threads))
    train(args, METHODS[args.policy_name])


if __name__ == "__main__":
    run(main)
