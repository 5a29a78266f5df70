"""What the tests of both families use: play, and the look of a uniform distribution."""

import numpy as np


def rollout(env, seed: int, steps: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Observations `(steps + 1, O)` and rewards `(steps,)` of uniform random actions."""
    env.action_space.seed(seed)
    observations, rewards = [env.reset(seed=seed)[0]], []
    for _ in range(steps):
        observation, reward, *_ = env.step(env.action_space.sample())
        observations.append(observation)
        rewards.append(reward)
    return np.array(observations), np.array(rewards)


def assert_uniform(values: np.ndarray, low: float, high: float) -> None:
    """All of `(n,)` lie in the interval, which their quartiles split evenly (5 standard errors)."""
    assert low <= values.min() and values.max() <= high
    quartiles = (np.quantile(values, [0.25, 0.5, 0.75]) - low) / (high - low)
    np.testing.assert_allclose(quartiles, [0.25, 0.5, 0.75], atol=5 * 0.5 / np.sqrt(len(values)))
