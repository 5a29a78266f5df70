"""What the results pages are computed from, the averages that they tell, and how numbers and tables are written."""

import contextlib
import re
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.authors import AUTHORS
from analysis.curves import FEW, bootstrap, first_steps, load_ablations, load_published
from analysis.estimates import at_shared_steps, interval, last_step, mean_probability, shared_finals
from analysis.tasks import environment
from analysis.variants import KINDS_OF_TD3, Kind
from common.errors import UsageError

MINUS = "\N{MINUS SIGN}"
Said = tuple[str, str]  # what there is of a claim here, and of how many seeds and steps
COLUMNS = 8  # so many steps at most are columns of a table
AHEAD = 0.75  # the least probability of a better run at which a method counts as ahead; as far below 1/2, behind
LADDER = [2_500, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000]


class Data:
    """The folder of results; its curves are read when they are first asked for.

    Attributes:
        as_published: the same with the published TD3 on every task.
        other_td3: {a kind of TD3: the tasks on which TD3's curve is of that kind} (`with_best_td3`).
    """

    def __init__(self, results: str | Path) -> None:
        self.results, self.other_td3, self.as_published = Path(results), dict[Kind, list[str]](), self

    @cached_property
    def published(self) -> pd.DataFrame:
        """The published curves, with the columns of `analysis.curves.CURVES`."""
        return load_published(self.results)

    @cached_property
    def ablations(self) -> pd.DataFrame:
        """The ablations' curves, with a column `group`."""
        return load_ablations(self.results)

    def series(self, task: str, method: str) -> pd.DataFrame:
        """The published curves of a method on a task; raises `UsageError` if there are none."""
        curves = self.published
        found = curves[(curves.env == environment(task)) & (curves.method == method)]
        if not len(found):
            raise UsageError(f"{self.results}: there is no curve of {method} on {task}")
        return found

    def methods(self, task: str, methods: list[str]) -> dict[str, pd.DataFrame]:
        """{method: its curves} of those of the methods that have some on a task."""
        there = set(self.published[self.published.env == environment(task)].method)
        return {method: self.series(task, method) for method in methods if method in there}

    def variant(self, group: str, name: str, task: str = "ReacherVertical") -> pd.DataFrame:
        """The curves of one variant of an ablation; raises `UsageError` if there are none."""
        curves = self.ablations
        found = curves[(curves.env == environment(task)) & (curves.group == group) & (curves.name == name)]
        if not len(found):
            raise UsageError(f"{self.results}: there is no ablation {group} {name} on {task}")
        return found

    def kinds_of_td3(self, task: str) -> dict[Kind, pd.DataFrame]:
        """{kind of TD3: its curves on a task}, of those that were tried beside the published one."""
        found = {}
        for kind in KINDS_OF_TD3:
            with contextlib.suppress(UsageError):  # it was not tried
                found[kind] = self.variant(kind.group, kind.name, task)
        return found

    def with_best_td3(self) -> "Data":
        """The same, but with the kind of TD3 that ends highest on each task: a fairer comparison."""
        best, curves = Data(self.results), self.published
        best.as_published = self.as_published
        for env in dict.fromkeys(curves.env[curves.method == "TD3"]):
            task = str(env).removesuffix("-v2")
            raw, gains = self.series(task, "TD3"), dict[Kind, float]()
            others = self.kinds_of_td3(task)
            for kind, one in others.items():
                ends = finals(one, raw)
                gains[kind] = ends[0].mean() - ends[1].mean()
            if max(gains.values(), default=0.0) > 0:
                kind = max(gains, key=gains.__getitem__)
                best.other_td3.setdefault(kind, []).append(task)
                curves = curves[(curves.env != env) | (curves.method != "TD3")]
                curves = pd.concat([curves, others[kind].assign(name="published")[list(self.published.columns)]])
        best.published = curves
        return best

    def encoder_epochs(self, task: str, method: str) -> int | None:
        """For how many epochs the encoder of a published curve was trained, as the text beside the curve tells."""
        return self._flag(task, method, r"embedding/main_\w+\.py.*--epochs (\d+)")

    def plan_length(self, task: str, method: str) -> int | None:
        """How many steps a plan of a control's published curve has, as the text beside the curve tells."""
        return self._flag(task, method, r"--plan_length (\d+)")

    def _flag(self, task: str, method: str, pattern: str) -> int | None:
        """The number that a pattern finds in the text beside a published curve; None: it is not there."""
        path = self.results / "published" / f"{environment(task)}_{method}.txt"
        found = re.search(pattern, path.read_text() if path.is_file() else "")
        return int(found[1]) if found else None


def authors_returns(task: str, method: str) -> dict[int, float]:
    """{step: return} read off the authors' plots."""
    every: Any = AUTHORS
    return dict(every.get(environment(task), {}).get(method, {}))


# ---- averages ----


def window(one: pd.DataFrame, after: float, upto: float) -> pd.Series:
    """The mean evaluation of each seed of one series in the steps (after, upto]; of seeds that got so far, (N,)."""
    last = one.groupby("seed").steps.transform("max")
    return one[(last >= upto) & (after < one.steps) & (one.steps <= upto)].groupby("seed").mean_return.mean()


