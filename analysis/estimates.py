"""Statistics of learning curves: what a run ends with, how fast it gets there, and how sure a difference is.

Every seed gives one number: its final return, the mean of its evaluations in the last tenth of the steps, or its area
under the curve, the mean return over all steps. Steps are those that all seeds have, of all series that are compared:
of a seed that ran longer the rest does not count. Intervals are bootstrapped 95 %, stratified by task: the seeds of each
task are resampled by themselves (Agarwal et al. 2021, arXiv:2108.13264). Intervals of few seeds are somewhat too narrow; what
fewer than `FEW` seeds of a method return has none. Frames of curves are those of `analysis.curves`.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from analysis.authors import AUTHORS_RANGE
from analysis.curves import FEW, begun, bin_width_of, series_of
from analysis.wording import count
from common.errors import UsageError

Statistic = Callable[..., np.ndarray]  # of lists of arrays (..., N_i), one a task, gives (...)

RESAMPLES = 10_000
LAST = 0.1  # share of the steps that a final return is of
NUMBERS = ("final return", "its interquartile mean", "mean return over all steps")  # of every series
TRIMMED = 0.25  # share of the values that an interquartile mean leaves out, at either end


def last_step(*series: pd.DataFrame) -> int:
    """The last step that all seeds of some series have."""
    return min(int(one.groupby("seed").steps.max().min()) for one in series)


def final_returns(curves: pd.DataFrame) -> pd.Series:
    """The final return of each seed of one series, over `last_tenth` of it; a Series (N,) by seed; errors as in `shared_finals`."""
    (found,) = shared_finals(curves)
    return found


def areas(curves: pd.DataFrame, begin: int | None = None, upto: int | None = None) -> pd.Series:
    """The area under the curve of each seed of one series divided by its steps: the mean return, a Series (N,) by seed.

    Args:
        begin, upto: steps within those of every seed, that the area reaches from and to; None: all of a seed's own.
    """

    def area(of_seed: pd.DataFrame) -> float:
        of_seed = of_seed.sort_values("steps")
        steps = np.unique(of_seed.steps.clip(begin, upto))
        return np.trapezoid(np.interp(steps, of_seed.steps, of_seed.mean_return), steps) / np.ptp(steps)

    return curves.groupby("seed")[["steps", "mean_return"]].apply(area)


def interquartile_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean of the values (..., N) between the quartiles; weights (N,) are what a value counts.

    What is cut off at either end is a multiple of the least weight: of equal ones whole values, none of fewer than four.
    """
    order, total = np.argsort(values, axis=-1), weights.sum()
    values, weights = np.take_along_axis(values, order, axis=-1), weights[order]
    least = weights.min()
    cut, upto = least * np.floor(TRIMMED * total / least + 1e-9), weights.cumsum(axis=-1)
    kept = (np.minimum(upto, total - cut) - np.maximum(upto - weights, cut)).clip(0)
    return (kept * values).sum(axis=-1) / kept.sum(axis=-1)


