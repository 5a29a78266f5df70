"""The networks of seeds: initial weights, and numbers that are a seed's own, whichever seeds stand beside it."""

import numpy as np
import pytest
import torch
from torch import nn

from common.streams import torch_stream
from rl.action_spaces import RawActions
from rl.agents import Agents
from rl.networks import Actor, initial_critics
from rl.replay import Batch, Replay
from rl.td3 import TD3

pytestmark = pytest.mark.quick

SIZES = [(11, 2), (23, 7), (3, 1)]  # (S, A): ReacherVertical, Pusher and its kin, Pendulum
SEEDS = [5, 0, 3, 7, 1, 2, 9, 4]
CPU = torch.device("cpu")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def linear_network(mlp, m):
    """Network `m` of an `MLP` as ordinary layers with copies of its weights."""
    layers = []
    for weight, bias in mlp.layers(mlp.rows[m]):
        layer = nn.Linear(*weight.shape)
        layer.load_state_dict({"weight": weight.T, "bias": bias})
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def actor(size, seeds):
    scale = np.linspace(0.5, 2, size[1], dtype=np.float32)
    return Actor.initial(*size, np.full(size[1], 0.25, np.float32), scale, seeds, CPU)


def critics(size, seeds):
    return initial_critics(sum(size), seeds, CPU)


def networks(size, seeds):
    return actor(size, seeds).mlp, *critics(size, seeds)


# ---- the actor ----


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_an_actor_is_tanh_of_linear_layers_scaled_to_its_bounds(size, count):
    stacked, states = actor(size, SEEDS[:count]), normal(count, 20, size[0])
    actions, trace = stacked.forward(states)
    assert actions.shape == (count, 20, size[1])
    upstream = normal(*actions.shape, seed=1)
    gradients = stacked.backward(trace, upstream)
    for n in range(count):
        network = linear_network(stacked.mlp, n)
        assert [layer.out_features for layer in network[::2]] == [400, 300, size[1]]
        literal = 0.25 + torch.linspace(0.5, 2, size[1]) * torch.tanh(network(states[n]))
        torch.testing.assert_close(actions[n], literal, atol=1e-5, rtol=1e-4)
        literal.backward(upstream[n])
        last = gradients[-2] if count == 1 else gradients[-2][n]
        torch.testing.assert_close(last, network[-1].weight.grad, atol=1e-4, rtol=1e-4)


# ---- initial weights ----


def test_initial_weights_of_a_seed_do_not_depend_on_the_others():
    for together, *alone in zip(networks((11, 2), SEEDS), *(networks((11, 2), [seed]) for seed in SEEDS), strict=True):
        assert torch.equal(together.rows, torch.cat([mlp.rows for mlp in alone]))


def test_initial_weights_are_drawn_layer_by_layer_from_the_seeds_stream():
    """In the order that earlier versions drew them in, so that a seed begins as it did: weights (I, O), then biases."""
    mlp, generator = actor((11, 2), [3]).mlp, torch_stream(3, "actor: initial weights")
    for weight, bias in mlp.layers(mlp.rows[0]):
        bound = len(weight) ** -0.5
        assert torch.equal(weight, torch.empty(weight.shape).uniform_(-bound, bound, generator=generator))
        assert torch.equal(bias, torch.empty(bias.shape).uniform_(-bound, bound, generator=generator))


def test_initial_weights_are_uniform_within_the_bound_of_their_own_layers_inputs():
    for mlp, inputs in zip(networks((23, 7), SEEDS), (23, 30, 30), strict=True):
        for (weight, bias), fan_in in zip(mlp.layers(mlp.rows), (inputs, 400, 300), strict=True):
            bound = fan_in**-0.5
            assert weight.shape[1] == fan_in
            assert 0.99 * bound < weight.abs().max() <= bound and bias.abs().max() <= bound
            assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_no_two_networks_begin_alike():
    actors, first, second = networks((11, 2), SEEDS)
    for rows in (actors.rows, torch.cat([first.rows, second.rows])):
        assert len({tuple(row.tolist()) for row in rows}) == len(rows)


