"""Trains DynE-TD3: TD3 in the action space of a trained DynE decoder (paper, section 3.2), from states or from pixels.

    python embedding/main.py --env ReacherVertical-v2
    python rl/main_dyne.py --env ReacherVertical-v2 --max_timesteps 50000 --num_seeds 8

    python embedding/main_pixels.py --env ReacherVertical-v2
    python rl/main_dyne.py --pixels --policy_name DynE-TD3 --env ReacherVertical-v2
    python rl/main_dyne.py --pixels --policy_name TD3 --env ReacherVertical-v2

writes results/rl/<env>/<method>/<name>/seed_<n>/{opt.json, eval.csv, eval.npy, train.csv, checkpoint.pt, videos/}. With
--pixels states are DynE embeddings of images too (section 5.3): DynE-TD3 becomes SA-DynE-TD3, TD3 S-DynE-TD3.
A decoder may come from another environment with the same actions: --source_env.

Three controls replace the decoder by an action space that was not learned, and keep the rest of DynE-TD3. z is one raw action
held for --plan_length steps (--policy_name held-TD3: action repeat), that many raw actions in sequence (chunk-TD3: action
chunking), or a single one (identity-TD3); --plan_share narrows the range of actions.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

from common.cli import positive_int, run, share
from common.errors import UsageError
from rl.flags import EVAL_FREQ, PIXELS_EVAL_FREQ, add_encoder_flag, check_raw_action_flags, training_parser
from rl.methods import METHODS, WITH_IMAGES, methods_of
from rl.training import train

POLICIES = [*methods_of("main_dyne.py"), *methods_of("main_td3.py")]
PLAN_LENGTH = 4


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the flags of this script."""
    parser = training_parser(__doc__, "DynE-TD3", POLICIES, eval_freq=None)
    parser.add_argument("--pixels", action="store_true", help="see images, as --encoder does, instead of states")
    add_encoder_flag(parser, "main_pixels.py", None, ", or published; without it: default, with --pixels")
    parser.add_argument(
        "--decoder",
        default=None,
        help="name of an embedding, published-k4, published-k8, or a decoder.pt; without it: default, --pixels: the encoder's",
    )
    parser.add_argument("--source_env", default=None, help="environment the decoder was trained on; without it: --env")
    parser.add_argument(
        "--plan_length", type=positive_int, default=None, help="k of held-TD3 and chunk-TD3; without it: 4"
    )
    parser.add_argument(
        "--plan_share", type=share, default=None, help="share of the actions' range, of the controls; without it: 1"
    )
    args = parser.parse_args(argv)
    method = METHODS[args.policy_name]
    acts_in_z = method.acts_in == "decoder"
    unused = {
        "decoder": not acts_in_z,
        "source_env": not acts_in_z,
        "plan_length": not method.has_plan_length,
        "plan_share": not method.is_control,
    }
    for flag, is_unused in unused.items():
        if is_unused and getattr(args, flag) is not None:
            raise UsageError(f"--{flag} {getattr(args, flag)}: {args.policy_name} does not use it: leave it out")
    check_raw_action_flags(args, method)
    if method.has_plan_length:
        args.plan_length = args.plan_length or PLAN_LENGTH
    if method.is_control:
        args.plan_share = args.plan_share or 1.0
    if args.encoder is not None and not args.pixels:
        raise UsageError(f"--encoder {args.encoder}: states need no encoder: add --pixels, or leave it out")
    args.encoder = args.encoder or ("default" if args.pixels else None)
    args.eval_freq = args.eval_freq or (PIXELS_EVAL_FREQ if args.pixels else EVAL_FREQ)
    if args.decoder is None and acts_in_z and (not args.pixels or args.source_env):
        args.decoder = "default"
    if args.pixels and args.policy_name not in WITH_IMAGES:
        raise UsageError(f"--pixels: {args.policy_name} sees no images: use DynE-TD3 or TD3, or leave it out")
    return args


def main() -> None:
    args = parse()
    train(args, METHODS[WITH_IMAGES[args.policy_name] if args.pixels else args.policy_name])


if __name__ == "__main__":
    run(main)
