"""The results page on random steps at the start: by default 10 000 in TD3's code of the time, none in the release."""

import contextlib
import itertools

import pandas as pd

from analysis.comparisons import better, finals, on_the_way, seeds_of, standing, steps_of, window
from analysis.report_data import Data
from analysis.report_references import unlearned
from analysis.report_tables import FINE, Rows, averages, once, returns, seeds_told
from analysis.tasks import OTHER_TASKS, VERTICAL
from analysis.variants import RANDOM_STEPS
from analysis.wording import LADDER, Said, count, listed, markdown, marked, mostly, number, seeds, with_interval
from common.errors import UsageError

RUNS = {
    ("TD3", 0): None,
    ("TD3", 1_000): "td3_1000",
    ("TD3", 10_000): "td3",
    ("DynE-TD3", 0): None,
    ("DynE-TD3", 10_000): "dyne",
}
PAIRS = [[("DynE-TD3", ours), ("TD3", theirs)] for ours, theirs in ((0, 0), (0, 1_000), (0, 10_000), (10_000, 10_000))]
SPANS = [0, 10_000, 20_000, 30_000, 40_000, 50_000]  # steps


def runs(data: Data) -> dict[tuple[str, int], pd.DataFrame]:
    """{(method, its random steps): its curves}, all of the same seeds, up to as many steps."""
    every = {
        (method, random): data.variant(RANDOM_STEPS, name) if name else data.series(VERTICAL, method)
        for (method, random), name in RUNS.items()
    }
    wanted = set.intersection(*(set(one.seed) for one in every.values()))
    upto = min(map(steps_of, every.values()))
    return {key: one[one.seed.isin(wanted) & (one.steps <= upto)] for key, one in every.items()}


def table(data: Data) -> str:
    """TD3 and DynE-TD3 that begin with random steps, beside those that act by their policy from the start."""
    found = runs(data)
    rows: Rows = [([method, count(random)], one) for (method, random), one in found.items()]
    told, rows = seeds_told(rows)
    header, lines = returns(rows, LADDER, FINE)
    one = next(iter(found.values()))
    title = f"{VERTICAL}, {told} ({one.seed.min()} to {one.seed.max()}), {averages(FINE)}, ± half of the 95 % interval:"
    return f"{title}\n\n{markdown(['', 'random steps', *header], once(lines))}"


def text(data: Data) -> str:
    """How DynE-TD3 stands to TD3 with and without random steps, at the end, over all steps, and span by span."""
    found = runs(data)
    rows = []
    for keys in PAIRS:
        pair = [found[key] for key in keys]
        *ends, upto = finals(*pair)
        odds = with_interval(better(ends[0], ends[1])), with_interval(better(*on_the_way(*pair)))
        rows.append([f"{method}, {count(random)} random steps" for method, random in keys] + [*odds])
    header = ["P that a run of the first returns more", "", f"last tenth of {count(upto)} steps", "all steps"]
    return f"{markdown(header, rows)}\n\n{by_spans(found['DynE-TD3', 0], found['TD3', 10_000])}"


def by_spans(dyne: pd.DataFrame, td3: pd.DataFrame) -> str:
    """How DynE-TD3 stands to a TD3 that begins with random steps, span by span."""
    told = []
    for after, upto in itertools.pairwise(SPANS):
        ours, theirs = window(dyne, after, upto), window(td3, after, upto)
        if len(ours) and len(theirs):
            odds = better(ours, theirs)
            told.append(f"{standing(odds)} it from {count(after)} to {count(upto)} (P {with_interval(odds)})")
    return f"Against TD3 with 10 000 random steps DynE-TD3 without is, span by span, {listed(told)}." if told else ""


def claim(data: Data) -> Said:
    """Whether DynE-TD3 is ahead of a TD3 that begins with random steps."""
    found = runs(data)
    pair = found["DynE-TD3", 0], found["TD3", 10_000]
    ours, theirs, upto = finals(*pair)
    both, _, _ = finals(found["DynE-TD3", 10_000], found["TD3", 10_000])
    few, _, _ = finals(found["TD3", 1_000], found["TD3", 10_000])
    alike, to_few = better(both, theirs), better(ours, few)
    end, on_way = better(ours, theirs), better(*on_the_way(*pair))
    few_on_way = better(*on_the_way(found["DynE-TD3", 0], found["TD3", 1_000]))
    said = (
        f"DynE-TD3, which begins without ({number(ours.mean())}), is {marked(standing(end))} TD3 with 10 000 ({number(theirs.mean())}, "
        f"P(better) {with_interval(end)}; over all steps {marked(standing(on_way))}, {with_interval(on_way)}), "
        f"{marked(standing(to_few))} TD3 with 1 000 ({number(few.mean())}, {with_interval(to_few)}; over all steps "
        f"{marked(standing(few_on_way))}, {with_interval(few_on_way)}); where both begin with 10 000 it is {marked(standing(alike))} "
        f"({number(both.mean())}, {with_interval(alike)})"
    )
    return said, f"{seeds(len(ours))}, {count(upto)} steps"


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
        *ends, upto = finals(ours, theirs)
        steps[task] = count(upto)
        returned = " against ".join(number(one.mean()) for one in ends)
        if len(unlearned(data, task, {"DynE-TD3": ends[0], "TD3": ends[1]})) == 2:
            returned += ", neither clearly above untrained policies and doing nothing"
        told[standing(better(*ends))].append(f"{task} ({returned})")
        all_along[standing(better(*on_the_way(ours, theirs)))].append(task)
    parts, over_all = (
        [f"{marked(stands)} it on {listed(tasks)}" for stands, tasks in one.items() if tasks]
        for one in (told, all_along)
    )
    said = f"DynE-TD3, which begins without, is at the end {', '.join(parts)}; over all steps {', '.join(over_all)}"
    missing = [task for task in OTHER_TASKS if task not in found]
    said += f"; not run yet: {listed(missing)}" if missing else ""
    counts = sorted({seeds_of(one) for pair in found.values() for one in pair})
    many = seeds(counts[0]) if len(counts) == 1 else f"{counts[0]} to {seeds(counts[-1])}"
    return said, f"{many} a method and task, {mostly(steps, 'steps')}"
