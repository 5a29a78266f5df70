"""Ridge regression, regression by a small network, and what they explain."""

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn

HIDDEN, EPOCHS, BATCH, LR, DECAY = 256, 30, 256, 1e-3, 1e-4  # of the network


def ridges(inputs: np.ndarray, outputs: np.ndarray, penalties: Iterable[float]) -> np.ndarray:
    """The weights (P, I + 1, Q) of a ridge regression of outputs (M, Q) on inputs (M, I) for each penalty; the last row of each is
    not penalised.

    Of fewer rows than inputs the equal form whose matrix is (M, M) is solved: x' (x x' + penalty)^-1 y.
    """
    mean, center = inputs.mean(0), outputs.mean(0)
    x, y = inputs - mean, outputs - center
    if len(x) < x.shape[1]:
        products = x @ x.T
        found = [x.T @ np.linalg.solve(products + penalty * np.eye(len(x)), y) for penalty in penalties]
    else:
        squares, vectors = np.linalg.eigh(x.T @ x)
        turned = vectors.T @ (x.T @ y)
        found = [vectors @ (turned / (squares.clip(0) + penalty)[:, None]) for penalty in penalties]
    return np.stack([np.concatenate([weights, (center - mean @ weights)[None]]) for weights in found])


def r_squared(inputs: np.ndarray, outputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """R^2 (Q,) of the outputs (M, Q) that weights (I + 1, Q) of `ridges` predict from inputs (M, I)."""
    return explained(outputs, inputs @ weights[:-1] + weights[-1])


def explained(outputs: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """R^2 (Q,) of predictions (M, Q): 1 - squared error / squared deviation of the outputs (M, Q) from their own mean."""
    error = np.square(outputs - predictions).sum(0)
    return 1 - error / np.square(outputs - outputs.mean(0)).sum(0)


def network(
    inputs: np.ndarray, outputs: np.ndarray, chosen_on: tuple[np.ndarray, np.ndarray], seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Fits a network with two hidden layers of 256 ReLUs to the squared error, by Adam with decoupled weight decay.

    Args:
        inputs, outputs: (M, I) and (M, Q), both standardised.
        chosen_on: other inputs and outputs, on whose squared error the epoch is chosen that each output is taken from.
        seed: of initial weights and batches.
    Returns:
        a function of inputs (N, I) to predictions (N, Q).
    """
    x, y, choose = (torch.as_tensor(values, dtype=torch.float32) for values in (inputs, outputs, chosen_on[0]))
    best, states = np.full(outputs.shape[1], np.inf), [dict[str, torch.Tensor]()] * outputs.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = [inputs.shape[1], HIDDEN, HIDDEN]
        hidden = [layer for i, o in itertools.pairwise(widths) for layer in (nn.Linear(i, o), nn.ReLU())]
        model = nn.Sequential(*hidden, nn.Linear(HIDDEN, outputs.shape[1]))
        adam = torch.optim.AdamW(model.parameters(), LR, weight_decay=DECAY)
        for _ in range(EPOCHS):
            for part in torch.randperm(len(x)).split(BATCH):
                adam.zero_grad()
                (model(x[part]) - y[part]).square().mean().backward()
                adam.step()
            with torch.no_grad():
                errors = np.square(model(choose).numpy() - chosen_on[1]).mean(0)
            now = {name: value.clone() for name, value in model.state_dict().items()}
            states = [now if better else state for better, state in zip(errors < best, states, strict=True)]
            best = np.minimum(best, errors)

    @torch.no_grad()
    def predict(values: np.ndarray) -> np.ndarray:
        found = []
        for column, state in enumerate(states):
            model.load_state_dict(state)
            found.append(model(torch.as_tensor(values, dtype=torch.float32))[:, column].numpy())
        return np.stack(found, axis=1)

    return predict
