"""The results page on random steps at the start: 10 000 in TD3's code of the time, none in the release."""

import pandas as pd

from analysis.comparisons import better, finals, on_the_way, standing, steps_of
from analysis.report_data import Data
from analysis.report_tables import FINE, Rows, averages, once, returns, seeds_told
from analysis.tasks import VERTICAL
from analysis.variants import RANDOM_STEPS
from analysis.wording import LADDER, Said, count, markdown, marked, number, seeds, with_interval

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
