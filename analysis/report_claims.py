"""The claims of the paper, one by one: what there is of each here, and on which data."""

from collections.abc import Callable, Mapping

import pandas as pd

from analysis import report_random_steps
from analysis.comparisons import better, finals, on_the_way, seeds_of, standing, steps_of
from analysis.curves import FEW
from analysis.estimates import final_returns
from analysis.random_claims import figure3_episode, figure3_plan, figure8, figure10
from analysis.report_controls import NAMED, action_spaces
from analysis.report_data import Data, authors_returns
from analysis.report_references import unlearned
from analysis.report_sensitivity import Spread, panels
from analysis.report_texts import at_the_end, last_tenths, td3_taken
from analysis.sensitivity import LENGTH
from analysis.tasks import BASELINES, DYNE_FROM_PIXELS, ENCODED, OTHER_TASKS, REACHER_FAMILY, SEVEN_DOF_FAMILY
from analysis.verdicts import (
    FAILED,
    LIKELY,
    NOT_IN_THE_PAPER,
    NOT_RUN,
    OPEN,
    amount,
    compare,
    of_all,
    over_tasks,
)
from analysis.wording import Said, count, listed, marked, mostly, number, with_interval
from common.errors import UsageError


def said_of(here: Callable[[Data], Said], data: Data) -> Said:
    """What there is of a claim; `NOT_RUN` where its curves are missing."""
    try:
        return here(data)
    except UsageError:
        return NOT_RUN, ""


def controls(data: Data) -> Said:
    """Whether the gain is the embedding's: the same agent in spaces that nothing was learned for."""
    (_, dyne), *others = action_spaces(data).items()
    told: dict[str, list[str]] = {"ahead of": [], "level with": [], "behind": []}
    for words, one in others:
        ours, theirs, _ = finals(dyne, one)
        told[standing(better(ours, theirs))].append(f"{NAMED[words]} ({number(theirs.mean())})")
    parts = [f"{marked(stands)} {listed(words)}" for stands, words in told.items() if words]
    ends = number(finals(dyne, others[0][1])[0].mean())
    return f"DynE-TD3 ({ends}) is {', '.join(parts)}", f"{seeds_of(dyne)} seeds, {count(steps_of(dyne))} steps"


def figure4_vertical(data: Data) -> Said:
    """DynE-TD3 and TD3 on ReacherVertical."""
    series = {method: data.series("ReacherVertical", method) for method in ("DynE-TD3", "TD3")}
    found, upto = compare(data, "ReacherVertical", *series.values()), min(map(steps_of, series.values()))
    last = max(authors_returns("ReacherVertical", "DynE-TD3"))
    all_shown = " (all that the paper shows)" if upto >= last else f" of the paper's {count(last)}"
    said = f"{found.claim}: {found.ends} at {count(upto)} steps; P(better) {with_interval(found.at_the_end)}, over all steps {with_interval(found.over_all)}"
    return said, amount(series) + all_shown


def figure4_tasks(data: Data) -> Said:
    """DynE-TD3 and TD3 on the other tasks, of TD3 the kind that ends higher."""
    data = data.with_best_td3()
    found = last_tenths(data, "TD3", OTHER_TASKS)
    if not found:
        raise UsageError("there are no curves of the other tasks")
    ahead = [task for task, (odds, _, _) in found.items() if standing(odds) == "ahead of"]
    every = [one for task in found for one in data.methods(task, ["TD3", "DynE-TD3"]).values()]
    taken = td3_taken(data, OTHER_TASKS)
    on = f" ({listed(ahead)})" if ahead else ""
    claim, average = over_tasks((data.series(task, "DynE-TD3"), data.series(task, "TD3")) for task in found)
    said = f"{claim}: P(better), averaged over the tasks, is {average:.2f}; DynE-TD3 is ahead on {len(ahead)} of {len(found)} tasks{on} over the last tenth"
    whole = {task: better(*on_the_way(data.series(task, "DynE-TD3"), data.series(task, "TD3"))) for task in found}
    all_along = [task for task, odds in whole.items() if standing(odds) == "ahead of"]
    said += f", over all steps on {len(all_along)}" + (f" ({listed(all_along)})" if all_along else "")
    said += f"; TD3 is taken {taken}, where it ends higher so" if taken else ""
    counts = sorted({seeds_of(one) for one in every})
    many = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    compared = {task: finals(data.series(task, "DynE-TD3"), data.series(task, "TD3"))[2] for task in found}
    steps = mostly({task: count(upto) for task, upto in compared.items()}, "steps")
    return said, f"{many} seeds a method and task, {steps}, of the paper's 1 to 5 million"


