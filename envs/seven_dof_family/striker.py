"""Striker: strike a ball so that it rolls into the goal."""

import numpy as np

from envs.seven_dof_family.seven_dof import SevenDofTask

BALL_XY = np.array([0.5, -0.175])
STRIKE_DISTANCE = 0.1


class Striker(SevenDofTask):
    """Strike the ball into the goal, which has three walls on its far side.

    Observation: see `SevenDofTask`; the object is the ball, the hand the wrist, 17 mm behind the bat.

    Reward: -3 min |ball - goal| - 0.1 |a|^2 - 0.5 |ball - hand|; `reward_dist` in info is minus the minimum,
    `reward_ctrl` is -|a|^2. The minimum is that of the episode so far, which the observation does not hold.

    The original meant to measure the last term, once the hand has been less than 0.1 m from the ball, to where the hand
    was when it last was; but it stored a reference to the hand's position, not a copy, and so went on measuring to the hand. That is
    the default here; `frozen_hit=True` is what was meant.

    Start: arm angles 0, velocities uniform in +-0.1 rad/s; ball at (0.5, -0.175) m; goal at x uniform in 0.15 ... 0.7,
    y in 0.1 ... 1 m, turned towards the ball (by 0.64 of the angle that would face it); both at rest.

    Source: paper, appendix A and figure 7; numbers from OpenAI Gym 0.15.
    """

    def __init__(self, render_mode: str | None = None, width: int = 500, height: int = 500, frozen_hit: bool = False):
        """See `MujocoTask` for the other arguments and errors.

        Args:
            frozen_hit: whether the last term of the reward, from the strike on, is the distance to where the hand last
                was within reach of the ball.
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
            if np.linalg.norm(self._object - hand) < STRIKE_DISTANCE:
                self._strike = hand.copy()
            hand = hand if self._strike is None else self._strike
        reward_dist = -self._closest
        reward_near = -float(np.linalg.norm(self._object - hand))
        reward_ctrl = -float(np.square(action).sum())
        reward = 3.0 * reward_dist + 0.1 * reward_ctrl + 0.5 * reward_near
        return reward, {"reward_dist": reward_dist, "reward_ctrl": reward_ctrl}
