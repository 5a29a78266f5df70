"""What the two environments of a point in the plane have in common: spaces, reward, drawing."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from PIL import Image, ImageDraw

DT = 0.05  # seconds a step
BACKGROUND, AXES, TRACE, POINT = (255, 255, 255), (210, 210, 210), (150, 180, 220), (214, 39, 40)


class PlanarPoint(gymnasium.Env):
    """A point in the plane; there are no walls, and episodes end with the time limit only.

    A subclass gives `_start` and `_move`.

    Action: `(2,)` float32 in [-1, 1].

    Reward: -|position| - 0.01 |action|^2, with the position that the step led to.

    An image shows the square within `span` of the origin, the axes, the way since the reset and the point; outside of it
    nothing is seen.
    """

    metadata = gymnasium.Env.metadata | {"render_modes": ["rgb_array"], "render_fps": int(1 / DT)}

    span = 2.0
    """Metres from the origin to an edge of an image."""

    def __init__(self, observation_size: int, render_mode: str | None = None, width: int = 256, height: int = 256):
        """Make the environment.

        Args:
            observation_size: length of the observation.
            render_mode: "rgb_array", or None.
            width: of the images, pixels.
            height: of the images, pixels.
        """
        self.render_mode, self._size = render_mode, (width, height)
        self.observation_space = Box(-np.inf, np.inf, (observation_size,), np.float64)
        self.action_space = Box(-1, 1, (2,), np.float32)
        self.position = np.zeros(2)
        self._way: list[np.ndarray] = []

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Start an episode."""
        super().reset(seed=seed)
        self._start()
        self._way = [self.position.copy()]
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Take a step."""
        action = np.asarray(action, np.float64)
        self._move(action)
        self._way.append(self.position.copy())
        reward = -np.linalg.norm(self.position) - 0.01 * np.square(action).sum()
        return self._observation(), float(reward), False, False, {}

    def render(self) -> np.ndarray | None:
        """Draw the point and its way: `(height, width, 3)` uint8."""
        if self.render_mode is None:
            return None
        image = Image.new("RGB", self._size, BACKGROUND)
        draw, (width, height) = ImageDraw.Draw(image), self._size
        draw.line([(0, height / 2), (width, height / 2)], AXES)
        draw.line([(width / 2, 0), (width / 2, height)], AXES)
        way = [((1 + x / self.span) * width / 2, (1 - y / self.span) * height / 2) for x, y in self._way]
        if len(way) > 1:
            draw.line(way, TRACE, width=max(1, width // 128))
        if way:
            (x, y), radius = way[-1], max(2, width // 48)
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], POINT)
        return np.array(image)

    def _start(self) -> None:
        raise NotImplementedError

    def _move(self, action: np.ndarray) -> None:
        raise NotImplementedError

    def _observation(self) -> np.ndarray:
        raise NotImplementedError
