"""Replay of images, for N independent seeds: each frame once, stacks are formed when they are sampled.

A record is a frame and the step that was taken from it: action, reward, discount. An episode of T steps has T + 1 records,
the last without a step. As in `rl.replay` a record is written once its step is complete.
"""

import math
import mmap
import sys
from collections.abc import Iterable, Iterator
from typing import ClassVar

import numpy as np
import torch

from envs.pixels import FRAMES, SIZE, stack_rows
from rl.plans import ExecutedPlan
from rl.replay import Batch, Ring

FRAME_SHAPE = (3, SIZE, SIZE)
FRAME_FLOATS = 3 * SIZE * SIZE // 4  # a frame's bytes, counted in float32
MAP_NORESERVE = 0x4000  # Linux; Python 3.11's mmap does not name it
FLAGS = 2  # floats of a record: whether its episode begins with it, whether it has a step


def _zeros(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Zeros of uint8. On a CPU the system gives pages as they are written, and promises none of them beforehand."""
    if device.type != "cpu" or not sys.platform.startswith("linux"):
        return torch.zeros(shape, dtype=torch.uint8, device=device)
    pages = mmap.mmap(-1, math.prod(shape), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
    return torch.frombuffer(pages, dtype=torch.uint8).view(shape)


class FrameReplay(Ring):
    """A ring of records for each of N seeds; arguments as for `rl.replay.Replay`.

    A step can be sampled when the frame that it led to is there, and those of its stacks still are.

    Args:
        capacity: the most frames that are kept a seed.
    """

    least: ClassVar[int] = FRAMES + 2
    lag: ClassVar[int] = 1
    preallocates: ClassVar[bool] = True

    def __init__(
        self, num_seeds: int, state_shape: tuple[int, ...], action_dim: int, capacity: int, device: torch.device
    ) -> None:
        super().__init__(num_seeds, capacity)
        self.action_dim, self.device = action_dim, device
        self.frames = _zeros((num_seeds, capacity, *FRAME_SHAPE), device)
        self.steps = torch.zeros(num_seeds, capacity, action_dim + 2, device=device)
        self.first = np.zeros((num_seeds, capacity), np.int64)  # number of the first record of its episode
        self._episode = np.zeros(num_seeds, np.int64)  # number of the first record of the newest episode
        # The numbers of records that have a step, as a ring: those from `_oldest` on, of `_added` ever.
        self._numbers = np.zeros((num_seeds, capacity), np.int64)
        self._added, self._oldest = np.zeros((2, num_seeds), np.int64)

    @staticmethod
    def row_width(state_shape: tuple[int, ...] | None, action_dim: int) -> int:
        """Floats a record; the frame's bytes are counted as such."""
        return FRAME_FLOATS + action_dim + 2 + FLAGS

    @staticmethod
    def capacity_for(replay_size: int, steps: int) -> int:
        """The most frames that a seed can have after so many steps, each an episode of its own."""
        return min(replay_size, 2 * steps)

    @staticmethod
    def memory(steps: int, capacity: int, width: int, batch: int, updates: int) -> tuple[int, int, int]:
        """Bytes that a seed takes: its frames after so many steps, at most while they grow (the same), the samples of an update.

        An episode's last frame is counted as a twentieth of a step: episodes are mostly longer.
        """
        frames = min(capacity, steps * 21 // 20) * (4 * width + 24)
        return frames, frames, batch * 2 * FRAMES * FRAME_FLOATS * 4 + updates * batch * 8

    @staticmethod
    def pack(plan: ExecutedPlan) -> np.ndarray:
        """The records (1 or 2, width) float32 of an `ExecutedPlan` of one step, to be appended."""
        stacks = [plan.states[0], *([plan.next_state] if plan.ends else [])]
        rows = np.zeros((len(stacks), FrameReplay.row_width(None, len(plan.action))), np.float32)
        for row, stack in zip(rows, stacks, strict=True):
            row[:FRAME_FLOATS] = np.ascontiguousarray(stack[-3:]).view(np.float32).ravel()
        rows[0, FRAME_FLOATS:] = *plan.action, plan.returns[0], plan.discounts[0], plan.begins, 1
        return rows

    @property
    def sizes(self) -> np.ndarray:
        """(N,) int: how many steps of each seed can be sampled."""
        newest = self._numbers[np.arange(len(self.written)), (self._added - 1) % self.capacity]
        incomplete = (self._added > self._oldest) & (newest == self.written - 1)  # its next frame is not there yet
        return self._added - self._oldest - incomplete

    def rewind(self, n: int, parts: Iterable[np.ndarray], written: int) -> None:
        """Puts the last records of `written` ever written, in parts (M, width), back in their places."""
        self._episode[n] = max(0, written - self.capacity)
        super().rewind(n, parts, written)

    def _write(self, n: int, rows: np.ndarray) -> None:
        if not len(rows):
            return
        begins, has_step = rows[:, -FLAGS:].astype(bool).T
        numbers = self.written[n] + np.arange(len(rows))
        first = np.maximum.accumulate(np.where(begins, numbers, self._episode[n]))
        kept = slice(max(0, len(rows) - self.capacity), None)
        places = numbers[kept] % self.capacity
        where = torch.from_numpy(places).to(self.device)
        frames = np.ascontiguousarray(rows[kept, :FRAME_FLOATS]).view(np.uint8).reshape(-1, *FRAME_SHAPE)
        self.frames[n, where] = torch.from_numpy(frames).to(self.device)
        self.steps[n, where] = torch.from_numpy(rows[kept, FRAME_FLOATS:-FLAGS].copy()).to(self.device)
        self.first[n, places] = first[kept]
        self._episode[n] = first[-1]
        self.written[n] += len(rows)
        self._add(n, numbers[kept][has_step[kept]])

    def _add(self, n: int, numbers: np.ndarray) -> None:
        self._numbers[n, (self._added[n] + np.arange(len(numbers))) % self.capacity] = numbers
        self._added[n] += len(numbers)
        self._oldest[n] = max(self._oldest[n], self._added[n] - self.capacity)
        if self.written[n] > self.capacity:  # the oldest frames are gone, stacks would reach for them
            whole = self.written[n] - self.capacity + FRAMES - 1
            while self._oldest[n] < self._added[n] and self._numbers[n, self._oldest[n] % self.capacity] < whole:
                self._oldest[n] += 1

    def sample(self, indices: np.ndarray, seeds: slice = slice(None)) -> Iterator[Batch]:
        """Steps at `indices` (U, M, B) of the M seeds in the slice `seeds`, as U batches of stacks (M, B, 12, 64, 64)
        uint8, formed one after the other."""
        own = np.arange(len(self.written))[seeds, None]
        for index in indices:
            numbers = self._numbers[own, (self._oldest[own] + index) % self.capacity]
            first = self.first[own, numbers % self.capacity]
            places = torch.from_numpy(own * self.capacity + numbers % self.capacity).to(self.device)
            action, reward, discount = self.steps.flatten(0, 1)[places].split([self.action_dim, 1, 1], dim=-1)
            yield Batch(
                self._stacks(own, first, numbers),
                action,
                torch.zeros_like(reward),
                reward,
                discount,
                self._stacks(own, first, numbers + 1),
            )

    def _stacks(self, seeds: np.ndarray, first: np.ndarray, numbers: np.ndarray) -> torch.Tensor:
        """The stacks (M, B, 12, 64, 64) whose newest frames are the records `numbers` (M, B) of `seeds` (M, 1)."""
        rows = stack_rows(first.ravel(), numbers.ravel()).reshape(*numbers.shape, FRAMES) % self.capacity
        rows += seeds[..., None] * self.capacity
        frames = self.frames.flatten(0, 1).index_select(0, torch.from_numpy(rows.ravel()).to(self.device))
        return frames.view(*numbers.shape, 3 * FRAMES, SIZE, SIZE)
