"""Striker: strike a ball so that it rolls into the goal."""

import numpy as np

from envs.seven_dof_family.seven_dof import SevenDofTask

BALL_XY = np.array([0.5, -0.175])
STRIKE_DISTANCE = 0.1


class Striker(SevenDofTask):
    """Strike the ball into the goal, three walls in a half circle.

    Observation: see `SevenDofTask`; the object is the ball, the hand the bat's middle.

    Reward: -3 min |ball - goal| - 0.1 |a|^2 - 0.5 |ball - hand|. The minimum is over the episode so far: the state
    does not hold all that the reward depends on. `reward_dist` in info is minus the minimum, `reward_ctrl` is -|a|^2.

    In the original, the hand in the last term was meant to be where it struck the ball (where it was when it was
    first less than 0.1 m away), but went on moving with the hand. `frozen_hit=True` keeps it.

    Start: arm angles 0, velocities uniform in +-0.1 rad/s; ball at (0.5, -0.175) m; goal at x uniform in 0.15 ... 0.7,
    y in 0.1 ... 1 m, turned away from the ball by about a third of the angle at which it sees it; both at rest.

    Source: OpenAI Gym 0.15.
    """

    def __init__(self, render_mode: str | None = None, width: int = 500, height: int = 500, frozen_hit: bool = False):
        """See `MujocoTask` for the other arguments and errors.

        Args:
            frozen_hit: whether the last term of the reward, from the strike on, is the distance from where it was.
        """
        super().__init__("striker/striker.xml", "tips_arm", "object", render_mode, width, height)
        self.frozen_hit = frozen_hit
        self._closest = np.inf
        self._strike: np.ndarray | None = None

    def _draw_start(self) -> dict[str, np.ndarray]:
        goal = self.np_random.uniform([0.15, 0.1], [0.7, 1.0])
        x, y = BALL_XY - goal
        qpos = np.zeros(self.model.nq)
        qpos[7:9] = BALL_XY[::-1]
        qpos[9:12] = *goal, self.init_qpos[11]
        qpos[12], qpos[15] = 1.0, -np.arctan(x / (y + 1e-8)) / 3.14
        return {"qpos": qpos, "qvel": self._arm_velocity(0.1)}

    def _set_start(self, qpos: np.ndarray, qvel: np.ndarray) -> None:
        super()._set_start(qpos, qvel)
        self._closest = np.inf
        self._strike = None

    def _reward(self, action: np.ndarray) -> tuple[float, dict[str, float]]:
        self._closest = min(self._closest, float(np.linalg.norm(self._object - self._goal)))
        hand = self._hand
        if self.frozen_hit:
            if self._strike is None and np.linalg.norm(self._object - hand) < STRIKE_DISTANCE:
                self._strike = hand.copy()
            hand = hand if self._strike is None else self._strike
        reward_dist = -self._closest
        reward_near = -float(np.linalg.norm(self._object - hand))
        reward_ctrl = -float(np.square(action).sum())
        reward = 3.0 * reward_dist + 0.1 * reward_ctrl + 0.5 * reward_near
        return reward, {"reward_dist": reward_dist, "reward_ctrl": reward_ctrl}
