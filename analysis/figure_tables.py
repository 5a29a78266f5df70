"""The tables of the figures that scripts have written, results/figures/*.csv."""

from pathlib import Path

import pandas as pd

from common.errors import UsageError

COLUMNS = {
    "figure3": ["env", "k", "actions", "horizon", "low", "high", "count", "share"],
    "figure8": ["dx", "dy", "z1", "z2"],
    "figure10": ["actions", "episode", "step", "x", "y"],
    "doing_nothing": ["env", "episodes", "return", "standard_deviation"],
    "values": ["env", "method", "policy_noise", "seed", "steps", "return", "value", "q_min", "q_max"],
}


def doing_nothing(results: str | Path) -> dict[str, float]:
    """{environment: the mean return of doing nothing} (analysis/doing_nothing.py); nothing where there is no such table."""
    if not (Path(results) / "figures" / "doing_nothing.csv").exists():
        return {}
    table = load(results, "doing_nothing")
    return dict(zip(table["env"], table["return"], strict=True))


def load(results: str | Path, name: str) -> pd.DataFrame:
    """The table of a figure, `results`/figures/<name>.csv; raises `UsageError` if there is none."""
    path = Path(results) / "figures" / f"{name}.csv"
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {name} has not been run yet, or its table is damaged ({error})") from error
    if list(table.columns) != COLUMNS[name] or not len(table):
        raise UsageError(f"{path}: not the table of {name}: its first line is {','.join(table.columns)}")
    return table
