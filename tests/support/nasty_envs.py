"""Environments that misbehave, each in one way: `nasty_envs:<class>-v0`.

A class says what must follow in training by `must`: the exit code, and words of the line on stderr.
"""

import os
import random
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.envs.registration import register

LATE = 27  # the step, of all of an environment, in which faults of mid-training show
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


# ---- raising ----


class Unspeakable(Exception):
    """An error that cannot be told."""

    def __str__(self) -> str:
        raise ValueError("no")


class RaisesWhenMade(Nasty):
    must = 2, "RaisesWhenMade-v0: making it raised KeyError: 'a'"

    def __init__(self, **_: Any) -> None:
        raise KeyError("a")


class FileMissingWhenMade(Nasty):
    must = 2, "making it raised FileNotFoundError: [Errno 2] No such file or directory: '/no/model.xml'"

    def __init__(self, **_: Any) -> None:
        Path("/no/model.xml").read_text()


class ExitsWhenMade(Nasty):
    must = 2, "making it raised SystemExit: 0"

    def __init__(self, **_: Any) -> None:
        sys.exit(0)


class HasNoSpaces(Nasty):
    must = 2, "making it raised AttributeError: no spaces"

    @property
    def action_space(self) -> Any:
        raise AttributeError("no spaces")


class RaisesInReset(Nasty):
    must = 2, "its reset() raised OSError: [Errno 28] No space left on device"

    def reset(self, **_: Any) -> Any:
        raise OSError(28, "No space left on device")


class ResetsWithoutSeed(Nasty):
    must = 2, "its reset() raised TypeError: ResetsWithoutSeed.reset() got an unexpected keyword argument 'seed'"

    def reset(self) -> Any:
        return np.zeros(2), {}


class RaisesInStep(Nasty):
    must = 2, "its step() raised Unspeakable: mend it"

    def step(self, action: Any) -> Any:
        raise Unspeakable


class RaisesLines(Nasty):
    must = 2, "its step() raised ValueError: one two"

    def step(self, action: Any) -> Any:
        raise ValueError("one\ntwo\n" + "x" * 10_000)


class Late(Nasty):
    """Raises `error` in mid-training."""

    error: ClassVar[BaseException] = KeyError("a")
    must = 4, "its step() raised KeyError: 'a': mend it (--debug shows where); the checkpoint of step 20, "

    def step(self, action: Any) -> Any:
        if self.steps >= LATE:
            raise self.error
        return super().step(action)


class LateExit(Late):
    error = SystemExit(0)
    must = 4, "its step() raised SystemExit: 0"


class LateMissingFile(Late):
    error = FileNotFoundError(2, "No such file or directory", "mine.txt")
    must = 4, "its step() raised FileNotFoundError: [Errno 2] No such file or directory: 'mine.txt'"


class LateBrokenPipe(Late):
    error = BrokenPipeError(32, "Broken pipe")
    must = 4, "its step() raised BrokenPipeError: [Errno 32] Broken pipe"


class LateFullDisk(Late):
    error = OSError(28, "No space left on device")
    must = 4, "its step() raised OSError: [Errno 28]"


class LateOwnBase(Late):
    error = BaseException("own")
    must = 4, "its step() raised BaseException: own"


class RaisesInAReset(Nasty):
    must = 4, "its reset() raised RuntimeError: broken: mend it (--debug shows where); the checkpoint of step 20"

    def reset(self, **keywords: Any) -> Any:
        if self.steps >= LATE:
            raise RuntimeError("broken")
        return super().reset(**keywords)


class RaisesInClose(Nasty):
    must = 0, "its close() raised ValueError: open: nothing is lost"

    def close(self) -> None:
        raise ValueError("open")


# ---- returning ----


class Returns(Nasty):
    """Returns `parts` in place of those of a step, from the first on."""

    parts: ClassVar[dict[int, Any]] = {}

    def step(self, action: Any) -> Any:
        result = list(super().step(action))
        for place, part in self.parts.items():
            result[place] = part
        return tuple(result)


class ReturnsNothing(Nasty):
    must = 2, "its step() raised TypeError: cannot unpack non-iterable NoneType object"  # gymnasium's TimeLimit does

    def step(self, action: Any) -> Any:
        return None


