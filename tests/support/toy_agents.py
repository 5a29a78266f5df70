"""An agent of one's own, as CONTRIBUTING.md shows it."""

from rl.td3 import TD3


class DoubtfulTD3(TD3):
    """TD3 whose targets doubt the value of what follows: they count it a tenth less."""

    def target_value(self, reward, discount, next_state, noise):
        return super().target_value(reward, 0.9 * discount, next_state, noise)
