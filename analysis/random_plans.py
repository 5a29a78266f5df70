"""Random policies in raw, in DynE and in held actions: what the scripts of figures 3, 8 and 10 share."""

import argparse
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from analysis.figure_tables import SHOWN_ON
from common.cli import add_env_flag, non_negative_int
from common.errors import UsageError
from common.paths import RESULTS
from embedding.decoder import ActionDecoder
from embedding.diagnostics import decoded_plans, uniform_plans
from embedding.random_play import is_mujoco, state_reader

STILL = 1e-9  # positions that move less are not moved by plans
FIGURES = RESULTS / "figures"
KINDS = ("raw", "DynE", "held")  # of actions; the number of each gives its random stream


def add_figure_flags(parser: argparse.ArgumentParser, name: str, folder: str) -> None:
    """Adds the flags that these scripts share: the embedding's folder, the environment, the seed, the file to write."""
    parser.add_argument("folder", help=f"folder of an embedding that embedding/main.py wrote{folder}")
    add_env_flag(parser, None, "environment to play; without it: the embedding's own")
    parser.add_argument("--seed", type=non_negative_int, default=0, help="random seed")
    parser.add_argument("--out", default=str(FIGURES / f"{name}.csv"), help="csv file to write")


def check_place(out: Path, name: str, env_id: str) -> None:
    """Raises `UsageError` if the table of a figure would take the place of the published one, of another environment."""
    if env_id != SHOWN_ON[name] and out.resolve() == (FIGURES / f"{name}.csv").resolve():
        raise UsageError(
            f"--out {out}: the {name} there is of {SHOWN_ON[name]}, this one would be of {env_id}: give another --out"
        )


def play_plans(env: gymnasium.Env, plans: np.ndarray, seed: int) -> np.ndarray:
    """Plays plans (P, k, A), one after the other, in an episode; its states (T + 1, S), all that MuJoCo has, or observed."""
    observation, _ = env.reset(seed=seed)
    read = state_reader(env)
    states = [read(observation)]
    for action in np.float32(plans).reshape(-1, plans.shape[-1]):
        observation, _, terminated, truncated, _ = env.step(action)
        states.append(read(observation))
        if terminated or truncated:
            break
    return np.array(states)


def positions_of(env: gymnasium.Env, states: np.ndarray) -> np.ndarray:
    """The part of states (..., S) that is positions: qpos, or all of an observation."""
    unwrapped: Any = env.unwrapped
    return states[..., : unwrapped.model.nq] if is_mujoco(env) else states


def random_plans(
    decoder: ActionDecoder, env: gymnasium.Env, count: int, rng: np.random.Generator, kind: str
) -> np.ndarray:
    """`count` random plans (count, k, A) of one of `KINDS`: of uniform z, of uniform raw actions, or of one held for k steps."""
    assert isinstance(env.action_space, Box)
    low, high = env.action_space.low, env.action_space.high
    if kind == "raw":
        return uniform_plans(rng, count, decoder.k, low, high)
    if kind == "held":
        return uniform_plans(rng, count, 1, low, high).repeat(decoder.k, axis=1)
    z = rng.uniform(-decoder.max_embedding, decoder.max_embedding, (count, decoder.action_dim))
    return decoded_plans(decoder, z, low, high)
