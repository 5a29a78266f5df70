"""Pixel-TD3: TD3 that learns to see by itself, the baseline of section 5.3.

One convolutional trunk for actor and critics, trained by the critics' loss only.
"""

import torch

from rl.networks import Descent, TwinCritic, part_of_seed, slices
from rl.pixel_networks import HIDDEN, PixelActor, Trunk
from rl.td3 import TD3


class PixelTD3(TD3):
    """TD3 on features of images (N, B, 12, 64, 64) uint8; arguments as for `TD3`.

    The trained networks normalise by the batch in updates, and by their running statistics when they act. So do the
    targets always: they follow the weights by tau and copy the statistics. The actor's gradient takes the features that
    the critics' update of the same batch has computed.
    """

    least_batch = 2
    bytes_a_row = 2_200_000  # of a batch, a seed: activations and gradients (1.2 MB measured)

    def __init__(self, state_shape, actions, seeds, device, *, lr, **flags):
        self.trunk, self.target_trunk = (Trunk(seeds).to(device) for _ in range(2))
        self.target_trunk.requires_grad_(False)
        super().__init__((self.trunk.width,), actions, seeds, device, lr=lr, **flags)
        self.state_shape = state_shape
        self.acting_actor = self.actor  # features are on the device already
        self.critic_descent = Descent([self.trunk, self.critic], lr)
        self.followed = slices([self.trunk]) + self.followed
        self.following = slices([self.target_trunk]) + self.following
        for module in (self.trunk, self.actor, self.target_trunk, self.target_actor):
            module.eval()

    def _make_actor(self, seeds):
        actions = self.actions
        return PixelActor(*self.state_shape, actions.dim, actions.center, actions.scale, seeds).to(self.device)

    def _make_critic(self, seeds):
        return TwinCritic(self._critic_inputs(*self.state_shape, share=1.0), seeds, HIDDEN).to(self.device)

    @torch.no_grad()
    def act(self, states):
        """The policy without noise: stacks (N, 12, 64, 64) uint8 to actions (N, D), numpy."""
        images = torch.from_numpy(states).unsqueeze(1).to(self.device)
        return self.actor(self.trunk(images)).squeeze(1).cpu().numpy()

    def update(self, batch, noise):
        """One update of every seed; see `TD3.update`."""
        self.trunk.train()
        features = self.trunk(batch.state)
        self.trunk.eval()
        with torch.no_grad():
            next_features = self.target_trunk(batch.next_state)
        super().update(batch._replace(state=features, next_state=next_features), noise)

    def _update_actor(self, batch):
        self.actor.train()
        super()._update_actor(batch._replace(state=batch.state.detach()))
        self.actor.eval()

    def _follow(self):
        super()._follow()
        torch._foreach_copy_(self._statistics("target_"), self._statistics())

    def _statistics(self, prefix=""):
        """The running statistics of the networks, or of their targets: tensors (N, C)."""
        modules = (getattr(self, prefix + name) for name in ("trunk", "actor"))
        return [tensor for module in modules for norm in module.norms for tensor in norm.buffers()]

    # ---- checkpoints ----

    def policy_content(self, n):
        """What `rl.policies.load_policy` needs of seed index `n`."""
        return {"trunk": part_of_seed(self.trunk, n)} | super().policy_content(n)

    def _networks(self):
        networks, descents = super()._networks()
        for prefix in ("", "target_"):
            networks[f"{prefix}critic"].insert(0, getattr(self, f"{prefix}trunk"))
        return networks, descents

    def state_dict(self, n):
        """Everything of seed index `n` that `update` reads or writes, as tensors and plain values on the CPU."""
        statistics = self._statistics() + self._statistics("target_")
        return super().state_dict(n) | {"statistics": [tensor[n].cpu().clone() for tensor in statistics]}

    def load_state_dict(self, n, state):
        """Goes back, for seed index `n`, to where `state_dict` was taken."""
        super().load_state_dict(n, state)
        statistics = self._statistics() + self._statistics("target_")
        for tensor, saved in zip(statistics, state["statistics"], strict=True):
            tensor[n].copy_(saved)
