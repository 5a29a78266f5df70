"""The action decoder d_a: from an embedding back to k raw actions (paper, section 3.1)."""

from pathlib import Path
from typing import Any, Self

import gymnasium
import numpy as np
import torch
from torch import nn

from common import checkpoint, entries
from embedding.models import ActionEncoder, Losses, Whitening, selu_mlp

TINY = 1e-12  # the least length that is divided by: at rest the l2 norm has no gradient
AT_ONCE = 10_000  # sequences that are embedded at once
PRIOR_MAX_EMBEDDING = 3.0  # with z ~ N(0, I): the policy may reach three standard deviations
LARGEST_EMBEDDING = 1e6  # standard deviations; no sample of so many is further away
NORMS = ("squared", "l2")  # forms of the second term of section 3.1

Objective = tuple[str, float] | list[Any]  # form and weight of the norm; read from a file it is a list


class ActionDecoder(nn.Module):
    """d_a: an embedding z to the k raw actions of least norm that the encoder maps to z.

    The embeddings it takes are whitened, as a policy sees them: zero mean, unit variance per dimension over random
    play. A policy keeps within `max_embedding` of zero.

    Args:
        low, high: (A,) bounds of the environment of the actions; the output spans them.
        k: the number of actions.
        max_embedding: the largest |whitened z| that a policy should ask for.
        env_name: the environment it was trained on, an id, or module:id as it was named; the attribute `env_id` is the id
            alone.
        objective: form and weight of the norm that it was trained with, or None.
        encoder: digest of the weights of the encoder that it inverts (`ActionEncoder.digest`), or None.
    """

    low: torch.Tensor
    high: torch.Tensor

    def __init__(
        self,
        low: np.ndarray | torch.Tensor,
        high: np.ndarray | torch.Tensor,
        k: int,
        max_embedding: float = PRIOR_MAX_EMBEDDING,
        env_name: str = "",
        objective: Objective | None = None,
        encoder: str | None = None,
    ) -> None:
        super().__init__()
        self.k, self.action_dim, self.max_embedding = k, len(low), max_embedding
        self.env_name, self.env_id = env_name, env_name.rpartition(":")[2]
        self.objective, self.encoder = objective, encoder
        self.register_buffer("low", torch.as_tensor(low))
        self.register_buffer("high", torch.as_tensor(high))
        self.whitening = Whitening(self.action_dim)  # of encoder means, which training compares with
        self.layers = selu_mlp(self.action_dim, k * self.action_dim)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Whitened embeddings (..., A) to raw actions (..., k, A) in the units of the environment."""
        return self.to_span(torch.tanh(self.layers(z)))

    @property
    def half_range(self) -> torch.Tensor:
        """(A,), half of what the actions span."""
        return (self.high - self.low) / 2

    def to_span(self, unit: torch.Tensor) -> torch.Tensor:
        """(..., k A) in [-1, 1] to actions (..., k, A) between `low` and `high`."""
        return (self.high + self.low) / 2 + unit.unflatten(-1, (self.k, self.action_dim)) * self.half_range

    def misfit(self, env: gymnasium.Env) -> str | None:
        """Why plans of this decoder cannot be run in a gymnasium `env`, and the way out; None if they can."""
        assert env.action_space.shape is not None and env.spec is not None
        wanted, limit = env.action_space.shape[0], env.spec.max_episode_steps
        if self.action_dim != wanted:
            return (
                f"the decoder makes actions of {self.action_dim} numbers ({self.env_id}), {env.spec.id} takes {wanted}: "
                "use one that was trained on an environment with as many"
            )
        space = env.action_space
        assert isinstance(space, gymnasium.spaces.Box)
        apart = np.minimum(self.high.numpy(), space.high) <= np.maximum(self.low.numpy(), space.low)
        if apart.any():
            first = int(apart.argmax())
            return (
                f"the decoder's actions ({self.env_id}) lie between {self.low[first]:g} and {self.high[first]:g} in dimension "
                f"{first}, those of {env.spec.id} between {space.low[first]:g} and {space.high[first]:g}, so all would be clipped to one "
                "value: use a decoder whose bounds overlap these"
            )
        if limit is not None and self.k > limit:
            return (
                f"the decoder's plans of {self.k} steps are longer than an episode of {env.spec.id} ({limit} steps): "
                "train one with a smaller --traj_len"
            )
        return None

    def inverts(self, encoder: ActionEncoder) -> bool:
        """Whether it was trained against this very encoder; decoders of earlier versions do not know, and say that."""
        return self.encoder is None or self.encoder == encoder.digest()

    def content(self) -> dict[str, Any]:
        """Everything that makes this decoder, as plain values and tensors."""
        sizes: dict[str, Any] = {"k": self.k, "max_embedding": self.max_embedding}
        sizes |= entries.environment_entries(self.env_name)
        if self.objective is not None:  # decoders of earlier versions do not name it
            sizes["objective"] = list(self.objective)
        if self.encoder is not None:  # likewise
            sizes["encoder"] = self.encoder
        return sizes | {"weights": {name: tensor.cpu() for name, tensor in self.state_dict().items()}}

    def save(self, path: str | Path) -> None:
        """Writes a checkpoint that is complete in itself."""
        checkpoint.save(path, "decoder", self.content())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a decoder; raises `checkpoint.CheckpointError` for anything that is not one."""
        found = checkpoint.load(path, "decoder")
        with entries.naming(path):
            return cls.from_content(found)

    @classmethod
    def from_content(cls, found: dict[str, Any]) -> Self:
        """Builds a decoder from `content()`: frozen, on the CPU; `checkpoint.CheckpointError` if it makes no decoder."""
        k = entries.whole(found, "k", 1)
        largest = entries.positive(found, "max_embedding", LARGEST_EMBEDDING)
        low, high = entries.bounds(entries.table(found, "weights"))
        encoder = found.get("encoder")
        if encoder is not None and type(encoder) is not str:
            raise checkpoint.CheckpointError("encoder is not a digest")
        env_name, objective = entries.environment(found), _objective(found)
        decoder = entries.network(
            found, "weights", lambda: cls(low, high, k, largest, env_name, objective=objective, encoder=encoder)
        )
        z = torch.tensor([[largest], [0.0], [-largest]], dtype=torch.float32).expand(-1, decoder.action_dim)
        if not torch.isfinite(decoder(z)).all():
            raise checkpoint.CheckpointError("the weights are so large that plans are not finite")
        return decoder