def at(one: pd.DataFrame, step: int, width: int) -> pd.Series:
    """The mean of each seed over the `width` steps up to a step, or over one evaluation where they are rarer; (N,)."""
    spacing = int(np.diff(np.unique(one.steps)).max(initial=0))
    return window(one, step - max(width, spacing), step)


def finals(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.Series, pd.Series, int]:
    """The final returns (N,) and (M,) of two series over the last tenth of the steps that all seeds of both have, and the last
    step.

    Each is the mean of a seed's own evaluations in this span.

    Raises:
        UsageError: a seed was not evaluated there.
    """
    first, second = shared_finals(one, other)
    return first, second, last_step(one, other)


def on_the_way(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """The mean returns (N,) and (M,) of two series over all evaluations that all seeds of both have, but for those
    before training."""
    parts = at_shared_steps(one, other)
    untrained = max(first_steps(part).max() for part in parts)
    first, second = (part[part.steps > untrained].groupby("seed").mean_return.mean() for part in parts)
    return first, second


def better(one: pd.Series, other: pd.Series) -> tuple[float, float, float]:
    """The probability that a run of the first (N,) returns more than one of the second (M,), and its interval.

    The interval is NaN where one of them has fewer than `FEW` seeds.
    """
    found = interval(mean_probability, [one.to_numpy()], [other.to_numpy()])
    return found if min(len(one), len(other)) >= FEW else (found[0], np.nan, np.nan)


def marked(stands: str) -> str:
    """A `standing` in Markdown: what the paper does not show stands out."""
    return stands if stands == "ahead of" else f"**{stands}**"


def standing(found: tuple[float, float, float]) -> str:
    """How a method stands to another one, by what `better` tells of the two."""
    probability, low, high = found
    if AHEAD > probability > 1 - AHEAD or low <= 0.5 <= high:  # never, where there is no interval
        return "level with"
    return "ahead of" if probability >= AHEAD else "behind"


def seeds_of(one: pd.DataFrame) -> int:
    """How many seeds a series has."""
    return int(one.seed.nunique())


def steps_of(one: pd.DataFrame) -> int:
    """The last step that all seeds of a series have."""
    return last_step(one)


# ---- how they are written ----


def decimals(value: float) -> int:
    """Returns have one decimal, from a hundred on none."""
    return 1 if abs(round(value, 1)) < 100 else 0


def number(value: float) -> str:
    """A return."""
    return f"{round(value, decimals(value)) + 0.0:.{decimals(value)}f}".replace("-", MINUS)


def read_off(value: float) -> str:
    """A return of `analysis.authors`, with the decimals that it was read off with."""
    return f"{value}".replace("-", MINUS)


def count(steps: int) -> str:
    """Steps, their thousands apart."""
    return f"{steps:,}".replace(",", " ")


def seeds(many: int) -> str:
    """A number of seeds."""
    return f"{many} seed" + "s" * (many != 1)


def with_interval(found: tuple[float, float, float]) -> str:
    """A probability, and its interval if it has one: where all pairs of runs are alike a bootstrap has none."""
    if np.isnan(found[1]):
        return f"{found[0]:.2f}"
    if found[0] in (0, 1):
        return f"{found[0]:.2f} (in all pairs of runs)"
    return "{:.2f} [{:.2f}, {:.2f}]".format(*found).replace("-", MINUS)


def share(value: float) -> str:
    """A share in percent, two digits."""
    return f"{100 * value:.2g} %"


def paragraphs(*sentences: str) -> str:
    """Sentences as one paragraph; empty ones are left out."""
    return " ".join(sentence for sentence in sentences if sentence)


def listed(words: list[str]) -> str:
    """Words as a list in a sentence."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def mostly(told: dict[str, str], unit: str) -> str:
    """The commonest value, exceptions in brackets, as "2 seeds (DynE-TD3 16)"; name by name if all differ."""
    ((usual, times),) = Counter(told.values()).most_common(1)
    others = [f"{name} {value}" for name, value in told.items() if value != usual]
    if times == 1 and others:
        return f"{listed([f'{name} {value}' for name, value in told.items()])} {unit}"
    return f"{usual} {unit}" + (f" ({', '.join(others)})" if others else "")


def entry(values: pd.Series) -> str:
    """A mean over seeds (N,); fewer than `FEW` seeds in brackets, of more ± half of the 95 % interval."""
    if not len(values):
        return ""
    mean, low, high = bootstrap(values)
    if len(values) == 1:
        return number(mean)
    if len(values) >= FEW:
        return f"{number(mean)} ± {(high - low) / 2:.{decimals(mean)}f}"
    return f"{number(mean)} ({' '.join(map(number, values))})"


def columns(ladder: list[int], lasts: list[int]) -> list[int]:
    """The steps that a table tells: those of the ladder that a row reaches, and the last of every row.

    Of more than `COLUMNS` steps the earliest ones after the first are left out, those that are no row's last.
    """
    found = sorted({step for step in ladder if step <= max(lasts)} | set(lasts))
    spare = [step for step in found[1:] if step not in lasts]
    left_out = spare[: max(len(found) - COLUMNS, 0)]
    return [step for step in found if step not in left_out]


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |").replace("|  |", "| |") for line in lines)
