"""Agents of one's own, as docs/own-algorithm.md shows them, and one that stores its policy otherwise."""

import torch

from common import entries
from rl.networks import Actor
from rl.td3 import TD3


class DoubtfulTD3(TD3):
    """TD3 whose targets doubt the value of what follows: they count it a tenth less."""

    def target_value(self, reward, discount, next_state, noise):
        return super().target_value(reward, 0.9 * discount, next_state, noise)


class SoftsignActor(Actor):
    """mu with x / (1 + |x|) in the place of tanh: it comes near its bounds more slowly."""

    def forward(self, state):
        outputs, trace = self.mlp.forward(state)
        unit = outputs / (1 + outputs.abs())
        return self.center + self.scale * unit, (trace, unit)

    def backward(self, trace, gradient):
        of_mlp, unit = trace
        return self.mlp.backward(of_mlp, gradient * self.scale * (1 - unit.abs()).square())[0]


class SoftsignTD3(TD3):
    """TD3 whose actor is squashed by softsign."""

    actor_class = SoftsignActor


class ConstantTD3(TD3):
    """TD3 whose policy is stored as what it does where all observations are zero, and loaded as that."""

    def policy_content(self, n):
        return {"always": self.actor(torch.zeros(self.num_seeds, 1, *self.state_shape))[n, 0].cpu()}

    @classmethod
    def policy_of(cls, content, actions, seed):
        always = entries.tensor(content, "always", (actions.dim,)).numpy()
        return lambda states: always
