"""The replay of frames against literal lists of steps, and its bytes."""

import itertools
import math

import numpy as np
import pytest
import torch
import toy_pixel_envs  # noqa: F401  (registers its environments)

from common.pixel_environments import make_pixel_env
from rl.action_spaces import RawActions
from rl.collection import Collector
from rl.frame_replay import FrameReplay
from rl.plans import ExecutedPlan
from rl.replay import Replay
from rl.state_spaces import FrameStates

CPU = torch.device("cpu")


SCHEDULE = [1, 6, 2, 3, 9, 4]  # steps of episodes


def filled(capacity, transitions, seeds=1, cut=3):
    """A replay after so many steps of episodes as in `SCHEDULE`, and every step literally, by seed."""
    rng, literal = np.random.default_rng(0), []
    replay = FrameReplay(seeds, (12, 64, 64), 2, capacity, CPU)
    for n in range(seeds):
        steps, episode, rows = [], 0, []
        while len(steps) < transitions:
            length = SCHEDULE[(episode + n) % len(SCHEDULE)]
            frames = rng.integers(0, 256, (length + 1, 3, 64, 64), dtype=np.uint8)
            padded = np.concatenate([frames[:1].repeat(3, axis=0), frames])
            for t in range(min(length, transitions - len(steps))):
                state, following = (padded[s : s + 4].reshape(12, 64, 64) for s in (t, t + 1))
                action, reward, factor = rng.standard_normal(2).astype(np.float32), *rng.standard_normal(2)
                steps.append((state, action, np.float32(reward), np.float32(factor), following))
                begins, ends = t == 0, t == length - 1
                sums = np.array([reward]), np.array([factor])
                rows.append(replay.pack(ExecutedPlan(state[None], action, *sums, following, begins, ends)))
                if len(rows) % cut == 0:
                    replay.append(n, np.concatenate(rows[-cut:]))
            episode += 1
        replay.append(n, np.concatenate(rows[len(rows) - len(rows) % cut :] or [rows[0][:0]]))
        literal.append((steps, ends))
    return replay, literal


def assert_holds(replay, n, steps):
    """The steps that can be sampled of seed index `n` are the last of `steps`, as they were taken."""
    size = int(replay.sizes[n])
    index = np.zeros((1, len(replay.written), size), np.int64) + np.minimum(np.arange(size), replay.sizes[:, None] - 1)
    (batch,) = replay.sample(index)
    for i, (state, action, reward, factor, following) in enumerate(steps):
        assert np.array_equal(batch.state[n, i].numpy(), state)
        assert np.array_equal(batch.next_state[n, i].numpy(), following)
        assert np.array_equal(batch.action[n, i].numpy(), action)
        assert (batch.reward[n, i].item(), batch.discount[n, i].item()) == (reward, factor)
        assert batch.plan_step[n, i].item() == 0


@pytest.mark.parametrize("transitions", [1, 2, 7, 24, 25, 60])
def test_stacks_are_those_that_were_seen(transitions):
    """A step whose next frame is not written yet, the newest of an episode under way, waits for it."""
    replay, literal = filled(1000, transitions, seeds=2)
    for n, (steps, ended) in enumerate(literal):
        assert replay.sizes[n] == len(steps) - (not ended)
        assert_holds(replay, n, steps[: replay.sizes[n]])


@pytest.mark.parametrize("capacity", [8, 13, 30])
def test_a_full_ring_keeps_the_steps_whose_frames_are_all_there(capacity):
    for transitions in range(20, 60, 3):
        replay, [(steps, ended)] = filled(capacity, transitions)
        size, kept = int(replay.sizes[0]), steps[: len(steps) - (not ended)]
        assert 1 <= size < capacity
        assert_holds(replay, 0, kept[len(kept) - size :])
        assert size >= capacity - 3 - 1 - capacity / 2  # ends of episodes take a place each


