"""Networks on flat rows: their outputs and gradients are those of ordinary layers, Adam's steps those of torch."""

import itertools
import math

import pytest
import torch
from torch import nn

import common.mlp
from common.mlp import MLP, Adam, product, row_length, shared_mlp

pytestmark = pytest.mark.quick

SHAPES = [(11, 400, 300, 2), (21, 400, 300, 1), (8, 400, 400, 4), (3, 7, 5, 6), (4, 1)]
DOUBLE = {"atol": 1e-12, "rtol": 1e-10}
several = pytest.mark.parametrize("count", [1, 3])
shapes = pytest.mark.parametrize("widths", SHAPES)
activations = pytest.mark.parametrize("activation", ["relu", "selu"])


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def random_mlp(count, widths, activation="relu", dtype=torch.float32):
    mlp = MLP(torch.zeros(count, row_length(widths), dtype=dtype), widths, activation)
    for m, row in enumerate(mlp.rows):
        for weight, bias in mlp.layers(row):
            weight.copy_(normal(*weight.shape, seed=m, dtype=dtype) / len(weight) ** 0.5)
            bias.copy_(normal(*bias.shape, seed=m + 50, dtype=dtype))
    return mlp


def ordinary(mlp, m):
    """Network `m` as layers of torch with copies of its weights."""
    act = {"relu": nn.ReLU, "selu": nn.SELU}[mlp.activation]
    layers = []
    for weight, bias in mlp.layers(mlp.rows[m]):
        layer = nn.Linear(*weight.shape, dtype=weight.dtype)
        layer.load_state_dict({"weight": weight.T, "bias": bias})
        layers += [layer, act()]
    return nn.Sequential(*layers[:-1])


def ordinary_gradients(network, mlp, m):
    """The gradients of torch's layers as a row of the `MLP`."""
    row = torch.zeros_like(mlp.rows[m])
    for (weight, bias), layer in zip(mlp.layers(row), network[::2], strict=True):
        weight.copy_(layer.weight.grad.T)
        bias.copy_(layer.bias.grad)
    return row


def as_rows(mlp, gradients):
    """What `MLP.backward` returns, as rows."""
    if len(mlp.rows) == 1:
        return torch.cat([gradient.flatten() for gradient in gradients])[None]
    return torch.cat([gradient.flatten(1) for gradient in gradients], dim=1)


# ---- outputs and gradients ----


@several
@shapes
@activations
def test_outputs_and_gradients_are_those_of_autograd_in_float64(count, widths, activation):
    mlp, x = random_mlp(count, widths, activation, torch.float64), normal(count, 20, widths[0], dtype=torch.float64)
    outputs, trace = mlp.forward(x)
    upstream = normal(*outputs.shape, seed=1, dtype=torch.float64)
    gradients, d_inputs = mlp.backward(trace, upstream, inputs=slice(None))
    rows = as_rows(mlp, gradients)
    for m in range(count):
        network, leaf = ordinary(mlp, m), x[m].clone().requires_grad_()
        found = network(leaf)
        found.backward(upstream[m])
        torch.testing.assert_close(outputs[m], found, **DOUBLE)
        torch.testing.assert_close(d_inputs[m], leaf.grad, **DOUBLE)
        torch.testing.assert_close(rows[m], ordinary_gradients(network, mlp, m), **DOUBLE)


