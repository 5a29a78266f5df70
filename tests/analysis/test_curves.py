"""Curves: reading, averaging against literal loops; the script that plots them."""

import math
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from curve_runs import ENV, frame, refused, write_run
from PIL import Image

from analysis import charts, curves, plot_runs
from common.errors import UsageError
from common.paths import REPOSITORY

# ---- averaging ----


def test_bins_against_a_loop():
    steps = [0, 300, 1000, 1001, 1999, 2000, 2400]
    returns = np.random.default_rng(1).normal(size=(3, len(steps)))
    summary = curves.summarize(frame(returns, steps), bin_width=1000)
    for row, inside in zip(summary.itertuples(), [[0], [1, 2], [3, 4, 5], [6]], strict=True):
        means = [sum(of_seed[i] for i in inside) / len(inside) for of_seed in returns]
        assert row.mean == pytest.approx(sum(means) / 3, abs=1e-12)
        assert (row.low, row.high) == pytest.approx(curves.bootstrap(means)[1:], abs=1e-12)
        assert row.seeds == 3
    assert summary.steps.tolist() == [0, 1000, 2000, 2400]


def test_interval_against_a_loop():
    values = [-9.0, -7.5, -12.25, -8.0, -8.5]
    draws = np.random.default_rng(0).integers(0, 5, (10_000, 5))
    means = sorted(sum(values[i] for i in draw) / 5 for draw in draws)

    def quantile(q):
        position = q * (len(means) - 1)
        below = math.floor(position)
        return means[below] + (position - below) * (means[below + 1] - means[below])

    assert curves.bootstrap(values) == pytest.approx((-9.05, quantile(0.025), quantile(0.975)), abs=1e-9)


def test_seeds_are_resampled_not_evaluations():
    few = frame([[-9.0], [-7.0], [-8.0]], [1000])
    many = frame([[-9.0] * 50, [-7.0] * 50, [-8.0] * 50], range(951, 1001))
    pd.testing.assert_frame_equal(*(curves.summarize(of, bin_width=1000) for of in (few, many)))


def test_no_interval_of_one_seed_and_none_wide_of_equal_seeds():
    equal = curves.summarize(frame([[-20.0, -9.0]] * 4, [0, 1000]))
    assert (equal.low == equal["mean"]).all() and (equal.high == equal["mean"]).all()
    one = frame([[-20.0, -9.0]], [0, 1000])
    assert curves.summarize(one)[["low", "high"]].isna().all(axis=None)
    assert curves.table(one, [1000]).to_dict() == {"1 000": {"TD3 (1 seed)": "-9.0"}}


def test_fewer_than_five_seeds_have_no_interval_but_are_told():
    values = [-9.0, -5.0, -8.0, -7.0]
    assert curves.spread(values) == (-7.25, -9.0, -5.0)
    assert curves.spread([*values, -6.0]) == curves.bootstrap([*values, -6.0]) != (-7.0, -9.0, -5.0)
    four = frame([[value] for value in values], [1000])
    assert curves.table(four, [1000]).to_dict() == {"1 000": {"TD3 (4 seeds)": "-7.2 (-9.0 -5.0 -8.0 -7.0)"}}
    behind = pd.concat([four, frame([[-6.0], [-4.0]], [2000])])
    assert curves.table(behind, [2000], 1000).to_dict() == {
        "2 000": {"TD3 (4 seeds)": "-5.0 (-6.0 -4.0), 2 of 4 seeds"}
    }


def test_the_columns_of_a_table_are_steps_that_were_evaluated():
    steps = [0, *range(1000, 15_001, 1000)]
    both = pd.concat([frame([range(16)] * 2, steps), frame([range(16)] * 2, [*steps[:-1], 15_004], "SAC")])
    table = curves.table(both)
    assert table.columns.tolist() == ["0", "4 000", "8 000", "11 000", "15 004"]
    assert table.loc["TD3 (2 seeds)"].str.partition(" ")[0].tolist() == ["0.0", "4.0", "8.0", "11.0", "15.0"]


def test_bins_are_at_most_twenty():
    for last in (1, 7, 20, 999, 1000, 50_000, 50_100, 3_000_000):
        width = curves.bin_width_of(last)
        assert 7 <= last / width <= 20 or width == 1
    assert [curves.bin_width_of(last) for last in (0, 50_000)] == [1, 2500]


