"""The flags that all scripts of rl/ have, and the checks that go with them."""

import re
from pathlib import Path

from embedding.checkpoint import CheckpointError
from embedding.decoder import ActionDecoder
from embedding.flags import (
    REPOSITORY,
    Parser,
    UsageError,
    add_common_flags,
    folder_name,
    folder_of,
    fraction,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
)
from embedding.pixel_models import load_pixel_embedding, load_vae
from envs.pixels import FRAMES

PUBLISHED_DECODERS = REPOSITORY / "results" / "published" / "decoders"
# Scripts that train encoders of images: the end of their folders' names, how they are read, the frames they see.
ENCODERS = {
    "main_pixels.py": ("pixels", load_pixel_embedding, FRAMES),
    "main_vae.py": ("vae", load_vae, 1),
}
EVAL_FREQ, PIXELS_EVAL_FREQ = 1000, 5000
# Where the paper's decoders come from (section 5.2).
TRANSFER = {
    **dict.fromkeys(["ReacherTurn-v2", "ReacherPush-v2"], "ReacherVertical-v2"),
    **dict.fromkeys(["Striker-v2", "Thrower-v2"], "Pusher-v2"),
}


def training_parser(description, policy_names, eval_freq=EVAL_FREQ, start_timesteps=0):
    """A parser with the flags of every training script; the first of `policy_names` is the default."""
    parser = Parser(description)
    parser.add_argument("--env_name", "--env", default="ReacherVertical-v2", help="gymnasium id, or module:id")
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


def add_encoder_flag(parser, script):
    """Adds the flag that names what embedding/`script` has trained."""
    parser.add_argument(
        "--encoder",
        default="default",
        help=f"name of an embedding of embedding/{script}, its folder, or its encoder.pt",
    )


def load_encoder(args, env_id, script):
    """Loads the frozen encoder of images that `--encoder` names.

    Args:
        env_id: the environment that it is to see.
        script: main_pixels.py or main_vae.py, which trained it.
    Returns:
        the `ImageEncoder`, and the width of images that it was trained on.
    Raises:
        UsageError: there is none, with the command that trains it, or it does not fit.
    """
    path, load, frames = encoder_path(args, env_id, script), *ENCODERS[script][1:]
    named = f"--encoder {args.encoder}"
    try:
        found = load(path)
    except (CheckpointError, KeyError, TypeError, RuntimeError) as error:
        reason = error if isinstance(error, CheckpointError) else f"{path} is not of this version, or of other images"
        raise UsageError(f"{named}: {reason}: train it anew with embedding/{script}") from error
    encoder = found.state_encoder if script == "main_pixels.py" else found.encoder
    if found.env_id != env_id:
        raise UsageError(
            f"{named}: it was trained on images of {found.env_id}, not of {env_id}: train one with "
            f"python embedding/{script} --env {args.env_name}"
        )
    if encoder.channels != 3 * frames:
        raise UsageError(
            f"{named}: it sees {encoder.channels // 3} frames at once, {args.policy_name} has {frames}: train it anew "
            f"with embedding/{script}"
        )
    return encoder, found.source_img_width


def encoder_path(args, env_id, script):
    """The file that `--encoder` names for an environment; `UsageError` if it is not there."""
    parent = f"{folder_of(env_id)}-{ENCODERS[script][0]}"
    return _trained_file(args, "encoder", args.encoder, parent, f"python embedding/{script} --env {args.env_name}")


def load_decoder(args, env):
    """Loads the decoder that `--decoder` and `--source_env` name, and checks that it fits the environment.

    Raises:
        UsageError: there is none, with the command that trains it, or it does not fit.
    """
    path, named = decoder_path(args, env.spec.id), f"--decoder {args.decoder or args.encoder}"
    try:
        decoder = ActionDecoder.load(path)
    except (CheckpointError, KeyError, TypeError, RuntimeError) as error:
        reason = error if isinstance(error, CheckpointError) else f"{path} is not a decoder of this version"
        raise UsageError(f"{named}: {reason}: train it anew with embedding/main.py") from error
    if misfit := decoder.misfit(env):
        raise UsageError(f"{named}: {misfit}")
    return decoder


def decoder_path(args, env_id):
    """The file that `--decoder` and `--source_env` name for an environment; `UsageError` if it is not there."""
    if args.decoder is None:  # from pixels: the actions that were embedded with the images
        path = encoder_path(args, env_id, "main_pixels.py").with_name("decoder.pt")
        if not path.is_file():
            raise UsageError(f"--encoder {args.encoder}: there is no {path} beside it: name one with --decoder")
        return path
    source = args.source_env or args.env_name
    source_id = args.source_env.rpartition(":")[2] if args.source_env else env_id
    if published := re.fullmatch(r"published-k(\d{1,3})", args.decoder):
        return _published_decoder(args, source_id, source, int(published[1]))
    return _trained_file(
        args, "decoder", args.decoder, folder_of(source_id), f"python embedding/main.py --env {source}"
    )


def _trained_file(args, kind, name, parent, command):
    """The file `<kind>.pt` that a flag names: by its path, by its folder, or by the name of its training."""
    if name.endswith(".pt") or "/" in name:
        path, way_out = Path(name), f"give {'an' if kind[0] == 'e' else 'a'} {kind}.pt, or its folder"
        path = path / f"{kind}.pt" if path.is_dir() else path
    else:
        path = Path(args.results_dir).absolute() / parent / name / f"{kind}.pt"
        way_out = f"train it with {command}" + ("" if name == "default" else f" --name {name}")
    if not path.is_file():
        raise UsageError(f"--{kind} {name}: there is no {path}: {way_out}")
    return path


def _published_decoder(args, source_id, source, k):
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
