"""The figures of the paper that have data, and the ablations, drawn from what lies in results/.

Figures 3, 8 and 10 come from the tables that the scripts embedding/figure*.py have written, figures 4, 5 and 9 from the
published curves. `make figures` draws all of them into results/figures/.

    python analysis/figures.py results --out results/figures
"""

from collections.abc import Callable
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.authors import TASKS
from analysis.charts import COLORS, figure, save
from analysis.curves import load_ablations, load_published, select
from common.cli import Parser, run
from common.errors import UsageError
from rl.methods import METHODS

ACTIONS = {"DynE": COLORS["DynE-TD3"], "raw": COLORS["TD3"]}
COLUMNS = {
    "figure3": ["env", "k", "actions", "horizon", "low", "high", "share"],
    "figure8": ["dx", "dy", "z1", "z2"],
    "figure10": ["actions", "episode", "step", "x", "y"],
}
SIZE = 300  # pixels of a panel
FROM_STATES = ["TD3", "DynE-TD3", "SAC", "PPO", "SAC-LSP"]
FROM_PIXELS = [name for name, method in METHODS.items() if method.from_pixels]
REACHERS = TASKS[:3]  # that the paper shows from pixels
PLANS = ["DynE-TD3", "TD3-plans", "SAC-plans", "TD3", "SAC"]
FIGURE4_STEPS, FIGURE4_BINS = 100_000, 5000  # that most runs have
GROUPS = {
    "k": "k",
    "kl": "KL weight γ",
    "source": "decoder of",
    "objective": "decoder, weight of the norm",
    "decoder": "decoder",
}


def load(results: str | Path, name: str) -> pd.DataFrame:
    """The table of a figure, `results`/figures/<name>.csv; raises `UsageError` if there is none."""
    path = Path(results) / "figures" / f"{name}.csv"
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {name} has not been run yet, or its table is damaged ({error})") from error
    if list(table.columns) != COLUMNS[name] or not len(table):
        raise UsageError(f"{path}: not the table of {name}: its first line is {','.join(table.columns)}")
    return table


def figure3(results: str | Path) -> alt.HConcatChart:
    """How far random policies get: a panel a horizon, the share of states in each bin of distance."""
    table = load(results, "figure3")
    color = alt.Color("actions:N", title="actions", scale=alt.Scale(domain=[*ACTIONS], range=[*ACTIONS.values()]))
    panels = []
    for horizon, of_horizon in table.groupby("horizon", sort=False):
        title = f"{of_horizon.env.iloc[0]}, " + ("all of an episode" if horizon == "episode" else f"after {horizon}")
        panels.append(
            alt.Chart(of_horizon, title=title)
            .mark_bar(opacity=0.5, binSpacing=0)
            .encode(
                x=alt.X("low:Q", bin="binned", title="distance from the start"),
                x2="high:Q",
                y=alt.Y("share:Q", title="share of states", stack=None),
                color=color,
                tooltip=["actions", "low", "high", alt.Tooltip("share:Q", format=".4f")],
            )
            .properties(width=1.3 * SIZE, height=0.8 * SIZE)
        )
    return alt.hconcat(*panels).resolve_scale(y="independent")


def reached(results: str | Path) -> pd.DataFrame:
    """Quantiles of the distances of figure 3, even within each bin, as text: a row a horizon and action space."""
    rows = {}
    for (horizon, actions), bins in load(results, "figure3").groupby(["horizon", "actions"], sort=False):
        quantiles = np.interp([0.5, 0.95, 0.999], [0, *bins.share.cumsum()], [bins.low.iloc[0], *bins.high])
        rows[f"{horizon}, {actions} actions"] = [f"{value:.2f}" for value in quantiles]
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
    pairs = [("dx", "dy", "what sequences do, s(t+k) − s(t)"), ("z1", "z2", "where they lie in DynE space, μ")]
    panels = [
        alt.Chart(colored, title=title)
        .mark_circle(size=18, opacity=0.9)
        .encode(
            x=alt.X(f"{x}:Q", title=x),
            y=alt.Y(f"{y}:Q", title=y),
            color=alt.Color("color:N", scale=None),
        )
        .properties(width=SIZE, height=SIZE)
        for x, y, title in pairs
    ]
    return alt.hconcat(*panels)


