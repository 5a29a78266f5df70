"""The agents of a run's N seeds, as one."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from rl.protocols import Act, ActionSpace, Agent, Content, ReplayBuffer, SelectAction


@contextlib.contextmanager
def _flushed_denormals() -> Iterator[None]:
    """Within `with`, numbers below 1e-38 are zeros on a CPU: Adam's moments of weights without gradients end there, where
    processors are a hundred times slower."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


class Agents:
    """An agent for each seed on a CPU, and elsewhere one agent of stacked networks for all.

    On a CPU each seed does its whole block of updates before the next one begins: its networks stay in the processor's
    caches, and its numbers are bit for bit those that it would have alone.

    Args:
        agent_class: `TD3`, or another of the agents of `rl.methods`.
        state_shape, actions, device, flags: as it takes them.
        seeds: the N seeds.
    """

    def __init__(
        self,
        agent_class: type[Agent],
        state_shape: tuple[int, ...],
        actions: ActionSpace,
        seeds: Sequence[int],
        device: torch.device,
        **flags: Any,
    ) -> None:
        width = 1 if device.type == "cpu" else len(seeds)
        self.parts = [slice(begin, begin + width) for begin in range(0, len(seeds), width)]  # indices of seeds
        self.agents = [agent_class(state_shape, actions, seeds[p], device, **flags) for p in self.parts]
        self.learns, self._width = agent_class.learns, width

    def _of_seed(self, n: int) -> tuple[Agent, int]:
        """The agent of seed index `n`, and the seed's index there."""
        return self.agents[n // self._width], n % self._width

    def act(self, states: np.ndarray) -> np.ndarray:
        """The policies without noise: states (N, *S) to actions (N, D), numpy."""
        return np.concatenate([a.act(states[p]) for a, p in zip(self.agents, self.parts, strict=True)])

    def evaluation_policy(self, numbers: Sequence[int]) -> Act:
        """A function of states (N, *S) and due (N,) bool to actions (N, D), of which the due ones are used.

        Args:
            numbers: N, that of the evaluation within each seed's run.
        """
        policies = [a.evaluation_policy(numbers[p]) for a, p in zip(self.agents, self.parts, strict=True)]

        def act(states: np.ndarray, due: np.ndarray) -> np.ndarray:
            parts = zip(policies, self.parts, strict=True)
            return np.concatenate([policy(states[part], due[part]) for policy, part in parts])

        return act

    def video_policy(self, n: int, steps: int) -> SelectAction:
        """A function of states (1, *S) to an action (D,), for the video of seed index `n` after so many steps."""
        agent, own = self._of_seed(n)
        return agent.video_policy(own, steps)

    def sync_acting(self) -> None:
        """Makes `act` follow what was trained."""
        for agent in self.agents:
            agent.sync_acting()

    def update(self, replay: ReplayBuffer, indices: np.ndarray, noise: torch.Tensor) -> None:
        """A block of U updates of every seed.

        Args:
            replay: what the rows at `indices` (U, N, B) are taken from.
            noise: (U, N, B, D) standard normal, on the agents' device.
        """
        with _flushed_denormals():
            for agent, part in zip(self.agents, self.parts, strict=True):
                agent.update(replay.sample(indices[:, part], part), noise[:, part])

    def clear_diagnostics(self) -> None:
        """Forgets the sums that `diagnostics` reports."""
        for agent in self.agents:
            agent.clear_diagnostics()

    def diagnostics(self) -> list[dict[str, float]]:
        """What the agents report since `clear_diagnostics`, one dict a seed."""
        return [row for agent in self.agents for row in agent.diagnostics()]

    def first_not_finite(self) -> list[str | None]:
        """For each seed, the name of what is not finite of it, or None."""
        return [name for agent in self.agents for name in agent.first_not_finite()]

    def networks(self) -> dict[str, list[int]]:
        """{name: the widths of its layers} of any one seed."""
        return self.agents[0].networks()

    def policy_content(self, n: int) -> Content | None:
        """What `rl.policies.load_policy` needs of seed index `n`."""
        agent, own = self._of_seed(n)
        return agent.policy_content(own)

    def snapshot(self, n: int) -> Content | None:
        """Everything of seed index `n` that updates read or write, as tensors and plain values on the CPU."""
        agent, own = self._of_seed(n)
        return agent.snapshot(own)

    def rewind(self, n: int, state: Any) -> None:
        """Goes back, for seed index `n`, to a `snapshot`."""
        agent, own = self._of_seed(n)
        agent.rewind(own, state)
