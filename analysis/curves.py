"""Learning curves: reading them, averaging them over seeds with an interval, tables of them; `analysis.charts` draws them.

The notebook rl_plots.ipynb and the scripts plot_runs.py and publish.py share these functions. Curves are long-form
frames of one evaluation a row, with the columns of `CURVES`: environment id, method, name of the run or variant, seed,
environment steps (where an encoder of images was pretrained, its random play included), mean return of the evaluation's
episodes.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.authors import AUTHORS
from analysis.tables import read_csv
from analysis.wording import count
from common.errors import UsageError
from common.files import read_entries
from common.paths import RESULTS, folder_of, folders_of_seeds, is_seed_folder
from rl.methods import METHODS, PRETRAINING, told_by
from rl.results import EVAL_COLUMNS

CURVES = ["env", "method", "name", "seed", "steps", "mean_return"]
PUBLISHED = ["env", "method", "seed", "steps", "mean_return"]
ABLATION = ["env", "method", "variant", "seed", "steps", "mean_return"]
FEW = 5  # seeds; fewer have no interval, which would be too narrow: what they return is told itself


# ---- reading ----


def results_dir() -> Path:
    """The folder that the notebook reads: the repository's results/, or what the variable DYNE_RESULTS names."""
    folder = Path(os.environ.get("DYNE_RESULTS") or RESULTS)
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def load_published(results: str | Path) -> pd.DataFrame:
    """The curves in `results`/published/**/*.csv, named `published`; errors as in `load_ablations`."""
    return with_pretraining(_load_long_form(Path(results) / "published", PUBLISHED).assign(name="published")[CURVES])


def load_ablations(results: str | Path) -> pd.DataFrame:
    """The curves in `results`/ablations/<env>_<group>_<variant>.csv, named by their variant, with a column `group`.

    Raises:
        UsageError: there are none, or an evaluation is there twice, or two files have curves of one series.
    """
    curves = _load_long_form(Path(results) / "ablations", ABLATION)
    return with_pretraining(curves.rename(columns={"variant": "name"})[[*CURVES, "group"]])


def _load_long_form(folder: Path, columns: list[str]) -> pd.DataFrame:
    """All files of a folder, with columns `file` and `group` (`_group_of`; "" without variants); errors as in `load_ablations`."""
    frames = []
    for file in sorted(folder.glob("**/*.csv")):
        table = read_csv(file, columns)
        group = _group_of(file.stem, table.env.unique()) if "variant" in columns else ""
        frames.append(table.assign(file=str(file), group=group))
    if not sum(map(len, frames)):
        raise UsageError(f"{folder}: no curves in it: csv files of {','.join(columns)} are looked for")
    curves = pd.concat(frames, ignore_index=True)
    for (env, *names, _), one in curves.groupby([*columns[:-3], "group"]):
        if one.file.nunique() > 1:
            raise UsageError(
                f"{' and '.join(one.file.unique())}: all have curves of {', '.join(map(str, names))} on {env}: publish them as one"
            )
    again = curves[curves.duplicated([*columns[:-1], "group"])]
    if len(again):
        where = ", ".join(str(again.iloc[0][column]) for column in columns[:-1])
        raise UsageError(f"{again.file.iloc[0]}: two rows are of one evaluation ({where}): remove one of them")
    return curves


def _group_of(stem: str, envs: Iterable[str]) -> str:
    """The group in the name of a file, <env>_<group>_<variant>, of curves on some environments, whose ids may have `_` in them."""
    named, begins = f"{stem}_", [f"{folder_of(env)}_" for env in envs]
    begin = next(filter(named.startswith, begins), named.partition("_")[0] + "_")
    return named.removeprefix(begin).partition("_")[0]


