"""What the three reacher tasks have in common."""

from pathlib import Path

import numpy as np

from envs.mujoco_task import MujocoTask

ASSETS = Path(__file__).parent / "assets"


class ReacherTask(MujocoTask):
    """An arm of two joints in the x-z plane and a target in it.

    Both torques are 200 times the action (N m, action in [-1, 1]); a control step is 0.02 s. At zero angles the arm
    points along +x from its pivot at (0, 0, 0.25); positive angles lift it. The target is no part of the simulator's
    state: a start writes its position (metres, world) into the model.

    Source: paper, appendix A; numbers from the authors' release.
    """

    metadata = MujocoTask.metadata | {"render_fps": 50}

    def __init__(self, model_file: str, observation_size: int, render_mode: str | None, width: int, height: int):
        """Load `model_file` of the assets; see `MujocoTask` for the other arguments and errors."""
        super().__init__(
            str(ASSETS / model_file),
            frame_skip=2,
            observation_size=observation_size,
            render_mode=render_mode,
            width=width,
            height=height,
            camera_name="track",
        )
        self._target_id = self.model.body("target").id
        self._fingertip_id = self.model.body("fingertip").id

    @property
    def start_shapes(self) -> dict[str, tuple[int, ...]]:
        """Also `target_pos`: the target's position (x, y, z) in metres."""
        return super().start_shapes | {"target_pos": (3,)}

    def _set_start(self, qpos: np.ndarray, qvel: np.ndarray, target_pos: np.ndarray | None = None) -> None:
        assert target_pos is not None  # one of `start_shapes`
        self.model.body_pos[self._target_id] = target_pos
        super()._set_start(qpos, qvel)

    def _start_is_valid(self) -> bool:
        return self.data.ncon == 0

    @property
    def _target(self) -> np.ndarray:
        """Target position `(3,)`, a view."""
        return self.data.xpos[self._target_id]

    @property
    def _fingertip(self) -> np.ndarray:
        """Fingertip position `(3,)` as the last physics step left it, a view."""
        return self.data.xpos[self._fingertip_id]
