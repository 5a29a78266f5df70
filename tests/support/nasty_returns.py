"""Environments that return what they should not, or have spaces of other kinds; see `nasty_envs`."""

from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from nasty_base import Nasty

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
    must = 2, "its action bounds are [1. 1.] to [1. 1.]; they must be finite and differ"


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
