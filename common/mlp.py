"""Multilayer perceptrons with gradients written out, several of one shape at once, and Adam on their weights.

The weights of a network are one flat row of numbers, its layers are views of it: a target network's step towards what it
follows is one call on whole rows, a checkpoint is a row, and nothing is recorded, sliced or stacked on the way.

torch hands float32 products to MKL, which on AMD processors runs at half the speed that oneDNN reaches with the same
rounding (benchmarks/updates.py measures both). torch offers oneDNN for dense layers as the operator that its compiler
uses; where it is missing, on other devices and for small products the ordinary ones are taken.
"""

import itertools

import torch
from torch import nn

LARGE = 2**20  # multiplications from which on the call to oneDNN pays
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017, as torch.selu has them


# ---- products ----


def _find_operator():
    if not torch.backends.mkldnn.is_available():
        return None
    try:
        operator = torch.ops.mkldnn._linear_pointwise.default
        operator(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1), "none", [], "")
    except (AttributeError, RuntimeError):
        return None
    return operator


ONEDNN = _find_operator()


def _pays(left, right):
    """Whether oneDNN computes the product of two matrices, and faster."""
    large = left.dim() == 2 and left.shape[0] * right.numel() >= LARGE
    if not large or ONEDNN is None or left.dtype != torch.float32 or left.device.type != "cpu":
        return False
    return right.is_contiguous() or right.mT.is_contiguous()  # columns of a larger one take it hundreds of times longer


def product(left, right):
    """left (P, R) and right (R, Q) to (P, Q), or stacks of them (M, P, R) and (M, R, Q) to (M, P, Q)."""
    return ONEDNN(left, right.mT, None, "none", [], "") if _pays(left, right) else torch.matmul(left, right)


def affine(x, weight, bias):
    """x weight + bias: (B, I), (I, O) and (O,) to (B, O), or stacks of them (M, B, I), (M, I, O) and (M, 1, O)."""
    if _pays(x, weight):
        return ONEDNN(x, weight.mT, bias, "none", [], "")
    return torch.addmm(bias, x, weight) if x.dim() == 2 else torch.baddbmm(bias, x, weight)


# ---- activations: in place, and their derivatives from their results ----


def _relu_backward(gradient, result):
    return torch.ops.aten.threshold_backward.grad_input(gradient, result, 0, grad_input=gradient)


def _selu_backward(gradient, result):
    selu = SELU_ALPHA, SELU_SCALE, 1.0
    return torch.ops.aten.elu_backward.grad_input(gradient, *selu, True, result, grad_input=gradient)


ACTIVATIONS = {"relu": (torch.relu_, _relu_backward), "selu": (torch.selu_, _selu_backward)}


# ---- networks ----


def row_length(widths):
    """How many numbers a network w_0 -> .. -> w_L has: weights and biases."""
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in itertools.pairwise(widths))


class MLP:
    """M independent networks w_0 -> .. -> w_L, with an activation after each layer but the last.

    One network alone is computed with matrices, several with stacks of matrices.

    Args:
        rows: (M, `row_length(widths)`), a network's weights and biases, layer by layer. They are not copied: whatever
            changes the rows changes the networks.
        widths: w_0, .., w_L.
        activation: `relu` or `selu`.
    """

    def __init__(self, rows, widths, activation="relu"):
        if rows.shape[1] != row_length(widths):
            raise ValueError(f"rows of {rows.shape[1]} numbers are not networks of widths {list(widths)}")
        self.rows, self.widths, self.activation = rows, tuple(widths), activation
        self._act, self._act_backward = ACTIVATIONS[activation]
        self._alone = len(rows) == 1
        self._layers = self.layers(rows[0] if self._alone else rows)

    def layers(self, rows):
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

    def like(self, rows):
        """Networks of the same shape with other weights, rows (K, W)."""
        return MLP(rows, self.widths, self.activation)

    def forward(self, x):
        """The networks' outputs.

        Args:
            x: (M, B, w_0).
        Returns:
            (M, B, w_L), and the trace that `backward` takes.
        """
        trace = [x[0] if self._alone else x]  # what goes into each layer
        for weight, bias in self._layers[:-1]:
            trace.append(self._act(affine(trace[-1], weight, bias)))
        outputs = affine(trace[-1], *self._layers[-1])
        return outputs[None] if self._alone else outputs, trace

    def backward(self, trace, gradient, weights=True, inputs=None):
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
        of_weights, of_inputs = [], None
        slope = gradient[0] if self._alone else gradient  # of the loss, with regard to the layer's sums
        for depth in reversed(range(len(self._layers))):
            x, (weight, _), below = trace[depth], self._layers[depth], None
            if depth:
                below = self._act_backward(product(slope, weight.mT), x)
            elif inputs is not None:
                of_inputs = product(slope, weight[..., inputs, :].mT)
                of_inputs = of_inputs[None] if self._alone else of_inputs
            if weights:
                of_weights += [slope.sum(-2, keepdim=not self._alone), _stored(weight, x, slope)]
            slope = below
        return of_weights[::-1] if weights else None, of_inputs


def shared_mlp(layers):
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


def _is_transposed(weight):
    return weight.shape[-2] > weight.shape[-1]


def _stored(weight, x, slope):
    """The gradient of a weight (.., I, O), from what went into the layer and its slope, as the weight lies in memory."""
    return product(slope.mT, x) if _is_transposed(weight) else product(x.mT, slope)


class Adam:
    """Adam (Kingma and Ba, 2015) on the weights of an `MLP`: torch's own kernel, without its optimiser's bookkeeping.

    Args:
        mlp: the networks that are trained.
        lr: step size.
        amsgrad: whether the step is divided by the largest second moment so far (Reddi et al., 2018).
    Attributes:
        moments: {name: (M, W)}, the running means.
        steps: scalar, how many were taken.
    """

    def __init__(self, mlp, lr, amsgrad=False):
        self.lr, self.amsgrad = lr, amsgrad
        names = ["first", "second", *(["largest_second"] if amsgrad else [])]
        self.moments = {name: torch.zeros_like(mlp.rows) for name in names}
        self.steps = torch.zeros((), device=mlp.rows.device)
        self._alone = len(mlp.rows) == 1
        self._weights, *self._moments = (self._tensors(mlp, rows) for rows in (mlp.rows, *self.moments.values()))

    def _tensors(self, mlp, rows):
        """What the kernel takes, dense: the tensors of one network as they lie in its row, or the rows of several."""
        if not self._alone:
            return [rows]
        return [tensor for w, b in mlp.layers(rows[0]) for tensor in (w.mT if _is_transposed(w) else w, b)]

    def step(self, gradients):
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

    def state_dict(self, n=slice(None)):
        """The state that belongs to row `n`, or to a slice of rows: tensors on the CPU."""
        return {"steps": self.steps.cpu().clone()} | {k: rows[n].cpu().clone() for k, rows in self.moments.items()}

    def load_state_dict(self, state, n=slice(None)):
        """Sets what `state_dict` returned."""
        self.steps.copy_(state["steps"])
        for name, rows in self.moments.items():
            rows[n] = state[name].to(rows.device)
