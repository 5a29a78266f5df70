"""Drawing learning curves: a panel an environment, means and intervals over seeds, the authors' numbers beside them."""

import itertools
import math
import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
from altair.typing import ChartType

from analysis.authors import AUTHORS, AUTHORS_RANGE
from analysis.curves import FEW, series_of, summarize
from analysis.wording import count, seeds
from common.theme import AXIS, WIDTH, panel_width
from rl.methods import METHODS, PRETRAINING

COLORS = {name: method.color for name, method in METHODS.items()}
# What is no method takes these, in this order: the further names of a method, variants.
NAME_COLORS = ["#1b9e77", "#e6ab02", "#7570b3", "#8c564b", "#17becf", "#e7298a", "#66a61e", "#666666", "#d95f02"]
COLUMNS = 3  # panels side by side
LETTER = 6.4  # pixels that a letter of a subtitle takes, about

alt.data_transformers.disable_max_rows()  # charts hold averages, not evaluations


def figure(
    curves: pd.DataFrame,
    bin_width: int | None = None,
    until: int | Mapping[str, int] | None = None,
    shared: bool = True,
    colors: Mapping[str, str] | None = None,
    framed: Collection[str] = (),
    still: Mapping[str, float] | None = None,
) -> alt.ConcatChart:
    """An interactive chart with a panel an environment: means over seeds, how far seeds differ, the authors' numbers.

    Args:
        curves: a frame of `CURVES`; the panels are in its order.
        bin_width: see `summarize`.
        until: the step that axes end at, one for all or one for each environment; None: the last of each environment.
        shared: whether all panels have one legend; False: each its own.
        colors: {series: colour} of series that are to have another colour than that of their method.
        framed: environments whose returns are shown in the range of the authors' plots, whatever leaves it.
        still: {environment: what doing nothing returns}, dashed lines where they are in the frame.
    """
    summaries = []
    for _, of_env in [("", curves)] if shared else [*curves.groupby("env", sort=False)]:
        painted = _colors(series_of(of_env), colors or {})
        averaged = summarize(of_env, bin_width)
        summaries += [(painted, one) for _, one in averaged.groupby("env", sort=False)]
    columns = min(len(summaries), COLUMNS)
    width = panel_width(columns) if columns > 1 else SINGLE
    ends = until if isinstance(until, Mapping) else dict.fromkeys(curves.env.unique(), until)
    lasts = [ends.get(one.env.iloc[0]) or int(one.steps.max()) for _, one in summaries]
    drawn = [one[one.steps <= last] for (_, one), last in zip(summaries, lasts, strict=True)]
    titles = [_title(seen, width) for seen in drawn]
    for row in range(0, len(titles), columns):
        lines = max(len(title.subtitle) for title in titles[row : row + columns])
        for title in titles[row : row + columns]:  # all begin on one height
            title.subtitle += ["\N{NO-BREAK SPACE}"] * (lines - len(title.subtitle))
    panels, unseen, cut, aside, dashed = [], [], False, False, False
    for number, ((painted, one), last, seen, title) in enumerate(zip(summaries, lasts, drawn, titles, strict=True)):
        env = str(one.env.iloc[0])
        shown = list(AUTHORS_RANGE[env]) if env in framed else _returns_shown(seen, [*_read_off(one, last).values()])
        diamonds = _diamonds(one, last, shown, width)
        aside = aside or any(row["place"] != row["steps"] for row in diamonds)
        panel = _panel(number, one, painted, last, shown, width, shared, diamonds)
        if shown[0] <= (rest := (still or {}).get(env, math.inf)) <= shown[1]:
            rule = alt.Chart(pd.DataFrame({"rest": [rest]})).mark_rule(strokeDash=[6, 4], color="#777777")
            y = alt.Y("rest:Q", title="return", scale=alt.Scale(domain=shown, nice=False))
            panel, dashed = rule.encode(y=y, tooltip=alt.value(f"doing nothing: {rest:.1f}")) + panel, True
        panels.append(panel.properties(width=width, height=HEIGHT if columns > 1 else 300, title=title))
        above = (seen["mean"] > shown[0]).groupby(seen.series, sort=False).mean()
        unseen += [f"{series} on {env}" for series in above.index[above < 0.25]]
        cut = cut or shown[0] > seen["mean"].min()
    scales: Any = "shared" if shared else "independent"
    chart = alt.concat(*panels, columns=columns).resolve_scale(color=scales, stroke=scales)
    # One selection for the legend that all panels share; `add_params` would make one for each of their layers.
    views = [view for param in chart.params if param.name.startswith("near") for view in param.views]
    by_series = alt.PointSelectionConfig(type="point", fields=["series"])
    legend = alt.TopLevelSelectionParameter(name="chosen", select=by_series, bind="legend", views=views)
    chart.params = [*chart.params, legend]
    return chart.properties(title=_caption(pd.concat(drawn), columns * (width + AXIS), cut, unseen, aside, dashed))


