"""Checking the content of a checkpoint, entry by entry: whatever is wrong with it becomes a `CheckpointError`.

A file may be of another version, or made by someone to do harm. So loaders take no entry as it comes: they ask for
a whole number from 1 to 100, a tensor of this shape, the weights of that network.
"""

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from common.checkpoint import CheckpointError
from common.errors import UsageError

Module = TypeVar("Module", bound=nn.Module)

FLOATS = (torch.float32, torch.float64)
MOST = 10**6  # sizes beyond it are no sizes: steps of a plan, numbers of an observation
MOST_LAYERS = 100
POSITIVE, NOT_NEGATIVE = ("std", "half_range"), ("running_var", "variance")  # ends of the names of tensors in networks
ENV_ID, MODULE = r"[\w.+=/-]{0,200}", r"\w+(\.\w+)*"

# What code meets in values that it does not expect.
UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, AssertionError, MemoryError)


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Within `with`, whatever is wrong with the content of the file `path` becomes a `CheckpointError` that names it."""
    try:
        yield
    except (CheckpointError, *UNFIT) as error:
        reason = error if isinstance(error, CheckpointError) else repr(error)
        raise CheckpointError(f"{path} is not of this version, or was altered: {reason}") from error


def entry(content: Any, name: str) -> Any:
    """The entry `name` of a dict, whatever it is."""
    if not isinstance(content, dict) or name not in content:
        raise CheckpointError(f"there is no {name}")
    return content[name]


def table(content: Any, name: str) -> dict[str, Any]:
    """A dict whose keys are names."""
    found = entry(content, name)
    if not isinstance(found, dict) or not all(type(key) is str for key in found):
        raise CheckpointError(f"{name} is no dict of names")
    return found


def whole(content: Any, name: str, low: int, high: int = MOST) -> int:
    """A whole number from `low` to `high`."""
    found = entry(content, name)
    if type(found) is not int or not low <= found <= high:
        raise CheckpointError(f"{name} is {_shown(found)}, not a whole number from {low} to {high}")
    return found


def positive(content: Any, name: str, high: float) -> float:
    """A number above 0, up to `high`."""
    found = entry(content, name)
    if type(found) not in (int, float) or not 0 < found <= high:
        raise CheckpointError(f"{name} is {_shown(found)}, not a number above 0, up to {high:g}")
    return found


def number(content: Any, name: str) -> float:
    """A finite number of at least 0."""
    found = entry(content, name)
    if type(found) not in (int, float) or not 0 <= found < math.inf:
        raise CheckpointError(f"{name} is {_shown(found)}, not a number of at least 0")
    return found


def choice(content: Any, name: str, *options: Any) -> Any:
    """One of the values `options`."""
    found = entry(content, name)
    if not any(type(found) is type(option) and found == option for option in options):
        raise CheckpointError(f"{name} is {_shown(found)}, not one of {', '.join(map(str, options))}")
    return found


def tensor(
    content: Any, name: str, shape: tuple[int | None, ...], dtypes: tuple[torch.dtype, ...] = FLOATS
) -> torch.Tensor:
    """A tensor of finite numbers.

    Args:
        shape: its shape; None: any length but 0.
        dtypes: those that it may have.
    """
    found = entry(content, name)
    if not isinstance(found, torch.Tensor) or found.dtype not in dtypes:
        raise CheckpointError(f"{name} is {_shown(found)}, not a tensor of {' or '.join(map(str, dtypes))}")
    fits = len(shape) == found.dim() and all(
        have == want if want is not None else have > 0 for have, want in zip(found.shape, shape, strict=True)
    )
    if not fits:
        wanted = tuple("any" if want is None else want for want in shape)
        raise CheckpointError(f"{name} has the shape {tuple(found.shape)}, not {wanted}")
    if not torch.isfinite(found).all():
        raise CheckpointError(f"{name} is not finite")
    return found.detach()


def widths(content: Any, name: str, outputs: int) -> list[int]:
    """The widths of the layers of an `MLP`, the last of which is `outputs`."""
    found = entry(content, name)
    if not isinstance(found, list | tuple) or not 2 <= len(found) <= MOST_LAYERS:
        raise CheckpointError(f"{name} is {_shown(found)}, not a list of 2 to {MOST_LAYERS} widths")
    *inner, last = ({"width": width} for width in found)
    return [whole(one, "width", 1) for one in inner] + [whole(last, "width", outputs, outputs)]


def bounds(content: Any, dtypes: tuple[torch.dtype, ...] = FLOATS) -> tuple[torch.Tensor, torch.Tensor]:
    """The (A,) lowest and (A,) highest action, `low` and `high`."""
    low = tensor(content, "low", (None,), dtypes)
    high = tensor(content, "high", tuple(low.shape), (low.dtype,))
    if not (low < high).all() or not torch.isfinite(high - low).all():
        raise CheckpointError("low is not below high everywhere")
    return low, high


def network(content: Any, name: str, make: Callable[[], Module]) -> Module:
    """The network that `make` builds, with the weights of a state_dict: frozen, in eval mode, on the CPU.

    It is built only after the weights were found to have its names, shapes and types.
    """
    weights = table(content, name)
    with _float32_as_default(), torch.device("meta"):  # where networks take no memory, however large
        wanted = make().state_dict()
    if weights.keys() != wanted.keys():
        raise CheckpointError(f"{name} has the weights of another network")
    check_weights(weights, wanted)
    with _float32_as_default():
        built = make()
    built.load_state_dict(dict(weights))  # as a plain dict: a state_dict's other attributes are not looked at
    return built.eval().requires_grad_(False)


@contextlib.contextmanager
def _float32_as_default() -> Iterator[None]:
    """Networks are saved in float32, whatever the program that loads them makes its own in."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def check_weights(weights: dict[str, Any], wanted: dict[str, torch.Tensor]) -> None:
    """Checks that weights are finite, within their ranges, and of the shapes and types of those `wanted`."""
    for key, like in wanted.items():
        found, kind = tensor(weights, key, tuple(like.shape), (like.dtype,)), key.rpartition(".")[2]
        if (kind in POSITIVE and (found <= 0).any()) or (kind in NOT_NEGATIVE and (found < 0).any()):
            raise CheckpointError(f"{key} is not positive")


