"""The networks of Pixel-TD3 against ordinary layers, and its updates."""

import numpy as np
import pytest
import torch
import toy_pixel_envs  # noqa: F401  (registers its environments)
from torch import nn
from torch.nn import functional as F

from rl.action_spaces import RawActions
from rl.agents import Agents
from rl.pixel_networks import CONVOLUTIONS, PixelActor, StackedBatchNorm, Trunk
from rl.pixel_td3 import PixelTD3
from rl.replay import Batch

CPU = torch.device("cpu")


def stacks(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 12, 64, 64), dtype=np.uint8)


def test_the_trunk_is_that_of_ordinary_layers():
    trunk, images = Trunk([3, 4]).double(), torch.from_numpy(stacks(2 * 6)).view(2, 6, 12, 64, 64)
    for parameter in trunk.norms.parameters():
        parameter.data += torch.rand_like(parameter)
    gradients = {}
    for training in (True, False):
        found = trunk.train(training)(images, torch.float64)
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
            y = y @ actor.weights[layer][m] + actor.biases[layer][m]
            y = F.relu(y) if layer < 2 else 3 * torch.tanh(y)
        torch.testing.assert_close(found[m], y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (120, 121), (254, 255), (0, 255)])
def test_images_are_normalised_exactly_however_little_they_vary(low, high, dtype):
    images = torch.randint(low, high + 1, (20, 12, 64, 64), dtype=torch.uint8)
    norm, unit = StackedBatchNorm(1, 12), images.double() / 255
    literal = nn.BatchNorm2d(12).double()
    for training in (True, False):  # running statistics are far from those of the batch
        x, scale, shift = norm.train(training).of_images(images, dtype)
        assert x.dtype == dtype and x.is_contiguous(memory_format=torch.channels_last)
        wanted = literal.train(training)(unit)
        found = x.double() * scale.double()[:, None, None] + shift.double()[:, None, None]
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(norm.mean[0].double(), literal.running_mean, rtol=1e-5, atol=0)
        torch.testing.assert_close(norm.variance[0].double(), literal.running_var, rtol=1e-5, atol=0)


def test_convolutions_in_bfloat16_differ_by_its_rounding():
    trunk, images = Trunk([3]), torch.from_numpy(stacks(6)).unsqueeze(0)
    exact, rounded = (trunk(images, dtype) for dtype in (torch.float32, torch.bfloat16))
    assert exact.dtype == rounded.dtype == torch.float32
    assert 1e-4 < (exact - rounded).norm() / exact.norm() < 2e-2
    of_exact, of_rounded = (torch.autograd.grad(y.sum(), list(trunk.parameters())) for y in (exact, rounded))
    for one, other in zip(of_exact, of_rounded, strict=True):
        assert other.dtype == torch.float32
        assert torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.95


def test_batch_norm_of_stacks_is_that_of_each():
    norm, x = StackedBatchNorm(3, 4), torch.randn(3, 6, 4)
    found = norm(x)
    for m in range(3):
        literal = nn.BatchNorm1d(4)
        torch.testing.assert_close(found[m], literal(x[m]))
        torch.testing.assert_close(norm.mean[m], literal.running_mean)


# ---- updates ----


SETTINGS = {"lr": 1e-3, "tau": 0.1, "policy_noise": 0.2, "noise_clip": 0.5, "policy_freq": 2}
SPACES = (12, 64, 64), RawActions([-1, -2], [1, 2])


def agent_of(seeds, **flags):
    return PixelTD3(*SPACES, seeds, CPU, **(SETTINGS | flags))


