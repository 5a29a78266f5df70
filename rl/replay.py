"""Replay of complete plans, for N independent seeds.

A row is (s, z, i, R, factor, s'): the window from step i of a plan to its end, with its rewards already summed
(`rl.dyne_td3.plan_returns`). Rows are written once their window is complete, so a window never reaches into the next
episode or past the ring's head, and a raw action is a plan of one step.
"""

from typing import NamedTuple

import numpy as np
import torch

from rl.td3 import Batch

FIRST_CAPACITY = 16_384


class Window(NamedTuple):
    """What a plan that was run to its end, or to that of its episode, leaves for the replay.

    Attributes:
        states: (h, *S), those that its h steps began in.
        action: (D,), z, or a raw action.
        sums, factors: (h,), of the window from each of its steps on (`rl.dyne_td3.plan_returns`).
        next_state: (*S), the state after its last step.
        begins, ends: whether it is the first plan of its episode, and the last.
    """

    states: np.ndarray
    action: np.ndarray
    sums: np.ndarray
    factors: np.ndarray
    next_state: np.ndarray
    begins: bool
    ends: bool


class Replay:
    """A ring of rows for each of N seeds, on one device, that grows up to `capacity` rows.

    Args:
        num_seeds: N.
        state_shape, action_dim: (S,) and D.
        capacity: the most rows that are kept a seed.
        device: torch device.
    """

    def __init__(self, num_seeds, state_shape, action_dim, capacity, device):
        (state_dim,) = state_shape
        self.widths = [state_dim, action_dim, 1, 1, 1, state_dim]
        self.capacity, self.device = capacity, device
        self.rows = torch.zeros(num_seeds, min(capacity, FIRST_CAPACITY), sum(self.widths), device=device)
        self.written = np.zeros(num_seeds, dtype=np.int64)  # rows ever written, a seed
        self.unsaved = [[] for _ in range(num_seeds)]  # rows since `take_unsaved`

    @staticmethod
    def row_width(state_shape, action_dim):
        """Floats a row."""
        return 2 * state_shape[0] + action_dim + 3

    @staticmethod
    def memory(rows, width, batch, updates):
        """Bytes that a seed takes: of `rows` rows in the end, while they grow, and of the samples of a block."""
        replay = 4 * rows * width
        return replay, replay * 3 // 2, updates * batch * 4 * width  # the last growth copies the rows

    @staticmethod
    def pack(window):
        """The rows (h, width) float32 of a `Window`, to be appended."""
        h = len(window.sums)
        columns = [
            window.states,
            np.broadcast_to(window.action, (h, len(window.action))),
            np.arange(h)[:, None],
            window.sums[:, None],
            window.factors[:, None],
            np.broadcast_to(window.next_state, (h, len(window.next_state))),
        ]
        return np.concatenate(columns, axis=1, dtype=np.float32)

    @property
    def sizes(self):
        """(N,) int: how many rows of each seed can be sampled."""
        return np.minimum(self.written, self.capacity)

    def append(self, n, rows):
        """Writes rows (M, S + D + 3 + S), float32 numpy, of seed `n` behind its last, over its oldest when full."""
        self.unsaved[n].append(rows)
        self._write(n, rows)

    def take_unsaved(self, n):
        """The rows (M, width) of seed `n` since this was last called."""
        rows, self.unsaved[n] = self.unsaved[n], []
        return np.concatenate(rows) if rows else np.empty((0, sum(self.widths)), np.float32)

    def restore(self, n, rows, written):
        """Puts the last rows (M, width) of `written` ever written back in their places."""
        self.written[n] = written - len(rows)
        self._write(n, rows)

    def _write(self, n, rows):
        skipped = max(0, len(rows) - self.capacity)
        rows = torch.tensor(rows[skipped:], device=self.device)
        while self.written[n] + len(rows) > self.rows.shape[1] and self.rows.shape[1] < self.capacity:
            self._grow()
        places = (self.written[n] + skipped + torch.arange(len(rows), device=self.device)) % self.capacity
        self.rows[n, places] = rows
        self.written[n] += skipped + len(rows)

    def _grow(self):
        seeds, old, width = self.rows.shape
        rows = torch.zeros(seeds, min(self.capacity, 2 * old), width, device=self.device)
        rows[:, :old] = self.rows
        self.rows = rows

    def sample(self, indices):
        """Rows at `indices` (U, N, B), as U batches."""
        seeds = torch.arange(self.rows.shape[0], device=self.device)[:, None]
        rows = self.rows[seeds, torch.from_numpy(indices).to(self.device)]
        return [Batch(*row.split(self.widths, dim=-1)) for row in rows]
