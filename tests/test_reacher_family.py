"""ReacherVertical, ReacherTurn and ReacherPush as gymnasium environments: spaces, starts, rewards, endings."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from envs_recorded import REACHER_IDS
from gymnasium.utils.env_checker import check_env

import envs  # noqa: F401  (registers the tasks)

OBSERVATION_SIZE = {"ReacherVertical-v2": 11, "ReacherTurn-v2": 11, "ReacherPush-v2": 14}
STATE_SIZE = {"ReacherVertical-v2": 2, "ReacherTurn-v2": 3, "ReacherPush-v2": 5}

# Original software, 1000 episodes: mean, standard deviation and standard error of the return.
REFERENCE_RETURNS = {
    ("ReacherVertical-v2", "random"): (-92.70, 7.44, 0.24),
    ("ReacherVertical-v2", "zero"): (-28.76, 13.68, 0.43),
    ("ReacherTurn-v2", "random"): (-216.62, 82.82, 2.62),
    ("ReacherTurn-v2", "zero"): (-183.27, 88.19, 2.79),
    ("ReacherPush-v2", "random"): (-308.67, 154.91, 4.90),
    ("ReacherPush-v2", "zero"): (-151.68, 91.70, 2.90),
}

each_task = pytest.mark.parametrize("env_id", REACHER_IDS)


def rollout(env, seed: int, steps: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Observations `(steps + 1, O)` and rewards `(steps,)` of uniform random actions."""
    env.action_space.seed(seed)
    observations, rewards = [env.reset(seed=seed)[0]], []
    for _ in range(steps):
        observation, reward, *_ = env.step(env.action_space.sample())
        observations.append(observation)
        rewards.append(reward)
    return np.array(observations), np.array(rewards)


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


def assert_uniform(values: np.ndarray, low: float, high: float) -> None:
    """All of `(n,)` lie in the interval, which their quartiles split evenly (5 standard errors)."""
    assert low <= values.min() and values.max() <= high
    quartiles = (np.quantile(values, [0.25, 0.5, 0.75]) - low) / (high - low)
    np.testing.assert_allclose(quartiles, [0.25, 0.5, 0.75], atol=5 * 0.5 / np.sqrt(len(values)))


@each_task
def test_spaces(env_id):
    env = gym.make(env_id)
    space = gym.spaces.Box(-np.inf, np.inf, (OBSERVATION_SIZE[env_id],), np.float64)
    assert env.observation_space == space
    assert env.action_space == gym.spaces.Box(-1, 1, (2,), np.float32)
    model = env.unwrapped.model
    assert (model.nq, model.nv) == (STATE_SIZE[env_id], STATE_SIZE[env_id])
    assert env.unwrapped.dt == pytest.approx(0.02)
    assert env.metadata["render_fps"] == 50


@each_task
def test_gymnasium_checker_has_no_complaint(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The original's spaces are unbounded.
        warnings.filterwarnings("ignore", message=".*Box observation space m.*imum value is -?infinity.*")
        check_env(gym.make(env_id).unwrapped, skip_render_check=True)


@each_task
def test_a_seed_repeats_an_episode_and_another_does_not(env_id):
    observations, rewards = rollout(gym.make(env_id), seed=1)
    again, rewards_again = rollout(gym.make(env_id), seed=1)
    np.testing.assert_array_equal(observations, again)
    np.testing.assert_array_equal(rewards, rewards_again)
    other, _ = rollout(gym.make(env_id), seed=2)
    assert not np.array_equal(observations[0], other[0])


@each_task
def test_unseeded_resets_go_on_in_the_stream(env_id):
    env = gym.make(env_id)
    first = [env.reset(seed=5)[0], env.reset()[0], env.reset()[0]]
    second = [env.reset(seed=5)[0], env.reset()[0], env.reset()[0]]
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[1], first[2])


