"""The results page on random steps at the start: by default 10 000 in TD3's code of the time, none in the release."""

import contextlib
import itertools
from collections.abc import Callable

import pandas as pd

from analysis.comparisons import better, finals, on_the_way, seeds_of, standing, steps_of, window
from analysis.report_data import Data
from analysis.report_references import unlearned
from analysis.report_tables import FINE, Rows, averages, once, returns, seeds_told
from analysis.tasks import OTHER_TASKS, VERTICAL
from analysis.variants import RANDOM_STEPS
from analysis.verdicts import amount, compare, over_tasks
from analysis.wording import (
    LADDER,
    Said,
    count,
    listed,
    markdown,
    marked,
    mostly,
    number,
    paragraphs,
    seeds,
    with_interval,
)
from common.errors import UsageError

RUNS = {
    ("TD3", 0): None,
    ("TD3", 1_000): "td3_1000",
    ("TD3", 10_000): "td3",
    ("DynE-TD3", 0): None,
    ("DynE-TD3", 1_000): "dyne_1000",
    ("DynE-TD3", 10_000): "dyne",
}  # {(method, its random steps): its ablation, or the published curve}
PAIRS = [(0, 0), (0, 1_000), (0, 10_000), (1_000, 1_000), (10_000, 10_000)]  # random steps of DynE-TD3, of TD3
SPANS = [0, 10_000, 20_000, 30_000, 40_000, 50_000]  # steps


def run(data: Data, method: str, random: int) -> pd.DataFrame:
    """The curves of a method that begins with so many random steps, all of its seeds; raises `UsageError` if there are none."""
    name = RUNS[method, random]
    return data.variant(RANDOM_STEPS, name) if name else data.series(VERTICAL, method)


def runs(data: Data) -> dict[tuple[str, int], pd.DataFrame]:
    """{(method, its random steps): its curves}, each with all of its seeds, up to as many steps."""
    every = {key: run(data, *key) for key in RUNS}
    upto = min(map(steps_of, every.values()))
    return {key: one[one.steps <= upto] for key, one in every.items()}


def table(data: Data) -> str:
    """TD3 and DynE-TD3 that begin with random steps, beside those that act by their policy from the start."""
    rows: Rows = [([method, count(random)], one) for (method, random), one in runs(data).items()]
    told, rows = seeds_told(rows)
    header, lines = returns(rows, LADDER, FINE)
    title = f"{VERTICAL}, {told}, {averages(FINE)}, ± half of the 95 % interval:"
    return f"{title}\n\n{markdown(['', 'random steps', *header], once(lines))}"


def text(data: Data) -> str:
    """How DynE-TD3 stands to TD3 with and without random steps, at the end, over all steps, and span by span."""
    found = runs(data)
    rows = []
    for random in PAIRS:
        pair = [found["DynE-TD3", random[0]], found["TD3", random[1]]]
        *ends, upto = finals(*pair)
        odds = with_interval(better(ends[0], ends[1])), with_interval(better(*on_the_way(*pair)))
        rows.append([*map(count, random), f"{seeds_of(pair[0])} and {seeds_of(pair[1])}", *odds])
    header = [
        "random steps of DynE-TD3",
        "of TD3",
        "seeds",
        f"P at the end (last tenth of {count(upto)} steps)",
        "P over all steps",
    ]
    spans = [
        f"Against TD3 with {count(random)} random steps DynE-TD3 without is, span by span, "
        f"{by_spans(found['DynE-TD3', 0], found['TD3', random])}."
        for random in (1_000, 10_000)
    ]
    told = "P is the probability that a run of DynE-TD3 returns more than one of TD3:"
    return f"{told}\n\n{markdown(header, rows)}\n\n{paragraphs(*spans)}"


def by_spans(dyne: pd.DataFrame, td3: pd.DataFrame) -> str:
    """How DynE-TD3 stands to a TD3 that begins with random steps, span by span."""
    told = []
    for after, upto in itertools.pairwise(SPANS):
        ours, theirs = window(dyne, after, upto), window(td3, after, upto)
        if len(ours) and len(theirs):
            odds = better(ours, theirs)
            told.append(f"{standing(odds)} it from {count(after)} to {count(upto)} (P {with_interval(odds)})")
    return listed(told)


def claim(ours: int, theirs: int) -> Callable[[Data], Said]:
    """Whether DynE-TD3 that begins with `ours` random steps is ahead of a TD3 that begins with `theirs`."""

    def said(data: Data) -> Said:
        dyne, td3 = run(data, "DynE-TD3", ours), run(data, "TD3", theirs)
        found = compare(data, VERTICAL, dyne, td3)
        at_the_end, over_all = with_interval(found.at_the_end), with_interval(found.over_all)
        told = f"{found.claim}: {found.ends}; P(better) {at_the_end}, over all steps {over_all}"
        return told, amount({"DynE-TD3": dyne, "TD3": td3})

    return said


# ---- the other tasks ----


def elsewhere(data: Data) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """{task: the curves of DynE-TD3, and of TD3 with random steps} of the other tasks on which the latter was tried.

    Raises:
        UsageError: there is none.
    """
    found = {}
    for task in OTHER_TASKS:
        with contextlib.suppress(UsageError):  # not tried there
            found[task] = data.series(task, "DynE-TD3"), data.variant(RANDOM_STEPS, "td3", task)
    if not found:
        raise UsageError(f"{data.results}: on no other task was TD3 tried with random steps")
    return found


def tasks_claim(data: Data) -> Said:
    """On how many of the other tasks DynE-TD3 is ahead of a TD3 that begins with random steps."""
    found = elsewhere(data)
    told: dict[str, list[str]] = {"ahead of": [], "level with": [], "behind": []}
    steps = dict[str, str]()
    all_along: dict[str, list[str]] = {"ahead of": [], "level with": [], "behind": []}
    for task, (ours, theirs) in found.items():
        *last, upto = finals(ours, theirs)
        steps[task] = count(upto)
        returned = " against ".join(number(one.mean()) for one in last)
        if len(unlearned(data, task, {"DynE-TD3": last[0], "TD3": last[1]})) == 2:
            returned += ", neither clearly above untrained policies and doing nothing"
        told[standing(better(*last))].append(f"{task} ({returned})")
        all_along[standing(better(*on_the_way(ours, theirs)))].append(task)
    parts, over_all = (
        [f"{marked(stands)} it on {listed(tasks)}" for stands, tasks in one.items() if tasks]
        for one in (told, all_along)
    )
    claim, average = over_tasks(found.values())
    said = f"{claim}: P(better), averaged over the tasks, is {average:.2f}; at the end "
    said += f"{', '.join(parts)}; over all steps {', '.join(over_all)}"
    missing = [task for task in OTHER_TASKS if task not in found]
    said += f"; not run yet: {listed(missing)}" if missing else ""
    counts = sorted({seeds_of(one) for pair in found.values() for one in pair})
    many = seeds(counts[0]) if len(counts) == 1 else f"{counts[0]} to {seeds(counts[-1])}"
    return said, f"{many} a method and task, {mostly(steps, 'steps')}"
