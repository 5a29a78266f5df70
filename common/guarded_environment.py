"""What an environment does wrong is said to be its own: the wrapper that `common.environments.make_env` puts around all."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, NoReturn

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

from common.errors import Diverged, EnvironmentFault, one_line
from common.output import put_back_output
from envs.rendering import RenderingUnavailable

NOT_ITS_FAULT = (KeyboardInterrupt, EnvironmentFault, Diverged, RenderingUnavailable)
NUMERIC = "fiub"  # the kinds of numpy's types that are real numbers
# Types of observations that torch's files keep; unsigned ones beyond uint8, long ones and other byte orders become float64.
KEPT_DTYPES = frozenset(
    map(np.dtype, ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"))
)
_OWN_ERRORS = np.geterr()  # what numpy does about underflow and the like, unless a module of an environment changes it
_REWARDS = frozenset({float, np.float64, np.float32})
_ENDS = frozenset({bool, np.bool_})


class TorchSettings(NamedTuple):
    """What an environment must not change of torch."""

    gradients: bool  # whether they are recorded
    dtype: torch.dtype  # by default
    contexts: int  # that stand around torch's functions: a default device is one
    products: tuple[str, ...] | None  # how precise they are, or None: not looked at
    threads: int


# What torch takes the precision of float32 products from, each before those that follow it.
_ONEDNN: Any = torch.backends.mkldnn  # whose attributes are not typed
# How many contexts stand around torch's functions; asking for the default device takes as long as a step.
_contexts: Callable[[], int] = getattr(torch._C, "_len_torch_function_stack", lambda: 0)
_PRODUCTS = (torch.backends, _ONEDNN, _ONEDNN.matmul, torch.backends.cuda.matmul)


def torch_settings(products: bool = True) -> TorchSettings:
    """Torch's settings as they are; without `products` that part of them is left out, which takes longest."""
    precisions = tuple(place.fp32_precision for place in _PRODUCTS) if products else None
    return TorchSettings(
        torch.is_grad_enabled(), torch.get_default_dtype(), _contexts(), precisions, torch.get_num_threads()
    )


def restore_torch(before: TorchSettings) -> str | None:
    """Puts back the settings that torch had; returns the default type or device that was left, in words, if it was another."""
    if torch.is_grad_enabled() != before.gradients:
        torch.set_grad_enabled(before.gradients)
    if torch.get_num_threads() != before.threads:
        torch.set_num_threads(before.threads)
    for place, precision in zip(_PRODUCTS, before.products or (), strict=False):
        if place.fp32_precision != precision:
            place.fp32_precision = precision
    if _contexts() != before.contexts:
        left = f"default device at {torch.get_default_device()}"
        torch.set_default_device(None)
        return left
    if (dtype := torch.get_default_dtype()) is not before.dtype:
        torch.set_default_dtype(before.dtype)
        return f"default type at {dtype}"
    return None