def load_runs(results: str | Path) -> pd.DataFrame:
    """The curves of all runs under `results`/rl, finished or running; raises `UsageError` if there are none.

    Args:
        results: a folder of results, or in it that of an environment, of a method, or of a run.
    """
    levels = ("rl/*/*/*/", "*/*/*/", "*/*/", "*/", "")
    of_seeds = ("eval.csv", "checkpoint.pt")  # a seed that has the latter alone has lost its table
    files = ([file for name in of_seeds for file in Path(results).glob(f"{level}seed_*/{name}")] for level in levels)
    seeds = ([file.parent for file in found if is_seed_folder(file.parent)] for found in files)
    folders = sorted({seed.parent.resolve() for seed in next(filter(None, seeds), [])})
    runs = [run for run in map(load_run, folders) if len(run)]
    if not runs:
        raise UsageError(
            f"{results}: no evaluations in it: rl/<env>/<method>/<name>/seed_<n>/eval.csv are looked for: name a folder of "
            "results, or that of an environment, a method or a run in it"
        )
    return with_pretraining(pd.concat(runs, ignore_index=True))


def with_pretraining(curves: pd.DataFrame) -> pd.DataFrame:
    """The same curves, `PRETRAINING` steps later where a method's encoder is pretrained."""
    return curves.assign(steps=curves.steps + first_steps(curves))


def first_steps(curves: pd.DataFrame) -> pd.Series:
    """The step that the policy of each row (N,) was untrained at: `PRETRAINING` where its encoder is pretrained, else 0; (N,)."""
    pretrained = [name for name, method in METHODS.items() if method.pretrained]
    return PRETRAINING * curves.method.isin(pretrained)


def begun(curves: pd.DataFrame) -> pd.DataFrame:
    """The curves without seeds that have only just begun: those of no evaluation after the untrained policy's yet.

    Args:
        curves: a frame of `CURVES`, its steps those of `with_pretraining`.
    """
    last = curves.groupby(["env", "method", "name", "seed"]).steps.transform("max")
    return curves[last > first_steps(curves)]


def load_run(run: str | Path) -> pd.DataFrame:
    """The curves of one run, results/rl/<env>/<method>/<name>; no rows if it has not evaluated yet.

    Steps are the policy's own.

    Raises:
        UsageError: there is no run, or a seed's table is none of a seed, or its folder that of another one, or of a run of
            another environment or method.
    """
    seeds = [_load_seed(seed, file) for seed, file in seed_files(run).items()]
    env, method, name = names_of(run)
    return pd.concat(seeds, ignore_index=True).assign(env=env, method=method, name=name)[CURVES]


def _load_seed(seed: int, file: Path) -> pd.DataFrame:
    """The evaluations of one seed from its eval.csv, with a column `seed`; errors as in `load_run`."""
    with contextlib.suppress(OSError, ValueError):  # what cannot be read cannot contradict
        flags = read_entries(file.with_name("opt.json"))
        if (noted := flags.get("seed", seed)) != seed:
            raise UsageError(
                f"{file.parent}: its opt.json is of seed {noted}: remove the copy, or put back the run's own"
            )
        _check_place(file.parent, flags)
    table = read_csv(file, EVAL_COLUMNS, growing=True)
    if (again := table.steps.diff() <= 0).any():
        raise UsageError(
            f"{file}: step {table.steps[again.argmax()]} does not come after the one before it: put back the run's own table"
        )
    return table.assign(seed=seed)


def _check_place(seed_folder: Path, flags: dict[str, Any]) -> None:
    """Raises `UsageError` if a seed's flags are of another environment or method than its folder, rl/<env>/<method>/<name>/<seed>.

    An id without a version is that of the newest one. A folder elsewhere tells neither.
    """
    above, env, method, _ = _levels(seed_folder.parent)
    if above == "rl":
        named = str(flags.get("env_name") or env).rpartition(":")[2]
        noted = told_by(flags) or method
        if noted != method or not re.fullmatch(rf"{re.escape(folder_of(named))}(-v[0-9]+)?", env):
            raise UsageError(
                f"{seed_folder}: its opt.json is of {noted} on {named}, its folder of {method} on {env}: put it where it belongs"
            )


def names_of(run: str | Path) -> tuple[str, str, str]:
    """The environment, the method and the name that the folder of a run has, rl/<env>/<method>/<name>: as it lies, or where that is
    no such folder, as it is found through links."""
    _, env, method, name = _levels(run)
    return env, method, name


def _levels(run: str | Path) -> tuple[str, ...]:
    """The last four names of the folder of a run, as `names_of` takes them; the first is rl, or it lies elsewhere."""
    ways = [("", "", "", *path.parts)[-4:] for path in (Path(run).resolve(), Path(os.path.abspath(run)))]
    return next((way for way in ways if way[0] == "rl"), ways[0])


