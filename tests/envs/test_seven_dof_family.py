"""Pusher, Striker and Thrower: starts and rewards."""

import gymnasium as gym
import numpy as np
import pytest
from envs_play import assert_uniform
from envs_recorded import SEVEN_DOF_IDS, recordings

import envs  # noqa: F401  (registers the tasks)

BODIES = {  # hand, object
    "Pusher-v2": ("tips_arm", "object"),
    "Striker-v2": ("tips_arm", "object"),
    "Thrower-v2": ("r_wrist_roll_link", "ball"),
}

each_task = pytest.mark.parametrize("env_id", SEVEN_DOF_IDS)


def positions(env) -> dict[str, np.ndarray]:
    """Where hand, object and goal are for observation and reward."""
    hand, object_ = BODIES[env.spec.id]
    names = {"hand": hand, "object": object_, "goal": "goal"}
    return {name: env.unwrapped.data.body(body).xpos.copy() for name, body in names.items()}


def starts(env_id: str, number: int, velocity: float) -> dict[str, np.ndarray]:
    """States and positions `(number, .)` after resets, whose arm is at zero and moves by up to `velocity`."""
    env = gym.make(env_id)
    env.reset(seed=0)
    drawn = []
    for _ in range(number):
        observation, info = env.reset()
        data = env.unwrapped.data
        assert (info, data.time) == ({}, 0)
        state = {"qpos": data.qpos.copy(), "qvel": data.qvel.copy()} | positions(env)
        parts = [state["qpos"][:7], state["qvel"][:7], state["hand"], state["object"], state["goal"]]
        np.testing.assert_array_equal(observation, np.concatenate(parts))
        drawn.append(state)
    start = {name: np.array([state[name] for state in drawn]) for name in drawn[0]}
    assert not start["qpos"][:, :7].any() and not start["qvel"][:, 7:].any()
    for joint in range(7):
        assert_uniform(start["qvel"][:, joint], -velocity, velocity)
    return start


def test_starts_of_pusher():
    start = starts("Pusher-v2", 2000, velocity=0.005)
    assert (start["goal"] == [0.45, -0.05, -0.323]).all()
    np.testing.assert_allclose(start["hand"], np.tile([0.821, -0.6, 0], (2000, 1)), atol=1e-12)
    x, y, z = (start["object"] - [0.45, -0.05, -0.275]).T
    assert not z.any()
    np.testing.assert_allclose(start["qpos"][:, 7:], np.stack([y, x, 0 * x, 0 * x], axis=1), atol=1e-12)
    distance = np.hypot(x, y)
    assert 0.17 < distance.min() < 0.172
    beyond = y < -0.17  # there the rectangle is whole
    assert_uniform(x[beyond], -0.2, 0.2)
    assert_uniform(y[beyond], -0.3, -0.17)
    share = 0.13 * 0.4 / (0.3 * 0.4 - np.pi * 0.17**2 / 2)
    assert beyond.mean() == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / 2000))
    assert -0.005 < y.max() <= 0 and np.median(x[~beyond]) == pytest.approx(0, abs=0.1)


def test_starts_of_striker():
    start = starts("Striker-v2", 2000, velocity=0.1)
    np.testing.assert_allclose(start["object"], np.tile([0.5, -0.175, -0.27], (2000, 1)), atol=1e-12)
    np.testing.assert_allclose(start["qpos"][:, 7:9], np.tile([-0.175, 0.5], (2000, 1)))
    x, y, z = start["goal"].T
    assert_uniform(x, 0.15, 0.7)
    assert_uniform(y, 0.1, 1.0)
    assert abs(np.corrcoef(x, y)[0, 1]) < 5 / np.sqrt(2000)
    assert (z == -0.323).all()
    np.testing.assert_array_equal(start["qpos"][:, 9:12], start["goal"])
    w, i, j, k = start["qpos"][:, 12:].T  # a quaternion that was (1, 0, 0, k / w) before it was normalised
    assert not i.any() and not j.any()
    np.testing.assert_allclose(w**2 + k**2, 1)
    np.testing.assert_allclose(k / w, np.arctan((0.5 - x) / (y + 0.175)) / 3.14, atol=1e-7)
    assert -0.196 < k.min() < -0.1 and 0.2 < k.max() < 0.274


def test_starts_of_thrower():
    start = starts("Thrower-v2", 2000, velocity=0.005)
    np.testing.assert_allclose(start["object"], np.tile([0.5, -0.8, 0.275], (2000, 1)), atol=1e-12)
    np.testing.assert_allclose(start["hand"], np.tile([0.5, -0.7226, 0.2967], (2000, 1)), atol=5e-5)
    assert (start["qpos"][:, 9:] == [0.5, -0.8, 0.275, 1, 0, 0, 0]).all()
    x, y, z = (start["goal"] - [0.575, 0.5, -0.328]).T
    assert not z.any()
    np.testing.assert_allclose(start["qpos"][:, 7:9], np.stack([y, x], axis=1), atol=1e-12)
    assert_uniform(x, -0.3, 0.3)
    assert_uniform(y, -0.3, 0.3)
    assert abs(np.corrcoef(x, y)[0, 1]) < 5 / np.sqrt(2000)


def test_a_given_quaternion_is_normalised():
    env = gym.make("Striker-v2").unwrapped
    env.reset(seed=0)
    qpos = env.data.qpos.copy()
    qpos[12:] = [2.0, 0, 0, 0]
    env.reset(options={"qpos": qpos})
    np.testing.assert_array_equal(env.data.qpos[12:], [1, 0, 0, 0])
    np.testing.assert_array_equal(qpos[12:], [2, 0, 0, 0])  # the caller's stays


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.square(a - b).sum()))


