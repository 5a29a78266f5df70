"""Publishing curves: every number is kept, with the commands that made it."""

import contextlib
import errno
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from curve_runs import ENV, call, refused, write_run

import analysis.doing_nothing
import embedding.main_pixels
import embedding.main_vae
import rl.main_dyne
import rl.main_pixel_td3
import rl.main_td3
import rl.main_vae_td3
from analysis import commands, curves, finished_seeds, plot_runs, publish
from common import provenance
from common.errors import UsageError


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
    wanted = "python rl/main_td3.py --env ReacherVertical-v2 --lr 0.003 --max_timesteps 10000 --name published"
    assert lines["command"].strip() == f"{wanted} --num_seeds 8"
    assert lines["commit"].strip() == "abc" and "cores" in lines["machine"]
    assert all(name in lines["versions"] for name in ("python 3", "torch ", "mujoco ", "gymnasium ", "numpy "))


def test_foreign_texts_are_not_replaced(tmp_path, monkeypatch, capsys):
    folder, out = write_run(tmp_path, range(2)), tmp_path / "mine.csv"
    out.with_suffix(".txt").write_text("my notes")
    for agreed in ([], ["--overwrite"]):
        line = refused(publish, monkeypatch, capsys, folder, "--out", out, "--commit", "abc", *agreed)
        assert "mine.txt would be replaced" in line and not out.exists()
    out.with_suffix(".txt").unlink()
    call(publish, monkeypatch, folder, "--out", out, "--commit", "abc")
    call(publish, monkeypatch, folder, "--out", out, "--commit", "abc", "--overwrite")


def test_foreign_tables_are_not_replaced(tmp_path, monkeypatch, capsys):
    folder, out = write_run(tmp_path, range(2)), tmp_path / "mine.csv"
    out.write_text("a,b\n1,2\n")
    line = refused(publish, monkeypatch, capsys, folder, "--out", out, "--commit", "abc", "--overwrite")
    assert "it exists and is no published curve" in line and out.read_text() == "a,b\n1,2\n"
    out.write_text("")
    call(publish, monkeypatch, folder, "--out", out, "--commit", "abc", "--overwrite")


def test_tables_of_another_script_are_not_replaced(tmp_path, monkeypatch, capsys):
    folder, out = write_run(tmp_path, range(2)), tmp_path / "mine.csv"
    call(publish, monkeypatch, folder, "--out", out, "--commit", "abc")
    before = out.read_bytes()
    still = ["Pendulum-v1", "--episodes", 1, "--out", out]
    line = refused(analysis.doing_nothing, monkeypatch, capsys, *still)
    assert "another table is there, of env,method,seed,steps,mean_return: choose another, or remove it" in line
    assert out.read_bytes() == before
    out.unlink()
    call(analysis.doing_nothing, monkeypatch, *still)
    call(analysis.doing_nothing, monkeypatch, *still)  # its own is replaced
    capsys.readouterr()
    line = refused(publish, monkeypatch, capsys, folder, "--out", out, "--commit", "abc", "--overwrite")
    assert "it exists and is no published curve" in line


def test_a_run_without_evaluations_is_not_published(tmp_path, monkeypatch, capsys):
    folder, out = write_run(tmp_path, range(2), last=0, max_timesteps=200), tmp_path / "a.csv"
    line = refused(publish, monkeypatch, capsys, folder, "--out", out, "--commit", "abc")
    assert "seed 0 was not evaluated after its training began, with --eval_freq 1000 and 200 steps" in line
    assert not out.exists()


def test_less_than_a_block_is_not_published(tmp_path, monkeypatch, capsys):
    folder, out = write_run(tmp_path, range(2), update_every=1_500), tmp_path / "a.csv"
    line = refused(publish, monkeypatch, capsys, folder, "--out", out, "--commit", "abc", "--until", "1400")
    assert (
        "--until 1400: it is less than a block of --update_every 1500: give 1500 or more" in line and not out.exists()
    )