@pytest.mark.parametrize(("capacity", "transitions"), [(1000, 24), (13, 40), (13, 41), (8, 50)])
def test_a_restored_ring_samples_the_same(capacity, transitions):
    replay, _ = filled(capacity, transitions)
    rows, written = np.concatenate(replay.take_unsaved(0)), int(replay.written[0])
    again = FrameReplay(1, (12, 64, 64), 2, capacity, CPU)
    kept = rows[-capacity:]
    again.rewind(0, [kept[:5], kept[5:6], kept[6:]], written)
    size = int(replay.sizes[0])
    assert again.sizes[0] == size
    index = np.arange(size).reshape(1, 1, size)
    for one, other in zip(next(replay.sample(index)), next(again.sample(index)), strict=True):
        assert torch.equal(one, other)
    assert replay.take_unsaved(0) == []


def test_bytes_that_are_no_numbers_survive():
    """Frames travel as float32; every pattern of bits must come back."""
    frame = np.full((12, 64, 64), 255, np.uint8)
    frame[:, ::2] = [127, 192, 1, 255] * 16
    replay = FrameReplay(1, (12, 64, 64), 2, 10, CPU)
    plan = ExecutedPlan(frame[None], np.zeros(2, np.float32), np.zeros(1), np.zeros(1), frame, True, True)
    replay.append(0, replay.pack(plan))
    (batch,) = replay.sample(np.zeros((1, 1, 1), np.int64))
    assert np.array_equal(batch.state[0, 0].numpy(), frame)


def test_what_the_collector_writes_is_what_the_environments_showed():
    envs = [make_pixel_env("toy_pixel_envs:DotShort-v0", 64) for _ in range(2)]
    space, actions = FrameStates(64), RawActions([-1], [1])
    replay = FrameReplay(2, space.shape, 1, 1000, CPU)
    seen = [[] for _ in envs]
    for env, log in zip(envs, seen, strict=True):

        def reset(*, reset=env.reset, log=log, **flags):
            stack, info = reset(**flags)
            log.append([(None, None, False, stack)])
            return stack, info

        def step(action, step=env.step, log=log):
            stack, reward, terminated, *rest = step(action)
            log[-1].append((action, reward, terminated, stack))
            return stack, reward, terminated, *rest

        env.reset, env.step = reset, step
    flags = {"discount": 0.9, "noise": 0.0, "random_steps": math.inf}
    collector = Collector(envs, space, actions, [0, 1], replay, **flags)
    for _ in range(5):
        collector.collect(None, 7)
    for n, log in enumerate(seen):
        steps = []
        for episode in log:
            for before, (action, reward, terminated, after) in itertools.pairwise(episode):
                factor = np.float32(0 if terminated else 0.9)
                steps.append((before[3], action, np.float32(reward), factor, after))
        assert replay.sizes[n] >= len(steps) - 1 and len(log) > 5
        assert_holds(replay, n, steps[: replay.sizes[n]])


@pytest.mark.parametrize("replay_class", [Replay, FrameReplay])
@pytest.mark.parametrize(("replay_size", "steps"), [(10**6, 20_000), (10**6, 100_000), (5000, 100_000)])
def test_memory_that_is_counted_is_what_is_taken(replay_class, replay_size, steps):
    shape, width = {Replay: (100,), FrameReplay: (12, 64, 64)}[replay_class], 2
    capacity = replay_class.capacity_for(replay_size, steps + 100)
    row = replay_class.row_width(shape, width)
    full, growing, _ = replay_class.memory(steps, capacity, row, 100, 100)
    replay = replay_class(1, shape, width, capacity, CPU)
    if replay_class is Replay:
        taken = [replay.rows.nbytes]
        while replay.rows.shape[1] < min(capacity, steps):
            replay._grow()
            taken.append(replay.rows.nbytes)
        assert growing == sum(taken[-2:]) and full == min(capacity, steps) * 4 * row <= growing
    else:
        frames = min(steps + steps // 100, capacity)  # of episodes of 100 steps
        share = frames / capacity
        taken = share * (replay.frames.nbytes + replay.steps.nbytes + replay.first.nbytes + replay._numbers.nbytes)
        assert taken <= full == growing < 1.05 * taken