def test_table_tells_what_the_figure_shows():
    returns = np.random.default_rng(4).normal(-9, 1, size=(8, 51))
    one = frame(returns, range(0, 50_001, 1000), method="DynE-TD3")
    summary = curves.summarize(one).set_index("steps")
    table = curves.table(one, [2500, 20_000, 50_000, 60_000])
    assert table.columns.tolist() == ["2 500", "20 000", "50 000", "60 000"]
    for step in (2500, 20_000, 50_000):
        row = summary.loc[step]
        expected = f"{row['mean']:.1f} ± {(row.high - row.low) / 2:.1f}"
        assert table.loc["DynE-TD3 (8 seeds)", f"{step:,}".replace(",", " ")] == expected
    assert table.loc["DynE-TD3 (8 seeds)", "60 000"] == "-"
    assert table.loc["DynE-TD3, authors' plot"].tolist() == ["-", "-", "-8", "-"]


def test_series_are_named_apart_only_where_they_must_be():
    pairs = ("SAC", "a"), ("DynE-TD3", "b"), ("DynE-TD3", "default")
    series = curves.series_of(pd.concat([frame([[0.0]], [0], *pair) for pair in pairs]))
    assert list(series.values()) == ["DynE-TD3, default", "DynE-TD3, b", "SAC"]


@pytest.mark.parametrize("column", ["method", "name"])
def test_series_that_are_numbers_are_in_the_order_of_their_values(column):
    numbers = ["16", "1e-2", "8", "own", "1e-4"]
    series = curves.series_of(pd.DataFrame({"method": "SAC", "name": "a", column: numbers}))
    assert [label.removeprefix("SAC, ") for label in series.values()] == ["1e-4", "1e-2", "8", "16", "own"]


# ---- reading ----


def test_runs_are_read_finished_or_not(tmp_path):
    write_run(tmp_path, [0, 10, 2])
    running = write_run(tmp_path, [0], "DynE-TD3", last=3000) / "seed_0" / "eval.csv"
    running.write_text(running.read_text() + "40,4000,-1")
    started = write_run(tmp_path, [5], "SAC") / "seed_5" / "eval.csv"
    started.write_text("episodes,steps,mean_return\n")
    read = curves.load_runs(tmp_path)
    assert read.columns.tolist() == curves.CURVES
    assert read.groupby(["method", "name", "seed"]).steps.max().to_dict() == {
        ("DynE-TD3", "default", 0): 3000,
        ("TD3", "default", 0): 10_000,
        ("TD3", "default", 2): 10_000,
        ("TD3", "default", 10): 10_000,
    }


def test_runs_are_read_from_any_folder_on_the_way(tmp_path):
    run = write_run(tmp_path, [0, 1])
    write_run(tmp_path, [0], "DynE-TD3")
    write_run(tmp_path, [0], env="Pusher-v2")
    found = {
        name: len(curves.load_runs(folder).groupby(["env", "method", "seed"]))
        for name, folder in {
            "results": tmp_path,
            "rl": tmp_path / "rl",
            "environment": run.parents[1],
            "method": run.parent,
            "run": run,
        }.items()
    }
    assert found == {"results": 4, "rl": 4, "environment": 3, "method": 2, "run": 2}
    with pytest.raises(UsageError, match="name a folder of results, or that of an environment, a method or a run"):
        curves.load_runs(run / "seed_0")


def test_a_run_is_called_what_its_folder_is_called(tmp_path, monkeypatch):
    """By whatever way it is named: a link to it, another folder on the way; and a link beside it is no second run."""
    run = write_run(tmp_path, [0, 1])
    (run.parent / "latest").symlink_to(run)
    (run / "folder").mkdir()
    monkeypatch.chdir(run / "folder")
    for way in (run, run.parent / "latest", "..", run / "folder" / ".."):
        read = curves.load_run(way)
        assert set(zip(read.env, read.method, read.name, strict=True)) == {(ENV, "TD3", "default")}
    pd.testing.assert_frame_equal(curves.load_runs(tmp_path), read)
    elsewhere = run.parent / "elsewhere"
    elsewhere.symlink_to(shutil.copytree(run, tmp_path / "scratch" / "u" / "run17"))
    assert set(curves.load_run(elsewhere).method) == {"TD3"} and set(curves.load_run(elsewhere).name) == {"elsewhere"}


def test_tables_and_folders_that_are_not_of_one_seed_are_refused(tmp_path, monkeypatch, capsys):
    run = write_run(tmp_path, [0, 1])
    shutil.copytree(run / "seed_1", run / "seed_5")
    line = refused(plot_runs, monkeypatch, capsys, tmp_path)
    assert f"{run / 'seed_5'}: its opt.json is of seed 1: " in line
    shutil.rmtree(run / "seed_5")
    table = run / "seed_1" / "eval.csv"
    table.write_text(table.read_text() + table.read_text().partition("\n")[2])
    line = refused(plot_runs, monkeypatch, capsys, tmp_path)
    assert f"{table}: step 0 does not come after the one before it" in line
    assert not list(tmp_path.glob("*.png"))


