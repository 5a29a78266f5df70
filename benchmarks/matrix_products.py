"""The matrix products of an update and nothing else: the least time that the fastest library at hand takes for them.

A network of widths w_0, .., w_L takes one product a layer forwards, (B, w_l) @ (w_l, w_{l+1}), and backwards one for
the gradient of each weight that is trained, (w_l, B) @ (B, w_{l+1}), and one for the gradient of each input that
something trained lies behind, (B, w_{l+1}) @ (w_{l+1}, w_l). Biases, activations, losses, optimisers and targets are
left out. On a CPU each product is tried with torch's default (MKL) and with oneDNN (`common.mlp.ONEDNN`), and the
faster one is taken.
"""

import itertools
import math
import time
from functools import partial

import torch

from common.mlp import ONEDNN
from embedding.models import HIDDEN as EMBEDDING_HIDDEN
from rl.networks import HIDDEN

CRITICS = 2
TRIES = 30  # of each library, for each product


class Products:
    """Matrix products over random matrices of the right shapes, run in the order in which they were added.

    Args:
        batch: B, the rows of every activation.
        device: torch device.
        stack: M, for stacks of M networks as batched products; None for single networks.
    Attributes:
        flops: floating-point operations of all of them.
        libraries: {library: how many products it was the fastest for}; on a CPU only.
    """

    def __init__(self, batch, device, stack=None):
        self.batch, self.device, self.stack = batch, device, stack
        self.flops = 0
        self.operations, self.libraries = [], {}

    def network(self, *widths):
        """The weights (w_l, w_{l+1}) of a network; magnitudes neither grow nor vanish from layer to layer."""
        return [self._matrix(fan_in, fan_out).div_(math.sqrt(fan_in)) for fan_in, fan_out in itertools.pairwise(widths)]

    def forward(self, layers):
        """Adds the products of one pass forwards."""
        x = self._matrix(self.batch, layers[0].shape[-2])
        for weight in layers:
            x = self._multiply(x, weight)

    def backward(self, layers, weights=True, inputs=0):
        """Adds the products of one pass backwards.

        Args:
            weights: whether the gradients of the weights are wanted.
            inputs: of how many of the network's inputs the gradient is wanted.
        """
        gradient = self._matrix(self.batch, layers[-1].shape[-1])
        for i in reversed(range(len(layers))):
            weight = layers[i]
            if weights:
                self._multiply(self._matrix(self.batch, weight.shape[-2]).mT, gradient)
            if i or inputs:
                gradient = self._multiply(gradient, (weight if i else weight[..., -inputs:, :]).mT)

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
        self.operations.append(self._fastest(left, right, out))
        return out

    def _fastest(self, left, right, out):
        ways = {"torch.matmul": partial(torch.matmul, left, right, out=out)}
        if self.device.type == "cpu" and self.stack is None and ONEDNN is not None:
            ways["oneDNN"] = partial(ONEDNN, left, right.mT, None, "none", [], "")
        if len(ways) > 1:
            seconds = {name: min(map(_timed, [way] * TRIES)) for name, way in ways.items()}
            ways = {min(seconds, key=seconds.get): ways[min(seconds, key=seconds.get)]}
        ((name, way),) = ways.items()
        self.libraries[name] = self.libraries.get(name, 0) + 1
        return way


def _timed(operation):
    start = time.perf_counter()
    operation()
    return time.perf_counter() - start


class TD3Floor:
    """The products of TD3's updates (`rl.td3`): of one seed, or of stacks of N networks on other devices than a CPU.

    Every `policy_freq` updates: target actor and both target critics forwards for all their batches. Every update: both
    critics forwards, and backwards for their weights. Every `policy_freq`-th as well: actor and first critic forwards;
    that critic backwards for the action alone, the actor for its weights.

    Args:
        sizes: (S, D, C): widths of state, action and critic's input.
        stack: N, or None for one seed.
        batch: B.
        policy_freq: updates of the critics to one of the actor.
        device: torch device.
    Attributes:
        flops: floating-point operations of an update of one seed, on average over `policy_freq` of them.
        libraries: as in `Products`, for `policy_freq` updates.
    """

    def __init__(self, sizes, stack, batch, policy_freq, device):
        state, action, critic_input = sizes
        actor_widths, critic_widths = (state, *HIDDEN, action), (critic_input, *HIDDEN, 1)
        targets = Products(policy_freq * batch, device, stack)
        targets.forward(targets.network(*actor_widths))
        for _ in range(CRITICS):
            targets.forward(targets.network(*critic_widths))
        every, delayed = Products(batch, device, stack), Products(batch, device, stack)
        for _ in range(CRITICS):
            critic = every.network(*critic_widths)
            every.forward(critic)
            every.backward(critic)
        actor = delayed.network(*actor_widths)
        delayed.forward(actor)
        delayed.forward(critic)
        delayed.backward(critic, weights=False, inputs=critic_input - state)
        delayed.backward(actor)
        self.policy_freq, self.targets, self.every, self.delayed = policy_freq, targets, every, delayed
        parts = (targets, *[every] * policy_freq, delayed)
        self.flops = sum(products.flops for products in parts) / policy_freq / (stack or 1)
        self.libraries = {}
        for products in parts:
            for name, count in products.libraries.items():
                self.libraries[name] = self.libraries.get(name, 0) + count

    def run(self, updates):
        """Computes the products of so many updates, a multiple of `policy_freq`."""
        for _ in range(updates // self.policy_freq):
            self.targets.run()
            for _ in range(self.policy_freq):
                self.every.run()
            self.delayed.run()


def embedding_floor(state_dim, action_dim, k, batch, device):
    """The products of a step of encoder and predictor (`embedding.encoder_training.EncoderTraining`), as `Products`."""
    products = Products(batch, device)
    encoder = products.network(k * action_dim, EMBEDDING_HIDDEN, EMBEDDING_HIDDEN, 2 * action_dim)
    predictor = products.network(action_dim + state_dim, EMBEDDING_HIDDEN, EMBEDDING_HIDDEN, state_dim)
    products.forward(encoder)
    products.forward(predictor)
    products.backward(predictor, inputs=action_dim)
    products.backward(encoder)
    return products


def decoder_floor(action_dim, k, batch, device):
    """The products of a step of the decoder against the frozen encoder (`embedding.decoder_training.DecoderTraining`)."""
    products = Products(batch, device)
    decoder = products.network(action_dim, EMBEDDING_HIDDEN, EMBEDDING_HIDDEN, k * action_dim)
    encoder = products.network(k * action_dim, EMBEDDING_HIDDEN, EMBEDDING_HIDDEN, 2 * action_dim)
    products.forward(decoder)
    products.forward(encoder)
    products.backward(encoder, weights=False, inputs=k * action_dim)
    products.backward(decoder)
    return products
