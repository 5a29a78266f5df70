"""What the parts of stage two expect of each other, as types.

Shapes: N seeds, U updates, B rows of a batch, S the state's shape (S,) or (12, 64, 64), D numbers of the policy's action,
A of a raw action, k raw actions of a plan.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Protocol

import gymnasium
import numpy as np
import torch

from rl.plans import ExecutedPlan
from rl.replay import Batch

Content = dict[str, Any]  # tensors and plain values: what a checkpoint may hold (`common.checkpoint`)
Unit = float | np.ndarray  # that noises are counted in: one, or (D,) one for each dimension of an action
Act = Callable[[np.ndarray, np.ndarray], np.ndarray]  # states (N, *S) and due (N,) bool to actions (N, D)
SelectAction = Callable[[np.ndarray], np.ndarray]  # states (1, *S) to an action (D,)


class Player(Protocol):
    """What plays episodes, as `rl.policies.Policy` does."""

    def reset(self) -> None:
        """Begins an episode."""
        ...

    def select_action(self, observation: np.ndarray) -> np.ndarray:
        """The raw action (A,) of an observation (S,)."""
        ...


class ActionSpace(Protocol):
    """What a policy acts in (`rl.action_spaces`).

    Attributes:
        k: how many raw actions a plan has.
        dim: D.
        description: what it is, for messages.
        low, high: (A,) float32, the environment's bounds.
        center, scale: (D,) float32: an actor's tanh spans center ± scale.
        policy_low, policy_high: (D,) float32, the bounds of the policy's actions.
        noise_unit, target_noise_unit: what standard deviations of exploration and of the targets are multiplied by: a
            number, or (D,) one for each dimension.
        clip_unit: what the bound of the targets' noise is multiplied by: a number, or (D,).
    """

    k: int
    dim: int
    description: str
    low: np.ndarray
    high: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    policy_low: np.ndarray
    policy_high: np.ndarray
    noise_unit: Unit
    target_noise_unit: Unit
    clip_unit: Unit

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """A uniformly random action (D,) float32."""
        ...

    def decode(self, action: np.ndarray) -> np.ndarray:
        """The plan of an action (D,): raw actions (k, A)."""
        ...

    def content(self) -> Content:
        """What the same space is made from again."""
        ...


class StateSpace(Protocol):
    """What a policy and its critics see (`rl.state_spaces`).

    Attributes:
        shape: of a state.
        observed: how many numbers an observation has.
        description: what it is, for messages.
        bytes_once, bytes_a_seed: memory of its environments: in all, and of the two of each seed.
    """

    shape: tuple[int, ...]
    observed: int
    description: str
    bytes_once: float
    bytes_a_seed: float

    def make_env(self, env_id: str, flag: str = ..., **kwargs: Any) -> gymnasium.Env:
        """Makes an environment that is observed in this way."""
        ...

    def encode(self, observations: Sequence[np.ndarray], previous: np.ndarray | None = None) -> np.ndarray:
        """The states (M, *S) of M environments from their observations and their states one step before."""
        ...

    def content(self) -> Content:
        """What the same space is made from again."""
        ...


class ReplayBuffer(Protocol):
    """What keeps the experience of N seeds (`rl.replay`, `rl.frame_replay`).

    Attributes:
        least: the smallest capacity that works.
        lag: for how many steps a step waits until it can be sampled.
        preallocates: whether a GPU holds the whole capacity from the start.
    """

    least: ClassVar[int]
    lag: ClassVar[int]
    preallocates: ClassVar[bool]

    @property
    def sizes(self) -> np.ndarray:
        """(N,) int: how many rows of each seed can be sampled."""
        ...

    def __init__(
        self, num_seeds: int, state_shape: tuple[int, ...], action_dim: int, capacity: int, device: torch.device
    ) -> None: ...

    @staticmethod
    def row_width(state_shape: tuple[int, ...], action_dim: int) -> int:
        """Floats a row."""
        ...

    @staticmethod
    def capacity_for(replay_size: int, steps: int) -> int:
        """The most rows that a seed can have after so many steps."""
        ...

    @staticmethod
    def memory(steps: int, capacity: int, width: int, batch: int, updates: int) -> tuple[int, int, int]:
        """Bytes that a seed takes: its rows after so many steps, at most while they grow, the samples of a block."""
        ...

    def pack(self, plan: ExecutedPlan) -> np.ndarray:
        """The rows (M, width) float32 of an executed plan, to be appended."""
        ...

    def append(self, n: int, rows: np.ndarray) -> None:
        """Writes rows (M, width) of seed index `n` behind its last."""
        ...

    def take_unsaved(self, n: int) -> list[np.ndarray]:
        """The rows of seed index `n` since this was last called, in parts (M, width)."""
        ...

    def rewind(self, n: int, parts: Iterable[np.ndarray], written: int) -> None:
        """Puts the last rows of `written` ever written back in their places."""
        ...

    def sample(self, indices: np.ndarray, seeds: slice = ...) -> Iterable[Batch]:
        """The U batches of rows at indices (U, N, B)."""
        ...


class Agent(Protocol):
    """What acts and learns, for the seeds that it is made for (`rl.td3`, `rl.random_agent`).

    Attributes of the class:
        learns: whether it is updated.
        own_flags: those of its script that its constructor takes beside the arguments of every agent.
        least_batch: the fewest rows of a batch that work.
        bytes_a_row: memory of a row of a batch in an update, a seed.
    """

    learns: ClassVar[bool]
    own_flags: ClassVar[tuple[str, ...]]
    least_batch: ClassVar[int]
    bytes_a_row: ClassVar[int]
    num_seeds: int

    def __init__(
        self,
        state_shape: tuple[int, ...],
        actions: ActionSpace,
        seeds: Sequence[int],
        device: torch.device,
        **flags: Any,
    ) -> None: ...

    @classmethod
    def count_weights(cls, state_shape: tuple[int, ...], action_dim: int) -> int:
        """How many weights the networks of a seed have, without those of targets: memory is counted by it."""
        ...

    def act(self, states: np.ndarray) -> np.ndarray:
        """The policies without noise: states (N, *S) to actions (N, D)."""
        ...

    def evaluation_policy(self, numbers: Sequence[int]) -> Act:
        """The policies of the evaluations of these N numbers, one of each seed's run."""
        ...

    def video_policy(self, n: int, steps: int) -> SelectAction:
        """The policy of seed index `n` after so many steps: a state (1, *S) to an action (D,)."""
        ...

    def sync_acting(self) -> None:
        """Makes `act` follow what was trained."""
        ...

    def update(self, batches: Iterable[Batch], noise: torch.Tensor) -> None:
        """U updates of every seed; noise: (U, N, B, D), standard normal."""
        ...

    def clear_diagnostics(self) -> None:
        """Forgets what `diagnostics` reports."""
        ...

    def diagnostics(self) -> list[dict[str, float]]:
        """For each seed what `train.csv` notes of the updates since `clear_diagnostics`."""
        ...

    def first_not_finite(self) -> list[str | None]:
        """For each seed the name of what is not finite, or None."""
        ...

    def networks(self) -> dict[str, list[int]]:
        """{name: the widths of its layers}, inputs first, for `opt.json`."""
        ...

    def snapshot(self, n: int) -> Content | None:
        """Everything of seed index `n` that updates read or write."""
        ...

    def rewind(self, n: int, state: Any) -> None:
        """Goes back, for seed index `n`, to a `snapshot`."""
        ...

    def policy_content(self, n: int) -> Content | None:
        """What `policy_of` makes the policy of seed index `n` from again."""
        ...

    @classmethod
    def policy_of(cls, content: Any, actions: ActionSpace, seed: int) -> SelectAction:
        """The policy that `policy_content` described: a state (1, *S) to an action (D,).

        The content may be another's (`common.entries`); loading asks for one action before it gives the policy out.
        """
        ...
