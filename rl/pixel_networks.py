"""The networks of Pixel-TD3: a convolutional trunk, and an actor with batch norm; those of N seeds, stacked.

As in `rl.networks` every parameter has a leading axis of networks, and each seed's numbers are, on the CPU, bit for bit
those that it would have alone: there one network is computed after the other. On other devices convolutions are
grouped, and batch norm takes all networks' channels at once.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from embedding.pixel_models import to_unit
from embedding.streams import torch_stream
from envs.pixels import FRAMES, SIZE
from rl.networks import StackedMLP

CONVOLUTIONS = ((32, 8, 4), (32, 4, 2), (32, 3, 1))  # outputs, kernel, stride
HIDDEN = (200, 200)  # of actor and critics
EPSILON, MOMENTUM = 1e-5, 0.1  # of batch norm


def _groups(count, device):
    return [slice(m, m + 1) for m in range(count)] if device.type == "cpu" else [slice(0, count)]


def _for_groups(x, function):
    """`function` of groups of networks, put together again along the networks' axis.

    Args:
        x: (M, B, ...).
        function: of a slice of networks, and of their x as (B, G * C, ...), to (B, G * D).
    Returns:
        (M, B, D).
    """
    groups = _groups(len(x), x.device)
    parts = [function(g, x[g].transpose(0, 1).flatten(1, 2)).unflatten(1, (g.stop - g.start, -1)) for g in groups]
    return torch.cat([part.transpose(0, 1) for part in parts])


class StackedBatchNorm(nn.Module):
    """M batch norms of C channels: normalises by the batch in training, by running statistics in eval mode."""

    def __init__(self, count, channels):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(count, channels)), nn.Parameter(torch.zeros(count, channels))
        self.register_buffer("mean", torch.zeros(count, channels))
        self.register_buffer("variance", torch.ones(count, channels))

    def forward(self, x):
        """(M, B, C) to the same shape."""
        return _for_groups(x, self.of_group)

    def of_group(self, group, x):
        """Normalises x (B, G * C, ...) of the networks in the slice `group`."""
        tensors = (t[group].flatten() for t in (self.mean, self.variance, self.weight, self.bias))
        return F.batch_norm(x, *tensors, self.training, MOMENTUM, EPSILON)

    def of_input(self, x, group):
        """What the batch norm of data does: the scale and shift (G C,) of its channels; no gradient reaches the data.

        Args:
            x: (B, G C, H, W), of the networks in the slice `group`.
        """
        mean, variance = self.mean[group].flatten(), self.variance[group].flatten()
        if self.training:
            with torch.no_grad():
                count = x.numel() // x.shape[1]
                about = x[0].mean((1, 2), keepdim=True)  # squares of small numbers, lest their differences vanish
                away = x - about
                mean, squares = away.mean((2, 3)).mean(0), torch.linalg.vector_norm(away, dim=(2, 3)).square().sum(0)
                of_batch = (squares / count - mean.square()).clamp_(min=0)
                mean = mean + about.flatten()
                self.mean[group].flatten().lerp_(mean, MOMENTUM)
                self.variance[group].flatten().lerp_(of_batch * count / (count - 1), MOMENTUM)
                variance = of_batch
        scale = self.weight[group].flatten() * (variance + EPSILON).rsqrt()
        return scale, self.bias[group].flatten() - mean * scale


class Trunk(nn.Module):
    """Images to features: three convolutions, with batch norm before each.

    Args:
        seeds: the N seeds.
    Attributes:
        width: of the features.
    """

    def __init__(self, seeds):
        super().__init__()
        generators = [torch_stream(seed, "trunk: initial weights") for seed in seeds]
        self.norms, self.weights, self.biases = nn.ModuleList(), nn.ParameterList(), nn.ParameterList()
        inputs, size = 3 * FRAMES, SIZE
        for outputs, kernel, stride in CONVOLUTIONS:
            bound = 1 / math.sqrt(inputs * kernel**2)  # nn.Conv2d's default
            shapes = (outputs, inputs, kernel, kernel), (outputs,)
            weight, bias = (
                torch.stack([torch.empty(shape).uniform_(-bound, bound, generator=g) for g in generators])
                for shape in shapes
            )
            self.norms.append(StackedBatchNorm(len(seeds), inputs))
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(bias))
            inputs, size = outputs, (size - kernel) // stride + 1
        self.width = inputs * size**2

    def forward(self, images):
        """(N, B, 12, 64, 64) uint8 to (N, B, 512)."""
        return _for_groups(images, self._network)

    def _network(self, group, images):
        """(B, G * 12, 64, 64) uint8 to (B, G * 512)."""
        x = to_unit(images)
        # The first batch norm goes into the weights of its convolution: there is no padding, so that is the same.
        scale, shift = (t.view(-1, 1, 3 * FRAMES, 1, 1) for t in self.norms[0].of_input(x, group))
        weight, bias = self.weights[0][group], self.biases[0][group]
        weight, bias = weight * scale, bias + (weight * shift).sum((2, 3, 4))
        x = x.contiguous(memory_format=torch.channels_last)  # on a CPU the gradient of the weights takes half the time
        for layer, (_, _, stride) in enumerate(CONVOLUTIONS):
            if layer:
                x = self.norms[layer].of_group(group, x)
                weight, bias = self.weights[layer][group], self.biases[layer][group]
            x = F.relu(F.conv2d(x, weight.flatten(0, 1), bias.flatten(), stride, groups=group.stop - group.start))
        return x.flatten(1)


class PixelActor(nn.Module):
    """mu: features to actions, 200-200 with batch norm before each layer, tanh scaled to the policy's bounds.

    Args:
        width: of the features.
        action_dim: D.
        center, scale: (D,) the actions are center + scale * tanh.
        seeds: the N seeds.
    """

    shared = ("center", "scale")

    def __init__(self, width, action_dim, center, scale, seeds):
        super().__init__()
        self.register_buffer("center", torch.as_tensor(center))
        self.register_buffer("scale", torch.as_tensor(scale))
        self.norms = nn.ModuleList(StackedBatchNorm(len(seeds), inputs) for inputs in (width, *HIDDEN))
        generators = [torch_stream(seed, "actor: initial weights") for seed in seeds]
        self.mlp = StackedMLP(width, action_dim, generators, HIDDEN)

    def forward(self, features):
        """(N, B, 512) to (N, B, D)."""
        return self.center + self.scale * torch.tanh(self.mlp(features, self.norms))
