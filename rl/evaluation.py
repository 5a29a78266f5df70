"""Evaluating a policy: returns of whole episodes without exploration noise, and videos of them."""

import numpy as np

from embedding.flags import UsageError
from embedding.streams import reset_seed
from envs.rendering import RenderingUnavailable, select_gl_backend
from rl.action_spaces import Plans


def evaluate(policies, envs, seeds, evaluation, episodes, active=None):
    """Plays `episodes` episodes a seed, each seed in its own environment, all seeds side by side.

    Start states depend on the seed, the number of the evaluation and the number of the episode only.

    Args:
        policies: states (N, S) and due (N,) bool to actions (N, D), of which the due ones are used.
        envs: N environments that nothing else uses.
        seeds: the N seeds.
        evaluation: the number of this evaluation within the run.
        active: the indices of the seeds to play, all by default; the others' returns are NaN.
    Returns:
        (N, episodes) float64 returns.
    """
    count = len(envs)
    returns, episode = np.zeros((count, episodes)), np.zeros(count, dtype=np.int64)
    for n in set(range(count)) - set(range(count) if active is None else active):
        returns[n], episode[n] = np.nan, episodes
    plans = Plans(policies.actions, count)

    def reset(n):
        seed = reset_seed(seeds[n], "evaluation", evaluation, int(episode[n]))
        return np.asarray(envs[n].reset(seed=seed)[0], dtype=np.float32)

    states = np.stack([reset(n) for n in range(count)])
    while (running := episode < episodes).any():
        due = plans.due() & running
        if due.any():
            chosen = policies.act(states, due)
            for n in np.flatnonzero(due):
                plans.start(n, chosen[n])
        for n in np.flatnonzero(running):
            states[n], reward, terminated, truncated, _ = envs[n].step(plans.next(n))
            returns[n, episode[n]] += float(reward)
            if terminated or truncated:
                episode[n] += 1
                plans.drop(n)
                if episode[n] < episodes:
                    states[n] = reset(n)
    return returns


def rendering_backend(flag):
    """Prepares OpenGL for videos; raises `UsageError` naming `flag` where this machine cannot draw."""
    try:
        select_gl_backend()
    except RenderingUnavailable as error:
        raise UsageError(f"{flag}: {error}") from error


def play(policy, env, seed, frames=None):
    """Plays one episode of `env`, reset with `seed`, and returns its return.

    Args:
        policy: an object with `reset()` and `select_action(observation)`.
        frames: a list that the images of the states acted in are appended to; none are drawn without it.
    """
    observation, _ = env.reset(seed=seed)
    policy.reset()
    total, over = 0.0, False
    while not over:
        if frames is not None:
            frames.append(env.render())
        observation, reward, terminated, truncated, _ = env.step(policy.select_action(observation))
        total += float(reward)
        over = terminated or truncated
    return total


def record_video(policy, env, path, seeds):
    """Plays one episode for every reset seed in `seeds` and writes them as one mp4; returns their returns.

    Args:
        policy: an object with `reset()` and `select_action(observation)`.
        env: an environment made with `render_mode="rgb_array"`.
        path: the file.
    """
    import imageio_ffmpeg

    frames, returns = [], []
    for seed in seeds:
        returns.append(play(policy, env, seed, frames))
    height, width = frames[0].shape[:2]
    writer = imageio_ffmpeg.write_frames(
        str(path), (width, height), fps=env.metadata.get("render_fps", 30), macro_block_size=2
    )
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()
    return returns
