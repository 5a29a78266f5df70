"""TD3 (Fujimoto et al., 2018) for N independent seeds at once."""

from typing import NamedTuple

import torch

from rl.networks import Actor, Descent, TwinCritic, part_of_seed, slices, slices_of_seed


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


class TD3:
    """Twin delayed deep deterministic policy gradients.

    Args:
        state_shape: (S,).
        actions: the action space of the policy (`rl.action_spaces`).
        seeds: the N seeds.
        device: torch device.
        lr: Adam's step size, actor and critics.
        tau: share of the networks that moves into the targets at each actor update.
        policy_noise: standard deviation of the target policy's noise, in units of the action.
        noise_clip: bound of that noise, likewise.
        policy_freq: actor and targets are updated at every `policy_freq`-th update.
    """

    sees_plan_step = False
    least_batch = 1
    bytes_a_row = 25_000  # of a batch, a seed: activations and gradients (23 kB measured)

    def __init__(self, state_shape, actions, seeds, device, *, lr, tau, policy_noise, noise_clip, policy_freq):
        self.state_shape, self.actions, self.num_seeds, self.device = state_shape, actions, len(seeds), device
        self.tau, self.policy_noise, self.noise_clip, self.policy_freq = tau, policy_noise, noise_clip, policy_freq
        self.actor, self.critic = self._make_actor(seeds), self._make_critic(seeds)
        self.target_actor, self.target_critic = self._make_actor(seeds), self._make_critic(seeds)
        self.acting_actor = self.actor if device.type == "cpu" else self._make_actor(seeds).cpu()
        for frozen in (self.target_actor, self.target_critic, self.acting_actor if device.type != "cpu" else None):
            if frozen is not None:
                frozen.requires_grad_(False)
        self.actor_descent = Descent([self.actor], lr)
        self.critic_descent = Descent([self.critic], lr)
        self.followed, self.following = (
            slices([self.actor, self.critic]),
            slices([self.target_actor, self.target_critic]),
        )
        self.low = torch.as_tensor(actions.policy_low, device=device)
        self.high = torch.as_tensor(actions.policy_high, device=device)
        self.updates = 0
        self.clear_diagnostics()

    # ---- networks ----

    def _make_actor(self, seeds):
        actions = self.actions
        return Actor(*self.state_shape, actions.dim, actions.center, actions.scale, seeds).to(self.device)

    def _make_critic(self, seeds):
        return TwinCritic(self._critic_inputs(*self.state_shape), seeds).to(self.device)

    def _critic_inputs(self, state_dim, share=0.5):
        """The width of a critic's input: S, and the action, repeated until it is about `share` of S wide.

        By itself it would be drowned by a wide state.
        """
        action_inputs = self.actions.dim + self.sees_plan_step
        self.repeats = max(1, int(share * state_dim / action_inputs))
        return state_dim + self.repeats * action_inputs

    @torch.no_grad()
    def act(self, states):
        """The policy without noise: states (N, S) to actions (N, D), numpy float32 both."""
        return self.acting_actor(torch.from_numpy(states).unsqueeze(1)).squeeze(1).numpy()

    def sync_acting(self):
        """Makes `act` follow the trained actor; on the CPU it always does."""
        if self.acting_actor is not self.actor:
            self.acting_actor.load_state_dict(self.actor.state_dict())

    def critic_input(self, state, action, plan_step):
        """What Q is a function of: (s, a), the action repeated. All (N, B, ·)."""
        return torch.cat([state, *[action] * self.repeats], dim=-1)

    @torch.no_grad()
    def target_value(self, batch, noise):
        """y = reward + discount * min_j Q'_j(s', clip(mu'(s') + clipped noise), 0): (N, B, 1).

        Args:
            noise: (N, B, D) standard normal.
        """
        noise = (noise * self.policy_noise).clamp_(-self.noise_clip, self.noise_clip)
        action = (self.target_actor(batch.next_state) + noise).clamp_(self.low, self.high)
        value = self.target_critic(self.critic_input(batch.next_state, action, torch.zeros_like(batch.plan_step)))
        return batch.reward + batch.discount * value.amin(1).unsqueeze(-1)

    def update(self, batch, noise):
        """One update of every seed: a function of the networks, a `Batch` and `noise` (N, B, D) alone."""
        self.updates += 1
        target = self.target_value(batch, noise).squeeze(-1).unsqueeze(1)
        values = self.critic(self.critic_input(batch.state, batch.action, batch.plan_step))
        squares = (values - target).square()
        self.critic_descent.step(squares.sum() / squares.shape[-1])
        self._critic_losses += squares.detach()
        if self.updates % self.policy_freq == 0:
            self._update_actor(batch)
            self._follow()

    def _update_actor(self, batch):
        # Deterministic policy gradient; a DynE action begins at i = 0 (paper, section 3.2).
        action = self.actor(batch.state)
        values = self.critic.first(self.critic_input(batch.state, action, torch.zeros_like(batch.plan_step)))
        self.actor_descent.step(-values.sum() / values.shape[-1])
        self._values += values.detach()
        self._value_updates += 1

    def _follow(self):
        """Moves the targets towards the networks."""
        torch._foreach_lerp_(self.following, self.followed, self.tau)

    # ---- diagnostics ----

    def clear_diagnostics(self):
        """Forgets the sums that `diagnostics` reports."""
        self._critic_losses, self._values, self._from, self._value_updates = 0.0, 0.0, self.updates, 0

    def diagnostics(self):
        """Means since `clear_diagnostics`: for each seed its critic loss (both critics) and its value Q_1(s, mu(s))."""
        updates = self.updates - self._from
        nothing = [float("nan")] * self.num_seeds
        losses, values = nothing, nothing
        if updates:
            losses = [squares.mean().item() * 2 / updates for squares in self._critic_losses.cpu()]
        if self._value_updates:
            values = [value.mean().item() / self._value_updates for value in self._values.cpu()]
        return [{"critic_loss": loss, "value": value} for loss, value in zip(losses, values, strict=True)]

    def first_not_finite(self):
        """For each seed, the name of the first tensor of its losses, critics and actor that is not finite, or None."""
        tensors = [("critic loss", self._critic_losses), ("value", self._values)]
        for name, descent in self._networks()[1].items():
            tensors += [(f"{name} parameter {i}", p.detach()) for i, p in enumerate(descent.parameters)]
        found = [None] * self.num_seeds
        for name, tensor in tensors:
            if torch.is_tensor(tensor):
                finite = torch.isfinite(tensor).view(self.num_seeds, -1).all(1).tolist()
                found = [old or (None if fine else name) for old, fine in zip(found, finite, strict=True)]
        return found

    # ---- checkpoints ----

    def policy_content(self, n):
        """What `rl.policies.load_policy` needs of seed index `n`."""
        return {"actor": part_of_seed(self.actor, n)}

    def _networks(self):
        """{name: its stacks}, and {name: the descent of their weights} of those that are trained."""
        networks = {name: [getattr(self, name)] for name in ("actor", "target_actor", "critic", "target_critic")}
        return networks, {"critic": self.critic_descent, "actor": self.actor_descent}

    def state_dict(self, n):
        """Everything of seed index `n` that `update` reads or writes, as tensors and plain values on the CPU."""
        networks, descents = self._networks()
        state = {"updates": self.updates}
        for name, modules in networks.items():
            tensors, own = slices(modules), slices_of_seed(modules, n, self.num_seeds)
            state[name] = [tensors[i].cpu().clone() for i in own]
            if name in descents:
                state[f"{name}_moments"] = descents[name].moments(own)
        return state

    def load_state_dict(self, n, state):
        """Goes back, for seed index `n`, to where `state_dict` was taken."""
        networks, descents = self._networks()
        self.updates = state["updates"]
        for name, modules in networks.items():
            tensors, own = slices(modules), slices_of_seed(modules, n, self.num_seeds)
            for i, saved in zip(own, state[name], strict=True):
                tensors[i].copy_(saved)
            if name in descents:
                descents[name].set_moments(own, state[f"{name}_moments"])
