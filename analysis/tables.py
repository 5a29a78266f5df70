"""Reading tables of numbers: csv files that are of certain columns, or are refused."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from common.errors import UsageError
from common.files import LARGEST_TABLE, read_whole
from rl.results import DIAGNOSTICS

NUMBERS = {
    **dict.fromkeys(["seed", "steps", "episodes", "episode_length"], "int64"),
    **dict.fromkeys(["mean_return", "episode_return", *DIAGNOSTICS], "float64"),
}
LARGEST_RETURN = 1e300  # means of larger ones would overflow


def read_csv(path: str | Path, columns: list[str], growing: bool = False) -> pd.DataFrame:
    """Reads a csv file of exactly these columns; a last line that is still being written to a growing one is left out.

    Raises:
        UsageError: no such file, other columns, an entry that is empty or no number, or a mean return that is not finite or
            beyond `LARGEST_RETURN`.
    """
    try:
        text = read_whole(path, LARGEST_TABLE).decode()
        text = text[: text.rfind("\n") + 1] if growing else text
        header, *rows = [*csv.reader(text.splitlines())] or [[]]
        if header != columns:
            raise ValueError(f"its first line is {','.join(header)}")
        for line, row in enumerate(rows, start=2):
            if len(row) != len(columns) or "" in row:
                raise ValueError(f"line {line} is {','.join(row)}")
        table = pd.DataFrame(rows, columns=columns).astype({c: NUMBERS.get(c, "str") for c in columns})
        if "mean_return" in columns and not (fit := table.mean_return.abs() <= LARGEST_RETURN).all():
            value = table.mean_return[fit.argmin()]
            wrong = f"a return beyond ±{LARGEST_RETURN:g}" if np.isfinite(value) else "no finite return"
            raise ValueError(f"line {fit.argmin() + 2} has {wrong}: {value}")
    except (OSError, ValueError, OverflowError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path}: not a table of {','.join(columns)}: {reason}") from error
    return table
