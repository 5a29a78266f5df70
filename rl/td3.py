"""TD3 (Fujimoto et al., 2018) for N independent seeds at once."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from common import entries
from common.mlp import MLP, Adam, row_length
from rl.networks import HIDDEN, Actor, initial_critics
from rl.protocols import Act, ActionSpace, Content, SelectAction
from rl.replay import Batch
from rl.results import DIAGNOSTICS

WithoutAutograd = type[torch.inference_mode] | type[torch.no_grad]


class TD3:
    """Twin delayed deep deterministic policy gradients.

    Its gradients are written out where they are used: networks know how to pass one on (`common.mlp.MLP.backward`).

    Args:
        state_shape: (S,).
        actions: the action space of the policy (`rl.action_spaces`).
        seeds: the N seeds.
        device: torch device.
        lr: Adam's learning rate, actor and critics.
        tau: share of the networks that moves into the targets at each actor update.
        policy_noise: standard deviation of the target policy's noise, in units of the action; a number, or (D,).
        noise_clip: bound of that noise, likewise.
        policy_freq: actor and targets are updated at every `policy_freq`-th update.
    """

    learns: ClassVar[bool] = True
    # The action is repeated in a critic's input until it is about this share of the state wide: by itself a wide state drowns it.
    action_share: ClassVar[float] = 0.5
    own_flags: ClassVar[tuple[str, ...]] = ()  # of its script, that it takes beside those of every agent
    sees_plan_step: ClassVar[bool] = False
    least_batch: ClassVar[int] = 1
    actor_class: ClassVar[type[Actor]] = Actor
    bytes_a_row: ClassVar[int] = 25_000  # of a batch, a seed: activations and gradients (23 kB measured)
    # Operators cost less in it than in `torch.no_grad`.
    without_autograd: ClassVar[WithoutAutograd] = torch.inference_mode

    # `Actor`s and `Adam`; a subclass may have others.
    actor: Any
    target_actor: Any
    acting_actor: Any
    actor_adam: Any

    def __init__(
        self,
        state_shape: tuple[int, ...],
        actions: ActionSpace,
        seeds: Sequence[int],
        device: torch.device,
        *,
        lr: float,
        tau: float,
        policy_noise: float | np.ndarray,
        noise_clip: float | np.ndarray,
        policy_freq: int,
    ) -> None:
        self.state_shape, self.actions, self.num_seeds, self.device = state_shape, actions, len(seeds), device
        self.tau, self.policy_freq = tau, policy_freq
        self.policy_noise = torch.as_tensor(policy_noise, dtype=torch.float32, device=device)
        self.noise_clip = torch.as_tensor(noise_clip, dtype=torch.float32, device=device)
        self.low = torch.as_tensor(actions.policy_low, device=device)
        self.high = torch.as_tensor(actions.policy_high, device=device)
        (state_dim,) = state_shape
        self.repeats = self.action_repeats(state_dim, actions.dim)
        self.critics = self.make_critics(seeds)
        self.target_critics = [critic.like(critic.rows.clone()) for critic in self.critics]
        self.critic_adams = [Adam(critic, lr) for critic in self.critics]
        self.make_actors(seeds, lr)
        self.updates = 0
        self._make_sums(0)

    # ---- networks ----

    def make_critics(self, seeds: Sequence[int]) -> list[MLP]:
        """Q_1 and Q_2 of every seed: inputs (N, B, I) to values (N, B, 1)."""
        (state_dim,) = self.state_shape
        return initial_critics(self._critic_inputs(state_dim, self.actions.dim), seeds, self.device)

    def make_actors(self, seeds: Sequence[int], lr: float) -> None:
        """Makes the actor, its target, what trains it, and the copy that acts, which is on the CPU."""
        space = self.actions
        (state_dim,) = self.state_shape
        self.actor = self.actor_class.initial(state_dim, space.dim, space.center, space.scale, seeds, self.device)
        self.target_actor = self.actor.like(self.actor.mlp.rows.clone())
        self.actor_adam = Adam(self.actor.mlp, lr)
        self.acting_actor = self.actor if self.device.type == "cpu" else self.actor.like(self.actor.mlp.rows.cpu())

    @classmethod
    def action_repeats(cls, state_dim: int, action_dim: int) -> int:
        """How often the action, and its place in the plan where a critic sees that, stands in a critic's input."""
        return max(1, int(cls.action_share * state_dim / (action_dim + cls.sees_plan_step)))

    @classmethod
    def _critic_inputs(cls, state_dim: int, action_dim: int) -> int:
        """The width of a critic's input: S, and the repeated action."""
        return state_dim + cls.action_repeats(state_dim, action_dim) * (action_dim + cls.sees_plan_step)

    @classmethod
    def count_weights(cls, state_shape: tuple[int, ...], action_dim: int) -> int:
        """How many weights actor and critics of a seed have, without their targets."""
        (state_dim,) = state_shape
        inputs = cls._critic_inputs(state_dim, action_dim)
        return 2 * row_length((inputs, *HIDDEN, 1)) + row_length((state_dim, *HIDDEN, action_dim))

    def act(self, states: np.ndarray) -> np.ndarray:
        """The policy without noise: states (N, S) to actions (N, D), numpy float32 both."""
        return self.acting_actor(torch.from_numpy(states).unsqueeze(1)).squeeze(1).numpy()

    def evaluation_policy(self, numbers: Sequence[int]) -> Act:
        """A function of states (N, *S) and due (N,) bool to actions (N, D): `act`, whatever the evaluations' numbers."""
        return lambda states, due: self.act(states)

    def video_policy(self, n: int, steps: int) -> SelectAction:
        """A function of states (1, *S) to an action (D,): that of seed index `n`, whenever it is filmed."""
        return lambda states: self.act(np.repeat(states, self.num_seeds, axis=0))[n]

    def sync_acting(self) -> None:
        """Makes `act` follow the trained actor; on the CPU it always does."""
        if self.acting_actor is not self.actor:
            self.acting_actor.mlp.rows.copy_(self.actor.mlp.rows)

    def critic_input(self, state: torch.Tensor, action: torch.Tensor, plan_step: torch.Tensor) -> torch.Tensor:
        """What Q is a function of: (s, a), the action repeated. All (N, B, ·)."""
        return torch.cat([state, *[action] * self.repeats], dim=-1)

    # ---- updates ----

    def update(self, batches: Iterable[Batch], noise: torch.Tensor) -> None:
        """U updates, one after the other, each of all N seeds at once: a function of the networks and the arguments alone.

        Args:
            batches: U of `rl.replay.Batch`.
            noise: (U, N, B, D) standard normal, of the targets' actions.
        """
        if noise.shape[2] != self._critic_losses.shape[1]:
            self._make_sums(noise.shape[2])
        coming, left = iter(batches), list(noise)
        while left:
            # The targets move at every policy_freq-th update: until then their values are computed for all batches at once.
            still = self.policy_freq - self.updates % self.policy_freq
            epsilon, left = left[:still], left[still:]
            with self.without_autograd():
                self._update_group(list(itertools.islice(coming, len(epsilon))), epsilon)

    def _update_group(self, batches: Sequence[Batch], noise: Sequence[torch.Tensor]) -> None:
        """Updates on batches whose targets are those of the same networks."""
        seen = [(b.reward, b.discount, b.next_state, e) for b, e in zip(batches, noise, strict=True)]
        targets = self.target_value(*(torch.cat(column, dim=1) for column in zip(*seen, strict=True)))
        for batch, target in zip(batches, targets.chunk(len(batches), dim=1), strict=True):
            self._update(batch, target)

    def target_value(
        self, reward: torch.Tensor, discount: torch.Tensor, next_state: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """y = reward + discount * min_j Q'_j(s', clip(mu'(s') + clipped noise), 0): (N, B, 1).

        Args:
            reward, discount, next_state: of a `Batch`.
            noise: (N, B, D) standard normal.
        """
        noise = (noise * self.policy_noise).clamp_(-self.noise_clip, self.noise_clip)
        action = (self.target_actor(next_state) + noise).clamp_(self.low, self.high)
        inputs = self.critic_input(next_state, action, torch.zeros_like(reward))
        values = [critic.forward(inputs)[0] for critic in self.target_critics]
        return reward + discount * torch.minimum(*values)

    def _update(self, batch: Batch, target: torch.Tensor) -> None:
        self.updates += 1
        self._update_critics(batch, target)
        if self.updates % self.policy_freq == 0:
            self.update_actor(batch)
            self._follow()

    def _update_critics(
        self, batch: Batch, target: torch.Tensor, wanted: slice | None = None
    ) -> list[torch.Tensor | None]:
        """Descends the mean over the batch of (Q_j - y)^2, whose gradient is 2 (Q_j - y) / B, for both j.

        Args:
            wanted: a slice of the I numbers of the critics' inputs whose gradients are wanted, or None.
        Returns:
            for both critics the gradient of these inputs, (N, B, I), of their sum.
        """
        inputs, d_inputs = self.critic_input(batch.state, batch.action, batch.plan_step), []
        for critic, adam, newest in zip(self.critics, self.critic_adams, self._newest_values, strict=True):
            values, trace = critic.forward(inputs)
            errors = values - target
            gradients, d_input = critic.backward(trace, errors * (2 / errors.shape[1]), inputs=wanted)
            adam.step(gradients)
            self._critic_losses += errors.square_()
            newest.copy_(values)
            d_inputs.append(d_input)
        return d_inputs

    def update_actor(self, batch: Batch) -> None:
        """One step of Adam along the deterministic policy gradient of a batch (`_actor_slope`); targets do not move."""
        action, trace = self.actor.forward(batch.state)
        self.actor_adam.step(self.actor.backward(trace, self._actor_slope(batch, action)))

    def _actor_slope(self, batch: Batch, action: torch.Tensor) -> torch.Tensor:
        """The deterministic policy gradient: that of -Q_1(s, a, 0), a mean over the batch, at a = mu(s) (N, B, D).

        A DynE action begins at i = 0 (paper, section 3.2).
        """
        state_dim, critic = batch.state.shape[2], self.critics[0]
        values, trace = critic.forward(self.critic_input(batch.state, action, torch.zeros_like(batch.plan_step)))
        gradient = torch.full_like(values, -1 / values.shape[1])
        _, d_actions = critic.backward(trace, gradient, weights=False, inputs=slice(state_dim, None))
        self._values += values
        self._value_updates += 1
        return d_actions.unflatten(-1, (self.repeats, -1)).sum(-2)[..., : self.actions.dim]  # over the repeats

    def _follow(self) -> None:
        """Moves the targets towards the networks."""
        for networks, targets, _ in self._parts().values():
            targets.rows.lerp_(networks.rows, self.tau)

    # ---- diagnostics ----

    def _make_sums(self, batch: int) -> None:
        """Begins the sums of `diagnostics`, (N, `batch`, 1). They keep their place, as a CUDA graph of updates needs it."""
        self._critic_losses, self._values = torch.zeros(2, self.num_seeds, batch, 1, device=self.device)
        self._newest_values = torch.zeros(2, self.num_seeds, batch, 1, device=self.device)  # both critics', of a batch
        self.clear_diagnostics()

    def clear_diagnostics(self) -> None:
        """Forgets the sums that `diagnostics` reports."""
        for sums in (self._critic_losses, self._values):
            sums.zero_()
        self._from, self._value_updates = self.updates, 0

    def diagnostics(self) -> list[dict[str, float]]:
        """For each seed, of the updates since `clear_diagnostics`: means of its critic loss (both critics), its value
        Q_1(s, mu(s)) and its actor's loss, which is that value's negative; the range of Q_1 and Q_2 on the last batch."""
        updates = self.updates - self._from
        losses = values = least = largest = [float("nan")] * self.num_seeds
        if updates:
            losses = (self._critic_losses.mean((1, 2)) / updates).tolist()
            newest = self._newest_values.transpose(0, 1).flatten(1)
            least, largest = newest.amin(1).tolist(), newest.amax(1).tolist()
        if self._value_updates:
            values = (self._values.mean((1, 2)) / self._value_updates).tolist()
        rows = zip(losses, values, (-value for value in values), least, largest, strict=True)
        return [dict(zip(DIAGNOSTICS, row, strict=True)) for row in rows]

    def first_not_finite(self) -> list[str | None]:
        """For each seed, the name of the first of its losses, critics and actor that is not finite, or None."""
        found: list[str | None] = [None] * self.num_seeds
        for name, tensor in self._watched():
            finite = torch.isfinite(tensor).flatten(1).all(1).tolist()
            found = [old or (None if fine else name) for old, fine in zip(found, finite, strict=True)]
        return found

    def _watched(self) -> Iterator[tuple[str, torch.Tensor]]:
        """(name, tensor with a leading axis of seeds) of everything that must stay finite."""
        yield "critic loss", self._critic_losses
        yield "value", self._values
        for name, (networks, _, _) in self._parts().items():
            yield f"{name} weights", networks.rows

    # ---- checkpoints ----

    def networks(self) -> dict[str, list[int]]:
        """{name: the widths of its layers}, inputs first."""
        return {name: list(networks.widths) for name, (networks, _, _) in self._parts().items()}

    def policy_content(self, n: int) -> Content:
        """What `policy_of` needs of seed index `n`, as tensors and plain values."""
        return {"widths": list(self.actor.mlp.widths), "actor": self.actor.mlp.rows[n : n + 1].cpu().clone()}

    @classmethod
    def policy_of(cls, content: Content, actions: ActionSpace, seed: int) -> SelectAction:
        """The policy that `policy_content` described: a function of states (1, *S), numpy, to actions (D,).

        Args:
            actions: its action space.
            seed: that it was trained with.
        """
        widths = entries.widths(content, "widths", outputs=actions.dim)
        row = entries.tensor(content, "actor", (1, row_length(widths)), (torch.float32,))
        actor = cls.actor_class(MLP(row, widths), actions.center, actions.scale)
        return lambda states: actor(torch.from_numpy(states)[None])[0, 0].numpy()

    def _parts(self) -> dict[str, tuple[MLP, MLP, Adam]]:
        """{name: (networks of a row a seed, their targets, what trains them)}."""
        return self._critic_parts() | {"actor": (self.actor.mlp, self.target_actor.mlp, self.actor_adam)}

    def _critic_parts(self) -> dict[str, tuple[MLP, MLP, Adam]]:
        critics = zip(self.critics, self.target_critics, self.critic_adams, strict=True)
        return {f"critic {j}": part for j, part in enumerate(critics, start=1)}

    def snapshot(self, n: int) -> Content:
        """Everything of seed index `n` that `update` reads or writes, as tensors and plain values on the CPU."""
        state: Content = {"updates": self.updates}
        for name, (networks, targets, adam) in self._parts().items():
            rows = (mlp.rows[n].cpu().clone() for mlp in (networks, targets))
            state[name] = dict(zip(("weights", "target"), rows, strict=True)) | {"adam": adam.snapshot(n)}
        return state

    def rewind(self, n: int, state: Content) -> None:
        """Goes back, for seed index `n`, to a `snapshot`."""
        self.updates = state["updates"]
        for name, (networks, targets, adam) in self._parts().items():
            networks.rows[n] = state[name]["weights"].to(self.device)
            targets.rows[n] = state[name]["target"].to(self.device)
            adam.rewind(state[name]["adam"], n)
