"""Trains VAE-TD3: TD3 whose states are a VAE's encodings of the four newest frames, a baseline of section 5.3.

    python embedding/main_vae.py --env ReacherVertical-v2
    python rl/main_vae_td3.py --env ReacherVertical-v2 --max_timesteps 150000 --num_seeds 2

writes results/rl/<env>/<method>/<name>/seed_<n>/{opt.json, eval.csv, eval.npy, train.csv, checkpoint.pt, videos/}.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

from common.cli import run
from rl.flags import PIXELS_EVAL_FREQ, add_encoder_flag, training_parser
from rl.methods import METHODS, methods_of
from rl.training import train


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the flags of this script."""
    parser = training_parser(
        __doc__, "VAE-TD3", methods_of("main_vae_td3.py", from_pixels=True), PIXELS_EVAL_FREQ, 10_000
    )
    add_encoder_flag(parser, "main_vae.py")
    return parser.parse_args(argv)


def main() -> None:
    args = parse()
    train(args, METHODS[args.policy_name])


if __name__ == "__main__":
    run(main)