@pytest.mark.parametrize("onednn", [True, False], ids=["oneDNN", "ordinary"])
@several
@shapes
def test_in_float32_either_library_gives_them_too(monkeypatch, count, widths, onednn):
    if not onednn:
        monkeypatch.setattr(common.mlp, "ONEDNN", None)
    mlp, x = random_mlp(count, widths), normal(count, 100, widths[0])
    outputs, trace = mlp.forward(x)
    gradients, d_inputs = mlp.backward(trace, normal(*outputs.shape, seed=1), inputs=slice(None))
    for m in range(count):
        network, leaf = ordinary(mlp, m), x[m].clone().requires_grad_()
        network(leaf).backward(normal(*outputs.shape, seed=1)[m])
        torch.testing.assert_close(outputs[m], network(leaf), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(d_inputs[m], leaf.grad, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(
            as_rows(mlp, gradients)[m], ordinary_gradients(network, mlp, m), atol=1e-3, rtol=1e-3
        )


@several
def test_only_what_is_wanted_is_returned(count):
    mlp = random_mlp(count, (11, 30, 2))
    outputs, trace = mlp.forward(normal(count, 9, 11))
    everything, d_inputs = mlp.backward(trace, torch.ones_like(outputs), inputs=slice(None))
    alone, nothing = mlp.backward(trace, torch.ones_like(outputs))
    assert nothing is None and all(map(torch.equal, everything, alone))
    nothing, some = mlp.backward(trace, torch.ones_like(outputs), weights=False, inputs=slice(7, None))
    assert nothing is None
    torch.testing.assert_close(some, d_inputs[..., 7:])


def test_what_is_not_finite_stays_so():
    """oneDNN's own ReLU would turn it into 0."""
    mlp, x = random_mlp(1, (11, 400, 300, 2)), normal(1, 100, 11)
    x[0, 3, 5] = float("nan")
    outputs, _ = mlp.forward(x)
    assert outputs[0, 3].isnan().all() and outputs[0, :3].isfinite().all()


def test_rows_and_layers_are_the_same_memory():
    mlp = random_mlp(2, (5, 8, 3))
    before, _ = mlp.forward(normal(2, 4, 5))
    mlp.rows.mul_(2)
    assert not torch.equal(mlp.forward(normal(2, 4, 5))[0], before)
    assert (
        sum(w[0].numel() + b[0].numel() for w, b in mlp.layers(mlp.rows)) == mlp.rows.shape[1] == row_length((5, 8, 3))
    )
    with pytest.raises(ValueError, match="not networks of widths"):
        MLP(torch.zeros(1, 7), (5, 8, 3))


@pytest.mark.parametrize("size", [(100, 400, 300), (128, 400, 400), (300, 100, 400), (100, 300, 7), (1, 300, 2)])
def test_products_are_those_of_float64(size):
    rows, inner, columns = size
    for left, right in itertools.product(
        (normal(rows, inner), normal(inner, rows).T), (normal(inner, columns), normal(columns, inner).T)
    ):
        exact = left.double() @ right.double()
        torch.testing.assert_close(product(left, right).double(), exact, atol=2e-4, rtol=1e-4)


# ---- Adam ----


@pytest.mark.parametrize("amsgrad", [False, True])
@several
def test_adam_is_torchs(count, amsgrad):
    mlp = random_mlp(count, (11, 40, 30, 2))
    literal = [mlp.rows[m].clone().requires_grad_() for m in range(count)]
    optimizer, adam = torch.optim.Adam(literal, lr=1e-2, amsgrad=amsgrad), Adam(mlp, 1e-2, amsgrad)
    for step in range(20):
        outputs, trace = mlp.forward(normal(count, 9, 11, seed=step))
        gradients, _ = mlp.backward(trace, outputs)
        for row, gradient in zip(literal, as_rows(mlp, gradients), strict=True):
            row.grad = gradient.clone()
        adam.step(gradients)
        optimizer.step()
    torch.testing.assert_close(mlp.rows, torch.stack([row.detach() for row in literal]), atol=1e-5, rtol=1e-4)


@several
def test_adam_goes_on_from_its_state(count):
    def steps(mlp, adam, which):
        for step in which:
            outputs, trace = mlp.forward(normal(count, 9, 11, seed=step))
            adam.step(mlp.backward(trace, outputs)[0])

    mlp = random_mlp(count, (11, 40, 2))
    adam = Adam(mlp, 1e-2)
    steps(mlp, adam, range(3))
    again = mlp.like(mlp.rows.clone())
    other = Adam(again, 1e-2)
    for n in range(count):
        other.rewind(adam.snapshot(n), n)
    for networks, trained_by in ((mlp, adam), (again, other)):
        steps(networks, trained_by, range(3, 6))
    assert torch.equal(mlp.rows, again.rows)


# ---- layers of torch ----


def test_layers_of_torch_can_share_their_weights():
    layers = nn.Sequential(nn.Linear(6, 9), nn.SELU(), nn.Linear(9, 9), nn.SELU(), nn.Linear(9, 4))
    x = normal(1, 7, 6)
    before, mlp = layers(x[0]), shared_mlp(layers)
    torch.testing.assert_close(mlp.forward(x)[0][0], before)
    mlp.rows.mul_(0.5)
    torch.testing.assert_close(layers(x[0]), mlp.forward(x)[0][0])
    layers.load_state_dict({name: tensor + 1 for name, tensor in layers.state_dict().items()})
    torch.testing.assert_close(layers(x[0]), mlp.forward(x)[0][0])


@pytest.mark.skipif(common.mlp.ONEDNN is None, reason="torch has no oneDNN here")
def test_columns_of_a_larger_matrix_do_not_go_to_onednn():
    """Its kernel for them takes hundreds of times longer."""
    left, whole = normal(100, 200), normal(200, 1024)
    for dense in (whole, whole.T.contiguous().T):
        assert common.mlp._least_rows(dense) < len(left)
    assert common.mlp._least_rows(whole[:, :512]) == math.inf
    torch.testing.assert_close(product(left, whole[:, :512]), left @ whole[:, :512].contiguous())
