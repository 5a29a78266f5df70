"""Plans: the k raw actions that an action of the policy stands for, executed one by one, and what they return."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from rl.protocols import ActionSpace


class Plans:
    """The plan under way in each of N environments.

    Attributes:
        z: (N, D) float32, the action of the policy that each plan comes from.
        raw: (N, k, A) float32, its raw actions.
        step: (N,) int, how many of them have been executed; k where a new plan is due.
    """

    def __init__(self, actions: "ActionSpace", n: int) -> None:
        self.actions = actions
        self.z = np.zeros((n, actions.dim), np.float32)
        self.raw = np.zeros((n, actions.k, len(actions.low)), np.float32)
        self.step = np.full(n, actions.k)

    def due(self) -> np.ndarray:
        """(N,) bool: which environments need a new plan."""
        return self.step == self.actions.k

    def start(self, n: int, z: np.ndarray) -> None:
        """Begins the plan of `z` (D,) in environment `n`."""
        self.z[n], self.raw[n], self.step[n] = z, self.actions.decode(z), 0

    def drop(self, n: int) -> None:
        """Forgets the rest of the plan of environment `n`: its episode has ended."""
        self.step[n] = self.actions.k

    def next(self, n: int) -> np.ndarray:
        """The next raw action (A,) of environment `n`."""
        self.step[n] += 1
        return self.raw[n, self.step[n] - 1]


class ExecutedPlan(NamedTuple):
    """What a plan that was run to its end, or to that of its episode, leaves for the replay.

    Attributes:
        states: (h, *S), those that its h steps began in.
        action: (D,), z, or a raw action.
        returns, discounts: (h,), from each of its steps on (`plan_returns`).
        next_state: (*S), the state after its last step.
        begins, ends: whether it is the first plan of its episode, and the last.
    """

    states: np.ndarray
    action: np.ndarray
    returns: np.ndarray
    discounts: np.ndarray
    next_state: np.ndarray
    begins: bool
    ends: bool


def plan_returns(rewards: Sequence[float], terminated: bool, discount: float) -> tuple[np.ndarray, np.ndarray]:
    """The sum of rewards and the discount in the equation for Q(s_t, z_t, i) of section 3.2, for every row of one plan.

    Args:
        rewards: (h,) rewards of the plan's steps, as many as were executed before it or the episode ended.
        terminated: whether the environment terminated at its last step (a time limit is no termination).
        discount: gamma.
    Returns:
        returns: (h,) float64, at i the sum over j < h - i of gamma^j r_{i+j}.
        discounts: (h,) float64, at i gamma^(h-i), or 0 if the environment terminated.
    """
    returns, total = np.empty(len(rewards)), 0.0
    for i in reversed(range(len(rewards))):
        total = rewards[i] + discount * total
        returns[i] = total
    discounts = np.zeros(len(rewards)) if terminated else discount ** np.arange(len(rewards), 0, -1.0)
    return returns, discounts
