"""ReacherTurn: turn a spinner with the arm until its tip is at the target."""

import numpy as np

from envs.reacher_family.reacher import ReacherTask

SPINNER_XZ = np.array([0.35, 0.25])
TARGET_RADIUS = 0.15  # the tip turns at 0.14: the best distance is 0.01


class ReacherTurn(ReacherTask):
    """Turn the spinner until its tip reaches the target.

    Observation (11): cosines (2) and sines (2) of the joint angles; target x, z (m); velocities of the joints and
    the spinner (3, rad/s); tip x, z (m). The spinner's angle is not observed.

    Reward: -10 |tip - target| - 0.5 |a|^2; info is empty.

    Start: all three angles uniform in +-pi, joint velocities in +-0.005 rad/s, spinner at rest, target uniform on the
    circle of 0.15 m around the spinner. Drawn again until there are no contacts (3 of 4 draws are taken).

    Source: paper, appendix A and figure 6; numbers from the authors' release.
    """

    def __init__(self, render_mode: str | None = None, width: int = 500, height: int = 500):
        """See `MujocoTask` for the arguments and errors."""
        super().__init__("reacher_turn.xml", 11, render_mode, width, height)
        self._tip_id = self.model.site("tip").id

    def _draw_start(self) -> dict[str, np.ndarray]:
        uniform = self.np_random.uniform
        qpos = uniform(-np.pi, np.pi, size=3)
        phi = uniform(-np.pi, np.pi)
        x, z = SPINNER_XZ + TARGET_RADIUS * np.array([np.cos(phi), np.sin(phi)])
        return {
            "qpos": qpos,
            "qvel": np.append(uniform(-0.005, 0.005, size=2), 0.0),
            "target_pos": np.array([x, 0.0, z]),
        }

    @property
    def _tip(self) -> np.ndarray:
        """Position `(3,)` of the spinner's tip as the last physics step left it, a view."""
        return self.data.site_xpos[self._tip_id]

    def _observation(self) -> np.ndarray:
        angles = self.data.qpos[:2]
        return np.concatenate([np.cos(angles), np.sin(angles), self._target[::2], self.data.qvel, self._tip[::2]])

    def _reward(self, action: np.ndarray) -> tuple[float, dict[str, float]]:
        distance = float(np.linalg.norm(self._tip - self._target))
        return -10.0 * distance - 0.5 * float(np.square(action).sum()), {}
