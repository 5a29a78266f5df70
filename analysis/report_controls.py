"""The results page on why the method works: controls, noises, final policies."""

import contextlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.comparisons import better, finals, on_the_way, standing
from analysis.curves import bootstrap
from analysis.estimates import at_shared_steps, final_returns, shared_finals
from analysis.report_data import Data
from analysis.report_references import unlearned
from analysis.report_tables import FINE, Rows, averages, by_task, returns
from analysis.tasks import OTHER_TASKS, environment
from analysis.variants import IN_CONTROLS, MORE_UNTRAINED, RANDOM_STEPS
from analysis.wording import LADDER, count, listed, markdown, number, paragraphs, seeds, with_interval
from common.errors import UsageError

TASK = "ReacherVertical"
CONTROLS = {  # {k} is the number of steps of a plan
    "identity-TD3": "single raw actions by the same code, k = 1",
    "held-TD3": "one raw action held for {k} steps",
    "chunk-TD3": "{k} raw actions in sequence",
}
HALF = {  # variants of the group of controls: the words of their action space, and what their curve is called
    "held_half": ("one raw action held for 4 steps, within half the range", "held-TD3 within half the range"),
    "identity_half": (
        "single raw actions by the same code, within half the range",
        "identity-TD3 within half the range",
    ),
}
UNTRAINED = "DynE, the decoder of an untrained encoder"
RAW = "raw actions"
BY_SAC = "raw actions, another agent"
NAMED = (
    {words: method for method, words in CONTROLS.items()}
    | dict(HALF.values())
    | {
        RAW: "TD3",
        BY_SAC: "SAC",
        UNTRAINED: "an untrained encoder's decoder",
    }
)


def fresh(data: Data) -> list[int]:
    """The seeds that DynE-TD3, TD3 and the controls have, on which only the weight of the decoder's norm was chosen.

    Raises:
        UsageError: one of them has no curve, or they share no seed.
    """
    every = [set(data.series(TASK, method).seed) for method in (*CONTROLS, "DynE-TD3", "TD3")]
    if not (shared := set.intersection(*every)):
        raise UsageError(
            f"{data.results}: on {TASK} DynE-TD3, TD3 and the controls share no seed: publish the same of each"
        )
    return sorted(shared)


def of_seeds(one: pd.DataFrame, wanted: Sequence[int]) -> pd.DataFrame:
    """The part of a series that is of some seeds."""
    return one[one.seed.isin(wanted)]


def action_spaces(data: Data) -> dict[str, pd.DataFrame]:
    """{action space in words: its curves}: DynE's, the controls, raw actions, SAC if it was run, all of the same seeds."""
    wanted = fresh(data)
    found = {"DynE, the published decoder": data.series(TASK, "DynE-TD3")}
    with contextlib.suppress(UsageError):  # it was not run
        found[UNTRAINED] = data.variant(IN_CONTROLS, "untrained")
    found[RAW] = data.series(TASK, "TD3")
    found |= {words: data.series(TASK, method) for method, words in CONTROLS.items()}
    for name, (words, _) in HALF.items():
        with contextlib.suppress(UsageError):  # it was not run
            found[words] = data.variant(IN_CONTROLS, name)
    found = {words: of_seeds(one, wanted) for words, one in found.items() if set(wanted) <= set(one.seed)}
    for sac in data.methods(TASK, ["SAC"]).values():
        if set(wanted) <= set(sac.seed):
            found[BY_SAC] = of_seeds(sac[sac.steps <= found[RAW].steps.max()], wanted)
    return found


def controls(data: Data) -> str:
    """The same agent in several action spaces, TD3 and SAC."""
    wanted = fresh(data)
    rows: Rows = []
    for words, one in action_spaces(data).items():
        curve = NAMED.get(words, "DynE-TD3")
        rows.append(([words.format(k=data.plan_length(TASK, curve) or "k"), curve], one))
    header, lines = returns(rows, LADDER, FINE)
    title = f"{TASK}, seeds {wanted[0]} to {wanted[-1]}, {averages(FINE)}, ± half of the 95 % interval:"
    return f"{title}\n\n{markdown(['action space', 'curve', *header], lines)}"