def baselines(task: str) -> Callable[[Data], Said]:
    """The row of the baselines of one task."""

    def said(data: Data) -> Said:
        dyne, series = data.series(task, "DynE-TD3"), data.methods(task, BASELINES)
        if not series:
            raise UsageError(f"there are no baselines on {task}")
        near_references, alone, elsewhere, claims = [], [], [], []
        told: dict[str, list[str]] = {"ahead of": [], "level with": [], "behind": []}
        for method, other in series.items():
            found = compare(data, task, dyne, other)
            told[standing(found.at_the_end)].append(f"{method} ({found.ends})")
            near_references += [] if found.learned else [method]
            alone += [method] if found.one_evaluation else []
            if found.differs:
                elsewhere.append(f"{marked(standing(found.over_all))} {method} ({found.means})")
            claims.append(found.claim)
        parts = [f"{marked(stands)} {listed(methods)}" for stands, methods in told.items() if methods]
        said = f"{of_all(claims)}: at the end DynE-TD3 is {', '.join(parts)}"
        said += f"; over all steps it is {listed(elsewhere)}" if elsewhere else ""
        said += f"; beside {listed(alone)} it has one evaluation a seed there" if alone else ""
        if near_references:
            said += f"; neither it nor {listed(near_references)} is clearly above untrained policies and doing nothing there"
        return said, amount({"DynE-TD3": dyne, **series})

    return said


def figure5(task: str) -> Callable[[Data], Said]:
    """The row of the methods from pixels on one task."""

    def said(data: Data) -> Said:
        series = data.methods(task, ENCODED)
        found, upto = at_the_end(data, task, [*series])
        told = listed([f"{name} {number(ends.mean())}" for name, ends in found.items()]) + f" at {count(upto)} steps"
        dyne = [name for name in DYNE_FROM_PIXELS if name in series]
        pairs = [(series[name], series["VAE-TD3"]) for name in dyne if "VAE-TD3" in series]
        claim = of_all(compare(data, task, *pair).claim for pair in pairs)
        return f"{claim}: {told}{near_references(data, task, found)}", f"{amount(series)}, with pretraining's"

    return said


def near_references(data: Data, task: str, ends: Mapping[str, pd.Series]) -> str:
    """Those of some methods, {method: final returns}, that end not clearly above both references, in words."""
    among = unlearned(data, task, ends)
    return f"; not clearly above untrained policies and doing nothing: {listed(among)}" if among else ""


def vae_above(data: Data) -> Said:
    """VAE-TD3 and Pixel-TD3, each at its own end where they share no steps."""
    vae, pixel = (data.series("ReacherVertical", method) for method in ("VAE-TD3", "Pixel-TD3"))
    own = [number(final_returns(one).mean()) for one in (vae, pixel)]
    told = f"{own[0]} and {own[1]} at their own ends"
    series = {"VAE-TD3": vae, "Pixel-TD3": pixel}
    try:
        return f"{compare(data, 'ReacherVertical', vae, pixel).claim}: {told}", amount(series)
    except UsageError:
        return f"{OPEN}: {told}, which share no steps", amount(series)


def figure9(task: str) -> Callable[[Data], Said]:
    """The row of the DynE methods from pixels and PPO from states on one task."""

    def said(data: Data) -> Said:
        names = [*DYNE_FROM_PIXELS, "PPO"]
        found, upto = at_the_end(data, task, names)
        series = {name: data.series(task, name) for name in names}
        told = listed([f"{name} {number(found[name].mean())}" for name in names])
        claim = of_all(compare(data, task, series[name], series["PPO"]).claim for name in DYNE_FROM_PIXELS)
        return f"{claim}: {told} at {count(upto)} steps{near_references(data, task, found)}", amount(series)

    return said


