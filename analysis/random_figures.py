"""Figures 3, 8 and 10 of the paper: what random actions do."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.charts import COLORS, NAME_COLORS
from analysis.evenness import EVEN
from analysis.figure_tables import SHOWN_ON, load
from analysis.tasks import task_of
from analysis.wording import counted
from common.theme import panel_width

SIZE = panel_width(2)  # pixels of one panel of two
EVEN_COLOR = "#333333"
LEAST = 1e-5  # share of states at which a logarithmic axis begins
DECADES = [10.0**exponent for exponent in range(-5, 1)]


def action_colors(actions: Iterable[str]) -> dict[str, str]:
    """{kind of random actions: colour}: that of the TD3 that acts by them, or where there is none another one."""
    further = iter(NAME_COLORS)
    of_method = {kind: COLORS.get("TD3" if kind == "raw" else f"{kind}-TD3") for kind in actions}
    return {kind: color or next(further) for kind, color in of_method.items()}


def figure3(results: str | Path) -> alt.HConcatChart:
    """How far random policies get: a panel a horizon, the share of states in each bin of distance, dashed that of places that are
    spread evenly.

    The axis of the shares over whole episodes is logarithmic: the claim is about the few states that are far away. Lines lie on it
    where a bin has none.
    """
    table = load(results, "figure3")
    painted = action_colors(table.actions[table.actions != EVEN]) | (
        {EVEN: EVEN_COLOR} if EVEN in {*table.actions} else {}
    )
    scale = alt.Scale(domain=[*painted], range=[*painted.values()])
    color = alt.Color(
        "actions:N", title="random actions", scale=scale, legend=alt.Legend(orient="top", symbolOpacity=1)
    )
    panels = []
    for horizon, of_horizon in table.groupby("horizon", sort=False):
        env, whole = str(of_horizon.env.iloc[0]), horizon == "episode"
        least = LEAST * whole
        shares = alt.Scale(type="log", domainMin=LEAST, nice=False) if whole else alt.Scale(zero=True)
        title = f"{env}, " + ("all states of episodes" if whole else f"after {horizon}")
        named = "share of states" + (", logarithmic" if whole else "")
        ticks = alt.Axis(format=".0e", values=DECADES) if whole else alt.Axis(tickCount=6)
        y = alt.Y("share:Q", title=named, stack=None, scale=shares, axis=ticks)
        unit = " (both joints, rad)" if env == SHOWN_ON["figure3"] else ""
        x: dict[str, Any] = {"title": f"distance from the start{unit}", "axis": alt.Axis(tickCount=8)}
        filled = of_horizon[(of_horizon.share > least) & (of_horizon.actions != EVEN)].assign(least=least)
        bars = alt.Chart(filled).mark_bar(opacity=0.15, binSpacing=0)
        ends = of_horizon.groupby("actions", sort=False).tail(1)
        edges = pd.concat([of_horizon, ends.assign(low=ends.high)])
        outlines = alt.Chart(edges.assign(share=edges.share.clip(lower=least))).mark_line(
            interpolate="step-after", strokeWidth=2
        )
        tips = ["actions", "low", "high", alt.Tooltip("share:Q", format=".2~g")]
        dashed = alt.condition(alt.datum.actions == EVEN, alt.value([5, 3]), alt.value([1, 0]))
        layers = [
            bars.encode(x=alt.X("low:Q", bin="binned", **x), x2="high:Q", y=y, y2="least:Q", color=color, tooltip=tips),
            outlines.encode(x=alt.X("low:Q", **x), y=y, color=color, strokeDash=dashed),
        ]
        panels.append(alt.layer(*layers).properties(title=title, width=SIZE, height=0.6 * SIZE))
    return alt.hconcat(*panels).resolve_scale(y="independent", x="independent")


def reached(results: str | Path) -> pd.DataFrame:
    """Quantiles of the distances of figure 3, even within each bin, as text: a row a horizon and action space."""
    rows = {}
    for (horizon, actions), bins in load(results, "figure3").groupby(["horizon", "actions"], sort=False):
        quantiles = np.interp([0.5, 0.95, 0.999], [0, *bins.share.cumsum()], [bins.low.iloc[0], *bins.high])
        rows[f"{horizon}, {actions}" + " actions" * (actions != EVEN)] = [f"{value:.2f}" for value in quantiles]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["median", "95 % below", "99.9 % below"])


def two_dimensional_colors(x: ArrayLike, y: ArrayLike) -> list[str]:
    """A colour for each point of the plane, hex: red grows with x, blue with y, green against both."""
    unit = [(values - values.min()) / np.ptp(values) for values in (np.asarray(x), np.asarray(y))]
    channels = [unit[0], 1 - (unit[0] + unit[1]) / 2, unit[1]]
    levels = np.stack([(30 + 210 * channel).round().astype(int) for channel in channels], axis=1)
    return ["#{:02x}{:02x}{:02x}".format(*row) for row in levels]


def figure8(results: str | Path) -> alt.HConcatChart:
    """What action sequences do, and where the encoder places them, coloured alike."""
    table = load(results, "figure8")
    colored = table.assign(color=two_dimensional_colors(table.dx, table.dy))
    pairs = [
        ("dx", "dy", "x(t+k) − x(t)", "y(t+k) − y(t)", f"{task_of(table.env.iloc[0])}: what sequences of actions do"),
        ("z1", "z2", "μ, first number", "μ, second number", "where the same sequences lie in DynE space"),
    ]
    panels = [
        alt.Chart(colored, title=title)
        .mark_circle(size=18, opacity=0.9)
        .encode(
            x=alt.X(f"{x}:Q", title=x_title, axis=alt.Axis(tickCount=6)),
            y=alt.Y(f"{y}:Q", title=y_title, axis=alt.Axis(tickCount=6)),
            color=alt.Color("color:N", scale=None),
        )
        .properties(width=SIZE, height=0.8 * SIZE)
        for x, y, x_title, y_title, title in pairs
    ]
    return alt.hconcat(*panels)


def _from_to(numbers: pd.Series) -> str:
    """Whole numbers, as "100" where they are all the same, else as "57 to 100"."""
    return " to ".join(map(str, sorted({numbers.min(), numbers.max()})))


def figure10(results: str | Path) -> alt.HConcatChart:
    """Where random episodes go: a panel for each kind of actions, on the same axes; the start and the ends are marked."""
    table = load(results, "figure10")
    far = float(table[["x", "y"]].abs().to_numpy().max()) * 1.05
    scale, ticks = alt.Scale(domain=[-far, far], nice=False), alt.Axis(tickCount=6)
    env = str(table.env.iloc[0])
    unit = " (m)" if env == SHOWN_ON["figure10"] else ""
    place = {
        "x": alt.X("x:Q", title=f"x{unit}", scale=scale, axis=ticks),
        "y": alt.Y("y:Q", title=f"y{unit}", scale=scale),
    }
    painted = action_colors(["raw", *table.actions])
    width = panel_width(len(painted))
    panels = []
    for actions, color in painted.items():
        paths = table[table.actions == actions]
        ends = paths.loc[paths.groupby("episode").step.idxmax()]
        told = [
            f"{counted(len(ends), 'episode')} of {_from_to(ends.step)} steps on {task_of(env)}:",
            "black their start, dots their ends",
        ]
        lines = alt.Chart(paths).mark_line(strokeWidth=1.5, opacity=0.8, color=color)
        dots = alt.Chart(ends).mark_point(filled=True, size=80, opacity=1, stroke="white", color=color)
        starts = alt.Chart(paths[paths.step == 0].head(1)).mark_point(
            filled=True, size=130, opacity=1, stroke="white", color="black", shape="diamond"
        )
        title = alt.TitleParams(f"random {actions} actions", subtitle=told)
        layers = [
            lines.encode(**place, order="step:Q", detail="episode:N"),
            dots.encode(**place),
            starts.encode(**place),
        ]
        panels.append(alt.layer(*layers).properties(title=title, width=width, height=width))
    return alt.hconcat(*panels)
