"""DynE-TD3: TD3 whose actions are embeddings of k raw actions (paper, section 3.2)."""

import numpy as np
import torch

from rl.td3 import TD3


class DynETD3(TD3):
    """TD3 in the DynE action space: the critic Q(s, z, i) also sees how many of z's steps have been executed.

    Its targets differ only in what the replay hands it: `reward` and `discount` span the rest of the plan
    (`plan_returns`), and `next_state` is where the next plan begins, so i = 0 there.
    """

    sees_plan_step = True

    def critic_input(self, state, action, plan_step):
        """What Q is a function of: (s, z, i), with (z, i) repeated. All (N, B, ·)."""
        return torch.cat([state, *[action, plan_step] * self.repeats], dim=-1)


def plan_returns(rewards, terminated, discount):
    """The sum and the factor in the equation for Q(s_t, z_t, i) of section 3.2, for every row of one plan.

    Args:
        rewards: (h,) rewards of the plan's steps, as many as were executed before it or the episode ended.
        terminated: whether the environment terminated at its last step (a time limit is no termination).
        discount: gamma.
    Returns:
        sums: (h,) float64, at i the sum over j < h - i of gamma^j r_{i+j}.
        factors: (h,) float64, at i gamma^(h-i), or 0 if the environment terminated.
    """
    sums, total = np.empty(len(rewards)), 0.0
    for i in reversed(range(len(rewards))):
        total = rewards[i] + discount * total
        sums[i] = total
    factors = np.zeros(len(rewards)) if terminated else discount ** np.arange(len(rewards), 0, -1.0)
    return sums, factors
