"""Pusher: push a cylinder on the table to a goal."""

import numpy as np

from envs.seven_dof_family.seven_dof import SevenDofTask


class Pusher(SevenDofTask):
    """Push the object, a light cylinder, to the goal, a disc on the table.

    Observation: see `SevenDofTask`; the hand is the wrist, the middle of the fork's base.

    Reward: -|object - goal| - 0.1 |a|^2 - 0.5 |object - hand|; `reward_dist` in info is the first term, `reward_ctrl`
    is -|a|^2.

    Start: arm angles 0, velocities uniform in +-0.005 rad/s; goal at (0.45, -0.05) m; object at x uniform in +-0.2,
    y in -0.3 ... 0 m relative to the goal, more than 0.17 m away from it, at rest. In the state, y comes before x.

    Source: paper, appendix A and figure 7; numbers from OpenAI Gym 0.15.
    """

    def __init__(self, render_mode: str | None = None, width: int = 500, height: int = 500):
        """See `MujocoTask` for the arguments and errors."""
        super().__init__("pusher/pusher.xml", "tips_arm", "object", render_mode, width, height)

    def _draw_start(self) -> dict[str, np.ndarray]:
        qpos = np.zeros(self.model.nq)
        while np.linalg.norm(qpos[7:9]) <= 0.17:
            qpos[7:9] = self.np_random.uniform([-0.3, -0.2], [0.0, 0.2])
        return {"qpos": qpos, "qvel": self._arm_velocity(0.005)}

    def _reward(self, action: np.ndarray) -> tuple[float, dict[str, float]]:
        reward_dist = -float(np.linalg.norm(self._object - self._goal))
        reward_near = -float(np.linalg.norm(self._object - self._hand))
        reward_ctrl = -float(np.square(action).sum())
        reward = reward_dist + 0.1 * reward_ctrl + 0.5 * reward_near
        return reward, {"reward_dist": reward_dist, "reward_ctrl": reward_ctrl}
