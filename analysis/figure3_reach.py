"""Figure 3: how far uniformly random policies get, with DynE actions, with raw ones and with held ones.

    python analysis/figure3_reach.py results/published/embeddings/ReacherVertical-v2/k4

plays random episodes of three kinds (z uniform within max_embedding, a new one every k steps; raw actions uniform within
the bounds; raw actions that are held for k steps, a control that the paper does not have) and writes histograms of the distance between the joints' positions and where they began: after the
first k steps, and of all states of an episode. Prints medians and 95th percentiles. In MuJoCo the plain distance of
positions (radians, metres) is taken: velocities have other units; elsewhere that of whole observations.
"""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import gymnasium
import numpy as np
import pandas as pd
import torch

from analysis.random_plans import KINDS, add_figure_flags, play_plans, positions_of, random_plans
from common.cli import Parser, positive_int, run
from common.environments import require_time_limit, time_limit
from common.progress import Progress
from common.provenance import check_table, notes, typed_command, write_table
from common.streams import reset_seed, stream
from embedding.decoder import ActionDecoder
from embedding.random_play import check_finite
from embedding.trained import environment_of, load_embedding

BINS = 40
COLUMNS = ["env", "k", "actions", "horizon", "low", "high", "share"]


def distances(
    env: gymnasium.Env, decoder: ActionDecoder, episodes: int, seed: int, kind: str, progress: Callable[[int], object]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances from the start, of positions: after the first plan (E,), and of every state after it (E * T,)."""
    rng = stream(seed, "reach: plans", KINDS.index(kind))
    limit = time_limit(env)
    assert limit is not None
    count = -(-limit // decoder.k)
    first, whole = [], []
    for episode in range(episodes):
        plans = random_plans(decoder, env, count, rng, kind)
        states = positions_of(env, play_plans(env, plans, reset_seed(seed, "reach", episode)))
        check_finite(env, states)
        away = np.linalg.norm(states - states[0], axis=1)
        first.append(away[min(decoder.k, len(away) - 1)])
        whole.append(away[1:])
        progress(1)
    return np.array(first), np.concatenate(whole)


def histograms(found: Mapping[str, tuple[np.ndarray, np.ndarray]], env_id: str, k: int) -> pd.DataFrame:
    """A frame of `COLUMNS`: for each horizon and action space the share of distances in each of `BINS` bins."""
    rows = []
    for place, horizon in enumerate((f"{k} steps", "episode")):
        edges = np.linspace(0, max(values[place].max() for values in found.values()), BINS + 1)
        for actions, values in found.items():
            shares = np.histogram(values[place], edges)[0] / len(values[place])
            bins = zip(itertools.pairwise(edges), shares, strict=True)
            rows += [(env_id, k, actions, horizon, *edge, share) for edge, share in bins]
    return pd.DataFrame(rows, columns=COLUMNS)


def main() -> None:
    parser = Parser(__doc__)
    add_figure_flags(parser, "figure3", "")
    parser.add_argument("--episodes", type=positive_int, default=1000, help="episodes of each policy")
    args = parser.parse_args()
    out = check_table(args.out)
    torch.set_num_threads(1)
    decoder, _, _, own = load_embedding(args.folder)
    env = environment_of(args.folder, own, args.env_name, decoder)
    assert env.spec is not None
    require_time_limit(env, f"--env {args.env_name or own}")
    with Progress(len(KINDS) * args.episodes, "playing", "episode") as shown:
        found = {
            name: distances(env, decoder, args.episodes, args.seed, name, shown.update)
            for name in ("DynE", "raw", "held")
        }
    for place, horizon in enumerate((f"after {decoder.k} steps", "over episodes")):
        for name, values in found.items():
            middle, far = np.quantile(values[place], [0.5, 0.95])
            print(f"{horizon}, {name} actions: median distance {middle:.3f}, 95th percentile {far:.3f}")
    told = f"distances of positions from the start, {args.episodes} episodes a policy on {env.spec.id}"
    table = histograms(found, env.spec.id, decoder.k)
    write_table(table, out, notes({"table": told, "command": typed_command()}))
    print(f"{out}: {len(table)} rows")


if __name__ == "__main__":
    run(main)
