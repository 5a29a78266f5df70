"""Small environments that draw: `gymnasium.make("toy_pixel_envs:Dot-v0", render_mode="rgb_array", ...)`."""

import multiprocessing
import os
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.envs.registration import register
from gymnasium.spaces import Box


class Dot(gymnasium.Env):
    """A position on a line that the action is added to; its image is dark but for noise of the position's own.

    Args:
        drawn: the type and the number of channels of its images.
        short: whether an episode may end before its limit, depending on the actions.
        moody: whether episodes after the third of all that were begun end at once.
        far: whether its actions lie between 2 and 3.
        dies: whether its process ends with the fifth image, if it has a parent of this library.
    """

    begun = 0

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, render_mode=None, width=256, height=256, drawn=(np.uint8, 3), **flags):
        self.render_mode, self.size, self.drawn, self.flags = render_mode, (height, width), drawn, flags
        self.images = 0
        self.observation_space = Box(-np.inf, np.inf, (1,), np.float64)
        self.action_space = Box(*((2, 3) if "far" in flags else (-1, 1)), (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        Dot.begun += 1
        self.position = self.np_random.uniform(-1, 1, 1)
        return self.position.copy(), {}

    def step(self, action):
        self.position += 0.1 * np.float64(action)
        over = ("short" in self.flags and action[0] > 0.6) or ("moody" in self.flags and Dot.begun > 3)
        return self.position.copy(), -abs(self.position.item()), bool(over), False, {}

    def render(self):
        self.images += 1
        if "dies" in self.flags and self.images == 5 and multiprocessing.parent_process():
            os._exit(9)
        dtype, channels = self.drawn
        rng = np.random.default_rng(int(1e6 * (self.position.item() + 100)))
        return rng.integers(0, 256, (*self.size, channels)).astype(dtype)


register("Dot-v0", Dot, max_episode_steps=6)
register("DotShort-v0", Dot, max_episode_steps=6, kwargs={"short": True})
register("DotMoody-v0", Dot, max_episode_steps=6, kwargs={"moody": True})
register("DotFar-v0", Dot, max_episode_steps=6, kwargs={"far": True})
register("DotDies-v0", Dot, max_episode_steps=6, kwargs={"dies": True})
register("DotGray-v0", Dot, max_episode_steps=6, kwargs={"drawn": (np.uint8, 1)})
register("DotFloat-v0", Dot, max_episode_steps=6, kwargs={"drawn": (np.float32, 3)})
