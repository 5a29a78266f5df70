"""Curves: reading, averaging against literal loops, drawing; the scripts that plot and publish them."""

import json
import math
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import embedding.main_pixels
import embedding.main_vae
import rl.main_dyne
import rl.main_pixel_td3
import rl.main_td3
import rl.main_vae_td3
from embedding.flags import REPOSITORY, UsageError, run
from rl import curves, plot_runs, publish

ENV = "ReacherVertical-v2"
FLAGS = {"env_name": ENV, "policy_name": "TD3", "eval_freq": 1000, "eval_episodes": 10, "max_timesteps": 10_000}


def write_run(results, seeds, method="TD3", name="default", last=10_000, env=ENV, **flags):
    """A run's folder as training leaves it, with returns that depend on method, seed and step only."""
    folder = results / "rl" / env / method / name
    for seed in seeds:
        noise = iter(np.random.default_rng([seed, len(method)]).normal(-9, 2, size=100))
        rows = [f"{step // 100},{step},{next(noise):.17g}\n" for step in range(0, last + 1, 1000)]
        (folder / f"seed_{seed}").mkdir(parents=True)
        (folder / f"seed_{seed}" / "eval.csv").write_text("episodes,steps,mean_return\n" + "".join(rows))
        opt = {**FLAGS, "policy_name": method, "name": name, "seed": seed, "num_seeds": 1, **flags}
        (folder / f"seed_{seed}" / "opt.json").write_text(json.dumps(opt))
    return folder


def frame(returns, steps, method="TD3", name="default", env=ENV):
    """Curves of one series: `returns` (seeds, evaluations) at `steps` (evaluations,)."""
    evaluations = [(seed, *pair) for seed, of in enumerate(returns) for pair in zip(steps, of, strict=True)]
    return pd.DataFrame([(env, method, name, *row) for row in evaluations], columns=curves.CURVES)


def call(script, monkeypatch, *args):
    """Runs a script's `main` as the script is run, in this process."""
    monkeypatch.setattr(sys, "argv", ["script.py", *map(str, args)])
    run(script.main)


def refused(script, monkeypatch, capsys, *args):
    """The one line that a script refuses its arguments with, and exit code 2."""
    with pytest.raises(SystemExit) as exit:
        call(script, monkeypatch, *args)
    assert exit.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


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
    assert curves.table(one, [1000]).to_numpy().tolist() == [["-9.0 (1 seed)"]]


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
        expected = f"{row['mean']:.1f} ± {(row.high - row.low) / 2:.1f} (8 seeds)"
        assert table.loc["DynE-TD3", f"{step:,}".replace(",", " ")] == expected
    assert table.loc["DynE-TD3", "60 000"] == "-"
    assert table.loc["DynE-TD3, authors' plot"].tolist() == ["-", "-", "-8", "-"]


def test_series_are_named_apart_only_where_they_must_be():
    pairs = ("SAC", "a"), ("DynE-TD3", "b"), ("DynE-TD3", "default")
    series = curves.series_of(pd.concat([frame([[0.0]], [0], *pair) for pair in pairs]))
    assert list(series.values()) == ["DynE-TD3, default", "DynE-TD3, b", "SAC"]


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


def test_published_curves_and_ablations_are_read(tmp_path):
    (tmp_path / "published" / "states").mkdir(parents=True)
    (tmp_path / "ablations").mkdir()
    (tmp_path / "published" / "states" / "a.csv").write_text("env,method,seed,steps,mean_return\nE,TD3,0,0,-1.5")
    (tmp_path / "ablations" / "a.csv").write_text("env,method,variant,seed,steps,mean_return\nE,TD3,prior,0,0,-1.5\n")
    assert curves.load_published(tmp_path).to_numpy().tolist() == [["E", "TD3", "published", 0, 0, -1.5]]
    assert curves.load_ablations(tmp_path).to_numpy().tolist() == [["E", "TD3", "prior", 0, 0, -1.5]]


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


# ---- drawing ----


def spec_of(*frames):
    return curves.figure(pd.concat(frames)).to_dict()


