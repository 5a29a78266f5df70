"""Stacked networks: each seed's slice is a network of its own, whichever seeds stand beside it."""

import numpy as np
import pytest
import torch
from torch import nn

import embedding.linear
from rl.action_spaces import RawActions
from rl.networks import Actor, TwinCritic
from rl.td3 import TD3, Batch

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


@pytest.mark.parametrize("onednn", [True, False], ids=["oneDNN", "ordinary"])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize(
    "size", [(100, 15, 400), (128, 400, 400), (100, 400, 300), (9, 400, 300), (100, 300, 1), (1, 300, 7)]
)
def test_stacked_layers_are_layers_by_either_library(monkeypatch, size, relu, onednn):
    """Products and gradients of every size, whether or not they are large enough for oneDNN."""
    if not onednn:
        monkeypatch.setattr(embedding.linear, "ONEDNN", None)
    rows, inputs, outputs = size
    x, weight, bias = normal(3, rows, inputs), normal(3, inputs, outputs, seed=1), normal(3, 1, outputs, seed=2)
    leaves = [x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()]
    literal = torch.stack([x[m] @ weight[m] + bias[m] for m in range(3)])
    literal = literal.relu() if relu else literal
    found = embedding.linear.stacked_linear(x, weight, bias, relu)
    tolerance = {"atol": 1e-3, "rtol": 1e-4}
    torch.testing.assert_close(found, literal, **tolerance)
    upstream = normal(*found.shape, seed=3)
    for gradient, wanted in zip(*(torch.autograd.grad(y, leaves, upstream) for y in (found, literal)), strict=True):
        torch.testing.assert_close(gradient, wanted, **tolerance)


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


def trained(size, seeds, batches):
    """What TD3 does to its networks in updates on `batches` (by seed, one `Batch` and noise an update).

    Returns:
        by seed, a list of all its tensors: actions, values, gradients and weights after every update.
    """
    actions = RawActions(np.full(size[1], -2), np.full(size[1], 2))
    flags = {"lr": 1e-3, "tau": 0.1, "policy_noise": 0.2, "noise_clip": 0.5, "policy_freq": 2}
    agent = TD3((size[0],), actions, seeds, torch.device("cpu"), **flags)
    stacks = (agent.actor, 1), (agent.critic, 2), (agent.target_actor, 1), (agent.target_critic, 2)
    history = {seed: [] for seed in seeds}
    for step in range(len(batches[seeds[0]])):
        *columns, noise = (torch.stack(column) for column in zip(*(batches[seed][step] for seed in seeds), strict=True))
        batch = Batch(*columns)
        agent.update(batch, noise)
        chosen, acting = agent.actor(batch.state), agent.act(batch.state[:, 0].numpy())
        values = agent.critic(agent.critic_input(batch.state, batch.action, batch.plan_step))
        first = agent.critic.first(agent.critic_input(batch.state, chosen, batch.plan_step))
        climb = torch.autograd.grad(first.sum(), list(agent.actor.parameters()))
        descent = torch.autograd.grad(values.square().sum(), list(agent.critic.parameters()))
        for n, seed in enumerate(seeds):
            history[seed] += [chosen[n], torch.from_numpy(acting[n]), values[n], first[n]]
            history[seed] += [gradient[n] for gradient in climb] + [gradient[2 * n : 2 * n + 2] for gradient in descent]
            for network, width in stacks:
                rows = slice(n * width, (n + 1) * width)
                history[seed] += [parameter.detach()[rows].clone() for parameter in network.parameters()]
    return history


def batches_of(size, rows, seed, updates=5):
    """A `Batch` and noise for every update, drawn for a seed."""
    rng = np.random.default_rng(seed)
    widths = size[0], size[1], 1, 1, 1, size[0], size[1]
    return [
        [torch.from_numpy(rng.standard_normal((rows, w), dtype=np.float32)) for w in widths] for _ in range(updates)
    ]


@pytest.mark.parametrize("rows", [100, 32])
@pytest.mark.parametrize("size", SIZES)
def test_a_seed_is_bit_for_bit_the_same_whichever_stand_beside_it(size, rows):
    """Beside 0, 1, 2 and 7 others, and in another place among them: memory is aligned differently there."""
    batches = {seed: batches_of(size, rows, seed) for seed in SEEDS}
    together = trained(size, SEEDS, batches)
    for seeds in (SEEDS[:1], SEEDS[:2], SEEDS[:3], SEEDS[5:6], SEEDS[7:], SEEDS[3:6], SEEDS[:2:-1]):
        for seed, tensors in trained(size, seeds, batches).items():
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
