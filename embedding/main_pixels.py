"""Trains DynE from pixels: the state encoder e_s, the action encoder e_a and its decoder (paper, sections 2.2, 3.1, B).

    python embedding/main_pixels.py --env ReacherVertical-v2

draws 100 000 random steps, trains e_s and e_a with the predictor f of images, then the decoder d_a, and writes
results/<env>-pixels/<name>/{encoder.pt, decoder.pt, opt.json, log.csv, render/}. Look at render/latest.png as it trains:
the predictions on the right must show every object of the task.

Columns of log.csv for the stage `pixels`: the loss; `error`, term (1); `regulariser`, the KL divergences of z_s and z_a
together, nats; `kl_weight` at the epoch's end; `squared_error`, of predictions without noise, a value in [0, 1], of 128
fixed windows. For the decoder the first three are those of embedding/main.py.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import gymnasium
import torch
from gymnasium.spaces import Box

from common.cli import Parser, add_common_flags, non_negative_float, positive_int, run
from common.devices import choose_device, choose_precision
from common.environments import make_env, name_of
from common.memory import require_memory
from common.next_step import results_flag, tell_next
from common.streams import torch_stream
from embedding.decoder import PRIOR_MAX_EMBEDDING, ActionDecoder
from embedding.decoder_training import DecoderTraining, add_decoder_flags, decoder_span
from embedding.models import HIDDEN, ActionEncoder
from embedding.pixel_models import (
    PREDICTED,
    STATE_DIM,
    ImageEncoder,
    PixelEmbedding,
    PixelPredictor,
)
from embedding.pixel_play import PixelWindows, load_pixel_play
from embedding.pixel_training import COLUMNS, PixelTraining, add_image_flags, frames_near, memory_parts
from embedding.play_key import sources
from embedding.random_play import check_traj_len
from embedding.training import Part, Training, open_run, resolved, warn_of_repetition
from envs.pixels import FRAMES


def parse(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the flags of this script."""
    parser = Parser(__doc__)
    add_image_flags(parser)
    parser.add_argument("--traj_len", type=positive_int, default=4, help="k, the number of actions in a sequence")
    parser.add_argument("--gamma", type=non_negative_float, default=5e-7, help="weight of the KL divergence of z_a")
    parser.add_argument("--state_dim", type=positive_int, default=STATE_DIM, help="width of z_s")
    add_decoder_flags(parser)
    add_common_flags(parser)
    return parser.parse_args(args)


def check_memory(args: argparse.Namespace, env: gymnasium.Env, device: torch.device) -> None:
    """Raises `UsageError` if networks, batches or draws would not fit into memory; frames stay on the disk."""
    assert env.action_space.shape is not None
    actions, k = env.action_space.shape[0], args.traj_len
    decoder_batch = args.decoder_batches * args.batch_size * (16 + 8 * actions)
    parts = memory_parts(args, args.state_dim + actions) | {
        f"--traj_len {k} with --steps {args.steps}": args.steps * (8 * k * actions + 8 * k + 8 * (FRAMES + PREDICTED)),
        f"an epoch of --decoder_batches {args.decoder_batches} of --batch_size {args.batch_size}": decoder_batch,
        f"networks for --state_dim {args.state_dim}": 16 * 4 * HIDDEN * args.state_dim,
    }
    require_memory(parts, device)


def next_words(args: argparse.Namespace) -> list[str]:
    """The script that acts from what was trained, and its arguments."""
    encoder = ["--encoder", args.name] if args.name != "default" else []
    script = ["rl/main_dyne.py", "--pixels", "--env", args.env_name, *encoder]
    return [*script, "--max_timesteps", "150000", *results_flag(args.results_dir)]


def main() -> None:
    args = parse()
    device = choose_device(args.device, args.threads)
    args.precision = choose_precision(args.precision, device)
    env = make_env(args.env_name)
    assert env.spec is not None and isinstance(env.action_space, Box)
    check_traj_len(args, env)
    env_id, env_name = env.spec.id, name_of(env, args.env_name)
    low, high = env.action_space.low, env.action_space.high
    folder = open_run(args, env, "decoder.pt", "pixels")
    span = decoder_span(args, low, high)
    check_memory(args, env, device)
    print(f"{env_id}: DynE from pixels, sequences of {args.traj_len} actions, {args.precision}, on {device}")
    print(f"into {folder.path}")

    play = load_pixel_play(args.env_name, args.steps, args.seed, args.results_dir, args.traj_len, args.source_img_width)
    data = PixelWindows(play, args.traj_len)
    warn_of_repetition(args, len(data))
    folder.lock(empty=not (args.resume or args.overwrite))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_stream(args.seed, "pixels: initial weights").initial_seed())
        action_encoder = ActionEncoder(low, high, args.traj_len)
        state_encoder = ImageEncoder(3 * FRAMES, args.state_dim)
        predictor = PixelPredictor(args.state_dim, action_encoder.action_dim)
        decoder = ActionDecoder(*span, args.traj_len, PRIOR_MAX_EMBEDDING, env_name)
    for module in (action_encoder, state_encoder, predictor, decoder):
        module.to(device)
    data.frames = frames_near(data.frames, device)
    embedding = PixelEmbedding(state_encoder, action_encoder, predictor, args.traj_len, env_name, args.source_img_width)
    parts: list[Part] = [
        PixelTraining(data, embedding, args, folder.path, device),
        DecoderTraining(data.actions.to(device), action_encoder, decoder, args, folder.path / "decoder.pt"),
    ]
    learned = sources(env, args) | {"data": play.digest()}
    networks = {"state_encoder": state_encoder, "action_encoder": action_encoder, "predictor": predictor}
    folder.resolved = resolved(device, args.seed, networks | {"decoder": decoder})
    training = Training(folder, parts, vars(args), COLUMNS, learned)
    if training.start():
        print(f"{folder.path} is finished: nothing is left to do")
        tell_next(None, *next_words(args))
        return
    training.run(args.checkpoint_freq)
    print(f"policies will act by z within +-{decoder.max_embedding:.2f}; render/ shows what e_s and f see")
    tell_next(folder.path, *next_words(args))


if __name__ == "__main__":
    run(main)
