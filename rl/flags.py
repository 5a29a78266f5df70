"""The flags that all scripts of rl/ have, and the checks that go with them."""

import argparse
from collections.abc import Sequence

from common.cli import (
    LARGEST_WHOLE,
    Parser,
    add_common_flags,
    add_env_flag,
    folder_name,
    fraction,
    noise,
    non_negative_int,
    positive_float,
    positive_int,
)
from common.errors import UsageError
from rl.action_spaces import LARGEST_BOUND
from rl.methods import Method

EVAL_FREQ, PIXELS_EVAL_FREQ = 1000, 5000
MOST_EPISODES = 1_000_000


def episode_count(text: str) -> int:
    """A number of episodes to play: at least 1, and as many as end some day."""
    value = positive_int(text)
    if value > MOST_EPISODES:
        raise argparse.ArgumentTypeError(f"{text!r} would take for ever: use at most {MOST_EPISODES:,}")
    return value


def action_bound(text: str) -> float:
    """A bound of raw actions that a policy's file may have."""
    value = positive_float(text)
    if value > LARGEST_BOUND:
        raise argparse.ArgumentTypeError(f"{text!r} is larger than {LARGEST_BOUND:g}: use less, or leave it out")
    return value


def add_run_flags(parser: Parser, seeds: str, steps: str, eval_freq: int | None = EVAL_FREQ) -> None:
    """Adds the flags of what is trained, for how long, and how often it is evaluated and saved.

    Args:
        seeds, steps: the help of `--num_seeds` and `--max_timesteps`.
        eval_freq: the default of `--eval_freq`; None: it depends on what a policy sees.
    """
    add_env_flag(parser)
    parser.add_argument("--name", type=folder_name, default="default", help="name of this run")
    parser.add_argument("--num_seeds", type=positive_int, default=1, help=seeds)
    parser.add_argument("--max_timesteps", type=positive_int, default=1_000_000, help=steps)
    either = "" if eval_freq else f"; without it: {EVAL_FREQ}, from pixels {PIXELS_EVAL_FREQ}"
    parser.add_argument("--eval_freq", type=positive_int, default=eval_freq, help=f"steps between evaluations{either}")
    parser.add_argument("--eval_episodes", type=episode_count, default=10, help="episodes of each evaluation")
    parser.add_argument(
        "--checkpoint_freq", type=non_negative_int, default=0, help="steps between checkpoints; 0: at evaluations"
    )


def training_parser(
    description: str | None,
    policy_name: str,
    policy_names: Sequence[str],
    eval_freq: int | None = EVAL_FREQ,
    start_timesteps: int = 0,
) -> Parser:
    """A parser with the flags of every training script; of the methods `policy_names` it trains `policy_name` by default."""
    assert policy_name in policy_names  # argparse does not look
    parser = Parser(description)
    add_run_flags(
        parser,
        "seeds trained side by side from --seed on",
        "environment steps of each seed, rounded up to whole blocks of --update_every",
        eval_freq,
    )
    parser.add_argument("--policy_name", choices=policy_names, default=policy_name, help="method to train")
    parser.add_argument(
        "--start_timesteps",
        type=non_negative_int,
        default=start_timesteps,
        help="steps at the start in which actions are uniformly random; updates are made meanwhile",
    )
    parser.add_argument(
        "--update_every", type=positive_int, default=100, help="a block: so many steps, then as many updates"
    )
    parser.add_argument("--replay_size", type=positive_int, default=1_000_000, help="size of each seed's replay, steps")
    parser.add_argument("--render_freq", type=non_negative_int, default=0, help="steps between videos; 0: none")
    parser.add_argument("--tensorboard", action="store_true", help="also write tensorboard events")
    parser.add_argument("--batch_size", type=positive_int, default=100, help="batch size")
    parser.add_argument("--lr", type=positive_float, default=1e-3, help="Adam's learning rate, actor and critics")
    parser.add_argument("--discount", type=fraction, default=0.99, help="discount factor of one raw step")
    parser.add_argument(
        "--tau", type=fraction, default=0.005, help="soft update of the targets, made with each of the actor"
    )
    parser.add_argument(
        "--policy_freq", type=positive_int, default=2, help="updates of the critics for each of the actor"
    )
    parser.add_argument(
        "--expl_noise", type=noise, default=0.1, help="exploration noise: raw units; DynE: max_embedding"
    )
    parser.add_argument(
        "--policy_noise", type=noise, default=0.2, help="target noise: raw units; DynE: max_embedding / k"
    )
    parser.add_argument(
        "--noise_clip", type=noise, default=0.5, help="bound of the target noise: raw units; DynE: those of z"
    )
    parser.add_argument(
        "--noise_unit",
        choices=["raw", "bounds"],
        default="raw",
        help="what the noises of raw actions count in: units of the action, or half its range",
    )
    parser.add_argument(
        "--action_bound", type=action_bound, default=None, help="a policy's raw actions stay within +- this"
    )
    parser.add_argument(
        "--action_range",
        choices=["first", "own"],
        default="first",
        help="what a policy's raw actions span where all bounds lie about 0: the first dimension's in all, as in the authors' "
        "release, or each its own, as they always do where bounds do not lie about 0",
    )
    add_common_flags(parser)
    return parser


def check_raw_action_flags(args: argparse.Namespace, method: Method) -> None:
    """Raises `UsageError` for a flag of raw actions that a method, which has none or no policy of them, would not use."""
    for flag, default in {"noise_unit": "raw", "action_bound": None, "action_range": "first"}.items():
        if getattr(args, flag) != default and (method.acts_in != "raw" or method.sees == "nothing"):
            raise UsageError(f"--{flag} {getattr(args, flag)}: {method.name} does not use it: leave it out")


def check_block(update_every: int, max_timesteps: int) -> None:
    """Raises `UsageError` if a block of steps and updates is longer than the run."""
    if update_every > max_timesteps:
        raise UsageError(
            f"--update_every {update_every}: a block is longer than --max_timesteps {max_timesteps}: use at most as many"
        )


def seeds_of(args: argparse.Namespace) -> range:
    """The seeds that `--seed` and `--num_seeds` ask for; raises `UsageError` if the last is one that no file can name."""
    last = args.seed + args.num_seeds - 1
    if last > LARGEST_WHOLE:
        raise UsageError(
            f"--seed {args.seed}: with --num_seeds {args.num_seeds} the last seed is {last}: the largest is {LARGEST_WHOLE}: "
            "begin with a smaller one"
        )
    return range(args.seed, last + 1)


def add_encoder_flag(
    parser: argparse.ArgumentParser, script: str, default: str | None = "default", more: str = ""
) -> None:
    """Adds the flag that names what embedding/`script` has trained; `more` ends its line of help."""
    parser.add_argument(
        "--encoder",
        default=default,
        help=f"name of an embedding of embedding/{script}, its folder, or its encoder.pt{more}",
    )
