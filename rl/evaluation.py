"""Evaluating a policy: returns of whole episodes without exploration noise, and videos of them."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np

from common.environments import declared_metadata, make_env
from common.errors import EnvironmentFault, UsageError, one_line
from common.files import put_in_place
from common.finite import is_finite
from common.streams import reset_seed
from envs.rendering import select_gl_backend
from rl.plans import Plans
from rl.policies import Policies, Policy
from rl.protocols import Player, StateSpace


def quietly() -> None:
    """Does nothing: what `alive` is by default."""


def evaluate(
    policies: Policies,
    envs: Sequence[gymnasium.Env],
    seeds: Sequence[int],
    evaluations: Sequence[int],
    episodes: int,
    active: Iterable[int] | None = None,
    alive: Callable[[], None] = quietly,
) -> np.ndarray:
    """Plays `episodes` episodes a seed, each seed in its own environment, all seeds side by side.

    Start states depend on the seed, the number of the evaluation and the number of the episode only.

    Args:
        policies: their `state_space`, `actions`, and `act`: states (N, *S) and due (N,) bool to actions (N, D), of which
            the due ones are used.
        envs: N environments, made by the state space, that nothing else uses.
        seeds: the N seeds.
        evaluations: N numbers, that of this evaluation within each seed's run.
        active: the indices of the seeds to play, all by default; the others' returns are NaN.
        alive: is called at every step.
    Returns:
        (N, episodes) float64 returns; NaN from the episode on in which an observation or action is not finite.
    """
    count = len(envs)
    returns, episode = np.zeros((count, episodes)), np.zeros(count, dtype=np.int64)
    for n in set(range(count)) - set(range(count) if active is None else active):
        returns[n], episode[n] = np.nan, episodes
    plans, encode = Plans(policies.actions, count), policies.state_space.encode

    def reset(indices: Sequence[int]) -> np.ndarray:
        seeds_of = [reset_seed(seeds[n], "evaluation", evaluations[n], int(episode[n])) for n in indices]
        return encode([envs[n].reset(seed=seed)[0] for n, seed in zip(indices, seeds_of, strict=True)])

    def give_up(n: int) -> None:
        returns[n, episode[n] :], episode[n] = np.nan, episodes

    states = reset(range(count))
    while (running := episode < episodes).any():
        for n in np.flatnonzero(running).tolist():
            if not is_finite(states[n]):
                give_up(n)
        running = episode < episodes
        due = plans.due() & running
        if due.any():
            chosen = policies.act(states, due)
            for n in np.flatnonzero(due).tolist():
                plans.start(n, chosen[n])
                if not is_finite(plans.raw[n]):
                    give_up(n)
        alive()
        indices, observations, begin = np.flatnonzero(episode < episodes), [], []
        for n in indices.tolist():
            observation, reward, terminated, truncated, _ = envs[n].step(plans.next(n))
            observations.append(observation)
            returns[n, episode[n]] += float(reward)
            if terminated or truncated:
                episode[n] += 1
                plans.drop(n)
                if episode[n] < episodes:
                    begin.append(n)
        if not observations:
            break
        states[indices] = encode(observations, states[indices])
        if begin:
            states[begin] = reset(begin)
    return returns


def make_video_env(state_space: StateSpace | None, env_id: str, flag: str) -> gymnasium.Env:
    """Makes an environment that can be drawn; draws a first image, so that what is missing is missed at once.

    Args:
        state_space: of the policy that is to act in it, or None: any observations.
    Raises:
        UsageError: there is no such environment, or it cannot be drawn here; the line names `flag`.
    """
    try:
        select_gl_backend()
        env = (state_space.make_env if state_space else make_env)(env_id, flag, render_mode="rgb_array")
        env.reset(seed=0)
        image = _image_of(env)
    except Exception as error:  # whatever the drawing of an environment, or OpenGL, raises
        of_drawing = isinstance(error, EnvironmentFault) and error.call != "reset"
        if isinstance(error, UsageError) and not of_drawing:
            raise
        cause = (error.__cause__ if of_drawing else None) or error
        reason = f"{cause}" or ("it has no render()" if isinstance(cause, NotImplementedError) else "no reason given")
        raise UsageError(f"{flag}: {env_id} cannot be drawn here: {type(cause).__name__}: {reason}") from error
    if image is None:
        raise UsageError(f"{flag}: {env_id} draws no (height, width, 3) images of uint8: it cannot be filmed")
    return env


def _image_of(env: gymnasium.Env) -> np.ndarray | None:
    """What an environment draws, (H, W, 3) uint8; None if that is no image."""
    image = cast(Any, env.render())
    is_image = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    return image if is_image and image.size else None


def frames_a_second(env: gymnasium.Env) -> float:
    """How many images of an environment a film shows a second: what it declares, within reason, or else 30."""
    declared = declared_metadata(env).get("render_fps")
    return float(declared) if isinstance(declared, int | float) and 0.1 <= declared <= 1000 else 30.0


def play(
    policy: Player,
    env: gymnasium.Env,
    seed: int,
    frames: list[np.ndarray] | None = None,
    alive: Callable[[], None] = quietly,
) -> float:
    """Plays one episode of `env`, reset with `seed`, and returns its return; NaN if an observation is not finite.

    Args:
        frames: a list that the images of the states acted in are appended to; none are drawn without it.
        alive: is called at every step.
    """
    observation, _ = env.reset(seed=seed)
    policy.reset()
    total, over = 0.0, False
    while not over:
        alive()
        if not is_finite(observation):
            return float("nan")
        if frames is not None:
            image = _image_of(env)
            if image is None or image.shape != (frames or [image])[0].shape:
                raise several_sizes(env)
            frames.append(image)
        observation, reward, terminated, truncated, _ = env.step(policy.select_action(observation))
        total += float(reward)
        over = terminated or truncated
    return total


def several_sizes(env: gymnasium.Env) -> EnvironmentFault:
    """What is to be raised where the images of an environment cannot make one film."""
    assert env.spec is not None
    return EnvironmentFault(f"{env.spec.id}: its render() draws images of several sizes, or none: mend it", "render")


def record_video(policy: Policy, env: gymnasium.Env, path: str | Path, seeds: Iterable[int]) -> list[float]:
    """Plays one episode for every reset seed in `seeds` and writes them as one mp4; returns their returns.

    Args:
        policy: an object with `reset()` and `select_action(observation)`.
        env: an environment made with `render_mode="rgb_array"`.
        path: the file.
    """
    frames: list[np.ndarray] = []
    returns: list[float] = []
    for seed in seeds:
        returns.append(play(policy, env, seed, frames))
    if frames:  # none, if the first observation was not finite
        write_video(frames, path, frames_a_second(env))
    return returns


def require_ffmpeg(flag: str) -> None:
    """Raises `UsageError`, naming `flag`, if there is no ffmpeg that could write an mp4."""
    import imageio_ffmpeg

    try:
        imageio_ffmpeg.get_ffmpeg_version()
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        named = os.environ.get("IMAGEIO_FFMPEG_EXE")
        cure = f"unset IMAGEIO_FFMPEG_EXE ({named})" if named else "pip install imageio-ffmpeg anew"
        raise UsageError(
            f"{flag}: ffmpeg, which writes films, cannot be started ({one_line(error)}): {cure}"
        ) from error


def write_video(frames: Sequence[np.ndarray], path: str | Path, fps: float) -> None:
    """Writes images (H, W, 3) uint8 as an mp4 of `fps` frames a second; the file appears whole or not at all.

    Raises:
        OSError: it could not be written.
    """
    import imageio_ffmpeg

    height, width = frames[0].shape[:2]
    with put_in_place(path) as temporary:
        try:
            writer = imageio_ffmpeg.write_frames(
                os.path.abspath(temporary),  # ffmpeg takes what stands before a colon for a protocol
                (width, height),
                fps=fps,
                macro_block_size=2,
                ffmpeg_log_level="quiet",
                output_params=["-f", "mp4"],
            )
            writer.send(None)
            for frame in frames:
                writer.send(np.ascontiguousarray(frame))
            writer.close()
            # ffmpeg's exit code is not passed on: a full disk shows in what it wrote
            written = imageio_ffmpeg.count_frames_and_secs(os.path.abspath(temporary))[0]
        except (OSError, RuntimeError):
            written = 0
        if written != len(frames):
            raise OSError(errno.ENOSPC, "the video could not be written whole (is the disk full?)", str(path))
