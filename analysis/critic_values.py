"""What critics say while the returns of a run fall: their values, and the range of these, beside the returns of training.

    python analysis/critic_values.py results/rl/Thrower-v2/DynE-TD3/default --out results/figures/values.csv

reads the `train.csv` of every seed of the runs, and writes for every span of `SPAN` steps, the last one up to the last episode,
the mean return of the episodes of training, the mean of Q_1(s, mu(s)), and the least and the largest value of both critics on
the last batches of these episodes' blocks. Values are discounted sums of rewards without end; with gamma = 0.99 and episodes of
100 steps their scale is that of returns.
"""

from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import pandas as pd

from analysis.curves import names_of, seed_files
from analysis.figure_tables import COLUMNS
from analysis.finished_seeds import load_flags
from analysis.tables import read_csv
from common.cli import Parser, positive_int, run
from common.errors import UsageError
from common.paths import RESULTS
from common.provenance import check_table, notes, typed_command, write_table
from rl.results import TRAIN_COLUMNS

SPAN = 2_000  # steps
AGGREGATES = {
    "episode_return": ("return", "mean"),
    "value": ("value", "mean"),
    "q_min": ("q_min", "min"),
    "q_max": ("q_max", "max"),
}


def spans(folder: str, until: int | None) -> pd.DataFrame:
    """The rows of one run, as text of the module tells; raises `UsageError` if it has no values."""
    files = seed_files(folder)
    env, method, _ = names_of(folder)
    found, noted = [], []
    for seed, curve in files.items():
        train = read_csv(curve.with_name("train.csv"), TRAIN_COLUMNS, growing=True)[["steps", *AGGREGATES]]
        noted += [train.value]
        train = train.dropna()
        train = train[train.steps <= until] if until else train
        by_span = train.groupby((-(-train.steps // SPAN) * SPAN).clip(upper=train.steps.max()))
        table = by_span.agg(**{name: (column, how) for column, (name, how) in AGGREGATES.items()}).reset_index()
        noise = load_flags(curve).get("policy_noise")
        found.append(table.assign(env=env, method=method, policy_noise=noise, seed=seed))
    if len(values := pd.concat(noted)) and values.isna().all():
        raise UsageError(
            f"{folder}: no critics' values in it, as of {method}: leave it out, or wait for its first updates"
        )
    return pd.concat(found)[COLUMNS["values"]]


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs, results/rl/<env>/<method>/<name>")
    parser.add_argument("--until", type=positive_int, default=None, help="so many steps; without it: all")
    parser.add_argument("--out", default=str(RESULTS / "figures" / "values.csv"), help="csv file to write")
    args = parser.parse_args()
    out = check_table(args.out, COLUMNS["values"])
    table = pd.concat([spans(folder, args.until) for folder in args.runs])
    if not len(table):
        within = f" within --until {args.until}: give more" if args.until else " yet: wait for it"
        raise UsageError(f"runs: no episode of {args.runs[0]} has ended{within}")
    if table.duplicated(["env", "method", "policy_noise", "seed", "steps"]).any():
        raise UsageError(
            "runs: two are of one method, noise and seed, which the table would not tell apart: name one of them"
        )
    told = f"returns of training and critics' values in spans of {SPAN} steps"
    write_table(table, out, notes({"table": told, "command": typed_command()}))
    print(f"{out}: {len(table)} rows")


if __name__ == "__main__":
    run(main)
