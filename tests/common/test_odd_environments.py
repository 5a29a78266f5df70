"""Environments that keep to gymnasium's API in unusual ways, and values whose own methods raise."""

import collections
import contextlib
import copy
import dataclasses
import functools
import random
import sys
import types
from typing import NamedTuple

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from gymnasium.spaces import Box

from common.environment_identity import what_it_does
from common.environments import attribute, make_env, require_alike
from common.errors import EnvironmentFault, UsageError
from common.stable_repr import stable_repr

pytestmark = pytest.mark.quick
TYPES = ["uint16", "uint32", "uint64", "longdouble", ">f4", ">i2"]


class Odd(gymnasium.Env):
    """Observes 3 numbers of a type; a step returns `reward`."""

    action_space = Box(-1, 1, (1,))

    def __init__(self, dtype="float32", declared=None, reward=0.0, size=3, space=None, **_):
        self.observation_space = space or Box(0, 100, (size,), np.dtype(declared or dtype))
        self.dtype, self.reward, self.size = dtype, reward, size

    def reset(self, *, seed=None, options=None):
        return np.arange(7, 7 + self.size).astype(self.dtype), {}

    def step(self, action):
        return self.reset()[0], self.reward, False, False, {}

    @property
    def data(self):
        raise RuntimeError("not yet")


class Unwilling:
    """Becomes no array."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("not now")


@pytest.fixture
def made():
    gymnasium.register("Odd-v0", Odd, max_episode_steps=9)
    yield lambda **kwargs: make_env("Odd-v0", **kwargs)
    del gymnasium.registry["Odd-v0"]


class Incomparable(Box):
    def __eq__(self, other):
        raise RuntimeError("not alike")


def test_spaces_that_cannot_be_compared_are_told(made):
    envs = [made(space=Incomparable(0, 100, (3,), np.float32)) for _ in range(2)]
    with pytest.raises(UsageError, match="--env Odd-v0: its spaces cannot be compared: not alike: use gymnasium's"):
        require_alike(envs[0], envs[1:], "--env Odd-v0")


def test_output_that_a_program_has_silenced_stays_silent(made):
    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        env = made()
        env.reset(seed=0)
        env.step(np.zeros(1, np.float32))
        env.close()
        assert sys.stdout is None and sys.stderr is None


@pytest.mark.parametrize("declared", [None, "float32"], ids=["declared", "not declared"])
@pytest.mark.parametrize("dtype", TYPES)
def test_observations_that_no_checkpoint_can_hold_become_float64(made, dtype, declared):
    env = made(dtype=dtype, declared=declared)
    for observation in (env.reset()[0], env.step(np.zeros(1, np.float32))[0]):
        assert observation.dtype == np.float64 and observation.tolist() == [7, 8, 9]
    assert env.observation_space.dtype == (np.float32 if declared else np.float64)
    assert env.observation_space.high.tolist() == [100, 100, 100]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", "float64"])
def test_other_types_stay_what_they_are(made, dtype):
    assert made(dtype=dtype).reset()[0].dtype == dtype


@pytest.mark.parametrize("reward", [10**400, Unwilling()], ids=["larger than a float", "no array"])
def test_a_reward_that_is_no_number_for_numpy_is_a_fault(made, reward):
    env = made(reward=reward)
    env.reset()
    with pytest.raises(EnvironmentFault, match=r"its step\(\) returned as reward"):
        env.step(np.zeros(1, np.float32))


def test_an_observation_that_becomes_no_array_is_a_fault(made):
    env = made()
    env.unwrapped.reset = lambda **_: (Unwilling(), {})
    with pytest.raises(EnvironmentFault, match=r"its reset\(\) returned the observation"):
        env.reset()


def test_empty_observations_are_refused(made):
    with pytest.raises(UsageError, match=r"--env Odd-v0: its observations, .*, are empty"):
        made(size=0)


@pytest.mark.parametrize("argument", [{1: 2, "a": 3}, {(0, 1): 2}], ids=["mixed keys", "tuples as keys"])
def test_arguments_may_be_dicts_of_any_keys(made, argument):
    assert what_it_does(made(argument=argument)) == what_it_does(made(argument=argument))
    assert what_it_does(made(argument=argument)) != what_it_does(made(argument={**argument, "b": 4}))


def test_arguments_are_told_as_repr_does_but_alike_in_every_process():
    plain = {"a": [1, (2,), (3, 4.5), None], "b": "<x at 0x1f>", "c": {1: True}}
    assert stable_repr(plain) == repr(plain)
    assert stable_repr({"b": 1, "a": 2}) == stable_repr({"a": 2, "b": 1})
    assert stable_repr({"b", "c", "a"}) == "set('a', 'b', 'c')"


@dataclasses.dataclass(frozen=True)
class Names:
    names: frozenset


class Gust:
    def __init__(self, force):
        self.force, self.itself = force, self

    def blow(self):
        return self.force


class Pair(NamedTuple):
    first: object
    second: object


def of_closure(number):
    return lambda: number


def test_arguments_are_told_in_full():
    """`repr` of an array leaves out the middle, of an object what it holds, of a set inside of an object its order."""
    calm, windy = np.zeros(2000), np.zeros(2000)
    windy[1000] = 0.5
    for first, second in (
        (calm, windy),
        (Gust(0.0), Gust(0.5)),
        (functools.partial(max, 1), functools.partial(max, 2)),
        (types.SimpleNamespace(a=calm), types.SimpleNamespace(a=windy)),
        (collections.OrderedDict(a=calm), collections.OrderedDict(a=windy)),
        (Pair(0, calm), Pair(0, windy)),
        (torch.from_numpy(calm), torch.from_numpy(windy)),
        (pd.DataFrame({"a": calm}), pd.DataFrame({"a": windy})),
        (lambda: 0.0, lambda: 1.0),
        (of_closure(0.0), of_closure(1.0)),
        (Gust(0.0).blow, Gust(1.0).blow),
        ({1: 0.5}, {"1": 0.5}),
        (torch.zeros(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16)),
        (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0])),
        (np.zeros(2, [("a", "f4")]), np.zeros(2, [("b", "f4")])),
        (random.Random(1).random, random.Random(2).random),
        (slice(np.float64(0), None), slice(np.float64(1), None)),
    ):
        assert stable_repr([first]) == stable_repr([first]) != stable_repr([second])
    assert "frozenset('a', 'b')" in stable_repr(Names(frozenset("ab")))


def test_arguments_that_refer_to_each_other_are_told_in_time():
    grid = {(i, j): Gust(0.0) for i in range(20) for j in range(20)}
    for (i, j), gust in grid.items():
        gust.near = [grid[at] for at in ((i + 1, j), (i, j + 1), (i - 1, j), (i, j - 1)) if at in grid]
    told = stable_repr(grid[0, 0])
    grid[19, 19].force = 0.5
    assert stable_repr(grid[0, 0]) != told
    deep = []
    for _ in range(10_000):
        deep = [deep]
    assert stable_repr(deep) == stable_repr(copy.copy(deep)) and stable_repr(10**5000) == "<builtins.int>"


@pytest.mark.parametrize("argument", [np.array([1.0, 0.0]), np.float32(0), Gust(0.0)])
def test_arguments_that_are_no_plain_values_are_part_of_what_an_environment_is(made, argument):
    other = Gust(0.9) if isinstance(argument, Gust) else argument + 0.9
    assert what_it_does(made(argument=argument)) == what_it_does(made(argument=copy.deepcopy(argument)))
    assert what_it_does(made(argument=argument)) != what_it_does(made(argument=other))


def test_arguments_of_wrappers_are_part_of_what_an_environment_is():
    prints = []
    for factor in (1.0, 1.0, 0.5):
        wrapper = gymnasium.envs.registration.WrapperSpec("Half", f"{__name__}:Half", {"factor": factor})
        gymnasium.register("Wrapped-v0", Rewarded, max_episode_steps=200, additional_wrappers=(wrapper,))
        prints.append(what_it_does(make_env("Wrapped-v0"))[0])
        del gymnasium.registry["Wrapped-v0"]
    assert prints[0] == prints[1] != prints[2]


class Rewarded(gymnasium.Env):
    """Rewards of 0."""

    observation_space, action_space = Box(-1, 1, (1,)), Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), self.reward(), False, False, {}

    def reward(self):
        return 0.0


class Half(gymnasium.Wrapper):
    def __init__(self, env, factor):
        super().__init__(env)


class OfNumpy(Rewarded):
    """Seeds numpy's own stream, as everything in the process may."""

    def reset(self, *, seed=None, options=None):
        np.random.seed(seed)
        return super().reset(seed=seed)

    def reward(self):
        return np.random.random()


