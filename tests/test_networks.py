"""Stacked networks: each seed's slice is a network of its own, whichever seeds stand beside it."""

import numpy as np
import pytest
import torch
from torch import nn

from embedding.streams import torch_stream
from rl.networks import Actor, Descent, StackedMLP, TwinCritic

SIZES = [(11, 2), (23, 7), (3, 1)]  # (S, A): ReacherVertical, Pusher and its kin, Pendulum
SEEDS = [5, 0, 3, 7, 1, 2, 9, 4]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def linear_network(stacked, m):
    """Network `m` of a `StackedMLP` as ordinary layers with copies of its weights."""
    layers = []
    for weight, bias in zip(stacked.weights, stacked.biases, strict=True):
        layer = nn.Linear(*weight.shape[1:])
        with torch.no_grad():
            layer.weight.copy_(weight[m].T)
            layer.bias.copy_(bias[m, 0])
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def actor(size, seeds):
    scale = np.linspace(0.5, 2, size[1], dtype=np.float32)
    return Actor(*size, np.full(size[1], 0.25, np.float32), scale, seeds)


def critic(size, seeds):
    return TwinCritic(sum(size), seeds)


# ---- each slice is a network ----


@pytest.mark.parametrize("size", SIZES)
def test_an_actor_is_tanh_of_linear_layers_scaled_to_its_bounds(size):
    stacked, states = actor(size, SEEDS[:3]), normal(3, 20, size[0])
    actions = stacked(states)
    assert actions.shape == (3, 20, size[1])
    for n in range(3):
        network = linear_network(stacked.mlp, n)
        assert [layer.out_features for layer in network[::2]] == [400, 300, size[1]]
        literal = 0.25 + torch.linspace(0.5, 2, size[1]) * torch.tanh(network(states[n]))
        torch.testing.assert_close(actions[n], literal, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_critics_are_two_linear_networks_a_seed(size):
    stacked, inputs = critic(size, SEEDS[:3]), normal(3, 20, sum(size))
    values = stacked(inputs)
    assert values.shape == (3, 2, 20)
    for n in range(3):
        for twin in (0, 1):
            literal = linear_network(stacked.mlp, 2 * n + twin)(inputs[n])[:, 0]
            torch.testing.assert_close(values[n, twin], literal, atol=1e-6, rtol=1e-5)
    assert not torch.equal(values[:, 0], values[:, 1])
    torch.testing.assert_close(stacked.first(inputs), values[:, 0], atol=1e-6, rtol=1e-5)


def test_the_gradients_are_those_of_linear_layers():
    stacked, inputs = critic((11, 2), SEEDS[:2]), normal(2, 20, 13)
    stacked(inputs).square().sum().backward()
    for m in range(4):
        network = linear_network(stacked.mlp, m)
        network(inputs[m // 2]).square().sum().backward()
        for layer, weight, bias in zip(network[::2], stacked.mlp.weights, stacked.mlp.biases, strict=True):
            torch.testing.assert_close(weight.grad[m], layer.weight.grad.T, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(bias.grad[m, 0], layer.bias.grad, atol=1e-4, rtol=1e-4)


def test_steps_of_the_optimiser_are_those_of_adam_on_linear_layers():
    stacked, inputs = StackedMLP(11, 2, [torch_stream(seed, "x") for seed in (0, 1)]), normal(2, 100, 11)
    networks = [linear_network(stacked, m) for m in (0, 1)]
    descent = Descent(stacked, 1e-3)
    optimizers = [torch.optim.Adam(network.parameters(), lr=1e-3) for network in networks]
    for _ in range(5):
        descent.step(stacked(inputs).square().sum())
        for network, optimizer, x in zip(networks, optimizers, inputs, strict=True):
            optimizer.zero_grad()
            network(x).square().sum().backward()
            optimizer.step()
    for network, found, x in zip(networks, stacked(inputs), inputs, strict=True):
        torch.testing.assert_close(found, network(x), atol=1e-4, rtol=1e-3)


# ---- initial weights ----


@pytest.mark.parametrize("make", [actor, critic])
def test_initial_weights_of_a_seed_do_not_depend_on_the_others(make):
    together = make((11, 2), SEEDS)
    for n, seed in enumerate(SEEDS):
        alone = make((11, 2), [seed])
        for both, own in zip(together.parameters(), alone.parameters(), strict=True):
            width = len(own)
            assert torch.equal(both[n * width : (n + 1) * width], own)


def test_initial_weights_are_uniform_within_the_bound_of_their_own_layers_inputs():
    for network, inputs in ((actor((11, 2), SEEDS), 11), (critic((23, 7), SEEDS), 30)):
        for weight, bias, fan_in in zip(network.mlp.weights, network.mlp.biases, (inputs, 400, 300), strict=True):
            bound = fan_in**-0.5
            assert weight.shape[1] == fan_in
            assert 0.99 * bound < weight.abs().max() <= bound and bias.abs().max() <= bound
            assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_no_two_networks_begin_alike():
    for network in (actor((11, 2), SEEDS), critic((11, 2), SEEDS)):
        for weight in network.parameters():
            flat = weight.flatten(1)
            assert len({tuple(row.tolist()) for row in flat}) == len(flat)


# ---- bit for bit ----


def trained(size, seeds, inputs, updates=6):
    """Actors and critics after updates on `inputs` (seed, updates, B, S + A): outputs, gradients and weights a seed."""
    networks = actor(size, seeds), critic(size, seeds)
    descents = [Descent(network.mlp, 1e-3) for network in networks]
    history = {seed: [] for seed in seeds}
    for step in range(updates):
        x = torch.stack([inputs[seed][step] for seed in seeds])
        actions = networks[0](x[..., : size[0]])
        values = networks[1](x)
        first = networks[1].first(torch.cat([x[..., : size[0]], actions], dim=-1))
        losses = -first.sum() / x.shape[1] + actions.square().sum(), values.square().sum() / x.shape[1]
        for descent, loss in zip(descents, losses, strict=True):
            descent.step(loss)
        acting = networks[0](x[:, :1, : size[0]])
        for n, seed in enumerate(seeds):
            history[seed] += [actions[n].detach(), values[n].detach(), first[n].detach(), acting[n].detach()]
            for network, width in zip(networks, (1, 2), strict=True):
                for parameter in network.parameters():
                    history[seed].append(parameter.detach()[n * width : (n + 1) * width].clone())
    return history


@pytest.mark.parametrize("batch", [100, 32])
@pytest.mark.parametrize("size", SIZES)
def test_a_seed_is_bit_for_bit_the_same_whichever_stand_beside_it(size, batch):
    """Beside 0, 1, 2 and 7 others, and in another place among them: memory is aligned differently there."""
    inputs = {seed: normal(6, batch, sum(size), seed=seed) for seed in SEEDS}
    together = trained(size, SEEDS, inputs)
    for seeds in (SEEDS[:1], SEEDS[:2], SEEDS[:3], SEEDS[5:6], SEEDS[7:], SEEDS[3:6], SEEDS[:2:-1]):
        for seed, tensors in trained(size, seeds, inputs).items():
            for found, wanted in zip(tensors, together[seed], strict=True):
                assert torch.equal(found, wanted), f"seed {seed} of {seeds}"


# ---- the actor's way through the critic ----


def test_first_gives_no_gradient_to_the_critic():
    network = critic((11, 2), SEEDS[:2])
    inputs = normal(2, 20, 13).requires_grad_()
    network.first(inputs).sum().backward()
    assert (inputs.grad != 0).any(dim=-1).all()
    assert all(parameter.grad is None for parameter in network.parameters())


def test_first_follows_the_weights_of_the_first_critic_only():
    network, inputs = critic((11, 2), SEEDS[:2]), normal(2, 20, 13)
    before = network.first(inputs)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter[1::2] += 1
    assert torch.equal(network.first(inputs), before)
    with torch.no_grad():
        network.mlp.biases[-1][::2] += 1
    torch.testing.assert_close(network.first(inputs), before + 1)