# ---- bit for bit ----


def trained(size, seeds, rows, batch):
    """What blocks of updates make of the agents of seeds; by seed its state after every block, and its actions."""
    actions = RawActions(np.full(size[1], -2), np.full(size[1], 2))
    flags = {"lr": 1e-3, "tau": 0.1, "policy_noise": 0.2, "noise_clip": 0.5, "policy_freq": 2}
    agents = Agents(TD3, (size[0],), actions, seeds, CPU, **flags)
    replay = Replay(len(seeds), (size[0],), size[1], 50, CPU)
    for n, seed in enumerate(seeds):
        replay.append(n, rows[seed])
    history = {seed: [] for seed in seeds}
    for block in range(2):
        draws = [np.random.default_rng([seed, block]) for seed in seeds]
        indices = np.stack([rng.integers(0, 50, (3, batch)) for rng in draws], axis=1)
        noise = np.stack([rng.standard_normal((3, batch, size[1]), dtype=np.float32) for rng in draws], axis=1)
        agents.clear_diagnostics()
        agents.update(replay, indices, torch.from_numpy(noise))
        acting = agents.act(np.stack([rows[seed][0, : size[0]] for seed in seeds]))
        for n, seed in enumerate(seeds):
            history[seed].append([agents.snapshot(n), acting[n].tolist(), agents.diagnostics()[n]])
    return history


def equal(a, b):
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("batch", [100, 32])
@pytest.mark.parametrize("size", SIZES)
def test_a_seed_is_bit_for_bit_the_same_whichever_stand_beside_it(size, batch):
    """Beside 0, 1, 2 and 7 others, and in another place among them."""
    width = Replay.row_width((size[0],), size[1])
    rows = {seed: np.random.default_rng(seed).standard_normal((50, width), dtype=np.float32) for seed in SEEDS}
    together = trained(size, SEEDS, rows, batch)
    for seeds in (SEEDS[:1], SEEDS[:2], SEEDS[:3], SEEDS[5:6], SEEDS[7:], SEEDS[3:6], SEEDS[:2:-1]):
        for seed, history in trained(size, seeds, rows, batch).items():
            assert equal(history, together[seed]), f"seed {seed} of {seeds}"
    assert not equal(together[SEEDS[0]], together[SEEDS[1]])


def test_stacked_seeds_are_seeds_alone_up_to_rounding():
    """On other devices than a CPU one agent has the networks of all seeds: the same updates, in stacks of matrices."""
    actions = RawActions(np.full(2, -2), np.full(2, 2))
    flags = {"lr": 1e-3, "tau": 0.1, "policy_noise": 0.2, "noise_clip": 0.5, "policy_freq": 2}
    stacked = TD3((11,), actions, SEEDS, CPU, **flags)
    alone = [TD3((11,), actions, [seed], CPU, **flags) for seed in SEEDS]
    columns = [normal(5, len(SEEDS), 20, width, seed=width) for width in (11, 2, 1, 1, 1, 11)]
    noise = normal(5, len(SEEDS), 20, 2)
    stacked.update([Batch(*rows) for rows in zip(*columns, strict=True)], noise)
    for n, agent in enumerate(alone):
        own = [column[:, n : n + 1] for column in columns]
        agent.update([Batch(*rows) for rows in zip(*own, strict=True)], noise[:, n : n + 1])
        for name, (mlp, target, _) in agent._parts().items():
            networks_of_all, targets_of_all, _ = stacked._parts()[name]
            torch.testing.assert_close(networks_of_all.rows[n], mlp.rows[0], atol=1e-4, rtol=1e-3)
            torch.testing.assert_close(targets_of_all.rows[n], target.rows[0], atol=1e-4, rtol=1e-3)
