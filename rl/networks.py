"""Actor and twin critics of N independent seeds, stacked.

Every weight has a leading axis of seeds, so N agents train in one process. On the CPU each seed's numbers are bit for
bit those that it would have alone.
"""

import itertools
import math

import torch
from torch import nn

from embedding.linear import stacked_linear
from embedding.streams import torch_stream

HIDDEN = (400, 300)


class StackedMLP(nn.Module):
    """M independent networks inputs -> 400 -> 300 -> outputs with ReLU, one tensor a layer.

    Args:
        inputs, outputs: widths.
        generators: M CPU generators; each slice is initialised from its own as a layer of its own
            (`nn.Linear`'s default), since fan-in is read wrongly off a stacked tensor.
    """

    def __init__(self, inputs, outputs, generators):
        super().__init__()
        widths = [inputs, *HIDDEN, outputs]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for fan_in, fan_out in itertools.pairwise(widths):
            bound = 1 / math.sqrt(fan_in)
            weight = [torch.empty(fan_in, fan_out).uniform_(-bound, bound, generator=g) for g in generators]
            bias = [torch.empty(1, fan_out).uniform_(-bound, bound, generator=g) for g in generators]
            self.weights.append(nn.Parameter(torch.stack(weight)))
            self.biases.append(nn.Parameter(torch.stack(bias)))

    def forward(self, x):
        """(M, B, inputs) to (M, B, outputs)."""
        return _forward(x, self.weights, self.biases)

    def slices(self):
        """Every tensor of every network by itself, as views: parameter by parameter, network by network.

        Elementwise arithmetic is done on these: the last elements of a tensor, beyond a multiple of the vector's
        length, are rounded differently, and here each network has its own last elements.
        """
        return [matrix for parameter in self.parameters() for matrix in parameter.detach()]


class Descent:
    """Adam on a stack of networks, slice by slice.

    Args:
        mlp: the `StackedMLP`, on its device.
        lr: Adam's step size.
    """

    def __init__(self, mlp, lr):
        self.parameters, self.slices = list(mlp.parameters()), mlp.slices()
        self.adam = torch.optim.Adam(self.slices, lr=lr, fused=True)

    def step(self, loss):
        """One step down the gradient of `loss`, the sum of the networks' losses."""
        gradients = torch.autograd.grad(loss, self.parameters)
        for matrix, gradient in zip(self.slices, (g for stacked in gradients for g in stacked), strict=True):
            matrix.grad = gradient
        self.adam.step()


def _forward(x, weights, biases):
    *hidden, (weight, bias) = zip(weights, biases, strict=True)
    for w, b in hidden:
        x = stacked_linear(x, w, b, relu=True)
    return stacked_linear(x, weight, bias)


class Actor(nn.Module):
    """mu: states to actions, tanh scaled to the policy's bounds.

    Args:
        state_dim, action_dim: S and D.
        center, scale: (D,) the actions are center + scale * tanh.
        seeds: the N seeds.
    """

    def __init__(self, state_dim, action_dim, center, scale, seeds):
        super().__init__()
        self.register_buffer("center", torch.as_tensor(center))
        self.register_buffer("scale", torch.as_tensor(scale))
        self.mlp = StackedMLP(state_dim, action_dim, [torch_stream(seed, "actor: initial weights") for seed in seeds])

    def forward(self, state):
        """(N, B, S) to (N, B, D)."""
        return self.center + self.scale * torch.tanh(self.mlp(state))


class TwinCritic(nn.Module):
    """Q_1 and Q_2, stacked: network 2n + j is Q_{j+1} of seed n.

    Args:
        inputs: width of the critic's input, which is put together by the agent.
        seeds: the N seeds.
    """

    def __init__(self, inputs, seeds):
        super().__init__()
        generators = [torch_stream(seed, "critic: initial weights", twin) for seed in seeds for twin in (0, 1)]
        self.mlp = StackedMLP(inputs, 1, generators)

    def forward(self, x):
        """(N, B, inputs) to (N, 2, B): both critics."""
        n, batch, width = x.shape
        both = x.unsqueeze(1).expand(n, 2, batch, width).reshape(2 * n, batch, width)
        return self.mlp(both).view(n, 2, batch)

    def first(self, x):
        """(N, B, inputs) to (N, B): Q_1 alone, with its weights held fixed: no gradient reaches them."""
        weights, biases = ([p.detach()[::2] for p in tensors] for tensors in (self.mlp.weights, self.mlp.biases))
        return _forward(x, weights, biases).squeeze(-1)
