"""Trains a variational autoencoder of single frames: the states of VAE-TD3, the baseline of section 5.3.

    python embedding/main_vae.py --env ReacherVertical-v2

draws 100 000 random steps, or reads what embedding/main_pixels.py drew, and writes
results/<env>-vae/<name>/{encoder.pt, opt.json, log.csv, render/}. A frame's encoding is 25 wide; a policy sees those of
the four newest frames. Columns of log.csv: as those of the stage `pixels` of embedding/main_pixels.py.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import torch

from common.cli import Parser, add_common_flags, positive_int, run
from common.devices import choose_device, choose_precision
from common.environments import make_env, name_of
from common.memory import require_memory
from common.next_step import results_flag, tell_next
from common.streams import torch_stream
from embedding.models import HIDDEN
from embedding.pixel_models import VAE, VAE_DIM, ImageDecoder, ImageEncoder
from embedding.pixel_play import load_pixel_play
from embedding.pixel_training import COLUMNS, VAETraining, add_image_flags, frames_near, memory_parts
from embedding.play_key import sources
from embedding.training import Training, open_run, resolved, warn_of_repetition


def parse(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the flags of this script."""
    parser = Parser(__doc__)
    add_image_flags(parser)
    parser.add_argument("--state_dim", type=positive_int, default=VAE_DIM, help="width of a frame's encoding")
    add_common_flags(parser)
    return parser.parse_args(args)


def main() -> None:
    args = parse()
    device = choose_device(args.device, args.threads)
    args.precision = choose_precision(args.precision, device)
    env = make_env(args.env_name)
    assert env.spec is not None
    env_id = env.spec.id
    folder = open_run(args, env, "encoder.pt", "vae")
    state_dim = {f"networks for --state_dim {args.state_dim}": 16 * 3 * HIDDEN * args.state_dim}
    require_memory(memory_parts(args, args.state_dim) | state_dim, device)
    print(f"{env_id}: VAE of frames, {args.precision}, on {device}, into {folder.path}")

    play = load_pixel_play(
        args.env_name, args.steps, args.seed, args.results_dir, source_img_width=args.source_img_width
    )
    folder.lock(empty=not (args.resume or args.overwrite))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_stream(args.seed, "vae: initial weights").initial_seed())
        encoder, decoder = ImageEncoder(3, args.state_dim), ImageDecoder(args.state_dim, 1)
    vae = VAE(encoder.to(device), decoder.to(device), name_of(env, args.env_name), args.source_img_width)
    frames = frames_near(play.frames, device)
    warn_of_repetition(args, len(frames))
    learned = sources(env, args) | {"data": play.digest()}
    parts = [VAETraining(frames, vae, args, folder.path, device)]
    folder.resolved = resolved(device, args.seed, {"encoder": encoder, "decoder": decoder})
    training = Training(folder, parts, vars(args), COLUMNS, learned)
    if training.start():
        print(f"{folder.path} is finished: nothing is left to do")
    else:
        training.run(args.checkpoint_freq)
    encoder_flag = ["--encoder", args.name] if args.name != "default" else []
    words = "--env", args.env_name, *encoder_flag, "--max_timesteps", 150_000, *results_flag(args.results_dir)
    tell_next(folder.path, "rl/main_vae_td3.py", *words)


if __name__ == "__main__":
    run(main)
