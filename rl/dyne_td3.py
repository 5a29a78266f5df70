"""DynE-TD3: TD3 whose actions are embeddings of k raw actions (paper, section 3.2)."""

from typing import ClassVar

import torch

from rl.td3 import TD3


class DynETD3(TD3):
    """TD3 in the DynE action space: the critic Q(s, z, i) also sees how many of z's steps have been executed.

    Its targets differ only in what the replay hands it: `reward` and `discount` span the rest of the plan
    (`rl.plans.plan_returns`), and `next_state` is where the next plan begins, so i = 0 there.
    """

    sees_plan_step: ClassVar[bool] = True

    def critic_input(self, state: torch.Tensor, action: torch.Tensor, plan_step: torch.Tensor) -> torch.Tensor:
        """What Q is a function of: (s, z, i), with (z, i) repeated. All (N, B, ·)."""
        return torch.cat([state, *[action, plan_step] * self.repeats], dim=-1)