class Harder(Rewarded):
    """Is harder in every episode."""

    episodes = 0

    def reset(self, *, seed=None, options=None):
        self.episodes += 1
        return super().reset(seed=seed)

    def reward(self):
        return -self.episodes


class OfItsOwn(Rewarded):
    """Has a stream of its own, seeded when a reset has a seed."""

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.goal = self.rng.random()
        return super().reset(seed=seed)

    def reward(self):
        return self.goal


class OfGymnasium(OfItsOwn):
    """Has gymnasium's."""

    def reset(self, *, seed=None, options=None):
        found = gymnasium.Env.reset(self, seed=seed) or (np.zeros(1, np.float32), {})
        self.goal = self.np_random.random()
        return found


@pytest.mark.parametrize(
    ("kind", "seeded", "by_stream"),
    [
        (OfNumpy, False, False),
        (Harder, False, False),
        (OfItsOwn, True, False),
        (OfGymnasium, True, True),
        (Rewarded, True, True),
    ],
)
def test_what_does_not_do_the_same_again_is_known(kind, seeded, by_stream):
    gymnasium.register("Again-v0", kind, max_episode_steps=7)
    try:
        env = make_env("Again-v0")
        streams = np.random.get_state()[1].copy(), torch.get_rng_state()
        assert (what_it_does(env)[1], what_it_does(env, by_its_stream=True)[1]) == (seeded, by_stream)
        assert np.array_equal(streams[0], np.random.get_state()[1]) and torch.equal(streams[1], torch.get_rng_state())
    finally:
        del gymnasium.registry["Again-v0"]


def test_an_attribute_that_raises_is_none(made):
    assert attribute(made(), "data") is None and attribute(made(), "no such") is None
    assert attribute(made(), "reward") == 0.0


def test_observations_of_more_numbers_than_there_is_room_for_are_refused(made):
    space = gymnasium.spaces.Dict({"number": gymnasium.spaces.Discrete(10**18)})
    with pytest.raises(UsageError, match="have no flat form"):
        made(space=space)
