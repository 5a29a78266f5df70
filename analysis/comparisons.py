"""The averages that the results pages tell of a series, and how one series stands to another."""

import numpy as np
import pandas as pd

from analysis.curves import FEW, bootstrap, first_steps
from analysis.estimates import areas, at_shared_steps, interval, last_step, mean_probability, shared_finals
from analysis.wording import decimals, number

AHEAD = 0.75  # the least probability of a better run at which a method counts as ahead; as far below 1/2, behind


def window(one: pd.DataFrame, after: float, upto: float) -> pd.Series:
    """The mean evaluation of each seed of one series in the steps (after, upto], without that of the untrained policy.

    It is of the seeds that got so far, (N,).
    """
    last = one.groupby("seed").steps.transform("max")
    within = (np.maximum(after, first_steps(one)) < one.steps) & (one.steps <= upto)
    return one[(last >= upto) & within].groupby("seed").mean_return.mean()


def at(one: pd.DataFrame, step: int, width: int) -> pd.Series:
    """The mean of each seed over the `width` steps up to a step, or over one evaluation where they are rarer; (N,)."""
    spacing = int(np.diff(np.unique(one.steps)).max(initial=0))
    return window(one, step - max(width, spacing), step)


def finals(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.Series, pd.Series, int]:
    """The final returns (N,) and (M,) of two series over the last tenth of the steps that all seeds of both have, and the last
    step.

    Each is the mean of a seed's own evaluations in this span.

    Raises:
        UsageError: a seed was not evaluated there.
    """
    first, second = shared_finals(one, other)
    return first, second, last_step(one, other)


def on_the_way(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """The mean returns (N,) and (M,) of two series over the steps that all seeds of both have, but for those before training.

    They are over the evaluations that all seeds have. Where these are fewer than half of those of the seed that has fewest
    (evaluations every 70 and every 100 steps share every tenth or seventh), each is the area under the seed's own curve,
    divided by the span from the latest first evaluation after training began. Both are empty where nothing is shared.
    """
    pair = one, other
    untrained, upto = max(first_steps(of).max() for of in pair), last_step(*pair)
    shared = [part[part.steps > untrained] for part in at_shared_steps(*pair)]
    trained = [of[of.steps > untrained] for of in pair]
    begin = max(of.groupby("seed").steps.min().max() for of in trained)
    fewest = min(of.steps.between(untrained, upto, inclusive="right").groupby(of.seed).sum().min() for of in pair)
    if begin < upto and 2 * shared[0].steps.nunique() < fewest:
        first, second = (areas(of, begin, upto) for of in trained)
    else:
        first, second = (part.groupby("seed").mean_return.mean() for part in shared)
    return first, second


def better(one: pd.Series, other: pd.Series) -> tuple[float, float, float]:
    """The probability that a run of the first (N,) returns more than one of the second (M,), and its interval.

    The interval is NaN where one of them has fewer than `FEW` seeds.
    """
    found = interval(mean_probability, [one.to_numpy()], [other.to_numpy()])
    return found if min(len(one), len(other)) >= FEW else (found[0], np.nan, np.nan)


def standing(found: tuple[float, float, float]) -> str:
    """How a method stands to another one, by what `better` tells of the two."""
    probability, low, high = found
    if AHEAD > probability > 1 - AHEAD or low <= 0.5 <= high:  # never, where there is no interval
        return "level with"
    return "ahead of" if probability >= AHEAD else "behind"


def seeds_of(one: pd.DataFrame) -> int:
    """How many seeds a series has."""
    return int(one.seed.nunique())


def steps_of(one: pd.DataFrame) -> int:
    """The last step that all seeds of a series have."""
    return last_step(one)


def entry(values: pd.Series) -> str:
    """A mean over seeds (N,); fewer than `FEW` seeds in brackets, of more ± half of the 95 % interval."""
    if not len(values):
        return ""
    mean, low, high = bootstrap(values)
    if len(values) == 1:
        return number(mean)
    if len(values) >= FEW:
        return f"{number(mean)} ± {(high - low) / 2:.{decimals(mean)}f}"
    return f"{number(mean)} ({' '.join(map(number, values))})"
