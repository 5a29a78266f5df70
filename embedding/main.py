"""Trains the DynE action embedding and its decoder from states (paper, sections 2.2 and 3.1).

    python embedding/main.py --env ReacherVertical-v2

plays 100 000 random steps, trains the encoder e_a with the predictor f, then the decoder d_a, and writes
results/<env>/<name>/{encoder.pt, decoder.pt, opt.json, log.csv}.
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

from common.cli import (
    Parser,
    add_common_flags,
    add_env_flag,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
    run,
)
from common.devices import choose_device
from common.environments import make_env, name_of
from common.memory import require_memory
from common.next_step import own_env_flag, shown, tell_next
from common.streams import torch_stream
from embedding.decoder import PRIOR_MAX_EMBEDDING, ActionDecoder
from embedding.decoder_training import DecoderTraining, add_decoder_flags, decoder_span
from embedding.encoder_training import EncoderTraining
from embedding.models import HIDDEN, ActionEncoder, Predictor
from embedding.play_key import sources
from embedding.random_play import check_traj_len, load_random_play, state_size, windows
from embedding.training import Part, Training, embedding_name, open_run, resolved, warn_of_repetition

BYTES_A_ROW = 30_000  # of a batch in training, activations and gradients (measured)


def parse(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the flags of this script."""
    parser = Parser(__doc__)
    add_env_flag(parser)
    parser.add_argument("--name", type=embedding_name, default="default", help="name of this embedding")
    parser.add_argument("--traj_len", type=positive_int, default=4, help="k, the number of actions in a sequence")
    parser.add_argument("--steps", type=positive_int, default=100_000, help="steps of random play")
    parser.add_argument("--epochs", type=non_negative_int, default=50, help="epochs of encoder and predictor")
    parser.add_argument("--epoch_size", type=positive_int, default=10_000, help="samples an epoch")
    parser.add_argument("--batch_size", type=positive_int, default=128, help="samples a batch")
    parser.add_argument("--lr", type=positive_float, default=1e-4, help="Adam's learning rate, encoder and predictor")
    parser.add_argument("--amsgrad", action="store_true", help="the AMSGrad variant of Adam (the release's)")
    parser.add_argument("--gamma", type=non_negative_float, default=1e-4, help="weight of the KL divergence of z_a")
    parser.add_argument("--no_state", action="store_true", help="f sees z_a alone, not s_t")
    add_decoder_flags(parser)
    parser.add_argument("--checkpoint_freq", type=positive_int, default=10, help="epochs between checkpoints")
    add_common_flags(parser)
    return parser.parse_args(args)


def check_memory(args: argparse.Namespace, env: gymnasium.Env, device: torch.device) -> None:
    """Raises `UsageError` if random play, networks, batches or the draws of an epoch would not fit into memory."""
    assert env.action_space.shape is not None
    actions, states, k = env.action_space.shape[0], state_size(env), args.traj_len
    require_memory(
        {
            f"--steps {args.steps} of random play": args.steps * (16 * states + 12 * actions),
            f"--traj_len {k} with --steps {args.steps}": args.steps * (24 * states + 8 * k * actions + 8 * k),
            f"networks for --traj_len {k}": 4 * 16 * HIDDEN * k * actions,
            f"batches of --batch_size {args.batch_size}": args.batch_size * (BYTES_A_ROW + 16 * k * actions),
            f"an epoch of --epoch_size {args.epoch_size}": args.epoch_size * (16 + 8 * actions),
            f"an epoch of --decoder_batches {args.decoder_batches} of --batch_size {args.batch_size}": (
                args.decoder_batches * args.batch_size * (16 + 8 * actions)
            ),
        },
        device,
    )


def main() -> None:
    args = parse()
    device = choose_device(args.device, args.threads)
    env = make_env(args.env_name)
    assert env.spec is not None and isinstance(env.action_space, Box)
    check_traj_len(args, env)
    folder = open_run(args, env, "decoder.pt")
    low, high = env.action_space.low, env.action_space.high
    span = decoder_span(args, low, high)
    check_memory(args, env, device)
    print(f"{env.spec.id}: embedding sequences of {args.traj_len} actions, on {device}, into {folder.path}")

    env_name = name_of(env, args.env_name)
    play = load_random_play(env, args.steps, args.seed, args.results_dir, args.traj_len)
    data = windows(play, args.traj_len)
    warn_of_repetition(args, len(data.states))
    folder.lock(empty=not (args.resume or args.overwrite))
    state_dim = data.states.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_stream(args.seed, "embedding: initial weights").initial_seed())
        encoder = ActionEncoder(low, high, args.traj_len)
        predictor = Predictor(state_dim, encoder.action_dim, use_state=not args.no_state)
        decoder = ActionDecoder(*span, args.traj_len, PRIOR_MAX_EMBEDDING, env_name)
    predictor.state_whitening.fit(data.states)
    predictor.delta_whitening.fit(data.deltas)
    for module in (encoder, predictor, decoder):
        module.to(device)
    data.states, data.actions, data.deltas = (x.to(device) for x in (data.states, data.actions, data.deltas))

    parts: list[Part] = [
        EncoderTraining(data, encoder, predictor, env_name, args, folder.path / "encoder.pt"),
        DecoderTraining(data.actions, encoder, decoder, args, folder.path / "decoder.pt"),
    ]
    learned = sources(env, args) | {"data": play.digest()}
    networks = {"encoder": encoder, "predictor": predictor, "decoder": decoder}
    folder.resolved = resolved(device, args.seed, networks)
    training = Training(folder, parts, vars(args), ["loss", "error", "regulariser"], learned)
    if training.start():
        print(f"{folder.path} is finished: nothing is left to do")
        tell_next(None, "embedding/evaluate.py", shown(folder.path), *own_env_flag(env_name))
        return
    training.run(args.checkpoint_freq)
    with torch.no_grad():
        rest = encoder.normalise(decoder(torch.zeros(1, decoder.action_dim, device=device))).abs().max().item()
    print(
        f"policies will act by z within +-{decoder.max_embedding:.2f}; actions at z = 0 are at most {rest:.1%} of the way from the "
        "middle of their bounds to a bound"
    )
    tell_next(folder.path, "embedding/evaluate.py", shown(folder.path), *own_env_flag(env_name))


if __name__ == "__main__":
    run(main)
