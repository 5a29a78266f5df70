"""Pixel-TD3: TD3 that learns to see by itself, the baseline of section 5.3.

One convolutional trunk for actor and critic, trained by the critics' loss only.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import nn

from common import entries
from common.mlp import MLP, Adam, row_length
from rl.networks import initial_critics
from rl.pixel_networks import CONVOLUTIONS, HIDDEN, PixelActor, Trunk
from rl.protocols import ActionSpace, Content, SelectAction
from rl.replay import Batch
from rl.td3 import TD3, WithoutAutograd

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class PixelTD3(TD3):
    """TD3 on features of images (N, B, 12, 64, 64) uint8; arguments as for `TD3`.

    The trained networks normalise by the batch in updates, and by their running statistics when they act. So do the
    targets always: they follow the weights by tau and copy the statistics (the release's targets normalise by the batch).
    The actor's gradient takes the features that the critics' update of the same batch has computed. Trunk and actor are
    trained by autograd, the critics' gradients are written out.

    Args:
        precision: of the trunks' convolutions in updates: `fp32`, or `bf16`. Everything else, and acting, is in float32.
    """

    action_share: ClassVar[float] = 1.0
    own_flags: ClassVar[tuple[str, ...]] = ("precision",)
    least_batch: ClassVar[int] = 2
    bytes_a_row: ClassVar[int] = 2_200_000  # of a batch, a seed: activations and gradients (1.2 MB measured)
    without_autograd: ClassVar[WithoutAutograd] = torch.no_grad  # in which autograd can still be enabled

    actor: PixelActor
    target_actor: PixelActor
    acting_actor: PixelActor
    actor_adam: torch.optim.Adam

    def __init__(
        self,
        state_shape: tuple[int, ...],
        actions: ActionSpace,
        seeds: Sequence[int],
        device: torch.device,
        *,
        lr: float,
        precision: str = "fp32",
        **flags: Any,
    ) -> None:
        self.dtype = DTYPES[precision]
        self.trunk, self.target_trunk = (Trunk(seeds).to(device) for _ in range(2))
        super().__init__((self.trunk.width,), actions, seeds, device, lr=lr, **flags)
        self.state_shape = state_shape
        self.trunk_adam = torch.optim.Adam(self.trunk.parameters(), lr=lr, fused=True)
        for module in self._modules().values():
            module.eval()

    def make_critics(self, seeds: Sequence[int]) -> list[MLP]:
        (width,) = self.state_shape
        return initial_critics(self._critic_inputs(width, self.actions.dim), seeds, self.device, HIDDEN)

    def make_actors(self, seeds: Sequence[int], lr: float) -> None:
        space = self.actions
        (width,) = self.state_shape
        sizes = width, space.dim, space.center, space.scale, seeds
        self.actor, self.target_actor = (PixelActor(*sizes).to(self.device) for _ in range(2))
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), lr=lr, fused=True)
        self.acting_actor = self.actor  # features are on the device already

    def _modules(self) -> dict[str, nn.Module]:
        """The networks that autograd trains and their targets, by name."""
        return {name: getattr(self, name) for name in ("trunk", "actor", "target_trunk", "target_actor")}

    @classmethod
    def count_weights(cls, state_shape: tuple[int, ...], action_dim: int) -> int:
        """See `TD3.count_weights`; those of the trunk are among them."""
        trunk = Trunk([0])
        inputs = cls._critic_inputs(trunk.width, action_dim)
        heads = 2 * row_length((inputs, *HIDDEN, 1)) + row_length((trunk.width, *HIDDEN, action_dim))
        return heads + sum(weight.numel() for weight in trunk.parameters())

    @torch.no_grad()
    def act(self, states: np.ndarray) -> np.ndarray:
        """The policy without noise: stacks (N, 12, 64, 64) uint8 to actions (N, D), numpy."""
        images = torch.from_numpy(states).unsqueeze(1).to(self.device)
        return self.actor(self.trunk(images)).squeeze(1).cpu().numpy()

    # ---- updates ----

    def target_value(
        self, reward: torch.Tensor, discount: torch.Tensor, next_state: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """See `TD3.target_value`; `next_state` are stacks of frames."""
        return super().target_value(reward, discount, self.target_trunk(next_state, self.dtype), noise)

    def _update(self, batch: Batch, target: torch.Tensor) -> None:
        self.trunk.train()
        with torch.enable_grad():
            features = self.trunk(batch.state, self.dtype)
        self.trunk.eval()
        super()._update(batch._replace(state=features), target)

    def _update_critics(
        self, batch: Batch, target: torch.Tensor, wanted: slice | None = None
    ) -> list[torch.Tensor | None]:
        d_features = super()._update_critics(batch, target, wanted=slice(self.trunk.width))
        self.trunk_adam.zero_grad()
        batch.state.backward(sum(cast(list[torch.Tensor], d_features)))
        self.trunk_adam.step()
        return d_features

    def update_actor(self, batch: Batch) -> None:
        self.actor.train()
        with torch.enable_grad():
            action = self.actor(batch.state.detach())
        self.actor.eval()
        self.actor_adam.zero_grad()
        action.backward(self._actor_slope(batch, action.detach()))
        self.actor_adam.step()

    def _follow(self) -> None:
        super()._follow()
        for target, followed in ((self.target_trunk, self.trunk), (self.target_actor, self.actor)):
            torch._foreach_lerp_(list(target.parameters()), list(followed.parameters()), self.tau)
            torch._foreach_copy_(list(target.buffers()), list(followed.buffers()))

    # ---- diagnostics and checkpoints ----

    def _watched(self) -> Iterator[tuple[str, torch.Tensor]]:
        yield from super()._watched()
        for module in ("trunk", "actor"):
            for name, tensor in self._modules()[module].state_dict().items():
                yield f"{module} {name}", tensor

    def networks(self) -> dict[str, list[int]]:
        """{name: the widths of its layers}, inputs first; of the trunk the channels, and its features."""
        trunk = [self.state_shape[0], *(outputs for outputs, _, _ in CONVOLUTIONS), self.trunk.width]
        return super().networks() | {"trunk": trunk, "actor": [self.trunk.width, *HIDDEN, self.actions.dim]}

    def policy_content(self, n: int) -> Content:
        """What `policy_of` needs of seed index `n`, as tensors and plain values."""
        return {name: _of_seed(self._modules()[name], n) for name in ("trunk", "actor")}

    @classmethod
    def policy_of(cls, content: Content, actions: ActionSpace, seed: int) -> SelectAction:
        """The policy that `policy_content` described: a function of stacks (1, 12, 64, 64) uint8 to actions (D,)."""
        trunk = entries.network(content, "trunk", lambda: Trunk(seeds=[0]))
        sizes = trunk.width, actions.dim, actions.center, actions.scale
        actor = entries.network(content, "actor", lambda: PixelActor(*sizes, seeds=[0]))
        return lambda states: actor(trunk(torch.from_numpy(states)[None]))[0, 0].numpy()

    def _parts(self) -> dict[str, tuple[MLP, MLP, Adam]]:
        return self._critic_parts()

    def snapshot(self, n: int) -> Content:
        """Everything of seed index `n` that `update` reads or writes, as tensors and plain values on the CPU."""
        modules = {name: _of_seed(module, n) for name, module in self._modules().items()}
        adams = {"trunk_adam": _moments(self.trunk_adam, n), "actor_adam": _moments(self.actor_adam, n)}
        return super().snapshot(n) | modules | adams

    def rewind(self, n: int, state: Content) -> None:
        """Goes back, for seed index `n`, to a `snapshot`."""
        super().rewind(n, state)
        for name, module in self._modules().items():
            for key, tensor in module.state_dict().items():
                tensor[n].copy_(state[name][key][0])
        for name in ("trunk_adam", "actor_adam"):
            _set_moments(getattr(self, name), n, state[name])


def _of_seed(module: nn.Module, n: int) -> dict[str, torch.Tensor]:
    """The state_dict of seed index `n` alone, on the CPU, of a module with one network a seed."""
    return {name: tensor[n : n + 1].cpu().clone() for name, tensor in module.state_dict().items()}


def _moments(optimizer: torch.optim.Optimizer, n: int) -> list[dict[str, torch.Tensor]]:
    """torch's Adam's state of seed index `n`, by parameter; empty before its first step."""
    states = [optimizer.state[p] for p in optimizer.param_groups[0]["params"]]
    return [{key: (t if key == "step" else t[n]).cpu().clone() for key, t in state.items()} for state in states]


def _set_moments(optimizer: torch.optim.Optimizer, n: int, saved: Sequence[dict[str, torch.Tensor]]) -> None:
    for parameter, values in zip(optimizer.param_groups[0]["params"], saved, strict=True):
        if not values:
            optimizer.state.pop(parameter, None)
            continue
        state = optimizer.state[parameter]
        if not state:
            state |= {"step": torch.zeros((), device=parameter.device)}
            state |= {key: torch.zeros_like(parameter) for key in values if key != "step"}
        for key, value in values.items():
            (state[key] if key == "step" else state[key][n]).copy_(value)
