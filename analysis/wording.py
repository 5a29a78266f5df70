"""How the results pages write numbers, lists and tables."""

from collections import Counter

import numpy as np

MINUS = "\N{MINUS SIGN}"
Said = tuple[str, str]  # what there is of a claim here, and of how many seeds and steps
COLUMNS = 8  # so many steps at most are columns of a table
LADDER = [2_500, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000]


def marked(stands: str) -> str:
    """A `standing` in Markdown: what the paper does not show stands out."""
    return stands if stands == "ahead of" else f"**{stands}**"


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


def counted(many: int, word: str) -> str:
    """A number of things that the word, in the singular, names."""
    return f"{many} {word}" + "s" * (many != 1)


def seeds(many: int) -> str:
    """A number of seeds."""
    return counted(many, "seed")


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
