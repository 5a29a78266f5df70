"""A policy that draws its actions uniformly, in the place of an agent."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from common.streams import stream
from rl.protocols import Act, ActionSpace, SelectAction
from rl.replay import Batch
from rl.results import NOT_MEASURED


class RandomAgent:
    """Acts at random and learns nothing; arguments as for `rl.td3.TD3`, of which only two matter.

    Args:
        actions: the action space that it draws from.
        seeds: the N seeds.
    """

    learns: ClassVar[bool] = False
    least_batch: ClassVar[int] = 1
    bytes_a_row: ClassVar[int] = 0
    own_flags: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, state_shape: tuple[int, ...], actions: ActionSpace, seeds: Sequence[int], device: torch.device, **_: Any
    ) -> None:
        self.state_shape, self.actions, self.seeds, self.num_seeds = state_shape, actions, seeds, len(seeds)

    @classmethod
    def count_weights(cls, state_shape: tuple[int, ...], action_dim: int) -> int:
        """There are none."""
        return 0

    def act(self, states: np.ndarray) -> np.ndarray:
        """Nothing to ask it: what is collected with it are random steps (`rl.collection.Collector`)."""
        raise NotImplementedError

    def evaluation_policy(self, numbers: Sequence[int]) -> Act:
        """A function of states (N, *S) and due (N,) to actions (N, D), each seed's from a stream of its evaluation's."""
        streams = [
            stream(seed, "evaluation: actions", number) for seed, number in zip(self.seeds, numbers, strict=True)
        ]

        def act(states: np.ndarray, due: np.ndarray) -> np.ndarray:
            chosen = np.zeros((self.num_seeds, self.actions.dim), np.float32)
            for n in np.flatnonzero(due):
                chosen[n] = self.actions.sample(streams[n])
            return chosen

        return act

    def video_policy(self, n: int, steps: int) -> SelectAction:
        """A function of states (1, *S) to an action (D,), for the video of seed index `n` after so many steps."""
        rng = stream(self.seeds[n], "video: actions", steps)
        return lambda _: self.actions.sample(rng)

    def sync_acting(self) -> None:
        """Nothing follows."""

    def update(self, batches: Iterable[Batch], noise: torch.Tensor) -> None:
        """Learns nothing."""

    def clear_diagnostics(self) -> None:
        """There are none."""

    def diagnostics(self) -> list[dict[str, float]]:
        """For each seed, nothing that was measured."""
        return [NOT_MEASURED] * self.num_seeds

    def first_not_finite(self) -> list[str | None]:
        """For each seed None: nothing is computed."""
        return [None] * self.num_seeds

    def networks(self) -> dict[str, list[int]]:
        """There are none."""
        return {}

    def policy_content(self, n: int) -> None:
        """Nothing is kept of it."""
        return

    def snapshot(self, n: int) -> None:
        """Nothing is kept of it."""
        return

    def rewind(self, n: int, state: None) -> None:
        """Nothing was kept."""

    @classmethod
    def policy_of(cls, content: None, actions: ActionSpace, seed: int) -> SelectAction:
        """The policy of a run of `seed`: a function of states to random actions (D,)."""
        rng = stream(seed, "random policy")
        return lambda _: actions.sample(rng)
