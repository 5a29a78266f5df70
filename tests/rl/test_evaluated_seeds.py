"""What rl/evaluate.py says of seeds that it plays from other checkpoints, or not at all."""

import shutil

import pandas as pd
import pytest
import toy_envs
from scripts import can_draw

import rl.evaluate
import rl.main_td3
from common import progress
from common.run_folder import RunFolder

SHORT = {"max_timesteps": 200, "eval_freq": 100, "eval_episodes": 2, "batch_size": 32}


def test_evaluate_tells_which_seeds_did_not_go_as_far(call, tmp_path):
    flags = {"eval_freq": 100, "eval_episodes": 1, "policy_name": "random", "results_dir": tmp_path}
    for seed, steps in ((0, 200), (1, 100)):
        assert call(rl.main_td3.main, **flags, seed=seed, max_timesteps=steps).code == 0
    run = tmp_path / "rl" / "ReacherVertical-v2" / "random" / "default"
    RunFolder(run / "seed_1", "run").fail("step 200: actor")
    ran = call(rl.evaluate.main, run, threads=None, episodes=1)
    given_up, shorter = ran.out.splitlines()[:2]
    assert given_up == f"{run / 'seed_1'}: it was given up (step 200: actor): its last good checkpoint is played"
    assert shorter == f"{run}: its seeds have different numbers of steps: seed_0 200, seed_1 100"
    assert "given up" not in call(rl.evaluate.main, run / "seed_0", threads=None, episodes=1).out


