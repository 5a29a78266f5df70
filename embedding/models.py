"""The action encoder e_a, the predictor f and their objective (paper, section 2.2)."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from common import checkpoint, entries

HIDDEN = 400  # paper, appendix B: two hidden layers of 400 units
SMALLEST_STD = 1e-6  # dimensions that vary less do not vary: their deviations are rounding errors
LARGEST_DELTA = 10.0  # whitened targets are clipped here: rare hard contacts

Losses = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # a loss, and its two terms


def selu_mlp(inputs: int, outputs: int) -> nn.Sequential:
    """inputs -> 400 -> 400 -> outputs with SELU."""
    layers = nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, outputs)
    return nn.Sequential(layers[0], nn.SELU(), layers[1], nn.SELU(), layers[2])


def widths_of(network: nn.Module) -> list[int]:
    """The widths of a network's layers, inputs first; of convolutions the channels."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd)]
    inputs = [layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels for layer in layers]
    outputs = [layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels for layer in layers]
    return [*inputs[:1], *outputs]


class ActionEncoder(nn.Module):
    """e_a: the distribution N(mu_a, sigma_a^2) of the embedding of k raw actions (section 2.2).

    Args:
        low, high: (A,) bounds of the environment that the actions come from. Actions are normalised by them here.
        k: the number of actions in a sequence.
    The embedding is as wide as a single action (appendix B).
    """

    center: torch.Tensor
    half_range: torch.Tensor

    def __init__(self, low: np.ndarray | torch.Tensor, high: np.ndarray | torch.Tensor, k: int) -> None:
        super().__init__()
        self.k, self.action_dim = k, len(low)
        self.register_buffer("center", (torch.as_tensor(high) + torch.as_tensor(low)) / 2)
        self.register_buffer("half_range", (torch.as_tensor(high) - torch.as_tensor(low)) / 2)
        self.layers = selu_mlp(k * self.action_dim, 2 * self.action_dim)

    @property
    def bounds(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(A,) lowest and (A,) highest raw action of the environment that the actions come from."""
        return self.center - self.half_range, self.center + self.half_range

    def digest(self) -> str:
        """A checksum of its weights and bounds, wherever they are."""
        return checkpoint.digest(self.state_dict())

    def normalise(self, actions: torch.Tensor) -> torch.Tensor:
        """Raw actions (..., k, A) to [-1, 1]."""
        return (actions - self.center) / self.half_range

    def forward(self, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Raw actions (B, k, A) to mu_a (B, A) and log sigma_a^2 (B, A)."""
        return self.layers(self.normalise(actions).flatten(1)).chunk(2, dim=1)


class Whitening(nn.Module):
    """Zero mean and unit variance per dimension (appendix B)."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    def fit(self, samples: torch.Tensor) -> None:
        """Takes mean and standard deviation from samples (M, width); what does not vary is left unscaled."""
        self.mean.copy_(samples.double().mean(0))
        std = samples.double().std(0)
        self.std.copy_(torch.where(std < SMALLEST_STD, 1.0, std))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Units of x to units of standard deviations."""
        return (x - self.mean) / self.std


class Predictor(nn.Module):
    """f: predicts the whitened change of state over k steps (section 2.2, appendix B).

    Args:
        state_dim: S.
        embedding_dim: the width of z_a.
        use_state: whether f sees s_t (the paper's f(z_s, z_a)) or z_a alone.
    """

    def __init__(self, state_dim: int, embedding_dim: int, use_state: bool = True) -> None:
        super().__init__()
        self.use_state = use_state
        self.state_whitening, self.delta_whitening = Whitening(state_dim), Whitening(state_dim)
        self.layers = selu_mlp(embedding_dim + use_state * state_dim, state_dim)

    def forward(self, state: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Whitened states (B, S) and z_a (B, A) to the expected whitened change (B, S)."""
        return self.layers(torch.cat([state, z], dim=1) if self.use_state else z)

    def target(self, delta: torch.Tensor) -> torch.Tensor:
        """s_{t+k} - s_t (B, S), whitened and clipped."""
        return self.delta_whitening(delta).clamp(-LARGEST_DELTA, LARGEST_DELTA)


def sample_embedding(mu: torch.Tensor, log_variance: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """z ~ N(mu, sigma^2) by reparametrisation, from standard normal noise; all (B, A)."""
    return mu + noise * (log_variance / 2).exp()


def prediction_loss(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Term (1), -log p(s' | z_s, z_a): squared error, averaged over the S dimensions (appendix B) and the batch."""
    return F.mse_loss(prediction, target)


def kl_from_standard_normal(mu: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Terms (2) and (3), D_KL(N(mu, sigma^2) || N(0, I)) in nats: summed over dimensions, averaged over the batch."""
    return (mu.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2


def dyne_loss(
    prediction: torch.Tensor, target: torch.Tensor, mu_a: torch.Tensor, log_variance_a: torch.Tensor, gamma: float
) -> Losses:
    """The objective L of section 2.2 for states given as they are: term (1) + gamma * term (3).

    Returns:
        the loss, and its two terms detached.
    """
    error, kl = prediction_loss(prediction, target), kl_from_standard_normal(mu_a, log_variance_a)
    return error + gamma * kl, error.detach(), kl.detach()


def save_encoder(path: str | Path, encoder: ActionEncoder, predictor: Predictor, env_name: str) -> None:
    """Writes e_a and f, trained on `env_name` (an id or module:id), as a checkpoint that is complete in itself."""
    content = {
        "k": encoder.k,
        **entries.environment_entries(env_name),
        "use_state": predictor.use_state,
        "encoder": encoder.state_dict(),
        "predictor": predictor.state_dict(),
    }
    checkpoint.save(path, "encoder", content)


def load_encoder(path: str | Path) -> tuple[ActionEncoder, Predictor, str]:
    """Reads e_a and f as `save_encoder` wrote them: frozen, on the CPU.

    Returns:
        the encoder, the predictor and the environment that they were trained on, its id or module:id.
    Raises:
        checkpoint.CheckpointError: there is no such file, or it is not an encoder.
    """
    found = checkpoint.load(path, "encoder")
    with entries.naming(path):
        encoder = encoder_from(found, "encoder")
        mean = entries.tensor(entries.table(found, "predictor"), "state_whitening.mean", (None,))
        sizes = len(mean), encoder.action_dim, entries.choice(found, "use_state", True, False)
        predictor = entries.network(found, "predictor", lambda: Predictor(*sizes))
        return encoder, predictor, entries.environment(found)


def encoder_from(found: dict[str, Any], name: str) -> ActionEncoder:
    """Builds e_a from a checkpoint's `k` and its weights, the entry `name`: frozen, on the CPU."""
    k, weights = entries.whole(found, "k", 1), entries.table(found, name)
    center = entries.tensor(weights, "center", (None,))
    half_range = entries.tensor(weights, "half_range", tuple(center.shape), (center.dtype,))
    return entries.network(found, name, lambda: ActionEncoder(center - half_range, center + half_range, k))
