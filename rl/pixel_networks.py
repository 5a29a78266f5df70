"""The networks of Pixel-TD3 that autograd trains: a convolutional trunk, and an actor with batch norm, for N seeds.

Every parameter has a leading axis of seeds. Convolutions of several seeds are grouped, and batch norm takes all their
channels at once.
"""

import itertools
import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from common.streams import torch_stream
from envs.pixels import FRAMES, SIZE

CONVOLUTIONS = ((32, 8, 4), (32, 4, 2), (32, 3, 1))  # outputs, kernel, stride
HIDDEN = (200, 200)  # of actor and critics
EPSILON, MOMENTUM = 1e-5, 0.1  # of batch norm
CHUNK = 8  # images that a CPU converts at once: they stay in its caches


def _side_by_side(x: torch.Tensor) -> torch.Tensor:
    """(N, B, C, ...) to (B, N C, ...)."""
    return x.transpose(0, 1).flatten(1, 2)


def _by_seed(x: torch.Tensor, num_seeds: int) -> torch.Tensor:
    """(B, N C) to (N, B, C)."""
    return x.unflatten(1, (num_seeds, -1)).transpose(0, 1)


def _uniform(shape: tuple[int, ...], fan_in: int, generators: Sequence[torch.Generator]) -> nn.Parameter:
    """A parameter (N, *shape) as the layers of `torch.nn` initialise theirs, from a generator for each seed."""
    bound = 1 / math.sqrt(fan_in)
    return nn.Parameter(torch.stack([torch.empty(shape).uniform_(-bound, bound, generator=g) for g in generators]))


class StackedBatchNorm(nn.Module):
    """N batch norms of C channels: normalises by the batch in training, by running statistics in eval mode."""

    mean: torch.Tensor
    variance: torch.Tensor

    def __init__(self, count: int, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(count, channels)), nn.Parameter(torch.zeros(count, channels))
        self.register_buffer("mean", torch.zeros(count, channels))
        self.register_buffer("variance", torch.ones(count, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, B, C) to the same shape."""
        return _by_seed(self.of_channels(_side_by_side(x)), len(x))

    def of_channels(self, x: torch.Tensor) -> torch.Tensor:
        """Normalises x (B, N C, ...)."""
        mean, variance, weight, bias = (t.flatten() for t in (self.mean, self.variance, self.weight, self.bias))
        return F.batch_norm(x, mean, variance, weight, bias, self.training, MOMENTUM, EPSILON)

    def of_images(self, images: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The batch norm of images in [0, 1], as far as it can be told before a convolution; no gradient reaches images.

        Args:
            images: (B, N C, H, W) uint8.
            dtype: of x, at least bfloat16: it holds every integer up to 256.
        Returns:
            x (B, N C, H, W), channels innermost, and scale and shift (N C,): the result is x * scale + shift. x are the
            images less an integer near their channels' means, so that no large numbers cancel afterwards.
        """
        mean, variance = 255 * self.mean.flatten(), self.variance.flatten()
        about = (images[0].float().mean((1, 2)) if self.training else mean).round()
        x = torch.empty(images.shape, dtype=dtype, device=images.device, memory_format=torch.channels_last)
        together, moments = CHUNK if images.device.type == "cpu" else len(images), []
        for part, centred in zip(images.split(together), x.split(together), strict=True):
            away = part.to(dtype) - about.to(dtype)[:, None, None]
            centred.copy_(away)
            if self.training:
                exact = torch.promote_types(dtype, torch.float32)
                squares = torch.linalg.vector_norm(away, dim=(2, 3), dtype=exact).square()
                moments.append(torch.stack([away.sum((2, 3), dtype=exact), squares]).sum(1))
        if self.training:
            with torch.no_grad():
                count = x.numel() // x.shape[1]
                from_about, squares = torch.stack(moments).sum(0) / count
                variance = (squares - from_about.square()).clamp_(min=0) / 255**2
                self.mean.flatten().lerp_((about + from_about) / 255, MOMENTUM)
                self.variance.flatten().lerp_(variance * count / (count - 1), MOMENTUM)
        else:
            from_about = mean - about
        scale = self.weight.flatten() * (variance + EPSILON).rsqrt() / 255
        return x, scale, self.bias.flatten() - from_about * scale


class Trunk(nn.Module):
    """Images to features: three convolutions, with batch norm before each.

    Args:
        seeds: the N seeds.
    Attributes:
        width: of the features.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        super().__init__()
        generators = [torch_stream(seed, "trunk: initial weights") for seed in seeds]
        self.norms, self.weights, self.biases = nn.ModuleList(), nn.ParameterList(), nn.ParameterList()
        inputs, size = 3 * FRAMES, SIZE
        for outputs, kernel, stride in CONVOLUTIONS:
            fan_in = inputs * kernel**2
            self.norms.append(StackedBatchNorm(len(seeds), inputs))
            self.weights.append(_uniform((outputs, inputs, kernel, kernel), fan_in, generators))
            self.biases.append(_uniform((outputs,), fan_in, generators))
            inputs, size = outputs, (size - kernel) // stride + 1
        self.width = inputs * size**2

    def forward(self, images: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """(N, B, 12, 64, 64) uint8 to (N, B, 512).

        Args:
            dtype: of the convolutions and what they take. Batch norms take their statistics in float32.
        """
        num_seeds = len(images)
        # The first batch norm goes into the weights of its convolution: there is no padding, so that is the same.
        norms = cast(Sequence[StackedBatchNorm], self.norms)
        x, scale, shift = norms[0].of_images(_side_by_side(images), dtype)
        scale, shift = (t.view(num_seeds, 1, -1, 1, 1) for t in (scale, shift))
        weight, bias = self.weights[0], self.biases[0]
        weight, bias = weight * scale, bias + (weight * shift).sum((2, 3, 4))
        for layer, (_, _, stride) in enumerate(CONVOLUTIONS):
            if layer:
                x, weight, bias = norms[layer].of_channels(x), self.weights[layer], self.biases[layer]
            weight, bias = weight.flatten(0, 1).to(dtype), bias.flatten().to(dtype)
            x = F.relu(F.conv2d(x, weight, bias, stride, groups=num_seeds))
        return _by_seed(x.flatten(1), num_seeds).to(self.weights[0].dtype)


class PixelActor(nn.Module):
    """mu: features to actions, 200-200 with batch norm before each layer, tanh scaled to the policy's bounds.

    Args:
        width: of the features.
        action_dim: D.
        center, scale: (D,) the actions are center + scale * tanh.
        seeds: the N seeds.
    """

    center: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self, width: int, action_dim: int, center: np.ndarray, scale: np.ndarray, seeds: Sequence[int]
    ) -> None:
        super().__init__()
        self.register_buffer("center", torch.as_tensor(center), persistent=False)
        self.register_buffer("scale", torch.as_tensor(scale), persistent=False)
        generators = [torch_stream(seed, "actor: initial weights") for seed in seeds]
        self.norms, self.weights, self.biases = nn.ModuleList(), nn.ParameterList(), nn.ParameterList()
        for inputs, outputs in itertools.pairwise((width, *HIDDEN, action_dim)):
            self.norms.append(StackedBatchNorm(len(seeds), inputs))
            self.weights.append(_uniform((inputs, outputs), inputs, generators))
            self.biases.append(_uniform((1, outputs), inputs, generators))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, B, 512) to (N, B, D)."""
        x, last = features, len(self.weights) - 1
        for layer, (norm, weight, bias) in enumerate(zip(self.norms, self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, norm(x), weight)
            x = F.relu(x) if layer < last else torch.tanh(x)
        return self.center + self.scale * x
