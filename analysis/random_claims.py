"""The claims of the paper about random actions, figures 3, 8 and 10: what there is of each here, and on which data."""

from analysis.comparisons import better
from analysis.curves import FEW
from analysis.random_figures import reached
from analysis.report_data import Data
from analysis.report_embeddings import NEARLY, evenness, farthest, figure8_r_squared, points
from analysis.verdicts import FAILED, LIKELY, verdict
from analysis.wording import Said, counted, with_interval


def figure3_plan(data: Data) -> Said:
    """Distances after one random plan: the paper's left panel."""
    dyne, raw, held = (evenness(data, kind) for kind in ("DynE", "raw", "held"))
    claim = "reproduces" if dyne.even else LIKELY if dyne.gap < NEARLY else FAILED
    said = (
        f"{claim}: the share of plans within some distance is up to {points(dyne.gap)} off that of places spread evenly over what "
        f"can be reached (by chance less than {points(dyne.by_chance)}), "
        f"with raw actions {points(raw.gap)}; but with raw actions held for as long {points(held.gap)}"
    )
    return said, _episodes(dyne.plans)


def _episodes(many: int) -> str:
    return f"{counted(many, 'episode')} each"


def figure3_episode(data: Data) -> Said:
    """Distances over whole random episodes: the right panel."""
    told = reached(data.results)
    far = {actions: float(told["95 % below"][f"episode, {actions} actions"]) for actions in ("DynE", "raw", "held")}
    claim = "reproduces" if far["DynE"] > far["raw"] else FAILED
    said = (
        f"{claim}: the farthest 5 % of states are more than {far['DynE']:.0f} away, with raw actions {far['raw']:.0f}; "
        f"but so they are with raw actions held for as long, {far['held']:.0f}"
    )
    return said, _episodes(evenness(data, "DynE").plans)


def figure8(data: Data) -> Said:
    """An affine map."""
    found, sequences, _ = figure8_r_squared(data)
    return f"{'reproduces' if found > 0.99 else FAILED}: R² {found:.4f}", f"{sequences} sequences"


def figure10(data: Data) -> Said:
    """Where random episodes go."""
    found, _ = farthest(data)
    far = {kind: one.mean() for kind, one in found.items()}
    episodes = min(map(len, found.values()))
    odds = better(found["DynE"], found["raw"])
    said = (
        f"{verdict(odds, episodes < FEW)}: the farthest of an episode is {far['DynE']:.1f} on average, with raw actions "
        f"{far['raw']:.1f}, P(farther) {with_interval(odds)}; with raw actions held for as long as a plan {far['held']:.1f}"
    )
    return said, _episodes(episodes)
