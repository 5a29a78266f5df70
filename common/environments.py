"""Environments by their gymnasium ids."""

import dataclasses
import difflib
import functools
import hashlib
import json
import re
import sys
from typing import Any, cast

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

import envs  # noqa: F401  (registers this project's environments)
from common.actions import OwnActions, bounds_within, can_be_drawn
from common.errors import EnvironmentFault, UsageError
from common.guarded_environment import NOT_ITS_FAULT, GuardedEnvironment, fault, working_folder
from common.streams import reset_seed, stream

PROBED_STEPS = 100


def make_env(env_id: str, flag: str = "--env", **kwargs: Any) -> gymnasium.Env:
    """Makes a gymnasium environment with a bounded Box action space and a flat Box observation space.

    Its actions are of float32, and it gets copies of them, in its own type and within its bounds (`OwnActions`). What it
    raises later, and what it returns that is no step, becomes an `EnvironmentFault` (`GuardedEnvironment`).

    Args:
        env_id: a registered id, or `module:id` for an environment of one's own; the module may lie in the working folder,
            which becomes the last entry of the path.
        flag: the flag that is named if the environment will not do.
        kwargs: passed on to `gymnasium.make`.
    Raises:
        UsageError: unknown id, missing dependency, or spaces that DynE cannot work with.
        EnvironmentFault: importing its module, or making it, raised something else.
    """
    name, folder, device, gradients = (
        f"{flag} {env_id}",
        working_folder(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
    )
    if ":" in env_id and not re.fullmatch(r"\w+(\.\w+)*:[^:]+", env_id):
        raise UsageError(f"{flag} {env_id}: an environment of one's own is named as module:id")
    if ":" in env_id and folder is not None and folder not in sys.path:
        sys.path.append(folder)
    try:
        env: gymnasium.Env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
        space, observations = env.action_space, env.observation_space
    except NOT_ITS_FAULT:
        raise
    except ImportError as error:
        raise UsageError(f"{flag} {env_id}: {error}: install it, or check the part before the colon") from error
    except RuntimeError as error:
        if "MUJOCO_GL" not in str(error):
            raise fault(name, "", error) from error
        raise UsageError(f"MUJOCO_GL: {error}: set it to egl, osmesa or glfw, or unset it") from error
    except gymnasium.error.UnregisteredEnv as error:
        near = difflib.get_close_matches(env_id, list(gymnasium.registry), n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else "no known one is like it."
        found = getattr(sys.modules.get(env_id.partition(":")[0]), "__file__", None)
        where = f" in {found}" if ":" in env_id and found else ""
        raise UsageError(f"{name}: there is no such environment{where}: {hint} One's own is module:id") from error
    except gymnasium.error.Error as error:
        raise UsageError(f"{flag} {env_id}: {error}") from error
    except BaseException as error:
        raise fault(name, "", error) from error
    if working_folder() != folder:
        raise EnvironmentFault(f"{name}: making it left another working folder behind than {folder}: mend it")
    torch.set_grad_enabled(gradients)  # which some modules switch off for all of this process
    if torch.get_default_device() != device:
        raise EnvironmentFault(f"{name}: it left torch's default device at {torch.get_default_device()}: put it back")
    if torch.get_default_dtype() != torch.float32:  # of this whole process, and networks are of float32
        raise EnvironmentFault(f"{name}: it left torch's default type at {torch.get_default_dtype()}: put float32 back")
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1 or space.shape[0] == 0:
        raise UsageError(f"{flag} {env_id}: its actions are {space}; DynE needs a one-dimensional Box")
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all() and (space.low < space.high).all()):
        raise UsageError(
            f"{flag} {env_id}: its action bounds are {space.low} to {space.high}; they must be finite and differ: bound its "
            "actions, and leave out those that cannot vary"
        )
    if not np.issubdtype(space.dtype, np.floating):
        raise UsageError(
            f"{flag} {env_id}: its actions are {space}; DynE needs floats: rescale whole numbers within it"
        )
    if not can_be_drawn(*bounds_within(space)):
        raise UsageError(
            f"{flag} {env_id}: its action bounds, {space.low} to {space.high}, are too near or too far for float32: "
            "rescale its actions"
        )
    env = OwnActions(env)
    if not isinstance(observations, gymnasium.spaces.Box) or len(observations.shape) != 1:
        try:
            env = gymnasium.wrappers.FlattenObservation(env)
            if not isinstance(env.observation_space, gymnasium.spaces.Box):
                raise NotImplementedError
        except (NotImplementedError, ValueError, TypeError) as error:
            raise UsageError(f"{flag} {env_id}: its observations, {observations}, have no flat form") from error
    if env.observation_space.shape == (0,):
        raise UsageError(f"{flag} {env_id}: its observations, {observations}, are empty: have it observe something")
    return GuardedEnvironment(env, name)


def known_id(env_name: str, told: str, agree: str) -> str:
    """The id by which the environment that a file names is made, if something that is imported has registered it.

    A module that a file names is never imported because of that: the file's maker would choose what is executed.

    Args:
        env_name: the file's: an id, or module:id as the environment was named in training.
        told: which file, for the message.
        agree: the way out, where {} stands for module:id.
    Raises:
        UsageError: nothing has; says how to agree to the module.
    """
    env_id = env_name.rpartition(":")[2]
    if env_id in gymnasium.registry:
        return env_id
    named = env_name if ":" in env_name else f"<module>:{env_name or '<id>'}"
    raise UsageError(
        f"{told}: it was trained on {named}, and no module is imported because a file names it: if you trust that "
        f"module, {agree.format(named)}"
    )


def name_of(env: gymnasium.Env, env_name: str) -> str:
    """What files call an environment that `env_name` named: its id, behind the module and a colon if it named one."""
    module, colon, _ = env_name.rpartition(":")
    assert env.spec is not None  # `make_env` made it
    return f"{module}{colon}{env.spec.id}"


def time_limit(env: gymnasium.Env) -> int | None:
    """The environment's number of steps an episode, or None if it has no limit."""
    assert env.spec is not None  # `make_env` made it
    return env.spec.max_episode_steps


def fingerprint(env: gymnasium.Env) -> str:
    """What an environment of `make_env` is and does, as a digest: two that differ in it are not the same.

    It is made of the time limit, the arguments, the spaces, and the observations, rewards and ends of
    `PROBED_STEPS` drawn actions. Of an environment that breaks on the way there is none: "". The environment must be one
    that is not in use.
    """
    assert env.spec is not None  # `make_env` made it
    observed, acted = cast(Box, env.observation_space), cast(Box, env.action_space)
    try:
        arguments = json.dumps(env.spec.kwargs, sort_keys=True, default=stable_repr)
    except (TypeError, ValueError):  # dicts of other keys than text
        arguments = stable_repr(env.spec.kwargs)
    sha = hashlib.sha256(f"{env.spec.max_episode_steps} {arguments} {observed.dtype}".encode())
    for bound in (observed.low, observed.high, acted.low, acted.high):
        sha.update(np.ascontiguousarray(bound).tobytes())
    rng, episode, over = stream(0, "probe: actions"), 0, True
    for _ in range(PROBED_STEPS):
        action = rng.uniform(acted.low, acted.high).astype(np.float32).clip(acted.low, acted.high)
        try:
            if over:
                sha.update(np.asarray(env.reset(seed=reset_seed(0, "probe: resets", episode))[0]).tobytes())
                episode += 1
            observation, reward, terminated, truncated, _ = env.step(action)
        except EnvironmentFault:  # training will say so, if it comes so far
            return ""
        over = terminated or truncated
        sha.update(np.asarray(observation).tobytes())
        sha.update(f"{float(reward)!r} {bool(terminated)} {bool(truncated)}".encode())
    return sha.hexdigest()


def stable_repr(value: Any) -> str:
    """What an argument is, in full, the same in every process: sets are sorted, arrays are told by a checksum, objects by what
    they hold, and no address in memory is told."""
    return _stable(value, ())


def _stable(value: Any, inside: tuple[int, ...]) -> str:
    """`stable_repr` of a value inside of those of some ids, which are told as "...", as `repr` does."""
    if id(value) in inside:
        return "..."
    inside = (*inside, id(value))
    name, each = type(value).__qualname__, lambda values: [_stable(item, inside) for item in values]
    if isinstance(value, np.ndarray) and value.dtype != object:
        numbers = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return f"{name}({value.dtype.str}, {value.shape}, {numbers})"
    if isinstance(value, set | frozenset):
        return f"{name}({', '.join(sorted(each(value)))})"
    if type(value) is dict:
        return "{" + ", ".join(": ".join(each(pair)) for pair in value.items()) + "}"
    if type(value) is list:
        return "[" + ", ".join(each(value)) + "]"
    if type(value) is tuple:
        return "(" + ", ".join(each(value)) + ("," if len(value) == 1 else "") + ")"
    is_data = dataclasses.is_dataclass(value) and not isinstance(value, type)
    if is_data or type(value).__repr__ is object.__repr__ or isinstance(value, functools.partial):
        held = {key: getattr(value, key) for key in _names_of(value)}
        return f"{type(value).__module__}.{name}({_stable(held, inside)})"
    return repr(value) if isinstance(value, str) else re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _names_of(value: Any) -> list[str]:
    """The names of what an object holds, sorted."""
    slots = [vars(cls).get("__slots__", ()) for cls in type(value).__mro__]
    named = [name for of in slots for name in ((of,) if isinstance(of, str) else of)]
    if isinstance(value, functools.partial):
        named += ["func", "args", "keywords"]
    return sorted(
        name for name in {*named, *getattr(value, "__dict__", ())} if hasattr(value, name) and name != "__weakref__"
    )


def attribute(env: gymnasium.Env, name: str) -> Any:
    """An attribute of the environment itself, within its wrappers; None if it has none, or raises something instead."""
    try:
        return getattr(env.unwrapped, name, None)
    except Exception:  # noqa: BLE001 (a property of its own)
        return None


def require_time_limit(env: gymnasium.Env, name: str) -> int:
    """The environment's number of steps an episode; raises `UsageError` if it has no limit.

    Args:
        name: the flag and the environment, which the line begins with.
    """
    limit = time_limit(env)
    if limit is None:
        raise UsageError(f"{name}: its episodes have no limit: register it with max_episode_steps")
    return limit


def try_a_step(env_id: str) -> None:
    """Raises the `EnvironmentFault` of an environment that cannot even take a first step; takes it in one of its own."""
    env = make_env(env_id)
    assert isinstance(env.action_space, gymnasium.spaces.Box) and isinstance(env, GuardedEnvironment)
    env.reset(seed=0)
    env.step((env.action_space.low + env.action_space.high) / 2)
    env.check_folder("step")  # which looks for itself only where an episode ends
    env.close()
