"""What `plot_runs.py` prints, draws and refuses."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from curve_runs import ENV, call, frame, refused, write_run
from PIL import Image

from analysis import charts, plot_runs
from common.paths import REPOSITORY


def test_plot_runs_prints_a_table_and_draws_a_png(tmp_path):
    write_run(tmp_path, range(3))
    write_run(tmp_path, range(2), "DynE-TD3", last=5000)
    script, flags = REPOSITORY / "analysis" / "plot_runs.py", ["--steps", "0", "1e4", "--bin-width", "2000"]
    command = [sys.executable, script, tmp_path, *flags]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    title, about, header, td3, dyne, *_ = done.stdout.splitlines()
    assert (
        title.startswith(ENV)
        and "2 000 steps" in title
        and about.startswith("±")
        and header.split() == ["steps", "0", "10", "000"]
    )
    assert td3.startswith("TD3 (3 seeds) ") and td3.count("(") == 3
    assert dyne.startswith("DynE-TD3 (2 seeds) ") and dyne.endswith(" -")
    png = tmp_path / "curves.png"
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") and png.stat().st_size > 10_000
    image = np.asarray(Image.open(png).convert("RGB")).reshape(-1, 3)
    for method in ("TD3", "DynE-TD3"):
        color = [int(charts.COLORS[method][i : i + 2], 16) for i in (1, 3, 5)]
        assert (image == color).all(axis=1).sum() > 500


def test_plot_runs_says_of_how_many_steps_an_entry_is(tmp_path, monkeypatch, capsys):
    """Of bins that hold one evaluation at most, too."""
    write_run(tmp_path, [0])
    call(plot_runs, monkeypatch, tmp_path, "--steps", 500, 1500, 2000)
    title, _, _, row, *_ = capsys.readouterr().out.splitlines()
    assert title == f"{ENV}: mean return of the evaluations in the 500 steps up to each column,"
    assert row.split()[:-1] == ["TD3", "(1", "seed)", "-", "-"]


def test_a_run_that_has_only_just_begun_has_one_column(tmp_path, monkeypatch, capsys):
    write_run(tmp_path, [0], last=0)
    call(plot_runs, monkeypatch, tmp_path)
    _, _, header, row, *_ = capsys.readouterr().out.splitlines()
    assert header.split() == ["steps", "0"] and row.startswith("TD3 (1 seed) ")
    image = np.asarray(Image.open(tmp_path / "curves.png").convert("RGB"))
    color = [int(charts.COLORS["TD3"][i : i + 2], 16) for i in (1, 3, 5)]
    rows = np.flatnonzero((image == color).all(axis=2).any(axis=1))
    assert rows.max() - rows.min() > image.shape[0] / 4  # the legend's above, and the point's in the panel


def test_plot_runs_names_what_ends_below_its_start():
    steps = range(0, 11_000, 1000)
    fallen, risen, between = ([20.0 + seed] + [last] * 10 for seed, last in ((0, 5.0), (1, 40.0), (2, 20.5)))
    both = pd.concat(
        [frame([fallen, between], steps), frame([fallen], steps, "DynE-TD3"), frame([fallen], steps, "PPO")]
    )
    assert plot_runs.below_their_start(both) == ["DynE-TD3"]
    assert plot_runs.below_their_start(frame([fallen, risen], steps)) == []
    for never_trains in ("random", "random-DynE"):
        assert plot_runs.below_their_start(frame([fallen], steps, never_trains)) == []
    assert plot_runs.below_their_start(frame([fallen, fallen], steps, name="mine")) == ["TD3"]


def test_plot_runs_says_how_five_seeds_do_against_tds():
    steps = range(0, 21_000, 1000)

    def seeds(method, end, count=5):
        return frame([[-50.0 + seed] + [end + seed] * 20 for seed in range(count)], steps, method)

    ahead = plot_runs.compared(pd.concat([seeds("TD3", -30.0), seeds("DynE-TD3", -10.0)]))
    assert ahead == [
        (
            "DynE-TD3 against TD3: a run returns more with probability 1.00 (in all pairs of runs) in the last tenth of 20 000 "
            "steps (ahead), 1.00 (in all pairs of runs) over all of them (ahead);\n"
            "0.50 is even, brackets are 95 % intervals over seeds"
        )
    ]
    (open_,) = plot_runs.compared(pd.concat([seeds("TD3", -30.0), seeds("DynE-TD3", -30.5)]))
    assert open_.count("(not settled)") == 2 and "0.40 [" in open_
    (behind,) = plot_runs.compared(pd.concat([seeds("TD3", -30.0), seeds("PPO", -36.0)]))
    assert behind.startswith("PPO against TD3: ") and behind.count("(behind)") == 2
    late = seeds("DynE-TD3", -10.0)
    late.loc[late.steps > 0, "steps"] += 500  # only the untrained policy is evaluated at the same step
    (at_the_end,) = plot_runs.compared(pd.concat([seeds("TD3", -30.0), late]))
    assert (
        "in the last tenth of 20 000 steps (ahead), 1.00 (in all pairs of runs) over all of them (ahead);" in at_the_end
    )
    # too few seeds, or no TD3: nothing is said
    assert plot_runs.compared(pd.concat([seeds("TD3", -30.0), seeds("DynE-TD3", -10.0, 4)])) == []
    assert plot_runs.compared(seeds("DynE-TD3", -10.0)) == []
    (apart,) = plot_runs.compared(pd.concat([seeds("TD3", -30.0), late[late.steps <= 1500]]))
    assert apart.startswith("DynE-TD3 against TD3: not compared: the curves share no steps: ") and "\n" not in apart
    staggered = seeds("DynE-TD3", -10.0)
    staggered["steps"] += staggered.seed  # no two of its seeds have an evaluation in common
    (told,) = plot_runs.compared(pd.concat([seeds("TD3", -30.0), staggered]))
    assert told.count("1.00 (in all pairs of runs)") == 2


def test_plot_runs_compares_seeds_that_are_still_running_over_the_steps_that_all_have():
    def seeds(method, *ends):
        """Seeds that return -30, from step 10 000 on 0, and have only run to a step each."""
        steps = range(0, 21_000, 1000)
        every = frame([[-30.0 + seed / 10] * 10 + [0.0] * 11 for seed in range(len(ends))], steps, method)
        return every[every.steps <= every.seed.map(dict(enumerate(ends)))]

    whole = seeds("TD3", *[20_000] * 5)
    (told,) = plot_runs.compared(pd.concat([whole, seeds("DynE-TD3", 20_000, 20_000, 20_000, 20_000, 8_000)]))
    assert "in the last tenth of 8 000 steps (not settled)" in told and told.startswith("DynE-TD3 against TD3: ")
    (told,) = plot_runs.compared(pd.concat([whole, seeds("DynE-TD3", *[20_000] * 5, 0)]))  # one has only just begun
    assert "in the last tenth of 20 000 steps" in told
    assert plot_runs.compared(pd.concat([whole, seeds("DynE-TD3", *[20_000] * 4, 0)])) == []  # so there are four
    fallen = frame([[20.0] + [5.0] * 10, [20.5] + [5.0] * 10], range(0, 11_000, 1000))
    for last in (5_000, 0):
        assert plot_runs.below_their_start(fallen[(fallen.seed == 0) | (fallen.steps <= last)]) == ["TD3"]
    assert plot_runs.below_their_start(fallen[fallen.steps == 0]) == []


def test_plot_runs_refuses_what_it_cannot_do(tmp_path, monkeypatch, capsys):
    assert "no evaluations in it" in refused(plot_runs, monkeypatch, capsys, tmp_path)
    eval_csv = write_run(tmp_path, [0]) / "seed_0" / "eval.csv"
    assert "--out" in refused(plot_runs, monkeypatch, capsys, tmp_path, "--out", tmp_path / "curves.pdf")
    assert "make it first" in refused(plot_runs, monkeypatch, capsys, tmp_path, "--out", tmp_path / "no" / "c.png")
    assert "--bin_width" in refused(plot_runs, monkeypatch, capsys, tmp_path, "--bin_width", "0")
    eval_csv.write_text("episodes,steps,mean_return\n0,0,1\n1,9,-1e308\n")
    assert "line 3 has a return beyond ±1e+300: -1e+308" in refused(plot_runs, monkeypatch, capsys, tmp_path)
    eval_csv.write_text("steps,mean_return\n0,1\n")
    assert f"{eval_csv}: not a table" in refused(plot_runs, monkeypatch, capsys, tmp_path)
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.touch() or os.truncate(path, 2**36)], ids=["pipe", "endless"]
)
def test_what_is_no_table_at_all_is_refused_at_once(tmp_path, monkeypatch, capsys, make):
    folder = tmp_path / "rl" / ENV / "TD3" / "default" / "seed_0"
    folder.mkdir(parents=True)
    make(folder / "eval.csv")
    assert f"{folder / 'eval.csv'}: not a table of" in refused(plot_runs, monkeypatch, capsys, tmp_path)
