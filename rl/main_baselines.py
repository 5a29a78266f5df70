"""Trains SAC or PPO on states, with stable-baselines3: the baselines of figure 4.

    python rl/main_baselines.py --algo SAC --env ReacherVertical-v2 --max_timesteps 100000 --num_seeds 2
    python rl/main_baselines.py --algo PPO --env ReacherVertical-v2 --max_timesteps 100000 --num_seeds 2
    python rl/main_baselines.py --algo TD3 --decoder default --env ReacherVertical-v2 --max_timesteps 20000

writes results/rl/<env>/<algo>/<name>/seed_<n>/{opt.json, eval.csv, eval.npy, train.csv, checkpoint.pt}: evaluations from the
start states that the other methods have. Seeds are trained one after the other. PPO saves, and stops, between two rollouts of
2048 steps; its runs go on with the --max_timesteps that they began with.

With --decoder SAC or TD3 acts in an embedding space in the simple way (paper, section 3.2): `envs.dyne_actions` makes k
steps one, and the algorithm sees only every k-th state. Steps are counted in the environment's own, there are k updates
for each plan, and the results are those of the method SAC-plans or TD3-plans. A plan that an episode's end cuts short is
discounted as a whole one.

Hyperparameters are those of the authors of each method for MuJoCo. SAC: Haarnoja et al. (arXiv:1812.05905), table 1. PPO:
ppo2 of OpenAI baselines, its settings for MuJoCo (2048 steps, 32 minibatches, 10 epochs, learning rate 3e-4 falling to 0,
tanh networks of 64-64, observations and rewards normalised by running statistics); ppo2
takes the larger of the clipped and the unclipped value error, stable-baselines3 has only the clipped one. Where a time limit
cuts an episode, stable-baselines3 bootstraps the value of the last state. The learning rate reaches 0 at --max_timesteps.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from runpy import run_path
from typing import TYPE_CHECKING, Any, cast

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"), {"EXTRAS": ("stable_baselines3",)})

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

from common.cli import run
from common.errors import UsageError
from common.streams import stream
from embedding.trained import load_decoder
from envs.dyne_actions import DynEActionSpace
from rl.action_spaces import DynEActions, RawActions
from rl.baseline_env import BaselineEnv
from rl.baseline_run import Baseline
from rl.baselines import baseline_parser, replay_rows, train_all
from rl.protocols import ActionSpace
from rl.sb3_learner import Normalise, SB3Learner

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

SAC: dict[str, Any] = {
    "learning_rate": 3e-4,
    "gamma": 0.99,
    "batch_size": 256,
    "tau": 0.005,
    "train_freq": 1,  # and as many updates as raw steps
    "learning_starts": 1000,
    "ent_coef": "auto",
    "target_entropy": "auto",  # minus the number of actions
    "policy_kwargs": {"net_arch": [256, 256]},
}
PPO: dict[str, Any] = {
    "n_steps": 2048,
    "batch_size": 64,  # 32 minibatches
    "n_epochs": 10,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "clip_range_vf": 0.2,
    "ent_coef": 0.0,
    "vf_coef": 0.25,  # 0.5 there, of half the squared error
    "max_grad_norm": 0.5,
    "learning_rate": lambda left: 3e-4 * left,
    "policy_kwargs": {"net_arch": [64, 64]},
}
# Those of rl/main_td3.py and rl/main_dyne.py; noises are shares of the largest embedding, that of the target a k-th, but
# its clip is in units of embeddings.
TD3: dict[str, Any] = {
    "learning_rate": 1e-3,
    "gamma": 0.99,
    "batch_size": 100,
    "tau": 0.005,
    "train_freq": 1,
    "learning_starts": 0,
    "policy_delay": 2,
    "policy_kwargs": {"net_arch": [400, 300]},
}
EXPLORATION_NOISE, TARGET_NOISE, NOISE_CLIP = 0.1, 0.2, 0.5


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the flags of this script."""
    parser = baseline_parser(__doc__)
    parser.add_argument("--algo", choices=["SAC", "PPO", "TD3"], default="SAC", help="the method; TD3: with --decoder")
    parser.add_argument(
        "--decoder",
        default=None,
        help="act in its embeddings, k steps at once: name of an embedding, published-k4, published-k8, or a decoder.pt",
    )
    parser.add_argument("--source_env", default=None, help="environment the decoder was trained on; without it: --env")
    args = parser.parse_args(argv)
    if args.algo == "TD3" and args.decoder is None:
        raise UsageError("--algo TD3: on raw actions it is rl/main_td3.py: use that, or name a --decoder")
    if args.algo == "PPO" and args.decoder is not None:
        raise UsageError(f"--decoder {args.decoder}: only SAC and TD3 are tried with one: leave it out")
    if args.source_env is not None and args.decoder is None:
        raise UsageError(f"--source_env {args.source_env}: it is that of a --decoder: name one, or leave it out")
    return args


