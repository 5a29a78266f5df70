"""Figure 8: the effects of random action sequences on Point, against their places in DynE space.

    python embedding/main.py --env Point-v0
    python analysis/figure8_effects.py results/Point-v0/default

draws action sequences of k steps, writes what each does (s_{t+k} - s_t) and where the encoder places it (mu_a), and
prints how well an affine map explains one by the other: R^2. The paper (appendix C) finds "that the DynE space is an
affine transformation of the effect space".
"""

from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import gymnasium
import numpy as np
import pandas as pd
import torch
from gymnasium.spaces import Box

from analysis.figure_tables import COLUMNS
from analysis.random_plans import STILL, add_figure_flags, check_place, play_plans, positions_of
from common.cli import Parser, positive_int, run
from common.errors import UsageError
from common.memory import require_memory
from common.provenance import check_table, notes, typed_command, write_table
from common.streams import reset_seed, stream
from embedding.decoder import embed_all
from embedding.diagnostics import uniform_plans
from embedding.random_play import check_finite
from embedding.regression import r_squared, ridges
from embedding.trained import environment_of, load_embedding

PLANE = 2  # dimensions that a plot has


def effects(env: gymnasium.Env, plans: np.ndarray, seed: int) -> np.ndarray:
    """s_{t+k} - s_t (n, 2) of positions, of plans (n, k, A), each from a start of its own."""
    found = []
    for number, plan in enumerate(plans):
        states = positions_of(env, play_plans(env, plan[None], reset_seed(seed, "effects", number)))
        found.append(states[-1, :PLANE] - states[0, :PLANE])
    return np.array(found)


def affine_r_squared(inputs: np.ndarray, outputs: np.ndarray) -> float:
    """R^2 of the best affine map from inputs (n, I) to outputs (n, O), over all O together."""
    found = r_squared(inputs, outputs, ridges(inputs, outputs, [0.0])[0])
    return float(1 - ((1 - found) * outputs.var(0)).sum() / outputs.var(0).sum())


def main() -> None:
    parser = Parser(__doc__)
    add_figure_flags(parser, "figure8", ", of two-dimensional actions")
    parser.add_argument("--sequences", type=positive_int, default=2000, help="action sequences drawn")
    args = parser.parse_args()
    out = check_table(args.out, COLUMNS["figure8"])
    torch.set_num_threads(1)
    decoder, encoder, _, own = load_embedding(args.folder)
    env = environment_of(args.folder, own, args.env_name, decoder)
    assert env.spec is not None
    env_id = env.spec.id
    check_place(out, "figure8", env_id)
    if decoder.action_dim != PLANE:
        raise UsageError(
            f"folder {args.folder}: its actions have {decoder.action_dim} numbers: a plane has 2: train on Point-v0"
        )
    if args.sequences < 10:
        raise UsageError(f"--sequences {args.sequences}: an affine map needs more: use at least 10")
    numbers = args.sequences * (decoder.k * PLANE + 2 * PLANE)
    require_memory({f"--sequences {args.sequences}": 3 * 8 * numbers}, torch.device("cpu"))
    assert env.observation_space.shape is not None
    if len(positions_of(env, np.zeros(env.observation_space.shape))) < PLANE:
        raise UsageError(f"folder {args.folder}: {env_id} has no plane of positions: train on Point-v0")
    assert isinstance(env.action_space, Box)
    low, high = env.action_space.low, env.action_space.high
    plans = uniform_plans(stream(args.seed, "effects: plans"), args.sequences, decoder.k, low, high).astype(np.float32)
    moved = effects(env, plans, args.seed)
    check_finite(env, moved)
    placed = embed_all(encoder, torch.from_numpy(plans)).numpy().astype(np.float64)
    for what, numbers in ("positions that actions change", moved), ("places in DynE space", placed):
        if (still := numbers.std(axis=0) < STILL).any():
            ordinal = ("first", "second")[int(still.argmax())]
            raise UsageError(
                f"folder {args.folder}: on {env_id} the {ordinal} number does not differ among {what}: train on Point-v0"
            )
    print(f"{env_id}, {args.sequences} sequences of {decoder.k} actions")
    print(f"effects from places in DynE space, affine: R^2 {affine_r_squared(placed, moved):.4f}")
    print(f"places in DynE space from effects, affine: R^2 {affine_r_squared(moved, placed):.4f}")
    table = pd.DataFrame(np.concatenate([moved, placed], axis=1), columns=COLUMNS["figure8"][1:])
    table.insert(0, "env", env_id)
    told = f"{args.sequences} sequences of {decoder.k} actions on {env_id}, where they lead, z"
    write_table(table, out, notes({"table": told, "command": typed_command()}))
    print(f"{out}: {len(table)} rows")


if __name__ == "__main__":
    run(main)