def test_the_tables_of_a_run_are_not_replaced(tmp_path, monkeypatch, capsys):
    folder = write_run(tmp_path, range(2))
    own = folder / "seed_0" / "eval.csv"
    before = own.read_text()
    line = refused(publish, monkeypatch, capsys, folder, "--out", own, "--commit", "abc", "--overwrite")
    assert "its folder is that of a run" in line and own.read_text() == before
    assert not own.with_suffix(".txt").exists()


def test_of_a_text_only_so_much_is_read_as_one_may_have(tmp_path):
    with open(tmp_path / "huge.txt", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(UsageError, match="huge.txt would be replaced"):
        provenance.check_table(tmp_path / "huge.csv", ["a", "b"])


def test_a_run_that_goes_on_is_published_up_to_a_step(tmp_path, monkeypatch, capsys):
    going = write_run(tmp_path, range(3), last=6_000)
    (tmp_path / "published").mkdir()
    out = tmp_path / "published" / f"{ENV}_TD3.csv"
    assert "with --until" in refused(publish, monkeypatch, capsys, going, "--out", out, "--commit", "abc")
    assert "7000 steps" in refused(publish, monkeypatch, capsys, going, "--out", out, "--until", "7000")
    call(publish, monkeypatch, going, "--out", out, "--commit", "abc", "--until", "5000")
    assert curves.load_published(tmp_path).groupby("seed").steps.max().tolist() == [5000] * 3
    text = out.with_suffix(".txt").read_text()
    assert "5000 a seed" in text and "--max_timesteps 5000" in text  # the command that makes just this
    for method in ("PPO", "SAC-LSP"):
        run = write_run(tmp_path, [0], method, last=6_000)
        line = refused(publish, monkeypatch, capsys, run, "--out", out, "--overwrite", "--until", "5000")
        assert f"the numbers of {method} depend on --max_timesteps" in line
    sac = write_run(tmp_path, [0], "SAC", last=6_000)
    call(publish, monkeypatch, sac, "--out", out.with_name(f"{ENV}_SAC.csv"), "--commit", "abc", "--until", "5000")


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
    run_command = f"python rl/main_dyne.py --env {ENV} --decoder mine --max_timesteps 10000 --name"
    assert [line.strip() for line in told.split("commit:")[0].splitlines()] == [
        f"python embedding/main.py --env {ENV} --epochs 7 --name mine",
        f"{run_command} a --num_seeds 2",
        f"{run_command} a --seed 4",
        f"{run_command} b --seed 2",
    ]


def test_a_rebuilt_command_sets_the_flags_it_was_rebuilt_from():
    given = ["--tensorboard", "--tau", "0.01", "--num_seeds", "3", "--start_timesteps", "5"]
    for script in (rl.main_td3, rl.main_dyne, rl.main_vae_td3, rl.main_pixel_td3):
        flags = vars(script.parse(given))
        words = shlex.split(commands.command("rl/x.py", flags, vars(script.parse([]))))
        assert words[:2] == ["python", "rl/x.py"] and vars(script.parse(words[2:])) == flags


@pytest.mark.parametrize("method", ["S-DynE-TD3", "SA-DynE-TD3", "VAE-TD3", "Pixel-TD3"])
def test_commands_of_methods_from_pixels_are_rebuilt(tmp_path, monkeypatch, method):
    script = commands.script_of(method)
    given = ["--pixels", "--policy_name", method.removeprefix("SA-").removeprefix("S-")] * ("DynE" in method)
    encoder = ["--encoder", "mine"] * (method != "Pixel-TD3")
    flags = vars(script.parse([*given, *encoder, "--env", ENV, "--results_dir", str(tmp_path), "--num_seeds", "2"]))
    rebuilt = commands.rebuild_commands(method, [{**flags, "seed": 3}, {**flags, "seed": 4}])
    again = vars(script.parse(shlex.split(rebuilt[-1])[2:]))
    assert again == {**flags, "seed": 3, "results_dir": again["results_dir"]}
    assert len(rebuilt) == {"S-DynE-TD3": 2, "SA-DynE-TD3": 2, "VAE-TD3": 2, "Pixel-TD3": 1}[method]
    if method == "Pixel-TD3":
        return
    assert rebuilt[0] == "(the encoder mine is not there any more)"
    kind, trainer = ("vae", embedding.main_vae) if method == "VAE-TD3" else ("pixels", embedding.main_pixels)
    folder = tmp_path / f"{ENV}-{kind}" / "mine"
    folder.mkdir(parents=True)
    for name in ("encoder.pt", "decoder.pt"):
        (folder / name).touch()
    trained = vars(trainer.parse(["--name", "mine", "--epochs", "7"]))
    (folder / "opt.json").write_text(json.dumps(trained))
    rebuilt = commands.rebuild_commands(method, [{**flags, "seed": 3}, {**flags, "seed": 4}])
    name = Path(trainer.__file__).name
    assert rebuilt[:-1] == [f"python embedding/{name} --env {ENV} --epochs 7 --name mine"]


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("SAC", []),
        ("PPO", ["--algo", "PPO"]),
        ("TD3-plans", ["--algo", "TD3", "--decoder", "published-k4"]),
        ("SAC-LSP", ["--levels", "3"]),
    ],
)
def test_commands_of_baselines_are_rebuilt(tmp_path, method, given):
    script = commands.script_of(method)
    flags = vars(script.parse([*given, "--max_timesteps", "2000", "--results_dir", str(tmp_path)]))
    rebuilt = commands.rebuild_commands(method, [{**flags, "seed": seed} for seed in (5, 6)])
    again = vars(script.parse(shlex.split(rebuilt[-1])[2:]))
    assert again == {**flags, "seed": 5, "num_seeds": 2, "results_dir": again["results_dir"]}
    assert len(rebuilt) == (2 if method == "TD3-plans" else 1)


