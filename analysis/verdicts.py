"""What runs say of a claim of the paper: the words of the table that opens the results page."""

import pandas as pd

from analysis.curves import FEW
from analysis.report_data import (
    AHEAD,
    count,
    mostly,
    seeds_of,
    steps_of,
)

NOT_RUN, NOT_IN_THE_PAPER = "not run yet", "not in the paper"
FAILED = "**does not reproduce** in the steps run"
LIKELY, OPEN, PARTLY = "points the same way, not settled", "not settled", "differs from method to method"


def verdict(found: tuple[float, float, float], few: bool) -> str:
    """What a probability of a better run and its interval say of a claim that runs are better.

    Args:
        few: whether there are too few seeds for an interval.
    """
    value, low, high = found
    if few:
        return LIKELY if value >= AHEAD else OPEN if value > 1 - AHEAD else FAILED
    return "reproduces" if low > 0.5 else FAILED if high < 0.5 else OPEN


def amount(series: dict[str, pd.DataFrame]) -> str:
    """The seeds and steps of series: those that most have, and in brackets the others'; one by one if all differ."""
    many = mostly({name: f"{seeds_of(one)}" for name, one in series.items()}, "seeds")
    return f"{many}, {mostly({name: count(steps_of(one)) for name, one in series.items()}, 'steps')}"


def few_seeds(*series: pd.DataFrame) -> bool:
    return min(map(seeds_of, series)) < FEW
