"""The results page on variants of TD3 (its noise, its range, its random steps), and on the noise of DynE-TD3's targets."""

import pandas as pd

from analysis.comparisons import better, finals, standing
from analysis.critic_values import SPAN
from analysis.figure_tables import load
from analysis.report_data import Data
from analysis.report_tables import by_task
from analysis.tasks import OTHER_TASKS
from analysis.variants import RAW, VARIANTS_OF_TD3
from analysis.wording import count, listed, number, paragraphs, with_interval
from common.errors import UsageError


def tasks_of(data: Data) -> dict[str, dict[str, pd.DataFrame]]:
    """{task: {variant of TD3, or DynE-TD3: its curves}} of the other tasks where several variants of TD3 were tried."""
    found = {}
    for task in OTHER_TASKS:
        kinds = data.variants_of_td3(task)
        if kinds:
            found[task] = {f"TD3, {RAW}": data.series(task, "TD3")}
            found[task] |= {f"TD3, {kind.words}": one for kind, one in kinds.items()}
            found[task]["DynE-TD3"] = data.series(task, "DynE-TD3")
    if not found:
        raise UsageError("no other variant of TD3 was tried")
    return found


def table(data: Data) -> str:
    """The variants of TD3, and DynE-TD3, on the other tasks."""
    return by_task(tasks_of(data), "variants of TD3")


def text(data: Data) -> str:
    """Whether each variant of TD3 ends higher than the published one, and whether DynE-TD3 stays ahead of it."""
    words = {"ahead of": "ends higher than the published one", "level with": "is level with it", "behind": "ends lower"}
    told = []
    for kind in VARIANTS_OF_TD3:
        stands: dict[str, list[str]] = {stand: [] for stand in words}
        ahead = []
        for task in tasks_of(data):
            if kind not in data.variants_of_td3(task):
                continue
            one = data.variant(kind.group, kind.name, task)
            ours, raw, _ = finals(one, data.series(task, "TD3"))
            stands[standing(better(ours, raw))].append(f"{task} ({number(ours.mean())} against {number(raw.mean())})")
            dyne, ours, upto = finals(data.series(task, "DynE-TD3"), one)
            ends = f"{number(dyne.mean())} against {number(ours.mean())}, {count(upto)} steps"
            ahead.append(f"{with_interval(better(dyne, ours))} on {task} ({ends})")
        parts = [f"{said} on {listed(stands[stand])}" for stand, said in words.items() if stands[stand]]
        if parts:
            told.append(f"TD3 {kind.with_it} {listed(parts)}.")
            told.append(
                f"A run of DynE-TD3 ends better than one of TD3 {kind.with_it} with probability {listed(ahead)}."
            )
    return paragraphs(*told)


# ---- the noise of DynE-TD3's targets ----


def values(data: Data) -> str:
    """What the critics of each run of the table of values say, and the lowest returns beside it."""
    table, told = load(data.results, "values"), []
    for (env, method, noise, seed), one in table.groupby(["env", "method", "policy_noise", "seed"], sort=False):
        above, top = float((one.q_max > 0).mean()), one.sort_values("value").iloc[-1]
        lowest = one.sort_values("return").iloc[0]
        told.append(
            f"Seed {seed} of {method} on {env} with --policy_noise {noise:g} has values above zero in {100 * above:.0f} % of the spans; the means of "
            f"Q(s, μ(s)) lie between {number(one.value.min())} and {number(top.value)}, and the lowest return of a span is "
            f"{number(lowest['return'])}, at {count(int(lowest.steps))} steps."
        )
    return paragraphs(f"The numbers are of spans of {count(SPAN)} steps, up to {count(int(table.steps.max()))}.", *told)
