"""results/summary.csv: one row a published curve, what it ends with and where it was made, for other programs to read."""

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.curves import ABLATION, FEW, PUBLISHED, bootstrap, first_steps, with_pretraining
from analysis.estimates import areas, final_returns, last_step
from analysis.report_data import Data
from analysis.tables import read_csv
from common.errors import UsageError

NOTED = ("commit", "machine")  # lines of the text beside a curve


def table(data: Data) -> pd.DataFrame:
    """A frame with a row for each csv file of results/published and results/ablations.

    Its columns: `file`, below the folder of results; `env`, `method`, `variant`; `seeds`, how many; `steps`, the last that
    all of these have, with those of pretraining; `final_return`, the mean over seeds of their evaluations in the last
    tenth of the steps, and its bootstrapped 95 % interval `final_low`, `final_high` where there are `FEW` seeds or more;
    `mean_return`, the mean over these steps (`analysis.estimates.areas`); `commit` and `machine`, which made it.
    """
    rows = []
    for folder, columns in (("ablations", ABLATION), ("published", PUBLISHED)):
        for file in sorted((data.results / folder).glob("*.csv")):
            curve = with_pretraining(read_csv(file, columns))
            if (curve.groupby("seed").steps.transform("max") <= first_steps(curve)).any():
                raise UsageError(f"{file}: a seed has no evaluation behind that before training: publish a longer run")
            for (env, method, *variant), one in curve.groupby(columns[: columns.index("seed")]):
                try:
                    finals = final_returns(one)
                except UsageError as error:
                    raise UsageError(f"{file}: {error}") from error
                mean, low, high = bootstrap(finals) if len(finals) >= FEW else (finals.mean(), np.nan, np.nan)
                upto = last_step(one)
                numbers = len(finals), upto, mean, low, high, areas(one[one.steps <= upto]).mean()
                names = f"{folder}/{file.name}", env, method, *(variant or [""])
                rows.append((*names, *numbers, *_noted(file.with_suffix(".txt"))))
    results = ["seeds", "steps", "final_return", "final_low", "final_high", "mean_return"]
    return pd.DataFrame(rows, columns=["file", "env", "method", "variant", *results, *NOTED])


def text(data: Data) -> str:
    """The table as it stands in the file; empty if there are no curves."""
    found = table(data)
    return found.to_csv(index=False, float_format="%.4g", lineterminator="\n") if len(found) else ""


def _noted(path: Path) -> list[str]:
    """What the text beside a curve tells, in the order of `NOTED`; empty where it does not."""
    lines = path.read_text().splitlines() if path.is_file() else []
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    return [told.get(name, "").strip() for name in NOTED]