def plans(data: Data) -> Said:
    """Whole plans as single steps."""
    series = {method: data.series("ReacherVertical", method) for method in ("DynE-TD3", "TD3-plans", "SAC-plans")}
    ends, upto = at_the_end(data, "ReacherVertical", [*series])
    dyne, *others = series.values()
    claim = of_all(compare(data, "ReacherVertical", dyne, one).claim for one in others)
    told = [number(values.mean()) for values in ends.values()]
    said = f"{claim}: DynE-TD3 {told[0]}, whole plans {told[1]} (TD3) and {told[2]} (SAC) at {count(upto)} steps"
    return said, mostly({method: f"{seeds_of(one)}" for method, one in series.items()}, "seeds")


SPREAD = 2.0  # times what chance makes it: a standard deviation of settings' means that is no insensitivity any more


def sensitivity(data: Data) -> Said:
    """λ and γ over decades: each panel against its own TD3, over its own seeds and steps."""
    told, behind, spreads = [], [], []
    td3s, seeds, steps = dict[str, str](), dict[str, int](), dict[str, str]()
    for panel, found in panels(data).items():
        if panel == LENGTH:
            continue
        ours, td3 = found[found.series != "TD3"], found[found.series == "TD3"]["return"]
        name = panel.partition(",")[0]
        td3s[name], seeds[name] = number(td3.mean()), int(ours.seed.nunique())
        steps[name] = count(int(ours.steps.iloc[0]))
        means = ours.groupby(["series", "setting"])["return"].mean()
        told.append(
            f"with {name} from {' to '.join(_ends(ours.setting))} {number(means.min())} to {number(means.max())}"
        )
        spread = Spread(ours.pivot_table(index="seed", columns=["series", "setting"], values="return", sort=False))
        spreads.append((name, spread))
        for (series, setting), one in ours.groupby(["series", "setting"], sort=False):
            if standing(better(one["return"], td3)) != "ahead of":
                behind.append(f"{name} = {setting} ({series})")
    if not told:
        raise UsageError("neither λ nor γ was varied")
    alike = all(one.of_means < SPREAD * one.expected for _, one in spreads)
    claim = ("reproduces" if min(seeds.values()) >= FEW else LIKELY) if alike else OPEN
    claim = f"{FAILED}: not ahead of TD3 for {listed(behind)}" if behind else f"{claim}: ahead of TD3 at all settings"
    chance = listed([f"{one.of_means:.2f} for {name} ({one.expected:.2f} by chance)" for name, one in spreads])
    claim += f", whose means have a standard deviation of {chance}; DynE-TD3 {listed(told)}, TD3 {_each(td3s)}"
    return claim, f"{_each(seeds)} seeds a setting, {_each(steps)} steps"


def _each(told: Mapping[str, object]) -> str:
    """What all of some names have; where they differ, of each its own."""
    if len({*told.values()}) == 1:
        return f"{next(iter(told.values()))}"
    return listed([f"{value} ({name})" for name, value in told.items()])


def lengths(data: Data) -> Said:
    """k, the number of actions a plan: its settings in the order of their returns."""
    if LENGTH not in (every := panels(data)):
        raise UsageError("k was not varied")
    varied = every[LENGTH]
    ours, td3 = varied[varied.series.str.startswith("DynE-TD3")], varied[varied.series == "TD3"]["return"]
    means = ours.groupby("setting")["return"].mean().sort_values(ascending=False)
    told = listed([f"k = {setting} {number(mean)}" for setting, mean in means.items()])
    against = {setting: standing(better(ours[ours.setting == setting]["return"], td3)) for setting in means.index}
    level = [f"k = {setting}" for setting, stands in against.items() if stands != "ahead of"]
    claim = f"ahead of TD3 but for {listed(level)}" if level else "ahead of TD3 at all k"
    many = f"{ours.seed.nunique()} seeds a setting, {count(int(ours.steps.iloc[0]))} steps"
    return f"{claim}: {told}; TD3 {number(td3.mean())}", many


def _ends(settings: pd.Series) -> list[str]:
    """The least and the largest of some settings."""
    return [min(settings, key=float), max(settings, key=float)]