def _caption(
    summary: pd.DataFrame, width: int, cut: bool, unseen: Sequence[str], aside: bool, dashed: bool
) -> alt.TitleParams:
    """What lines and areas are, below a chart.

    Args:
        summary: the points that are drawn.
        cut: whether there are returns below an axis.
        unseen: what is below its axis nearly all the way.
        aside: whether diamonds had to be moved.
        dashed: whether there are lines of doing nothing.
    """
    many = summary.seeds
    of_seeds = "means over seeds" if (many > 1).any() else "one seed, means"
    told = [f"Lines: {of_seeds} of the evaluations since the point before."]
    if (many >= FEW).any():
        told.append(f"Filled areas: 95 % intervals of means over {FEW} seeds or more.")
    if ((many > 1) & (many < FEW)).any():
        told.append(f"Dotted edges, of fewer than {FEW} seeds: from the worst seed to the best, no interval.")
    if dashed:
        told.append("Dashed: doing nothing, where that is in the frame.")
    if (summary.groupby(["env", "series"]).steps.min() >= PRETRAINING).any():
        told.append(f"Curves that begin at {count(PRETRAINING)} have spent these steps on pretraining.")
    if cut:
        told.append("The lowest returns, mostly of the first steps, are cut off.")
    if unseen:
        told.append(f"Below the frame nearly everywhere: {', '.join(unseen)}.")
    if aside:
        told.append("Authors' diamonds of one step stand side by side, to the left of it.")
    lines = textwrap.wrap(" ".join(told), int(width / LETTER))
    return alt.TitleParams(lines, orient="bottom", anchor="start", offset=12, fontSize=12, color="#555555")


def _colors(labels: Mapping[tuple[str, str], str], chosen: Mapping[str, str]) -> dict[str, str]:
    """{label: colour} of series {(method, name): label}: that of the method, for its further names others."""
    colors: dict[str, str] = {}
    further = itertools.cycle(NAME_COLORS)
    for (method, _), label in labels.items():
        free = method in COLORS and COLORS[method] not in colors.values()
        colors[label] = chosen.get(label) or (COLORS[method] if free else next(further))
    return colors


HEIGHT = 200  # of a panel, pixels
DIAMOND = 13  # width of an authors' diamond, pixels
SINGLE = 620  # width of a panel that is alone, pixels


def seeds_told(summary: pd.DataFrame) -> list[str]:
    """How many seeds the series of a panel have, at most and at their ends, as short lines: `2 seeds`, or which have how many."""
    of_counts: dict[tuple[int, int], list[str]] = {}
    for series, of_points in summary.groupby("series", sort=False).seeds:
        of_counts.setdefault((int(of_points.max()), int(of_points.iloc[-1])), []).append(str(series))
    told = []
    for (most, end), series_of_them in sorted(of_counts.items(), reverse=True):
        words = seeds(most) + f", {end} at the end" * (end < most)
        told.append(words if len(of_counts) == 1 else f"{words}: {'; '.join(series_of_them)}")
    return told


