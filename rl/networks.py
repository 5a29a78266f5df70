"""Actors and critics of N independent seeds, before and in training: a row of weights a seed (`common.mlp`)."""

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch

from common.mlp import MLP, row_length
from common.streams import torch_stream

HIDDEN = (400, 300)

Trace = tuple[list[torch.Tensor], torch.Tensor]  # of the `MLP`, and the tanh


def initial_mlp(widths: Sequence[int], generators: Sequence[torch.Generator], device: torch.device) -> MLP:
    """M networks as they are before training: each as layers of `nn.Linear` are, from a CPU generator of its own.

    Weights and biases are uniform within 1 / sqrt(inputs of their layer).
    """
    mlp = MLP(torch.empty(len(generators), row_length(widths)), widths)
    for row, generator in zip(mlp.rows, generators, strict=True):
        for weight, bias in mlp.layers(row):
            bound = 1 / math.sqrt(len(weight))
            for tensor in (weight, bias):
                tensor.copy_(torch.empty(tensor.shape).uniform_(-bound, bound, generator=generator))
    return mlp.like(mlp.rows.to(device))


def initial_critics(
    inputs: int, seeds: Sequence[int], device: torch.device, hidden: tuple[int, ...] = HIDDEN
) -> list[MLP]:
    """Q_1 and Q_2 of seeds before training, two `MLP`s of N networks each: inputs (N, B, `inputs`) to (N, B, 1)."""
    return [
        initial_mlp((inputs, *hidden, 1), [torch_stream(s, "critic: initial weights", twin) for s in seeds], device)
        for twin in (0, 1)
    ]


class Actor:
    """mu: states to actions, tanh scaled to the policy's bounds. A subclass may do otherwise in `forward` and `backward`.

    Args:
        mlp: N networks S -> hidden -> D.
        center, scale: (D,) the actions are center + scale * tanh.
    """

    def __init__(self, mlp: MLP, center: np.ndarray | torch.Tensor, scale: np.ndarray | torch.Tensor) -> None:
        self.mlp = mlp
        self.center, self.scale = (torch.as_tensor(x, device=mlp.rows.device) for x in (center, scale))

    @classmethod
    def initial(
        cls,
        state_dim: int,
        action_dim: int,
        center: np.ndarray,
        scale: np.ndarray,
        seeds: Sequence[int],
        device: torch.device,
    ) -> Self:
        """Actors of `seeds` as they are before training; their weights depend on their seeds alone."""
        generators = [torch_stream(seed, "actor: initial weights") for seed in seeds]
        return cls(initial_mlp((state_dim, *HIDDEN, action_dim), generators, device), center, scale)

    def like(self, rows: torch.Tensor) -> Self:
        """Actors of the same shape and bounds with other weights (M, W), which are not copied."""
        return type(self)(self.mlp.like(rows), self.center.to(rows.device), self.scale.to(rows.device))

    def __call__(self, state: torch.Tensor) -> torch.Tensor:
        """(N, B, S) to (N, B, D)."""
        return self.forward(state)[0]

    def forward(self, state: torch.Tensor) -> tuple[torch.Tensor, Trace]:
        """(N, B, S) to (N, B, D), and the trace that `backward` takes."""
        outputs, trace = self.mlp.forward(state)
        unit = torch.tanh(outputs)
        return self.center + self.scale * unit, (trace, unit)

    def backward(self, trace: Trace, gradient: torch.Tensor) -> list[torch.Tensor]:
        """From the gradient (N, B, D) of the actions to those of the weights, as `MLP.backward` returns them."""
        of_mlp, unit = trace
        return self.mlp.backward(of_mlp, gradient * self.scale * (1 - unit.square()))[0]
