"""What the six MuJoCo tasks of the paper have in common: the order of a step, starts, spaces and drawing."""

import weakref
from typing import Any

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.spaces import Box

from envs.rendering import require_display, select_gl_backend

MAX_START_TRIES = 1000


class MujocoTask(MujocoEnv):
    """A MuJoCo task whose episodes end with the time limit only.

    A subclass gives `_draw_start`, `_observation` and `_reward`, and, where a start can be unsuitable,
    `_start_is_valid`.

    Observations are float64 arrays of their own memory; actions are float32 within the motors' control ranges.
    `model`, `data` (the simulator's) and `frame_skip` are public: `data.qpos` and `data.qvel` are the state that the
    embedding is trained on.
    """

    metadata = MujocoEnv.metadata | {"render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"]}

    mujoco_renderer: Any  # None once it is closed, which gymnasium's type leaves out

    open_loop = True
    """The action is written unchanged to the controls and no state ends an episode, so action sequences may be
    stepped by `mujoco.rollout`."""

    def __init__(
        self,
        model_path: str,
        frame_skip: int,
        observation_size: int,
        render_mode: str | None = None,
        width: int = 500,
        height: int = 500,
        camera_name: str | None = None,
        default_camera_config: dict[str, Any] | None = None,
    ):
        """Load the model.

        Args:
            model_path: absolute path of the MJCF file.
            frame_skip: physics steps in a control step.
            observation_size: length of the observation.
            render_mode: one of `metadata["render_modes"]`, or None: OpenGL is never touched.
            width: of the images, pixels.
            height: of the images, pixels.
            camera_name: a camera of the model; None is the free camera.
            default_camera_config: attributes of the free camera, such as its distance.

        Raises:
            RenderingUnavailable: images or a window are asked for and this machine cannot draw them.
        """
        if render_mode == "human":
            require_display()
        elif render_mode is not None:
            select_gl_backend()
        observation_space = Box(-np.inf, np.inf, (observation_size,), np.float64)
        super().__init__(
            model_path,
            frame_skip,
            observation_space,
            render_mode=render_mode,
            width=width,
            height=height,
            camera_name=camera_name,
            default_camera_config=default_camera_config,
        )
        # gymnasium asks for buffers of at least 640 x 480: clearing them takes a third of the time of a small image.
        self.model.vis.global_.offwidth, self.model.vis.global_.offheight = width, height
        self._given_start: dict[str, np.ndarray] = {}
        self._release_viewer: weakref.finalize | None = None

    # gymnasium types the numbers of `MujocoEnv.step` more narrowly than those of `Env.step`: as numpy's.
    def step(  # type: ignore[override]
        self, action: np.ndarray
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, float]]:
        """Reward the present state and the action, then advance the physics by one control step.

        The reward belongs to the state *before* the physics and to the action as given; the motors clamp it, the
        action cost does not. Body positions are not recomputed after the physics: observation, image and next reward
        see them as the integrator left them, as in the original environments.

        Args:
            action: `(A,)`.

        Returns:
            Observation `(O,)`, reward, terminated (always False), truncated (False: the time limit is a wrapper's),
            and info, the terms of the reward.

        Raises:
            ValueError: the action has another shape.
        """
        reward, info = self._reward(action)
        self.do_simulation(action, self.frame_skip)  # no forward pass after it: see above
        if self.render_mode == "human":
            self.render()
        return self._observation(), reward, False, False, info

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Start an episode, from a drawn or a given state.

        Args:
            seed: restarts the environment's random stream.
            options: any of the keys of `start_shapes`, each an array of that shape (positions in metres and radians,
                velocities per second). What is not given is drawn as usual. Starts with a given `qpos` are taken as
                they are; all others are redrawn until `_start_is_valid`.

        Returns:
            Observation `(O,)` and an empty info.

        Raises:
            ValueError: an unknown option, a wrong shape or a value that is not finite. Nothing has changed then.
            RuntimeError: no suitable start in 1000 draws.
        """
        self._given_start = self._checked(options or {})
        return super().reset(seed=seed, options=options)

    def reset_model(self) -> np.ndarray:
        """Draw and set a start (called by `reset`); returns the observation `(O,)`."""
        for _ in range(MAX_START_TRIES):
            mujoco.mj_resetData(self.model, self.data)  # a start depends on nothing that an earlier try left behind
            self._set_start(**(self._draw_start() | self._given_start))
            if "qpos" in self._given_start or self._start_is_valid():
                return self._observation()
        raise RuntimeError(f"{type(self).__name__}: no suitable start in {MAX_START_TRIES} draws")

    @property
    def start_shapes(self) -> dict[str, tuple[int, ...]]:
        """The parts of a start and their shapes: what `reset` accepts as options."""
        return {"qpos": (self.model.nq,), "qvel": (self.model.nv,)}

    def _checked(self, options: dict) -> dict[str, np.ndarray]:
        """The parts of a start that `options` gives, as arrays; errors as in `reset`."""
        shapes = self.start_shapes
        given = {}
        for name, value in options.items():
            if name not in shapes:
                raise ValueError(f"unknown reset option {name!r}; known are {', '.join(shapes)}")
            array = np.array(value, dtype=np.float64)
            if array.shape != shapes[name]:
                raise ValueError(f"reset option {name!r}: expected shape {shapes[name]}, got {array.shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"reset option {name!r} is not finite: {array}")
            given[name] = array
        return given

    def _draw_start(self) -> dict[str, np.ndarray]:
        """One draw from the start distribution: every key of `start_shapes`."""
        raise NotImplementedError

    def _set_start(self, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Write a start into the simulator and compute all positions."""
        self.set_state(qpos, qvel)

    def _start_is_valid(self) -> bool:
        """Whether a start that was drawn and set may be used."""
        return True

    def _observation(self) -> np.ndarray:
        """The observation `(O,)` of the simulator's state, in new memory."""
        raise NotImplementedError

    def _reward(self, action: np.ndarray) -> tuple[float, dict[str, float]]:
        """Reward and info of the simulator's state and an action `(A,)`."""
        raise NotImplementedError

    def render(self) -> np.ndarray | tuple[np.ndarray, np.ndarray] | None:
        """Draw the present state, as `render_mode` says.

        Returns:
            "rgb_array": `(height, width, 3)` uint8, top row first; "depth_array": `(height, width)` float32;
            "rgbd_tuple": both; "human": None.

        Raises:
            RuntimeError: the environment is closed.
        """
        if self.mujoco_renderer is None:
            raise RuntimeError(f"{type(self).__name__} is closed: nothing can be drawn")
        if self.mujoco_renderer.viewer is not None:
            self.mujoco_renderer.viewer.make_context_current()  # another environment may have drawn since
            return super().render()
        image = super().render()
        self._release_viewer = weakref.finalize(self, _release, self.mujoco_renderer.viewer)
        self._release_viewer.atexit = False  # EGL may have shut down before
        return image

    def close(self) -> None:
        """Free the window or the offscreen buffers. Drawing ends with it, stepping does not."""
        if self._release_viewer is not None:
            self._release_viewer()
        self.mujoco_renderer = None


def _release(viewer: Any) -> None:
    """Free a viewer's OpenGL objects in its own context.

    Left to the garbage collector, they would be deleted by number in whichever context is current then: that of
    another environment, whose images would lose their textures and shapes.
    """
    viewer.make_context_current()
    viewer.con.free()
    viewer.close()