def _objective(found: dict[str, Any]) -> Objective | None:
    """Form and weight of the norm; decoders of earlier versions do not name them."""
    objective = found.get("objective")
    if objective is None:
        return None
    if not isinstance(objective, list | tuple) or len(objective) != 2:
        raise checkpoint.CheckpointError("objective is not a form and a weight")
    named = dict(zip(("form", "weight"), objective, strict=True))
    return [entries.choice(named, "form", *NORMS), entries.number(named, "weight")]


def reconstruction_error(
    decoder: ActionDecoder, encoder: ActionEncoder, z: torch.Tensor, actions: torch.Tensor
) -> torch.Tensor:
    """||e_a(d_a(z)) - z||^2 (section 3.1, first term): summed over dimensions, a mean over the batch, in whitened units.

    Args:
        z: (B, A) whitened embeddings; actions: (B, k, A), d_a(z).
    """
    return (decoder.whitening(encoder(actions)[0]) - z).square().sum(1).mean()


def action_norm(encoder: ActionEncoder, actions: torch.Tensor, form: str) -> torch.Tensor:
    """The norm of d_a(z) (section 3.1, second term), of actions (B, k, A) normalised by their bounds; a mean over B.

    Args:
        form: `squared`, ||a^k||^2 as in the paper; `l2`, the sum over the k steps of ||a_j|| as in the release.
    """
    actions = encoder.normalise(actions)
    if form == "squared":
        return actions.square().sum((1, 2)).mean()
    return actions.norm(dim=2).sum(1).mean()


def plan_loss(
    decoder: ActionDecoder, encoder: ActionEncoder, z: torch.Tensor, actions: torch.Tensor, form: str, weight: float
) -> Losses:
    """L(d_a) of section 3.1 for whichever plans `actions` (B, k, A) of z (B, A): the first term + `weight` (the paper's
    lambda) * the second.

    Returns:
        the loss, and its two terms.
    """
    error, norm = reconstruction_error(decoder, encoder, z, actions), action_norm(encoder, actions, form)
    return error + weight * norm, error, norm


def decoder_loss(decoder: ActionDecoder, encoder: ActionEncoder, z: torch.Tensor, form: str, weight: float) -> Losses:
    """`plan_loss` of d_a(z)."""
    return plan_loss(decoder, encoder, z, decoder(z), form, weight)


def embed_all(encoder: ActionEncoder, actions: torch.Tensor) -> torch.Tensor:
    """mu_a of every sequence: actions (W, k, A) to (W, A)."""
    with torch.no_grad():
        return torch.cat([encoder(part)[0] for part in actions.split(AT_ONCE)])
