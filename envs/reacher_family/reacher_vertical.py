"""ReacherVertical: bring the fingertip to a target in the vertical plane."""

import numpy as np

from envs.reacher_family.reacher import ReacherTask


class ReacherVertical(ReacherTask):
    """Bring the fingertip to the target.

    Observation (11): cosines (2) and sines (2) of the joint angles; target x, z (m); joint velocities (2, rad/s);
    fingertip minus target (3, m; its y is always 0).

    Reward: -|fingertip - target| - |a|^2.

    Start: joint angles uniform in +-pi, velocities in +-0.005 rad/s, target uniform in the square of half-width 0.2 m
    around (x, z) = (0, 0.25). Drawn again until there are no contacts (5 of 6 draws are taken).

    Source: paper, appendix A and figure 6; numbers from the authors' release.
    """

    def __init__(self, render_mode: str | None = None, width: int = 500, height: int = 500):
        """See `MujocoTask` for the arguments and errors."""
        super().__init__("reacher_vertical.xml", 11, render_mode, width, height)

    def _draw_start(self) -> dict[str, np.ndarray]:
        uniform = self.np_random.uniform
        qpos = uniform(-np.pi, np.pi, size=2)
        x, z = uniform(-0.2, 0.2, size=2)
        return {
            "qpos": qpos,
            "qvel": uniform(-0.005, 0.005, size=2),
            "target_pos": np.array([x, 0.0, 0.25 + z]),
        }

    def _observation(self) -> np.ndarray:
        angles = self.data.qpos
        target = self._target
        return np.concatenate([np.cos(angles), np.sin(angles), target[::2], self.data.qvel, self._fingertip - target])

    def _reward(self, action: np.ndarray) -> tuple[float, dict[str, float]]:
        reward_dist = -float(np.linalg.norm(self._fingertip - self._target))
        reward_ctrl = -float(np.square(action).sum())
        return reward_dist + reward_ctrl, {"reward_dist": reward_dist, "reward_ctrl": reward_ctrl}