# What a point tells. A selection of the nearest point lays areas over the points, whose datum is the point's own datum:
# Vega-Lite minds that in the formatted fields of tooltips only, so the fields are named here.
_POINT = "(datum.datum || datum)"
_TOLD = (
    "{{'{what}': {d}.series, 'steps': format({d}.steps, ','), 'mean': format({d}.mean, '.2f'),"
    " 'seeds': {d}.seeds + ({d}.seeds == 1 ? '' : ({d}.seeds < {few} ? ', from ' : ', 95 % interval ')"
    " + format({d}.low, '.2f') + ' to ' + format({d}.high, '.2f'))}}"
)


def _read_off(summary: pd.DataFrame, last: int) -> dict[tuple[str, int], float]:
    """{(series, step): return} that the authors' plots have of one environment, up to a step."""
    first = summary.drop_duplicates("method").set_index("method").series
    return {
        (first[method], step): value
        for method, values in AUTHORS.get(summary.env.iloc[0], {}).items()
        for step, value in values.items()
        if method in first and step <= last
    }


def _diamonds(summary: pd.DataFrame, last: int, shown: list[float], width: int) -> list[dict[str, Any]]:
    """The authors' returns of one environment as rows; `place` is where on the axis a diamond stands. Arguments as in `_panel`."""
    read_off: list[dict[str, Any]] = [
        {"series": series, "steps": step, "mean": value, "source": "authors' plot"}
        for (series, step), value in _read_off(summary, last).items()
    ]
    touching = DIAMOND * (shown[1] - shown[0]) / HEIGHT
    for place, row in enumerate(read_off):  # those that would lie upon each other stand side by side
        close = [o for o in read_off[:place] if o["steps"] == row["steps"] and abs(o["mean"] - row["mean"]) < touching]
        row["place"] = min((o["place"] - DIAMOND * last / width for o in close), default=row["steps"])
    return read_off