def test_ablations_are_grouped_by_the_names_of_their_files(tmp_path):
    (tmp_path / "ablations").mkdir()
    for name in ("E_k_1", "E_kl_no_more", "E"):
        text = f"env,method,variant,seed,steps,mean_return\nE,DynE-TD3,of-{name},0,0,-1.5\n"
        (tmp_path / "ablations" / f"{name}.csv").write_text(text)
    read = curves.load_ablations(tmp_path)
    assert dict(zip(read.name, read.group, strict=True)) == {"of-E": "", "of-E_k_1": "k", "of-E_kl_no_more": "kl"}
    for group in ("lr", "clip"):  # of an environment whose id has _ in it
        text = "env,method,variant,seed,steps,mean_return\nMy_Cart-v0,DynE-TD3,big,0,0,-1.5\n"
        (tmp_path / "ablations" / f"My_Cart-v0_{group}_big.csv").write_text(text)
    read = curves.load_ablations(tmp_path)
    assert sorted(read.group) == ["", "clip", "k", "kl", "lr"]


def test_published_curves_and_ablations_are_read(tmp_path):
    (tmp_path / "published" / "states").mkdir(parents=True)
    (tmp_path / "ablations").mkdir()
    (tmp_path / "published" / "states" / "a.csv").write_text("env,method,seed,steps,mean_return\nE,TD3,0,0,-1.5")
    (tmp_path / "ablations" / "a.csv").write_text("env,method,variant,seed,steps,mean_return\nE,TD3,prior,0,0,-1.5\n")
    assert curves.load_published(tmp_path).to_numpy().tolist() == [["E", "TD3", "published", 0, 0, -1.5]]
    assert curves.load_ablations(tmp_path)[curves.CURVES].to_numpy().tolist() == [["E", "TD3", "prior", 0, 0, -1.5]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "its first line is "),
        ("env,method,steps,mean_return\n", "its first line is env,method,steps,mean_return"),
        ("env,method,seed,steps,mean_return\nE,TD3,0,0\n", "line 2 is E,TD3,0,0"),
        ("env,method,seed,steps,mean_return\nE,TD3,0,0,1,2\n", "line 2 is E,TD3,0,0,1,2"),
        ("env,method,seed,steps,mean_return\nE,,0,0,1\n", "line 2 is E,,0,0,1"),
        ("env,method,seed,steps,mean_return\nE,TD3,0,many,1\n", "many"),
        ("env,method,seed,steps,mean_return\nE,TD3,0,0,1\nE,TD3,0,9,nan\n", "line 3 has no finite return"),
        ("env,method,seed,steps,mean_return\n", "no curves in it"),
        ("env,method,seed,steps,mean_return\n" + 2 * "E,TD3,0,9,1\n", "two rows are of one evaluation (E, TD3, 0, 9)"),
    ],
)
def test_malformed_files_are_refused(tmp_path, text, told):
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "a.csv").write_text(text)
    with pytest.raises(UsageError) as error:
        curves.load_published(tmp_path)
    assert told in str(error.value) and str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_nothing_to_plot_is_refused(tmp_path):
    for load in (curves.load_published, curves.load_ablations, curves.load_runs):
        with pytest.raises(UsageError):
            load(tmp_path)
    with pytest.raises(UsageError, match="no curves yet of SAC on Pusher-v2"):
        curves.select(frame([[0.0]], [0]), ["Pusher-v2"], ["SAC"])


def test_results_are_the_repositorys_wherever_one_stands(tmp_path, monkeypatch):
    monkeypatch.delenv("DYNE_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert curves.results_dir() == REPOSITORY / "results"
    monkeypatch.chdir(REPOSITORY)
    assert str(curves.results_dir()) == "results"
    monkeypatch.setenv("DYNE_RESULTS", str(tmp_path))
    assert curves.results_dir() == tmp_path


# ---- plot_runs.py ----


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


def test_plot_runs_names_what_ends_below_its_start():
    steps = range(0, 11_000, 1000)
    fallen, risen, between = ([20.0 + seed] + [last] * 10 for seed, last in ((0, 5.0), (1, 40.0), (2, 20.5)))
    both = pd.concat(
        [frame([fallen, between], steps), frame([fallen], steps, "DynE-TD3"), frame([fallen], steps, "PPO")]
    )
    assert plot_runs.below_their_start(both) == ["DynE-TD3"]
    assert plot_runs.below_their_start(frame([fallen, risen], steps)) == []
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
    assert "in the last tenth of 20 000 steps (ahead);" in at_the_end
    # too few seeds, no TD3, or no evaluations that both have: nothing is said
    assert plot_runs.compared(pd.concat([seeds("TD3", -30.0), seeds("DynE-TD3", -10.0, 4)])) == []
    assert plot_runs.compared(seeds("DynE-TD3", -10.0)) == []
    assert plot_runs.compared(pd.concat([seeds("TD3", -30.0), late[late.steps <= 1500]])) == []


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
