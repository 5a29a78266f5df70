"""Figure 3: how far uniformly random policies get, with DynE actions, with raw ones and with held ones.

    python analysis/figure3_reach.py results/published/embeddings/ReacherVertical-v2/k4

plays random episodes of three kinds (z uniform within max_embedding, a new one every k steps; raw actions uniform within
the bounds; raw actions that are held for k steps, a control that the paper does not have) and writes histograms of the
distance between the joints' positions and where they began: after the first k steps, and of all states of an episode.
Beside them, where two positions move, those of places that are spread evenly over what can be reached in k steps from the
same starts (`analysis.evenness`). Prints medians and 95th percentiles. In MuJoCo the plain distance of positions (radians,
metres) is taken: velocities have other units; elsewhere that of whole observations.
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
from gymnasium.spaces import Box

from analysis.evenness import EVEN, convex_hull, even_places
from analysis.figure_tables import COLUMNS
from analysis.random_plans import KINDS, STILL, add_figure_flags, check_place, play_plans, positions_of, random_plans
from common.cli import Parser, run
from common.environments import require_time_limit, time_limit
from common.memory import require_memory
from common.progress import Progress
from common.provenance import check_table, notes, typed_command, write_table
from common.streams import reset_seed, stream
from embedding.decoder import ActionDecoder
from embedding.diagnostics import Start, outcomes, reference_plans
from embedding.random_play import check_finite, is_open_loop
from embedding.trained import environment_of, load_embedding
from rl.flags import episode_count

BINS = 40
PLANS = 1_000  # from each start, whose ends tell what can be reached
PLACES = 100  # spread evenly over it


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


def even_distances(
    env: gymnasium.Env, k: int, episodes: int, seed: int, progress: Callable[[int], object]
) -> np.ndarray | None:
    """Distances (E * `PLACES`,) of places that are spread evenly over what can be reached in k steps, from the starts of `distances`.

    None if it is not two positions that move, or the environment is none of MuJoCo's that its state determines.
    """
    if not is_open_loop(env):
        return None
    assert isinstance(env.action_space, Box)
    rng, bounds = stream(seed, "reach: even places"), (env.action_space.low, env.action_space.high)
    found = []
    for episode in range(episodes):
        start = Start(reset_seed(seed, "reach", episode), np.empty((0, *env.action_space.shape)))
        moved = positions_of(env, outcomes(env, start, reference_plans(rng, PLANS, k, *bounds)))
        moved = moved[:, np.abs(moved).max(axis=0) > STILL]
        if moved.shape[1] != 2:
            return None
        found.append(np.linalg.norm(even_places(rng, convex_hull(moved), PLACES), axis=1))
        progress(1)
    return np.concatenate(found)


def histograms(found: Mapping[str, tuple[np.ndarray, ...]], env_id: str, k: int) -> pd.DataFrame:
    """For each horizon and action space, how many distances there are, and the share of them in each of `BINS` bins.

    Args:
        found: {kind of actions: distances after k steps, and those of episodes where there are any}.
    """
    rows = []
    for place, horizon in enumerate((f"{k} steps", "episode")):
        of_horizon = {actions: values for actions, values in found.items() if place < len(values)}
        edges = np.linspace(0, max(values[place].max() for values in of_horizon.values()), BINS + 1)
        for actions, values in of_horizon.items():
            count = len(values[place])
            bins = zip(itertools.pairwise(edges), np.histogram(values[place], edges)[0] / count, strict=True)
            rows += [(env_id, k, actions, horizon, *edge, count, share) for edge, share in bins]
    return pd.DataFrame(rows, columns=COLUMNS["figure3"])


def called(kind: str) -> str:
    """What a kind of actions is called: DynE actions; `EVEN` is of places."""
    return f"places {EVEN}" if kind == EVEN else f"{kind} actions"


def main() -> None:
    parser = Parser(__doc__)
    add_figure_flags(parser, "figure3", "")
    parser.add_argument("--episodes", type=episode_count, default=1000, help="episodes of each policy")
    args = parser.parse_args()
    out = check_table(args.out, COLUMNS["figure3"])
    torch.set_num_threads(1)
    decoder, _, _, own = load_embedding(args.folder)
    env = environment_of(args.folder, own, args.env_name, decoder)
    assert env.spec is not None
    check_place(out, "figure3", env.spec.id)
    require_time_limit(env, f"--env {args.env_name or own}")
    distances_kept = args.episodes * (len(KINDS) * (time_limit(env) or 0) + PLACES)
    require_memory(
        {f"--episodes {args.episodes}": 3 * 8 * distances_kept}, torch.device("cpu")
    )  # in parts, joined, sorted
    found: dict[str, tuple[np.ndarray, ...]] = {}
    with Progress(len(KINDS) * args.episodes, "playing", "episode") as progress:
        for name in ("DynE", "raw", "held"):
            found[name] = distances(env, decoder, args.episodes, args.seed, name, progress.update)
    with Progress(args.episodes, "spreading places evenly", "start") as progress:
        even = even_distances(env, decoder.k, args.episodes, args.seed, progress.update)
    if even is None:
        print(f"{env.spec.id}: not two positions that move alone: there is no sample of places that are spread evenly")
    else:
        found[EVEN] = (even,)
    for place, horizon in enumerate((f"after {decoder.k} steps", "over episodes")):
        for name, values in found.items():
            if place < len(values):
                middle, far = np.quantile(values[place], [0.5, 0.95])
                print(f"{horizon}, {called(name)}: median distance {middle:.3f}, 95th percentile {far:.3f}")
    told = f"distances of positions from the start, {args.episodes} episodes a policy on {env.spec.id}"
    table = histograms(found, env.spec.id, decoder.k)
    write_table(table, out, notes({"table": told, "command": typed_command()}))
    print(f"{out}: {len(table)} rows")


if __name__ == "__main__":
    run(main)
