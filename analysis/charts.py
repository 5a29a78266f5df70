"""Drawing learning curves: a panel an environment, means and intervals over seeds, the authors' numbers beside them."""

import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
from altair.typing import ChartType
from PIL import Image

from analysis.authors import AUTHORS, AUTHORS_RANGE
from analysis.curves import series_of, summarize
from common.errors import DISK_FULL, UsageError
from common.files import put_in_place
from rl.methods import METHODS

COLORS = {name: method.color for name, method in METHODS.items()}
# Where a method has several names, the further ones take these.
NAME_COLORS = ["#1b9e77", "#e6ab02", "#7570b3", "#d95f02", "#66a61e", "#a6761d", "#e7298a", "#3b6fb6", "#666666"]

alt.data_transformers.disable_max_rows()  # charts hold averages, not evaluations


def figure(
    curves: pd.DataFrame,
    bin_width: int | None = None,
    until: int | Mapping[str, int] | None = None,
    envs: Sequence[str] = (),
    shared: bool = True,
) -> alt.ConcatChart:
    """An interactive chart with a panel an environment: means, intervals, and the authors' numbers as diamonds.

    Args:
        curves: a frame of `CURVES`.
        bin_width: see `summarize`.
        until: the step that axes end at, one for all or one for each environment; None: the last of each environment.
        envs: environments that have a panel, though there may be no curves of them; the panels are in this order.
        shared: whether all panels have one legend; False: each its own.
    """
    of_env = dict([*curves.groupby("env", sort=False)])
    panels: list[ChartType] = []
    for number, env in enumerate([*envs, *(env for env in of_env if env not in envs)]):
        if env not in of_env:
            panels.append(_empty_panel(env))
            continue
        drawn = curves if shared else of_env[env]
        labels = series_of(drawn)
        summary = summarize(drawn, bin_width)
        panels.append(
            _panel(
                number,
                summary[summary.env == env],
                _colors(labels),
                until.get(env) if isinstance(until, Mapping) else until,
            )
        )
    chart = alt.concat(*panels, columns=3).resolve_scale(color="shared" if shared else "independent")
    # One selection for the legend that all panels share; `add_params` would make one for each of their layers.
    views = [view for param in chart.params if param.name.startswith("near") for view in param.views]
    by_series = alt.PointSelectionConfig(type="point", fields=["series"])
    legend = alt.TopLevelSelectionParameter(name="chosen", select=by_series, bind="legend", views=views)
    chart.params = [*chart.params, legend]
    return (
        chart.configure(font="Helvetica, Arial, sans-serif", background="white")
        .configure_axis(labelFontSize=12, titleFontSize=13, titleFontWeight="normal", gridColor="#ececec")
        .configure_legend(labelFontSize=12, labelLimit=320, symbolStrokeWidth=3, symbolSize=110)
        .configure_title(fontSize=15, fontWeight="normal")
    )


def _colors(labels: Mapping[tuple[str, str], str]) -> dict[str, str]:
    """{label: colour} of series {(method, name): label}: that of the method, for its further names others."""
    colors: dict[str, str] = {}
    further = itertools.cycle(NAME_COLORS)
    for (method, _), label in labels.items():
        free = method in COLORS and COLORS[method] not in colors.values()
        colors[label] = COLORS[method] if free else next(further)
    return colors


WIDTH, HEIGHT = 400, 270  # of a panel, pixels


def _empty_panel(env: str) -> alt.Chart:
    """The panel of an environment that there are no curves of."""
    text = alt.Chart(pd.DataFrame({"text": ["not run yet"]})).mark_text(size=16, color="#888888")
    return text.encode(text="text:N").properties(
        width=WIDTH, height=HEIGHT, title=env, view=alt.ViewConfig(stroke="#dddddd")
    )


