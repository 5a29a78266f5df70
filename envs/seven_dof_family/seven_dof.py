"""What Pusher, Striker and Thrower have in common."""

from pathlib import Path

import mujoco
import numpy as np

from envs.mujoco_task import MujocoTask

ASSETS = Path(__file__).parent / "assets"
ARM = 7  # joints, the first of the state


class SevenDofTask(MujocoTask):
    """An arm of seven joints, an object and a goal on or above a table.

    Actions are the joints' torques (N m); a control step is 0.05 s.

    Observation (23): arm angles (7, rad) and velocities (7, rad/s); positions (3 each, m) of hand, object and goal.
    The positions are one physics step (0.01 s) older than the angles: see `MujocoTask.step`.

    Images: from 4 m, towards the median of all shapes' positions as they are when the first image is drawn.

    Source: paper, appendix A, which takes the tasks from OpenAI Gym; numbers and behaviour from Gym 0.15.
    """

    metadata = MujocoTask.metadata | {"render_fps": 20}

    def __init__(self, model_file: str, hand: str, moved: str, render_mode: str | None, width: int, height: int):
        """Load `model_file` of the assets; `hand` and `moved` are the bodies observed as hand and object."""
        super().__init__(
            str(ASSETS / model_file),
            frame_skip=5,
            observation_size=23,
            render_mode=render_mode,
            width=width,
            height=height,
            default_camera_config={"distance": 4.0},
        )
        self._hand_id = self.model.body(hand).id
        self._object_id = self.model.body(moved).id
        self._goal_id = self.model.body("goal").id

    @property
    def _hand(self) -> np.ndarray:
        """Hand position `(3,)` as the last physics step left it, a view."""
        return self.data.xpos[self._hand_id]

    @property
    def _object(self) -> np.ndarray:
        """Object position `(3,)` as the last physics step left it, a view."""
        return self.data.xpos[self._object_id]

    @property
    def _goal(self) -> np.ndarray:
        """Goal position `(3,)` as the last physics step left it, a view."""
        return self.data.xpos[self._goal_id]

    def _arm_velocity(self, bound: float) -> np.ndarray:
        """Velocities `(nv,)`: the arm's drawn uniformly in +-bound, all others zero."""
        qvel = np.zeros(self.model.nv)
        qvel[:ARM] = self.np_random.uniform(-bound, bound, size=ARM)
        return qvel

    def _set_start(self, qpos: np.ndarray, qvel: np.ndarray) -> None:
        qpos = qpos.copy()
        mujoco.mj_normalizeQuat(self.model, qpos)  # the original engine did, newer ones wait for the first step
        super()._set_start(qpos, qvel)

    def _observation(self) -> np.ndarray:
        arm = [self.data.qpos[:ARM], self.data.qvel[:ARM]]
        return np.concatenate([*arm, self._hand, self._object, self._goal])