def batch_of(seed, size=6):
    """One seed's `Batch`, without the axis of seeds, and noise."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (2, size, 12, 64, 64), generator=rng, dtype=torch.uint8)
    action, noise = torch.rand(2, size, 2, generator=rng)
    reward, discount = torch.randn(2, size, 1, generator=rng)
    return [images[0], action, torch.zeros(size, 1), reward, 0.0 * discount + 0.99, images[1]], noise


def block_of(seeds, begin, end):
    """Updates `begin` to `end` of each seed: batches (N, B, ..), and noise (U, N, B, D)."""
    batches, noises = [], []
    for number in range(begin, end):
        columns, noise = zip(*(batch_of(100 * seed + number) for seed in seeds), strict=True)
        batches.append(Batch(*map(torch.stack, zip(*columns, strict=True))))
        noises.append(torch.stack(noise))
    return batches, torch.stack(noises)


def updated(agent, seeds, updates=4):
    agent.update(*block_of(seeds, 0, updates))
    return agent


class Blocks:
    """A replay whose rows at any indices are those of `block_of`."""

    def __init__(self, batches):
        self.batches = batches

    def sample(self, indices, seeds):
        return [Batch(*(tensor[seeds] for tensor in batch)) for batch in self.batches]


def tensors_in(part):
    """The tensors of nested dicts and lists, in the order of their names."""
    if torch.is_tensor(part):
        return [part]
    parts = part if isinstance(part, list) else [part[name] for name in sorted(part)] if isinstance(part, dict) else []
    return [tensor for inner in parts for tensor in tensors_in(inner)]


def tensors_of(agent, n):
    return tensors_in(agent.snapshot(n))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_seed_is_bit_for_bit_what_it_is_alone(precision):
    seeds, images = [3, 5, 0], stacks(3)
    batches, noise = block_of(seeds, 0, 4)
    together = Agents(PixelTD3, *SPACES, seeds, CPU, precision=precision, **SETTINGS)
    together.update(Blocks(batches), np.zeros((4, 3, 6), np.int64), noise)
    acted = together.act(images)
    for n, seed in enumerate(seeds):
        alone = Agents(PixelTD3, *SPACES, [seed], CPU, precision=precision, **SETTINGS)
        alone.update(Blocks(block_of([seed], 0, 4)[0]), np.zeros((4, 1, 6), np.int64), noise[:, n : n + 1])
        assert np.array_equal(alone.act(images[n : n + 1])[0], acted[n])
        assert len(tensors_of(alone, 0)) > 100
        for one, other in zip(tensors_of(together, n), tensors_of(alone, 0), strict=True):
            assert torch.equal(one, other)


def test_grouped_networks_as_on_other_devices_learn_the_same():
    together, seeds = updated(agent_of([3, 5]), [3, 5], 2), [3, 5]
    for n, seed in enumerate(seeds):
        apart = updated(agent_of([seed]), [seed], 2)
        for one, other in zip(tensors_of(apart, 0), tensors_of(together, n), strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("freq", [1, 2, 3])
def test_updates_at_once_are_updates_one_by_one(freq):
    batches, noise = block_of([0], 0, 5)
    at_once, one_by_one = (agent_of([0], policy_freq=freq) for _ in range(2))
    at_once.update(batches, noise)
    for number, batch in enumerate(batches):
        one_by_one.update([batch], noise[number : number + 1])
    for one, other in zip(tensors_of(at_once, 0), tensors_of(one_by_one, 0), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_an_update_is_that_of_ordinary_layers_and_optimisers():
    """Critics, trunk and actor against autograd on the whole objective, and torch's Adam."""
    agent, batches, noise = agent_of([4], policy_freq=1), *block_of([4], 0, 1)
    fresh, (batch,) = agent_of([4], policy_freq=1), batches
    critics = [[t.clone().requires_grad_() for layer in c.layers(c.rows[0]) for t in layer] for c in fresh.critics]

    def q(tensors, features, action):
        x = torch.cat([features, *[action] * fresh.repeats], dim=-1)
        for layer in range(0, len(tensors), 2):
            x = x @ tensors[layer] + tensors[layer + 1]
            x = F.relu(x) if layer + 2 < len(tensors) else x
        return x

    with torch.no_grad():
        features = fresh.target_trunk(batch.next_state)
        smoothed = fresh.target_actor(features) + (noise[0] * 0.2).clamp(-0.5, 0.5)
        action = smoothed.clamp(fresh.low, fresh.high)
        target = batch.reward + batch.discount * torch.minimum(*(q(c, features, action) for c in critics))
    features = fresh.trunk.train()(batch.state)
    loss = sum((q(c, features, batch.action) - target).square().mean() for c in critics)
    weights = [t for critic in critics for t in critic]
    adam = torch.optim.Adam([*weights, *fresh.trunk.parameters()], lr=1e-3)
    loss.backward()
    adam.step()
    value = q(critics[0], features.detach(), fresh.actor.train()(features.detach())).mean()
    actor_adam = torch.optim.Adam(fresh.actor.parameters(), lr=1e-3)
    actor_adam.zero_grad()
    (-value).backward()
    actor_adam.step()

    agent.update(batches, noise)
    found = [t for c in agent.critics for layer in c.layers(c.rows[0]) for t in layer]
    pairs = [*zip(found, weights, strict=True)]
    for ours, literal in ((agent.trunk, fresh.trunk), (agent.actor, fresh.actor)):
        pairs += zip(ours.state_dict().values(), literal.state_dict().values(), strict=True)
    for one, other in pairs:  # Adam's first step is a sign: where a gradient is next to nothing, rounding decides
        assert ((one - other).abs() > 1e-5).float().mean() < 0.01
    diagnostics = agent.diagnostics()[0]
    assert diagnostics["critic_loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert diagnostics["value"] == pytest.approx(value.item(), rel=1e-3, abs=1e-4)


def test_an_agent_goes_on_from_its_state():
    whole, half = updated(agent_of([3, 5]), [3, 5], 3), agent_of([3, 5])
    for n in range(2):
        half.rewind(n, whole.snapshot(n))
    for agent in (whole, half):
        agent.update(*block_of([3, 5], 3, 5))
    for n in range(2):
        for one, other in zip(tensors_of(whole, n), tensors_of(half, n), strict=True):
            assert torch.equal(one, other)


def test_targets_follow_the_weights_and_copy_the_statistics():
    agent, fresh = updated(agent_of([0], policy_freq=1), [0], 1), agent_of([0])
    for name in ("trunk", "actor"):
        networks, targets, before = (
            getattr(a, n) for a, n in ((agent, name), (agent, f"target_{name}"), (fresh, name))
        )
        rows = (dict(module.named_parameters()) for module in (networks, targets, before))
        for new, target, old in zip(*(row.values() for row in rows), strict=True):
            torch.testing.assert_close(target, old + 0.1 * (new - old))
        ours, theirs = list(networks.buffers()), list(targets.buffers())
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
        statistics = [b for key, b in networks.named_buffers() if key.startswith("norms")]
        assert len(statistics) == 2 * 3 and all(b.unique().numel() > 1 for b in statistics)
    for networks, targets, before in zip(agent.critics, agent.target_critics, fresh.critics, strict=True):
        torch.testing.assert_close(targets.rows, before.rows + 0.1 * (networks.rows - before.rows))


def test_the_trunk_learns_from_the_critics_alone(monkeypatch):
    agent = updated(agent_of([0], policy_freq=1), [0], 1)
    without = agent_of([0], policy_freq=1)
    monkeypatch.setattr(without, "update_actor", lambda batch: None)
    updated(without, [0], 1)
    for one, other in zip(agent.trunk.parameters(), without.trunk.parameters(), strict=True):
        assert torch.equal(one, other)
    fresh = agent_of([0])
    for name in ("trunk", "actor"):
        for one, other in zip(getattr(agent, name).weights, getattr(fresh, name).weights, strict=True):
            assert not torch.equal(one, other)


def test_acting_neither_trains_nor_depends_on_what_is_beside():
    agent, images = updated(agent_of([0]), [0], 2), stacks(1)
    before = [tensor.clone() for tensor in tensors_of(agent, 0)]
    assert np.array_equal(agent.act(images), agent.act(images))
    assert all(torch.equal(a, b) for a, b in zip(before, tensors_of(agent, 0), strict=True))
    assert not any(module.training for module in (agent.trunk, agent.actor, agent.target_trunk, agent.target_actor))


def test_the_critic_sees_the_action_as_wide_as_the_features():
    assert agent_of([0]).critics[0].widths == (512 + 512, 200, 200, 1)


def test_weights_are_counted_as_they_are_made():
    flags = {"lr": 1e-3, "tau": 0.005, "policy_noise": 0.2, "noise_clip": 0.5, "policy_freq": 2}
    agent = PixelTD3((12, 64, 64), RawActions(-np.ones(3), np.ones(3)), [0], CPU, **flags)
    made = sum(weight.numel() for module in (agent.trunk, agent.actor) for weight in module.parameters())
    made += sum(critic.rows.numel() for critic in agent.critics)
    assert made == pytest.approx(PixelTD3.count_weights((12, 64, 64), 3), rel=0.01)  # batch norms have a few
