"""Variants of TD3 on the results page, and what critics say by the noise of the targets."""

import shutil

import numpy as np
import pandas as pd
import pytest
from curve_runs import call, frame, refused, write_run

import analysis.critic_values
from analysis import figure_tables, figures, report_claims, report_td3, report_texts
from analysis.curves import PUBLISHED
from analysis.report_data import Data

STEPS = [0, 5_000, 10_000]


@pytest.fixture
def results(tmp_path):
    """TD3 gains by the wider noise on Striker, less by the narrower range, and loses by the noise on Thrower; DynE-TD3
    returns −100 on both."""
    (tmp_path / "published").mkdir()
    (tmp_path / "ablations").mkdir()
    for task, raw, wide in (("Striker-v2", -200, -150), ("Thrower-v2", -110, -140)):
        for method, value in (("TD3", raw), ("DynE-TD3", -100)):
            curves = frame([[-250, value, value - seed] for seed in range(2)], STEPS, method, env=task)
            curves[PUBLISHED].to_csv(tmp_path / "published" / f"{task}_{method}.csv", index=False)
        write_variant(tmp_path, task, "noise", "bounds", wide)
    write_variant(tmp_path, "Striker-v2", "bounded", "2", -160)
    return tmp_path


def write_variant(results, task, group, name, value):
    """Three seeds of a variant of TD3."""
    curves = frame([[-250, value, value - seed] for seed in range(3)], STEPS, "TD3", env=task)
    table = curves.assign(variant=name)[["env", "method", "variant", "seed", "steps", "mean_return"]]
    table.to_csv(results / "ablations" / f"{task}_{group}_{name}.csv", index=False)


def test_which_variants_of_td3_end_higher_is_told(results):
    told = report_td3.text(Data(results))
    ends = "ends higher than the published one on Striker (−151 against −200) and ends lower on Thrower (−141 against −110)"
    assert f"TD3 with the wider noise {ends}." in told
    assert "TD3 within ±2 ends higher than the published one on Striker (−161 against −200)." in told
    assert "with probability 1.00 on Striker (−100 against −151, 10 000 steps) and 1.00 on Thrower" in told
    table = report_td3.table(Data(results))
    assert table.startswith("2 to 3 seeds a row") and table.count("TD3, noise of a tenth of each bound (3 seeds)") == 2
    assert table.count("TD3, noise 0.1 in raw units, actions within ±2 (3 seeds)") == 1


def test_dyne_is_compared_with_the_best_kind_of_td3(results):
    best = Data(results).with_best_td3()
    assert {kind.curve: tasks for kind, tasks in best.other_td3.items()} == {"TD3 (wider noise)": ["Striker"]}
    ends = [best.series(task, "TD3").query("seed == 0").mean_return.iloc[-1] for task in ("Striker", "Thrower")]
    assert ends == [-150, -110]
    assert "TD3 is taken with the wider noise on Striker, where it ends higher so" in report_texts.td3_told(best)


def test_random_steps_are_a_kind_that_may_be_shorter(results):
    write_variant(results, "Striker-v2", "start", "td3", -130)
    path = results / "published" / "Striker-v2_DynE-TD3.csv"
    for method in ("TD3", "DynE-TD3"):  # the others go on to 20 000 steps
        path = results / "published" / f"Striker-v2_{method}.csv"
        table = pd.read_csv(path)
        longer = table[table.steps > 0].assign(steps=lambda rows: rows.steps + 10_000, mean_return=-90)
        pd.concat([table, longer]).to_csv(path, index=False)
    best = Data(results).with_best_td3()
    assert {kind.curve: tasks for kind, tasks in best.other_td3.items()} == {"TD3 (10 000 random steps)": ["Striker"]}
    said, counts = report_claims.figure4_tasks(Data(results))
    assert (
        "TD3 is taken with 10 000 random steps on Striker" in said
        and "10 000 steps" in counts
        and "20 000" not in counts
    )
    assert (
        "TD3 with 10 000 random steps ends higher than the published one on Striker (−131 against −200)."
        in report_td3.text(Data(results))
    )
    assert "TD3 (10 000 random steps)" in str(figures.figure4(results).to_dict()["datasets"])


def test_figure_4_shows_the_variants_of_td3(results):
    chart = figures.figure4(results).to_dict()
    assert all(name in str(chart["datasets"]) for name in ("TD3 (wider noise)", "TD3 (within ±2)"))


