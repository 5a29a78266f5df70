"""What a method must be above to have learned something: policies that were not trained yet, and doing nothing."""

import math
from collections.abc import Mapping

import pandas as pd

from analysis import figure_tables
from analysis.authors import AUTHORS_RANGE
from analysis.comparisons import better, finals
from analysis.report_data import Data, authors_returns
from analysis.tasks import BASELINES, FROM_PIXELS, NAMES, OTHER_TASKS, environment
from analysis.wording import count, listed, number, paragraphs, read_off
from common.errors import UsageError

LEARNED = 0.9  # the least probability that a final return is above a reference


def untrained(data: Data, task: str) -> pd.Series:
    """The first evaluations of all methods from states on a task, of all variants of TD3: those of policies that were not trained yet.

    Of a seed's that are alike one counts: baselines begin by doing nearly nothing, from the same starts.
    """
    published = data.as_published
    series = published.methods(task, ["TD3", "DynE-TD3", *BASELINES]) | published.variants_of_td3(task)
    curves = pd.concat(series.values())
    first = curves[curves.steps == 0]
    alike = pd.DataFrame({"seed": first.seed, "return": first.mean_return.round()}).duplicated()
    return first[~alike].mean_return


def doing_nothing(data: Data, task: str) -> float:
    """The mean return of doing nothing on a task (analysis/doing_nothing.py); -infinity where it was not measured."""
    return figure_tables.doing_nothing(data.results).get(environment(task), -math.inf)


def above_references(data: Data, task: str, ends: pd.Series) -> float:
    """How probably one of the final returns (N,) on a task is above an evaluation of a policy that was not trained yet, or the
    share of them that is above doing nothing: the lower of both."""
    return min(better(ends, untrained(data, task))[0], float((ends > doing_nothing(data, task)).mean()))


def unlearned(data: Data, task: str, ends: Mapping[str, pd.Series]) -> list[str]:
    """Those of some methods, {method: final returns}, that end not clearly above both references."""
    return [method for method, of_seeds in ends.items() if above_references(data, task, of_seeds) < LEARNED]


def like_untrained(data: Data) -> str:
    """The tasks where a method ends no better than a reference, and what the scale of all tasks makes of it."""
    told = []
    for task in OTHER_TASKS:
        found = data.methods(task, ["TD3", "DynE-TD3"])
        if len(found) < 2:
            continue
        low, high = AUTHORS_RANGE[environment(task)]
        ends = dict(zip(found, finals(*found.values())[:2], strict=True))
        parts = [
            f"{method} {number(ends[method].mean())}, P₀ {above_references(data, task, ends[method]):.2f}, "
            f"{(ends[method].mean() - low) / (high - low):.2f} on the scale below"
            for method in unlearned(data, task, ends)
        ]
        if parts:
            told.append(f"{task} ({'; '.join(parts)}; {untrained_told(data, task)})")
    if not told:
        return ""
    return paragraphs(
        "Some ends are not clearly better than no training. P₀ is the probability of being above an evaluation at step 0, or the",
        f"share of seeds above doing nothing if that is lower; it is below {LEARNED} on {listed(told)}. A comparison with such an end",
        "may compare policies that have learned nothing, and the scale can give them a high number: 0 is the lower end of the range",
        "of the authors' plot, 1 its upper end.",
    )


def untrained_told(data: Data, task: str) -> str:
    """What policies that were not trained return on a task, and doing nothing, in words."""
    first, still = untrained(data, task), doing_nothing(data, task)
    told = f"untrained {number(first.mean())}, {len(first)} evaluations from {number(first.max())} to {number(first.min())}"
    return told + (f", doing nothing {number(still)}" if math.isfinite(still) else "")


def references(data: Data) -> str:
    """What doing nothing returns on each task."""
    table = figure_tables.load(data.results, "doing_nothing").set_index("env")
    episodes = {*table.episodes}
    if len(episodes) > 1:
        raise UsageError(
            "the table of doing nothing has several numbers of episodes: run analysis/doing_nothing.py again"
        )
    told = [f"{number(doing_nothing(data, task))} on {task}" for task in NAMES if environment(task) in table.index]
    if not told:
        raise UsageError(
            "the table of doing nothing has none of the paper's tasks: run analysis/doing_nothing.py again"
        )
    missing = [task for task in NAMES if environment(task) not in table.index]
    of_all = f"; on {listed(missing)}, where it was not measured, above untrained policies alone" if missing else ""
    return paragraphs(
        "A policy may be worse before it is trained than one that does nothing: on ReacherPush it knocks the box away. Doing nothing,",
        f"every action the middle of its bounds, returns {listed(told)} (means of {episodes.pop()} episodes). A method counts as having",
        f"learned something only where it is clearly above both{of_all}.",
        authors_below(data),
    )


def authors_below(data: Data) -> str:
    """Which of the authors' returns from pixels are not above doing nothing, at the first and the last step read off their plots."""
    told = []
    for task in NAMES:
        still, read = doing_nothing(data, task), {method: authors_returns(task, method) for method in FROM_PIXELS}
        steps = sorted({step for of_method in read.values() for step in of_method})
        for step in [steps[0], steps[-1]] if len(steps) > 1 else steps:
            below = [
                f"{method} ({read_off(of_method[step])})"
                for method, of_method in read.items()
                if of_method.get(step, math.inf) <= still
            ]
            if below:
                told.append(f"on {task} at {count(step)} steps {listed(below)}")
    if not told:
        return ""
    return f"Not above doing nothing are some returns from pixels in the authors' own plots, too: {'; '.join(told)}."
