"""The sentences of the results page about embeddings: how far random actions reach, what is where, what an encoder holds."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.evenness import EVEN, gap, gap_by_chance
from analysis.figure8_effects import affine_r_squared
from analysis.figure_tables import load_shown
from analysis.random_figures import reached
from analysis.report_data import Data
from analysis.tasks import TASKS, task_of
from analysis.wording import MINUS, counted, listed, markdown, paragraphs, share
from common.errors import UsageError

NEARLY = 0.1  # a gap that may be what the paper calls nearly uniform: a limit of this project's own


def figure3(data: Data) -> str:
    """How far random actions reach."""
    table, told = load_shown(data.results, "figure3"), reached(data.results)
    k = int(table.k.iloc[0])
    kinds = ("DynE", "raw", "held")
    first = [str(told["median"][f"{k} steps, {actions} actions"]) for actions in kinds]
    whole = [float(told["median"][f"episode, {actions} actions"]) for actions in kinds]
    farthest_bin = table[table.horizon == "episode"].low.max()
    beyond = "; ".join(
        f"{share(far['DynE'])} are more than {edge:.1f} away, with raw actions {share(far['raw'])} and with held ones "
        f"{share(far['held'])}"
        for edge, far in (_beyond(table, distance) for distance in (20, 30) if distance <= farthest_bin)
    )
    found = {kind: evenness(data, kind) for kind in kinds}
    dyne = found["DynE"]
    return paragraphs(
        f"After one plan of {k} actions the median distance is {first[0]} with DynE actions, {first[1]} with raw actions and",
        f"{first[2]} with one raw action held for {k} steps (radians of the two joints).",
        f"Over whole episodes the median distances are {whole[0]:.1f}, {whole[1]:.1f} and {whole[2]:.1f}.",
        f"Of all states of episodes with DynE actions {beyond}." * bool(beyond),
        "The paper calls what one DynE action reaches nearly uniform over what can be reached. The dashed line is of places that",
        "are spread evenly over that: over the convex hull of where many varied plans end, from the same starts. After one plan of",
        f"DynE actions the share within some distance is up to {points(dyne.gap)} off that of such places, after raw actions up to",
        f"{points(found['raw'].gap)}, and after held ones up to {points(found['held'].gap)}; 95 % of samples of {dyne.plans} even",
        f"places are off by less than {points(dyne.by_chance)}.",
        _shape(table),
        f"So by this measure {_listed_kinds([kind for kind in kinds if found[kind].even])} as even as chance allows.",
    )


def _shape(table: pd.DataFrame) -> str:
    """How far DynE actions get in one plan, and where most of them end, beside places that are spread evenly."""
    first = table[table.horizon != "episode"]
    dyne, even = (first[first.actions == kind].reset_index() for kind in ("DynE", EVEN))
    end, fullest = dyne.high[dyne.share > 0].max(), int(dyne.share.to_numpy().argmax())
    return (
        f"DynE actions reach nothing beyond {end:.2f}, where {share(even.share[even.low >= end].sum())} of even places lie; their "
        f"fullest bin, {dyne.low[fullest]:.2f} to {dyne.high[fullest]:.2f}, holds {share(dyne.share[fullest])} of them, of even "
        f"places {share(even.share[fullest])}."
    )


def _listed_kinds(kinds: list[str]) -> str:
    """Those of the kinds of actions that are something, in words that `even` may follow."""
    named = {"DynE": "DynE's distances", "raw": "those of raw actions", "held": "those of held actions"}
    return f"{listed([named[kind] for kind in kinds])} are" if kinds else "none of the three are"


class Evenness(NamedTuple):
    """How even distances after one plan are, beside places spread evenly over what can be reached (`analysis.evenness`).

    Attributes:
        plans: how many there are.
        gap: the largest difference to the share of even places within a distance.
        by_chance: what 95 % of samples of as many even places stay below.
    """

    plans: int
    gap: float
    by_chance: float

    @property
    def even(self) -> bool:
        """Whether chance makes even places look as uneven."""
        return self.gap < self.by_chance


def evenness(data: Data, kind: str) -> Evenness:
    """How even the distances of figure 3 are after one plan of a kind of actions."""
    table = load_shown(data.results, "figure3")
    of_plans = table[table.horizon != "episode"]
    even, ours = (of_plans[of_plans.actions == name].share.to_numpy() for name in (EVEN, kind))
    if not len(even):
        raise UsageError(
            "the table of figure 3 has no places that are spread evenly: run analysis/figure3_reach.py again"
        )
    plans = int(of_plans[of_plans.actions == kind]["count"].iloc[0])
    return Evenness(plans, gap(ours, even), gap_by_chance(even, plans))


def points(of_share: float) -> str:
    """A difference of shares, in percentage points."""
    return f"{100 * of_share:.1f} points"


def _beyond(table: pd.DataFrame, distance: float) -> tuple[float, pd.Series]:
    """The first edge of bins beyond a distance, and the share of an episode's states beyond it of each kind of actions."""
    whole = table[table.horizon == "episode"]
    edge = whole.low[whole.low >= distance].min()
    return float(edge), whole[whole.low >= edge].groupby("actions").share.sum()


