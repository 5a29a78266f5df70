"""The results page on noises: TD3's, 0.1 in raw units or a tenth of each bound, and that of DynE-TD3's targets."""

import numpy as np
import pandas as pd

from analysis.figures import load
from analysis.report_data import (
    LADDER,
    Data,
    better,
    count,
    finals,
    listed,
    markdown,
    number,
    paragraphs,
    standing,
    with_interval,
)
from analysis.report_tables import COARSE, ENDS, ENDS_TOLD, Rows, averages, ends, once, returns, seeds_told, some
from common.errors import UsageError

RAW, WIDE = "TD3, noise 0.1 in raw units", "TD3, noise of a tenth of each bound"
GROUP = "noise"


def tasks_of(data: Data) -> dict[str, dict[str, pd.DataFrame]]:
    """{task: {what runs there: its curves}} of the tasks where TD3's noise was varied."""
    varied = data.ablations[data.ablations.group == GROUP]
    found = {}
    for task in dict.fromkeys(varied.env.str.removesuffix("-v2")):
        wide = data.variant(GROUP, "bounds", task)
        found[task] = {RAW: data.series(task, "TD3"), WIDE: wide, "DynE-TD3": data.series(task, "DynE-TD3")}
    if not found:
        raise UsageError("TD3's noise was not varied")
    return found


def table(data: Data) -> str:
    """TD3 with either noise, and DynE-TD3, on the tasks whose bounds are not 1."""
    found = tasks_of(data)
    rows: Rows = [([task, words], one) for task, of_task in found.items() for words, one in of_task.items()]
    told, rows = seeds_told(some(rows, "TD3's noise"))
    header, lines = returns(rows, [step for step in LADDER if step >= COARSE and step != 10_000], COARSE)
    last = [of_row for of_task in found.values() for of_row in ends(of_task)]
    lines = [[*line, of_row] for line, of_row in zip(once(lines), last, strict=True)]
    return f"{told} a row, {averages(COARSE)} ({ENDS_TOLD}):\n\n{markdown(['', '', *header, ENDS], lines)}"


def text(data: Data) -> str:
    """Whether TD3 gains by the wider noise, and whether DynE-TD3 stays ahead of it."""
    gains: dict[str, list[str]] = {"ahead of": [], "level with": [], "behind": []}
    ahead = []
    for task, of_task in tasks_of(data).items():
        wide, raw, _ = finals(of_task[WIDE], of_task[RAW])
        gains[standing(better(wide, raw)[0])].append(f"{task} ({number(wide.mean())} against {number(raw.mean())})")
        dyne, wide, upto = finals(of_task["DynE-TD3"], of_task[WIDE])
        told = f"{number(dyne.mean())} against {number(wide.mean())}"
        ahead.append(f"{with_interval(better(dyne, wide))} on {task} ({told}, {count(upto)} steps)")
    words = {"ahead of": "gains by the wider noise", "level with": "is the same with it", "behind": "loses by it"}
    return paragraphs(
        *(f"TD3 {said} on {listed(gains[stands])}." for stands, said in words.items() if gains[stands]),
        f"A run of DynE-TD3 ends better than one of TD3 with the wider noise with probability {listed(ahead)}.",
    )


# ---- the noise of DynE-TD3's targets ----


def values(data: Data) -> str:
    """What the critics of each run of the table of values say, and the lowest returns beside it."""
    table, told = load(data.results, "values"), []
    for (noise, seed), one in table.groupby(["policy_noise", "seed"], sort=False):
        above, top = float((one.q_max > 0).mean()), one.sort_values("value").iloc[-1]
        lowest = one.sort_values("return").iloc[0]
        told.append(
            f"Seed {seed} with --policy_noise {noise:g} has values above zero in {100 * above:.0f} % of the spans; the means of "
            f"Q(s, μ(s)) lie between {number(one.value.min())} and {number(top.value)}, and the lowest return of a span is "
            f"{number(lowest['return'])}, at {count(int(lowest.steps))} steps."
        )
    span, last = int(np.diff(np.unique(table.steps)).min()), int(table.steps.max())
    return paragraphs(f"The numbers are of spans of {count(span)} steps, up to {count(last)}.", *told)
