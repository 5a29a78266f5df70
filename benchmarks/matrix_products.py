"""The matrix products of an update and nothing else: the time that they take as `torch.bmm` or `torch.mm`.

A network of widths w_0, .., w_L takes one product a layer forwards, (B, w_l) @ (w_l, w_{l+1}), and backwards one for
the gradient of each weight that is trained, (w_l, B) @ (B, w_{l+1}), and one for the gradient of each input that
something trained lies behind, (B, w_{l+1}) @ (w_{l+1}, w_l). Biases, activations, losses, optimisers and targets are
left out. On the CPU torch hands these products to MKL; the networks take oneDNN for large ones (`embedding/linear.py`),
where it is faster, so they may come close to this floor or below it.
"""

import itertools
import math
from functools import partial

import torch

from embedding.models import HIDDEN as EMBEDDING_HIDDEN
from rl.networks import HIDDEN

CRITICS = 2


class Products:
    """Matrix products over random matrices of the right shapes, run in the order in which they were added.

    Args:
        batch: B, the rows of every activation.
        device: torch device.
        stack: M, for stacks of M networks as batched products; None for single networks, as `nn.Linear` has them.
    """

    def __init__(self, batch, device, stack=None):
        self.batch, self.device, self.stack = batch, device, stack
        self.flops = 0
        self.operations = []

    def network(self, *widths):
        """The weights of a network (a stack of them); magnitudes neither grow nor vanish from layer to layer."""
        layers = []
        for fan_in, fan_out in itertools.pairwise(widths):
            if self.stack is None:  # nn.Linear's layout
                layers.append(self._matrix(fan_out, fan_in).div_(math.sqrt(fan_in)).t())
            else:
                layers.append(self._matrix(fan_in, fan_out).div_(math.sqrt(fan_in)))
        return layers

    def forward(self, layers):
        """Adds the products of one pass forwards."""
        x = self._matrix(self.batch, layers[0].shape[-2])
        for weight in layers:
            x = self._multiply(x, weight)

    def backward(self, layers, weights=True, inputs=False):
        """Adds the products of one pass backwards.

        Args:
            weights: whether the gradients of the weights are wanted.
            inputs: whether the gradient of the network's input is wanted.
        """
        gradient = self._matrix(self.batch, layers[-1].shape[-1])
        for i in reversed(range(len(layers))):
            weight = layers[i]
            if weights:
                self._multiply(self._matrix(self.batch, weight.shape[-2]).mT, gradient)
            if i or inputs:
                gradient = self._multiply(gradient, weight.mT)

    def run(self):
        """Computes all products once."""
        for operation in self.operations:
            operation()

    def _matrix(self, *shape):
        return torch.randn(*([] if self.stack is None else [self.stack]), *shape, device=self.device)

    def _multiply(self, left, right):
        rows, inner, columns = left.shape[-2], left.shape[-1], right.shape[-1]
        out = self._matrix(rows, columns)
        self.flops += 2 * (self.stack or 1) * rows * inner * columns
        self.operations.append(partial(torch.mm if self.stack is None else torch.bmm, left, right, out=out))
        return out


class TD3Floor:
    """The products of TD3's updates of N seeds (`rl.td3`).

    Every update: target actor, both target critics and both critics forwards; the critics backwards for their weights.
    Every `policy_freq`-th as well: actor and first critic forwards; that critic backwards for its inputs alone, the
    actor for its weights.

    Args:
        sizes: (S, D, C): widths of state, action and critic's input.
        seeds: N.
        batch: B.
        policy_freq: updates of the critics to one of the actor.
        device: torch device.
    Attributes:
        flops: floating-point operations of an update of one seed, on average over `policy_freq` of them.
    """

    def __init__(self, sizes, seeds, batch, policy_freq, device):
        state, action, critic_input = sizes
        actor_widths, critic_widths = (state, *HIDDEN, action), (critic_input, *HIDDEN, 1)
        single, twin = Products(batch, device, seeds), Products(batch, device, CRITICS * seeds)
        single.forward(single.network(*actor_widths))  # target actor
        twin.forward(twin.network(*critic_widths))  # target critics
        critics = twin.network(*critic_widths)
        twin.forward(critics)
        twin.backward(critics)
        delayed = Products(batch, device, seeds)
        actor, first_critic = delayed.network(*actor_widths), [weight[::CRITICS] for weight in critics]
        delayed.forward(actor)
        delayed.forward(first_critic)
        delayed.backward(first_critic, weights=False, inputs=True)
        delayed.backward(actor)
        self.policy_freq, self.every, self.delayed = policy_freq, (single, twin), delayed
        self.flops = (single.flops + twin.flops + delayed.flops / policy_freq) / seeds

    def run(self, updates):
        """Computes the products of so many updates."""
        for update in range(1, updates + 1):
            for products in self.every:
                products.run()
            if update % self.policy_freq == 0:
                self.delayed.run()


def embedding_floor(state_dim, action_dim, k, batch, device):
    """The products of a step of encoder and predictor (`embedding.main.EmbeddingTraining`), as `Products`."""
    products = Products(batch, device)
    encoder = products.network(k * action_dim, EMBEDDING_HIDDEN, EMBEDDING_HIDDEN, 2 * action_dim)
    predictor = products.network(action_dim + state_dim, EMBEDDING_HIDDEN, EMBEDDING_HIDDEN, state_dim)
    products.forward(encoder)
    products.forward(predictor)
    products.backward(predictor, inputs=True)
    products.backward(encoder)
    return products


def decoder_floor(action_dim, k, batch, device):
    """The products of a step of the decoder against the frozen encoder (`embedding.decoder.DecoderTraining`)."""
    products = Products(batch, device)
    decoder = products.network(action_dim, EMBEDDING_HIDDEN, EMBEDDING_HIDDEN, k * action_dim)
    encoder = products.network(k * action_dim, EMBEDDING_HIDDEN, EMBEDDING_HIDDEN, 2 * action_dim)
    products.forward(decoder)
    products.forward(encoder)
    products.backward(encoder, weights=False, inputs=True)
    products.backward(decoder)
    return products