def controls_text(data: Data) -> str:
    """How a run of DynE-TD3 ends against one of each control."""
    found = action_spaces(data)
    (_, dyne), *others = found.items()
    told, stands, pairs = [], {}, []
    for words, one in others:
        ours, theirs, upto = finals(dyne, one)
        probability = better(ours, theirs)
        told.append(f"{with_interval(probability)} than one of {NAMED[words]}")
        stands[words] = standing(probability)
        ours, theirs = on_the_way(dyne, one)
        pairs.append(f"{(ours > theirs).sum()} ({NAMED[words]})")
    behind = [NAMED[words] for words, stand in stands.items() if stand != "ahead of"]
    return paragraphs(
        f"Over the last tenth of {count(upto)} steps a run of DynE-TD3 ends better with probability {listed(told)}.",
        f"Runs of one seed share the starts of their evaluations: of {len(ours)} such pairs DynE-TD3 returns more, on average over",
        f"all steps, in {listed(pairs)}.",
        f"At the end it is not ahead of {listed(behind)}." if behind else "So DynE-TD3 is ahead of all of them.",
        half_range(found, dyne),
        *random_start(data, found),
        *untrained_encoders(data),
    )


def random_start(data: Data, found: Mapping[str, pd.DataFrame]) -> list[str]:
    """How a TD3 that begins with 1 000 random steps ends against all others; nothing without such runs of all seeds.

    Args:
        found: {action space in words: its curves}, DynE-TD3's first.
    """
    wanted = fresh(data)
    try:
        td3 = of_seeds(data.variant(RANDOM_STEPS, "td3_1000"), wanted)
    except UsageError:  # it was not run
        return []
    if set(td3.seed) != set(wanted):
        return []
    told = [
        f"{with_interval(better(*finals(td3, one)[:2]))} than one of {NAMED.get(words, 'DynE-TD3')}"
        for words, one in found.items()
    ]
    alone = ", but SAC" if BY_SAC in found else ""
    return [
        f"None of these begins with random steps{alone}. A run of TD3 that begins with 1 000 of them, of the seeds {wanted[0]} to",
        f"{wanted[-1]} too, ends better with probability {listed(told)}.",
    ]


def half_range(found: Mapping[str, pd.DataFrame], dyne: pd.DataFrame) -> str:
    """How far controls within half the range come from TD3 to DynE-TD3; {action space in words: its curves}."""
    told = []
    for words, _ in HALF.values():
        if words not in found:
            continue
        one, td3, shared = at_shared_steps(found[words], found[RAW], dyne)
        at_the_end, whole = better(*finals(one, td3)[:2]), better(*on_the_way(one, td3))
        gains = []
        for averages_of in (lambda *pair: finals(*pair)[:2], on_the_way):
            ours, raw = (values.mean() for values in averages_of(one, td3))
            best, _ = (values.mean() for values in averages_of(shared, td3))
            gains.append(f"{100 * (ours - raw) / (best - raw):.0f} %")
        told.append(
            f"{NAMED[words]} comes {gains[0]} of the way from TD3 to DynE-TD3 ({standing(at_the_end)} TD3, P {with_interval(at_the_end)}), "
            f"over all steps {gains[1]} ({standing(whole)} TD3, P {with_interval(whole)})"
        )
    return f"At the end {'; '.join(told)}." if told else ""


def untrained_encoders(data: Data) -> list[str]:
    """How the decoders of several untrained encoders end, on the seeds that all of them have; nothing if there is one."""
    first = data.ablations[(data.ablations.group == IN_CONTROLS) & (data.ablations.name == "untrained")]
    more = data.ablations[data.ablations.group == MORE_UNTRAINED]
    if not len(more):
        return []
    spaces = [first, *(one for _, one in more.groupby("name")), data.series(TASK, "TD3"), data.series(TASK, "DynE-TD3")]
    wanted = sorted(set.intersection(*(set(one.seed) for one in spaces)))
    cut = at_shared_steps(*(of_seeds(one, wanted) for one in spaces))
    *untrained, td3, dyne = cut
    told = []
    for one in untrained:
        end, on_way = (better(*pair[:2]) for pair in (finals(one, td3), on_the_way(one, td3)))
        ours, theirs = on_the_way(one, td3)
        told.append(
            f"{number(final_returns(one).mean())} at the end ({standing(end)} TD3, P {end[0]:.2f}) and {number(ours.mean())} over all "
            f"steps ({standing(on_way)} it, P {on_way[0]:.2f})"
        )
    return [
        f"The decoders of {len(untrained)} untrained encoders, each with its own random weights, return, with the seeds {wanted[0]} to",
        f"{wanted[-1]}: {listed(told)}. With the same seeds TD3 returns {number(final_returns(td3).mean())} at the end and",
        f"{number(theirs.mean())} over all steps, DynE-TD3 {number(final_returns(dyne).mean())} at the end.",
    ]


