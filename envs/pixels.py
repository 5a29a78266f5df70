"""Images instead of states: the pixel observations of the paper's appendix A.1, as a gymnasium wrapper."""

import functools
import os
from collections.abc import Sequence
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import RecordConstructorArgs
from PIL import Image

from envs.rendering import RenderingUnavailable

SIZE = 64  # width and height of a frame, pixels
SOURCE_WIDTH = 256  # width and height that are drawn, pixels
SOURCE_WIDTHS = (SOURCE_WIDTH // 4, SOURCE_WIDTH // 2, SOURCE_WIDTH)  # those that may be chosen
FRAMES = 4  # newest frames in an observation


def to_frame(image: np.ndarray) -> np.ndarray:
    """Resize an image `(W, W, 3)` uint8, W a multiple of 64, to a frame `(3, 64, 64)` uint8.

    A pixel of the frame is the exact mean over a square of the image, rounded, halves upwards (Pillow's integer
    arithmetic, tried on every sum of a square; a mean in numpy takes ten times as long). An image upside down in memory,
    as OpenGL hands it over, is not copied: its mean is turned.
    """
    factor = image.shape[0] // SIZE
    if factor == 1:
        return np.ascontiguousarray(image.transpose(2, 0, 1))
    turn = slice(None, None, -1 if image.strides[0] < 0 else 1)
    small = np.asarray(Image.fromarray(image[turn]).reduce(factor))
    return np.ascontiguousarray(small[turn].transpose(2, 0, 1))


class PixelObservation(gymnasium.Wrapper, RecordConstructorArgs):
    """Observe the newest frames instead of the environment's own observation.

    An observation is `(3 * frames, 64, 64)` uint8 in memory of its own: the frames oldest first, of each the channels
    red, green, blue, of each the rows from the top. After a reset the first frame fills the whole stack: nothing
    moved before. (The authors' release takes three random steps there; then neither starts nor lengths of episodes
    would be those of the same task from states.)

    MuJoCo draws without multisampling where an image is averaged: the mean over a square has 4 or 16 samples already, and
    four more for each of them take three times as long without a graphics card.

    What the environment itself observes stands in `info["state"]`.

    The free camera of a MuJoCo environment is fixed by the first image that is ever drawn. So one is drawn here, after
    a reset with seed 0, and images depend on an episode's seed and actions alone. Give the first reset a seed of its
    own. A camera of the model that is called "track" is used where there is one, as Gym did.
    """

    def __init__(self, env: gymnasium.Env, frames: int = FRAMES):
        """Wrap an environment.

        Args:
            env: of render mode "rgb_array"; it draws squares whose width is a multiple of 64.
            frames: how many frames an observation has.

        Raises:
            ValueError: the environment does not draw such images.
            RenderingUnavailable: this machine cannot draw (for environments of this project), or this process was forked
                from one that has drawn already.
        """
        RecordConstructorArgs.__init__(self, frames=frames)
        gymnasium.Wrapper.__init__(self, env)
        if env.render_mode != "rgb_array":
            raise ValueError(f"its render mode is {env.render_mode}, pixels need 'rgb_array'")
        self.observation_space = Box(0, 255, (3 * frames, SIZE, SIZE), np.uint8)
        self._stack = np.zeros((frames, 3, SIZE, SIZE), np.uint8)
        _choose_camera(env)
        _choose_samples(env)
        env.reset(seed=0)
        image = self._draw()
        shape: Any = getattr(image, "shape", None)
        dtype = getattr(image, "dtype", None)
        if dtype != np.uint8 or len(shape) != 3 or shape[0] != shape[1] or shape[2] != 3 or shape[0] % SIZE:
            raise ValueError(f"it draws {dtype} images of shape {shape}, pixels need squares of a multiple of {SIZE}")

    @property
    def newest(self) -> np.ndarray:
        """The newest frame `(3, 64, 64)` uint8, a view."""
        return self._stack[-1]

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Start an episode; see the class for what the first observation holds."""
        state, info = self.env.reset(seed=seed, options=options)
        self._stack[:] = to_frame(self._draw())
        return self._observation(), info | {"state": state}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Take a step and draw what it led to."""
        state, reward, terminated, truncated, info = self.env.step(action)
        self._stack[:-1] = self._stack[1:]
        self._stack[-1] = to_frame(self._draw())
        return self._observation(), float(reward), terminated, truncated, info | {"state": state}

    def render(self) -> np.ndarray:
        """Draw the environment as it stands, at the width that is drawn: `(W, W, 3)` uint8."""
        return self._draw()

    def close(self) -> None:
        """Close the environment, and free its OpenGL objects in their own context (see `MujocoTask`)."""
        viewer = _viewer(self.env)
        if viewer is not None:
            viewer.make_context_current()
            viewer.con.free()
        self.env.close()

    def _observation(self) -> np.ndarray:
        return self._stack.reshape(self.observation_space.shape).copy()

    def _draw(self) -> np.ndarray:
        viewer = _viewer(self.env)
        if hasattr(self.env.unwrapped, "mujoco_renderer"):
            _check_not_forked()
        if viewer is None:
            return cast(np.ndarray, self.env.render())
        unwrapped: Any = self.env.unwrapped
        return _draw_without_depth(viewer, unwrapped.mujoco_renderer.camera_id)


def stack_rows(first: int | np.ndarray, row: Sequence[int] | np.ndarray, frames: int = FRAMES) -> np.ndarray:
    """The rows of the frames that an observation stacks, where every frame is kept once.

    Args:
        first: `(B,)` or one number: the row of the first frame of each episode.
        row: `(B,)`, the row of each newest frame.
        frames: how many are stacked.

    Returns:
        `(B, frames)` int64, oldest first; the first frame of an episode stands for those before it.
    """
    rows = np.asarray(row, np.int64)[:, None] + np.arange(1 - frames, 1)
    return np.maximum(rows, np.asarray(first, np.int64).reshape(-1, 1))


def _check_not_forked() -> None:
    """Raises `RenderingUnavailable` in a process forked from one that has drawn: OpenGL would wait for ever there."""
    if _first_drawing() != os.getpid():
        raise RenderingUnavailable(
            "OpenGL was used before this process was forked, and would hang here: start it by spawning, as "
            'AsyncVectorEnv(..., context="spawn") does'
        )


@functools.cache
def _first_drawing() -> int:
    """The process that first drew, of this one and those that it was forked from."""
    return os.getpid()


def _viewer(env: gymnasium.Env) -> Any:
    """What a MuJoCo environment draws with, or None before its first image, after its close, and for others."""
    return getattr(getattr(env.unwrapped, "mujoco_renderer", None), "viewer", None)


def _draw_without_depth(viewer: Any, camera_id: int) -> np.ndarray:
    """What `viewer.render("rgb_array", camera_id)` returns, `(W, W, 3)` uint8, without reading depths: a tenth faster.

    It also makes the viewer's context the current one: gymnasium's environments leave that of the last one made.
    """
    import mujoco

    viewer.make_context_current()
    viewer.cam.type = mujoco.mjtCamera.mjCAMERA_FREE if camera_id == -1 else mujoco.mjtCamera.mjCAMERA_FIXED
    viewer.cam.fixedcamid = camera_id
    everything, scene = mujoco.mjtCatBit.mjCAT_ALL, viewer.scn
    mujoco.mjv_updateScene(viewer.model, viewer.data, viewer.vopt, viewer.pert, viewer.cam, everything, scene)
    mujoco.mjr_render(viewer.viewport, scene, viewer.con)
    image = np.empty((viewer.viewport.height, viewer.viewport.width, 3), np.uint8)
    mujoco.mjr_readPixels(image, None, viewer.viewport, viewer.con)
    return image[::-1]  # its rows come from the bottom


def _choose_camera(env: gymnasium.Env) -> None:
    """Draw with the model's camera "track", if there is one and no other was chosen."""
    unwrapped: Any = env.unwrapped
    renderer = getattr(unwrapped, "mujoco_renderer", None)
    if renderer is None or renderer.camera_id != -1:
        return
    import mujoco

    renderer.camera_id = mujoco.mj_name2id(unwrapped.model, mujoco.mjtObj.mjOBJ_CAMERA, "track")


def _choose_samples(env: gymnasium.Env) -> None:
    """Draw without multisampling what will be averaged, if nothing was drawn yet."""
    renderer = getattr(env.unwrapped, "mujoco_renderer", None)
    if renderer is not None and renderer.width > SIZE:
        cast(Any, env.unwrapped).model.vis.quality.offsamples = 0