def test_evaluate_shows_how_far_it_is_within_long_episodes_too(call, a_run, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    ran = call(rl.evaluate.main, a_run, threads=None, episodes=2)
    assert ran.code == 0 and ran.err.count("playing: 0 of 2 episodes\n") >= 50, ran  # an episode has 50 steps
    assert "playing: 1 of 2 episodes, " in ran.err and ran.err.splitlines()[-1].startswith("playing: 2 of 2 episodes, ")
    assert "playing" not in ran.out


@pytest.mark.parametrize("flag", ["episodes", "video_episodes"])
def test_evaluate_plays_no_more_episodes_than_could_end(call, tmp_path, flag):
    ran = call(rl.evaluate.main, tmp_path, threads=None, **{flag: 2**53 - 1})
    told = f"argument --{flag}: '9007199254740991' would take for ever: use at most 1,000,000"
    assert ran.code == 2 and told in ran.err and ran.err.count("\n") == 1


def test_a_film_of_more_episodes_than_are_played_is_refused(call, a_run):
    ran = call(rl.evaluate.main, a_run, threads=None, episodes=2, video="x.gif", video_episodes=5)
    assert ran.code == 2 and "--video_episodes 5: only --episodes 2 are played: give --episodes 5 or more" in ran.err, (
        ran
    )


@pytest.mark.skipif(not can_draw(), reason="no OpenGL")
def test_a_film_shows_the_episodes_that_were_played_of_a_random_policy_too(call, tmp_path):
    flags = {"max_timesteps": 100, "eval_episodes": 1, "policy_name": "random", "env": "ReacherVertical-v2"}
    assert call(rl.main_td3.main, results_dir=tmp_path, **flags).code == 0
    run, out = tmp_path / "rl" / "ReacherVertical-v2" / "random" / "default", tmp_path / "returns.csv"
    ran = call(rl.evaluate.main, run, threads=None, episodes=2, video=tmp_path / "x.gif", out=out)
    played = ", ".join(f"{value:.2f}" for value in pd.read_csv(out)["return"])
    assert ran.code == 0 and f"random seed 0 returns {played}" in ran.out, ran


def test_seeds_without_their_newest_checkpoint_are_not_passed_over(call, tmp_path):
    """One has the checkpoint before it, one has none any more, one was begun only."""
    flags = {"max_timesteps": 200, "eval_freq": 100, "eval_episodes": 1, "num_seeds": 3, "policy_name": "random"}
    assert call(rl.main_td3.main, results_dir=tmp_path, **flags).code == 0
    run = tmp_path / "rl" / "ReacherVertical-v2" / "random" / "default"
    (run / "seed_1" / "checkpoint.pt").unlink()
    for path in (run / "seed_2").glob("checkpoint*"):
        path.unlink()
    ran = call(rl.evaluate.main, run, threads=None, episodes=1)
    assert ran.code == 0 and [f"seed {n}: return" in ran.out for n in range(3)] == [True, True, False]
    older, left_out, shorter = ran.out.splitlines()[:3]
    assert "seed_1" in older and "checkpoint.previous.pt" in older
    assert "seed_2" in left_out and "left out" in left_out and "seed_0 200, seed_1 100" in shorter
    alone = call(rl.evaluate.main, run / "seed_1", threads=None, episodes=1)
    assert alone.code == 0 and "checkpoint.previous.pt" in alone.out
    assert call(rl.evaluate.main, run / "seed_2", threads=None).code == 2


def test_a_backup_is_no_further_seed(call, tmp_path):
    flags = {"max_timesteps": 100, "eval_freq": 100, "eval_episodes": 1, "num_seeds": 2, "policy_name": "random"}
    assert call(rl.main_td3.main, results_dir=tmp_path, **flags).code == 0
    run = tmp_path / "rl" / "ReacherVertical-v2" / "random" / "default"
    alone = call(rl.evaluate.main, run, threads=None, episodes=1).out
    for name in ("seed_0_backup", "seed_x"):
        shutil.copytree(run / "seed_0", run / name)
    (run / "seed_0.tar").touch()
    first, *others = call(rl.evaluate.main, run, threads=None, episodes=1).out.splitlines()
    assert first == f"{run}: left out, since the folder of a seed is called seed_<n>: seed_0_backup, seed_x"
    assert others == alone.splitlines() and "mean of 2 seeds" in alone
    by_name = call(rl.evaluate.main, run / "seed_0_backup", threads=None, episodes=1)
    assert by_name.code == 0 and "left out" not in by_name.out
    for seed in (run / "seed_0", run / "seed_1"):
        shutil.rmtree(seed)
    ran = call(rl.evaluate.main, run, threads=None, episodes=1)
    assert ran.code == 2 and "there is no checkpoint.pt in it nor in a seed_<n> of it" in ran.err, ran


def test_runs_whose_rows_could_not_be_told_apart(call, tmp_path):
    flags = {"max_timesteps": 100, "eval_freq": 100, "eval_episodes": 1, "policy_name": "random"}
    for name in ("one", "other"):
        assert call(rl.main_td3.main, results_dir=tmp_path, name=name, **flags).code == 0
    one, other = (tmp_path / "rl" / "ReacherVertical-v2" / "random" / name for name in ("one", "other"))
    ran = call(rl.evaluate.main, one, other, threads=None, episodes=1, out=tmp_path / "x.csv")
    assert ran.code == 2 and "two of the runs have a random of seed 0" in ran.err, ran
    assert not (tmp_path / "x.csv").exists()
    ran = call(rl.evaluate.main, one, other, threads=None, episodes=1)
    lines = ran.out.splitlines()
    assert ran.code == 0 and lines.index(f"{one}:") < lines.index(f"{other}:"), ran
    ran = call(rl.evaluate.main, one, one / "seed_0", threads=None, episodes=1)
    assert ran.code == 2 and f"{one / 'seed_0'} is there twice: name it once" in ran.err, ran


def test_evaluate_says_if_the_environment_has_changed_since(call, tmp_path, monkeypatch):
    flags = {
        "env": "toy_envs:Walk-v0",
        "max_timesteps": 100,
        "eval_freq": 100,
        "eval_episodes": 1,
        "policy_name": "random",
    }
    assert call(rl.main_td3.main, results_dir=tmp_path, **flags).code == 0
    run, changed = tmp_path / "rl" / "Walk-v0" / "random" / "default", "is not, to the last bit, what it was trained on"
    ran = call(rl.evaluate.main, run, threads=None, episodes=1, env="toy_envs:Walk-v0")
    assert ran.code == 0 and changed not in ran.out, ran
    step = toy_envs.Walk.step

    def heavier(self, action):
        observation, reward, *rest = step(self, action)
        return observation, reward - 1, *rest

    monkeypatch.setattr(toy_envs.Walk, "step", heavier)
    ran = call(rl.evaluate.main, run, threads=None, episodes=1, env="toy_envs:Walk-v0")
    assert ran.code == 0 and f"{run}: toy_envs:Walk-v0 {changed}" in ran.out, ran


def test_a_forgotten_range_of_actions_is_named(call, tmp_path):
    flags = {"env": "Thrower-v2", "max_timesteps": 100, "eval_freq": 100, "eval_episodes": 1, "results_dir": tmp_path}
    assert call(rl.main_td3.main, **flags, action_range="own").code == 0
    ran = call(rl.main_td3.main, "--resume", **{**flags, "max_timesteps": 200})
    assert (
        ran.code == 2 and "--action_range first: the run that --resume continues has --action_range own" in ran.err
    ), ran
