"""Point and PointMass: their motion, starts, rewards and drawings."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs  # noqa: F401  (registers its environments)

pytestmark = pytest.mark.quick

BOTH = ["Point-v0", "PointMass-v0"]


@pytest.mark.parametrize("env_id", BOTH)
@pytest.mark.filterwarnings("ignore")
def test_gymnasium_finds_no_fault(env_id):
    check_env(gymnasium.make(env_id, render_mode="rgb_array").unwrapped)


def play(env_id, actions, seed=0, **flags):
    env = gymnasium.make(env_id, **flags)
    observations, rewards = [env.reset(seed=seed)[0]], []
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        observations.append(observation)
        rewards.append(reward)
    return env, np.array(observations), np.array(rewards), (terminated, truncated)


ACTIONS = np.random.default_rng(0).uniform(-1, 1, (100, 2)).astype(np.float32)


def test_a_point_goes_where_the_action_says():
    _, seen, rewards, ends = play("Point-v0", ACTIONS)
    assert np.abs(seen[0]).max() <= 1 and ends == (False, True)
    literal = seen[0] + 0.05 * np.cumsum(ACTIONS.astype(np.float64), axis=0)
    np.testing.assert_allclose(seen[1:], literal)
    np.testing.assert_allclose(rewards, -np.hypot(*literal.T) - 0.01 * np.square(ACTIONS.astype(np.float64)).sum(1))


def test_a_point_mass_is_pushed():
    _, seen, rewards, ends = play("PointMass-v0", ACTIONS)
    position, velocity = np.zeros(2), np.zeros(2)
    assert not seen[0].any() and ends == (False, True)
    for action, observation, reward in zip(ACTIONS.astype(np.float64), seen[1:], rewards, strict=True):
        velocity = velocity + 0.05 * (10 * action - velocity)
        position = position + 0.05 * velocity
        np.testing.assert_allclose(observation, [*position, *velocity])
        assert reward == pytest.approx(-np.hypot(*position) - 0.01 * (action**2).sum())


def test_starts_of_points_fill_the_square():
    env = gymnasium.make("Point-v0")
    starts = np.array([env.reset(seed=seed)[0] for seed in range(300)])
    assert starts.min() > -1 and starts.max() < 1 and (np.abs(starts.mean(0)) < 0.12).all()
    np.testing.assert_allclose(starts.std(0), 3**-0.5, rtol=0.1)


@pytest.mark.parametrize("env_id", BOTH)
def test_observations_have_their_own_memory(env_id):
    env = gymnasium.make(env_id)
    first, _ = env.reset(seed=0)
    kept = first.copy()
    env.step(np.ones(2, np.float32))
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("env_id", BOTH)
def test_a_drawing_shows_the_point_and_its_way(env_id):
    actions = np.tile(np.array([[0.5, 1.0]], np.float32), (15, 1))
    env, seen, *_ = play(env_id, actions, render_mode="rgb_array", width=200, height=100)
    image = env.render()
    assert image.shape == (100, 200, 3) and image.dtype == np.uint8
    rows, columns = np.nonzero((image == (214, 39, 40)).all(-1))
    x, y = seen[-1, :2] / env.unwrapped.span
    assert columns.mean() == pytest.approx((1 + x) * 100, abs=1.5)
    assert rows.mean() == pytest.approx((1 - y) * 50, abs=1.5)
    assert (image == (150, 180, 220)).all(-1).sum() > 10
    env.reset(seed=1)
    assert not (env.render() == (150, 180, 220)).all(-1).any()
