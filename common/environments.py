"""Environments by their gymnasium ids."""

import difflib
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium
import numpy as np

import envs  # noqa: F401  (registers this project's environments)
from common.actions import OwnActions, bounds_within, can_be_drawn
from common.errors import EnvironmentFault, UsageError, one_line
from common.guarded_environment import (
    NOT_ITS_FAULT,
    GuardedEnvironment,
    fault,
    restore_torch,
    torch_settings,
    working_folder,
)


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
        UsageError: unknown id, or one without the version that it has, missing dependency, or spaces that DynE cannot work with.
        EnvironmentFault: importing its module, or making it, raised something else.
    """
    name, folder, before = f"{flag} {env_id}", working_folder(), torch_settings()
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
        way = f"install it, or put it into the folder {folder}, or check the part before the colon"
        raise UsageError(f"{flag} {env_id}: {str(error).partition('. ')[0].rstrip('.')}: {way}") from error
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
    finally:
        left = restore_torch(before)  # which some modules change for all of this process
    assert env.spec is not None  # gymnasium.make gives one
    asked = env_id.rpartition(":")[2]
    # Without a version it is the newest one here, and may be another one elsewhere.
    if asked != env.spec.id and not re.search(r"-v\d+$", asked):
        raise UsageError(f"{name}: it names no version: name {name_of(env, env_id)}, or another one")
    if working_folder() != folder:
        raise EnvironmentFault(f"{name}: making it left another working folder behind than {folder}: mend it")
    if left is not None:
        raise EnvironmentFault(f"{name}: it left torch's {left}: put back what it was")
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
        except (NotImplementedError, ValueError, TypeError, MemoryError, OverflowError) as error:
            raise UsageError(f"{flag} {env_id}: its observations, {observations}, have no flat form") from error
    if env.observation_space.shape == (0,):
        raise UsageError(f"{flag} {env_id}: its observations, {observations}, are empty: have it observe something")
    return GuardedEnvironment(env, name)


def require_alike(env: gymnasium.Env, others: Iterable[gymnasium.Env], name: str) -> None:
    """Raises `UsageError`, naming `name`, unless other environments have the spaces of `env`."""
    for other in others:
        for ours, theirs in ((env.observation_space, other.observation_space), (env.action_space, other.action_space)):
            try:
                alike = bool(ours == theirs)
            except Exception as error:  # a space of its own
                raise UsageError(
                    f"{name}: its spaces cannot be compared: {one_line(error)}: use gymnasium's"
                ) from error
            if not alike:
                raise UsageError(
                    f"{name}: its spaces differ from one instance to the next, {ours} and {theirs}: have it always declare the same"
                )


def known_id(env_name: str, told: str, agree: str) -> str:
    """The id by which the environment that a file names is made, if what has registered it is imported.

    A module that a file names is never imported because of that: the file's maker would choose what is executed.

    Args:
        env_name: the file's: an id, or module:id as the environment was named in training.
        told: which file, for the message.
        agree: the way out, where {} stands for module:id.
    Raises:
        UsageError: nothing has; says how to agree to the module.
    """
    module, _, env_id = env_name.rpartition(":")
    if env_id in gymnasium.registry and (not module or module in sys.modules):  # else it may be another's of this id
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


def declared_metadata(env: gymnasium.Env) -> Mapping[str, Any]:
    """What an environment declares as its `metadata`; {} if that is no mapping."""
    return env.metadata if isinstance(env.metadata, Mapping) else {}


def draws_images(env: gymnasium.Env) -> bool:
    """Whether an environment declares the render mode rgb_array."""
    modes = declared_metadata(env).get("render_modes")
    return isinstance(modes, list | tuple | set | frozenset) and "rgb_array" in modes


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
