"""Writes benchmarks/speeds.toml, by which experiments/run.py counts core-hours, from benchmarks/RESULTS.md.

    python benchmarks/speeds.py

benchmarks/run_all.py does so too when it has written RESULTS.md. What was not measured is left out.
"""

from pathlib import Path

from measure import sections_of

from common.cli import Parser, run

RESULTS = Path(__file__).with_name("RESULTS.md")

HEAD = """\
# What experiments/run.py expects of one core: seed-steps a second of a method, core-hours of embedding/main.py, and core-hours of
# an epoch of the scripts of images. benchmarks/speeds.py writes this file from benchmarks/RESULTS.md.

[speeds]
"""
PIXELS = {"DynE": "main_pixels.py", "VAE": "main_vae.py"}  # rows of benchmarks/pixels.py to scripts


def tables_of(text):
    """The tables of one section of RESULTS.md, each a list of rows, {column: cell}, all of them text; columns without a
    name are "column <number>"."""
    tables, columns = [], None
    for line in text.splitlines():
        if not line.startswith("| "):
            columns = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if columns is None:
            columns = [cell or f"column {number}" for number, cell in enumerate(cells)]
            tables.append([])
        elif set(line) - set("|- "):
            tables[-1].append(dict(zip(columns, cells, strict=True)))
    return tables


def rows_with(sections, script, column):
    """The rows, {column: cell}, of a benchmark's table that has a column; none if it was not run at its full sizes."""
    tables = tables_of(sections.get(f"python benchmarks/{script}", ""))
    return [row for table in tables for row in table if column in row]


def speeds_of(results):
    """The speeds that a file such as RESULTS.md holds, {method or script: number}."""
    sections, speeds = sections_of(Path(results)), {}
    for row in rows_with(sections, "updates.py", "steps/s"):
        if row["column 0"] in ("TD3", "DynE-TD3"):
            speeds[row["column 0"]] = _number(row["steps/s"])
    for row in rows_with(sections, "pixel_agents.py", "seed-steps a second"):
        if row["--num_seeds"] == "1":  # as a task has it
            speeds[row["method"]] = _number(row["seed-steps a second"])
    for row in rows_with(sections, "embedding_stages.py", "stage"):
        if row["stage"] == "whole":
            speeds["main.py"] = _number(row["seconds"]) / 3600
    for row in rows_with(sections, "pixels.py", "s an epoch of 10,000"):
        if row["column 1"] == "bf16":  # which --precision auto takes
            speeds[PIXELS[row["column 0"]]] = _number(row["s an epoch of 10,000"]) / 3600
    return speeds


def text_of(speeds):
    """The text of speeds.toml."""
    return HEAD + "".join(f'"{name}" = {speed:.3g}\n' for name, speed in speeds.items())


def write(results=RESULTS):
    """Writes speeds.toml beside a file such as RESULTS.md."""
    Path(results).with_name("speeds.toml").write_text(text_of(speeds_of(results)))


def _number(cell):
    return float(cell.replace(",", ""))


def main():
    Parser(__doc__).parse_args()
    write()


if __name__ == "__main__":
    run(main)
