"""Small environments whose right answers are known: `gymnasium.make("toy_envs:Walk-v0")` after `import toy_envs`."""

import random
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from gymnasium.envs.registration import register
from gymnasium.spaces import Box

STEP = 0.25


class Walk(gymnasium.Env):
    """A point in the plane: position += STEP * action, reward -|position|^2 afterwards.

    Args:
        low, high: bounds of the actions.
        breaks: whether positions become NaN from the sixth step on.
        dtype: of the actions.
    """

    def __init__(self, low=(-1, -1), high=(1, 1), breaks=False, dtype=np.float32):
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = Box(np.array(low, dtype), np.array(high, dtype), dtype=dtype)
        self.breaks = breaks

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.taken = self.np_random.uniform(-1, 1, 2), 0
        return self.position.copy(), {}

    def step(self, action):
        self.taken += 1
        self.position += STEP * np.asarray(action)
        if self.breaks and self.taken > 5:
            self.position[:] = np.nan
        return self.position.copy(), -float(np.square(self.position).sum()), False, False, {}


class Strict(Walk):
    """Walk that takes nothing but what is in its action space, and writes into it."""

    def step(self, action):
        assert action.dtype == self.action_space.dtype and self.action_space.contains(action), action
        moved = super().step(action)
        action *= 0.25
        return moved


class Talkative(Walk):
    """Walk whose `info` has the keys of others, as `told` of the class has them."""

    told: ClassVar[dict[str, Any]] = {}

    def reset(self, **kwargs):
        return super().reset(**kwargs)[0], dict(self.told)

    def step(self, action):
        return *super().step(action)[:4], dict(self.told)


class Huge(Walk):
    """Walk that after `first` steps of its life returns a `number` that is none for float32, in one `place`."""

    first: ClassVar[int] = 40

    def __init__(self, place, number=1e300):
        super().__init__()
        self.place, self.number, self.lived = place, number, 0

    def reset(self, **kwargs):
        position, info = super().reset(**kwargs)
        return self._changed("reset", position), info

    def step(self, action):
        self.lived += 1
        position, reward, *rest = super().step(action)
        return self._changed("observation", position), self._changed("reward", np.array([reward]))[0], *rest

    def _changed(self, place, values):
        if self.place == place and self.lived >= self.first:
            values[0] = self.number
        return values


class Scripted(gymnasium.Env):
    """Episodes of given lengths and ends, of random observations and rewards, each of which is kept.

    Args:
        schedule: (length, end) of the episodes, in a cycle; end is "terminated", "truncated" or "both".
        number: observations and rewards are this environment's own.
        action_dim: A.
    Attributes:
        episodes: for each begun episode its `states`, `actions`, `rewards`, `end` (None while under way) and `seed`.
    """

    def __init__(self, schedule, number=0, action_dim=2):
        self.observation_space = Box(-np.inf, np.inf, (3,), np.float64)
        self.action_space = Box(-1, 1, (action_dim,), np.float32)
        self.schedule, self.rng, self.episodes = schedule, np.random.default_rng(number), []

    def _observe(self):
        self.episodes[-1]["states"].append(self.rng.standard_normal(3))
        return self.episodes[-1]["states"][-1].copy()

    def reset(self, *, seed=None, options=None):
        self.episodes.append({"states": [], "actions": [], "rewards": [], "end": None, "seed": seed})
        return self._observe(), {}

    def step(self, action):
        episode = self.episodes[-1]
        assert episode["end"] is None, "a step after the end of an episode"
        length, end = self.schedule[(len(self.episodes) - 1) % len(self.schedule)]
        episode["actions"].append(np.array(action))
        episode["rewards"].append(float(self.rng.standard_normal()))
        if len(episode["actions"]) == length:
            episode["end"] = end
        terminated, truncated = episode["end"] in ("terminated", "both"), episode["end"] in ("truncated", "both")
        return self._observe(), episode["rewards"][-1], terminated, truncated, {}


class Seeding(Walk):
    """Walk that seeds the random streams of the process as it is reset, and notes the actions of every episode."""

    made: ClassVar[list["Seeding"]] = []

    def __init__(self):
        super().__init__()
        self.episodes = []
        self.made.append(self)

    def reset(self, **kwargs):
        np.random.seed(0)
        random.seed(0)
        torch.manual_seed(0)
        self.episodes.append([])
        return super().reset(**kwargs)

    def step(self, action):
        self.episodes[-1].append(np.array(action))
        return super().step(action)


register("Seeding-v0", Seeding, max_episode_steps=6)
register("Walk-v0", Walk, max_episode_steps=6)
register("ns/Walk-v0", Walk, max_episode_steps=6)  # its folder is called ns_Walk-v0
register("ns_Walk-v0", Walk, max_episode_steps=6)
register("WalkShort-v0", Walk, max_episode_steps=3)
register("WalkEndless-v0", Walk)
register("WalkSkewed-v0", Walk, max_episode_steps=6, kwargs={"low": (-1, -2), "high": (3, 2)})
register("WalkUnbounded-v0", Walk, max_episode_steps=6, kwargs={"high": (1, np.inf)})
register("WalkBreaks-v0", Walk, max_episode_steps=9, kwargs={"breaks": True})
register("WalkFar-v0", Walk, max_episode_steps=6, kwargs={"low": (2, 2), "high": (3, 3)})
register("Scripted-v0", Scripted, max_episode_steps=100, kwargs={"schedule": [(5, "terminated")]})
register("Talkative-v0", Talkative, max_episode_steps=6)
for place in ("reset", "observation", "reward"):
    register(f"Huge-{place}-v0", Huge, max_episode_steps=6, kwargs={"place": place})
register("HugeSum-v0", Huge, max_episode_steps=6, kwargs={"place": "reward", "number": 2e38})
THIRDS = {"low": (-1 / 3, -0.7), "high": (0.1, 2 / 3)}  # in float64 they are not numbers of float32
register("Strict-v0", Strict, max_episode_steps=6, kwargs=THIRDS)
register("Strict64-v0", Strict, max_episode_steps=6, kwargs=THIRDS | {"dtype": np.float64})
register("Strict16-v0", Strict, max_episode_steps=6, kwargs=THIRDS | {"dtype": np.float16})
register("WalkWhole-v0", Walk, max_episode_steps=6, kwargs={"low": (-3, -3), "high": (3, 3), "dtype": np.int64})
register("WalkNear-v0", Walk, max_episode_steps=6, kwargs={"low": (1, 1), "high": (1 + 1e-9, 2), "dtype": np.float64})
register("WalkWide-v0", Walk, max_episode_steps=6, kwargs={"low": (-1e300, -1), "dtype": np.float64})