def reward_of(env_id: str, past: list[dict[str, np.ndarray]], action: np.ndarray, frozen: bool = False):
    """Reward and info of an action, from the positions before it and before all earlier actions of the episode."""
    now, effort = past[-1], float(np.square(action).sum())
    if env_id == "Pusher-v2":
        dist = distance(now["object"], now["goal"])
        reward = -dist - 0.1 * effort - 0.5 * distance(now["object"], now["hand"])
    elif env_id == "Striker-v2":
        dist = min(distance(at["object"], at["goal"]) for at in past)
        struck = [at["hand"] for at in past if distance(at["object"], at["hand"]) < 0.1]
        hand = struck[-1] if struck and frozen else now["hand"]
        reward = -3 * dist - 0.1 * effort - 0.5 * distance(now["object"], hand)
    else:
        landed = [at["object"] for at in past if at["object"][2] < -0.25]
        ball = landed[0] if landed and frozen else now["object"]
        dist = distance(ball[:2], now["goal"][:2])
        reward = -dist - 0.002 * effort
    return reward, {"reward_dist": -dist, "reward_ctrl": -effort}


def played(env, start: dict[str, np.ndarray], actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rewards `(T,)` of actions `(T, 7)`, and those of `reward_of`."""
    frozen = getattr(env.unwrapped, "frozen_hit", False)
    env.reset(options=start)
    past, rewards, expected = [], [], []
    for action in actions:
        past.append(positions(env))
        reward, info = reward_of(env.spec.id, past, action, frozen)
        _, rewarded, _, _, informed = env.step(action)
        assert informed == pytest.approx(info, abs=1e-5)
        rewards.append(rewarded)
        expected.append(reward)
    return np.array(rewards), np.array(expected)


@each_task
def test_rewards_are_those_of_the_positions_before_the_step(env_id):
    env = gym.make(env_id)
    for recorded in recordings(env_id, "held"):
        rewards, expected = played(env, recorded.start(), recorded.actions)
        np.testing.assert_allclose(rewards, expected, atol=1e-5)


def episodes_with_a_hit(env_id: str):
    """Starts and actions."""
    if env_id == "Thrower-v2":
        return [(recorded.start(), recorded.actions) for recorded in recordings(env_id, "held")]
    env = gym.make(env_id).unwrapped
    env.reset(seed=0)
    qpos, qvel = env.data.qpos.copy(), np.zeros(15)
    qpos[1] = 0.35  # the bat just above the table
    env.reset(options={"qpos": qpos})
    x, y, _ = env.data.body("tips_arm").xpos
    qpos[7:9], qvel[8] = (y, x + 0.15), -0.5  # the ball rolls into it
    return [({"qpos": qpos, "qvel": qvel}, np.random.default_rng(seed).uniform(-3, 3, (30, 7))) for seed in (0, 1)]


@pytest.mark.parametrize("env_id", ["Striker-v2", "Thrower-v2"])
def test_a_hit_is_frozen_only_if_asked(env_id):
    frozen, moving = gym.make(env_id, frozen_hit=True), gym.make(env_id)
    assert frozen.unwrapped.frozen_hit and not moving.unwrapped.frozen_hit
    for start, actions in episodes_with_a_hit(env_id):  # one after the other: a hit does not outlive its episode
        rewards, expected = played(frozen, start, actions)
        np.testing.assert_allclose(rewards, expected, atol=1e-5)
        moving_rewards, expected = played(moving, start, actions)
        np.testing.assert_allclose(moving_rewards, expected, atol=1e-5)
        difference = np.abs(rewards - moving_rewards)
        first = np.argmax(difference > 0)
        assert first > 2 and difference[first:].max() > 0.05


def test_a_ball_that_starts_on_the_ground_has_hit_it():
    env = gym.make("Thrower-v2", frozen_hit=True).unwrapped
    env.reset(seed=0)
    qpos, qvel = env.data.qpos.copy(), np.zeros(15)
    qpos[9:12], qvel[9] = [0.0, 0.0, -0.29], 5.0
    env.reset(options={"qpos": qpos, "qvel": qvel})
    goal = env.data.body("goal").xpos.copy()
    rewards = [env.step(np.zeros(7))[1] for _ in range(10)]
    assert rewards == pytest.approx([-np.hypot(*goal[:2])] * 10)
    assert env.data.body("ball").xpos[0] > 1.0


def test_strikers_smallest_distance_is_that_of_the_episode():
    env = gym.make("Striker-v2").unwrapped
    env.reset(seed=0)
    ball, goal = env.data.body("object").xpos.copy(), env.data.body("goal").xpos.copy()
    qvel = np.zeros(15)
    qvel[7:9] = 5.0 * (goal - ball)[1::-1] / distance(goal, ball)  # towards the goal and into it
    env.reset(options={"qpos": env.data.qpos.copy(), "qvel": qvel})
    dists = [env.step(np.zeros(7))[4]["reward_dist"] for _ in range(60)]
    assert dists[0] == pytest.approx(-distance(goal, ball)) and (np.diff(dists) >= 0).all()
    assert dists[-1] > dists[0] + 0.2
    env.reset(seed=0)
    assert env.step(np.zeros(7))[4]["reward_dist"] == dists[0]


@each_task
def test_motors_clamp_actions_and_their_cost_does_not(env_id):
    env, clamped = gym.make(env_id).unwrapped, gym.make(env_id).unwrapped
    env.reset(seed=4)
    clamped.reset(seed=4)
    action = 2 * env.action_space.high.astype(float)
    info = env.step(action)[4]
    clamped.step(action / 2)
    np.testing.assert_array_equal(env.state_vector(), clamped.state_vector())
    assert info["reward_ctrl"] == -np.square(action).sum()
