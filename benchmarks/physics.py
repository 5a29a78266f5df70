"""How closely the tasks follow trajectories of the original simulator: the table of docs/physics.md.

    python benchmarks/physics.py

Each task has four recorded episodes of random actions and four of actions that are held (tests/data/recorded). They are
replayed from their recorded starts, and every one of their steps alone from its recorded state.
"""

import sys
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import gymnasium
import numpy as np

import envs  # noqa: F401  (registers the tasks)
from common.cli import Parser, run
from common.paths import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests" / "support"))
from envs_recorded import IDS, KINDS, Recording, recordings  # type: ignore[import-not-found]

HEADER = [
    "task",
    "actions",
    "after 100 steps: episode by episode",
    "worst of its single steps",
    "steps off by more than 1e-9",
]
OFF = 1e-9  # the error from which on a single step counts as off


def replayed(env: gymnasium.Env, recorded: Recording) -> float:
    """The largest error of the observation after the last step of an episode."""
    observation, _ = env.reset(options=recorded.start())
    for action in recorded.actions:
        observation, *_ = env.step(action)
    return float(np.abs(observation - recorded.obs[-1]).max())


def single_steps(env: gymnasium.Env, recorded: Recording) -> np.ndarray:
    """The largest error of the observation after each step, (100,), taken from the recorded state before it."""
    errors = []
    for step, action in enumerate(recorded.actions):
        env.reset(options=recorded.start(step))
        observation, *_ = env.step(action)
        errors.append(np.abs(observation - recorded.obs[step + 1]).max())
    return np.array(errors)


def rows() -> list[list[str]]:
    """The table, a row a task and kind of actions."""
    found = []
    for env_id in IDS:
        env = gymnasium.make(env_id).unwrapped
        for kind in KINDS:
            episodes = recordings(env_id, kind)
            ends = " ".join(f"{error:.0e}" for error in sorted(replayed(env, one) for one in episodes))
            alone = np.concatenate([single_steps(env, one) for one in episodes])
            found.append([env_id, kind, ends, f"{alone.max():.0e}", f"{(alone > OFF).sum()} of {len(alone)}"])
    return found


def main() -> None:
    Parser(__doc__).parse_args()
    for line in [HEADER, ["---"] * len(HEADER), *rows()]:
        print(f"| {' | '.join(line)} |")


if __name__ == "__main__":
    run(main)