def test_figure_has_a_panel_an_environment_and_one_colour_a_method(tmp_path):
    returns = [[-20.0, -9.0], [-18.0, -8.0]]
    frames = [frame(returns, [0, 1000], method, env=env) for env in (ENV, "Pusher-v2") for method in ("TD3", "SAC")]
    chart = curves.figure(pd.concat([*frames, frame(returns, [0, 1000], "TD3", "other")]))
    assert [panel.title for panel in chart.concat] == [ENV, "Pusher-v2"]
    for panel in chart.to_dict()["concat"]:
        colors = panel["layer"][0]["encoding"]["color"]["scale"]
        drawn = dict(zip(colors["domain"], colors["range"], strict=True))
        assert drawn["TD3, default"] == curves.COLORS["TD3"] and drawn["SAC"] == curves.COLORS["SAC"]
        assert drawn["TD3, other"] in curves.NAME_COLORS
    curves.save(chart, tmp_path / "panels.svg")
    svg = (tmp_path / "panels.svg").read_text()
    assert svg.startswith("<svg") and svg.count(">environment steps<") == 2


def test_axis_of_returns_is_the_authors_where_the_curves_end_in_it():
    def domain(env, *returns):
        layer = spec_of(frame([returns], [0, 5000, 10_000], env=env))["concat"][0]["layer"][0]
        return layer["encoding"]["y"]["scale"]["domain"]

    assert domain(ENV, -60.0, -22.0, -9.0) == [-20, -5]
    assert domain(ENV, -60.0, -40.0, -30.0) == pytest.approx([-41.75, -3.25])
    assert domain("Elsewhere-v0", -999.0, 10.0, 30.0) == pytest.approx([9, 31])
    assert domain("Elsewhere-v0", -999.0, 10.0, 10.0) == [9, 11]


def test_authors_numbers_stand_where_the_curves_reach():
    long, short = ([[-20.0, -9.0]], [0, 50_000]), ([[-20.0, -9.0]], [0, 20_000])
    assert len(spec_of(frame(*short, method="DynE-TD3"))["concat"][0]["layer"]) == 3
    spec = spec_of(frame(*long, method="DynE-TD3"), frame(*long, method="SAC"))
    diamonds = spec["concat"][0]["layer"][3]
    (row,) = spec["datasets"][diamonds["data"]["name"]]
    assert row == {"series": "DynE-TD3", "steps": 50_000, "mean": -8, "source": "authors' plot"}


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
    script, flags = REPOSITORY / "rl" / "plot_runs.py", ["--steps", "0", "1e4", "--bin-width", "2000"]
    command = [sys.executable, script, tmp_path, *flags]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    title, header, td3, dyne, *_ = done.stdout.splitlines()
    assert title.startswith(ENV) and header.split() == ["steps", "0", "10", "000"]
    assert td3.startswith("TD3 ") and td3.count(" ± ") == 2 and td3.count("(3 seeds)") == 2
    assert dyne.startswith("DynE-TD3 ") and dyne.count("(2 seeds)") == 1 and dyne.endswith(" -")
    png = tmp_path / "curves.png"
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") and png.stat().st_size > 10_000
    image = np.asarray(Image.open(png).convert("RGB")).reshape(-1, 3)
    for method in ("TD3", "DynE-TD3"):
        color = [int(curves.COLORS[method][i : i + 2], 16) for i in (1, 3, 5)]
        assert (image == color).all(axis=1).sum() > 500


def test_plot_runs_refuses_what_it_cannot_do(tmp_path, monkeypatch, capsys):
    assert "no evaluations in it" in refused(plot_runs, monkeypatch, capsys, tmp_path)
    eval_csv = write_run(tmp_path, [0]) / "seed_0" / "eval.csv"
    assert "--out" in refused(plot_runs, monkeypatch, capsys, tmp_path, "--out", tmp_path / "curves.pdf")
    assert "make it first" in refused(plot_runs, monkeypatch, capsys, tmp_path, "--out", tmp_path / "no" / "c.png")
    assert "--bin_width" in refused(plot_runs, monkeypatch, capsys, tmp_path, "--bin_width", "0")
    eval_csv.write_text("steps,mean_return\n0,1\n")
    assert f"{eval_csv}: not a table" in refused(plot_runs, monkeypatch, capsys, tmp_path)
    assert not list(tmp_path.glob("*.png"))


