"""Ridge regression and what it explains."""

import numpy as np


def ridge(inputs: np.ndarray, outputs: np.ndarray, penalty: float) -> np.ndarray:
    """The weights (I + 1, Q) of a ridge regression of outputs (M, Q) on inputs (M, I); the last row is not penalised."""
    mean, center = inputs.mean(0), outputs.mean(0)
    x = inputs - mean
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (outputs - center))
    return np.concatenate([weights, (center - mean @ weights)[None]])


def r_squared(inputs: np.ndarray, outputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """R^2 (Q,) of predictions of outputs (M, Q): 1 - squared error / squared deviation from their own mean."""
    error = np.square(outputs - inputs @ weights[:-1] - weights[-1]).sum(0)
    return 1 - error / np.square(outputs - outputs.mean(0)).sum(0)