def seven_dof(data: Data) -> Said:
    """The baselines on the 7DoF family, task by task, under the verdict that they share; not settled until all were run."""
    found = [(task, said_of(baselines(task), data)) for task in SEVEN_DOF_FAMILY]
    told = [(task, *said.split(": ", 1), many) for task, (said, many) in found if said != NOT_RUN]
    if not told:
        raise UsageError("there are no baselines on the 7DoF family")
    shared = of_all(claim for _, claim, _, _ in told)
    said = "; ".join(f"on {task} {rest}" for task, _, rest, _ in told)
    asked = ["SAC", "PPO"]
    runs = {(task, method) for task in SEVEN_DOF_FAMILY for method in data.methods(task, asked)}
    missing = [(task, method) for task in SEVEN_DOF_FAMILY for method in asked if (task, method) not in runs]
    if missing:
        nowhere = [method for method in asked if not any(method == there for _, there in runs)]
        some = [f"{method} on {task}" for task, method in missing if method not in nowhere]
        shared, said = OPEN, f"{said}; not run yet: {listed([*nowhere, *some])}"
    amounts: dict[str, list[str]] = {}
    for task, _, _, many in told:
        amounts.setdefault(many, []).append(task)
    return f"{shared}: {said}", "; ".join(f"{listed(tasks)}: {many}" for many, tasks in amounts.items())


SLOWER = "SAC, PPO and SAC-LSP learn more slowly than DynE-TD3"  # SAC-LSP on the Reacher family (section 5.2)
SLOWER_7DOF = "SAC and PPO learn more slowly than DynE-TD3"


PIXELS = "DynE from pixels is far above VAE-TD3"


ROWS: list[tuple[str, str, Callable[[Data], Said]]] = [
    ("3, one plan", "one random DynE action reaches a nearly uniform distribution of outcomes", figure3_plan),
    ("3, episodes", "random DynE actions reach faraway states much more often", figure3_episode),
    (
        "4, ReacherVertical",
        "DynE-TD3 learns faster than TD3, neither with random steps, as in the release",
        figure4_vertical,
    ),
    (
        "4, ReacherVertical, 10 000 random steps",
        "DynE-TD3 learns faster than TD3, both with 10 000 random steps, the default of TD3's code",
        report_random_steps.claim(10_000, 10_000),
    ),
    (
        "4, ReacherVertical, 1 000 random steps",
        "DynE-TD3 learns faster than TD3, both with 1 000 random steps, those of TD3's paper on a Reacher",
        report_random_steps.claim(1_000, 1_000),
    ),
    (
        "4, ReacherVertical, random steps of TD3 alone",
        "DynE-TD3 without random steps learns faster than TD3 with 10 000",
        report_random_steps.claim(0, 10_000),
    ),
    (
        "4, the other tasks",
        "DynE-TD3 learns faster than TD3, with transferred decoders (on Pusher its own)",
        figure4_tasks,
    ),
    (
        "4, the other tasks, random steps of TD3 alone",
        "DynE-TD3 without random steps learns faster than TD3 with 10 000, with transferred decoders (on Pusher its own)",
        report_random_steps.tasks_claim,
    ),
    *((f"4, baselines on {task}", SLOWER, baselines(task)) for task in REACHER_FAMILY),
    ("4, baselines on the 7DoF family", SLOWER_7DOF, seven_dof),
    *((f"5, {task}", PIXELS, figure5(task)) for task in REACHER_FAMILY),
    ("5, ReacherVertical", "VAE-TD3 is above Pixel-TD3", vae_above),
    ("8", "the DynE space is an affine map of effects", figure8),
    *((f"9, {task}", "DynE from pixels is much better than PPO from states", figure9(task)) for task in REACHER_FAMILY),
    ("10", "random DynE actions explore further", figure10),
    (NOT_IN_THE_PAPER, "is the gain the embedding's? The same agent in other action spaces, TD3 and SAC", controls),
    (
        "appendix",
        "returns are relatively insensitive to the weights λ (of the decoder's norm) and γ (of the KL divergence)",
        sensitivity,
    ),
    (
        f"{NOT_IN_THE_PAPER}, k",
        "how many actions a plan? The paper takes 4, and 8 on Thrower; here on ReacherVertical",
        lengths,
    ),
    ("section 3.2", "whole plans as actions waste data (argued, without an experiment)", plans),
]
