"""What all six MuJoCo tasks promise as gymnasium environments: spaces, seeds, starts, endings, returns."""

import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from envs_play import rollout
from envs_recorded import IDS, REACHER_IDS
from gymnasium.utils.env_checker import check_env

import envs  # noqa: F401  (registers the tasks)

# Sizes of observation, qpos and qvel; upper bounds of the action; control steps a second.
SPACES = {
    "ReacherVertical-v2": (11, 2, 2, [1] * 2, 50),
    "ReacherTurn-v2": (11, 3, 3, [1] * 2, 50),
    "ReacherPush-v2": (14, 5, 5, [1] * 2, 50),
    "Pusher-v2": (23, 11, 11, [2] * 7, 20),
    "Striker-v2": (23, 16, 15, [3] * 7, 20),
    "Thrower-v2": (23, 16, 15, [10] * 4 + [15] * 3, 20),
}

# Entries of the observation that random play from random starts does not change.
CONSTANT = {
    "ReacherVertical-v2": [9],  # out of the plane
    "ReacherTurn-v2": [],
    "ReacherPush-v2": [8],  # the target's height: on the floor
    "Pusher-v2": [19, 20, 21, 22],  # the object's height, the goal
    "Striker-v2": [17, 18, 19, 22],  # the ball, which it does not reach, the goal's height
    "Thrower-v2": [22],  # the box's height
}

# Original software, 1000 episodes: mean, standard deviation and standard error of the return.
REFERENCE_RETURNS = {
    ("ReacherVertical-v2", "random"): (-92.70, 7.44, 0.24),
    ("ReacherVertical-v2", "zero"): (-28.76, 13.68, 0.43),
    ("ReacherTurn-v2", "random"): (-216.62, 82.82, 2.62),
    ("ReacherTurn-v2", "zero"): (-183.27, 88.19, 2.79),
    ("ReacherPush-v2", "random"): (-308.67, 154.91, 4.90),
    ("ReacherPush-v2", "zero"): (-151.68, 91.70, 2.90),
    ("Pusher-v2", "random"): (-149.72, 7.43, 0.23),
    ("Pusher-v2", "zero"): (-54.42, 5.29, 0.17),
    ("Striker-v2", "random"): (-469.77, 76.05, 2.40),
    ("Striker-v2", "zero"): (-257.49, 75.67, 2.39),
    ("Thrower-v2", "random"): (-295.29, 99.51, 3.15),
    ("Thrower-v2", "zero"): (-136.48, 17.55, 0.56),
}

each_task = pytest.mark.parametrize("env_id", IDS)


@each_task
def test_spaces(env_id):
    env = gym.make(env_id)
    observation_size, nq, nv, bounds, fps = SPACES[env_id]
    bounds = np.array(bounds, np.float32)
    assert env.observation_space == gym.spaces.Box(-np.inf, np.inf, (observation_size,), np.float64)
    assert env.action_space == gym.spaces.Box(-bounds, bounds, dtype=np.float32)
    model = env.unwrapped.model
    assert (model.nq, model.nv) == (nq, nv)
    assert env.unwrapped.dt == pytest.approx(1 / fps)
    assert env.metadata["render_fps"] == fps


@each_task
def test_gymnasium_checker_has_no_complaint(env_id):
    env = gym.make(env_id).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The original's spaces are unbounded.
        warnings.filterwarnings("ignore", message=".*Box observation space m.*imum value is -?infinity.*")
        warnings.filterwarnings("ignore", message=".*For Box action spaces, we recommend using a symmetric and normal")
        check_env(env, skip_render_check=True)


def python(program: str, *flags: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *flags, "-c", program], check=False, capture_output=True, text=True)


def test_importing_and_making_them_warns_of_nothing():
    """Not of what gymnasium has under the same names either."""
    process = python(
        f"""
import gymnasium as gym
import envs
for env_id in {IDS}:
    gym.make(env_id).reset(seed=0)
""",
        "-W",
        "error",
    )
    assert (process.returncode, process.stderr) == (0, "")


