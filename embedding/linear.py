"""Linear layers whose large products go to oneDNN on the CPU.

torch hands fp32 products to MKL, which on AMD processors runs at half the speed that oneDNN reaches with the same
rounding (benchmarks/updates.py measures both). torch offers oneDNN for dense fp32 layers as the operator that its
compiler uses; where it is missing, on other devices and for small products the ordinary ones are taken.
"""

import torch
from torch import nn

LARGE = 2**20  # multiplications from which on the call to oneDNN pays


def _find_operator():
    if not torch.backends.mkldnn.is_available():
        return None
    try:
        operator = torch.ops.mkldnn._linear_pointwise
        operator(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1), "relu", [], "")
    except (AttributeError, RuntimeError):
        return None
    return operator


ONEDNN = _find_operator()


def stacked_linear(x, weight, bias, relu=False):
    """M layers at once: (M, B, I), weights (M, I, O) and biases (M, 1, O) to (M, B, O), through a ReLU if asked for.

    On the CPU each layer's products and sums are its own, so its numbers and gradients are bit for bit the same
    whichever layers are stacked with it.
    """
    return _StackedLinear.apply(x, weight, bias, relu)


class Linear(nn.Linear):
    """`nn.Linear` for inputs (B, I), by `stacked_linear`."""

    def forward(self, x):
        """(B, I) to (B, O)."""
        return stacked_linear(x.unsqueeze(0), self.weight.t().unsqueeze(0), self.bias.view(1, 1, -1)).squeeze(0)


class _StackedLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, relu):
        if x.device.type != "cpu":
            y = torch.baddbmm(bias, x, weight)
            y = y.relu_() if relu else y
        else:
            y = _stack(_layer(*layer, relu) for layer in zip(x, weight, bias, strict=True))
        ctx.save_for_backward(x, weight, y if relu else None)
        return y

    @staticmethod
    def backward(ctx, gradient):
        x, weight, y = ctx.saved_tensors
        gradient = gradient if y is None else torch.ops.aten.threshold_backward(gradient, y, 0)
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        return (
            _products(gradient, weight.mT) if needs_x else None,
            _products(x.mT, gradient) if needs_weight else None,
            _sums(gradient) if needs_bias else None,
            None,
        )


def _is_large(left, right):
    return ONEDNN is not None and left.numel() * right.shape[1] >= LARGE and left.dtype == torch.float32


def _layer(x, weight, bias, relu):
    if _is_large(x, weight):
        return ONEDNN(x, weight.t(), bias[0], "relu" if relu else "none", [], "")
    y = torch.addmm(bias, x, weight)
    return y.relu_() if relu else y


def _products(left, right):
    """left (M, P, R) and right (M, R, Q) to (M, P, Q)."""
    if left.device.type != "cpu":
        return torch.bmm(left, right)
    return _stack(
        ONEDNN(a, b.t(), None, "none", [], "") if _is_large(a, b) else torch.mm(a, b)
        for a, b in zip(left, right, strict=True)
    )


def _sums(gradient):
    """(M, B, O) to (M, 1, O), the sums over the batch."""
    if gradient.device.type != "cpu":
        return gradient.sum(1, keepdim=True)
    return _stack(layer.sum(0, keepdim=True) for layer in gradient)


def _stack(layers):
    layers = list(layers)
    return torch.stack(layers) if len(layers) > 1 else layers[0].unsqueeze(0)
