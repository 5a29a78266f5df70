"""The networks of Pixel-TD3 against ordinary layers, and its updates."""

import numpy as np
import pytest
import torch
import toy_pixel_envs  # noqa: F401  (registers its environments)
from torch import nn
from torch.nn import functional as F

import rl.evaluate
import rl.main_dyne
import rl.main_pixel_td3
import rl.main_vae_td3
import rl.pixel_networks
import rl.training
from rl.action_spaces import RawActions
from rl.pixel_networks import CONVOLUTIONS, PixelActor, StackedBatchNorm, Trunk
from rl.pixel_td3 import PixelTD3
from rl.td3 import Batch

CPU = torch.device("cpu")


def stacks(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 12, 64, 64), dtype=np.uint8)


def test_the_trunk_is_that_of_ordinary_layers(monkeypatch):
    monkeypatch.setattr(rl.pixel_networks, "to_unit", lambda images: images.double() / 255)
    trunk, images = Trunk([3, 4]).double(), torch.from_numpy(stacks(2 * 6)).view(2, 6, 12, 64, 64)
    for parameter in trunk.norms.parameters():
        parameter.data += torch.rand_like(parameter)
    gradients = {}
    for training in (True, False):
        found = trunk.train(training)(images)
        assert found.shape == (2, 6, trunk.width) == (2, 6, 512)
        weight = torch.rand(2, 6, 512).double()
        of_ours = torch.autograd.grad((found * weight).sum(), list(trunk.parameters()))
        for m in range(2):
            x, layers = images[m].double() / 255, []
            for norm, weights, biases, (_, kernel, stride) in zip(
                trunk.norms, trunk.weights, trunk.biases, CONVOLUTIONS, strict=True
            ):
                batch_norm = nn.BatchNorm2d(x.shape[1]).double().train(training)
                convolution = nn.Conv2d(x.shape[1], weights.shape[1], kernel, stride).double()
                values = {"weight": norm.weight[m], "bias": norm.bias[m]}
                if not training:
                    values |= {"running_mean": norm.mean[m], "running_var": norm.variance[m]}
                batch_norm.load_state_dict(batch_norm.state_dict() | values)
                convolution.load_state_dict({"weight": weights[m], "bias": biases[m]})
                x = F.relu(convolution(batch_norm(x)))
                layers.append((batch_norm, convolution))
                if training:
                    torch.testing.assert_close(batch_norm.running_mean, norm.mean[m])
                    torch.testing.assert_close(batch_norm.running_var, norm.variance[m])
            torch.testing.assert_close(x.flatten(1), found[m])
            (x.flatten(1) * weight[m]).sum().backward()
            gradients = {
                "norms": [p.grad for norm, _ in layers for p in (norm.weight, norm.bias)],
                "weights": [convolution.weight.grad for _, convolution in layers],
                "biases": [convolution.bias.grad for _, convolution in layers],
            }
            ours = dict(zip([name for name, _ in trunk.named_parameters()], of_ours, strict=True))
            for name, wanted in gradients.items():
                own = [gradient for key, gradient in ours.items() if key.startswith(name)]
                for gradient, literal in zip(own, wanted, strict=True):
                    torch.testing.assert_close(gradient[m], literal)


def test_the_actor_normalises_before_each_layer():
    actor = PixelActor(9, 2, np.zeros(2, np.float32), np.full(2, 3, np.float32), [0, 1]).double().eval()
    for norm in actor.norms:
        for tensor in (norm.weight.data, norm.bias.data, norm.mean, norm.variance):
            tensor += torch.rand_like(tensor)
    x = torch.randn(2, 5, 9).double()
    found = actor(x)
    for m in range(2):
        y = x[m]
        for layer, norm in enumerate(actor.norms):
            y = F.batch_norm(y, norm.mean[m], norm.variance[m], norm.weight[m], norm.bias[m])
            y = y @ actor.mlp.weights[layer][m] + actor.mlp.biases[layer][m]
            y = F.relu(y) if layer < 2 else 3 * torch.tanh(y)
        torch.testing.assert_close(found[m], y)


