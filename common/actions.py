"""Actions as an environment takes them: memory of its own, its own type, within its bounds."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from common.errors import Diverged


class OwnActions(gymnasium.ActionWrapper):
    """Takes actions in float32, as networks make and files keep them, and hands out copies in the environment's type.

    The environment may write into what it gets. What lies outside of its bounds is put at them.

    Args:
        env: with a one-dimensional Box of floats for actions.
    Attributes:
        action_space: the environment's own if that is of float32, else the largest such Box of float32 within it.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        assert isinstance(env.action_space, Box)
        self._low, self._high, self._dtype = env.action_space.low, env.action_space.high, env.action_space.dtype
        if self._dtype != np.float32:
            self.action_space = Box(*bounds_within(env.action_space), dtype=np.float32)

    @property
    def spec(self) -> Any:  # type: ignore[override]
        """The environment's own: this wrapper does not count."""
        return self.env.spec

    def action(self, action: np.ndarray) -> np.ndarray:
        """An action (A,) for the environment: a new array; raises `Diverged` if the action is not finite."""
        if not np.isfinite(action).all():
            raise Diverged(f"an action is not finite: {action}")
        return np.minimum(np.maximum(action, self._low), self._high).astype(self._dtype, copy=False)


def bounds_within(space: Box) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest (A,) numbers of float32 that lie within a Box of any type of floats."""
    with np.errstate(all="ignore"):
        low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    low = np.where(low < space.low, np.nextafter(low, np.float32(np.inf)), low)
    high = np.where(high > space.high, np.nextafter(high, np.float32(-np.inf)), high)
    return low, high


def can_be_drawn(low: np.ndarray, high: np.ndarray) -> bool:
    """Whether float32 has the middle of bounds (A,) of float32, and their distance."""
    numbers = np.finfo(np.float32)
    if (np.abs([low, high]) > numbers.max / 2).any():
        return False
    with np.errstate(all="ignore"):
        middle, distance = (low + high) / 2, high - low
    return bool(((distance > 2 * numbers.tiny) & (low < middle) & (middle < high)).all())
