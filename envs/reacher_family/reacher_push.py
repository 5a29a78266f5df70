"""ReacherPush: push a box along the floor to a target."""

import numpy as np

from envs.reacher_family.reacher import ReacherTask


class ReacherPush(ReacherTask):
    """Push the box to the target on the floor.

    Observation (14): cosines (2) and sines (2) of the joint angles; x, z (m) and angle (rad) of the box; target x, z
    (m); velocities of the joints (2, rad/s) and of the box (x, z, angle).

    Reward: -10 |box - target| - 0.5 |fingertip - box| - |a|^2; `reward_dist` in info is the first two terms.

    Start: joint angles uniform in +-pi, velocities in +-0.005 rad/s; box x uniform in +-0.2, z in 0.03 ... 0.05 m,
    angle in +-pi, at rest; target x uniform in +-0.2 m, z 0.03. Drawn again until there are no contacts: the box is
    0.08 m high, so one draw in 15 is taken, in which it is just above the floor and within 17 degrees of level.

    Source: paper, appendix A and figure 6; numbers from the authors' release.
    """

    def __init__(self, render_mode: str | None = None, width: int = 500, height: int = 500):
        """See `MujocoTask` for the arguments and errors."""
        super().__init__("reacher_push.xml", 14, render_mode, width, height)
        self._box_id = self.model.body("box0").id

    def _draw_start(self) -> dict[str, np.ndarray]:
        uniform = self.np_random.uniform
        arm = uniform(-np.pi, np.pi, size=2)
        box = uniform([-0.2, 0.03, -np.pi], [0.2, 0.05, np.pi])
        return {
            "qpos": np.concatenate([arm, box]),
            "qvel": np.append(uniform(-0.005, 0.005, size=2), np.zeros(3)),
            "target_pos": np.array([uniform(-0.2, 0.2), 0.0, 0.03]),
        }

    @property
    def _box(self) -> np.ndarray:
        """Box position `(3,)` as the last physics step left it, a view."""
        return self.data.xpos[self._box_id]

    def _observation(self) -> np.ndarray:
        angles, box = self.data.qpos[:2], self.data.qpos[2:]
        return np.concatenate([np.cos(angles), np.sin(angles), box, self._target[::2], self.data.qvel])

    def _reward(self, action: np.ndarray) -> tuple[float, dict[str, float]]:
        to_target = float(np.linalg.norm(self._box - self._target))
        to_box = float(np.linalg.norm(self._fingertip - self._box))
        reward_dist = -10.0 * to_target - 0.5 * to_box
        reward_ctrl = -float(np.square(action).sum())
        return reward_dist + reward_ctrl, {"reward_dist": reward_dist, "reward_ctrl": reward_ctrl}