def environment(content: Any) -> str:
    """The environment that something was trained on: its id, or module:id if it was named so. Nothing is imported."""
    env_id = entry(content, "env_id")
    if type(env_id) is not str or not re.fullmatch(ENV_ID, env_id):
        raise CheckpointError(f"env_id is {_shown(env_id)}, not the id of an environment")
    if "env_name" not in content:  # it was named by its id
        return env_id
    name = content["env_name"]
    if type(name) is not str or not re.fullmatch(f"{MODULE}:{ENV_ID}", name) or name.partition(":")[2] != env_id:
        raise CheckpointError(f"env_name is {_shown(name)}, not module:{env_id}")
    return name


def environment_entries(env_name: str) -> dict[str, str]:
    """What `environment` reads: `env_id`, and `env_name` where the id alone does not tell the module."""
    env_id = env_name.rpartition(":")[2]
    return {"env_id": env_id} | ({"env_name": env_name} if env_name != env_id else {})


def check_nameable(env_name: str) -> None:
    """Raises `UsageError` where `environment` would refuse the name of an environment: nothing is trained in vain."""
    try:
        environment(environment_entries(env_name))
    except CheckpointError as error:
        raise UsageError(
            f"--env {env_name}: no file can name it: {error}: register it by a shorter, plain id"
        ) from error


def _shown(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of {value.dtype}"
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__}"
    text = str(value) if not isinstance(value, int) or abs(value) < 10**40 else "a huge number"
    return text if len(text) <= 60 else f"{text[:60]}..."