# ---- held actions on other tasks ----


def held_tasks(data: Data) -> dict[str, dict[str, pd.DataFrame]]:
    """{task: {method: its curves}} of the other tasks that held actions were tried on, up to as many steps."""
    wanted = ["TD3", "held-TD3", "DynE-TD3"]
    found = {task: data.methods(task, wanted) for task in OTHER_TASKS}
    whole = {task: of_task for task, of_task in found.items() if len(of_task) == len(wanted)}
    return {task: dict(zip(wanted, at_shared_steps(*of_task.values()), strict=True)) for task, of_task in whole.items()}


def held(data: Data) -> str:
    """TD3 on raw actions, on held ones, and DynE-TD3."""
    return by_task(held_tasks(data), "held actions")


def held_text(data: Data) -> str:
    """How runs of DynE-TD3 and of TD3 end against those with held actions."""
    told = []
    for task, of_task in held_tasks(data).items():
        parts, single = [], of_task["held-TD3"]
        for method in ("DynE-TD3", "TD3"):
            ours, theirs, upto = finals(of_task[method], single)
            told_ends = f"{number(ours.mean())} against {number(theirs.mean())}"
            parts.append(f"one of {method} with probability {with_interval(better(ours, theirs))} ({told_ends})")
        told.append(
            f"On {task}, over the last tenth of {count(upto)} steps, a run ends better than one of held-TD3: {listed(parts)}."
        )
        ends = dict(zip(of_task, shared_finals(*of_task.values()), strict=True))
        if near := unlearned(data, task, ends):
            told.append(f"Not clearly above untrained policies and doing nothing there: {listed(near)}.")
    return paragraphs(*told)


# ---- final policies ----


def final_returns_of(data: Data, method: str) -> pd.DataFrame:
    """Returns of the trained policies, a row a seed, a column a start: all methods have the same starts."""
    path = data.results / "final_policies" / f"{environment(TASK)}_{method}.csv"
    try:
        return pd.read_csv(path).pivot(index="seed", columns="episode", values="return")
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{path}: there is no table of final policies ({error})") from error


def final_policies(data: Data) -> str:
    """Final policies of DynE-TD3 and TD3, start by start."""
    dyne, td3 = (final_returns_of(data, method) for method in ("DynE-TD3", "TD3"))
    told = []
    for method, table in (("DynE-TD3", dyne), ("TD3", td3)):
        mean, low, high = bootstrap(table.mean(axis=1))
        told.append(f"{method} {number(mean)} [{number(low)}, {number(high)}]")
    differences = dyne.mean(axis=0) - td3.mean(axis=0)
    pairs = np.mean(dyne.to_numpy()[:, None] > td3.to_numpy()[None])
    share = f"{(differences > 0).sum()} of {len(differences)}"
    return paragraphs(
        f"The trained policies of {TASK} ({seeds(len(dyne))} of each method) were played again from the same",
        f"{dyne.shape[1]} starts, without noise. Means and 95 % intervals over seeds: {listed(told)}. From {share} starts",
        f"the mean over seeds is higher with DynE-TD3. Start by start the difference is {number(differences.mean())} on",
        f"average, with a standard deviation over starts of {differences.std(ddof=1):.1f}. Single runs differ more: of all pairs",
        f"of a run of each method, at all starts, DynE-TD3 returns more in {100 * pairs:.0f} %.",
    )
