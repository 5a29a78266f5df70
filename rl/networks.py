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
    """M independent networks inputs -> hidden -> outputs with ReLU, one tensor a layer.

    Args:
        inputs, outputs: widths.
        hidden: widths of the hidden layers.
        generators: M CPU generators; each slice is initialised from its own as a layer of its own
            (`nn.Linear`'s default), since fan-in is read wrongly off a stacked tensor.
    """

    def __init__(self, inputs, outputs, generators, hidden=HIDDEN):
        super().__init__()
        widths = [inputs, *hidden, outputs]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for fan_in, fan_out in itertools.pairwise(widths):
            bound = 1 / math.sqrt(fan_in)
            weight = [torch.empty(fan_in, fan_out).uniform_(-bound, bound, generator=g) for g in generators]
            bias = [torch.empty(1, fan_out).uniform_(-bound, bound, generator=g) for g in generators]
            self.weights.append(nn.Parameter(torch.stack(weight)))
            self.biases.append(nn.Parameter(torch.stack(bias)))

    def forward(self, x, norms=None):
        """(M, B, inputs) to (M, B, outputs); `norms` are applied to what goes into each layer."""
        return _forward(x, self.weights, self.biases, norms)


def slices(modules):
    """Every tensor of every network in stacks, as views: stack by stack, parameter by parameter, network by network.

    Elementwise arithmetic is done on these: the last elements of a tensor, beyond a multiple of the vector's length, are
    rounded differently, and here each network has its own last elements.
    """
    return [matrix for module in modules for parameter in module.parameters() for matrix in parameter.detach()]


def slices_of_seed(modules, n, num_seeds):
    """Which of `slices(modules)` belong to seed index `n` of `num_seeds`, which have as many networks each."""
    own, first = [], 0
    for stacked in (len(parameter) for module in modules for parameter in module.parameters()):
        width = stacked // num_seeds
        own += range(first + n * width, first + (n + 1) * width)
        first += stacked
    return own


def part_of_seed(module, n):
    """The state_dict of seed index `n` alone, on the CPU, of a module with one network a seed.

    What the module names in `shared`, it has once for all seeds.
    """
    state, shared = module.state_dict(), getattr(module, "shared", ())
    return {name: (t if name in shared else t[n : n + 1]).cpu().clone() for name, t in state.items()}


class Descent:
    """Adam on stacks of networks, slice by slice.

    Args:
        modules: the stacks, on their device: modules whose parameters all have a leading axis of networks.
        lr: Adam's step size.
    """

    def __init__(self, modules, lr):
        self.parameters, self.slices = [p for module in modules for p in module.parameters()], slices(modules)
        self.adam = torch.optim.Adam(self.slices, lr=lr, fused=True)

    def step(self, loss):
        """One step down the gradient of `loss`, the sum of the networks' losses."""
        gradients = torch.autograd.grad(loss, self.parameters)
        for matrix, gradient in zip(self.slices, (g for stacked in gradients for g in stacked), strict=True):
            matrix.grad = gradient
        self.adam.step()

    def moments(self, index):
        """Adam's moments of slices, plain tensors on the CPU."""
        return [{key: value.cpu().clone() for key, value in self.adam.state[self.slices[i]].items()} for i in index]

    def set_moments(self, index, moments):
        """Sets what `moments` returned."""
        for i, values in zip(index, moments, strict=True):
            self.adam.state[self.slices[i]] = {key: v.to(self.slices[i].device) for key, v in values.items()}


def _forward(x, weights, biases, norms=None):
    last = len(weights) - 1
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = stacked_linear(norms[layer](x) if norms else x, weight, bias, relu=layer < last)
    return x


class Actor(nn.Module):
    """mu: states to actions, tanh scaled to the policy's bounds.

    Args:
        state_dim, action_dim: S and D.
        center, scale: (D,) the actions are center + scale * tanh.
        seeds: the N seeds.
    """

    shared = ("center", "scale")

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
        hidden: widths of the hidden layers.
    """

    def __init__(self, inputs, seeds, hidden=HIDDEN):
        super().__init__()
        generators = [torch_stream(seed, "critic: initial weights", twin) for seed in seeds for twin in (0, 1)]
        self.mlp = StackedMLP(inputs, 1, generators, hidden)

    def forward(self, x):
        """(N, B, inputs) to (N, 2, B): both critics."""
        n, batch, width = x.shape
        both = x.unsqueeze(1).expand(n, 2, batch, width).reshape(2 * n, batch, width)
        return self.mlp(both).view(n, 2, batch)

    def first(self, x):
        """(N, B, inputs) to (N, B): Q_1 alone, with its weights held fixed: no gradient reaches them."""
        weights, biases = ([p.detach()[::2] for p in tensors] for tensors in (self.mlp.weights, self.mlp.biases))
        return _forward(x, weights, biases).squeeze(-1)
