"""Random play: what the embedding is learned from (paper, section 5.2: a uniformly random policy, no reward).

States are `concat(qpos, qvel)` of the whole simulator; for an environment that is not MuJoCo, its observation.
Environments that declare `open_loop` (see envs/) are stepped by `mujoco.rollout`; any other is stepped one by one.
"""

import argparse
import hashlib
import json
import math
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, RecordEpisodeStatistics, TimeLimit

from common.actions import OwnActions
from common.environments import attribute, time_limit
from common.errors import UsageError
from common.files import write_atomically
from common.finite import LARGEST_FLOAT32
from common.guarded_environment import GuardedEnvironment
from common.paths import play_folder
from common.progress import Progress, tell
from common.streams import reset_seed, stream
from embedding.play_key import play_key

# Wrappers that hand on actions, states and ends as they are.
STEPS_AS_IT_IS = (GuardedEnvironment, OwnActions, TimeLimit, OrderEnforcing, PassiveEnvChecker, RecordEpisodeStatistics)
STEPPING = {"step", "reset", "do_simulation", "_step_mujoco_simulation"}  # what a class derived may change of a step
RESETTING = {"reset_model"}  # where one may change the model, as the tasks of envs/ do not


@dataclass
class RandomPlay:
    """Episodes of random play, one after the other.

    Attributes:
        states: (T + E, S) float64: of every episode its first state and the one after each action.
        actions: (T, A) float32, in the environment's units.
        lengths: (E,) int64, the number of actions of each episode; they sum to T.
    """

    states: np.ndarray
    actions: np.ndarray
    lengths: np.ndarray

    def digest(self) -> str:
        """A checksum of all of it."""
        sha = hashlib.sha256()
        for name, array in sorted(vars(self).items()):
            array = np.ascontiguousarray(array)
            sha.update(f"{name}{array.dtype}{array.shape}".encode())
            sha.update(array.data.cast("B"))
        return sha.hexdigest()


@dataclass
class Windows:
    """All windows of k steps that lie inside an episode (paper, section 2.1: s_t, a^k, s_{t+k}).

    Attributes:
        states: (W, S) float32, s_t.
        actions: (W, k, A) float32, a_t .. a_{t+k-1}, in the environment's units.
        deltas: (W, S) float32, s_{t+k} - s_t.
    """

    states: torch.Tensor
    actions: torch.Tensor
    deltas: torch.Tensor


def windows(play: RandomPlay, k: int) -> Windows:
    """Slides a window of k actions over every episode of `play`; none crosses a reset.

    Raises:
        UsageError: no episode has k steps.
    """
    check_lengths(play, k)
    action_start = np.concatenate([[0], np.cumsum(play.lengths)[:-1]])
    starts, rows = [], []
    for episode, (first, length) in enumerate(zip(action_start, play.lengths, strict=True)):
        start = np.arange(first, first + max(0, length - k + 1))
        starts.append(start)
        rows.append(start + episode)  # every episode before this one has one state more than actions
    start, row = np.concatenate(starts), np.concatenate(rows)
    return Windows(
        states=torch.from_numpy(play.states[row].astype(np.float32)),
        actions=torch.from_numpy(play.actions[start[:, None] + np.arange(k)]),
        deltas=torch.from_numpy((play.states[row + k] - play.states[row]).astype(np.float32)),
    )


def check_lengths(play: RandomPlay, k: int) -> None:
    """Raises `UsageError` if no episode of `play` has k steps."""
    if play.lengths.max() < k:
        raise UsageError(f"--traj_len {k}: the longest of the episodes has {play.lengths.max()} steps: use fewer")


def check_samples(play: RandomPlay, k: int) -> None:
    """Raises `UsageError` unless `play` holds two sequences of k steps or more, which have a standard deviation."""
    check_lengths(play, k)
    if (play.lengths - k + 1).clip(0).sum() < 2:
        raise UsageError(f"--steps {play.lengths.sum()}: they hold a single sequence of {k} actions: use more")


def is_mujoco(env: gymnasium.Env) -> bool:
    """Whether an environment is one of MuJoCo's, whose simulator has all of its state."""
    mujoco = sys.modules.get("mujoco")
    return mujoco is not None and isinstance(attribute(env, "data"), mujoco.MjData)


def state_reader(env: gymnasium.Env) -> Callable[[np.ndarray], np.ndarray]:
    """A function of the newest observation to the state (S,) float64: `concat(qpos, qvel)` of MuJoCo as it stands, or else a copy of
    the observation."""
    if not is_mujoco(env):
        return lambda observation: np.array(observation, np.float64)
    simulator = cast(Any, env.unwrapped)
    return lambda _: np.concatenate([simulator.data.qpos, simulator.data.qvel])


def state_size(env: gymnasium.Env) -> int:
    """S, the number of values of a state of random play."""
    shape = env.observation_space.shape
    assert shape is not None
    return len(state_reader(env)(np.zeros(shape)))