class ReturnsFour(Nasty):
    must = 2, "its step() raised ValueError: not enough values to unpack (expected 5, got 4)"

    def step(self, action: Any) -> Any:
        return 0.0, 1.0, False, {}


class ReturnsFourForEver(ReturnsFour):
    limit = None
    must = 2, "its episodes have no limit"


class ResetReturnsObservation(Nasty):
    must = 2, "its reset() returned array([0., 0.]) instead of (observation, info)"

    def reset(self, **_: Any) -> Any:
        return np.zeros(2)


class ReturnsNoObservation(Returns):
    parts: ClassVar = {0: None}
    must = 2, "its step() returned the observation None: it must be numbers"


class ReturnsText(Returns):
    parts: ClassVar = {0: np.array(["a", "b"])}
    must = 2, "its step() returned the observation array(['a', 'b'], dtype='<U1'): it must be numbers"


class ReturnsRagged(Returns):
    parts: ClassVar = {0: [[1.0], [2.0, 3.0]]}
    must = 2, "its step() returned the observation [[1.0], [2.0, 3.0]]: it must be numbers"


class ReturnsThree(Returns):
    parts: ClassVar = {0: np.zeros(3)}
    must = 2, "its step() returned an observation of shape (3,), its space has (2,)"


class ReturnsColumn(Returns):
    parts: ClassVar = {0: np.zeros((2, 1))}
    must = 2, "its step() returned an observation of shape (2, 1), its space has (2,)"


class ReturnsNaN(Returns):
    parts: ClassVar = {0: np.array([0.0, np.nan])}
    must = 3, "not finite"


class ReturnsInfiniteReward(Returns):
    parts: ClassVar = {1: np.inf}
    must = 3, "not finite"


class ReturnsList(Returns):
    parts: ClassVar = {0: [0.5, 0.25]}


class ReturnsIntegers(Returns):
    parts: ClassVar = {0: np.array([3, 4])}


class ReturnsHalves(Returns):
    parts: ClassVar = {0: np.zeros(2, np.float16)}


class RewardOfText(Returns):
    parts: ClassVar = {1: "1.5"}
    must = 2, "its step() returned as reward '1.5': it must be one number"


class RewardIsNothing(Returns):
    parts: ClassVar = {1: None}
    must = 2, "its step() returned as reward None: it must be one number"


class RewardOfTwo(Returns):
    parts: ClassVar = {1: np.zeros(2)}
    must = 2, "its step() returned as reward array([0., 0.]): it must be one number"


class RewardInAnArray(Returns):
    parts: ClassVar = {1: np.array([1.0])}


class RewardOfNoDimension(Returns):
    parts: ClassVar = {1: np.array(1.0)}


class EndsByText(Returns):
    parts: ClassVar = {2: "no"}
    must = 2, "its step() returned as terminated 'no': it must be one number"


class EndsByTwo(Returns):
    parts: ClassVar = {3: np.array([True, False])}
    must = 2, "its step() returned as truncated array([ True, False]): it must be one number"


class EndsByIntegers(Returns):
    parts: ClassVar = {2: 0, 3: np.int64(0)}


class InfoOfText(Returns):
    parts: ClassVar = {4: "all is well"}
    must = 2, "its step() returned the info 'all is well': it must be a dict"


class InfoIsNothing(Returns):
    parts: ClassVar = {4: None}
    must = 2, "its step() returned the info None: it must be a dict"


class TerminatesAtOnce(Returns):
    parts: ClassVar = {2: True}


class LeavesItsSpace(Returns):
    observation_space = spaces.Box(-1, 1, (2,), np.float64)
    parts: ClassVar = {0: np.array([1e6, -1e6])}


# ---- spaces ----


class NeverEnds(Nasty):
    limit = None
    must = 2, "NeverEnds-v0: its episodes have no limit: register it with max_episode_steps"


class ActsDiscretely(Nasty):
    action_space = spaces.Discrete(3)
    must = 2, "its actions are Discrete(3); DynE needs a one-dimensional Box"


class ActsInBits(Nasty):
    action_space = spaces.MultiBinary(3)
    must = 2, "its actions are MultiBinary(3)"


