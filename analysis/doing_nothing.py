"""What doing nothing returns: a reference that a policy must be above to have learned something.

    python analysis/doing_nothing.py ReacherPush-v2 Pusher-v2

plays whole episodes of each environment in which every action is the middle of its bounds, and writes the mean and the
standard deviation of their returns. A policy that was not trained yet may be far worse: on ReacherPush it knocks the box away.
"""

from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import math

import gymnasium
import numpy as np
import pandas as pd

from analysis.figure_tables import COLUMNS
from common.cli import Parser, non_negative_int, run
from common.environments import make_env, require_time_limit
from common.errors import UsageError
from common.paths import RESULTS
from common.progress import Progress
from common.provenance import check_table, notes, typed_command, write_table
from common.streams import reset_seed
from rl.evaluation import play
from rl.flags import episode_count


class DoNothing:
    """The policy whose action (A,) is always the middle of the bounds."""

    def __init__(self, space: gymnasium.spaces.Box) -> None:
        self.action = ((space.low.astype(np.float64) + space.high) / 2).astype(np.float32)

    def reset(self) -> None:
        """It remembers nothing."""

    def select_action(self, observation: np.ndarray) -> np.ndarray:
        """The same for every observation (S,)."""
        return self.action


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("envs", nargs="+", help="gymnasium ids, or module:id")
    parser.add_argument("--episodes", type=episode_count, default=1000, help="episodes of each")
    parser.add_argument("--seed", type=non_negative_int, default=0, help="random seed")
    parser.add_argument("--out", default=str(RESULTS / "figures" / "doing_nothing.csv"), help="csv file to write")
    args = parser.parse_args()
    out = check_table(args.out, COLUMNS["doing_nothing"])
    envs = {name: make_env(name, "envs") for name in args.envs}
    for name, env in envs.items():
        require_time_limit(env, f"envs {name}")
    ids = [env.spec.id for env in envs.values() if env.spec is not None]
    if twice := [name for name in args.envs if args.envs.count(name) > 1] or [one for one in ids if ids.count(one) > 1]:
        raise UsageError(f"envs {twice[0]}: it is named twice, or by two modules: name it once")
    rows = []
    for name, env in envs.items():
        assert isinstance(env.action_space, gymnasium.spaces.Box) and env.spec is not None
        policy, returns = DoNothing(env.action_space), np.empty(args.episodes)
        with Progress(args.episodes, env.spec.id, "episode") as progress:
            for episode in range(args.episodes):
                returns[episode] = play(policy, env, reset_seed(args.seed, "doing nothing", episode))
                if not np.isfinite(returns[episode]):
                    raise UsageError(f"envs {name}: its observations or rewards are not all finite: mend it")
                progress.update()
        spread = returns.std(ddof=1) if args.episodes > 1 else math.nan
        rows.append((env.spec.id, args.episodes, returns.mean(), spread))
        error = f", standard error {spread / args.episodes**0.5:.2g}" if args.episodes > 1 else ""
        print(f"{env.spec.id}: doing nothing returns {returns.mean():.4g}{error}")
    text = f"returns of {args.episodes} episodes whose actions are all the middle of the bounds"
    table = pd.DataFrame(rows, columns=COLUMNS["doing_nothing"])
    write_table(table, out, notes({"table": text, "command": typed_command()}))
    print(f"{out}: {len(table)} rows")


if __name__ == "__main__":
    run(main)