def _panel(number: int, summary: pd.DataFrame, colors: Mapping[str, str], until: int | None) -> ChartType:
    """One environment's layers: bands, lines, points that tell their numbers, and the authors' diamonds."""
    env, last = summary.env.iloc[0], until or summary.steps.max()
    steps = alt.Scale(domain=[0, 1.02 * max(last, 1)], nice=False)
    first = summary.drop_duplicates("method").set_index("method").series
    read_off = [
        {"series": first[method], "steps": step, "mean": value, "source": "authors' plot"}
        for method, values in AUTHORS.get(env, {}).items()
        for step, value in values.items()
        if method in first and step <= last
    ]
    shown = _returns_shown(summary[summary.steps <= last], [row["mean"] for row in read_off])
    returns = alt.Scale(domain=shown, nice=False)
    ticks = alt.Axis(labelExpr="format(datum.value, '~s')", tickCount=6)
    painted = alt.Scale(domain=[*colors], range=[*colors.values()])
    axes: dict[str, Any] = {
        "x": alt.X("steps:Q", title="environment steps", scale=steps, axis=ticks),
        "y": alt.Y("mean:Q", title="return", scale=returns),
        "color": alt.Color(
            "series:N", title=None, scale=painted, legend=alt.Legend(symbolType="stroke", symbolOpacity=1)
        ),
    }
    base = alt.Chart(summary).encode(**axes)
    low = alt.Y("low:Q", title="return", scale=returns)
    chosen: Any = {"param": "chosen"}  # altair takes such a dict, but its types have no name for it
    near = alt.selection_point(name=f"near_{number}", on="pointerover", nearest=True, empty=False)
    told = [alt.Tooltip("series:N", title="method"), alt.Tooltip("steps:Q", format=",")]
    told += [alt.Tooltip(f"{column}:Q", format=".2f") for column in ("mean", "low", "high")]
    layers = [
        base.mark_area(clip=True).encode(
            y=low, y2="high:Q", opacity=alt.condition(chosen, alt.value(0.2), alt.value(0.03))
        ),
        base.mark_line(clip=True).encode(opacity=alt.condition(chosen, alt.value(1), alt.value(0.15))),
        base.mark_point(clip=True, filled=True, size=70)
        .encode(opacity=alt.condition(near, alt.value(1), alt.value(0)), tooltip=[*told, "seeds:Q"])
        .add_params(near, alt.selection_interval(name=f"zoom_{number}", bind="scales")),
    ]
    if read_off:
        shape = alt.Shape("source:N", title=None, scale=alt.Scale(range=["diamond"]))
        diamonds = alt.Chart(pd.DataFrame(read_off)).mark_point(
            clip=True, filled=True, size=130, stroke="white", opacity=1
        )
        layers.append(diamonds.encode(**axes, shape=shape, tooltip=["source:N", *told[:2], "mean:Q"]))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=env)


def _returns_shown(summary: pd.DataFrame, read_off: Iterable[float]) -> list[float]:
    """The range of the returns' axis: the authors', and wider where more is needed for what follows the first fifth.

    Args:
        read_off: the authors' numbers that are drawn beside the curves.
    """
    later = summary[summary.steps >= summary.steps.max() / 5]
    low, high = later[["mean", "low"]].min(axis=None), later[["mean", "high"]].max(axis=None)
    low, high = min([low, *read_off]), max([high, *read_off])
    authors = AUTHORS_RANGE.get(summary.env.iloc[0])
    if authors and not any(METHODS[name].from_pixels for name in set(summary.method) & METHODS.keys()):
        if authors[0] <= low and high <= authors[1]:
            return list(authors)
        low, high = min(low, authors[0]), max(high, authors[1])
    margin = 0.05 * (high - low) or 1
    return [low - margin, high + margin]


def save(chart: ChartType, path: str | Path) -> None:
    """Draws a chart into a .png file, 2 pixels a point, or an .svg file, which appears whole or not at all.

    Raises:
        UsageError: it cannot be written.
        OSError: the disk is full.
    """
    try:
        with put_in_place(path) as temporary:
            chart.save(str(temporary), format="svg" if Path(path).suffix == ".svg" else "png", scale_factor=2)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise UsageError(f"{path}: it cannot be written ({error.strerror})") from error


def show(chart: ChartType) -> None:
    """In a notebook: the interactive chart and, for where nothing interactive runs, an image of it, in 256 colours."""
    from IPython import display

    drawn, small = io.BytesIO(), io.BytesIO()
    chart.save(drawn, format="png", scale_factor=2)
    Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    display.display(chart, display.Image(small.getvalue(), retina=True))