def test_a_last_evaluation_is_where_the_loop_makes_it():
    for steps, block, freq in ((50_000, 100, 1000), (50_000, 300, 1000), (900, 1, 1000), (950, 100, 250)):
        ends = range(0, steps + block, block)
        evaluated = [end for end in ends if end // freq > (end - block) // freq]
        flags = {"max_timesteps": steps, "update_every": block, "eval_freq": freq}
        assert finished_seeds.last_evaluation(flags) == evaluated[-1]


def test_publishing_refuses_what_it_cannot_vouch_for(tmp_path, monkeypatch, capsys):
    def message(*args):
        return refused(publish, monkeypatch, capsys, *args, "--out", out)

    out = tmp_path / "a.csv"
    td3, running = write_run(tmp_path, [0]), write_run(tmp_path, [1], name="running", last=9000)
    other, again = write_run(tmp_path, [0], "ARS"), write_run(tmp_path, [0], name="again")
    assert "seed 1 has not finished its 10000 steps" in message(running)
    assert "TD3 on ReacherVertical-v2 and ARS on" in message(td3, other)
    assert "seed 0 is in two of them" in message(td3, again)
    assert "seed 0 is in two of them" in message(td3, td3)
    assert "--command" in message(other)
    assert "no run in it" in message(tmp_path / "rl")
    (again / "seed_0" / "opt.json").write_text("{")
    assert "opt.json" in message(again)
    (again / "seed_0" / "opt.json").unlink()
    os.mkfifo(again / "seed_0" / "opt.json")
    assert "it is no regular file" in message(again)
    assert not list(tmp_path.glob("a.*"))
    call(publish, monkeypatch, other, "--command", "python ars.py --fast", "--out", out)
    assert "command:     python ars.py --fast\n" in out.with_suffix(".txt").read_text()
    assert "it exists" in message(td3)
    call(publish, monkeypatch, td3, "--out", out, "--overwrite")
    out = tmp_path / "a.txt"
    assert "name a .csv file" in message(td3)


def test_the_commit_is_this_projects_own(tmp_path, monkeypatch):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "foreign"], check=True)
    (tmp_path / "project").mkdir()
    commit = provenance.repository_commit()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    assert provenance.repository_commit() == commit
    monkeypatch.setattr(provenance, "REPOSITORY", tmp_path / "project")
    assert provenance.repository_commit() == "unknown, the project is not a git repository of its own"
    monkeypatch.setattr(provenance, "REPOSITORY", tmp_path)
    assert len(provenance.repository_commit()) == 40


