"""How much the return depends on the settings of stage one: the weights λ and γ, the length k of plans.

The settings are variants in results/ablations/; the default among them is a published curve of DynE-TD3, of the same seeds.
"""

from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from analysis.charts import COLORS
from analysis.curves import load_ablations, load_published
from analysis.wording import count
from common.errors import UsageError
from common.theme import panel_width

ENV = "ReacherVertical-v2"
COLUMNS = ["panel", "series", "setting", "steps", "seed", "return"]
LAST = 2_500  # steps that returns are averaged over


class Varied(NamedTuple):
    """A setting that was varied.

    Attributes:
        panel: the panel that shows it.
        series: its curve there.
        default: the setting that the published curve has; "": none of them.
        control: a setting, and the published method that does the same without an embedding; or nothing.
    """

    panel: str
    series: str
    default: str
    control: tuple[str, str] | None = None


LAMBDA, GAMMA, LENGTH = "λ, weight of the decoder's norm", "γ, weight of the KL divergence", "k, actions a plan"
SQUARED, PLAIN = "DynE-TD3, norm squared (default)", "DynE-TD3, norm not squared"
VARIED = {
    "lambda": Varied(LAMBDA, SQUARED, "1e-4"),
    "lambda-l2": Varied(LAMBDA, PLAIN, ""),
    "gamma": Varied(GAMMA, SQUARED, "1e-4"),
    "k": Varied(LENGTH, SQUARED, "4", ("1", "identity-TD3")),
}


def returns(results: str | Path) -> pd.DataFrame:
    """A frame of `COLUMNS`: each seed's mean return over the `LAST` steps of a panel, in the order of `VARIED`.

    The series TD3, in every panel, is of the same seeds; its setting is "". A control is of the same seeds too.

    Raises:
        UsageError: no setting was varied.
    """
    ablations, published = load_ablations(results), load_published(results)
    ablations = ablations[(ablations.env == ENV) & (ablations.method == "DynE-TD3")]
    published = published[published.env == ENV]
    found: dict[str, list[pd.DataFrame]] = {}
    for group, varied in VARIED.items():
        variants = ablations[ablations.group == group]
        if not len(variants):
            continue
        seeds, name = sorted(variants.seed.unique()), varied.default
        same = published[published.seed.isin(seeds)]
        default = same[same.method == "DynE-TD3"].assign(name=name)
        parts = [variants, default] if name and name not in set(variants.name) else [variants]
        whole = pd.concat(parts).assign(panel=varied.panel, series=varied.series, setting=lambda part: part.name)
        td3 = same[same.method == "TD3"].assign(panel=varied.panel, series="TD3", setting="")
        found.setdefault(varied.panel, []).extend([whole, td3])
        if varied.control:
            setting, method = varied.control
            control = same[same.method == method].assign(panel=varied.panel, series=method, setting=setting)
            found[varied.panel].append(control)
    if not found:
        raise UsageError(f"{results}: no setting of stage one was varied")
    return pd.concat([_last(pd.concat(parts)) for parts in found.values()], ignore_index=True)[COLUMNS]


def _last(curves: pd.DataFrame) -> pd.DataFrame:
    """The mean of each seed and setting over the last steps that all of them have."""
    curves = curves.drop_duplicates(["series", "setting", "seed", "steps"])
    keys = ["panel", "series", "setting", "seed"]
    upto = int(curves.groupby(keys, sort=False).steps.max().min())
    last = curves[(upto - LAST < curves.steps) & (curves.steps <= upto)]
    means = last.groupby(keys, sort=False).mean_return.mean()
    return means.rename("return").reset_index().assign(steps=upto)


def chart(table: pd.DataFrame) -> alt.HConcatChart:
    """A panel a setting: the return of each seed and the means, and as a dashed line TD3's mean.

    Args:
        table: that of `returns`.
    """
    shown = {SQUARED: COLORS["DynE-TD3"], PLAIN: "#1b9e77", **{name: COLORS[name] for name in ("identity-TD3", "TD3")}}
    shown = {name: color for name, color in shown.items() if name in set(table.series)}
    painted = alt.Scale(domain=list(shown), range=list(shown.values()))
    legend = alt.Legend(orient="top", symbolType="stroke", symbolOpacity=1)
    color = alt.Color("series:N", title=None, scale=painted, legend=legend)
    low, high = table["return"].min(), table["return"].max()
    margin = 0.05 * (high - low)
    scale = alt.Scale(domain=[low - margin, high + margin], nice=False)
    panels = []
    for panel, of_panel in table.groupby("panel", sort=False):
        ours, td3 = of_panel[of_panel.series != "TD3"], of_panel[of_panel.series == "TD3"]
        order = sorted(ours.setting.unique(), key=float)
        told = [
            f"{ours.seed.nunique()} seeds, means of the last",
            f"{count(LAST)} of {count(ours.steps.iloc[0])} steps;",
            "band: TD3, worst seed to best",
        ]
        title = alt.TitleParams(str(panel), subtitle=told)
        x = alt.X("setting:O", title=None, sort=order, axis=alt.Axis(labelAngle=0))
        y = alt.Y("mean:Q", title="return", scale=scale)
        means = ours.groupby(["series", "setting"], sort=False)["return"].mean().rename("mean").reset_index()
        means = means.assign(place=means.setting.map(order.index)).sort_values("place")
        tips: list[Any] = ["series", "setting", alt.Tooltip("mean:Q", format=".2f")]
        seeds = ours.rename(columns={"return": "mean"})
        rule = pd.DataFrame({"mean": [td3["return"].mean()], "series": ["TD3"]})
        band = rule.assign(low=td3["return"].min(), high=td3["return"].max())
        layers = [
            alt.Chart(band)
            .mark_rect(opacity=0.15)
            .encode(y=alt.Y("low:Q", title="return", scale=scale), y2="high:Q", color=color),
            alt.Chart(rule).mark_rule(strokeDash=[6, 4], strokeWidth=2).encode(y=y, color=color),
            alt.Chart(seeds).mark_point(size=25, opacity=0.5).encode(x=x, y=y, color=color, tooltip=[*tips, "seed"]),
            alt.Chart(means).mark_line(strokeWidth=2).encode(x=x, y=y, color=color, order="place:O"),
            alt.Chart(means).mark_point(filled=True, size=90, opacity=1).encode(x=x, y=y, color=color, tooltip=tips),
        ]
        width = panel_width(table.panel.nunique())
        panels.append(alt.layer(*layers).properties(title=title, width=width, height=220))
    return alt.hconcat(*panels)
