"""What the scripts of baselines share: flags, evaluations, and training one seed after the other."""

import argparse
import contextlib
from collections.abc import Callable, Iterable
from typing import cast

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

from common.cli import Parser, add_env_flag, folder_name, non_negative_int, positive_int
from common.devices import choose_device
from common.environments import make_env, require_time_limit, try_a_step
from common.errors import Diverged, EnvironmentFault, RunBroken, one_line
from common.finite import is_finite
from common.memory import require_memory
from common.paths import RESULTS, policy_run, seed_folder
from common.run_folder import RunFolder
from rl.evaluation import evaluate
from rl.policies import Policies
from rl.run_start import check_siblings, one_at_a_time

REPLAY_SIZE = 1_000_000

# Flags, environments to train and to evaluate in, seed, its locked folder, device.
Train = Callable[[argparse.Namespace, gymnasium.Env, gymnasium.Env, int, RunFolder, torch.device], None]


class Guarded(gymnasium.Wrapper):
    """An environment whose `info` is empty, and that stops at what is not finite, before anything can hide it.

    What stands in `info` further out was written there by a wrapper of ours: keys of the environment's own may be those
    of stable-baselines3's Monitor (episode) or of `envs.dyne_actions` (steps). Its `reset` and `step` raise `Diverged`.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.steps = 0  # taken since it was made

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Start an episode: its first observation."""
        observation, _ = self.env.reset(seed=seed, options=options)
        if not is_finite(observation):
            raise Diverged(f"step {self.steps}: the first observation of an episode is not finite: {observation}")
        return observation, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Take a step: observation, reward, terminated, truncated."""
        observation, reward, terminated, truncated, _ = self.env.step(action)
        self.steps += 1
        if not is_finite(observation, reward):
            raise Diverged(f"step {self.steps}: observation {observation} or reward {reward} not finite")
        return observation, float(reward), terminated, truncated, {}


def baseline_parser(description: str | None) -> Parser:
    """A parser with the flags that the scripts of baselines share."""
    parser = Parser(description)
    add_env_flag(parser)
    parser.add_argument("--name", type=folder_name, default="default", help="name of this run")
    parser.add_argument("--num_seeds", type=positive_int, default=1, help="seeds trained one after the other")
    parser.add_argument("--max_timesteps", type=positive_int, default=1_000_000, help="steps a seed")
    parser.add_argument("--eval_freq", type=positive_int, default=1000, help="steps between evaluations")
    parser.add_argument("--eval_episodes", type=positive_int, default=10, help="episodes an evaluation")
    parser.add_argument("--seed", type=non_negative_int, default=0, help="first random seed")
    parser.add_argument("--results_dir", default=str(RESULTS), help="folder that results are written to")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing run of the same name")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:<n>, or auto: cuda where there is one")
    parser.add_argument("--threads", type=positive_int, default=1, help="torch threads; more pay only on idle cores")
    return parser


def mean_return(policies: Policies, env: gymnasium.Env, seed: int, number: int, episodes: int) -> float:
    """The mean return of an evaluation, the `number`-th of `seed`'s run; raises `Diverged` if it is not finite."""
    mean = float(np.mean(evaluate(policies, [env], [seed], [number], episodes)))
    if not np.isfinite(mean):
        raise Diverged(f"evaluation {number}: return not finite")
    return mean


def require_finite(weights: Iterable[torch.Tensor], seed: int, step: int) -> None:
    """Raises `Diverged` unless all weights of a seed, as they are after so many steps, are finite."""
    if not all(torch.isfinite(weight).all() for weight in weights):
        raise Diverged(f"seed {seed}, step {step}: weights not finite")


def replay_rows(args: argparse.Namespace) -> int:
    """How many steps a replay can come to hold."""
    return min(args.max_timesteps, REPLAY_SIZE)


def train_all(args: argparse.Namespace, method: str, train: Train) -> None:
    """Trains the seeds of a baseline one after the other.

    Args:
        args: the script's flags.
        method: what it is called in results.
        train: a function like `train_seed`.
    Raises:
        UsageError: the environment has no time limit, memory is short, or a folder cannot be used; nothing was written.
        Diverged: at the end, if seeds were given up on the way.
    """
    device = choose_device(args.device, args.threads)
    env: gymnasium.Env = make_env(args.env_name)
    eval_env: gymnasium.Env = make_env(args.env_name)
    require_time_limit(env, f"--env_name {args.env_name}")
    try_a_step(args.env_name)
    assert env.spec is not None
    rows, space = 0 if method == "PPO" else replay_rows(args), cast(Box, env.observation_space)
    bytes_a_row = 2 * space.dtype.itemsize * space.shape[0] + 4 * (cast(Box, env.action_space).shape[0] + 3)
    parts = {
        f"--max_timesteps {args.max_timesteps}: {rows} rows of replay": rows * bytes_a_row,
        f"--num_seeds {args.num_seeds}": 10_000 * args.num_seeds,  # their folders
        f"--eval_episodes {args.eval_episodes}": 16 * args.eval_episodes,
    }
    require_memory(parts, torch.device("cpu"))
    parent = policy_run(args.results_dir, env.spec.id, method, args.name)
    seeds = range(args.seed, args.seed + args.num_seeds)
    folders = [RunFolder(seed_folder(parent, seed), "run", resumable=False) for seed in seeds]
    for folder in folders:
        folder.check(False, args.overwrite)
    print(f"{env.spec.id}: {method}, {args.num_seeds} seeds, on {device}, into {parent}")
    faults = []
    with contextlib.ExitStack() as held:
        with one_at_a_time(parent), contextlib.ExitStack() as taken:
            for folder in folders:
                folder.lock(empty=not args.overwrite)
                taken.callback(folder.release)
            check_siblings(parent, [folder.path for folder in folders], {**vars(args), "num_seeds": 1})
            for seed, folder in zip(seeds, folders, strict=True):
                folder.resolved = {"device": str(device), "seeds": list(seeds)}
                folder.begin({**vars(args), "seed": seed, "num_seeds": 1})
            held.enter_context(taken.pop_all())
        for seed, folder in zip(seeds, folders, strict=True):
            try:
                train(args, Guarded(env), eval_env, seed, folder, device)
            except Diverged as error:
                reason = one_line(error) if str(error).startswith("seed ") else f"seed {seed}, {one_line(error)}"
                folder.fail(reason)
                faults.append(reason)
                print(f"seed {seed} is given up: {reason}")
            except EnvironmentFault as error:
                folder.fail(error)
                raise RunBroken(f"{error}; the run cannot be resumed: start over with --overwrite") from error
    if faults:
        raise Diverged("; ".join(faults))
