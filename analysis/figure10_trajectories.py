"""Figure 10: where ten random episodes go on PointMass, with raw actions, with DynE's, and with raw ones held for k steps.

    python embedding/main.py --env PointMass-v0
    python analysis/figure10_trajectories.py results/PointMass-v0/default

writes the positions of every step, and prints how far from their starts the episodes get.
"""

from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import gymnasium
import numpy as np
import pandas as pd
import torch

from analysis.figure_tables import COLUMNS
from analysis.random_plans import KINDS, add_figure_flags, check_place, play_plans, positions_of, random_plans
from analysis.wording import counted
from common.cli import Parser, run
from common.environments import time_limit
from common.errors import UsageError
from common.memory import require_memory
from common.provenance import check_table, notes, typed_command, write_table
from common.streams import reset_seed, stream
from embedding.decoder import ActionDecoder
from embedding.random_play import check_finite
from embedding.trained import environment_of, load_embedding
from rl.flags import episode_count

ROW = 500  # bytes that a step takes, as a row of the table and as its text


def trajectories(env: gymnasium.Env, decoder: ActionDecoder, episodes: int, seed: int) -> dict[str, list[np.ndarray]]:
    """{actions: list of (T + 1, 2) positions}, of random episodes of each kind, from the same starts."""
    limit = time_limit(env)
    assert limit is not None
    count = -(-limit // decoder.k)
    found: dict[str, list[np.ndarray]] = {}
    for number, name in enumerate(KINDS):
        rng = stream(seed, "trajectories: plans", number)
        found[name] = []
        for episode in range(episodes):
            plans = random_plans(decoder, env, count, rng, name)
            states = play_plans(env, plans, reset_seed(seed, "trajectories", episode))
            found[name].append(positions_of(env, states)[:, :2].copy())
    return found


def main() -> None:
    parser = Parser(__doc__)
    add_figure_flags(parser, "figure10", "")
    parser.add_argument("--episodes", type=episode_count, default=10, help="episodes of each policy")
    args = parser.parse_args()
    out = check_table(args.out, COLUMNS["figure10"])
    torch.set_num_threads(1)
    decoder, _, _, own = load_embedding(args.folder)
    env = environment_of(args.folder, own, args.env_name, decoder)
    assert env.observation_space.shape is not None and env.spec is not None
    env_id = env.spec.id
    check_place(out, "figure10", env_id)
    limit = time_limit(env)
    if limit is None or len(positions_of(env, np.zeros(env.observation_space.shape))) < 2:
        raise UsageError(
            f"folder {args.folder}: {env_id} has no limit, or no plane of positions: train on PointMass-v0"
        )
    steps = len(KINDS) * args.episodes * (limit + 1)
    require_memory({f"--episodes {args.episodes}": ROW * steps}, torch.device("cpu"))
    rows = []
    for name, paths in trajectories(env, decoder, args.episodes, args.seed).items():
        for path in paths:
            check_finite(env, path)
        farthest = [np.linalg.norm(path - path[0], axis=1).max() for path in paths]
        print(
            f"{env_id}, {name} actions: farthest from the start, mean of {counted(len(paths), 'episode')}: {np.mean(farthest):.2f}"
        )
        rows += [(env_id, name, n, t, x, y) for n, path in enumerate(paths) for t, (x, y) in enumerate(path)]
    table = pd.DataFrame(rows, columns=COLUMNS["figure10"])
    told = f"positions along {counted(args.episodes, 'episode')} of each random policy on {env_id}"
    write_table(table, out, notes({"table": told, "command": typed_command()}))
    print(f"{out}: {len(table)} rows")


if __name__ == "__main__":
    run(main)
