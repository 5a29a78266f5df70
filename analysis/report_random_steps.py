"""The results page on random steps at the start: 10 000 in TD3's code of the time, none in the release."""

import pandas as pd

from analysis.comparisons import better, finals, on_the_way, standing, steps_of
from analysis.report_data import Data
from analysis.report_tables import FINE, Rows, averages, once, returns, seeds_told
from analysis.variants import RANDOM_STEPS
from analysis.wording import LADDER, Said, count, markdown, marked, number, paragraphs, seeds, with_interval

TASK = "ReacherVertical"
WITH = {"TD3": "td3", "DynE-TD3": "dyne"}  # {method: the variant that begins with random steps}


def runs(data: Data) -> dict[tuple[str, bool], pd.DataFrame]:
    """{(method, whether it begins with random steps): its curves}, all of the same seeds, up to as many steps."""
    begun = {method: data.variant(RANDOM_STEPS, name) for method, name in WITH.items()}
    wanted = set.intersection(*(set(one.seed) for one in begun.values()))
    upto = min(map(steps_of, begun.values()))
    every = {}
    for method, one in begun.items():
        every[method, False], every[method, True] = data.series(TASK, method), one
    return {key: one[one.seed.isin(wanted) & (one.steps <= upto)] for key, one in every.items()}


def table(data: Data) -> str:
    """TD3 and DynE-TD3 that begin with random steps, beside those that act by their policy from the start."""
    found = runs(data)
    rows: Rows = [([method, "10 000" if random else "0"], one) for (method, random), one in found.items()]
    told, rows = seeds_told(rows)
    header, lines = returns(rows, LADDER, FINE)
    one = next(iter(found.values()))
    title = f"{TASK}, {told} ({one.seed.min()} to {one.seed.max()}), {averages(FINE)}, ± half of the 95 % interval:"
    return f"{title}\n\n{markdown(['', 'random steps', *header], once(lines))}"


def text(data: Data) -> str:
    """How DynE-TD3 ends against TD3 with and without random steps."""
    found = runs(data)
    told = []
    for ours, theirs, words in (
        (False, False, "Without random steps a run of DynE-TD3 returns more than one of TD3"),
        (False, True, "than one of TD3 that begins with them"),
        (True, True, "and one of DynE-TD3 that begins with them more than one of TD3 that does"),
    ):
        pair = found["DynE-TD3", ours], found["TD3", theirs]
        *ends, upto = finals(*pair)
        told.append(
            f"{words} with probability {with_interval(better(ends[0], ends[1]))} over the last tenth of {count(upto)} steps and "
            f"{with_interval(better(*on_the_way(*pair)))} over all of them"
        )
    return paragraphs(f"{'; '.join(told)}.")


def claim(data: Data) -> Said:
    """Whether DynE-TD3 is ahead of a TD3 that begins with random steps."""
    found = runs(data)
    pair = found["DynE-TD3", False], found["TD3", True]
    ours, theirs, upto = finals(*pair)
    both, _, _ = finals(found["DynE-TD3", True], found["TD3", True])
    end, on_way = better(ours, theirs), better(*on_the_way(*pair))
    said = (
        f"DynE-TD3, which begins without ({number(ours.mean())}), is {marked(standing(end))} such a TD3 ({number(theirs.mean())}; "
        f"P(better) {with_interval(end)}) at {count(upto)} steps, and over all steps {marked(standing(on_way))} it "
        f"({with_interval(on_way)}); DynE-TD3 that begins with them too returns {number(both.mean())}"
    )
    return said, f"{seeds(len(ours))}, {count(upto)} steps"