class ActsInADict(Nasty):
    action_space = spaces.Dict({"a": spaces.Box(-1, 1, (2,))})
    must = 2, "its actions are Dict("


class ActsInATuple(Nasty):
    action_space = spaces.Tuple([spaces.Box(-1, 1, (2,))])
    must = 2, "its actions are Tuple("


class ActsInAMatrix(Nasty):
    action_space = spaces.Box(-1, 1, (2, 2))
    must = 2, "DynE needs a one-dimensional Box"


class ActsInNothing(Nasty):
    action_space = spaces.Box(-1, 1, (0,))
    must = 2, "DynE needs a one-dimensional Box"


class ActsWithoutBounds(Nasty):
    action_space = spaces.Box(-np.inf, np.inf, (2,))
    must = 2, "they must be finite"


class ActsInAPoint(Nasty):
    action_space = spaces.Box(1, 1, (2,))
    must = 2, "its action bounds are [1. 1.] to [1. 1.]"


class ActsInNoSpace(Nasty):
    action_space = None
    must = 2, "its actions are None"


class Observes(Nasty):
    """Observes a sample of its space."""

    def reset(self, **keywords: Any) -> Any:
        super().reset(**keywords)
        self.observation_space.seed(0)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        return self.observation_space.sample(), *super().step(action)[1:]


class ObservesDiscretely(Observes):
    observation_space = spaces.Discrete(5)


class ObservesBits(Observes):
    observation_space = spaces.MultiBinary(4)


class ObservesADict(Observes):
    observation_space = spaces.Dict({"a": spaces.Discrete(3), "b": spaces.Box(-1, 1, (2, 2))})


class ObservesATuple(Observes):
    observation_space = spaces.Tuple([spaces.Discrete(3), spaces.Box(-1, 1, (2,))])


class ObservesImages(Observes):
    observation_space = spaces.Box(0, 255, (4, 4, 3), np.uint8)


class ObservesTexts(Observes):
    observation_space = spaces.Sequence(spaces.Box(-1, 1, (2,)))
    must = 2, "have no flat form"


class ObservesNoSpace(Nasty):
    observation_space = None
    must = 2, "its observations, None, have no flat form"


class ObservesWithoutAKey(Nasty):
    observation_space = spaces.Dict({"a": spaces.Box(-1, 1, (2,))})
    must = 2, "its reset() raised"


# ---- side effects ----


class WritesToItsObservations(Nasty):
    """Returns one array for ever, and writes to it."""

    def reset(self, **keywords: Any) -> Any:
        super().reset(**keywords)
        self.shown = self.position
        return self.shown, {}

    def step(self, action: Any) -> Any:
        self.position = self.shown
        result = super().step(action)
        self.shown[:] = result[0]
        return self.shown, *result[1:]


class Behaves(Nasty):
    """What the two classes around it must equal."""


class SeedsAllRandomNumbers(Nasty):
    def step(self, action: Any) -> Any:
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        return super().step(action)


class IsRandom(Nasty):
    def step(self, action: Any) -> Any:
        return np.random.default_rng().normal(size=2), *super().step(action)[1:]


class Chatters(Nasty):
    def step(self, action: Any) -> Any:
        print("x" * 10_000)
        return super().step(action)


class MovesAwayWhenMade(Nasty):
    must = 2, "making it left another working folder behind"

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        os.chdir("/")


class MovesAwayInReset(Nasty):
    must = 2, "its reset() left another working folder behind"

    def reset(self, **keywords: Any) -> Any:
        os.chdir("/")
        return super().reset(**keywords)


class MovesAwayInStep(Nasty):
    must = 2, "its step() left another working folder behind"

    def step(self, action: Any) -> Any:
        os.chdir("/")
        return super().step(action)


class Sleeps(Nasty):
    def step(self, action: Any) -> Any:
        time.sleep(0.002)
        return super().step(action)


# ---- drawing ----


class DrawsNothing(Nasty):
    def render(self) -> Any:
        raise KeyError("image")


class DrawsLate(Nasty):
    """Raises in a process that draws, after some images."""

    images = 0

    def render(self) -> Any:
        self.images += 1
        if self.images > 4:
            sys.exit(0)
        return super().render()
