"""The results page on how much depends on stage one: its weights, the length of plans, its seed."""

import numpy as np
import pandas as pd

from analysis import sensitivity
from analysis.comparisons import at, better, entry, steps_of
from analysis.report_controls import TASK, of_seeds
from analysis.report_data import Data
from analysis.report_tables import FINE
from analysis.wording import count, listed, markdown, number, paragraphs, seeds, with_interval
from common.errors import UsageError


class Spread:
    """How far the means of settings lie apart, beside how far they would by chance (a two-way analysis of variance).

    Args:
        table: returns, a row a seed, a column a setting; all settings have the same seeds.
    Attributes:
        within: standard deviation over the seeds of one setting.
        of_means: that of the settings' means.
        expected: what it would be if the settings did nothing, seeds being shared.
        between: that of the settings' true means, estimated.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        values = table.to_numpy()
        rows, columns = values.shape
        left = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
        self.within = float(np.sqrt(values.var(0, ddof=1).mean()))
        self.of_means = float(values.mean(0).std(ddof=1))
        self.expected = float(np.sqrt((left**2).sum() / ((rows - 1) * (columns - 1)) / rows))
        self.between = float(np.sqrt(max(self.of_means**2 - self.expected**2, 0)))


def panels(data: Data) -> dict[str, pd.DataFrame]:
    """{what is varied: its part of `analysis.sensitivity.returns`}."""
    table = sensitivity.returns(data.results)
    return {str(panel): of_panel for panel, of_panel in table.groupby("panel", sort=False)}


def table(data: Data) -> str:
    """The returns of all settings."""
    told = []
    for panel, found in panels(data).items():
        ours = found[found.series != "TD3"]
        settings = sorted(ours.setting.unique(), key=float)
        lines = []
        for series, one in ours.groupby("series", sort=False):
            values = {setting: one[one.setting == setting]["return"] for setting in settings}
            lines.append([str(series), *(entry(value) if len(value) else "" for value in values.values()), ""])
        lines[0][-1] = entry(found[found.series == "TD3"]["return"])
        many, upto = ours.seed.nunique(), int(ours.steps.iloc[0])
        title = f"{panel}; {TASK}, {seeds(many)}, means over the {count(sensitivity.LAST)} steps up to {count(upto)}:"
        told.append(f"{title}\n\n{markdown(['', *settings, 'TD3'], lines)}")
    return "\n\n".join(told)


def text(data: Data) -> str:
    """Which settings return more than TD3, and how far they lie apart."""
    chance = "settings share their seeds, and what is common to a seed does not count"
    told = [f"By chance is what a two-way analysis of variance leaves unexplained: {chance}."]
    for panel, found in panels(data).items():
        dyne = found.series.str.startswith("DynE-TD3")
        ours, td3 = found[dyne], found[found.series == "TD3"]["return"]
        wide = ours.pivot_table(index="seed", columns=["series", "setting"], values="return", sort=False)
        means, spread = wide.mean(), Spread(wide)
        odds = [better(one, td3)[0] for _, one in wide.items()]
        name = panel.split(",")[0]
        told.append(
            f"For {name} the means of the {len(means)} settings lie between {number(means.min())} and "
            f"{number(means.max())}, TD3's at {number(td3.mean())}; a run returns more than one of TD3 with probability "
            f"{min(odds):.2f} to {max(odds):.2f}. The standard deviation of the settings' means is {spread.of_means:.2f}, "
            f"where {spread.expected:.2f} would come by chance."
        )
        for (series, setting), control in found[~dyne & (found.setting != "")].groupby(["series", "setting"]):
            same = ours[ours.setting == setting]["return"]
            told.append(
                f"{series} does what {name} = {setting} does, without an embedding, and returns {number(control['return'].mean())}; "
                f"a run with {name} = {setting} returns more than one of it with probability "
                f"{with_interval(better(same, control['return']))}."
            )
    return paragraphs(*told)


def embeddings(data: Data) -> str:
    """How much the return depends on the seed of the embedding, and how much on that of the policy."""
    variants = sorted(data.ablations[data.ablations.group == "embedding"].name.unique())
    if not variants:
        raise UsageError("there are no embeddings of other seeds")
    others = {name: data.variant("embedding", name) for name in variants}
    wanted = sorted(set.intersection(*(set(one.seed) for one in others.values())))
    every = {name: of_seeds(one, wanted) for name, one in {"0": data.series(TASK, "DynE-TD3"), **others}.items()}
    upto = min(map(steps_of, every.values()))
    table = pd.DataFrame({name: at(one, upto, FINE) for name, one in every.items()})
    spread = Spread(table)
    return paragraphs(
        f"{len(every)} embeddings, which differ in the seed of stage one, were each used by {seeds(len(table))} of DynE-TD3",
        f"on {TASK}. Over the {count(FINE)} steps up to {count(upto)} the embeddings' means are",
        f"{listed([number(value) for value in table.mean()])}.",
        f"The standard deviation over seeds, with the same embedding, is {spread.within:.2f}. That of the embeddings' means is",
        f"{spread.of_means:.2f}, where {spread.expected:.2f} would come by chance (seeds being shared, as in a two-way",
        "analysis of variance).",
        f"So the embeddings themselves differ by a standard deviation of about {spread.between:.2f}."
        if spread.between
        else "So these runs show no difference between the embeddings.",
    )