# ---- publish.py ----


def test_publishing_keeps_every_number(tmp_path, monkeypatch):
    folder = write_run(tmp_path, range(8), name="published", lr=0.003)
    (tmp_path / "published").mkdir()
    out = tmp_path / "published" / f"{ENV}_TD3.csv"
    call(publish, monkeypatch, folder, "--out", out, "--commit", "abc")
    assert out.read_text().splitlines()[0] == "env,method,seed,steps,mean_return"
    pd.testing.assert_frame_equal(curves.load_published(tmp_path), curves.load_run(folder))
    text = out.with_suffix(".txt").read_text()
    lines = dict(line.split(":", 1) for line in text.splitlines())
    assert lines["seeds"].strip() == "8: 0 1 2 3 4 5 6 7" and lines["steps"].strip() == "10000 a seed"
    wanted = "python rl/main_td3.py --env_name ReacherVertical-v2 --lr 0.003 --max_timesteps 10000 --name published"
    assert lines["command"].strip() == f"{wanted} --num_seeds 8"
    assert lines["commit"].strip() == "abc" and "cores" in lines["machine"]
    assert all(name in lines["versions"] for name in ("python 3", "torch ", "mujoco ", "gymnasium ", "numpy "))


def test_several_runs_are_published_as_one_variant(tmp_path, monkeypatch):
    decoder = {"env_name": ENV, "name": "mine", "epochs": 7, "seed": 0, "results_dir": "/elsewhere"}
    (tmp_path / ENV / "mine").mkdir(parents=True)
    (tmp_path / ENV / "mine" / "opt.json").write_text(json.dumps(decoder))
    (tmp_path / ENV / "mine" / "decoder.pt").touch()
    flags = {"decoder": "mine", "source_env": None, "results_dir": str(tmp_path), "overwrite": True}
    first = write_run(tmp_path, [0, 1, 4], "DynE-TD3", "a", **flags)
    second = write_run(tmp_path, [2], "DynE-TD3", "b", **flags)
    (tmp_path / "ablations").mkdir()
    out = tmp_path / "ablations" / "a.csv"
    call(publish, monkeypatch, first, second, "--out", out, "--variant", "mine")
    assert sorted(curves.load_ablations(tmp_path).seed.unique()) == [0, 1, 2, 4]
    assert set(curves.load_ablations(tmp_path).name) == {"mine"}
    _, told = out.with_suffix(".txt").read_text().split("command:")
    run_command = f"python rl/main_dyne.py --env_name {ENV} --decoder mine --max_timesteps 10000 --name"
    assert [line.strip() for line in told.split("commit:")[0].splitlines()] == [
        f"python embedding/main.py --env_name {ENV} --epochs 7 --name mine",
        f"{run_command} a --num_seeds 2",
        f"{run_command} a --seed 4",
        f"{run_command} b --seed 2",
    ]


def test_a_rebuilt_command_sets_the_flags_it_was_rebuilt_from():
    given = ["--tensorboard", "--tau", "0.01", "--num_seeds", "3", "--start_timesteps", "5"]
    for script in (rl.main_td3, rl.main_dyne, rl.main_vae_td3, rl.main_pixel_td3):
        flags = vars(script.parse(given))
        words = shlex.split(publish.command("rl/x.py", flags, vars(script.parse([]))))
        assert words[:2] == ["python", "rl/x.py"] and vars(script.parse(words[2:])) == flags


