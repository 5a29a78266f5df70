"""The notebook runs top to bottom, with results to draw and without."""

import os

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from embedding.flags import REPOSITORY

NOTEBOOK = REPOSITORY / "rl_plots.ipynb"


def execute(results, monkeypatch):
    """The outputs of the notebook, executed in the repository's root: {id of the cell: its outputs}."""
    monkeypatch.setenv("DYNE_RESULTS", str(results))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(REPOSITORY)}})
    client.execute(env=dict(os.environ))
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


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
    chart, image, table = (output.data for output in outputs["figure-4"])
    assert "vega" in chart["text/html"] and "image/png" in image
    assert "(8 seeds)" in table["text/plain"] and "authors' plot" in table["text/plain"]
    assert len(outputs["runs-all"]) == 2 and "Pusher-v2" in outputs["runs-all"][0].data["text/html"]
    (ablations,) = outputs["ablations-all"]
    assert "no curves in it" in ablations.text


def test_the_notebook_says_in_a_line_that_there_is_nothing(tmp_path, monkeypatch):
    outputs = execute(tmp_path, monkeypatch)
    for cell in ("figure-4", "ablations-all", "runs-all"):
        (output,) = outputs[cell]
        assert output.output_type == "stream" and len(output.text.splitlines()) == 1


@pytest.mark.parametrize("cell", [c for c in nbformat.read(NOTEBOOK, as_version=4).cells if c.cell_type == "code"])
def test_the_committed_notebook_shows_no_error(cell):
    assert all(output.output_type in ("display_data", "stream", "execute_result") for output in cell.outputs)
    assert not any(output.get("name") == "stderr" for output in cell.outputs)
