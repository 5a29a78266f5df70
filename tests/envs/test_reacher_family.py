"""ReacherVertical, ReacherTurn and ReacherPush: starts and rewards."""

import gymnasium as gym
import numpy as np
import pytest
from envs_play import assert_uniform
from envs_recorded import REACHER_IDS

import envs  # noqa: F401  (registers the tasks)

each_task = pytest.mark.parametrize("env_id", REACHER_IDS)


def starts(env, number: int) -> dict[str, np.ndarray]:
    """States `(number, .)` after resets, and how many draws they took on average."""
    draws = 0
    draw_start = env._draw_start

    def counting_draw():
        nonlocal draws
        draws += 1
        return draw_start()

    env._draw_start = counting_draw
    env.reset(seed=0)
    draws, states = 0, {"qpos": [], "qvel": [], "target": []}
    for _ in range(number):
        env.reset()
        assert env.data.ncon == 0
        assert env.data.time == 0
        states["qpos"].append(env.data.qpos.copy())
        states["qvel"].append(env.data.qvel.copy())
        states["target"].append(env.data.body("target").xpos.copy())
    return {name: np.array(values) for name, values in states.items()} | {"draws": draws / number}


def test_starts_of_vertical():
    start = starts(gym.make("ReacherVertical-v2").unwrapped, 2000)
    assert_uniform(start["qpos"][:, 1], -np.pi, np.pi)  # the first angle is not: the floor takes some
    assert np.abs(start["qpos"][:, 0]).max() <= np.pi
    for joint in range(2):
        assert_uniform(start["qvel"][:, joint], -0.005, 0.005)
    assert_uniform(start["target"][:, 0], -0.2, 0.2)
    assert_uniform(start["target"][:, 2], 0.05, 0.45)
    assert not start["target"][:, 1].any()
    assert 1 / start["draws"] == pytest.approx(0.84, abs=0.04)


def test_starts_of_turn():
    start = starts(gym.make("ReacherTurn-v2").unwrapped, 2000)
    assert np.abs(start["qpos"]).max() <= np.pi
    assert_uniform(start["qpos"][:, 2], -np.pi, np.pi)
    for joint in range(2):
        assert_uniform(start["qvel"][:, joint], -0.005, 0.005)
    assert not start["qvel"][:, 2].any()
    x, y, z = (start["target"] - [0.35, 0.0, 0.25]).T
    assert not y.any()
    np.testing.assert_allclose(np.hypot(x, z), 0.15)
    assert_uniform(np.arctan2(z, x), -np.pi, np.pi)
    assert 1 / start["draws"] == pytest.approx(0.76, abs=0.04)


def test_starts_of_push():
    start = starts(gym.make("ReacherPush-v2").unwrapped, 1000)
    arm, x, z, angle = start["qpos"][:, :2], *start["qpos"][:, 2:].T
    assert np.abs(arm).max() <= np.pi
    assert_uniform(start["qvel"][:, 0], -0.005, 0.005)
    assert not start["qvel"][:, 2:].any()
    assert np.abs(x).max() <= 0.2
    assert 0.04 < z.min() and z.max() <= 0.05
    assert z.mean() == pytest.approx(0.0468, abs=0.0004)
    tilt = (angle + np.pi / 4) % (np.pi / 2) - np.pi / 4
    assert np.abs(tilt).max() <= 0.294
    assert tilt.std() == pytest.approx(0.117, abs=0.012)
    assert_uniform(start["target"][:, 0], -0.2, 0.2)
    assert (start["target"][:, 1:] == [0.0, 0.03]).all()
    assert start["draws"] == pytest.approx(14.9, abs=5 * 14.4 / np.sqrt(1000))  # geometric


@each_task
def test_reset_draws_what_is_not_given(env_id):
    env = gym.make(env_id).unwrapped
    target_pos = np.array([0.1, 0.0, 0.2])
    qpos = []
    for seed in range(20):
        env.reset(seed=seed, options={"target_pos": target_pos})
        np.testing.assert_array_equal(env.data.body("target").xpos, target_pos)
        assert env.data.ncon == 0
        qpos.append(env.data.qpos.copy())
    assert np.ptp(qpos, axis=0).min() > 0
    env.reset(seed=0)
    assert not np.array_equal(env.data.body("target").xpos, target_pos)  # a later reset does not remember


def test_given_positions_may_be_in_contact():
    env = gym.make("ReacherVertical-v2").unwrapped
    env.reset(seed=0, options={"qpos": [-np.pi / 2, 0.0]})  # straight down, into the floor
    assert env.data.ncon > 0
    assert env.data.qvel.any()  # drawn


@each_task
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_pos": [0.1, 0.2]}, r"target_pos.*\(3,\).*\(2,\)"),
        ({"target_pos": [0.1, np.nan, 0.2]}, "target_pos.*finite"),
        ({"goal": np.zeros(2)}, "goal.*qpos, qvel, target_pos"),
    ],
    ids=["target_pos", "nan", "unknown"],
)
def test_bad_target_positions_are_refused_and_change_nothing(env_id, options, message):
    env = gym.make(env_id).unwrapped
    env.reset(seed=0)
    state, target_pos = env.state_vector(), env.data.body("target").xpos.copy()
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)
    np.testing.assert_array_equal(env.state_vector(), state)
    np.testing.assert_array_equal(env.data.body("target").xpos, target_pos)


def test_impossible_start_gives_up(monkeypatch):
    env = gym.make("ReacherVertical-v2").unwrapped
    monkeypatch.setattr(env, "_start_is_valid", lambda: False)
    with pytest.raises(RuntimeError, match="1000"):
        env.reset(seed=0)


@each_task
def test_reward_is_that_of_the_state_before_and_the_unclamped_action(env_id):
    """From a start, where all positions are fresh, so that they can be recomputed from the state."""
    env, clamped = gym.make(env_id).unwrapped, gym.make(env_id).unwrapped
    env.reset(seed=4)
    clamped.reset(seed=4)
    position = {name: env.data.body(name).xpos.copy() for name in ("fingertip", "target")}
    action = np.array([3.0, -2.0])
    _, reward, _, _, info = env.step(action)
    clamped.step(np.clip(action, -1, 1))
    np.testing.assert_array_equal(env.state_vector(), clamped.state_vector())  # the motors clamp

    distance = np.linalg.norm(position["fingertip"] - position["target"])
    clamped.reset(seed=4)
    if env_id == "ReacherVertical-v2":
        assert info == pytest.approx({"reward_dist": -distance, "reward_ctrl": -13.0})
        assert reward == pytest.approx(-distance - 13.0)
    elif env_id == "ReacherTurn-v2":
        distance = np.linalg.norm(clamped.data.site("tip").xpos - position["target"])
        assert info == {}
        assert reward == pytest.approx(-10 * distance - 0.5 * 13.0)
    else:
        box = clamped.data.body("box0").xpos
        reward_dist = -10 * np.linalg.norm(box - position["target"]) - 0.5 * np.linalg.norm(position["fingertip"] - box)
        assert info == pytest.approx({"reward_dist": reward_dist, "reward_ctrl": -13.0})
        assert reward == pytest.approx(reward_dist - 13.0)
