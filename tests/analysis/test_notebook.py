"""The notebook runs top to bottom, with results to draw and without."""

import json
import os
import re

import nbformat
import numpy as np
import pytest
import vl_convert
from curve_runs import frame
from nbclient import NotebookClient

from analysis import charts, drawing
from analysis.drawing import VEGA_LITE
from common.paths import REPOSITORY

NOTEBOOK = REPOSITORY / "rl_plots.ipynb"


def execute(results, monkeypatch):
    """The outputs of the notebook, executed in the repository's root: {id of the cell: its outputs}."""
    monkeypatch.setenv("DYNE_RESULTS", str(results))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(REPOSITORY)}}
    client = NotebookClient(notebook, timeout=120, resources=where, coalesce_streams=True)  # however slow the machine
    client.execute(env=dict(os.environ))
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def texts(outputs):
    """Tables and messages of every cell but that of this machine's own runs; of a chart only that there is one."""
    return {
        cell: [output.get("text") or output["data"]["text/plain"] for output in of_cell]
        for cell, of_cell in outputs.items()
        if cell != "runs-all"
    }


def test_the_committed_notebook_is_what_the_committed_data_give(monkeypatch):
    committed = {c.id: c.outputs for c in nbformat.read(NOTEBOOK, as_version=4).cells if c.cell_type == "code"}
    assert texts(execute(REPOSITORY / "results", monkeypatch)) == texts(committed)
    assert sum(map(len, texts(committed).values())) > 30


def curve(seed, steps):
    return -8 - 12 * np.exp(-np.asarray(steps) / 5000) + np.random.default_rng(seed).normal(size=len(steps))


def test_the_notebook_draws_what_there_is(tmp_path, monkeypatch):
    steps = range(0, 50_001, 1000)
    (tmp_path / "published").mkdir()
    for method in ("TD3", "DynE-TD3"):
        rows = [
            f"ReacherVertical-v2,{method},{seed},{step},{value}\n"
            for seed in range(8)
            for step, value in zip(steps, curve(seed, steps), strict=True)
        ]
        path = tmp_path / "published" / f"ReacherVertical-v2_{method}.csv"
        path.write_text("env,method,seed,steps,mean_return\n" + "".join(rows))
    seed = tmp_path / "rl" / "Pusher-v2" / "TD3" / "default" / "seed_0"
    seed.mkdir(parents=True)
    (seed / "eval.csv").write_text("episodes,steps,mean_return\n0,0,-60\n10,1000,-50\n")

    outputs = execute(tmp_path, monkeypatch)
    (chart,) = (
        output.data for output in outputs["figure-4-curves"]
    )  # an image is one of its forms, not a second output
    assert {*chart} == {VEGA_LITE, "image/png", "text/plain"}
    assert [panel["title"]["text"] for panel in chart[VEGA_LITE]["concat"]] == ["ReacherVertical-v2"]
    (table,) = (output.data for output in outputs["figure-4-tables"])
    assert "TD3 (8 seeds)" in table["text/plain"] and "authors' plot" in table["text/plain"]
    (runs,) = outputs["runs-all"]
    assert "Pusher-v2" in str(runs.data[VEGA_LITE]["concat"])
    final, together = (output.data["text/plain"] for output in outputs["figure-4-statistics"])
    assert "steps to TD3's final return" in final and "1 " in together.splitlines()[-1]
    for cell, words in (("ablations-all", "no curves in it"), ("figure-3-reach", "figure3 has not been run yet")):
        (output,) = outputs[cell]
        assert words in output.text


def test_the_notebook_says_in_a_line_that_there_is_nothing(tmp_path, monkeypatch):
    outputs = execute(tmp_path, monkeypatch)
    for cell in outputs.keys() - {"results", "figures-6-7-tasks"}:
        (output,) = outputs[cell]
        assert output.output_type == "stream" and len(output.text.splitlines()) == 1, cell


def test_every_figure_of_the_paper_has_a_heading():
    headings = [
        line for c in nbformat.read(NOTEBOOK, as_version=4).cells for line in c.source.splitlines() if line[:2] == "##"
    ]
    for number in (3, 4, 5, 8, 9, 10):
        assert any(line.startswith(f"## Figure {number}:") for line in headings)
    assert "## Figures 6 and 7: the tasks" in headings


@pytest.mark.parametrize("cell", [c for c in nbformat.read(NOTEBOOK, as_version=4).cells if c.cell_type == "code"])
def test_the_committed_notebook_shows_no_error(cell):
    assert all(output.output_type in ("display_data", "stream", "execute_result") for output in cell.outputs)
    assert not any(output.get("name") == "stderr" for output in cell.outputs)


def test_what_jupyter_draws_is_the_chart_its_data_short():
    drawn = charts.figure(frame([[-20.0, -9.0, -8.25], [-18.0, -10.0, -8.0]], [0, 1000, 2000])).to_dict()
    short = drawing.compact(drawn)
    assert short["$schema"].endswith("/vega-lite/v5.json")
    assert 1.5 * len(json.dumps(short["datasets"])) < len(json.dumps(drawn["datasets"]))
    picture, same = (re.sub(r"clip\d+", "clip", vl_convert.vegalite_to_svg(spec)) for spec in (drawn, short))
    assert picture == same and picture.count("<path") > 5


def test_of_one_seed_the_short_data_have_no_spread():
    one = drawing.compact(charts.figure(frame([[-20.0, -9.0]], [0, 1000])).to_dict())
    (text,) = one["datasets"].values()
    rows = text.splitlines()
    place = rows[0].split(",").index("low")
    assert [row.split(",")[place] for row in rows[1:]] == ["", ""]
