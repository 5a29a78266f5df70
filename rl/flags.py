"""The flags that all scripts of rl/ have, and the checks that go with them."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import gymnasium

from common.checkpoint import CheckpointError
from common.cli import (
    Parser,
    add_common_flags,
    add_env_flag,
    folder_name,
    fraction,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
)
from common.errors import UsageError
from common.paths import PUBLISHED_DECODERS, embedding_run, folder_of
from embedding.decoder import ActionDecoder
from embedding.pixel_models import ImageEncoder
from embedding.trained import image_encoder_path, load_image_encoder, trained_file

EVAL_FREQ, PIXELS_EVAL_FREQ = 1000, 5000
# Where the paper's decoders come from (section 5.2).
TRANSFER = {
    **dict.fromkeys(["ReacherTurn-v2", "ReacherPush-v2"], "ReacherVertical-v2"),
    **dict.fromkeys(["Striker-v2", "Thrower-v2"], "Pusher-v2"),
}


def training_parser(
    description: str, policy_names: Sequence[str], eval_freq: int | None = EVAL_FREQ, start_timesteps: int = 0
) -> Parser:
    """A parser with the flags of every training script; the first of `policy_names` is the default."""
    parser = Parser(description)
    add_env_flag(parser)
    parser.add_argument("--policy_name", choices=policy_names, default=policy_names[0], help="what acts")
    parser.add_argument("--name", type=folder_name, default="default", help="name of this run")
    parser.add_argument("--num_seeds", type=positive_int, default=1, help="seeds trained side by side from --seed on")
    parser.add_argument("--max_timesteps", type=positive_int, default=1_000_000, help="steps a seed, in whole blocks")
    parser.add_argument(
        "--start_timesteps", type=non_negative_int, default=start_timesteps, help="random steps at the start"
    )
    parser.add_argument("--update_every", type=positive_int, default=100, help="steps, then updates, in a block")
    parser.add_argument("--replay_size", type=positive_int, default=1_000_000, help="rows of replay a seed")
    either = "" if eval_freq else f"; none: {EVAL_FREQ}, from pixels {PIXELS_EVAL_FREQ}"
    parser.add_argument("--eval_freq", type=positive_int, default=eval_freq, help=f"steps between evaluations{either}")
    parser.add_argument("--eval_episodes", type=positive_int, default=10, help="episodes an evaluation")
    parser.add_argument(
        "--checkpoint_freq", type=non_negative_int, default=0, help="steps between checkpoints; 0: at evaluations"
    )
    parser.add_argument("--render_freq", type=non_negative_int, default=0, help="steps between videos; 0: none")
    parser.add_argument("--tensorboard", action="store_true", help="also write tensorboard events")
    parser.add_argument("--batch_size", type=positive_int, default=100, help="rows an update")
    parser.add_argument("--lr", type=positive_float, default=1e-3, help="Adam's step size, actor and critics")
    parser.add_argument("--discount", type=fraction, default=0.99, help="discount factor a raw step")
    parser.add_argument("--tau", type=fraction, default=0.005, help="how far targets move at an update of the actor")
    parser.add_argument(
        "--policy_freq", type=positive_int, default=2, help="updates of the critics to one of the actor"
    )
    parser.add_argument(
        "--expl_noise", type=non_negative_float, default=0.1, help="exploration noise: raw units; DynE: max_embedding"
    )
    parser.add_argument(
        "--policy_noise", type=non_negative_float, default=0.2, help="target noise: raw units; DynE: max_embedding / k"
    )
    parser.add_argument("--noise_clip", type=non_negative_float, default=0.5, help="bound of the target noise")
    add_common_flags(parser)
    return parser


def add_encoder_flag(
    parser: argparse.ArgumentParser, script: str, default: str | None = "default", more: str = ""
) -> None:
    """Adds the flag that names what embedding/`script` has trained; `more` ends its line of help."""
    parser.add_argument(
        "--encoder",
        default=default,
        help=f"name of a training of embedding/{script}, its folder, or its encoder.pt{more}",
    )


def load_encoder(args: argparse.Namespace, env_id: str, kind: str) -> tuple[ImageEncoder, int]:
    """The frozen encoder that `--encoder` names, and the width of its images; see `load_image_encoder`."""
    return load_image_encoder(kind, args.encoder, args.env_name, env_id, args.results_dir)


def load_decoder(args: argparse.Namespace, env: gymnasium.Env) -> ActionDecoder:
    """Loads the decoder that `--decoder` and `--source_env` name, and checks that it fits the environment.

    Raises:
        UsageError: there is none, with the command that trains it, or it does not fit.
    """
    assert env.spec is not None
    path, named, script = decoder_path(args, env.spec.id), f"--decoder {args.decoder}", "main.py"
    if args.decoder is None:
        named, script = f"--encoder {args.encoder}", "main_pixels.py"
    try:
        decoder = ActionDecoder.load(path)
    except (CheckpointError, KeyError, TypeError, RuntimeError) as error:
        reason = error if isinstance(error, CheckpointError) else f"{path} is not a decoder of this version"
        raise UsageError(f"{named}: {reason}: train it anew with embedding/{script}") from error
    if misfit := decoder.misfit(env):
        raise UsageError(f"{named}: {misfit}")
    return decoder


def decoder_path(args: argparse.Namespace, env_id: str) -> Path:
    """The file that `--decoder` and `--source_env` name for an environment; `UsageError` if it is not there."""
    if args.decoder is None:  # from pixels: the actions that were embedded with the images
        path = image_encoder_path("pixels", args.encoder, args.env_name, env_id, args.results_dir)
        path = path.with_name("decoder.pt")
        if not path.is_file():
            raise UsageError(f"--encoder {args.encoder}: there is no {path} beside it: name one with --decoder")
        return path
    source = args.source_env or args.env_name
    source_id = args.source_env.rpartition(":")[2] if args.source_env else env_id
    if published := re.fullmatch(r"published-k(\d{1,3})", args.decoder):
        return _published_decoder(args, source_id, source, int(published[1]))
    run = embedding_run(args.results_dir, source_id, args.decoder)
    return trained_file("decoder.pt", "--decoder", args.decoder, run, f"python embedding/main.py --env {source}")


def _published_decoder(args: argparse.Namespace, source_id: str, source: str, k: int) -> Path:
    """The committed decoder of k steps of `source_id`; of the task that the paper transfers from, if it has none."""
    for env_id in (source_id, *(() if args.source_env else (TRANSFER.get(source_id, source_id),))):
        path = PUBLISHED_DECODERS / folder_of(env_id) / f"k{k}" / "decoder.pt"
        if path.is_file():
            return path
    found = sorted(PUBLISHED_DECODERS.glob("*/k*/decoder.pt"))
    names = ", ".join(f"{path.parts[-3]} published-{path.parts[-2]}" for path in found)
    raise UsageError(
        f"--decoder {args.decoder}: none of {source_id} is published: name one of these as --source_env and --decoder "
        f"({names or 'none'}), or train one with python embedding/main.py --env {source} --traj_len {k}"
    )
