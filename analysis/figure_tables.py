"""The tables of the figures that scripts have written, results/figures/*.csv."""

from pathlib import Path

import pandas as pd

from analysis.tasks import VERTICAL, environment
from common.errors import UsageError

COLUMNS = {
    "figure3": ["env", "k", "actions", "horizon", "low", "high", "count", "share"],
    "figure8": ["env", "dx", "dy", "z1", "z2"],
    "figure10": ["env", "actions", "episode", "step", "x", "y"],
    "doing_nothing": ["env", "episodes", "return", "standard_deviation"],
    "values": ["env", "method", "policy_noise", "seed", "steps", "return", "value", "q_min", "q_max"],
}
SHOWN_ON = {
    "figure3": environment(VERTICAL),
    "figure8": "Point-v0",
    "figure10": "PointMass-v0",
}  # in the paper, and published


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
        raise UsageError(
            f"{path}: not the table of {name}: its first line is {','.join(table.columns)}: remove it, and make it anew with its script"
        )
    return table


def load_shown(results: str | Path, name: str) -> pd.DataFrame:
    """The same of a figure of `SHOWN_ON`; raises `UsageError` too if the table is of another environment than the page tells of."""
    table = load(results, name)
    if others := sorted({*map(str, table.env)} - {SHOWN_ON[name]}):
        path = Path(results) / "figures" / f"{name}.csv"
        raise UsageError(
            f"{path}: it is of {', '.join(others)}, {name} is told of {SHOWN_ON[name]}: make it of that one"
        )
    return table