def figure8_r_squared(data: Data) -> tuple[float, int, str]:
    """R² of the best affine map from places in DynE space to effects, the number of sequences, and the environment's name."""
    table = load_shown(data.results, "figure8")
    return (
        affine_r_squared(table[["z1", "z2"]].to_numpy(), table[["dx", "dy"]].to_numpy()),
        len(table),
        task_of(table.env.iloc[0]),
    )


def figure8(data: Data) -> str:
    """Effects and places."""
    found, sequences, env = figure8_r_squared(data)
    return paragraphs(
        f"The figure shows {sequences} sequences of actions on {env}.",
        'The paper (appendix C) calls the DynE space "an affine transformation of the effect space".',
        f"Here an affine map explains the effects from the places with R² {found:.4f}.",
    )


def farthest(data: Data) -> tuple[dict[str, pd.Series], str]:
    """{kind of actions: each episode's farthest distance from its start (N,)}, and the environment's name."""
    table = load_shown(data.results, "figure10")
    start = table[table.step == 0].set_index(["actions", "episode"])[["x", "y"]]
    away = table.join(start.add_suffix("0"), on=["actions", "episode"])
    distance = pd.Series(np.hypot(away.x - away.x0, away.y - away.y0), away.index)
    of_episodes = distance.groupby([away.actions, away.episode]).max()
    return {str(kind): one for kind, one in of_episodes.groupby(level=0)}, task_of(table.env.iloc[0])


def figure10(data: Data) -> str:
    """Where random episodes go."""
    found, env = farthest(data)
    far = {
        kind: f"{one.mean():.1f}" + (f" (standard deviation {one.std():.1f})" if len(one) > 1 else "")
        for kind, one in found.items()
    }
    return paragraphs(
        f"The figure shows {counted(len(found['DynE']), 'episode')} of each kind on {env}.",
        f"An episode's farthest distance from the start is {far['DynE']} on average with DynE actions and",
        f"{far['raw']} with raw actions. The paper shows the same kind of difference, without numbers.",
        f"With raw actions held for as long as a plan, which the paper does not have, it is {far['held']}.",
    )


def probes(data: Data) -> str:
    """What regressions find in the embeddings: for each task a table, R^2 of each quantity."""
    paths = {task: data.results / "probes" / f"{task}.csv" for task in TASKS}
    found = [_probe(path, task_of(task)) for task, path in paths.items() if path.exists()]
    if not found:
        raise UsageError(f"{data.results / 'probes'}: there is no table of a probe")
    return "\n\n".join(found)


def _probe(path: Path, task: str) -> str:
    try:
        table = pd.read_csv(path)
        by = table.set_index(["regression", "representation", "quantity"]).r2.sort_index()
        of = {
            (regression, name): by[regression, name]
            for regression in dict.fromkeys(table.regression)
            for name in dict.fromkeys(table.representation)
        }
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{path}: it is no table of a probe ({error})") from error
    header = [f"{name.replace('pixels', 'images').replace(' x ', ' × ')}, {regression}" for regression, name in of]
    lines = [
        [quantity, *(f"{r2[quantity] + 0.0:.2f}".replace("-0.00", "0.00").replace("-", MINUS) for r2 in of.values())]
        for quantity in dict.fromkeys(table.quantity)
    ]
    return markdown([f"{task}, R²", *header], lines)
