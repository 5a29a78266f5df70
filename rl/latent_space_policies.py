"""SAC with latent space policies (Haarnoja et al., 2018a, arXiv:1804.02808): invertible policies, stacked.

A policy turns a latent h ~ N(0, I) into an action by an invertible map that depends on the state, f(h; s), so the
density of its actions is known exactly. It is trained by soft actor-critic. Then it is frozen, its latent becomes the
action of the policy on top of it, and that one is trained in the same way: whatever the lower one can do, the upper one
can still choose.
"""

import copy
import math
from typing import cast

import numpy as np
import torch
from torch import nn

from rl.protocols import Content

HIDDEN = 256
COUPLINGS = 2  # of a policy (the paper's)
MOST_LEVELS = 100  # policies on top of each other
LARGEST_SCALE = 5.0  # of a coupling, as a logarithm


def relu_mlp(inputs: int, outputs: int) -> nn.Sequential:
    """inputs -> 256 -> 256 -> outputs with ReLU."""
    return nn.Sequential(
        *(nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs))
    )


def normal_log_density(x: torch.Tensor) -> torch.Tensor:
    """log N(x; 0, I) (B,) of x (B, A)."""
    return -(x.square() + math.log(2 * math.pi)).sum(-1) / 2


class Coupling(nn.Module):
    """An affine coupling layer of real NVP (Dinh et al., 2017) that is conditioned on the state; the identity at first.

    Half of the dimensions pass, and with the state they say how the others are scaled and moved.

    Args:
        state_dim, action_dim: S and A.
        parity: which half passes, 0 or 1. Of a single dimension none does: the state alone decides.
    """

    passes: torch.Tensor

    def __init__(self, state_dim: int, action_dim: int, parity: int) -> None:
        super().__init__()
        passes = (torch.arange(action_dim) + parity) % 2 == 0
        self.register_buffer("passes", passes.float() if action_dim > 1 else torch.zeros(1))
        self.layers = relu_mlp(state_dim + action_dim, 2 * action_dim)
        last = cast(nn.Linear, self.layers[-1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, h: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """h (B, A) to its image (B, A) and log |det| of the map (B,)."""
        scale, shift = self.layers(torch.cat([h * self.passes, state], dim=-1)).chunk(2, dim=-1)
        scale = LARGEST_SCALE * torch.tanh(scale / LARGEST_SCALE) * (1 - self.passes)
        shift = shift * (1 - self.passes)
        return h * scale.exp() + shift, scale.sum(-1)


class LatentPolicy(nn.Module):
    """One invertible policy: h (B, A) ~ N(0, I) to an action (B, A), given the state (B, S).

    Args:
        state_dim, action_dim: S and A.
        squash: whether actions end in (-1, 1), by tanh: those of the environment do, those of an upper policy do not.
    """

    def __init__(self, state_dim: int, action_dim: int, squash: bool) -> None:
        super().__init__()
        self.squash, self.action_dim = squash, action_dim
        self.couplings = nn.ModuleList(Coupling(state_dim, action_dim, i % 2) for i in range(COUPLINGS))

    def forward(self, h: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The action, and the log density (B,) that the policy has there."""
        log_density = normal_log_density(h)
        for coupling in self.couplings:
            h, log_det = coupling(h, state)
            log_density = log_density - log_det
        if self.squash:
            log_density = log_density - 2 * (math.log(2) - h - nn.functional.softplus(-2 * h)).sum(-1)
            h = torch.tanh(h)
        return h, log_density


class Critic(nn.Module):
    """Q_1 and Q_2 (B,) of states (B, S) and actions (B, A)."""

    def __init__(self, state_dim: int, action_dim: int) -> None:
        super().__init__()
        self.twins = nn.ModuleList(relu_mlp(state_dim + action_dim, 1) for _ in range(2))

    def forward(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Both, (2, B)."""
        x = torch.cat([state, action], dim=-1)
        return torch.stack([twin(x).squeeze(-1) for twin in self.twins])


class SoftActorCritic:
    """Soft actor-critic (arXiv:1812.05905) of one `LatentPolicy`, its temperature tuned to an entropy of -A.

    An upper policy has a normal prior on what it chooses: its density is taken relative to N(0, I), what the policy below
    was trained on. Nothing else would keep it there, for its actions have no bounds.

    Args:
        policy: `LatentPolicy`, on the device.
        state_dim: S.
        device: torch device.
        generator: CPU generator of all its noise.
        alpha: the temperature that it starts with. From 1 it takes 10 000 updates to fall below a twentieth: an upper
            policy starts with that of the policy below, or it would be held at its prior for so long.
    """

    def __init__(
        self,
        policy: LatentPolicy,
        state_dim: int,
        device: torch.device,
        generator: torch.Generator,
        *,
        alpha: float = 1.0,
        lr: float = 3e-4,
        discount: float = 0.99,
        tau: float = 0.005,
    ) -> None:
        self.policy, self.device, self.generator = policy, device, generator
        self.discount, self.tau = discount, tau
        self.critic = Critic(state_dim, policy.action_dim).to(device)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.log_alpha = torch.tensor(math.log(alpha), device=device, requires_grad=True)
        self.optimizers = [
            torch.optim.Adam(parameters, lr=lr)
            for parameters in (self.critic.parameters(), policy.parameters(), [self.log_alpha])
        ]

    def choose(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Actions (B, A) for states (B, S), drawn from the policy, and their log densities (B,), relative to the prior."""
        noise = torch.randn(len(state), self.policy.action_dim, generator=self.generator).to(self.device)
        action, log_density = self.policy(noise, state)
        return action, log_density if self.policy.squash else log_density - normal_log_density(action)

    def update(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        reward: torch.Tensor,
        next_state: torch.Tensor,
        terminated: torch.Tensor,
    ) -> None:
        """One update of critics, policy and temperature on a batch; all (B, ·), `reward` and `terminated` (B,)."""
        alpha = self.log_alpha.exp().detach()
        with torch.no_grad():
            next_action, log_density = self.choose(next_state)
            value = self.target_critic(next_state, next_action).amin(0) - alpha * log_density
            target = reward + self.discount * (1 - terminated) * value
        self._step(0, (self.critic(state, action) - target).square().mean(1).sum())
        self.critic.requires_grad_(False)
        chosen, log_density = self.choose(state)
        self._step(1, (alpha * log_density - self.critic(state, chosen).amin(0)).mean())
        self.critic.requires_grad_(True)
        self._step(2, -(self.log_alpha * (log_density.detach() - self.policy.action_dim)).mean())
        with torch.no_grad():
            torch._foreach_lerp_(list(self.target_critic.parameters()), list(self.critic.parameters()), self.tau)

    def snapshot(self) -> Content:
        """What updates read and write besides the policy, as state_dicts and tensors."""
        return {
            "critic": self.critic.state_dict(),
            "target critic": self.target_critic.state_dict(),
            "temperature": self.log_alpha.detach(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def rewind(self, state: Content) -> None:
        """Goes back to a `snapshot`."""
        self.critic.load_state_dict(state["critic"])
        self.target_critic.load_state_dict(state["target critic"])
        self.log_alpha.data.copy_(state["temperature"])
        for optimizer, own in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)

    def _step(self, index: int, loss: torch.Tensor) -> None:
        self.optimizers[index].zero_grad()
        loss.backward()
        self.optimizers[index].step()


class PolicyStack:
    """Policies on top of each other: the last one's latents go down to raw actions.

    Args:
        low, high: (A,) bounds of the environment.
        device: torch device.
    """

    def __init__(self, state_dim: int, low: np.ndarray, high: np.ndarray, device: torch.device) -> None:
        self.state_dim, self.device = state_dim, device
        self.low, self.high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        self.policies: list[LatentPolicy] = []

    def add(self) -> LatentPolicy:
        """Freezes what is there, and puts a new policy on top; returns it."""
        for policy in self.policies:
            policy.requires_grad_(False)
        self.policies.append(LatentPolicy(self.state_dim, len(self.low), not self.policies).to(self.device))
        return self.policies[-1]

    @torch.no_grad()
    def act(self, states: np.ndarray, latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the top policy chooses (B, A), and the raw actions (B, A) that it comes to; numpy float32.

        Args:
            states: (B, S) float32.
            latents: (B, A), of the top policy; zeros for the action without noise.
        """
        state, h = (torch.as_tensor(x, device=self.device) for x in (states, latents))
        chosen = None
        for policy in reversed(self.policies):
            h, _ = policy(h, state)
            chosen = h if chosen is None else chosen
        raw = self.low + (h.cpu().numpy() + 1) / 2 * (self.high - self.low)
        assert chosen is not None
        return chosen.cpu().numpy(), np.clip(raw, self.low, self.high)
