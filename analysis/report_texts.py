"""The sentences of the results pages that tell numbers, each with its numbers computed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.authors import AUTHORS_RANGE
from analysis.comparisons import at, better, entry, finals, seeds_of, standing, steps_of, window
from analysis.curves import select
from analysis.estimates import across_tasks, correlations, final_returns, last_step, shared_finals
from analysis.report_data import Data, authors_returns
from analysis.report_references import like_untrained, references, unlearned
from analysis.report_tables import COARSE, FINE
from analysis.tasks import BASELINES, DYNE_FROM_PIXELS, ENCODED, NAMES, OTHER_TASKS, REACHER_FAMILY, TASKS, environment
from analysis.variants import LONGER
from analysis.wording import MINUS, count, listed, number, paragraphs, read_off, seeds, with_interval
from common.errors import UsageError

ALIKE = 0.3  # how much more evaluations of the same starts correlate at least
FRAME_ENDS = {"ReacherVertical": max(authors_returns("ReacherVertical", "DynE-TD3"))}  # the paper's figure 4, steps


# ---- figure 4 ----


def figure4_vertical(data: Data) -> str:
    """How sure DynE-TD3 is ahead on ReacherVertical."""
    dyne, td3, _ = finals(*(data.series("ReacherVertical", method) for method in ("DynE-TD3", "TD3")))
    return paragraphs(
        f"A run of DynE-TD3 ends better than one of TD3 with probability {with_interval(better(dyne, td3))}, over the",
        "last tenth of the steps.",
    )


def last_tenths(
    data: Data, method: str, tasks: list[str]
) -> dict[str, tuple[tuple[float, float, float], float, float]]:
    """{task: (how DynE-TD3 ends by `better`, its final return, the method's)} of tasks that have both."""
    found = {}
    for task in tasks:
        if len(data.methods(task, ["DynE-TD3", method])) == 2:
            dyne, other, _ = finals(data.series(task, "DynE-TD3"), data.series(task, method))
            found[task] = better(dyne, other), float(dyne.mean()), float(other.mean())
    return found


def figure4_tasks(data: Data) -> str:
    """On which of the other tasks DynE-TD3 ends ahead of TD3, and what has learned nothing there."""
    data = data.with_best_td3()
    told: dict[str, list[str]] = {"ahead of": [], "level with": [], "behind": []}
    for task, (ends, dyne, td3) in last_tenths(data, "TD3", OTHER_TASKS).items():
        told[standing(ends)].append(f"{task} ({number(dyne)} against {number(td3)}, P {with_interval(ends)})")
    parts = [f"{stands} TD3 on {listed(tasks)}" for stands, tasks in told.items() if tasks]
    return paragraphs(
        "The following returns are means over the last tenth of the steps that both methods have. P is the probability that a",
        "run of DynE-TD3 returns more.",
        td3_told(data),
        f"DynE-TD3 is {listed(parts)}." if parts else "",
        references(data),
        like_untrained(data),
    )


def td3_taken(data: Data, among: Sequence[str]) -> str:
    """On which of some tasks TD3 is compared as another kind than the published one."""
    of_kind = {kind: [task for task in tasks if task in among] for kind, tasks in data.other_td3.items()}
    return listed([f"{kind.with_it} on {listed(tasks)}" for kind, tasks in of_kind.items() if tasks])


def td3_told(data: Data) -> str:
    """The same of the other tasks, as a sentence."""
    taken = td3_taken(data, OTHER_TASKS)
    return f"TD3 is taken {taken}, where it ends higher so (see below)." if taken else ""


def all_tasks(data: Data) -> str:
    """Interquartile means over tasks and the probability of improvement."""
    data = data.with_best_td3()
    curves = select(data.published, TASKS, ["TD3", "DynE-TD3"])
    table = across_tasks(curves, ["DynE-TD3", "TD3"])
    scaled, taken = table["scaled final return, interquartile mean"], td3_taken(data, NAMES)
    tasks, _, few = table["tasks"].iloc[0].partition(", ")
    return paragraphs(
        f"All {tasks} tasks together" + (f", TD3 taken {taken}," if taken else ","),
        "after as many steps as both methods have on a task, scaled by the range of the authors' plots, every task",
        "counting alike: the interquartile mean is",
        f"{scaled['DynE-TD3']} for DynE-TD3 and {scaled['TD3']} for TD3.",
        f"A run of DynE-TD3 ends better than one of TD3 with probability {table['P(DynE-TD3 better)']['TD3']}"
        + (f"; these have no intervals: of the tasks {few}." if few else " (bootstrap stratified by task)."),
    )


def baselines(data: Data) -> str:
    """How SAC stands to DynE-TD3 on ReacherVertical, span by span; what has learned nothing on the other tasks, and PPO."""
    pair = [data.series("ReacherVertical", method) for method in ("DynE-TD3", "SAC")]
    spans = []
    for after, upto in ((1_000, 5_000), (5_000, 15_000), (15_000, 25_000), (25_000, 50_000)):
        dyne, sac = (window(one, after, upto) for one in pair)
        odds = f"P {with_interval(better(dyne, sac))}"
        spans.append(
            f"{standing(better(dyne, sac))} SAC from {count(after)} to {count(upto)} steps ({number(dyne.mean())} against "
            f"{number(sac.mean())}, {odds})"
        )
    compared = f"On ReacherVertical, once SAC's 1 000 random steps are over, DynE-TD3 is, on average, {listed(spans)}."
    return paragraphs(compared, unlearned_baselines(data), ppo(data))


def unlearned_baselines(data: Data) -> str:
    """The baselines that end, over their own last tenths, not clearly above untrained policies and doing nothing."""
    told = []
    for task in NAMES:
        ends = {method: final_returns(one) for method, one in data.methods(task, BASELINES).items()}
        told += [f"{method} on {task} ({number(ends[method].mean())})" for method in unlearned(data, task, ends)]
    return f"These do not end clearly above untrained policies and doing nothing: {listed(told)}." if told else ""


def ppo(data: Data) -> str:
    """Where PPO ends, and how much of it is within the range of the authors' plots."""
    found = {task: data.series(task, "PPO") for task in NAMES if data.methods(task, ["PPO"])}
    ends = [f"{number(final_returns(one).mean())} on {task}" for task, one in found.items()]
    inside = [f"{_share_in_frame(task, found[task])} on {task}" for task in REACHER_FAMILY if task in found]
    return paragraphs(
        f"Over its own last tenth PPO returns {listed(ends)}.",
        "In the paper's figure PPO's curves do not enter the frames of the Reacher family.",
        f"Of PPO's means over {count(COARSE)} steps here, {listed(inside)} lie within the range of returns of the paper's frame",
        f"(on ReacherVertical, where the frame ends at {count(FRAME_ENDS['ReacherVertical'])} steps, up to there).",
    )


def _share_in_frame(task: str, one: pd.DataFrame) -> str:
    """Of how many means over `COARSE` steps the return is within the range of the authors' plot, as far as it goes."""
    low, high = AUTHORS_RANGE[environment(task)]
    last = min(steps_of(one), FRAME_ENDS.get(task, steps_of(one)))
    means = [at(one, step, COARSE).mean() for step in range(COARSE, last + 1, COARSE)]
    return f"{100 * np.mean([low <= mean <= high for mean in means]):.0f} %"


# ---- figures 5 and 9, plans and ablations ----


def at_the_end(data: Data, task: str, methods: list[str]) -> tuple[dict[str, pd.Series], int]:
    """{method: final returns of its seeds, over the last tenth of the steps that all seeds of all methods have}, and the last step."""
    if not methods:
        raise UsageError(f"there are no curves from pixels on {task}")
    found = {method: data.series(task, method) for method in methods}
    return dict(zip(found, shared_finals(*found.values()), strict=True)), last_step(*found.values())


def tasks_with(data: Data, methods: list[str]) -> list[str]:
    """The tasks that have curves of all of these methods; raises `UsageError` if there are none."""
    found = [task for task in NAMES if len(data.methods(task, methods)) == len(methods)]
    if not found:
        raise UsageError(f"no task has curves of all of {listed(methods)}")
    return found


def figure5(data: Data) -> str:
    """How far the DynE methods are above VAE-TD3, and where the authors' curves are."""
    told = []
    for task in tasks_with(data, ENCODED):
        found, upto = at_the_end(data, task, ENCODED)
        above = [f"{found[name].mean() - found['VAE-TD3'].mean():.0f}".replace("-", MINUS) for name in DYNE_FROM_PIXELS]
        read = {name: authors_returns(task, name) for name in ENCODED}
        step = min(read["VAE-TD3"])
        returned = listed([f"{name} returns {read_off(read[name][step])}" for name in ENCODED])
        told.append(
            f"On {task}, over the last tenth of {count(upto)} steps, pretraining's among them, SA-DynE-TD3 returns {above[0]} more than VAE-TD3, and S-DynE-TD3 "
            f"{above[1]} more. In the authors' plot of {task} at {count(step)} steps {returned}."
        )
        if lower := [name for name in ENCODED if (found[name] < _first(data.series(task, name))).all()]:
            told.append(f"On {task} every run of {listed(lower)} ends below its own first evaluation.")
        if upto < step:
            told.append(f"The runs of {task} here have fewer steps than these returns of the authors.")
        told += [_few_steps(one, upto) for one in data.methods(task, ["Pixel-TD3"]).values()]
    return paragraphs(*told, *_shared_starts(data))


def _shared_starts(data: Data) -> list[str]:
    """That methods are evaluated from the same starts, and what this does to their curves; nothing where they are not more alike by it."""
    told = []
    for task in tasks_with(data, ENCODED):
        found = correlations([data.series(task, name) for name in ENCODED])
        same, others = (f"{value:.2f}".replace("-", MINUS) for value in found)
        if found[0] - found[1] > ALIKE:
            told.append(f"{same} on {task} ({others} where the seeds differ)")
    words = (
        "The n-th evaluation of a seed begins at the same starts in these methods, and some starts are worse than others. So the evaluations "
        f"of two of them with the same seed correlate, on average over their pairs {listed(told)}. Falls and rises that their curves share are "
        "in part those of the starts."
    )
    return [words] if told else []


def _first(one: pd.DataFrame) -> pd.Series:
    """The evaluation of each seed before its policy was trained, (N,)."""
    return one[one.steps == one.groupby("seed").steps.transform("min")].set_index("seed").mean_return


def _few_steps(pixel: pd.DataFrame, upto: int) -> str:
    """That Pixel-TD3 has too few steps to be compared, where it has less than half of them."""
    few = f"Pixel-TD3 has {count(steps_of(pixel))} steps, too few to say whether it is below VAE-TD3."
    return few if steps_of(pixel) < upto / 2 else ""


def figure9(data: Data) -> str:
    """PPO and SAC from states beside the DynE methods from pixels."""
    told = []
    for task in tasks_with(data, [*DYNE_FROM_PIXELS, "PPO"]):
        found, upto = at_the_end(data, task, [*DYNE_FROM_PIXELS, "PPO"])
        returned = {name: entry(values) for name, values in found.items()}
        told.append(
            f"{task}, means over the last tenth of {count(upto)} steps: from pixels SA-DynE-TD3 returns "
            f"{returned['SA-DynE-TD3']} and S-DynE-TD3 {returned['S-DynE-TD3']}; from states PPO returns "
            f"{returned['PPO']}."
        )
        stands = {name: standing(better(found[name], found["PPO"])) for name in DYNE_FROM_PIXELS}
        if len({*stands.values()}) == 1:
            words = f"they are {stands[DYNE_FROM_PIXELS[0]]} PPO"
        else:
            words = listed([f"{name} is {one} PPO" for name, one in stands.items()])
        rising = [_rises(data.series(task, name), upto) for name in DYNE_FROM_PIXELS]
        told.append(
            f"Of the {sum(map(len, rising))} runs of the DynE methods {sum(one.sum() for one in rising)} return more there than "
            "over the tenth before."
        )
        if len(among := unlearned(data, task, found)) == len(found):
            words = f"none of the {len(among)} ends clearly above untrained policies and doing nothing, so they are not compared"
        told.append(f"The paper has both DynE methods much better than PPO; on {task} here {words}.")
        for sac in data.methods(task, ["SAC"]).values():
            told.append(
                f"SAC from states returns {entry(final_returns(sac))} over the last tenth of {count(steps_of(sac))} steps."
            )
        told += longer_sac(data, task)
    return paragraphs(*told)


def longer_sac(data: Data, task: str) -> list[str]:
    """What SAC returns in the runs that are longer than its published curve, if there are some on a task."""
    try:
        one = data.variant(LONGER, "100k", task)
    except UsageError:
        return []
    last = steps_of(one)
    return [
        f"{seeds(seeds_of(one)).capitalize()} of SAC that ran longer return {entry(at(one, last, FINE))} at {count(last)} steps."
    ]


def _rises(one: pd.DataFrame, upto: int) -> pd.Series:
    """Whether each seed returns more over the last tenth of the steps up to `upto` than over the tenth before; (N,)."""
    return at(one, upto, upto // 10) > at(one, upto - upto // 10, upto // 10)


def plans(data: Data) -> str:
    """How probably a run of DynE-TD3 ends better than one on whole plans."""
    dyne, told = data.series("ReacherVertical", "DynE-TD3"), []
    for method, words in (("TD3-plans", "TD3"), ("SAC-plans", "SAC")):
        ours, theirs, upto = finals(dyne, data.series("ReacherVertical", method))
        told.append(f"one of {words} on whole plans with probability {with_interval(better(ours, theirs))}")
    return f"A run of DynE-TD3 ends better than {listed(told)}, over the last tenth of {count(upto)} steps."
