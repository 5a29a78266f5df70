"""Replay of complete plans, for N independent seeds.

A row is (s, z, i, R, discount, s'): the steps of a plan from its i-th to its end, with their rewards already summed
(`rl.plans.plan_returns`). Rows are written once their plan has been executed, so they never reach into the next episode or
past the ring's head, and a raw action is a plan of one step.
"""

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

import numpy as np
import torch

from rl.plans import ExecutedPlan

FIRST_CAPACITY = 16_384


class Batch(NamedTuple):
    """B sampled rows of each of N seeds.

    Attributes:
        state: (N, B, S).
        action: (N, B, D), a raw action, or z.
        plan_step: (N, B, 1), i, the place of the raw action within its plan; 0 for raw actions.
        reward: (N, B, 1), the discounted sum of rewards until `next_state`.
        discount: (N, B, 1), what the value of `next_state` counts for: gamma^h, or 0 after termination.
        next_state: (N, B, S).
    """

    state: torch.Tensor
    action: torch.Tensor
    plan_step: torch.Tensor
    reward: torch.Tensor
    discount: torch.Tensor
    next_state: torch.Tensor


class Ring:
    """Rows of N seeds that are appended, kept to be saved, and put back; a subclass stores them.

    Attributes:
        capacity: the most rows that are kept a seed.
        written: (N,) int64, rows ever written.
        unsaved: for each seed a list of the rows since `take_unsaved`.
    """

    def __init__(self, num_seeds: int, capacity: int) -> None:
        self.capacity, self.written = capacity, np.zeros(num_seeds, dtype=np.int64)
        self.unsaved: list[list[np.ndarray]] = [[] for _ in range(num_seeds)]

    def _write(self, n: int, rows: np.ndarray) -> None:
        """Stores rows (M, width) of seed `n` behind its last, and counts them."""
        raise NotImplementedError

    def append(self, n: int, rows: np.ndarray) -> None:
        """Writes rows (M, width), float32 numpy, of seed `n` behind its last, over its oldest when full."""
        self.unsaved[n].append(rows)
        self._write(n, rows)

    def take_unsaved(self, n: int) -> list[np.ndarray]:
        """The rows of seed `n` since this was last called, a list of (M, width)."""
        parts, self.unsaved[n] = self.unsaved[n], []
        return parts

    def rewind(self, n: int, parts: Iterable[np.ndarray], written: int) -> None:
        """Puts the last rows of `written` ever written, in parts (M, width), back in their places."""
        self.written[n] = max(0, written - self.capacity)
        for rows in parts:
            self._write(n, rows)


class Replay(Ring):
    """A ring of rows for each of N seeds, on one device, that grows up to `capacity` rows.

    Attributes of the class: `least`, the smallest capacity that works; `lag`, for how many steps a step waits until it
    can be sampled; `preallocates`, whether a GPU holds the whole capacity from the start.

    Args:
        num_seeds: N.
        state_shape, action_dim: (S,) and D.
        capacity: the most rows that are kept a seed.
        device: torch device.
    """

    least: ClassVar[int] = 1
    lag: ClassVar[int] = 0
    preallocates: ClassVar[bool] = False

    def __init__(
        self, num_seeds: int, state_shape: tuple[int, ...], action_dim: int, capacity: int, device: torch.device
    ) -> None:
        (state_dim,) = state_shape
        self.widths = [state_dim, action_dim, 1, 1, 1, state_dim]
        super().__init__(num_seeds, capacity)
        self.device = device
        self.rows = torch.zeros(num_seeds, min(capacity, FIRST_CAPACITY), sum(self.widths), device=device)

    @staticmethod
    def row_width(state_shape: tuple[int, ...], action_dim: int) -> int:
        """Floats a row."""
        return 2 * state_shape[0] + action_dim + 3

    @staticmethod
    def capacity_for(replay_size: int, steps: int) -> int:
        """The most rows that a seed can have after so many steps: more need not be provided for."""
        return min(replay_size, steps)

    @staticmethod
    def memory(steps: int, capacity: int, width: int, batch: int, updates: int) -> tuple[int, int, int]:
        """Bytes that a seed takes: its rows after so many steps, at most while they grow, the samples of a block."""
        rows, size, before = min(steps, capacity), min(capacity, FIRST_CAPACITY), 0
        while size < rows:
            size, before = min(capacity, 2 * size), size
        return 4 * rows * width, 4 * (size + before) * width, updates * batch * 4 * width

    @staticmethod
    def pack(plan: ExecutedPlan) -> np.ndarray:
        """The rows (h, width) float32 of an `ExecutedPlan`, to be appended."""
        h = len(plan.returns)
        columns = [
            plan.states,
            np.broadcast_to(plan.action, (h, len(plan.action))),
            np.arange(h)[:, None],
            plan.returns[:, None],
            plan.discounts[:, None],
            np.broadcast_to(plan.next_state, (h, len(plan.next_state))),
        ]
        return np.concatenate(columns, axis=1, dtype=np.float32)

    @property
    def sizes(self) -> np.ndarray:
        """(N,) int: how many rows of each seed can be sampled."""
        return np.minimum(self.written, self.capacity)

    def _write(self, n: int, rows: np.ndarray) -> None:
        skipped = max(0, len(rows) - self.capacity)
        new = torch.tensor(rows[skipped:], device=self.device)
        while self.written[n] + len(new) > self.rows.shape[1] and self.rows.shape[1] < self.capacity:
            self._grow()
        places = (self.written[n] + skipped + torch.arange(len(new), device=self.device)) % self.capacity
        self.rows[n, places] = new
        self.written[n] += skipped + len(new)

    def _grow(self) -> None:
        seeds, old, width = self.rows.shape
        rows = torch.zeros(seeds, min(self.capacity, 2 * old), width, device=self.device)
        rows[:, :old] = self.rows
        self.rows = rows

    def sample(self, indices: np.ndarray, seeds: slice = slice(None)) -> list[Batch]:
        """Rows at `indices` (U, M, B) of the M seeds in the slice `seeds`, as U batches."""
        own = self.rows[seeds]
        places = indices + np.arange(len(own))[:, None] * own.shape[1]
        rows = own.flatten(0, 1).index_select(0, torch.from_numpy(places.ravel()).to(self.device))
        columns = rows.view(*indices.shape, -1).split(self.widths, dim=-1)
        return [Batch(*parts) for parts in zip(*(column.unbind() for column in columns), strict=True)]
