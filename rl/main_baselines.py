"""Trains SAC or PPO on states, with stable-baselines3: the baselines of figure 4.

    python rl/main_baselines.py --algo SAC --env_name ReacherVertical-v2 --max_timesteps 100000 --num_seeds 2
    python rl/main_baselines.py --algo PPO --env_name ReacherVertical-v2 --max_timesteps 100000 --num_seeds 2
    python rl/main_baselines.py --algo TD3 --decoder default --env_name ReacherVertical-v2 --max_timesteps 20000

writes results/rl/<env>/<algo>/<name>/seed_<n>/{opt.json, eval.csv, eval.npy, train.csv, model.zip}, of PPO also what it
normalises by, vecnormalize.pkl (both are stable-baselines3's own files, load only those that you trust): evaluations from the
start states that the other methods have. Seeds are trained one after the other; such a run cannot be resumed.

With --decoder SAC or TD3 acts in an embedding space in the simple way (paper, section 3.2): `envs.dyne_actions` makes k
steps one, and the algorithm sees only every k-th state. Steps are counted in the environment's own, there are k updates
for each plan, and the results are those of the method SAC-plans or TD3-plans. A plan that an episode's end cuts short is
discounted as a whole one.

Hyperparameters are those of the authors of each method for MuJoCo. SAC: Haarnoja et al. (arXiv:1812.05905), table 1. PPO:
ppo2 of OpenAI baselines, its settings for MuJoCo (2048 steps, 32 minibatches, 10 epochs, step size 3e-4 falling to 0,
tanh networks of 64-64, observations and rewards normalised by running statistics); ppo2
takes the larger of the clipped and the unclipped value error, stable-baselines3 has only the clipped one. Where a time limit
cuts an episode, stable-baselines3 bootstraps the value of the last state. The step size reaches 0 at --max_timesteps: a longer run begins otherwise.
"""

import argparse
import io
from collections.abc import Callable, Sequence
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
from common.environments import make_env
from common.errors import UsageError
from common.files import put_in_place, write_atomically
from common.progress import Progress
from common.run_folder import RunFolder
from common.streams import stream
from embedding.trained import load_decoder
from envs.dyne_actions import DynEActionSpace
from rl.action_spaces import DynEActions, RawActions
from rl.baselines import baseline_parser, mean_return, replay_rows, require_finite, train_all
from rl.policies import Policies
from rl.protocols import ActionSpace
from rl.results import NOT_MEASURED, SeedResults
from rl.state_spaces import ObservedStates

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
    parser.add_argument("--source_env", default=None, help="environment the decoder was trained on; none: --env_name")
    args = parser.parse_args(argv)
    if args.algo == "TD3" and args.decoder is None:
        raise UsageError("--algo TD3: on raw actions it is rl/main_td3.py: use that, or name a --decoder")
    if args.algo == "PPO" and args.decoder is not None:
        raise UsageError(f"--decoder {args.decoder}: only SAC and TD3 are tried with one: leave it out")
    if args.source_env is not None and args.decoder is None:
        raise UsageError(f"--source_env {args.source_env}: it is that of a --decoder: name one, or leave it out")
    return args


def greedy(
    model: "BaseAlgorithm", env: gymnasium.Env, actions: ActionSpace, normalise: Callable[[np.ndarray], np.ndarray]
) -> Policies:
    """The `Policies` of one seed: a model without noise.

    Args:
        model: of stable-baselines3.
        env: the environment that it acts in.
        actions: its action space (`rl.action_spaces`).
        normalise: observations (N, S) to what the model sees.
    """

    def act(states: np.ndarray, due: np.ndarray) -> np.ndarray:
        """States (N, S) to actions (N, D)."""
        return model.predict(normalise(states), deterministic=True)[0]

    return Policies(ObservedStates(cast(Box, env.observation_space).shape[0]), actions, act)


def make_model(
    args: argparse.Namespace,
    env: gymnasium.Env,
    actions: ActionSpace,
    seed: int,
    device: torch.device,
) -> tuple["BaseAlgorithm", Callable[[np.ndarray], np.ndarray]]:
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
        normalise = cast(Callable[[np.ndarray], np.ndarray], vectors.normalize_obs)
        return stable_baselines3.PPO("MlpPolicy", vectors, **PPO, **common), normalise
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
    return algorithm("MlpPolicy", env, **settings | more, **common), lambda states: states


def train_seed(
    args: argparse.Namespace,
    env: gymnasium.Env,
    eval_env: gymnasium.Env,
    seed: int,
    folder: RunFolder,
    device: torch.device,
) -> None:
    """Trains one seed into its locked folder."""
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.monitor import Monitor

    assert env.spec is not None
    results = SeedResults(folder.path)
    results.begin()
    monitored, actions = Monitor(env), choose_actions(args, env)
    model, normalise = make_model(args, monitored, actions, seed, device)
    policies, number, steps = greedy(model, eval_env, actions, normalise), 0, 0

    class Evaluations(BaseCallback):
        """Counts the environment's steps, evaluates every `--eval_freq` of them, and notes episodes as they end."""

        def _on_training_start(self) -> None:
            self.look()

        def _on_step(self) -> bool:
            nonlocal steps
            before, (info,) = steps, self.locals["infos"]
            steps += info.get("steps", 1)
            shown.update(steps - before)
            if "episode" in info:
                row = (steps, info["episode"]["r"], info["episode"]["l"])
                results.add_episodes(len(monitored.get_episode_rewards()), [row], NOT_MEASURED)
            if steps // args.eval_freq > before // args.eval_freq:
                self.look()
            return steps < args.max_timesteps

        def look(self) -> None:
            nonlocal number
            mean = mean_return(policies, eval_env, seed, number, args.eval_episodes)
            results.add_evaluation(len(monitored.get_episode_rewards()), steps, mean)
            number += 1
            shown.note(f"return {mean:.1f}")

    label = f"{method_of(args)} {env.spec.id} seed {seed}"
    with Progress(args.max_timesteps, label, "step") as shown:
        try:
            model.learn(args.max_timesteps, callback=Evaluations())
        except ValueError:  # torch's distributions refuse what is not finite
            require_finite(model.policy.parameters(), seed, steps)
            raise
    require_finite(model.policy.parameters(), seed, steps)
    if vectors := model.get_vec_normalize_env():
        with put_in_place(folder.path / "vecnormalize.pkl") as temporary:
            vectors.save(str(temporary))
    whole = io.BytesIO()
    model.save(whole)
    write_atomically(folder.path / "model.zip", lambda file: file.write(whole.getbuffer()))  # the last: it is finished
    results.close()


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
    if args.decoder:
        choose_actions(args, make_env(args.env_name))  # before anything is written
    train_all(args, method_of(args), train_seed)


if __name__ == "__main__":
    run(main)
