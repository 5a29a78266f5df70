"""The results page on random steps at the start: 10 000 in TD3's code of the time, none in the release."""

import contextlib

import pandas as pd

from analysis.comparisons import better, finals, on_the_way, seeds_of, standing, steps_of
from analysis.report_data import Data
from analysis.report_references import unlearned
from analysis.report_tables import FINE, Rows, averages, by_task, once, returns, seeds_told
from analysis.tasks import OTHER_TASKS, VERTICAL
from analysis.variants import RANDOM_STEPS
from analysis.wording import LADDER, Said, count, listed, markdown, marked, mostly, number, seeds, with_interval
from common.errors import UsageError

WORDS = {False: "without random steps", True: "with random steps"}
WITH = {"TD3": "td3", "DynE-TD3": "dyne"}  # {method: the variant that begins with random steps}


def runs(data: Data) -> dict[tuple[str, bool], pd.DataFrame]:
    """{(method, whether it begins with random steps): its curves}, all of the same seeds, up to as many steps."""
    every = {}
    for method, name in WITH.items():
        every[method, False] = data.series(VERTICAL, method)
        every[method, True] = data.variant(RANDOM_STEPS, name)
    wanted = set.intersection(*(set(one.seed) for one in every.values()))
    upto = min(map(steps_of, every.values()))
    return {key: one[one.seed.isin(wanted) & (one.steps <= upto)] for key, one in every.items()}


def table(data: Data) -> str:
    """TD3 and DynE-TD3 that begin with random steps, beside those that act by their policy from the start."""
    found = runs(data)
    rows: Rows = [([method, "10 000" if random else "0"], one) for (method, random), one in found.items()]
    told, rows = seeds_told(rows)
    header, lines = returns(rows, LADDER, FINE)
    one = next(iter(found.values()))
    title = f"{VERTICAL}, {told} ({one.seed.min()} to {one.seed.max()}), {averages(FINE)}, ± half of the 95 % interval:"
    return f"{title}\n\n{markdown(['', 'random steps', *header], once(lines))}"


def text(data: Data) -> str:
    """How DynE-TD3 ends against TD3 with and without random steps."""
    found = runs(data)
    rows = []
    for ours, theirs in ((False, False), (False, True), (True, True)):
        pair = found["DynE-TD3", ours], found["TD3", theirs]
        *ends, upto = finals(*pair)
        odds = with_interval(better(ends[0], ends[1])), with_interval(better(*on_the_way(*pair)))
        rows.append([f"DynE-TD3 {WORDS[ours]}", f"TD3 {WORDS[theirs]}", *odds])
    header = ["P that a run of the first returns more", "", f"last tenth of {count(upto)} steps", "all steps"]
    return markdown(header, rows)


def claim(data: Data) -> Said:
    """Whether DynE-TD3 is ahead of a TD3 that begins with random steps."""
    found = runs(data)
    pair = found["DynE-TD3", False], found["TD3", True]
    ours, theirs, upto = finals(*pair)
    both, _, _ = finals(found["DynE-TD3", True], found["TD3", True])
    alike = better(both, theirs)
    end, on_way = better(ours, theirs), better(*on_the_way(*pair))
    said = (
        f"DynE-TD3, which begins without ({number(ours.mean())}), is {marked(standing(end))} such a TD3 ({number(theirs.mean())}; "
        f"P(better) {with_interval(end)}) at {count(upto)} steps, and over all steps {marked(standing(on_way))} it "
        f"({with_interval(on_way)}); DynE-TD3 that begins with them too ({number(both.mean())}) is {marked(standing(alike))} it "
        f"({with_interval(alike)})"
    )
    return said, f"{seeds(len(ours))}, {count(upto)} steps"


# ---- the other tasks ----

SUCH_TD3 = f"TD3 {WORDS[True]}"


def elsewhere(data: Data) -> dict[str, dict[str, pd.DataFrame]]:
    """{task: {TD3, TD3 with random steps, DynE-TD3: its curves}} of the other tasks on which the second was tried.

    Raises:
        UsageError: there is none.
    """
    found = {}
    for task in OTHER_TASKS:
        with contextlib.suppress(UsageError):  # not tried there
            with_random = data.variant(RANDOM_STEPS, WITH["TD3"], task)
            of_task = data.methods(task, ["TD3", "DynE-TD3"])
            found[task] = {"TD3": of_task["TD3"], SUCH_TD3: with_random, "DynE-TD3": of_task["DynE-TD3"]}
    if not found:
        raise UsageError(f"{data.results}: no other task has a TD3 {WORDS[True]}")
    return found


def tasks_table(data: Data) -> str:
    """The other tasks: TD3 without and with random steps, and DynE-TD3, which begins without."""
    return by_task(elsewhere(data), "random steps on the other tasks")


def tasks_text(data: Data) -> str:
    """How DynE-TD3 stands to a TD3 with random steps, and this one to the published TD3, task by task."""
    rows = []
    for task, of_task in elsewhere(data).items():
        odds = []
        for pair in (("DynE-TD3", SUCH_TD3), (SUCH_TD3, "TD3")):
            ours, theirs = (of_task[name] for name in pair)
            odds += [with_interval(better(*finals(ours, theirs)[:2])), with_interval(better(*on_the_way(ours, theirs)))]
        rows.append([task, *odds])
    header = [f"DynE-TD3 more than {SUCH_TD3}, last tenth", "all steps", f"{SUCH_TD3} more than without, last tenth"]
    return f"P that a run returns:\n\n{markdown(['', *header, 'all steps'], rows)}"


def tasks_claim(data: Data) -> Said:
    """On how many of the other tasks DynE-TD3 is ahead of a TD3 that begins with random steps."""
    found = elsewhere(data)
    told: dict[str, list[str]] = {"ahead of": [], "level with": [], "behind": []}
    steps = dict[str, str]()
    all_along: dict[str, list[str]] = {"ahead of": [], "level with": [], "behind": []}
    for task, of_task in found.items():
        ours, theirs = of_task["DynE-TD3"], of_task[SUCH_TD3]
        *ends, upto = finals(ours, theirs)
        steps[task] = count(upto)
        returned = " against ".join(number(one.mean()) for one in ends)
        if len(unlearned(data, task, {"DynE-TD3": ends[0], SUCH_TD3: ends[1]})) == 2:
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
    counts = sorted({seeds_of(of_task[name]) for of_task in found.values() for name in ("DynE-TD3", SUCH_TD3)})
    many = seeds(counts[0]) if len(counts) == 1 else f"{counts[0]} to {seeds(counts[-1])}"
    return said, f"{many} a method and task, {mostly(steps, 'steps')}"
