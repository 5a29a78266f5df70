"""Point: a point that goes where the action says (the paper's figure 8)."""

from typing import Any

import numpy as np

from envs.point.planar import DT, PlanarPoint


class Point(PlanarPoint):
    """A point without mass: the action is its velocity, 1 m/s at most along each axis.

    Observation (2): position (m).

    Start: uniform in [-1, 1]^2. Reward and action: see `PlanarPoint`.
    """

    def __init__(self, **kwargs: Any):
        """Make the environment; arguments as for `PlanarPoint`."""
        super().__init__(2, **kwargs)

    def _start(self) -> None:
        self.position = self.np_random.uniform(-1, 1, 2)

    def _move(self, action: np.ndarray) -> None:
        self.position += DT * action

    def _observation(self) -> np.ndarray:
        return self.position.copy()
