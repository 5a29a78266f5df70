"""The well-behaved environment that those of `nasty_envs` and `nasty_returns` are made of."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import register

PLANE = spaces.Box(-np.inf, np.inf, (2,), np.float64)
NASTY: dict[str, type["Nasty"]] = {}


class Nasty(gymnasium.Env):
    """A point in the plane, moved by actions; well-behaved but for what a class below changes."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}
    must: ClassVar[tuple[int, str]] = (0, "")
    limit: ClassVar[int | None] = 7
    observation_space = PLANE
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def __init_subclass__(cls) -> None:
        NASTY[cls.__name__] = cls
        register(f"{cls.__name__}-v0", cls, max_episode_steps=cls.limit)

    def __init__(self, render_mode: str | None = None, width: int = 64, height: int = 64) -> None:
        self.render_mode, self.size, self.steps = render_mode, (height, width, 3), 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.position = self.np_random.uniform(-1, 1, 2)
        return self.position.copy(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        self.position = self.position + 0.1 * np.asarray(action, np.float64)
        return self.position.copy(), -float(np.abs(self.position).sum()), False, False, {}

    def render(self) -> Any:
        return np.zeros(self.size, np.uint8)
