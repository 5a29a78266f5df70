"""What runs say of a claim of the paper: the words of the table that opens the results page."""

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from analysis.comparisons import AHEAD, better, finals, on_the_way, seeds_of, standing, steps_of
from analysis.curves import FEW
from analysis.estimates import interval, last_tenth, mean_probability
from analysis.report_data import Data
from analysis.report_references import LEARNED, above_references
from analysis.wording import count, mostly, number
from common.errors import UsageError

NOT_RUN, NOT_IN_THE_PAPER = "not run yet", "not in the paper"
FAILED, AGAINST = "**does not reproduce** in the steps run", "**points the other way**, not settled"
LIKELY, OPEN, PARTLY = "points the same way, not settled", "not settled", "differs from method to method"


def verdict(found: tuple[float, float, float], few: bool) -> str:
    """What a probability of a better run and its interval say of a claim that runs are better.

    Args:
        few: whether there are too few seeds for an interval.
    """
    value, low, high = found
    if few:
        return LIKELY if value >= AHEAD else OPEN if value > 1 - AHEAD else AGAINST
    return "reproduces" if low > 0.5 else FAILED if high < 0.5 else OPEN


def amount(series: dict[str, pd.DataFrame]) -> str:
    """The seeds and steps of series: those that most have, and in brackets the others'; one by one if all differ."""
    many = mostly({name: f"{seeds_of(one)}" for name, one in series.items()}, "seeds")
    return f"{many}, {mostly({name: count(steps_of(one)) for name, one in series.items()}, 'steps')}"


def few_seeds(*series: pd.DataFrame) -> bool:
    """Whether a series has too few seeds for an interval."""
    return min(map(seeds_of, series)) < FEW


class Comparison(NamedTuple):
    """How one method stands to another one on a task.

    Attributes:
        ends, means: both methods' mean returns, over the last tenth of the steps that both have and over all of them.
        at_the_end, over_all: `better` of the same.
        learned: whether one of them ends clearly above policies that were not trained, and above doing nothing.
        one_evaluation: whether a seed has a single evaluation in the last tenth.
        few: whether there are too few seeds for an interval.
    """

    ends: str
    means: str
    at_the_end: tuple[float, float, float]
    over_all: tuple[float, float, float]
    learned: bool
    one_evaluation: bool
    few: bool

    @property
    def differs(self) -> bool:
        """Whether the end and the mean over all steps say different things."""
        return standing(self.at_the_end) != standing(self.over_all)

    @property
    def claim(self) -> str:
        """What this says of a claim that the first method is better."""
        settles = self.learned and not self.one_evaluation and not self.differs
        return verdict(self.at_the_end, self.few) if settles else OPEN


def compare(data: Data, task: str, one: pd.DataFrame, other: pd.DataFrame) -> Comparison:
    """Compares two series of a task; raises `UsageError` if they share no steps."""
    ours, theirs, _ = finals(one, other)
    all_along = on_the_way(one, other)
    if not len(all_along[0]):
        raise UsageError("the curves share no steps but those before training")
    ends, means = (" against ".join(number(of.mean()) for of in pair) for pair in ((ours, theirs), all_along))
    learned = max(above_references(data, task, of) for of in (ours, theirs)) >= LEARNED
    one_evaluation = min(part.steps.nunique() for part in last_tenth(one, other)) == 1
    few = few_seeds(one, other)
    return Comparison(ends, means, better(ours, theirs), better(*all_along), learned, one_evaluation, few)


def over_tasks(pairs: Iterable[tuple[pd.DataFrame, pd.DataFrame]]) -> tuple[str, float]:
    """What series of two methods, a pair a task, say of a claim that the first is better, and the mean probability of that at the end."""
    pairs = [*pairs]
    ends = [finals(*pair)[:2] for pair in pairs]
    ours, theirs = ([values.to_numpy() for values in of] for of in zip(*ends, strict=True))
    found = interval(mean_probability, ours, theirs)
    return verdict(found, few_seeds(*(one for pair in pairs for one in pair))), found[0]


def of_all(claims: Iterable[str]) -> str:
    """The verdict that several have in common; not settled, if there is none."""
    found = {*claims}
    return PARTLY if len(found) > 1 else found.pop() if found else OPEN