@pytest.mark.parametrize("low", [0, 120, 254])
def test_images_that_hardly_vary_are_normalised_exactly(low):
    images = torch.randint(low, low + 2, (1, 20, 12, 64, 64), dtype=torch.uint8)
    norm = StackedBatchNorm(1, 12)
    scale, shift = norm.of_input(images[0].float() / 255, slice(0, 1))
    variance, mean = torch.var_mean(images[0].double() / 255, dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(scale.double(), (variance + 1e-5).rsqrt(), rtol=1e-4, atol=0)
    torch.testing.assert_close(shift.double(), -mean * (variance + 1e-5).rsqrt(), rtol=1e-4, atol=0)


def test_batch_norm_of_stacks_is_that_of_each():
    norm, x = StackedBatchNorm(3, 4), torch.randn(3, 6, 4)
    found = norm(x)
    for m in range(3):
        literal = nn.BatchNorm1d(4)
        torch.testing.assert_close(found[m], literal(x[m]))
        torch.testing.assert_close(norm.mean[m], literal.running_mean)


# ---- updates ----


def agent_of(seeds, **flags):
    settings = {"lr": 1e-3, "tau": 0.1, "policy_noise": 0.2, "noise_clip": 0.5, "policy_freq": 2} | flags
    return PixelTD3((12, 64, 64), RawActions([-1, -2], [1, 2]), seeds, CPU, **settings)


def batch_of(seed, size=6):
    """One seed's `Batch`, without the axis of seeds, and noise."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (2, size, 12, 64, 64), generator=rng, dtype=torch.uint8)
    action, noise = torch.rand(2, size, 2, generator=rng)
    reward, discount = torch.randn(2, size, 1, generator=rng)
    return [images[0], action, torch.zeros(size, 1), reward, 0.0 * discount + 0.99, images[1]], noise


def updated(agent, seeds, updates=4):
    for update in range(updates):
        columns, noise = zip(*(batch_of(100 * seed + update) for seed in seeds), strict=True)
        agent.update(Batch(*map(torch.stack, zip(*columns, strict=True))), torch.stack(noise))
    return agent


def tensors_of(agent, n):
    state = agent.state_dict(n)
    flat = [tensor for name in sorted(state) if isinstance(state[name], list) for tensor in state[name]]
    return [t for tensor in flat for t in (tensor.values() if isinstance(tensor, dict) else [tensor])]


def test_a_seed_is_bit_for_bit_what_it_is_alone():
    together, images = updated(agent_of([3, 5, 0]), [3, 5, 0]), stacks(3)
    acted = together.act(images)
    for n, seed in enumerate([3, 5, 0]):
        alone = updated(agent_of([seed]), [seed])
        assert np.array_equal(alone.act(images[n : n + 1])[0], acted[n])
        for one, other in zip(tensors_of(together, n), tensors_of(alone, 0), strict=True):
            assert torch.equal(one, other)


def test_grouped_networks_as_on_other_devices_learn_the_same(monkeypatch):
    apart = updated(agent_of([3, 5]), [3, 5], 2)
    monkeypatch.setattr(rl.pixel_networks, "_groups", lambda count, device: [slice(0, count)])
    together = updated(agent_of([3, 5]), [3, 5], 2)
    for n in range(2):
        for one, other in zip(tensors_of(apart, n), tensors_of(together, n), strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_an_agent_goes_on_from_its_state():
    whole, half = updated(agent_of([3, 5]), [3, 5], 3), agent_of([3, 5])
    for n in range(2):
        half.load_state_dict(n, whole.state_dict(n))
    for n in range(2):
        for agent in (whole, half):
            agent.clear_diagnostics()
        for one, other in zip(
            tensors_of(updated(whole, [3, 5], 2), n), tensors_of(updated(half, [3, 5], 2), n), strict=True
        ):
            assert torch.equal(one, other)


def test_targets_follow_the_weights_and_copy_the_statistics():
    agent = agent_of([0], policy_freq=1)
    before = [tensor.clone() for tensor in agent.following]
    updated(agent, [0], 1)
    for old, new, followed in zip(before, agent.following, agent.followed, strict=True):
        torch.testing.assert_close(new, old + 0.1 * (followed - old))
    ours, targets = agent._statistics(), agent._statistics("target_")
    assert len(ours) == len(targets) == 2 * (3 + 3)
    for one, other in zip(ours, targets, strict=True):
        assert torch.equal(one, other) and one.unique().numel() > 1


def test_the_trunk_learns_from_the_critics_alone(monkeypatch):
    agent = updated(agent_of([0], policy_freq=1), [0], 1)
    without = agent_of([0], policy_freq=1)
    monkeypatch.setattr(without, "_update_actor", lambda batch: None)
    updated(without, [0], 1)
    for one, other in zip(agent.trunk.parameters(), without.trunk.parameters(), strict=True):
        assert torch.equal(one, other)
    fresh = agent_of([0])
    assert not any(torch.equal(a, b) for a, b in zip(agent.trunk.weights, fresh.trunk.weights, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(agent.actor.mlp.weights, fresh.actor.mlp.weights, strict=True))


def test_acting_neither_trains_nor_depends_on_what_is_beside():
    agent, images = updated(agent_of([0]), [0], 2), stacks(1)
    statistics = [tensor.clone() for tensor in agent._statistics()]
    assert np.array_equal(agent.act(images), agent.act(images))
    assert all(torch.equal(a, b) for a, b in zip(statistics, agent._statistics(), strict=True))
    assert not any(module.training for module in (agent.trunk, agent.actor, agent.target_trunk, agent.target_actor))


def test_the_critic_sees_the_action_as_wide_as_the_features():
    assert agent_of([0]).critic.mlp.weights[0].shape[1] == 512 + 512