def test_steps_of_pretraining_are_counted_where_there_was_any(tmp_path):
    for method, first in (("SA-DynE-TD3", 100_000), ("VAE-TD3", 100_000), ("Pixel-TD3", 0), ("DynE-TD3", 0)):
        run = write_run(tmp_path, [0], method)
        drawn = curves.load_runs(tmp_path)
        assert drawn[drawn.method == method].steps.tolist() == list(range(first, first + 10_001, 1000))
        assert curves.load_run(run).steps.tolist() == list(range(0, 10_001, 1000))
    chart = curves.figure(drawn, until=400_000).to_dict()
    (panel,) = chart["concat"]
    assert panel["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 1.02 * 400_000]
    diamonds = [values for values in chart["datasets"].values() if "source" in values[0]]
    told = {(row["series"], row["steps"]): row["mean"] for row in diamonds[0]}
    assert told == {
        ("DynE-TD3", 50_000): -8,
        ("SA-DynE-TD3", 400_000): -9.0,
        ("VAE-TD3", 400_000): -23.5,
        ("Pixel-TD3", 400_000): -26,
    }


@pytest.mark.parametrize("method", ["S-DynE-TD3", "SA-DynE-TD3", "VAE-TD3", "Pixel-TD3"])
def test_commands_of_methods_from_pixels_are_rebuilt(tmp_path, monkeypatch, method):
    script = publish.SCRIPTS[method]
    given = ["--pixels", "--policy_name", method.removeprefix("SA-").removeprefix("S-")] * ("DynE" in method)
    encoder = ["--encoder", "mine"] * (method != "Pixel-TD3")
    flags = vars(script.parse([*given, *encoder, "--env", ENV, "--results_dir", str(tmp_path), "--num_seeds", "2"]))
    commands = publish.rebuild_commands(method, [{**flags, "seed": 3}, {**flags, "seed": 4}])
    again = vars(script.parse(shlex.split(commands[-1])[2:]))
    assert again == {**flags, "seed": 3, "results_dir": again["results_dir"]}
    assert len(commands) == {"S-DynE-TD3": 2, "SA-DynE-TD3": 2, "VAE-TD3": 2, "Pixel-TD3": 1}[method]
    if method == "Pixel-TD3":
        return
    assert commands[0] == "(the encoder mine is not there any more)"
    kind, trainer = ("vae", embedding.main_vae) if method == "VAE-TD3" else ("pixels", embedding.main_pixels)
    folder = tmp_path / f"{ENV}-{kind}" / "mine"
    folder.mkdir(parents=True)
    for name in ("encoder.pt", "decoder.pt"):
        (folder / name).touch()
    trained = vars(trainer.parse(["--name", "mine", "--epochs", "7"]))
    (folder / "opt.json").write_text(json.dumps(trained))
    commands = publish.rebuild_commands(method, [{**flags, "seed": 3}, {**flags, "seed": 4}])
    name = Path(trainer.__file__).name
    assert commands[:-1] == [f"python embedding/{name} --env_name {ENV} --epochs 7 --name mine"]


def test_a_last_evaluation_is_where_the_loop_makes_it():
    for steps, block, freq in ((50_000, 100, 1000), (50_000, 300, 1000), (900, 1, 1000), (950, 100, 250)):
        ends = range(0, steps + block, block)
        evaluated = [end for end in ends if end // freq > (end - block) // freq]
        flags = {"max_timesteps": steps, "update_every": block, "eval_freq": freq}
        assert publish.last_evaluation(flags) == evaluated[-1]


def test_publishing_refuses_what_it_cannot_vouch_for(tmp_path, monkeypatch, capsys):
    def message(*args):
        return refused(publish, monkeypatch, capsys, *args, "--out", out)

    out = tmp_path / "a.csv"
    td3, running = write_run(tmp_path, [0]), write_run(tmp_path, [1], name="running", last=9000)
    sac, again = write_run(tmp_path, [0], "SAC"), write_run(tmp_path, [0], name="again")
    assert "seed 1 has not finished its 10000 steps" in message(running)
    assert "TD3 on ReacherVertical-v2 and SAC on" in message(td3, sac)
    assert "seed 0 is in two of them" in message(td3, again)
    assert "seed 0 is in two of them" in message(td3, td3)
    assert "--command" in message(sac)
    assert "no run in it" in message(tmp_path / "rl")
    (again / "seed_0" / "opt.json").write_text("{")
    assert "opt.json" in message(again)
    assert not list(tmp_path.glob("a.*"))
    call(publish, monkeypatch, sac, "--command", "python sac.py --fast", "--out", out)
    assert "command:     python sac.py --fast\n" in out.with_suffix(".txt").read_text()
    assert "it exists" in message(td3)
    call(publish, monkeypatch, td3, "--out", out, "--overwrite")
    out = tmp_path / "a.txt"
    assert "name a .csv file" in message(td3)
