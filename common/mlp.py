"""Multilayer perceptrons with gradients written out, several of one shape at once, and Adam on their weights.

The weights of a network are one flat row of numbers, its layers are views of it: a target network's step towards what it
follows is one call on whole rows, a checkpoint is a row, and nothing is recorded, sliced or stacked on the way. Here and where
these networks are used, d_x is the gradient of the loss with regard to x.

torch hands float32 products to MKL, which on AMD processors runs at half the speed that oneDNN reaches with the same
rounding (benchmarks/updates.py measures both). torch offers oneDNN for dense layers as the operator that its compiler
uses; where it is missing, on other devices and for small products the ordinary ones are taken.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, overload

import torch
from torch import nn

LARGE = 2**20  # multiplications from which on the call to oneDNN pays
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017, as torch.selu has them


# ---- products ----


def _find_operator() -> Callable[..., torch.Tensor] | None:
    if not torch.backends.mkldnn.is_available():
        return None
    try:
        operator = torch.ops.mkldnn._linear_pointwise.default
        operator(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1), "none", [], "")
    except (AttributeError, RuntimeError):
        return None
    return operator


ONEDNN = _find_operator()


def _least_rows(right: torch.Tensor) -> float:
    """How many rows a left matrix needs for oneDNN to compute its product with `right`, and faster; or infinity."""
    if ONEDNN is None or right.dim() != 2 or right.dtype != torch.float32 or right.device.type != "cpu":
        return math.inf
    if not (right.is_contiguous() or right.mT.is_contiguous()):
        return math.inf  # columns of a larger one take it hundreds of times longer
    return LARGE / max(1, right.numel())


def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """left (P, R) and right (R, Q) to (P, Q), or stacks of them (M, P, R) and (M, R, Q) to (M, P, Q)."""
    if left.shape[0] >= _least_rows(right):
        assert ONEDNN is not None
        return ONEDNN(left, right.mT, None, "none", [], "")
    return torch.matmul(left, right)


# ---- activations: in place, and their derivatives from their results ----


THRESHOLD_BACKWARD, ELU_BACKWARD = torch.ops.aten.threshold_backward.grad_input, torch.ops.aten.elu_backward.grad_input


def _relu_backward(gradient: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
    return THRESHOLD_BACKWARD(gradient, result, 0, grad_input=gradient)


def _selu_backward(gradient: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
    return ELU_BACKWARD(gradient, SELU_ALPHA, SELU_SCALE, 1.0, True, result, grad_input=gradient)


ACTIVATIONS: dict[
    str, tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]
] = {"relu": (torch.relu_, _relu_backward), "selu": (torch.selu_, _selu_backward)}


# ---- networks ----


def row_length(widths: Iterable[int]) -> int:
    """How many numbers a network w_0 -> .. -> w_L has: weights and biases."""
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in itertools.pairwise(widths))


class _Layer:
    """The products of a layer, of one network or of a stack of M.

    Args:
        weight: (I, O), or (M, I, O).
        bias: (O,), or (M, 1, O).
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        self.weight, self.bias, self._turned = weight, bias, weight.mT
        self._least = _least_rows(weight)  # of a batch, for its three products, which take as many multiplications
        self._affine: Callable[..., torch.Tensor]
        self._multiply: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
        self._affine, self._multiply = (torch.addmm, torch.mm) if weight.dim() == 2 else (torch.baddbmm, torch.bmm)
        self._is_transposed = _is_transposed(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x weight + bias: (.., B, I) to (.., B, O)."""
        if x.shape[0] >= self._least:
            assert ONEDNN is not None
            return ONEDNN(x, self._turned, self.bias, "none", [], "")
        return self._affine(self.bias, x, self.weight)

    def d_input(self, slope: torch.Tensor) -> torch.Tensor:
        """The gradient of x (.., B, I), from that of the outputs (.., B, O)."""
        if slope.shape[0] >= self._least:
            assert ONEDNN is not None
            return ONEDNN(slope, self.weight, None, "none", [], "")
        return self._multiply(slope, self._turned)

    def d_weight(self, x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        """The gradient of the weight, as it lies in memory, from x (.., B, I) and that of the outputs (.., B, O)."""
        left, right = (slope, x) if self._is_transposed else (x, slope)
        if x.shape[0] >= self._least and right.is_contiguous():
            assert ONEDNN is not None
            return ONEDNN(left.mT, right.mT, None, "none", [], "")
        return self._multiply(left.mT, right)


class MLP:
    """M independent networks w_0 -> .. -> w_L, with an activation after each layer but the last.

    One network alone is computed with matrices, several with stacks of matrices.

    Args:
        rows: (M, `row_length(widths)`), a network's weights and biases, layer by layer. They are not copied: whatever
            changes the rows changes the networks.
        widths: w_0, .., w_L.
        activation: `relu` or `selu`.
    """

    def __init__(self, rows: torch.Tensor, widths: Sequence[int], activation: str = "relu") -> None:
        if rows.shape[1] != row_length(widths):
            raise ValueError(f"rows of {rows.shape[1]} numbers are not networks of widths {list(widths)}")
        self.rows, self.widths, self.activation = rows, tuple(widths), activation
        self._act, self._act_backward = ACTIVATIONS[activation]
        self._alone = len(rows) == 1
        self._layers = [_Layer(*layer) for layer in self.layers(rows[0] if self._alone else rows)]

    def layers(self, rows: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The layers that rows hold, as views: of a row (W,) [(weights (I, O), biases (O,))], of rows (M, W) [(weights
        (M, I, O), biases (M, 1, O))].

        A matrix lies in its row with its longer side innermost, which makes the products with narrow ones faster.
        """
        found, begin = [], 0
        for fan_in, fan_out in itertools.pairwise(self.widths):
            middle, end = begin + fan_in * fan_out, begin + (fan_in + 1) * fan_out
            weight = rows[..., begin:middle]
            if fan_in > fan_out:
                weight = weight.unflatten(-1, (fan_out, fan_in)).mT
            else:
                weight = weight.unflatten(-1, (fan_in, fan_out))
            bias = rows[..., middle:end]
            found.append((weight, bias if rows.dim() == 1 else bias[:, None]))
            begin = end
        return found

    def like(self, rows: torch.Tensor) -> "MLP":
        """Networks of the same shape with other weights, rows (K, W)."""
        return MLP(rows, self.widths, self.activation)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The networks' outputs.

        Args:
            x: (M, B, w_0).
        Returns:
            (M, B, w_L), and the trace that `backward` takes.
        """
        trace = [x[0] if self._alone else x]  # what goes into each layer
        for layer in self._layers[:-1]:
            trace.append(self._act(layer.forward(trace[-1])))
        outputs = self._layers[-1].forward(trace[-1])
        return outputs[None] if self._alone else outputs, trace

    @overload
    def backward(
        self, trace: list[torch.Tensor], gradient: torch.Tensor, weights: Literal[True] = ..., *, inputs: slice
    ) -> tuple[list[torch.Tensor], torch.Tensor]: ...

    @overload
    def backward(
        self,
        trace: list[torch.Tensor],
        gradient: torch.Tensor,
        weights: Literal[True] = ...,
        inputs: slice | None = ...,
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]: ...

    @overload
    def backward(
        self, trace: list[torch.Tensor], gradient: torch.Tensor, weights: Literal[False], inputs: slice
    ) -> tuple[None, torch.Tensor]: ...

    def backward(
        self, trace: list[torch.Tensor], gradient: torch.Tensor, weights: bool = True, inputs: slice | None = None
    ) -> tuple[list[torch.Tensor] | None, torch.Tensor | None]:
        """The chain rule, from the gradient of the outputs to those of weights and inputs.

        Args:
            trace: what `forward` returned.
            gradient: (M, B, w_L), of the outputs.
            weights: whether the gradients of the weights are wanted.
            inputs: a slice of the I inputs whose gradients are wanted, or None.
        Returns:
            what `Adam.step` takes, the gradients of the weights, summed over the batch; and the gradient of the inputs
            (M, B, I). None in the place of what is not wanted.
        """
        d_weights, d_inputs = [], None
        slope = gradient[0] if self._alone else gradient  # of the loss, with regard to the layer's sums
        for depth in reversed(range(len(self._layers))):
            x, layer, below = trace[depth], self._layers[depth], slope
            if depth:
                below = self._act_backward(layer.d_input(slope), x)
            elif inputs is not None:
                d_inputs = product(slope, layer.weight[..., inputs, :].mT)
                d_inputs = d_inputs[None] if self._alone else d_inputs
            if weights:
                d_weights += [slope.sum(-2, keepdim=not self._alone), layer.d_weight(x, slope)]
            slope = below
        return d_weights[::-1] if weights else None, d_inputs


def shared_mlp(layers: nn.Sequential) -> MLP:
    """The `MLP` that an `nn.Sequential` of `nn.Linear` and `nn.SELU` is. The layers become views of its row: whatever
    changes the one changes the other."""
    linears = [layer for layer in layers if isinstance(layer, nn.Linear)]
    widths = [linears[0].in_features, *(linear.out_features for linear in linears)]
    like = linears[0].weight
    mlp = MLP(torch.empty(1, row_length(widths), dtype=like.dtype, device=like.device), widths, "selu")
    for linear, (weight, bias) in zip(linears, mlp.layers(mlp.rows[0]), strict=True):
        weight.copy_(linear.weight.detach().T)
        bias.copy_(linear.bias.detach())
        linear.weight.data, linear.bias.data = weight.T, bias
    return mlp


def _is_transposed(weight: torch.Tensor) -> bool:
    return weight.shape[-2] > weight.shape[-1]


class Adam:
    """Adam (Kingma and Ba, 2015) on the weights of an `MLP`: torch's own kernel, without its optimiser's bookkeeping.

    Args:
        mlp: the networks that are trained.
        lr: the learning rate.
        amsgrad: whether the step is divided by the largest second moment so far (Reddi et al., 2018).
    Attributes:
        moments: {name: (M, W)}, the running means.
        steps: scalar, how many were taken.
    """

    def __init__(self, mlp: MLP, lr: float, amsgrad: bool = False) -> None:
        self.lr, self.amsgrad = lr, amsgrad
        names = ["first", "second", *(["largest_second"] if amsgrad else [])]
        self.moments = {name: torch.zeros_like(mlp.rows) for name in names}
        self.steps = torch.zeros((), device=mlp.rows.device)
        self._alone = len(mlp.rows) == 1
        self._weights, *self._moments = (self._tensors(mlp, rows) for rows in (mlp.rows, *self.moments.values()))

    def _tensors(self, mlp: MLP, rows: torch.Tensor) -> list[torch.Tensor]:
        """What the kernel takes, dense: the tensors of one network as they lie in its row, or the rows of several."""
        if not self._alone:
            return [rows]
        return [tensor for w, b in mlp.layers(rows[0]) for tensor in (w.mT if _is_transposed(w) else w, b)]

    def step(self, gradients: list[torch.Tensor]) -> None:
        """One step down the gradients that `MLP.backward` returned."""
        if not self._alone:
            gradients = [torch.cat([gradient.flatten(1) for gradient in gradients], dim=1)]
        first, second, *largest = self._moments
        self.steps += 1
        torch._fused_adam_(
            self._weights,
            gradients,
            first,
            second,
            largest[0] if largest else [],
            [self.steps] * len(gradients),
            lr=self.lr,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=self.amsgrad,
            maximize=False,
        )

    def snapshot(self, n: int | slice = slice(None)) -> dict[str, torch.Tensor]:
        """The state that belongs to row `n`, or to a slice of rows: tensors on the CPU."""
        return {"steps": self.steps.cpu().clone()} | {k: rows[n].cpu().clone() for k, rows in self.moments.items()}

    def rewind(self, state: dict[str, torch.Tensor], n: int | slice = slice(None)) -> None:
        """Sets what `snapshot` returned."""
        self.steps.copy_(state["steps"])
        for name, rows in self.moments.items():
            rows[n] = state[name].to(rows.device)
