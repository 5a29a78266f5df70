"""The table that opens the results page: what the paper shows, what reproduces here, on which data."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from analysis.comparisons import AHEAD
from analysis.curves import FEW
from analysis.report_claims import ROWS, SPREAD, said_of
from analysis.report_data import Data
from analysis.report_embeddings import NEARLY
from analysis.report_references import LEARNED
from analysis.verdicts import AGAINST, LIKELY, NOT_IN_THE_PAPER, NOT_RUN, OPEN, PARTLY
from analysis.wording import listed, markdown
from common.errors import UsageError

HEADER = ["figure", "what the paper shows", "here", "data"]


def at_a_glance(results: str | Path) -> pd.DataFrame:
    """The table as a frame of str with the columns of `HEADER`, for a notebook; raises `UsageError` without curves.

    Args:
        results: the folder of results.
    """
    data = Data(results)
    if not len(data.published):
        raise UsageError(f"{results}: there are no curves")
    rows: list[list[str]] = []
    for figure, paper, here in ROWS:
        told = [paper, *said_of(here, data)]
        if rows and told == rows[-1][1:] and told[1] == NOT_RUN:
            rows[-1][0] += f" and {figure.split(', ')[1]}"
        else:
            rows.append([figure, *told])
    return pd.DataFrame(rows, columns=HEADER)


SIZES = [(2, 2), (4, 2), (4, 4), (16, 2)]  # seeds of two methods


def _by_chance(one: int, other: int) -> str:
    """How often the runs of two methods that are alike have a probability of at least `AHEAD`, or as far below 1/2, exactly."""
    orders = list(itertools.combinations(range(one + other), one))
    odds = [sum(mine > theirs for mine in ours for theirs in {*range(one + other)} - {*ours}) for ours in orders]
    far = [not 1 - AHEAD < count / (one * other) < AHEAD for count in odds]
    return f"in {100 * sum(far) / len(far):.0f} % of cases with {one} and {other} seeds"


def table(data: Data) -> str:
    """The table in Markdown, and what its words mean."""
    chance = listed([_by_chance(*sizes) for sizes in SIZES])
    rules = [
        (
            "P(better) is the probability that a run of the first method ends better, with its 95 % interval. Returns of two methods in "
            "brackets are means over the last tenth of the steps that both methods have."
        ),
        (
            f"One method counts as *ahead of* another one if a run of the first ends better with a probability of at least {AHEAD}, and as "
            f"*behind* if the probability is at most {1 - AHEAD}; otherwise, and whenever the interval contains 0.5, as *level with* it."
        ),
        (
            "A claim that one method is better *reproduces* if the interval of that probability lies above 0.5, and *does not reproduce* if "
            "it lies below."
        ),
        (
            f"Fewer than {FEW} seeds have no interval: then the data *point the same way* if the probability is at least {AHEAD}, and *the "
            f"other way* if it is at most {1 - AHEAD}. Chance alone makes two methods that are alike do one or the other {chance}."
        ),
        (
            "What is left is *not settled*. Also not settled: comparisons in which neither method ends clearly (with a probability of at "
            f"least {LEARNED}) above policies that were not trained, and above doing nothing too (see figure 4); comparisons in which the end and "
            "the mean over all steps say different things; an end of one evaluation a seed."
        ),
        (
            "*Differs from method to method*: the comparisons of a row have different verdicts; it does not say that one of them points "
            "the other way."
        ),
        "The row of the other tasks goes by the mean of their probabilities. No row is corrected for there being many of them.",
        (
            "Figures 3, 8 and 10 are of random actions: their rows compare the numbers that stand in them. One plan's *reproduces* if its "
            f"places are as even as chance allows; if not, but less than {100 * NEARLY:.0f} points off, it points the same way, for the "
            "paper does not say what is nearly uniform. The appendix's claim is taken to hold while the settings' means have less than "
            f"{SPREAD:g} times the standard deviation that chance gives them."
        ),
    ]
    told = "\n\n".join(f"- {rule}" for rule in rules)
    return f"{markdown(HEADER, at_a_glance(data.results).to_numpy().tolist())}\n\n{told}"


def summary(data: Data) -> str:
    """What the paper shows, in groups by what there is of it here: a short table."""
    groups = {
        "reproduces": ("reproduces:",),
        "points the same way": (LIKELY,),
        "differs from method to method": (PARTLY,),
        "not settled": (OPEN,),
        "points the other way": (AGAINST,),
        "does not reproduce so far": ("**does not reproduce**",),
        NOT_RUN: (NOT_RUN,),
    }
    lines, grouped = [], 0
    shown = at_a_glance(data.results).iloc[:, :3]
    shown = shown[~shown.figure.str.startswith(NOT_IN_THE_PAPER)]
    for group, begins in groups.items():
        ours = shown[shown.here.str.startswith(begins)]
        claims = [f"{claim} ({figures(one.figure)})" for claim, one in ours.groupby(HEADER[1], sort=False)]
        grouped += len(ours)
        if claims:
            lines.append([group, "; ".join(claims)])
    assert grouped == len(shown), "a verdict of no group"
    return markdown(["here", "what the paper shows"], lines)


def figures(names: Iterable[str]) -> str:
    """Rows of the table in words: "figure 5, ReacherTurn and ReacherPush"."""
    of_figure: dict[str, list[str]] = {}
    for name in names:
        figure, _, rest = name.partition(", ")
        of_figure.setdefault(f"figure {figure}" if figure.isdigit() else figure, []).append(rest)
    for figure, rests in of_figure.items():
        same = "baselines on "
        if all(rest.startswith(same) for rest in rests):
            of_figure[figure] = [same + listed([rest.removeprefix(same) for rest in rests])]
    return "; ".join(", ".join(filter(None, (figure, listed(rests)))) for figure, rests in of_figure.items())
