"""The paper's figures 3, 8 and 10, drawn from the tables that the scripts embedding/figure*.py have written."""

from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from embedding.flags import UsageError
from rl.charts import COLORS

ACTIONS = {"DynE": COLORS["DynE-TD3"], "raw": COLORS["TD3"]}
COLUMNS = {
    "figure3": ["env", "k", "actions", "horizon", "low", "high", "share"],
    "figure8": ["dx", "dy", "z1", "z2"],
    "figure10": ["actions", "episode", "step", "x", "y"],
}
SIZE = 300  # pixels of a panel


def load(results, name):
    """The table of a figure, `results`/figures/<name>.csv; raises `UsageError` if there is none."""
    path = Path(results) / "figures" / f"{name}.csv"
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {name} has not been run yet, or its table is damaged ({error})") from error
    if list(table.columns) != COLUMNS[name] or not len(table):
        raise UsageError(f"{path}: not the table of {name}: its first line is {','.join(table.columns)}")
    return table


def figure3(table):
    """How far random policies get: a panel a horizon, the share of states in each bin of distance."""
    color = alt.Color("actions:N", title="actions", scale=alt.Scale(domain=[*ACTIONS], range=[*ACTIONS.values()]))
    panels = []
    for horizon, of_horizon in table.groupby("horizon", sort=False):
        title = f"{of_horizon.env.iloc[0]}, " + ("all of an episode" if horizon == "episode" else f"after {horizon}")
        panels.append(
            alt.Chart(of_horizon, title=title)
            .mark_area(interpolate="step-after", opacity=0.45, line=True)
            .encode(
                x=alt.X("low:Q", title="distance of joint positions from the start"),
                y=alt.Y("share:Q", title="share of states", stack=None),
                color=color,
                tooltip=["actions", "low", "high", alt.Tooltip("share:Q", format=".4f")],
            )
            .properties(width=1.3 * SIZE, height=0.8 * SIZE)
        )
    return alt.hconcat(*panels).resolve_scale(y="independent")


def two_dimensional_colors(x, y):
    """A colour for each point of the plane, hex: red grows with x, blue with y, green against both."""
    unit = [(values - values.min()) / np.ptp(values) for values in (np.asarray(x), np.asarray(y))]
    channels = [unit[0], 1 - (unit[0] + unit[1]) / 2, unit[1]]
    levels = np.stack([(30 + 210 * channel).round().astype(int) for channel in channels], axis=1)
    return ["#{:02x}{:02x}{:02x}".format(*row) for row in levels]


def figure8(table):
    """What action sequences do, and where the encoder places them, coloured alike."""
    colored = table.assign(color=two_dimensional_colors(table.dx, table.dy))
    pairs = [("dx", "dy", "effects, s(t+4) − s(t)", "m"), ("z1", "z2", "places in DynE space, μ", "z")]
    panels = [
        alt.Chart(colored, title=title)
        .mark_circle(size=18, opacity=0.9)
        .encode(
            x=alt.X(f"{x}:Q", title=f"{x} ({unit})" if unit == "m" else x),
            y=alt.Y(f"{y}:Q", title=f"{y} ({unit})" if unit == "m" else y),
            color=alt.Color("color:N", scale=None),
        )
        .properties(width=SIZE, height=SIZE)
        for x, y, title, unit in pairs
    ]
    return alt.hconcat(*panels)


def figure10(table):
    """Where random episodes go: a panel for raw actions and one for DynE's, on the same axes."""
    far = float(table[["x", "y"]].abs().to_numpy().max()) * 1.05
    scale = alt.Scale(domain=[-far, far], nice=False)
    panels = [
        alt.Chart(table[table.actions == actions], title=f"{actions} actions")
        .mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X("x:Q", title="x (m)", scale=scale),
            y=alt.Y("y:Q", title="y (m)", scale=scale),
            order="step:Q",
            detail="episode:N",
            color=alt.Color("episode:N", legend=None, scale=alt.Scale(scheme="category10")),
        )
        .properties(width=SIZE, height=SIZE)
        for actions in ("raw", "DynE")
    ]
    return alt.hconcat(*panels)
