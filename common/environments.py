"""Environments by their gymnasium ids."""

import contextlib
import copy
import difflib
import hashlib
import json
import random
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

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
from common.stable_repr import stable_repr
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


def what_it_does(env: gymnasium.Env, by_its_stream: bool = False) -> tuple[str, bool]:
    """What an environment of `make_env` is and does, as a digest, and whether it does that again.

    The digest is made of the time limit, the arguments, those of wrappers among them, the spaces, and the observations,
    rewards and ends of `PROBED_STEPS` drawn actions. It does that again if a second probe from the same seed gives the same
    digest although numpy's, torch's and Python's global random streams were drawn from in between. An environment that raises
    something while it is probed has the digest "", and counts as one that does the same again.

    Args:
        env: one that is not in use.
        by_its_stream: whether it must also do the same after a reset without a seed, its own `np_random` being put back.
    """
    assert env.spec is not None  # `make_env` made it
    observed, acted = cast(Box, env.observation_space), cast(Box, env.action_space)
    told = _as_text(arguments(env))
    sha = hashlib.sha256(f"{env.spec.max_episode_steps} {told} {observed.dtype}".encode())
    for bound in (observed.low, observed.high, acted.low, acted.high):
        sha.update(np.ascontiguousarray(bound).tobytes())
    again = sha.copy()

    def seeded(episode: int) -> np.ndarray:
        return env.reset(seed=reset_seed(0, "probe: resets", episode))[0]

    with streams_kept():
        if not _probe(env, seeded, sha):
            return "", True
        repeats = _probe(env, seeded, again, disturb=True) and sha.digest() == again.digest()
        if repeats and by_its_stream:
            repeats = _repeats_by_its_stream(env)
    return sha.hexdigest(), repeats


def _repeats_by_its_stream(env: gymnasium.Env) -> bool:
    """Whether it does the same after a reset without a seed, its own `np_random` being put back."""
    bits, found = random_bits(env), []
    before: Any = copy.deepcopy(bits.state) if bits is not None else None
    for disturb in (False, True):
        if bits is not None:
            bits.state = before
        sha = hashlib.sha256()
        _probe(env, lambda _: env.reset()[0], sha, disturb)
        found.append(sha.digest())
    return found[0] == found[1]


def arguments(env: gymnasium.Env) -> Any:
    """The arguments that an environment was made with; a list of them and its wrappers', where its id has some."""
    assert env.spec is not None
    registered = gymnasium.registry.get(env.spec.id)
    wrappers = [(one.name, one.entry_point, one.kwargs) for one in registered.additional_wrappers] if registered else []
    return [env.spec.kwargs, wrappers] if wrappers else env.spec.kwargs


def _as_text(value: Any) -> str:
    """A value as JSON if that tells all of it, else as `stable_repr`."""
    try:
        told = json.dumps(value, sort_keys=True)
        return told if json.loads(told) == value else stable_repr(value)
    except (TypeError, ValueError):
        return stable_repr(value)


@contextlib.contextmanager
def streams_kept() -> Iterator[None]:
    """Puts the random streams of the process, which an environment may seed, back to where they were."""
    streams = np.random.get_state(), random.getstate(), torch.get_rng_state()
    try:
        yield
    finally:
        np.random.set_state(streams[0])
        random.setstate(streams[1])
        torch.set_rng_state(streams[2])


def seed_streams(seed: int) -> None:
    """Seeds the random streams of the process, that of torch on the CPU."""
    np.random.seed(seed % 2**32)
    random.seed(seed)
    torch.default_generator.manual_seed(seed)


def random_bits(env: gymnasium.Env) -> np.random.BitGenerator | None:
    """What an environment's own random stream is made of, if it has one such as gymnasium gives it."""
    generator = attribute(env, "np_random")
    return generator.bit_generator if isinstance(generator, np.random.Generator) else None


def _probe(env: gymnasium.Env, start: Callable[[int], np.ndarray], sha: Any, disturb: bool = False) -> bool:
    """Adds the observations, rewards and ends of `PROBED_STEPS` drawn actions to a checksum; False if it breaks on the way.

    Args:
        start: the number of an episode to its first observation.
        sha: of hashlib.
        disturb: whether to draw from the random streams of the process before each step.
    """
    acted = cast(Box, env.action_space)
    rng, episode, over = stream(0, "probe: actions"), 0, True
    try:
        for _ in range(PROBED_STEPS):
            action = rng.uniform(acted.low, acted.high).astype(np.float32).clip(acted.low, acted.high)
            if over:
                sha.update(np.asarray(start(episode)).tobytes())
                episode += 1
            if disturb:
                np.random.random(), random.random(), torch.rand(1)
            observation, reward, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
            sha.update(np.asarray(observation).tobytes())
            sha.update(f"{float(reward)!r} {bool(terminated)} {bool(truncated)}".encode())
    except EnvironmentFault:  # training will say so, if it comes so far
        return False
    return True


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
