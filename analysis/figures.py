"""The figures of the paper that have data, and the ablations, drawn from what lies in results/.

Figures 3, 8 and 10 come from the tables that the scripts analysis/figure*.py have written, figures 4, 5 and 9 from the
published curves. `make figures` draws all of them into results/figures/.

    python analysis/figures.py results --out results/figures
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import altair as alt
import numpy as np
import pandas as pd

from analysis import sensitivity
from analysis.charts import COLORS, figure
from analysis.curves import load_ablations, load_published, select
from analysis.drawing import save
from analysis.figure_tables import doing_nothing, load
from analysis.random_figures import figure3, figure8, figure10
from analysis.tasks import FROM_STATES, REACHER_FAMILY, TASKS, VERTICAL, environment
from analysis.variants import APART, IN_CONTROLS, OF_FIGURE_4, QUESTIONS, VARIANTS_OF_TD3, question
from common.cli import Parser, run
from common.errors import UsageError
from common.theme import panel_width
from rl.methods import METHODS

FROM_PIXELS = [name for name, method in METHODS.items() if method.from_pixels]
ON_PLANS = ["TD3-plans", "SAC-plans"]
PLANS = ["DynE-TD3", *ON_PLANS, "TD3", "SAC"]
CONTROLS = [name for name, method in METHODS.items() if method.is_control]
UNTRAINED, HALF = "untrained encoder", "half the range"
OF_CONTROLS = {
    "untrained": UNTRAINED,
    "held_half": HALF,
    "identity_half": HALF,
}  # variants: what their curves are called
CONTROL_COLORS = {
    f"DynE-TD3, {UNTRAINED}": "#ff7f0e",
    f"held-TD3, {HALF}": "#bc5090",
    f"identity-TD3, {HALF}": "#00b3c8",
}
FIGURE4_BINS = 5000


def figure4(results: str | Path) -> alt.ConcatChart:
    """From states: DynE-TD3 and the baselines on all tasks; the variants of TD3 where they were tried."""
    curves = load_published(results)
    with contextlib.suppress(UsageError):  # no ablations
        tried = load_ablations(results)
        for kind in VARIANTS_OF_TD3:
            one = tried[(tried.group == kind.group) & (tried.name == kind.name)]
            curves = pd.concat([curves, one.assign(method=kind.curve, name="published")])
    painted = {kind.curve: kind.color for kind in VARIANTS_OF_TD3}
    curves = select(curves, TASKS, [*FROM_STATES, *painted])
    until = dict(curves[curves.method == "DynE-TD3"].groupby("env").steps.max())
    still = doing_nothing(results)
    return figure(
        curves, bin_width=FIGURE4_BINS, until=until, colors=painted, framed=[environment(VERTICAL)], still=still
    )


def figure5(results: str | Path) -> alt.ConcatChart:
    """From pixels, steps of pretraining counted: the Reacher family."""
    pixels = select(load_published(results), TASKS, FROM_PIXELS)
    return figure(pixels, bin_width=10_000, until=400_000, still=doing_nothing(results))


def figure9(results: str | Path) -> alt.ConcatChart:
    """The methods from pixels beside SAC and PPO from states: the tasks that methods from pixels were run on."""
    published = load_published(results)
    reachers = [environment(task) for task in REACHER_FAMILY]
    tasks = [task for task in reachers if task in set(select(published, reachers, FROM_PIXELS).env)]
    curves = select(published, tasks, [*FROM_PIXELS, "SAC", "PPO"])
    return figure(curves, bin_width=10_000, until=400_000, still=doing_nothing(results))


def values(results: str | Path) -> alt.HConcatChart:
    """What the critics say beside what training returns: a panel a seed and width of the target's noise."""
    table = load(results, "values")
    named = {
        "return": "return of an episode of training",
        "value": "mean of Q(s, μ(s))",
        "q_max": "largest value of a batch",
    }
    painted = alt.Scale(domain=[*named.values()], range=["#333333", "#d62728", "#ff9896"])
    both = table[["return", "value"]].to_numpy(np.float64)
    low, high = float(both.min()), float(both.max())
    margin = 0.3 * (high - low)
    shown = alt.Scale(domain=[low - margin / 3, high + margin], nice=False)
    width, panels = panel_width(3), []
    for (env, method, noise, seed), one in table.groupby(["env", "method", "policy_noise", "seed"], sort=False):
        long = one.melt("steps", [*named], "line", "amount").replace({"line": named})
        told = alt.TitleParams(f"{method} on {env}", subtitle=[f"seed {seed}, --policy_noise {noise:g}"])
        lines = alt.Chart(long).mark_line(clip=True, strokeWidth=2, point=len(one) == 1)
        color = alt.Color("line:N", title=None, scale=painted, legend=alt.Legend(orient="top", labelLimit=300))
        steps = alt.X(
            "steps:Q", title="environment steps", axis=alt.Axis(labelExpr="format(datum.value, '~s')", tickCount=5)
        )
        tips = ["line", alt.Tooltip("steps:Q", format=","), alt.Tooltip("amount:Q", format=".1f")]
        encoded = lines.encode(
            x=steps, y=alt.Y("amount:Q", title="return, value", scale=shown), color=color, tooltip=tips
        )
        zero = (
            alt.Chart(pd.DataFrame({"amount": [0.0]}))
            .mark_rule(color="#999999", strokeDash=[4, 4])
            .encode(y="amount:Q")
        )
        panels.append(alt.layer(zero, encoded).properties(title=told, width=width, height=180))
    return alt.hconcat(*panels)