def seed_files(run: str | Path) -> dict[int, Path]:
    """{seed: its eval.csv} of a run's folder, in the order of the seeds.

    Raises:
        UsageError: there are none, a seed that was trained has lost its own, or a folder's name is that of no seed.
    """
    files = {}
    for folder in folders_of_seeds(run):
        seed, file = folder.name.removeprefix("seed_"), folder / "eval.csv"
        if os.path.lexists(file):
            if seed != f"{int(seed)}":
                raise UsageError(f"{folder}: the folder of a seed is called seed_{int(seed)}: remove the copy")
            files[int(seed)] = file
        elif (folder / "checkpoint.pt").is_file():
            raise UsageError(f"{folder}: its eval.csv is gone, its checkpoint is there: put back the run's own table")
    if not files:
        raise UsageError(f"{run}: no run in it: there is no seed_<n>/eval.csv")
    return dict(sorted(files.items()))


def select(curves: pd.DataFrame, envs: Sequence[str], methods: Sequence[str]) -> pd.DataFrame:
    """The rows of these methods, environment by environment in this order; raises `UsageError` if there are none."""
    chosen = curves[curves.env.isin(envs) & curves.method.isin(methods)]
    if not len(chosen):
        raise UsageError(f"no curves yet of {' or '.join(methods)} on {' or '.join(envs)}")
    return chosen.sort_values("env", key=lambda column: column.map(envs.index), kind="stable")


# ---- averaging ----