def probability_of_improvement(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How probable it is that a run of X returns more than one of Y, ties counting half; (..., N) and (..., M) to (...)."""
    difference = x[..., :, None] - y[..., None, :]
    return ((difference > 0) + 0.5 * (difference == 0)).mean(axis=(-2, -1))


def resample(tasks: Iterable[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Bootstrap samples of tasks, a list of arrays of a value a seed (N_i,): a list of arrays (RESAMPLES, N_i)."""
    return [values[rng.integers(0, len(values), (RESAMPLES, len(values)))] for values in tasks]


def interval(statistic: Statistic, *groups: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """A statistic and its stratified bootstrap 95 % interval, (value, low, high).

    Args:
        statistic: takes as many lists of arrays (..., N_i) as there are groups, gives (...).
        groups: lists of arrays (N_i,), one a task.
    """
    value, rng = statistic(*groups), np.random.default_rng(0)
    low, high = np.quantile(statistic(*(resample(group, rng) for group in groups)), [0.025, 0.975])
    return float(value), float(low), float(high)


def _together(statistic: Callable[..., np.ndarray]) -> Statistic:
    """A statistic of all tasks' values side by side; tasks count alike, however many seeds they have."""

    def of_tasks(tasks: Sequence[np.ndarray]) -> np.ndarray:
        counts = np.array([values.shape[-1] for values in tasks])
        return statistic(np.concatenate(tasks, axis=-1), weights=np.repeat(1 / counts, counts))

    return of_tasks


mean = _together(partial(np.average, axis=-1))
iqm = _together(interquartile_mean)


def mean_probability(xs: Iterable[np.ndarray], ys: Iterable[np.ndarray]) -> np.ndarray:
    """The probability of improvement, averaged over tasks."""
    return np.mean([probability_of_improvement(x, y) for x, y in zip(xs, ys, strict=True)], axis=0)


def correlations(series: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """How evaluations of two methods, those at the same steps after training began, correlate on average over pairs of their runs.

    Args:
        series: of each method.
    Returns:
        over pairs of runs of the same seed, whose evaluations begin at the same starts, and of different seeds; NaN if there is none.
    """
    trained = (one[one.steps > one.steps.min()] for one in series)
    curves = [one.pivot(index="steps", columns="seed", values="mean_return") for one in trained]
    found = pd.concat(curves, axis=1, keys=range(len(curves))).corr()
    of_two_methods = [(one, other) for one, other in itertools.combinations(found, 2) if one[0] != other[0]]
    same, others = (
        [found.loc[one, other] for one, other in of_two_methods if (one[1] == other[1]) == alike]
        for alike in (True, False)
    )
    return float(np.mean(same or np.nan)), float(np.mean(others or np.nan))


def steps_to_reach(curves: pd.DataFrame, level: float, width: int) -> int | None:
    """The first step at which the mean over seeds of one series, in bins of `analysis.curves.summarize`, reaches a return.

    None if it never does. The untrained policy does not count.

    Args:
        width: of the bins, steps.
    """
    edges = np.minimum(-(-curves.steps // width) * width, curves.steps.max())
    per_bin = curves[curves.steps > curves.steps.min()].groupby([edges, "seed"]).mean_return.mean()
    means = per_bin.groupby(level=0).mean()
    reached = means.index[means >= level]
    return int(reached[0]) if len(reached) else None


def summary(curves: pd.DataFrame, baseline: str = "TD3", bin_width: int | None = None) -> pd.DataFrame:
    """The statistics of every series of one environment, as text.

    Args:
        curves: a frame of `analysis.curves.CURVES`, of one environment.
        baseline: the method whose final return is to be reached, and beaten, by as many steps as both have; each series of
            it has columns of its own, and nothing is to be reached where it has not learned (ends where it began).
        bin_width: in steps, of the bins in which it is to be reached; None: `bin_width_of` the last step.
    Returns:
        A frame of str, a row a series; seeds that have only just begun (`analysis.curves.begun`) do not count.
    """
    width = bin_width or bin_width_of(curves.steps.max())
    curves = begun(curves)
    labels = series_of(curves)
    every = {
        label: curves[(curves.method == method) & (curves.name == name)] for (method, name), label in labels.items()
    }
    baselines = {label: every[label] for (method, _), label in labels.items() if method == baseline}
    goals, rows = dict.fromkeys(baselines, np.nan), {}
    for other, of_baseline in baselines.items():
        with contextlib.suppress(UsageError):  # its row tells it
            goals[other] = final_returns(of_baseline).mean()
    for label, one in every.items():
        rows[label] = {"seeds": f"{one.seed.nunique()}", "steps": count(last_step(one))}
        try:
            final, one = final_returns(one), one[one.steps <= last_step(one)]
            found = _interval(mean, final), _interval(iqm, final, few=""), _interval(mean, areas(one))
            rows[label] |= dict(zip(NUMBERS, found, strict=True))
        except UsageError:
            rows[label] |= dict.fromkeys(NUMBERS, "no steps shared")
        for other, of_baseline in baselines.items():
            untrained = of_baseline[of_baseline.steps == of_baseline.steps.min()].mean_return.mean()
            reached = steps_to_reach(one, goals[other], width)
            told = count(reached) if reached else f"not in {count(one.steps.max())}"
            rows[label][f"steps to {other}'s final return"] = told if goals[other] > untrained else "-"
            try:
                pair = shared_finals(one, of_baseline)
                told = _probability(mean_probability, *([values.to_numpy()] for values in pair))
            except UsageError:
                told = "no steps shared"
            rows[label][f"P(better than {other})"] = "" if label in baselines else told
    return pd.DataFrame.from_dict(rows, orient="index")


def across_tasks(curves: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Methods on all tasks on which each of them has curves, as text: a frame of str, a row a method.

    Returns are scaled by the range that the authors' plots span, 0 its lower end and 1 its upper, and are those after as
    many steps as all methods have, without seeds that have only just begun. The last column is the probability that a run of
    the first method returns more than one of this.

    Raises:
        UsageError: there is no such task, or a method has several runs on one.
    """
    curves = begun(curves)
    shared = [
        str(env)
        for env, of_env in curves.groupby("env", sort=False)
        if env in AUTHORS_RANGE and set(methods) <= set(of_env.method)
    ]
    if not shared:
        raise UsageError(f"there is no task yet with curves of all of {', '.join(methods)}")
    finals: dict[str, list[np.ndarray]] = {method: [] for method in methods}
    for env in shared:
        for method, name in (several := series_of(curves[(curves.env == env) & curves.method.isin(methods)])):
            if several[method, name] != method:
                raise UsageError(f"there are several runs of {method} on {env}, one is {name}: choose one of them")
        low, high = AUTHORS_RANGE[env]
        of_methods = (curves[(curves.env == env) & (curves.method == method)] for method in methods)
        for method, final in zip(methods, shared_finals(*of_methods), strict=True):
            finals[method].append((final.to_numpy() - low) / (high - low))
    few = sum(min(len(tasks[place]) for tasks in finals.values()) < FEW for place in range(len(shared)))
    rows = {}
    for method, tasks in finals.items():
        better = _probability(mean_probability, finals[methods[0]], tasks)
        rows[method] = {
            "tasks": f"{len(tasks)}" + (f", {few} have fewer than {FEW} seeds" if few else ""),
            "scaled final return, interquartile mean": _probability(iqm, tasks),
            f"P({methods[0]} better)": "" if method == methods[0] else better,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def at_shared_steps(*series: pd.DataFrame) -> list[pd.DataFrame]:
    """The parts of series that are of the same steps: the evaluations that all seeds of all of them have."""
    shared = set.intersection(*(set(steps) for one in series for _, steps in one.groupby("seed").steps))
    return [one[one.steps.isin(shared)] for one in series]


def last_tenth(*series: pd.DataFrame) -> list[pd.DataFrame]:
    """The parts of series in the last tenth of the steps that all seeds of all of them have: their own evaluations there."""
    upto = last_step(*series)
    return [one[one.steps.between((1 - LAST) * upto, upto)] for one in series]


def shared_finals(*series: pd.DataFrame) -> list[pd.Series]:
    """The final returns of all seeds of series, over `last_tenth` of them; a Series (N_i,) by seed of each.

    Raises:
        UsageError: a seed was not evaluated there.
    """
    found = [part.groupby("seed").mean_return.mean() for part in last_tenth(*series)]
    if any(len(values) < one.seed.nunique() for values, one in zip(found, series, strict=True)):
        raise UsageError("the curves share no steps: a seed has no evaluation in the last tenth of those that all have")
    return found


def _interval(statistic: Statistic, values: pd.Series, few: str = "seeds") -> str:
    """A statistic with its interval; of fewer than `FEW` seeds (N,) followed by themselves, or with `few` "" alone."""
    value, low, high = interval(statistic, [values.to_numpy()])
    if len(values) >= FEW:
        return f"{value:.1f} [{low:.1f}, {high:.1f}]"
    return f"{value:.1f}" + (f" ({' '.join(f'{seed:.1f}' for seed in values)})" if few and len(values) > 1 else "")


def _probability(statistic: Statistic, *groups: Sequence[np.ndarray]) -> str:
    """A number of tasks' seeds in [0, 1], or about there, with its interval where every task has `FEW` seeds or more."""
    value, low, high = interval(statistic, *groups)
    enough = all(len(values) >= FEW for group in groups for values in group)
    return f"{value:.2f} [{low:.2f}, {high:.2f}]" if enough else f"{value:.2f}"
