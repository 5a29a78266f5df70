"""Thrower: throw a ball into a box."""

import numpy as np

from envs.seven_dof_family.seven_dof import SevenDofTask

GROUND = -0.25  # a ball below has hit it


class Thrower(SevenDofTask):
    """Throw the ball, which lies in the hand, into the box.

    Observation: see `SevenDofTask`; the object is the ball, the hand the wrist, the goal the box.

    Reward: -(horizontal distance of ball and goal) - 0.002 |a|^2. `reward_dist` in info is the first term,
    `reward_ctrl` is -|a|^2.

    The original meant to reward, once the ball hit the ground (was below z = -0.25), the place where it did; but it
    stored a reference to the ball's position, not a copy, and so went on with the ball, which rolls away without
    friction. That is the default here; `frozen_hit=True` is what was meant (random play returns -190, not -295).

    Start: arm angles 0, velocities uniform in +-0.005 rad/s; goal at x and y uniform in +-0.3 m around (0.575, 0.5);
    ball and goal at rest. In the state, the goal's y comes before x.

    Source: paper, appendix A and figure 7; numbers from OpenAI Gym 0.15.
    """

    def __init__(self, render_mode: str | None = None, width: int = 500, height: int = 500, frozen_hit: bool = False):
        """See `MujocoTask` for the other arguments and errors.

        Args:
            frozen_hit: whether the reward, once the ball hit the ground, is for where it did.
        """
        super().__init__("thrower/thrower.xml", "r_wrist_roll_link", "ball", render_mode, width, height)
        self.frozen_hit = frozen_hit
        self._hit: np.ndarray | None = None

    def _draw_start(self) -> dict[str, np.ndarray]:
        qpos = self.init_qpos.copy()
        qpos[7:9] = self.np_random.uniform(-0.3, 0.3, size=2)
        return {"qpos": qpos, "qvel": self._arm_velocity(0.005)}

    def _set_start(self, qpos: np.ndarray, qvel: np.ndarray) -> None:
        super()._set_start(qpos, qvel)
        self._hit = None

    def _reward(self, action: np.ndarray) -> tuple[float, dict[str, float]]:
        ball = self._object
        if self.frozen_hit:
            if self._hit is None and ball[2] < GROUND:
                self._hit = ball.copy()
            ball = ball if self._hit is None else self._hit
        reward_dist = -float(np.linalg.norm((ball - self._goal)[:2]))
        reward_ctrl = -float(np.square(action).sum())
        return reward_dist + 0.002 * reward_ctrl, {"reward_dist": reward_dist, "reward_ctrl": reward_ctrl}
