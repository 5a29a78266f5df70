"""The list of runs: states, progress, returns and sizes."""

import os
import shutil

import pandas as pd
import pytest

import analysis.list_runs
import embedding.main
import rl.main_td3
from analysis.list_runs import COLUMNS
from common.run_folder import RunFolder

FLAGS = {"env": "Pendulum-v1", "update_every": 50, "eval_freq": 50, "eval_episodes": 1, "batch_size": 8}


@pytest.fixture
def runs(call, tmp_path):
    """A results folder with one run of two seeds, 100 of 100 steps."""
    assert call(rl.main_td3.main, results_dir=tmp_path, max_timesteps=100, num_seeds=2, **FLAGS).code == 0
    return tmp_path


@pytest.fixture
def rows(call):
    """Lists a folder; returns what was printed, cells by the columns' names."""

    def listed(folder):
        ran = call(analysis.list_runs.main, folder, threads=None)
        assert ran.code == 0, ran.err
        header, *lines = ran.out.splitlines()
        assert header.split() == " ".join(COLUMNS).split()
        return lines

    return listed


def test_a_run_may_be_called_like_a_file_of_runs(runs, rows, call):
    assert call(rl.main_td3.main, results_dir=runs, max_timesteps=50, name="opt.json", **FLAGS).code == 0
    lines = rows(runs)
    assert len(lines) == 2 and sum("TD3/opt.json " in line for line in lines) == 1


def test_seeds_in_one_state_share_a_row(runs, rows):
    (line,) = rows(runs)
    returns = [pd.read_csv(path).mean_return.iloc[-1] for path in runs.rglob("eval.csv")]
    size = sum(path.stat().st_size for path in (runs / "rl").rglob("*") if path.is_file()) / 1e6
    expected = f"rl/Pendulum-v1/TD3/default 0 1 finished 100 of 100 steps {sum(returns) / 2:.1f} {size:.1f}"
    assert line.split() == expected.split()


def test_a_backup_is_no_seed(runs, rows):
    before, run = rows(runs), runs / "rl/Pendulum-v1/TD3/default"
    shutil.copytree(run / "seed_0", run / "seed_0_backup")
    assert rows(runs) == before


def test_what_cannot_be_printed_is_escaped(runs, rows):
    """In the names of folders, and in failures that another machine noted."""
    run = runs / "rl/Pendulum-v1/TD3/default"
    RunFolder(run / "seed_0", "run").fail("\x1b]0;title\x07\x1b[2Jbroken\x9b31m")
    run.rename(run.parent / "mine\x1b[31m\r")
    lines = rows(runs)
    assert len(lines) == 2 and all(r"TD3/mine\x1b[31m " in line and line.isprintable() for line in lines)
    assert any(r"failed: \x1b]0;title\x07\x1b[2Jbroken\x9b31m" in line for line in lines)


def test_states(runs, rows, call):
    """0 is being written, 1 failed, 2 is damaged, 3 has more steps to do, 4 was killed before its first checkpoint."""
    run = runs / "rl/Pendulum-v1/TD3/default"
    for seed in (2, 3, 4):
        shutil.copytree(run / "seed_1", run / f"seed_{seed}")
    held = RunFolder(run / "seed_0", "run")
    held.lock()
    RunFolder(run / "seed_1", "run").fail("step 7: action")
    for path in (run / "seed_2").glob("checkpoint*"):
        path.write_bytes(path.read_bytes()[:-9])
    options = run / "seed_3" / "opt.json"
    options.write_text(options.read_text().replace('"max_timesteps": 100', '"max_timesteps": 900'))
    for path in (run / "seed_4").glob("checkpoint*"):
        path.unlink()
    lines = [" ".join(line.split()) for line in rows(runs)]
    held.release()
    expected = [
        "0 running 100 of 100 steps",
        "1 failed: step 7: action 100 of 100 steps",
        "2 failed: no checkpoint is whole nothing yet",
        "3 resumable 100 of 900 steps",
        "4 resumable nothing yet",
    ]
    assert len(lines) == 5
    for line, words in zip(lines, expected, strict=True):
        assert line.startswith(f"rl/Pendulum-v1/TD3/default {words} "), line


