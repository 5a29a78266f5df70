"""Rewrites the tables and the numbers of the results pages from the committed data.

    python analysis/report.py
    python analysis/report.py --check

A page is README.md, results/README.md or a file docs/*.md. What stands in it between the lines `<!-- begin: NAME -->` and
`<!-- end -->` is the block of that name (`BLOCKS`), made from results/published, ablations, figures and probes. A row a curve,
for other programs to read, goes into results/summary.csv (`analysis.report_summary`). --check
writes nothing, names the blocks that differ from the data, and exits with 1 if there are any.
"""

import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from runpy import run_path
from typing import BinaryIO

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

from analysis import (
    report_controls,
    report_embeddings,
    report_glance,
    report_random_steps,
    report_sensitivity,
    report_settings,
    report_summary,
    report_tables,
    report_td3,
    report_texts,
)
from analysis.report_data import Data
from analysis.report_glance import at_a_glance
from common.cli import Parser, run
from common.errors import UsageError
from common.files import write_atomically
from common.paths import REPOSITORY

__all__ = ["BLOCKS", "at_a_glance", "main"]

Block = Callable[[Data], str]
BLOCKS: dict[str, Block] = {
    "what reproduces": report_glance.summary,
    "at a glance": report_glance.table,
    "figure 3": report_embeddings.figure3,
    "figure 4, ReacherVertical": report_tables.figure4_vertical,
    "figure 4, ReacherVertical, text": report_texts.figure4_vertical,
    "figure 4, other tasks": report_tables.figure4_tasks,
    "figure 4, other tasks, text": report_texts.figure4_tasks,
    "figure 4, all tasks, text": report_texts.all_tasks,
    "random steps": report_random_steps.table,
    "random steps, text": report_random_steps.text,
    "variants of TD3": report_td3.table,
    "variants of TD3, text": report_td3.text,
    "values": report_td3.values,
    "decoder range": report_tables.decoder_range,
    "baselines": report_tables.baselines,
    "baselines, text": report_texts.baselines,
    "figure 5": report_tables.figure5,
    "figure 5, text": report_texts.figure5,
    "controls": report_controls.controls,
    "controls, text": report_controls.controls_text,
    "held actions": report_controls.held,
    "held actions, text": report_controls.held_text,
    "sensitivity": report_sensitivity.table,
    "sensitivity, text": report_sensitivity.text,
    "embeddings": report_sensitivity.embeddings,
    "final policies": report_controls.final_policies,
    "probes": report_embeddings.probes,
    "figure 8": report_embeddings.figure8,
    "figure 9": report_texts.figure9,
    "figure 10": report_embeddings.figure10,
    "whole plans": report_tables.plans,
    "whole plans, text": report_texts.plans,
    "ablations": report_tables.ablations,
    "decoder objective": report_tables.decoder_objective,
    "decoder variants": report_tables.decoder_variants,
    "settings of stage one": report_settings.stage_one,
    "settings of stage two": report_settings.stage_two,
    "settings of baselines": report_settings.baselines,
}
BEGIN, END = re.compile(r"<!-- begin: (.+) -->"), "<!-- end -->"
WIDTH = 120  # of a line of text
NO_BREAK = "\N{NO-BREAK SPACE}"  # stands for a space that no line may end at


def pages(root: Path) -> list[Path]:
    """The pages that may hold blocks: those of README.md, results/README.md and docs/*.md that there are."""
    found = [root / "README.md", root / "results" / "README.md", *sorted(root.glob("docs/*.md"))]
    return [page for page in found if page.is_file()]


def wrapped(text: str) -> str:
    """A block with its paragraphs broken into lines, not inside of numbers; the rows of tables stay as they are."""
    parts = re.sub(r"(?<=\d) (?=\d{3}\b)", NO_BREAK, text).split("\n\n")
    filled = [
        part
        if part.startswith("|")
        else textwrap.fill(part, WIDTH, break_on_hyphens=False, subsequent_indent="  " * part.startswith("- "))
        for part in parts
    ]
    return "\n\n".join(filled).replace(NO_BREAK, " ")


def split(page: Path) -> list[tuple[str | None, str]]:
    """A page as pieces in its order: (None, text outside of blocks with the markers' lines) or (name, block's text).

    Raises:
        UsageError: a marker without its partner.
    """
    pieces: list[tuple[str | None, str]] = []
    lines: list[str] = []
    inside: str | None = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        begins = BEGIN.fullmatch(line)
        if begins and inside is not None or line == END and inside is None:
            raise UsageError(f"{page}, line {number}: {line} stands where it may not: each begin has one end after it")
        if line == END:
            pieces.append((inside, "\n".join(lines)))
            lines, inside = [], None
        lines.append(line)
        if begins:
            pieces.append((None, "\n".join(lines)))
            lines, inside = [], begins[1]
    if inside is not None:
        raise UsageError(f"{page}: the block {inside} has no line {END}")
    return [*pieces, (None, "\n".join(lines))]


def rewritten(root: Path, data: Data, blocks: Mapping[str, Block]) -> dict[Path, tuple[str, list[str]]]:
    """{page: (its text from the data, the names of its blocks that differ)}.

    Raises:
        UsageError: a page names a block that there is not, or no page has one of the blocks.
    """
    split_pages = {page: split(page) for page in pages(root)}
    named = {name: page for page, pieces in split_pages.items() for name, _ in pieces if name is not None}
    for name, page in named.items():
        if name not in blocks:
            raise UsageError(f"{page}: there is no block {name!r}: there are {', '.join(map(repr, blocks))}")
    if missing := [name for name in blocks if name not in named]:
        raise UsageError(f"no page has the block {missing[0]!r}: add <!-- begin: {missing[0]} --> and {END} to one")
    made = {name: f"\n{wrapped(block(data))}\n" for name, block in blocks.items()}
    found = {}
    for page, pieces in split_pages.items():
        text = "\n".join(made[name] if name is not None else outside for name, outside in pieces)
        differ = [name for name, inside in pieces if name is not None and inside != made[name]]
        found[page] = (f"{text}\n", differ)
    return found


def _write(text: str, file: BinaryIO) -> None:
    file.write(text.encode())


def main() -> None:
    """The command line."""
    parser = Parser(__doc__)
    parser.add_argument("--root", default=str(REPOSITORY), help="folder that holds the pages and results/")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a page differs from the data"
    )
    args = parser.parse_args()
    root, stale = Path(args.root), False
    data = Data(root / "results")
    summary, text = data.results / "summary.csv", report_summary.text(data)
    if text and (not summary.is_file() or summary.read_text() != text):
        if not args.check:
            write_atomically(summary, partial(_write, text))
        print(f"{summary.relative_to(root)}: {'differs from the data' if args.check else 'rewritten'}")
        stale = True
    for page, (text, differ) in rewritten(root, data, BLOCKS).items():
        if differ and not args.check:
            write_atomically(page, partial(_write, text))
        for name in differ:
            print(f"{page.relative_to(root)}: {name} {'differs from the data' if args.check else 'rewritten'}")
        stale = stale or bool(differ)
    if stale and args.check:
        sys.exit(1)


if __name__ == "__main__":
    run(main)
