"""Environments by their gymnasium ids."""

import difflib
import re
from typing import Any

import gymnasium
import numpy as np

import envs  # noqa: F401  (registers this project's environments)
from common.errors import UsageError


def make_env(env_id: str, flag: str = "--env_name", **kwargs: Any) -> gymnasium.Env:
    """Makes a gymnasium environment with a bounded Box action space and a flat Box observation space.

    Args:
        env_id: a registered id, or `module:id` for an environment of one's own.
        flag: the flag that is named if the environment will not do.
        kwargs: passed on to `gymnasium.make`.
    Raises:
        UsageError: unknown id, missing dependency, or spaces that DynE cannot work with.
    """
    if ":" in env_id and not re.fullmatch(r"\w+(\.\w+)*:[^:]+", env_id):
        raise UsageError(f"{flag} {env_id}: an environment of one's own is named as module:id")
    try:
        env: gymnasium.Env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
    except ImportError as error:
        raise UsageError(f"{flag} {env_id}: {error}: install it, or check the part before the colon") from error
    except RuntimeError as error:
        if "MUJOCO_GL" not in str(error):
            raise
        raise UsageError(f"MUJOCO_GL: {error}: set it to egl, osmesa or glfw, or unset it") from error
    except gymnasium.error.UnregisteredEnv as error:
        near = difflib.get_close_matches(env_id, list(gymnasium.registry), n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else "no known one is like it."
        raise UsageError(f"{flag} {env_id}: there is no such environment: {hint} One's own is module:id") from error
    except gymnasium.error.Error as error:
        raise UsageError(f"{flag} {env_id}: {error}") from error
    space = env.action_space
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise UsageError(f"{flag} {env_id}: its actions are {space}; DynE needs a one-dimensional Box")
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all() and (space.low < space.high).all()):
        raise UsageError(f"{flag} {env_id}: its action bounds are {space.low} to {space.high}; they must be finite")
    if not isinstance(env.observation_space, gymnasium.spaces.Box) or len(env.observation_space.shape) != 1:
        try:
            env = gymnasium.wrappers.FlattenObservation(env)
        except (NotImplementedError, ValueError, TypeError) as error:
            kind = env.observation_space
            raise UsageError(f"{flag} {env_id}: its observations, {kind}, have no flat form") from error
    return env


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