def _panel(
    number: int,
    summary: pd.DataFrame,
    colors: Mapping[str, str],
    last: int,
    shown: list[float],
    width: int,
    shared: bool,
    read_off: Sequence[Mapping[str, Any]],
) -> ChartType:
    """One environment's layers: areas, lines, points that tell their numbers, marks of single points, the authors' diamonds.

    Args:
        last: the step that the axis ends at.
        shown: the range of the returns' axis.
        read_off: the authors' returns, of `_diamonds`.
    """
    steps = alt.Scale(domain=[0, 1.02 * max(last, 1)], nice=False)
    returns = alt.Scale(domain=shown, nice=False)
    ticks = alt.Axis(labelExpr="format(datum.value, '~s')", tickCount=min(max(4, width // 60), max(last, 1)))
    painted = alt.Scale(domain=[*colors], range=[*colors.values()])
    axes: dict[str, Any] = {
        "x": alt.X("steps:Q", title="environment steps", scale=steps, axis=ticks),
        "y": alt.Y("mean:Q", title="return", scale=returns, axis=alt.Axis(tickCount=6)),
        "color": alt.Color("series:N", title=None, scale=painted, legend=_legend([*colors], width, shared)),
    }
    base = alt.Chart(summary).encode(**axes)
    edges = {"y": alt.Y("low:Q", title="return", scale=returns), "y2": "high:Q"}
    chosen: Any = {"param": "chosen"}  # altair takes such a dict, but its types have no name for it
    near = alt.selection_point(name=f"near_{number}", on="pointerover", nearest=True, empty=False)
    told = _TOLD.format(d=_POINT, what="method" if shared else "variant", few=FEW)
    layers = []
    if (summary.seeds >= FEW).any():
        interval = base.transform_filter(f"datum.seeds >= {FEW}").mark_area(clip=True)
        layers.append(interval.encode(**edges, opacity=alt.condition(chosen, alt.value(0.25), alt.value(0.03))))
    if ((summary.seeds > 1) & (summary.seeds < FEW)).any():
        span = base.transform_filter(f"datum.seeds < {FEW}").mark_area(
            clip=True, fillOpacity=0.12, strokeWidth=1, strokeDash=[1, 3]
        )
        both = {
            "stroke": alt.Stroke("series:N", scale=painted, legend=None),
            "opacity": alt.condition(chosen, alt.value(0.8), alt.value(0.03)),
        }
        layers.append(span.encode(**edges, **both))
    layers += [
        base.mark_line(clip=True).encode(opacity=alt.condition(chosen, alt.value(1), alt.value(0.15))),
        base.mark_point(clip=True, filled=True, size=70)
        .encode(opacity=alt.condition(near, alt.value(1), alt.value(0)), tooltip=alt.value(alt.expr(told)))
        .add_params(near, alt.selection_interval(name=f"zoom_{number}", bind="scales")),
    ]
    seen = summary[summary.steps <= last]
    if len(lone := seen[seen.groupby("series").steps.transform("size") == 1]):  # no line shows them
        marks = alt.Chart(lone).encode(**axes).mark_point(clip=True, filled=True, size=70)
        layers.append(marks.encode(opacity=alt.condition(chosen, alt.value(1), alt.value(0.15))))
    if read_off:
        above = alt.Legend(orient="top" if shared else "bottom")
        shape = alt.Shape("source:N", title=None, scale=alt.Scale(range=["diamond"]), legend=above)
        diamonds = alt.Chart(pd.DataFrame(read_off)).mark_point(
            clip=True, filled=True, size=90, stroke="white", opacity=1
        )
        tips = [alt.Tooltip("source:N"), alt.Tooltip("series:N", title="method"), alt.Tooltip("steps:Q", format=",")]
        places = axes | {"x": alt.X("place:Q", title="environment steps", scale=steps, axis=ticks)}
        layers.append(diamonds.encode(**places, shape=shape, tooltip=[*tips, alt.Tooltip("mean:Q")]))
    return alt.layer(*layers)


def _title(summary: pd.DataFrame, width: int) -> alt.TitleParams:
    """The title of a panel so many pixels wide: its environment, and how many seeds its series have."""
    lines = (re.sub(r"(?<=\d) (?=\d{3})", "\N{NO-BREAK SPACE}", line) for line in seeds_told(summary))  # 10 000
    told = (textwrap.wrap(line, int(width / LETTER), break_on_hyphens=False) for line in lines)
    return alt.TitleParams(summary.env.iloc[0], subtitle=[*itertools.chain(*told)])


def _legend(labels: Sequence[str], width: int, shared: bool) -> alt.Legend:
    """A legend above all panels in as few rows as it needs, or below its own panel in one column."""
    if not shared:
        return alt.Legend(symbolType="stroke", symbolOpacity=1, orient="bottom", direction="vertical", columns=1)
    room = SINGLE if width == SINGLE else WIDTH - 130  # the rest: the authors' diamond
    widths = [8 * len(label) + 32 for label in labels]
    columns = len(labels) if sum(widths) <= room else max(1, room // max(widths))
    return alt.Legend(symbolType="stroke", symbolOpacity=1, orient="top", direction="horizontal", columns=columns)


def _returns_shown(summary: pd.DataFrame, read_off: Iterable[float]) -> list[float]:
    """The range of the returns' axis: that of what follows the first fifth, or the authors', where it is filled. Means that were
    higher before are not left out: a run that ends below them has lost something.

    The authors' range is taken where the curves are within it and span half of it or more; it is widened to the curves
    where they leave it.

    Args:
        read_off: the authors' numbers that are drawn beside the curves.
    """
    later = summary[summary.steps >= summary.steps.max() / 5]
    low, high = later[["mean", "low"]].min(axis=None), later[["mean", "high"]].max(axis=None)
    low, high = min([low, *read_off]), max([high, summary["mean"].max(), *read_off])
    authors = AUTHORS_RANGE.get(summary.env.iloc[0])
    from_pixels = any(METHODS[name].from_pixels for name in set(summary.method) & METHODS.keys())
    if authors and not from_pixels and high - low >= (authors[1] - authors[0]) / 2:
        if authors[0] <= low and high <= authors[1]:
            return list(authors)
        low, high = min(low, authors[0]), max(high, authors[1])
    margin = 0.05 * (high - low) or 1
    return [low - margin, high + margin]