def test_a_table_and_its_text_are_written_both_or_neither(tmp_path, monkeypatch, capsys):
    folder, other, out = (
        write_run(tmp_path, range(2)),
        write_run(tmp_path / "other", range(3), lr=0.01),
        tmp_path / "x.csv",
    )

    def written():
        return {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    def refused_by_a_full_disk(run):
        with monkeypatch.context() as patch:
            patch.setattr(provenance, "put_in_place", full_for_texts(provenance.put_in_place))
            words = [run, "--out", out, "--commit", "abc", "--overwrite"]
            assert "No space left" in refused(publish, patch, capsys, *words)

    refused_by_a_full_disk(folder)
    assert written() == {}
    call(publish, monkeypatch, folder, "--out", out, "--commit", "abc")
    before = written()
    refused_by_a_full_disk(other)
    assert set(before) == {"x.csv", "x.txt"} and written() == before
    call(publish, monkeypatch, other, "--out", out, "--commit", "abc", "--overwrite")
    assert b"--lr 0.01" in written()["x.txt"] and written()["x.csv"] != before["x.csv"]


def full_for_texts(put_in_place):
    """`put_in_place` on a disk that is full once a text is to be written."""

    @contextlib.contextmanager
    def place(path):
        if path.suffix == ".txt":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        with put_in_place(path) as temporary:
            yield temporary

    return place


def test_a_trained_seed_without_its_table_is_not_passed_over(tmp_path, monkeypatch, capsys):
    folder = write_run(tmp_path, range(2))
    (folder / "seed_1" / "checkpoint.pt").touch()
    (folder / "seed_1" / "eval.csv").unlink()
    for script, out in ((publish, "x.csv"), (plot_runs, "x.png")):
        asked = folder if script is publish else tmp_path
        line = refused(script, monkeypatch, capsys, asked, "--out", tmp_path / out)
        assert "seed_1: its eval.csv is gone" in line and not (tmp_path / out).exists()


def test_a_copy_of_a_seed_is_not_taken_for_it(tmp_path, monkeypatch, capsys):
    folder = write_run(tmp_path, range(2))
    shutil.copytree(folder / "seed_1", folder / "seed_01")
    line = refused(plot_runs, monkeypatch, capsys, tmp_path, "--out", tmp_path / "x.png")
    assert "seed_01: the folder of a seed is called seed_1: remove the copy" in line


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"lr": 0.01}, "--lr 0.01"),
        ({"eval_freq": 500}, "--eval_freq 500"),
        ({"env_name": f"mine:{ENV}"}, f"--env mine:{ENV}"),
    ],
)
def test_runs_of_other_flags_are_not_one_curve(tmp_path, monkeypatch, capsys, flags, told):
    one, other = (
        write_run(tmp_path, range(2), lr=0.001),
        write_run(tmp_path, range(2, 4), name="other", **{"lr": 0.001, **flags}),
    )
    line = refused(publish, monkeypatch, capsys, one, other, "--out", tmp_path / "x.csv", "--commit", "abc")
    assert told in line and "publish them one by one" in line and not (tmp_path / "x.csv").exists()
    same = write_run(tmp_path, range(4, 6), name="same", lr=0.001)
    call(publish, monkeypatch, one, same, "--out", tmp_path / "x.csv", "--commit", "abc")


def test_a_run_that_has_lost_all_its_tables_is_not_passed_over(tmp_path, monkeypatch, capsys):
    write_run(tmp_path, [0], name="other")
    folder = write_run(tmp_path, [0])
    (folder / "seed_0" / "checkpoint.pt").touch()
    (folder / "seed_0" / "eval.csv").unlink()
    line = refused(plot_runs, monkeypatch, capsys, tmp_path, "--out", tmp_path / "x.png")
    assert "seed_0: its eval.csv is gone" in line