def is_open_loop(env: gymnasium.Env) -> bool:
    """Whether `mujoco.rollout` may step the actions of `env`: its class declares `open_loop`, nothing around it or derived from
    that class changes what a step is, and it has a time limit."""
    if not (attribute(env, "open_loop") and is_mujoco(env) and time_limit(env)):
        return False
    layer = env
    while isinstance(layer, gymnasium.Wrapper):
        if type(layer) not in STEPS_AS_IT_IS:
            return False
        layer = layer.env
    classes = type(layer).__mro__
    declares = next((place for place, cls in enumerate(classes) if "open_loop" in vars(cls)), 0)
    derived = [vars(cls).keys() for cls in classes[:declares]]
    ours = [cls.__module__.startswith("envs.") for cls in classes[:declares]]
    resets = any(RESETTING & names for names, known in zip(derived, ours, strict=True) if not known)
    return not resets and not any(STEPPING & names for names in derived)


def physics_state(env: gymnasium.Env) -> np.ndarray:
    """Where the simulator of an open-loop `env` stands, (n,) float64, for `roll_out`."""
    import mujoco

    simulator, spec = cast(Any, env.unwrapped), mujoco.mjtState.mjSTATE_FULLPHYSICS
    state = np.empty(mujoco.mj_stateSize(simulator.model, spec))
    mujoco.mj_getState(simulator.model, simulator.data, state, spec)
    return state