def bin_width_of(last_step: int) -> int:
    """The default width of bins, in steps: the least of 1, 2, 5, 10, 20, 25, 50, 100 … that makes at most 20 of them."""
    widths = (factor * 10**exponent // 2 for exponent in range(20) for factor in (2, 4, 5, 10))
    return next(width for width in widths if 20 * width >= last_step)


def bootstrap(values: ArrayLike, resamples: int = 10_000) -> tuple[float, float, float]:
    """The mean of one value a seed (N,) and its bootstrapped 95 % interval: (mean, low, high).

    Whole seeds are resampled, every time with the same random stream. One seed has no interval: low and high are NaN.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) == 1:
        return values[0], np.nan, np.nan
    drawn = np.random.default_rng(0).integers(0, len(values), (resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return values.mean(), low, high


def spread(values: ArrayLike) -> tuple[float, float, float]:
    """The mean of one value a seed (N,), and how far seeds differ: (mean, low, high).

    Of `FEW` seeds or more low and high are `bootstrap`'s interval, of fewer the lowest and the highest seed, of one NaN.
    """
    values = np.asarray(values, dtype=np.float64)
    return bootstrap(values) if len(values) >= FEW or len(values) == 1 else (values.mean(), values.min(), values.max())


def summarize(curves: pd.DataFrame, bin_width: int | None = None) -> pd.DataFrame:
    """Mean curves, as in the paper: the mean of each seed in each bin of steps, then mean and `spread` over seeds.

    A bin holds the evaluations after its left edge up to its right edge, and stands at its right edge (the last one
    at the last evaluation), so that no curve is ahead of its data. The untrained policy has its own bin, at its step.

    Args:
        curves: a frame of `CURVES`.
        bin_width: in steps; None: `bin_width_of` the last step of each environment.
    Returns:
        A frame of env, method, series (what legends say), steps, mean, low, high, seeds (how many are in the bin).
    """
    rows = []
    for env, of_env in curves.groupby("env", sort=False):
        width = bin_width or bin_width_of(of_env.steps.max())
        for (method, name), label in series_of(curves).items():
            one = of_env[(of_env.method == method) & (of_env.name == name)]
            edges = np.minimum(-(-one.steps // width) * width, one.steps.max())
            edges = edges.where(one.steps > first_steps(one), one.steps).rename("edge")
            per_seed = one.groupby([edges, "seed"]).mean_return.mean()
            for edge, values in per_seed.groupby(level="edge"):
                rows.append((env, method, label, edge, *spread(values), len(values)))
    return pd.DataFrame(rows, columns=["env", "method", "series", "steps", "mean", "low", "high", "seeds"])


def table(curves: pd.DataFrame, steps: Sequence[int] | None = None, bin_width: int | None = None) -> pd.DataFrame:
    """Returns at given steps, as text: the mean, and ± half the width of the interval, or fewer than `FEW` seeds one by one.

    An entry averages the evaluations of the `bin_width` steps up to its step, as the bins of a figure do: that of the
    untrained policy only at its own step. Where the authors' plots tell a return, a row of theirs follows.

    Args:
        curves: a frame of `CURVES`, of one environment.
        steps: counts of environment steps, the columns; None: ends of bins that part all steps evenly, or nearly so.
        bin_width: in steps; None: `bin_width_of` the last step.
    Returns:
        A frame of str, a row a series with its number of seeds; `-` where a series has no evaluation.
    """
    rows: dict[str, list[str]] = {}
    width = bin_width or bin_width_of(curves.steps.max())
    steps = steps or _parts(curves, width)
    for (method, name), label in series_of(curves).items():
        one = curves[(curves.method == method) & (curves.name == name)]
        trained = one.steps > first_steps(one)
        windows = [
            one[(one.steps == step) | trained & (step - width < one.steps) & (one.steps < step)] for step in steps
        ]
        seeds = one.seed.nunique()
        told = f"{label} ({seeds} seed{'s' * (seeds > 1)})"
        rows[told] = [_entry(window.groupby("seed").mean_return.mean(), seeds) for window in windows]
    for method, returns in AUTHORS.get(curves.env.iloc[0], {}).items():
        if method in set(curves.method) and set(steps) & set(returns):
            rows[f"{method}, authors' plot"] = [f"{returns[step]}" if step in returns else "-" for step in steps]
    columns = pd.Index([count(step) for step in steps], name="steps")
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _parts(curves: pd.DataFrame, width: int) -> list[int]:
    """The ends of bins that part all steps into quarters, fifths or thirds, else those nearest to the quarters.

    Where there are some at which every series has evaluations, or has ended or not begun, they are of these.
    """
    lasts = curves.groupby(["method", "name"]).steps.transform("max")
    edges = pd.Series(np.minimum(-(-curves.steps // width) * width, lasts))
    of_series = [np.unique(ends) for _, ends in edges.groupby([curves.method, curves.name])]
    every = np.unique(edges)
    whole = [end for end in every if all(end in ends or not ends[0] < end < ends[-1] for ends in of_series)]
    ends = np.array(whole or every)
    for parts in (4, 5, 3):
        steps = np.linspace(ends[0], ends[-1], parts + 1)
        if np.isin(steps, ends).all():
            return [int(step) for step in np.unique(steps)]
    return sorted({int(ends[np.abs(ends - ends[-1] * quarter / 4).argmin()]) for quarter in range(5)})


def _entry(values: pd.Series, seeds: int) -> str:
    """A mean over seeds (N,), and how far they differ; of fewer seeds than the row has, how many they are."""
    if not len(values):
        return "-"
    mean, low, high = spread(values)
    few = f", {len(values)} of {seeds} seeds" if len(values) < seeds else ""
    if len(values) >= FEW:
        return f"{mean:.1f} ± {(high - low) / 2:.1f}{few}"
    return f"{mean:.1f}" + (f" ({' '.join(f'{value:.1f}' for value in values)})" if len(values) > 1 else "") + few


def series_of(curves: pd.DataFrame) -> dict[tuple[str, str], str]:
    """{(method, name): label} in the order of legends; the label is the method, and the name where it has several."""

    def number(text: str) -> tuple[float, str]:
        """What sorts texts that begin with a number by its value, before words."""
        try:
            return float(text.partition(",")[0].split()[0]), text
        except (ValueError, IndexError):
            return np.inf, text

    def place(pair: tuple[str, str]) -> tuple[Any, ...]:
        method, name = pair
        known = [*METHODS].index(method) if method in METHODS else len(METHODS)
        return known, *number(method), *(not name.startswith(x) for x in ("published", "default")), *number(name)

    pairs = sorted(set(zip(curves.method, curves.name, strict=True)), key=place)
    methods = [method for method, _ in pairs]
    return {(method, name): method if methods.count(method) == 1 else f"{method}, {name}" for method, name in pairs}
