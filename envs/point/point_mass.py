"""PointMass: a point that is pushed (the paper's figure 10)."""

from typing import Any

import numpy as np

from envs.point.planar import DT, PlanarPoint

FORCE = 10.0  # m/s^2 at an action of 1
DAMPING = 1.0  # 1/s


class PointMass(PlanarPoint):
    """A point of unit mass with linear damping: the action is a force.

    Observation (4): position (m), velocity (m/s).

    A step: velocity += dt (10 action - velocity), then position += dt velocity, dt 0.05 s.

    Start: at rest at the origin. Reward and action: see `PlanarPoint`.
    """

    span = 5.0

    def __init__(self, **kwargs: Any):
        """Make the environment; arguments as for `PlanarPoint`."""
        super().__init__(4, **kwargs)
        self.velocity = np.zeros(2)

    def _start(self) -> None:
        self.position, self.velocity = np.zeros(2), np.zeros(2)

    def _move(self, action: np.ndarray) -> None:
        self.velocity += DT * (FORCE * action - DAMPING * self.velocity)
        self.position += DT * self.velocity

    def _observation(self) -> np.ndarray:
        return np.concatenate([self.position, self.velocity])