class GuardedEnvironment(gymnasium.Wrapper):
    """Raises `EnvironmentFault` for all that an environment raises, and where it returns what gymnasium's API does not allow.

    Observations are copied, so that it may write to its own arrays afterwards; numbers and `spec` stay what they are, and so
    do types in which checkpoints can hold observations (`KEPT_DTYPES`), others become float64. Two
    rules are gymnasium's in spirit: observations outside their space and NaN pass, these are for others to judge. The
    working folder must not change, since paths of results may be relative to it. How numpy is to treat underflow and the like,
    if its module has set that, holds within its calls alone; so does whether torch records gradients, and with how many
    threads it computes. How precisely torch multiplies is put back after resets, output that was set to None after every
    call. A step costs 2.6 us more (AMD EPYC).

    Args:
        env: of a Box observation space.
        name: flag and environment as the user gave them, which a fault's line begins with.
    """

    _errors: ClassVar[Mapping[str, Any] | None] = None  # what environments have set in the place of `_OWN_ERRORS`

    def __init__(self, env: gymnasium.Env, name: str) -> None:
        super().__init__(env)
        self._take_errors()
        self._name = name
        self.action_space, self.observation_space = env.action_space, env.observation_space  # which might change
        if isinstance(space := self.observation_space, Box) and space.dtype not in KEPT_DTYPES:
            self.observation_space = Box(space.low.astype(np.float64), space.high.astype(np.float64), dtype=np.float64)
        self._shape = space.shape
        self._folder = working_folder()

    @property
    def spec(self) -> Any:  # type: ignore[override]
        """The environment's own: this wrapper does not count."""
        return self.env.spec

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Starts an episode; returns its first observation (O,), a copy, and its info."""
        before = torch_settings()
        streams = sys.stdout, sys.stderr
        try:
            result = self._call(self.env.reset, seed=seed, options=options)
        except NOT_ITS_FAULT:
            raise
        except BaseException as error:
            raise fault(self._name, "reset", error) from error
        finally:
            put_back_output(*streams)
            left = restore_torch(before)
        self._refuse_left("reset", left)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            self._refuse("reset", f"returned {_told(result)} instead of (observation, info)")
        observation = self._observation("reset", result[0])
        if not isinstance(result[1], dict):
            self._refuse("reset", f"returned the info {_told(result[1])}: it must be a dict")
        self.check_folder("reset")
        return observation, result[1]

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict]:
        """A step: (observation (O,), a copy, reward, terminated, truncated, info)."""
        before = torch_settings(products=False)
        streams = sys.stdout, sys.stderr
        try:
            result = self.env.step(action) if self._errors is None else self._call(self.env.step, action)
        except NOT_ITS_FAULT:
            raise
        except BaseException as error:
            raise fault(self._name, "step", error) from error
        finally:
            put_back_output(*streams)
            left = restore_torch(before)
        self._refuse_left("step", left)
        if not isinstance(result, (tuple, list)) or len(result) != 5:  # a union would take 0.1 us
            told = f"returned {_told(result)} instead of (observation, reward, terminated, truncated, info)"
            self._refuse("step", told)
        observation, reward, terminated, truncated, info = result
        if type(observation) is np.ndarray and observation.shape == self._shape and observation.dtype in KEPT_DTYPES:
            observation = observation.copy()
        else:
            observation = self._observation("step", observation)
        if type(reward) not in _REWARDS:
            reward = self._single("reward", reward, NUMERIC)
        if type(terminated) not in _ENDS:
            terminated = bool(self._single("terminated", terminated, "biu"))
        if type(truncated) not in _ENDS:
            truncated = bool(self._single("truncated", truncated, "biu"))
        if not isinstance(info, dict):
            self._refuse("step", f"returned the info {_told(info)}: it must be a dict")
        if terminated or truncated:
            self.check_folder("step")
            self._take_errors()
        return observation, reward, terminated, truncated, info

    def render(self) -> Any:
        """The environment's own image."""
        before = torch_settings()
        streams = sys.stdout, sys.stderr
        try:
            return self._call(self.env.render)
        except NOT_ITS_FAULT:
            raise
        except BaseException as error:
            raise fault(self._name, "render", error) from error
        finally:
            put_back_output(*streams)
            restore_torch(before)

    def close(self) -> None:
        """Closes the environment; what that raises is told on stderr and stops nothing, for all is done by then."""
        before = torch_settings()
        streams = sys.stdout, sys.stderr
        try:
            self._call(self.env.close)
        except NOT_ITS_FAULT:
            raise
        except BaseException as error:  # noqa: BLE001 (all was done)
            print(f"{self._name}: its close() raised {_raised(error)}: nothing is lost", file=sys.stderr)
        finally:
            put_back_output(*streams)
            restore_torch(before)

    def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What a method of the environment returns, called with numpy as its module has set it."""
        with np.errstate(**(self._errors or {})):
            result, found = method(*args, **kwargs), np.geterr()
        GuardedEnvironment._errors = found if found != _OWN_ERRORS else None
        return result

    @staticmethod
    def _take_errors() -> None:
        """Undoes what an environment has set for numpy; its calls get it back."""
        if (found := np.geterr()) != _OWN_ERRORS:
            GuardedEnvironment._errors = found
            np.seterr(**_OWN_ERRORS)

    def _refuse_left(self, call: str, left: str | None) -> None:
        if left is not None:
            self._refuse(call, f"left torch's {left}")

    def _refuse(self, call: str, problem: str) -> NoReturn:
        raise EnvironmentFault(f"{self._name}: its {call}() {problem}: mend it", call)

    def _observation(self, call: str, observation: Any) -> np.ndarray:
        """A copy of an observation; it must be numbers of the shape that its space declares."""
        try:
            array = np.array(observation)
        except Exception:  # noqa: BLE001 (of several lengths, or its own __array__)
            array = np.array(None)
        if array.dtype.kind not in NUMERIC:
            self._refuse(call, f"returned the observation {_told(observation)}: it must be numbers")
        if array.shape != self._shape:
            self._refuse(call, f"returned an observation of shape {array.shape}, its space has {self._shape}")
        return array if array.dtype in KEPT_DTYPES else array.astype(np.float64)

    def _single(self, what: str, value: Any, kinds: str) -> Any:
        """One number, as it is or out of an array of one."""
        try:
            array = np.asarray(value)
        except Exception:  # noqa: BLE001 (its own __array__)
            array = np.array(None)
        if array.size != 1 or array.dtype.kind not in kinds:
            self._refuse(
                "step", f"returned as {what} {_told(value)}: it must be one number, of a size that numpy knows"
            )
        return array.item() if array.ndim else value

    def check_folder(self, call: str) -> None:
        """Raises the `EnvironmentFault` of a `call` after which the working folder is another."""
        if working_folder() != self._folder:
            self._refuse(call, f"left another working folder behind than {self._folder}, where results are written")


def fault(name: str, call: str, error: BaseException) -> EnvironmentFault:
    """The fault of an environment that raised `error` in `call`, `name` being flag and environment; raise it from `error`."""
    where = f"its {call}()" if call else "making it"
    return EnvironmentFault(f"{name}: {where} raised {_raised(error)}: mend it (--debug shows where)", call)


def working_folder() -> str | None:
    """The working folder; None if it was deleted."""
    try:
        return os.getcwd()
    except OSError:
        return None


def _raised(error: BaseException) -> str:
    try:
        text = one_line(error)
    except Exception:  # noqa: BLE001 (its own __str__)
        text = ""
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _told(value: Any) -> str:
    """A value in a few words."""
    try:
        text = one_line(repr(value))
    except Exception:  # noqa: BLE001 (its own __repr__)
        text = ""
    return text if 0 < len(text) <= 60 else f"of type {type(value).__name__}"