def test_gymnasium_warns_of_other_environments_as_ever():
    process = python("""
import gymnasium as gym
import envs
for env_id in ("Other-v0", "Other-v0", "Other-v1"):
    gym.register(env_id, "envs.seven_dof_family.pusher:Pusher")
gym.make("Other-v0")
""")
    assert process.returncode == 0
    assert "Overriding environment Other-v0" in process.stderr and "Other-v0 is out of date" in process.stderr


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
    fresh, fresh_rewards = rollout(env, seed=1)
    rollout(env, seed=2, steps=37)
    again, rewards = rollout(env, seed=1)
    np.testing.assert_array_equal(fresh, again)
    np.testing.assert_array_equal(fresh_rewards, rewards)


@each_task
def test_reset_to_a_given_state_repeats_the_episode(env_id):
    env = gym.make(env_id).unwrapped
    observations, _ = rollout(env, seed=7, steps=0)
    start = {"qpos": env.data.qpos, "qvel": env.data.qvel}
    if env_id in REACHER_IDS:
        start["target_pos"] = env.model.body("target").pos
    other = gym.make(env_id).unwrapped
    other.reset(seed=8)
    np.testing.assert_array_equal(other.reset(options=start)[0], observations[0])
    low, high = env.action_space.low, env.action_space.high
    for action in np.random.default_rng(0).uniform(low, high, (20, len(low))):
        for one, same in zip(env.step(action)[:2], other.step(action)[:2], strict=True):
            np.testing.assert_array_equal(one, same)


@each_task
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"qpos": np.zeros(7)}, r"qpos.*\({nq},\).*\(7,\)"),
        ({"qvel": 0.0}, r"qvel.*\({nv},\).*\(\)"),
        ({"q_pos": np.zeros(2)}, "q_pos.*qpos, qvel"),
    ],
    ids=["qpos", "qvel", "unknown"],
)
def test_bad_starts_are_refused_and_change_nothing(env_id, options, message):
    env = gym.make(env_id).unwrapped
    env.reset(seed=0)
    before = env.state_vector()
    _, nq, nv, *_ = SPACES[env_id]
    with pytest.raises(ValueError, match=message.replace("{nq}", str(nq)).replace("{nv}", str(nv))):
        env.reset(options=options)
    np.testing.assert_array_equal(env.state_vector(), before)


@each_task
def test_observations_have_their_own_memory(env_id):
    env = gym.make(env_id).unwrapped
    first, _ = env.reset(seed=0)
    kept, action = first.copy(), np.ones(env.action_space.shape)
    second, *_ = env.step(action)
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(first, second)
    state = env.state_vector()
    second[:] = np.nan
    np.testing.assert_array_equal(env.state_vector(), state)
    assert np.isfinite(env.step(action)[0]).all()


@each_task
def test_every_entry_of_the_observation_varies(env_id):
    env = gym.make(env_id)
    spread = np.ptp(np.concatenate([rollout(env, seed, steps=20)[0] for seed in range(20)]), axis=0)
    assert list(np.flatnonzero(spread < 1e-9)) == CONSTANT[env_id]


@each_task
def test_the_time_limit_truncates_and_nothing_terminates(env_id):
    env = gym.make(env_id)
    env.reset(seed=0)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(100)]
    assert ends == [(False, False)] * 99 + [(False, True)]


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
    high = env.action_space.high * (policy == "random")
    env.reset(seed=0)
    returns = []
    for _ in range(episodes):
        env.reset()
        returns.append(sum(env.step(action)[1] for action in rng.uniform(-high, high, (100, len(high)))))
    assert abs(np.mean(returns) - mean) <= 4 * np.hypot(deviation / np.sqrt(episodes), standard_error)
    assert np.std(returns) == pytest.approx(deviation, rel=0.25)