@pytest.fixture
def run(tmp_path):
    """A run whose critics come to believe in values above zero."""
    folder = write_run(tmp_path, range(2), "DynE-TD3", last=6_000, policy_noise=0.2)
    steps = np.arange(100, 6_001, 100)
    for seed in range(2):
        told = {"episodes": steps // 100, "steps": steps, "episode_return": -steps / 100, "episode_length": 100}
        told |= {
            "critic_loss": 1.0,
            "value": steps / 100 - 20,
            "actor_loss": 0.0,
            "q_min": -steps,
            "q_max": steps - 3_000,
        }
        pd.DataFrame(told).to_csv(folder / f"seed_{seed}" / "train.csv", index=False)
    return folder


def test_values_are_told_in_spans(run, tmp_path, monkeypatch, capsys):
    (tmp_path / "figures").mkdir()
    out = tmp_path / "figures" / "values.csv"
    call(analysis.critic_values, monkeypatch, run, "--out", out, "--until", 4_000)
    table = figure_tables.load(tmp_path, "values")
    assert table[["seed", "steps"]].to_numpy().tolist() == [[0, 2_000], [0, 4_000], [1, 2_000], [1, 4_000]]
    first = table.iloc[0]
    assert (first["return"], first.value) == pytest.approx((-10.5, -9.5))
    assert (first.q_min, first.q_max, first.policy_noise) == (-2_000, -1_000, 0.2)
    assert out.with_suffix(".txt").exists()
    told = report_td3.values(Data(tmp_path))
    assert told.startswith(
        "The numbers are of spans of 2 000 steps, up to 4 000. Seed 0 of DynE-TD3 on ReacherVertical-v2 with --policy_noise 0.2 has values"
    )
    assert "in 50 % of the spans; the means of Q(s, μ(s)) lie between −9.5 and 10.5, and the lowest return" in told
    assert "−30.5, at 4 000 steps." in told
    assert len(figures.values(tmp_path).hconcat) == 2
    line = refused(analysis.critic_values, monkeypatch, capsys, run, "--out", out, "--until", 50)
    assert "has ended within --until 50: give more" in line


def test_the_values_of_a_short_run_are_one_point_at_its_end(run, tmp_path, monkeypatch):
    (tmp_path / "figures").mkdir()
    call(analysis.critic_values, monkeypatch, run, "--out", tmp_path / "figures" / "values.csv", "--until", 1_500)
    assert set(figure_tables.load(tmp_path, "values").steps) == {1_500}
    assert report_td3.values(Data(tmp_path)).startswith("The numbers are of spans of 2 000 steps, up to 1 500. ")
    lines = [layer for layer in figures.values(tmp_path).hconcat[0].layer if layer.mark.type == "line"]
    assert [line.mark.point for line in lines] == [True]


def test_a_line_that_is_still_being_written_is_left_out(run, tmp_path, monkeypatch):
    out, tables = tmp_path / "values.csv", []
    for torn in ("", "61,6100,-61.0,100,1.0,41.0,0.0,-6100,31"):  # 3100.0
        with open(run / "seed_1" / "train.csv", "a") as file:
            file.write(torn)
        call(analysis.critic_values, monkeypatch, run, "--out", out)
        tables.append(out.read_text())
    assert tables[0] == tables[1]


def test_rows_that_could_not_be_told_apart_are_refused(run, tmp_path, monkeypatch, capsys):
    """As of a run that is named twice."""
    out = tmp_path / "values.csv"
    line = refused(analysis.critic_values, monkeypatch, capsys, run, run, "--out", out)
    assert "runs: two are of one method, noise and seed" in line and not out.exists()


def test_a_run_without_values_is_refused(run, tmp_path, monkeypatch, capsys):
    (run / "seed_1" / "train.csv").write_text("episodes,steps\n1,100\n")
    line = refused(analysis.critic_values, monkeypatch, capsys, run, "--out", tmp_path / "v.csv")
    assert "train.csv: not a table of episodes,steps,episode_return," in line and not (tmp_path / "v.csv").exists()


def test_methods_that_note_no_values_are_refused(run, tmp_path, monkeypatch, capsys):
    """SAC and PPO; beside other runs too."""
    other = run.parent.parent / "SAC" / run.name
    shutil.copytree(run, other)
    for table in other.glob("seed_*/train.csv"):
        pd.read_csv(table).assign(value=np.nan, q_min=np.nan, q_max=np.nan).to_csv(table, index=False, na_rep="nan")
    line = refused(analysis.critic_values, monkeypatch, capsys, run, other, "--out", tmp_path / "v.csv")
    assert f"{other}: no critics' values in it, as of SAC: leave it out" in line and not (tmp_path / "v.csv").exists()
