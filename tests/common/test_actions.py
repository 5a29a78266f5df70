"""Actions as environments get them: copies of their own, in their own type, within their bounds."""

import gymnasium
import numpy as np
import pytest
import toy_envs
from gymnasium.spaces import Box
from same_runs import assert_same
from scripts import DYNE, EMBED, EVALUATE, SHORT, TD3

import embedding.evaluate
import rl.main_baselines
import rl.main_sac_lsp
from analysis import figure3_reach, figure8_effects
from common.actions import OwnActions, bounds_within, can_be_drawn
from common.environments import make_env
from common.errors import Diverged
from embedding.random_play import load_random_play, random_play

STRICT = ["toy_envs:Strict-v0", "toy_envs:Strict64-v0", "toy_envs:Strict16-v0"]
strict = pytest.mark.parametrize("env_id", STRICT)


@strict
@pytest.mark.filterwarnings("error:overflow")
def test_every_script_hands_out_what_the_environment_takes(call, tmp_path, env_id):
    """The environment asserts its actions' type and bounds, and writes into them."""
    name, rl_flags = env_id.partition(":")[2], {"max_timesteps": 60, "eval_freq": 30, "eval_episodes": 1}
    tiny = {"steps": 200, "epochs": 1, "epoch_size": 64, "decoder_epochs": 1, "decoder_batches": 2}
    agents = rl_flags | {"update_every": 10, "start_timesteps": 20}
    calls = [
        (EMBED, [], tiny),
        (TD3, [], agents),
        (DYNE, [], agents),
        (rl.main_baselines.main, ["--algo", "SAC"], rl_flags),
        (rl.main_baselines.main, ["--algo", "SAC", "--decoder", "default"], rl_flags),
        (rl.main_baselines.main, ["--algo", "PPO"], rl_flags),
        (rl.main_sac_lsp.main, [], rl_flags),
    ]
    for main, arguments, flags in calls:
        ran = call(main, *arguments, env=env_id, results_dir=tmp_path, **flags)
        assert ran.code == 0, (main.__module__, ran.err)
    run, folder = tmp_path / "rl" / name / "TD3" / "default", tmp_path / name / "default"
    assert call(EVALUATE, run, threads=None, env=env_id).code == 0
    assert call(embedding.evaluate.main, folder, threads=None, env=env_id).code == 0
    for main, flags in ((figure3_reach.main, {"episodes": 2}), (figure8_effects.main, {"sequences": 10})):
        assert call(main, folder, threads=None, out=tmp_path / f"{main.__module__}.csv", **flags).code == 0


@strict
@pytest.mark.parametrize("main", [TD3, DYNE], ids=["td3", "dyne"])
def test_runs_are_resumed_in_the_middle_of_an_episode(call, tmp_path, env_id, main):
    assert call(EMBED, env=env_id, results_dir=tmp_path, **SHORT[EMBED]).code == 0
    flags = {"update_every": 5, "start_timesteps": 20, "eval_freq": 20, "eval_episodes": 1, "results_dir": tmp_path}
    for name, steps in (("whole", 70), ("parts", 35), ("parts", 70)):
        ran = call(main, "--resume", env=env_id, name=name, max_timesteps=steps, **flags)
        assert ran.code == 0, ran.err
    (method,) = (tmp_path / "rl" / env_id.partition(":")[2]).iterdir()
    assert_same(method / "whole", method / "parts")


def test_random_play_keeps_what_was_drawn(tmp_path):
    left = gymnasium.make("toy_envs:WalkSkewed-v0", **toy_envs.THIRDS)
    wanted = random_play(left, 50, 0, progress=False)
    for _ in range(2):  # played, then read
        play = load_random_play(make_env("toy_envs:Strict-v0"), 50, 0, tmp_path)
        assert np.array_equal(play.actions, wanted.actions) and np.array_equal(play.states, wanted.states)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_bounds_are_the_nearest_of_float32_inside(dtype):
    rng = np.random.default_rng(0)
    low, high = np.sort(rng.standard_normal((2, 500)) * 10.0 ** rng.integers(-4, 4, 500), axis=0).astype(dtype)
    lowest, highest = bounds_within(Box(low, high, dtype=dtype))
    assert lowest.dtype == highest.dtype == np.float32
    assert (low <= lowest).all() and (highest <= high).all()
    assert (np.nextafter(lowest, np.float32(-np.inf)) < low).all()
    assert (high < np.nextafter(highest, np.float32(np.inf))).all()


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1e-45), (0, 1e-38), (1, np.nextafter(np.float32(1), np.float32(2))), (-3e38, 3e38), (2e38, 3e38)],
)
def test_bounds_that_float32_cannot_work_with(low, high):
    low, high = (np.array([0, x], np.float32) for x in (low, high))
    assert not can_be_drawn(low, high + np.float32([1, 0])) and can_be_drawn(low[:1], low[:1] + 1)


def test_actions_beyond_the_bounds_are_put_there_and_what_is_not_finite_is_named():
    env = OwnActions(gymnasium.make("toy_envs:Strict64-v0"))
    low, high = env.unwrapped.action_space.low, env.unwrapped.action_space.high
    assert np.array_equal(env.action(np.float32([-9, 9])), [low[0], high[1]])
    same = OwnActions(gymnasium.make("ReacherVertical-v2"))
    assert same.action_space is same.unwrapped.action_space
    given = same.action_space.sample()
    found = same.action(given)
    assert np.array_equal(found, given) and not np.shares_memory(found, given)
    with pytest.raises(Diverged, match="an action is not finite"):
        env.action(np.float32([np.nan, 0]))