@each_task
def test_an_episode_does_not_depend_on_the_one_before(env_id):
    env = gym.make(env_id)
    fresh, _ = rollout(env, seed=1)
    rollout(env, seed=2, steps=37)
    again, _ = rollout(env, seed=1)
    np.testing.assert_array_equal(fresh, again)


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
def test_reset_to_a_given_state_repeats_the_episode(env_id):
    env = gym.make(env_id).unwrapped
    observations, _ = rollout(env, seed=7, steps=0)
    start = {"qpos": env.data.qpos, "qvel": env.data.qvel, "target_pos": env.model.body("target").pos}
    other = gym.make(env_id).unwrapped
    other.reset(seed=8)
    np.testing.assert_array_equal(other.reset(options=start)[0], observations[0])
    for action in np.random.default_rng(0).uniform(-1, 1, (20, 2)):
        np.testing.assert_array_equal(env.step(action)[0], other.step(action)[0])


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
        ({"qpos": np.zeros(7)}, r"qpos.*\({nq},\).*\(7,\)"),
        ({"qvel": 0.0}, r"qvel.*\({nq},\).*\(\)"),
        ({"target_pos": [0.1, 0.2]}, r"target_pos.*\(3,\).*\(2,\)"),
        ({"target_pos": [0.1, np.nan, 0.2]}, "target_pos.*finite"),
        ({"q_pos": np.zeros(2)}, "q_pos.*qpos, qvel, target_pos"),
    ],
    ids=["qpos", "qvel", "target_pos", "nan", "unknown"],
)
def test_bad_starts_are_refused_and_change_nothing(env_id, options, message):
    env = gym.make(env_id).unwrapped
    env.reset(seed=0)
    before = env.state_vector()
    with pytest.raises(ValueError, match=message.replace("{nq}", str(STATE_SIZE[env_id]))):
        env.reset(options=options)
    np.testing.assert_array_equal(env.state_vector(), before)


def test_impossible_start_gives_up(monkeypatch):
    env = gym.make("ReacherVertical-v2").unwrapped
    monkeypatch.setattr(env, "_start_is_valid", lambda: False)
    with pytest.raises(RuntimeError, match="1000"):
        env.reset(seed=0)


@each_task
def test_observations_have_their_own_memory(env_id):
    env = gym.make(env_id).unwrapped
    first, _ = env.reset(seed=0)
    kept = first.copy()
    second, *_ = env.step(np.ones(2))
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(first, second)
    state = env.state_vector()
    second[:] = np.nan
    np.testing.assert_array_equal(env.state_vector(), state)
    assert np.isfinite(env.step(np.ones(2))[0]).all()


@each_task
def test_every_entry_of_the_observation_varies(env_id):
    env = gym.make(env_id)
    spread = np.ptp(np.concatenate([rollout(env, seed, steps=20)[0] for seed in range(20)]), axis=0)
    constant = {"ReacherVertical-v2": [9], "ReacherTurn-v2": [], "ReacherPush-v2": [8]}  # out of plane; on the floor
    assert list(np.flatnonzero(spread < 1e-9)) == constant[env_id]


@each_task
def test_the_time_limit_truncates_and_nothing_terminates(env_id):
    env = gym.make(env_id)
    env.reset(seed=0)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(100)]
    assert ends == [(False, False)] * 99 + [(False, True)]


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


@each_task
def test_an_action_of_another_size_is_refused(env_id):
    env = gym.make(env_id).unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match="dimension"):
        env.step(np.zeros(3))


@pytest.mark.parametrize(("env_id", "policy"), REFERENCE_RETURNS)
def test_mean_returns_are_the_originals(env_id, policy):
    """Within 4 standard errors of the difference of the means."""
    mean, deviation, standard_error = REFERENCE_RETURNS[env_id, policy]
    env, rng, episodes = gym.make(env_id).unwrapped, np.random.default_rng(0), 200
    env.reset(seed=0)
    returns = []
    for _ in range(episodes):
        env.reset()
        actions = rng.uniform(-1, 1, (100, 2)) if policy == "random" else np.zeros((100, 2))
        returns.append(sum(env.step(action)[1] for action in actions))
    assert abs(np.mean(returns) - mean) <= 4 * np.hypot(deviation / np.sqrt(episodes), standard_error)
    assert np.std(returns) == pytest.approx(deviation, rel=0.25)
