"""What the results pages are computed from: the curves in a folder of results."""

import contextlib
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.authors import AUTHORS
from analysis.comparisons import finals
from analysis.curves import load_ablations, load_published
from analysis.tasks import NAMES, environment
from analysis.variants import VARIANTS_OF_TD3, Kind
from common.errors import UsageError


class Data:
    """The folder of results; its curves are read when they are first asked for.

    Attributes:
        as_published: the same with the published TD3 on every task.
        other_td3: {a variant of TD3: the tasks on which TD3's curve is that variant's} (`with_best_td3`).
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

    def variants_of_td3(self, task: str) -> dict[Kind, pd.DataFrame]:
        """{variant of TD3: its curves on a task}, of those that were tried beside the published one."""
        found = {}
        for kind in VARIANTS_OF_TD3:
            with contextlib.suppress(UsageError):  # it was not tried
                found[kind] = self.variant(kind.group, kind.name, task)
        return found

    def with_best_td3(self) -> "Data":
        """The same, but with the variant of TD3 that ends highest on each task: a fairer comparison.

        What is compared are their ends over the steps that both the kind and the published TD3 have.
        """
        best, curves = Data(self.results), self.published
        best.as_published = self.as_published
        for task in NAMES:
            if not self.methods(task, ["TD3"]):
                continue
            raw, gains = self.series(task, "TD3"), dict[Kind, float]()
            others = self.variants_of_td3(task)
            for kind, one in others.items():
                ends = finals(one, raw)
                gains[kind] = ends[0].mean() - ends[1].mean()
            if max(gains.values(), default=0.0) > 0:
                kind = max(gains, key=gains.__getitem__)
                best.other_td3.setdefault(kind, []).append(task)
                curves = curves[(curves.env != environment(task)) | (curves.method != "TD3")]
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