def test_the_folder_of_one_seed(runs, rows, monkeypatch):
    seed = runs / "rl/Pendulum-v1/TD3/default/seed_1"
    monkeypatch.chdir(seed)
    for folder in (seed, "."):
        (line,) = rows(folder)
        assert line.split() == [".", "1", *line.split()[2:]] and line.split()[2] == "finished"


def test_a_damaged_note_of_a_failure_hides_nothing(runs, rows):
    (runs / "rl/Pendulum-v1/TD3/default/seed_1/failed.json").write_text("")
    assert [line.split()[2].rstrip(":") for line in rows(runs)] == ["finished", "failed"]


def test_embeddings(call, rows, tmp_path):
    flags = {"epochs": 2, "epoch_size": 64, "decoder_epochs": 1, "decoder_batches": 1, "steps": 200}
    assert call(embedding.main.main, env="Pendulum-v1", results_dir=tmp_path, **flags).code == 0
    (line,) = rows(tmp_path)
    assert line.split()[:8] == [
        "Pendulum-v1/default",
        "finished",
        "embedding",
        "2",
        "epochs,",
        "decoder",
        "1",
        "epochs",
    ]


def test_folders_without_runs(call, tmp_path):
    ran = call(analysis.list_runs.main, tmp_path, threads=None)
    assert (ran.code, ran.out) == (0, f"there are no runs in {tmp_path}\n")
    ran = call(analysis.list_runs.main, tmp_path / "nowhere", threads=None)
    assert ran.code == 2 and "there is no such folder" in ran.err and ran.err.count("\n") == 1


def test_pipes_and_files_without_end_in_the_places_of_a_runs_files_are_not_waited_for(runs, rows):
    run = runs / "rl/Pendulum-v1/TD3/default"
    for name in ("opt.json", ".lock"):
        (run / "seed_0" / name).unlink()
        os.mkfifo(run / "seed_0" / name)
    os.truncate(run / "seed_1" / "eval.csv", 2**36)  # which takes no room
    lines = [line.split() for line in rows(runs)]
    assert [line[1:6] for line in lines] == [["0", "1", "finished", "100", "of"]], lines


def test_runs_behind_a_link_are_listed_once(runs, rows, tmp_path):
    """results/rl may lie on another disk; a link may also lead back."""
    (tmp_path / "rl").rename(tmp_path / "elsewhere")
    results = tmp_path / "results"
    results.mkdir()
    (results / "rl").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(results)
    (results / "best").symlink_to(tmp_path / "elsewhere" / "Pendulum-v1" / "TD3" / "default" / "seed_0")
    (line,) = rows(results)
    assert line.split()[:4] == ["rl/Pendulum-v1/TD3/default", "0", "1", "finished"]


def test_runs_are_listed_with_what_is_lacking(call, tmp_path):
    ran = call(analysis.list_runs.main, tmp_path, "--published", threads=None)
    assert ran.code == 0, ran.err
    assert "embedding vertical: not begun\n" in ran.out and "ReacherVertical-v2 TD3 published: needs" in ran.out
    assert "ReacherTurn-v2 SAC plain seed 0 1: not begun\n" in ran.out


def test_a_list_of_runs_tells_results_of_other_flags(call, tmp_path):
    folder = tmp_path / "ReacherVertical-v2" / "vertical"
    folder.mkdir(parents=True)
    (folder / "decoder.pt").touch()
    (folder / "opt.json").write_text('{"traj_len": 8}')
    ran = call(analysis.list_runs.main, tmp_path, "--published", threads=None)
    assert (ran.code, ran.err.count("\n")) == (2, 1) and "vertical: the manifest asks for --traj_len 4" in ran.err
