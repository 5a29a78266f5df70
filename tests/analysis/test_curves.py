"""Curves: reading, averaging against literal loops."""

import math
import shutil

import numpy as np
import pandas as pd
import pytest
from curve_runs import ENV, frame, refused, write_run

from analysis import curves, plot_runs
from common.errors import UsageError
from common.paths import REPOSITORY
from rl.methods import PRETRAINING

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


@pytest.mark.parametrize(("method", "first"), [("TD3", 0), ("S-DynE-TD3", PRETRAINING)])
def test_the_untrained_policy_counts_only_where_it_was_evaluated(method, first):
    """In tables as in figures, also where bins do not part the steps of pretraining."""
    one = frame([[-100.0, -3.0, -3.0, -3.0]], [first + step for step in (0, 1000, 2000, 3000)], method)
    for width in (5000, 30_000):
        assert curves.summarize(one, width)["mean"].tolist() == [-100.0, -3.0]
        table = curves.table(one, [first, first + 500, first + 1000, first + 3000], width)
        assert table.iloc[0].tolist() == ["-100.0", "-", "-3.0", "-3.0"]


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


def test_two_files_of_one_curve_are_refused_whatever_their_seeds(tmp_path):
    """They may be of runs with different flags, and would be averaged."""
    for folder, between in (("published", ""), ("ablations", "big,")):
        (tmp_path / folder / "more").mkdir(parents=True)
        for seed, file in enumerate((tmp_path / folder / "E_lr_big.csv", tmp_path / folder / "more" / "E_lr_b.csv")):
            columns = curves.ABLATION if between else curves.PUBLISHED
            file.write_text(f"{','.join(columns)}\nE,TD3,{between}{seed},0,-1.5\n")
        load = curves.load_ablations if between else curves.load_published
        with pytest.raises(UsageError) as error:
            load(tmp_path)
        assert "E_lr_big.csv and " in str(error.value) and "E_lr_b.csv: all have curves of TD3" in str(error.value)
        file.write_text(file.read_text().replace("E,TD3", "F,TD3"))
        assert len(load(tmp_path)) == 2


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