def whole_plans(results: str | Path) -> alt.ConcatChart:
    """What training at every step gains (section 3.2): DynE-TD3 beside algorithms that see only every k-th state."""
    return figure(select(plan_curves(results), TASKS, PLANS))


def plan_curves(results: str | Path) -> pd.DataFrame:
    """The curves of `PLANS` on the environments where whole plans were tried, up to as many steps."""
    curves = load_published(results)
    tried = curves[curves.method.isin(ON_PLANS)].groupby("env").steps.max()
    return curves[curves.steps <= curves.env.map(tried).fillna(-1)]


def controls(results: str | Path) -> alt.ConcatChart:
    """The same agent in DynE's space and in spaces that nothing was learned for, TD3 and SAC: runs of the same seeds."""
    published = load_published(results)
    tried = published[published.method.isin(CONTROLS)].groupby("env")
    seeds, last = tried.seed.unique(), tried.steps.max()
    curves = select(published[published.env.isin(last.index)], TASKS, ["TD3", "SAC", "DynE-TD3", *CONTROLS])
    variants = load_ablations(results)
    variants = variants[(variants.group == IN_CONTROLS) & variants.env.isin(last.index)]
    curves = pd.concat([curves, variants.assign(name=[OF_CONTROLS.get(name, name) for name in variants.name])])
    fair = [seed in seeds[env] for env, seed in zip(curves.env, curves.seed, strict=True)]
    curves = curves[np.array(fair) & (curves.steps <= curves.env.map(last))]
    of_all_seeds = curves.groupby(["env", "method", "name"]).seed.transform("nunique") == curves.env.map(seeds.map(len))
    called = np.where(curves.method == "DynE-TD3", "published decoder", "whole range")
    curves = curves.assign(name=np.where(curves.name == "published", called, curves.name))[of_all_seeds]
    return figure(curves, bin_width=2500, colors=CONTROL_COLORS)


def stage_one(results: str | Path) -> alt.HConcatChart:
    """Returns against the settings of stage one."""
    return sensitivity.chart(sensitivity.returns(results))


def ablations(results: str | Path) -> alt.ConcatChart:
    """The variants that were tried: a panel a question, each with its own legend."""
    colors = {
        asked.words[name]: COLORS[method] for asked in QUESTIONS.values() for name, method in asked.methods.items()
    }
    return figure(variants(results), shared=False, colors=colors)


def variants(results: str | Path) -> pd.DataFrame:
    """The curves of all ablations, question by question: `env` tells environment and question, `method` the variant.

    Beside embeddings of other seeds, and decoders trained in another way, stand the curves of figure 4 of the same seeds.
    Raises `UsageError` if there are none, or none but those that other figures show.
    """
    curves = load_ablations(results)
    if not len(curves := curves[~curves.group.isin([*APART, *sensitivity.VARIED])]):
        raise UsageError(f"{results}: its ablations are those that other figures show")
    last = curves[curves.group.isin(OF_FIGURE_4)].groupby(["env", "group", "seed"]).steps.max().rename("last")
    default = load_published(results).query("method == 'DynE-TD3'").merge(last.reset_index(), on=["env", "seed"])
    default = default[default.steps <= default["last"]].drop(columns="last")
    curves = pd.concat([curves, default.assign(name=default.group.map(OF_FIGURE_4))])
    order = [*QUESTIONS, *sorted(set(curves.group) - set(QUESTIONS)), *TASKS, *sorted(set(curves.env) - set(TASKS))]
    curves = curves.sort_values(["group", "env"], key=lambda column: column.map(order.index), kind="stable")
    told = []
    for (env, group), one in curves.groupby(["env", "group"], sort=False):
        asked = question(str(group), set(one.name))
        told.append(one.assign(env=f"{env}: {asked.title}", method=one.name.map(asked.words), name="ablation"))
    return pd.concat(told)


FIGURES: dict[str, Callable[[str | Path], alt.HConcatChart | alt.ConcatChart]] = {
    "figure3": figure3,
    "figure4": figure4,
    "figure5": figure5,
    "figure8": figure8,
    "figure9": figure9,
    "figure10": figure10,
    "plans": whole_plans,
    "controls": controls,
    "sensitivity": stage_one,
    "ablations": ablations,
    "values": values,
}


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("results", help="folder of results")
    parser.add_argument("--out", default=None, help="folder to draw into; without it: figures/ in that folder")
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
        save(chart, *(out / f"{name}.{suffix}" for suffix in ("svg", "png")))
        print(f"{name}: {out / name}.svg, .png")


if __name__ == "__main__":
    run(main)