def figure10(results: str | Path) -> alt.HConcatChart:
    """Where random episodes go: a panel for raw actions and one for DynE's, on the same axes."""
    table = load(results, "figure10")
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


# ---- curves ----


def figure4(results: str | Path) -> alt.ConcatChart:
    """From states: DynE-TD3 and the baselines on all tasks."""
    curves = select(load_published(results), TASKS, FROM_STATES)
    longest = curves[curves.method == "DynE-TD3"].groupby("env").steps.max()
    until = {env: max(FIGURE4_STEPS, int(longest.get(env, 0))) for env in TASKS}
    return figure(curves, bin_width=FIGURE4_BINS, until=until, envs=TASKS)


def figure5(results: str | Path) -> alt.ConcatChart:
    """From pixels, steps of pretraining counted: the Reacher family."""
    pixels = select(load_published(results), TASKS, FROM_PIXELS)
    return figure(pixels, bin_width=10_000, until=400_000, envs=REACHERS)


def figure9(results: str | Path) -> alt.ConcatChart:
    """The methods from pixels beside SAC and PPO from states: the Reacher family."""
    curves = select(load_published(results), REACHERS, [*FROM_PIXELS, "SAC", "PPO"])
    return figure(curves, bin_width=10_000, until=400_000, envs=REACHERS)


def whole_plans(results: str | Path) -> alt.ConcatChart:
    """What training at every step gains (section 3.2): DynE-TD3 beside algorithms that see only every k-th state."""
    return figure(select(plan_curves(results), TASKS, PLANS))


def plan_curves(results: str | Path) -> pd.DataFrame:
    """The curves of `PLANS` on the environments where whole plans were tried, up to as many steps."""
    curves = load_published(results)
    tried = curves[curves.method.isin(PLANS[1:3])].groupby("env").steps.max()
    return curves[curves.steps <= curves.env.map(tried).fillna(-1)]


def ablations(results: str | Path) -> alt.ConcatChart:
    """The variants that were tried: a panel a question, each with its own legend."""
    curves = load_ablations(results)
    order = [*GROUPS, *sorted(set(curves.group) - set(GROUPS)), *TASKS, *sorted(set(curves.env) - set(TASKS))]
    curves = curves.sort_values(["group", "env"], key=lambda column: column.map(order.index), kind="stable")
    panels = curves.env + ": " + curves.group.map(lambda group: GROUPS.get(group, group))
    return figure(curves.assign(env=panels, method=curves.name, name="ablation"), shared=False)


FIGURES: dict[str, Callable[[str | Path], alt.HConcatChart | alt.ConcatChart]] = {
    "figure3": figure3,
    "figure4": figure4,
    "figure5": figure5,
    "figure8": figure8,
    "figure9": figure9,
    "figure10": figure10,
    "plans": whole_plans,
    "ablations": ablations,
}


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("results", help="folder of results")
    parser.add_argument("--out", default=None, help="folder to draw into; none: figures/ in that folder")
    args = parser.parse_args()
    out = Path(args.out or Path(args.results) / "figures")
    if not out.is_dir():
        raise UsageError(f"--out {out}: there is no such folder: make it first")
    for name, draw in FIGURES.items():
        try:
            chart = draw(args.results)
        except UsageError as error:
            print(f"{name}: not drawn: {error}")
            continue
        for suffix in ("svg", "png"):
            save(chart, out / f"{name}.{suffix}")
        print(f"{name}: {out / name}.svg, .png")


if __name__ == "__main__":
    run(main)