def roll_out(env: gymnasium.Env, initial: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Steps an open-loop `env` from many states at once, without resets.

    Args:
        initial: (B, n), of `physics_state`.
        actions: (B, T, A) float64, in the environment's units.
    Returns:
        (B, T, S) float64, the state after each action.
    """
    from mujoco import rollout

    simulator: Any = env.unwrapped
    model, skip = simulator.model, simulator.frame_skip
    trajectory, _ = rollout.rollout(model, simulator.data, initial, np.repeat(actions, skip, axis=1))
    return trajectory[:, skip - 1 :: skip, 1 : 1 + model.nq + model.nv]  # column 0 is the time


def random_play(env: gymnasium.Env, steps: int, seed: int, progress: bool = True) -> RandomPlay:
    """Plays `steps` steps of `env` with actions drawn uniformly between its bounds; `progress` shows how far it is."""
    assert isinstance(env.action_space, Box)
    actions = stream(seed, "random play: actions").uniform(
        env.action_space.low, env.action_space.high, size=(steps, *env.action_space.shape)
    )
    actions = actions.astype(np.float32)
    play = _play_open_loop if is_open_loop(env) else _play_stepwise
    return play(env, actions, seed, progress)


def episode_seed(seed: int, episode: int) -> int:
    """What `random_play` of `seed` resets its environment with before its episode number `episode`."""
    return reset_seed(seed, "random play: resets", episode)


def _play_open_loop(env: gymnasium.Env, actions: np.ndarray, seed: int, progress: bool) -> RandomPlay:
    """`random_play` by `mujoco.rollout`, which steps many episodes with one model and without forces from outside.

    The first step of every episode is taken by the environment too. Where it leads elsewhere, as where a reset changes a mass,
    a line says so and every step is taken one by one.
    """
    limit, action_dim = time_limit(env), actions.shape[1]
    assert limit is not None
    lengths = np.full(-(-len(actions) // limit), limit)
    lengths[-1] = len(actions) - limit * (len(lengths) - 1)
    read = state_reader(env)
    _check_open_loop(env, actions[: lengths[0]], seed)
    states: list[np.ndarray] = []
    first, chunk = 0, 50
    with Progress(len(actions), "random play", "step", shown=progress) as shown:
        while first < len(lengths):
            batch = lengths[first : first + chunk]
            starts, initial, stepped = [], [], []
            controls = np.zeros((len(batch), limit, action_dim))
            for i, length in enumerate(batch):
                observation, _ = env.reset(seed=episode_seed(seed, first + i))
                starts.append(read(observation))
                initial.append(physics_state(env))
                begin = (first + i) * limit
                controls[i, :length] = actions[begin : begin + length]
                stepped.append(read(env.step(actions[begin])[0]))
            after = roll_out(env, np.stack(initial), controls)
            if not np.array_equal(after[:, 0], stepped):
                assert env.spec is not None
                tell(f"{env.spec.id}: its episodes differ from mujoco.rollout's: its steps are taken one by one")
                return _play_stepwise(env, actions, seed, progress)
            for start, later, length in zip(starts, after, batch, strict=True):
                states += [start[None], later[:length]]
            first += len(batch)
            shown.update(int(batch.sum()))
    return RandomPlay(np.concatenate(states), actions, lengths.astype(np.int64))


def _check_open_loop(env: gymnasium.Env, actions: np.ndarray, seed: int) -> None:
    """Raises `UsageError` unless the first episode, (T, A), goes as `mujoco.rollout` steps it and does not end early."""
    stepped = _play_stepwise(env, actions, seed, progress=False)
    env.reset(seed=episode_seed(seed, 0))
    rolled = roll_out(env, physics_state(env)[None], actions[None].astype(np.float64))[0]
    if len(stepped.lengths) > 1 or not np.allclose(stepped.states[1:], rolled, rtol=1e-4, atol=1e-4):
        assert env.spec is not None
        raise UsageError(
            f"--env {env.spec.id}: it declares open_loop, and its steps are not mujoco.rollout's: take open_loop out of it"
        )


def _play_stepwise(env: gymnasium.Env, actions: np.ndarray, seed: int, progress: bool) -> RandomPlay:
    read = state_reader(env)
    states: list[np.ndarray] = []
    lengths: list[int] = []
    over = True
    with Progress(len(actions), "random play", "step", shown=progress) as shown:
        for action in actions:
            if over:
                observation, _ = env.reset(seed=episode_seed(seed, len(lengths)))
                states.append(read(observation))
                lengths.append(0)
            observation, _, terminated, truncated, _ = env.step(action)
            states.append(read(observation))
            lengths[-1] += 1
            over = terminated or truncated
            shown.update()
    return RandomPlay(np.stack(states), actions, np.array(lengths, dtype=np.int64))


# ---- the cache ----


def load_random_play(env: gymnasium.Env, steps: int, seed: int, results_dir: str | Path, k: int = 1) -> RandomPlay:
    """`random_play`, kept under `results_dir/<env>/data/`; the file's key holds everything that determines its content.

    Raises:
        UsageError: states are not finite, or no episode has k steps (nothing is written then), or the file cannot be.
    """
    assert env.spec is not None
    key = json.dumps(play_key(env, steps, seed), sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    path = play_folder(results_dir, env.spec.id) / f"random_play-{digest}.npz"
    if path.is_file():
        try:
            _check_sizes(path)
            with np.load(path, allow_pickle=False) as file:
                if str(file["key"]) == key:
                    play = RandomPlay(file["states"], file["actions"], file["lengths"])
                    _check_form(env, play, steps)
                    check_samples(play, k)
                    print(f"random play: read from {path}")
                    return play
        except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            print(f"random play: {path} cannot be read ({type(error).__name__}) and is made anew")
    play = random_play(env, steps, seed)
    if isinstance(env, GuardedEnvironment):
        env.check_folder("step")  # which looks for itself only where an episode ends
    check_finite(env, play.states)
    check_samples(play, k)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: np.savez(file, key=key, **vars(play)))
    except OSError as error:
        raise UsageError(f"--results_dir: {path} cannot be written ({error.strerror}): choose another") from error
    return play


def check_traj_len(args: argparse.Namespace, env: gymnasium.Env) -> None:
    """Raises `UsageError` if `--traj_len` actions do not fit into an episode, or into all of random play."""
    limit = time_limit(env)
    if args.traj_len > min(limit or args.steps, args.steps):
        raise UsageError(
            f"--traj_len {args.traj_len}: an episode of {args.env_name} has {limit or 'no more than --steps'} steps "
            f"(--steps {args.steps}): a sequence must fit into an episode"
        )


def check_finite(env: gymnasium.Env, states: np.ndarray) -> None:
    """Raises `UsageError` if one of states (n, S) is not finite, or float32 cannot hold their differences."""
    small = (np.abs(states) <= LARGEST_FLOAT32 / 2).all(axis=1)
    if not small.all():
        assert env.spec is not None
        row = int(np.argmin(small))
        raise UsageError(
            f"--env {env.spec.id}: state {row} of its random play is not finite in float32: rescale its observations, or "
            "use another environment"
        )


def _check_sizes(path: Path) -> None:
    """Raises `ValueError` if an array of an .npz file claims to be larger than it is: numpy would take that much memory."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
            if math.prod(shape) * dtype.itemsize > info.file_size:
                raise ValueError(f"{info.filename} claims to be of shape {shape}")


def _check_form(env: gymnasium.Env, play: RandomPlay, steps: int) -> None:
    """Raises `ValueError` unless stored play can be what `random_play` returned."""
    assert env.action_space.shape is not None
    lengths = play.lengths
    whole = lengths.ndim == 1 and lengths.dtype == np.int64 and (lengths > 0).all() and lengths.sum() == steps
    shapes = play.actions.shape, play.states.shape
    if not whole or shapes != ((steps, *env.action_space.shape), (steps + len(lengths), state_size(env))):
        raise ValueError("its arrays are of other shapes")
    if (play.actions.dtype, play.states.dtype) != (np.float32, np.float64) or not np.isfinite(play.states).all():
        raise ValueError("its arrays are of other types, or not finite")
