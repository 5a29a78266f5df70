"""Windows of frames are those of a loop over samples."""

import numpy as np
import pytest
import torch

from common.errors import UsageError
from embedding.pixel_play import PixelPlay, PixelWindows


def numbered(lengths, action_dim=2):
    """Play whose frames hold their row's number, and whose actions are numbered."""
    rows, steps = sum(lengths) + len(lengths), sum(lengths)
    frames = torch.arange(rows, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 64, 64)
    actions = np.arange(steps * action_dim, dtype=np.float32).reshape(steps, action_dim)
    states = np.zeros((rows, 1))
    return PixelPlay(states, actions, np.array(lengths), frames, states)


@pytest.mark.parametrize("lengths", [(7, 3, 1, 12, 4), (1, 1, 9, 2), (8, 8)])
@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_windows_are_those_of_a_loop(lengths, k):
    wanted, row, step = [], 0, 0
    for length in lengths:
        for t in range(length - k + 1):
            stack = [row + max(0, t - back) for back in (3, 2, 1, 0)]
            plan = [2.0 * (step + t + j) for j in range(k)]
            wanted.append((stack, plan, [row + t + k - 1, row + t + k]))
        row, step = row + length + 1, step + length
    windows = PixelWindows(numbered(lengths), k)
    assert len(windows) == len(wanted)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(wanted)))
    stacks, targets = windows.batch(order)
    assert stacks.shape == (len(wanted), 12, 64, 64) and targets.shape == (len(wanted), 2, 3, 64, 64)
    for i, w in enumerate(order.tolist()):
        stack, plan, future = wanted[w]
        assert stacks[i, :, 5, 6].tolist() == np.repeat(stack, 3).tolist()
        assert targets[i, :, :, 5, 6].tolist() == [[f] * 3 for f in future]
        assert windows.actions[w, :, 0].tolist() == plan


def test_windows_longer_than_every_episode_are_refused():
    with pytest.raises(UsageError, match="--traj_len 5: .* 4 steps"):
        PixelWindows(numbered((3, 4)), 5)
