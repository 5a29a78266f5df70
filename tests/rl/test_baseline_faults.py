"""Baselines and figures when something breaks: a seed that is not finite, a disk that is full."""

import contextlib
import resource

import numpy as np
import pandas as pd
import pytest
import toy_envs

import analysis.figures
import analysis.list_runs
import analysis.plot_runs
import rl.main_baselines
import rl.main_sac_lsp
from common import checkpoint
from common.paths import REPOSITORY
from rl.policies import load_policy

SHORT = {"env": "toy_envs:Walk-v0", "max_timesteps": 200, "eval_freq": 100, "eval_episodes": 1}
SCRIPTS = {
    "SAC": (rl.main_baselines.main, ["--algo", "SAC"]),
    "PPO": (rl.main_baselines.main, ["--algo", "PPO"]),
    "SAC-LSP": (rl.main_sac_lsp.main, []),
}
methods = pytest.mark.parametrize("method", list(SCRIPTS))


@contextlib.contextmanager
def files_up_to(size):
    """Within `with`, the kernel refuses to let a file grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@methods
def test_a_seed_that_is_not_finite_does_not_end_those_after_it(call, tmp_path, monkeypatch, method):
    """The 50th step in the environment that all seeds are trained in comes to NaN: it is one of seed 0."""
    main, arguments = SCRIPTS[method]
    assert call(main, *arguments, **SHORT, results_dir=tmp_path, name="alone", seed=1).code == 0
    step = toy_envs.Walk.step

    def breaking(env, action):
        env.total = getattr(env, "total", 0) + 1
        observation, *rest = step(env, action)
        return (observation * np.nan if env.total == 50 else observation, *rest)

    monkeypatch.setattr(toy_envs.Walk, "step", breaking)
    ran = call(main, *arguments, **SHORT, results_dir=tmp_path, num_seeds=3)
    assert ran.code == 3 and "error: seed 0, step" in ran.err.splitlines()[-1], ran
    run = tmp_path / "rl" / "Walk-v0" / method
    assert [(run / "default" / f"seed_{seed}" / "failed.json").exists() for seed in range(3)] == [True, False, False]
    kept = [checkpoint.load(run / "default" / f"seed_{seed}" / "checkpoint.pt", "run")["steps"] for seed in range(3)]
    assert kept == [0, 200, 200]
    ran = call(main, *arguments, "--resume", **SHORT, results_dir=tmp_path, num_seeds=3)
    assert ran.code == 3 and "error: seed 0, step" in ran.err.splitlines()[-1], ran  # it stays given up
    tables = [pd.read_csv(folder / "seed_1" / "eval.csv") for folder in (run / "default", run / "alone")]
    assert tables[0].equals(tables[1])


@methods
def test_weights_that_are_not_finite_are_not_kept(call, tmp_path, monkeypatch, method):
    main, arguments = SCRIPTS[method]
    for settings in (rl.main_baselines.SAC, rl.main_baselines.PPO):
        monkeypatch.setitem(settings, "learning_rate", 1e30)
    monkeypatch.setitem(rl.main_baselines.SAC, "learning_starts", 100)
    monkeypatch.setitem(rl.main_baselines.PPO, "n_steps", 128)
    monkeypatch.setattr(rl.main_sac_lsp, "LEARNING_STARTS", 50)
    monkeypatch.setattr(
        rl.main_sac_lsp.SoftActorCritic.__init__,
        "__kwdefaults__",
        {"alpha": 1.0, "lr": 1e30, "discount": 0.99, "tau": 0.005},
    )
    ran = call(main, *arguments, **SHORT, results_dir=tmp_path)
    assert ran.code == 3 and "not finite" in ran.err.splitlines()[-1], ran
    (folder,) = [path.parent for path in tmp_path.rglob("failed.json")]
    assert checkpoint.load(folder / "checkpoint.pt", "run")["steps"] < 200
    load_policy(folder)  # which refuses weights that are not finite


@methods
def test_a_full_disk_leaves_no_half_checkpoint(call, tmp_path, method):
    main, arguments = SCRIPTS[method]
    with files_up_to(20_000):
        ran = call(main, *arguments, **SHORT, results_dir=tmp_path)
    assert ran.code == 1 and "make room, then call it again (training goes on with --resume)" in ran.err, ran
    assert "Traceback" not in ran.err
    (folder,) = tmp_path.rglob("seed_0")
    assert not [path for path in folder.iterdir() if "checkpoint" in path.name]
    listed = call(analysis.list_runs.main, tmp_path, threads=None)
    assert "resumable" in listed.out and "finished" not in listed.out, listed.out
    ran = call(main, *arguments, "--resume", **SHORT, results_dir=tmp_path)
    assert ran.code == 0 and (folder / "checkpoint.pt").exists(), ran.err


def test_seeds_of_one_baseline_have_the_same_flags(call, tmp_path):
    main, arguments = SCRIPTS["SAC-LSP"]
    assert call(main, *arguments, **SHORT, results_dir=tmp_path).code == 0
    ran = call(main, *arguments, **SHORT | {"eval_episodes": 2}, results_dir=tmp_path, seed=1)
    assert ran.code == 2 and "--eval_episodes 2: seed_0 of the run" in ran.err, ran
    assert [path.name for path in (tmp_path / "rl/Walk-v0/SAC-LSP/default").iterdir()] == ["seed_0"]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_full_disk_leaves_no_half_picture_of_runs(call, tmp_path, suffix):
    main, arguments = SCRIPTS["SAC-LSP"]
    assert call(main, *arguments, **SHORT, results_dir=tmp_path / "results").code == 0
    out = tmp_path / f"curves.{suffix}"
    for before in (None, b"\x89PNG a picture" if suffix == "png" else b"<svg/>"):
        if before:
            out.write_bytes(before)
        with files_up_to(1000):
            ran = call(analysis.plot_runs.main, tmp_path / "results", out=out, threads=None)
        assert ran.code == 1 and ran.err.endswith("make room, then call it again\n"), ran
        assert (out.read_bytes() if out.exists() else None) == before
        assert {path.name for path in tmp_path.iterdir()} - {out.name} == {"results"}
    assert call(analysis.plot_runs.main, tmp_path / "results", out=out, threads=None).code == 0
    assert out.stat().st_size > 1000


def test_a_full_disk_leaves_no_half_figure(call, tmp_path):
    with files_up_to(1000):
        ran = call(analysis.figures.main, REPOSITORY / "results", out=tmp_path, threads=None)
    assert ran.code == 1 and ran.err.endswith("make room, then call it again\n"), ran
    assert not list(tmp_path.iterdir())
