"""What an environment sets for torch, as it is made and as it is played, is undone or refused."""

import operator

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from common.environments import make_env
from common.errors import EnvironmentFault
from common.guarded_environment import torch_settings

pytestmark = pytest.mark.quick


class Odd(gymnasium.Env):
    """Does something to torch as it is made."""

    observation_space = action_space = Box(-1, 1, (1,))

    def __init__(self, to_torch=lambda: None, **_):
        to_torch()

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return self.reset()[0], 0.0, False, False, {}


@pytest.fixture
def made():
    gymnasium.register("Odd-v0", Odd, max_episode_steps=9)
    yield lambda **kwargs: make_env("Odd-v0", **kwargs)
    del gymnasium.registry["Odd-v0"]


def test_an_environment_that_changes_the_type_of_all_networks_is_refused(made):
    try:
        with pytest.raises(EnvironmentFault, match=r"Odd-v0: it left torch's default type at torch.float64"):
            made(to_torch=lambda: torch.set_default_dtype(torch.float64))
    finally:
        torch.set_default_dtype(torch.float32)
    try:
        with pytest.raises(EnvironmentFault, match=r"Odd-v0: it left torch's default device at meta"):
            made(to_torch=lambda: torch.set_default_device("meta"))
    finally:
        torch.set_default_device(None)


def test_what_an_environment_sets_for_torch_as_it_is_made_is_undone(made):
    made(to_torch=lambda: [torch.set_grad_enabled(False), torch.set_float32_matmul_precision("medium")])
    assert torch.is_grad_enabled() and torch.backends.mkldnn.matmul.fp32_precision == "none"


@pytest.mark.parametrize("place", ["", "mkldnn", "mkldnn.matmul", "cuda.matmul"])
def test_the_newer_settings_of_products_are_undone_too(made, place):
    def change():
        operator.attrgetter(f"backends.{place}" if place else "backends")(torch).fp32_precision = "tf32"

    env = made(to_torch=change)
    assert torch_settings().products == ("none",) * 4
    own, reset = env.unwrapped, env.unwrapped.reset
    own.reset = lambda **options: [change(), reset(**options)][1]
    env.reset(seed=0)
    assert torch_settings().products == ("none",) * 4


def test_an_environment_that_cannot_be_made_leaves_torch_as_it_was(made):
    def change():
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        raise RuntimeError("no")

    with pytest.raises(EnvironmentFault, match="no"):
        made(to_torch=change)
    assert torch.is_grad_enabled() and torch.get_default_dtype() is torch.float32


def test_what_the_caller_has_set_for_torch_stays_and_blames_no_environment(made):
    try:
        torch.set_default_dtype(torch.float64)
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
        env = made()
        env.reset(seed=0)
        env.step(np.zeros(1, np.float32))
        assert torch.get_default_dtype() is torch.float64
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
    finally:
        torch.set_default_dtype(torch.float32)
        torch.backends.mkldnn.matmul.fp32_precision = "none"


def test_what_an_episode_sets_for_torch_is_undone(made):
    env = made()
    own = env.unwrapped
    reset, step = own.reset, own.step
    own.reset = lambda **options: [torch.set_grad_enabled(False), reset(**options)][1]
    env.reset(seed=0)
    assert torch.is_grad_enabled()
    own.step = lambda action: [torch.set_default_dtype(torch.float64), step(action)][1]
    with pytest.raises(EnvironmentFault, match=r"its step\(\) left torch's default type at torch.float64"):
        env.step(np.zeros(1, np.float32))
    assert torch.get_default_dtype() is torch.float32


def test_a_default_device_and_threads_that_an_episode_leaves(made):
    env, threads = made(), torch.get_num_threads()
    own = env.unwrapped
    reset, step = own.reset, own.step
    own.reset = lambda **options: [torch.set_num_threads(threads + 1), reset(**options)][1]
    env.reset(seed=0)
    assert torch.get_num_threads() == threads
    own.step = lambda action: [torch.set_num_threads(threads + 1), torch.set_default_device("meta"), step(action)][2]
    with pytest.raises(EnvironmentFault, match=r"its step\(\) left torch's default device at meta"):
        env.step(np.zeros(1, np.float32))
    assert torch.get_default_device() == torch.device("cpu") and torch.get_num_threads() == threads