def make_model(
    args: argparse.Namespace,
    env: gymnasium.Env,
    actions: ActionSpace,
    seed: int,
    device: torch.device,
) -> tuple["BaseAlgorithm", Normalise]:
    """A model of stable-baselines3, and the function that normalises its observations.

    Args:
        env: a gymnasium environment, of raw actions.
        actions: the space that it acts in: raw actions, or the embeddings of a decoder.
    """
    import stable_baselines3
    from stable_baselines3.common.noise import NormalActionNoise
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    common: dict[str, Any] = {"seed": int(stream(seed, "stable-baselines3").integers(2**31)), "device": device}
    if args.algo == "PPO":
        vectors = VecNormalize(DummyVecEnv([lambda: env]), gamma=PPO["gamma"])
        return stable_baselines3.PPO("MlpPolicy", vectors, **PPO, **common), cast(Normalise, vectors.normalize_obs)
    settings = {"SAC": SAC, "TD3": TD3}[args.algo]
    discount, starts = settings["gamma"], settings["learning_starts"]
    if args.decoder:
        assert isinstance(actions, DynEActions)
        env = DynEActionSpace(
            env, actions.decoder, discount, normalised=False
        )  # as published: scaling rounds otherwise
    more = {
        "buffer_size": replay_rows(args),
        "gamma": discount**actions.k,
        "gradient_steps": actions.k,
        "learning_starts": starts // actions.k,
    }
    if args.algo == "TD3":
        zeros, width = np.zeros(actions.dim), np.full(actions.dim, EXPLORATION_NOISE)
        more |= {"action_noise": NormalActionNoise(zeros, width), "target_policy_noise": TARGET_NOISE / actions.k}
        more["target_noise_clip"] = NOISE_CLIP / float(actions.scale[0])
    algorithm = getattr(stable_baselines3, args.algo)
    return algorithm("MlpPolicy", DummyVecEnv([lambda: env]), **settings | more, **common), lambda states: states


def make_learner(baseline: Baseline, env: BaselineEnv, seed: int) -> SB3Learner:
    """What trains one seed in `env`."""
    model, normalise = make_model(baseline.args, env, baseline.actions, seed, baseline.device)
    return SB3Learner(model, normalise, env, baseline.actions)


def choose_actions(args: argparse.Namespace, env: gymnasium.Env) -> ActionSpace:
    """The space that `--decoder` names; raises `UsageError` as `embedding.trained.load_decoder` does."""
    space = cast(Box, env.action_space)
    low, high = space.low, space.high
    return DynEActions(load_decoder(args, env), low, high) if args.decoder else RawActions(low, high)


def method_of(args: argparse.Namespace) -> str:
    """What the results of these flags are called."""
    return args.algo + ("-plans" if args.decoder else "")


def main() -> None:
    args = parse()
    train_all(args, method_of(args), make_learner, SB3Learner.row_width, lambda env: choose_actions(args, env))


if __name__ == "__main__":
    run(main)
