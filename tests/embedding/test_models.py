"""The action encoder, the predictor, the action decoder and their objectives (paper, sections 2.2 and 3.1)."""

import argparse

import numpy as np
import pytest
import torch
import toy_envs  # noqa: F401  (registers its environments)
from torch.distributions import Normal, kl_divergence

import embedding.encoder_training
import embedding.main
from common.environments import make_env
from embedding.decoder import ActionDecoder, action_norm, decoder_loss
from embedding.decoder_training import DecoderTraining, annealed_weight, decoder_span, learning_rate, norm_weight
from embedding.models import (
    ActionEncoder,
    Predictor,
    Whitening,
    dyne_loss,
    kl_from_standard_normal,
    prediction_loss,
    sample_embedding,
)
from embedding.random_play import Windows

BOUNDS = {  # symmetric and not one; different in every dimension and not even symmetric
    "Pendulum-v1": ([-2.0], [2.0]),
    "toy_envs:WalkSkewed-v0": ([-1.0, -2.0], [3.0, 2.0]),
}


def bounds(env_id):
    space = make_env(env_id).action_space
    assert (space.low.tolist(), space.high.tolist()) == BOUNDS[env_id]
    return space.low, space.high


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- whitening ----


def test_whitened_samples_have_zero_mean_and_unit_variance():
    samples = normal(5000, 3) * torch.tensor([1e-3, 1.0, 400.0]) + torch.tensor([5.0, 0.0, -30.0])
    whitening = Whitening(3)
    assert torch.equal(whitening(samples), samples)  # until it is fitted
    whitening.fit(samples)
    white = whitening(samples)
    torch.testing.assert_close(white.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(white.std(0), torch.ones(3), atol=1e-3, rtol=0)


def test_dimensions_that_do_not_vary_are_not_scaled():
    samples = torch.stack([torch.full((100,), 2.0), normal(100) * 1e-14, normal(100) * 1e-5], dim=1)
    whitening = Whitening(3)
    whitening.fit(samples)
    assert whitening.std[:2].tolist() == [1.0, 1.0] and whitening.std[2] < 2e-5
    assert whitening(samples)[:, :2].abs().max() < 1e-12


def test_targets_are_whitened_then_clipped_at_ten():
    predictor = Predictor(state_dim=2, embedding_dim=1)
    predictor.delta_whitening.mean.copy_(torch.tensor([1.0, 0.0]))
    predictor.delta_whitening.std.copy_(torch.tensor([2.0, 0.5]))
    found = predictor.target(torch.tensor([[5.0, 1.0], [100.0, -100.0], [21.0, 5.0]]))
    assert found.tolist() == [[2.0, 2.0], [10.0, -10.0], [10.0, 10.0]]


# ---- encoder and predictor ----


@pytest.mark.parametrize("env_id", BOUNDS)
def test_the_encoder_normalises_actions_by_their_bounds(env_id):
    low, high = bounds(env_id)
    encoder = ActionEncoder(low, high, k=3)
    raw = torch.as_tensor(np.stack([low, (low + high) / 2, high]))
    torch.testing.assert_close(encoder.normalise(raw), torch.tensor([[-1.0], [0.0], [1.0]]).expand(3, len(low)))
    unit = normal(5, 3, len(low)).clamp(-1, 1)
    plain = ActionEncoder(-np.ones_like(low), np.ones_like(high), k=3)
    plain.layers.load_state_dict(encoder.layers.state_dict())
    scaled = torch.as_tensor(low) + (unit + 1) / 2 * torch.as_tensor(high - low)
    torch.testing.assert_close(encoder(scaled), plain(unit), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("k", [1, 4, 8])
@pytest.mark.parametrize("env_id", BOUNDS)
def test_an_embedding_is_as_wide_as_one_action(env_id, k):
    low, high = bounds(env_id)
    encoder, decoder = ActionEncoder(low, high, k), ActionDecoder(low, high, k)
    mu, log_variance = encoder(normal(7, k, len(low)))
    assert mu.shape == log_variance.shape == (7, len(low))
    assert decoder(mu).shape == (7, k, len(low))


def test_the_embedding_depends_on_every_action_of_the_sequence():
    encoder = ActionEncoder(*bounds("toy_envs:WalkSkewed-v0"), k=4)
    actions = normal(1, 4, 2).requires_grad_()
    encoder(actions)[0].sum().backward()
    assert (actions.grad != 0).all()


def test_the_predictor_sees_the_state_or_leaves_it_out():
    state, z = normal(6, 3), normal(6, 2, seed=1)
    for use_state in (True, False):
        predictor = Predictor(3, 2, use_state)
        found = predictor(state, z)
        assert found.shape == (6, 3)
        assert torch.equal(found, predictor(state + 1, z)) == (not use_state)
        assert not torch.equal(found, predictor(state, z + 1))


def test_embeddings_are_sampled_with_the_variance_that_the_encoder_gives():
    mu, log_variance = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, 2.0]]).log()  # variances 0 and 2
    samples = sample_embedding(mu, log_variance, normal(20_000, 2))
    torch.testing.assert_close(samples.mean(0), mu[0], atol=0.03, rtol=0)
    torch.testing.assert_close(samples.var(0), torch.tensor([0.0, 2.0]), atol=0.05, rtol=0)


# ---- objectives ----


def test_the_divergence_is_that_of_torch_summed_over_dimensions():
    mu, log_variance = normal(50, 3), normal(50, 3, seed=1)
    literal = kl_divergence(Normal(mu, log_variance.exp().sqrt()), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(kl_from_standard_normal(mu, log_variance), literal)
    assert kl_from_standard_normal(torch.zeros(2, 3), torch.zeros(2, 3)) == 0


def test_the_objective_is_that_of_a_loop_over_samples():
    prediction, target = normal(9, 4), normal(9, 4, seed=1)
    mu, log_variance = normal(9, 2, seed=2), normal(9, 2, seed=3)
    errors, divergences = [], []
    for n in range(9):
        errors.append(sum((float(p) - float(t)) ** 2 for p, t in zip(prediction[n], target[n], strict=True)) / 4)
        terms = zip(mu[n].tolist(), log_variance[n].tolist(), strict=True)
        divergences.append(sum((m**2 + np.exp(v) - 1 - v) / 2 for m, v in terms))
    loss, error, kl = dyne_loss(prediction, target, mu, log_variance, gamma=0.3)
    assert error.item() == pytest.approx(np.mean(errors), rel=1e-5)
    assert kl.item() == pytest.approx(np.mean(divergences), rel=1e-5)
    assert loss.item() == pytest.approx(np.mean(errors) + 0.3 * np.mean(divergences), rel=1e-5)
    assert prediction_loss(prediction, target).item() == pytest.approx(np.mean(errors), rel=1e-5)


def decoder_and_encoder(k=3):
    low, high = bounds("toy_envs:WalkSkewed-v0")
    decoder = ActionDecoder(low, high, k)
    decoder.whitening.fit(normal(100, 2) * 3 + 1)
    return decoder, ActionEncoder(low, high, k)


@pytest.mark.parametrize("form", ["squared", "l2"])
def test_the_objective_of_the_decoder_is_that_of_a_loop_over_samples(form):
    decoder, encoder = decoder_and_encoder()
    z = normal(8, 2)
    low, high = (np.array(b) for b in BOUNDS["toy_envs:WalkSkewed-v0"])
    mean, std = decoder.whitening.mean.numpy(), decoder.whitening.std.numpy()
    reconstructions, norms = [], []
    for n in range(8):
        actions = decoder(z[n : n + 1]).detach()
        again = (encoder(actions)[0].detach().numpy()[0] - mean) / std
        reconstructions.append(sum((again[d] - z[n, d].item()) ** 2 for d in range(2)))
        unit = [2 * (a - low) / (high - low) - 1 for a in actions[0].numpy()]
        squares = [sum(a * a) for a in unit]
        norms.append(sum(squares) if form == "squared" else sum(np.sqrt(squares)))
    loss, reconstruction, norm = decoder_loss(decoder, encoder, z, form, weight=0.02)
    assert reconstruction.item() == pytest.approx(np.mean(reconstructions), rel=1e-4)
    assert norm.item() == pytest.approx(np.mean(norms), rel=1e-4)
    assert loss.item() == pytest.approx(np.mean(reconstructions) + 0.02 * np.mean(norms), rel=1e-4)


@pytest.mark.parametrize("form", ["squared", "l2"])
def test_the_weight_of_the_norm_does_not_change_with_the_batch(form):
    decoder, encoder = decoder_and_encoder()
    z = normal(4, 2)
    few = torch.stack(decoder_loss(decoder, encoder, z, form, 0.1))
    many = torch.stack(decoder_loss(decoder, encoder, z.repeat(32, 1), form, 0.1))
    torch.testing.assert_close(few, many)


def test_the_norm_is_zero_at_the_middle_of_the_bounds_and_counts_every_step():
    encoder = ActionEncoder(*bounds("toy_envs:WalkSkewed-v0"), k=3)
    middle = torch.tensor([1.0, 0.0]).repeat(1, 3, 1)
    assert action_norm(encoder, middle, "squared") == action_norm(encoder, middle, "l2") == 0
    top = torch.tensor([3.0, 2.0]).repeat(1, 3, 1)
    assert action_norm(encoder, top, "squared").item() == pytest.approx(6)
    assert action_norm(encoder, top, "l2").item() == pytest.approx(3 * np.sqrt(2))


@pytest.mark.parametrize("env_id", BOUNDS)
def test_decoded_actions_span_the_bounds_and_never_leave_them(env_id):
    low, high = bounds(env_id)
    decoder = ActionDecoder(low, high, k=4)
    actions = decoder(normal(1000, len(low)) * 1000).detach().numpy()
    assert (actions >= low - 1e-6).all() and (actions <= high + 1e-6).all()
    torch.nn.init.zeros_(decoder.layers[-1].weight)
    for value, expected in ((-100, low), (0, (low + high) / 2), (100, high)):
        torch.nn.init.constant_(decoder.layers[-1].bias, value)
        np.testing.assert_allclose(decoder(normal(1, len(low))).detach().numpy()[0], np.tile(expected, (4, 1)))


# ---- gradients ----


def flags(*more):
    return embedding.main.parse(["--gamma", "0.3", "--norm_weight", "0.05", *more])


def assert_gradients(modules, gradients):
    """What was written out is what autograd has left in the layers."""
    for name, module in modules.items():
        for layer, weight, bias in zip(module[::2], gradients[name][::2], gradients[name][1::2], strict=True):
            lies_transposed = layer.in_features > layer.out_features
            torch.testing.assert_close(
                weight if lies_transposed else weight.T, layer.weight.grad, atol=1e-12, rtol=1e-9
            )
            torch.testing.assert_close(bias, layer.bias.grad, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("more", [[], ["--no_state"]])
def test_gradients_of_the_embedding_are_those_of_autograd_in_float64(more):
    args, (low, high) = flags(*more), bounds("toy_envs:WalkSkewed-v0")
    data = Windows(*(normal(40, *shape, seed=i).double() for i, shape in enumerate([(3,), (4, 2), (3,)])))
    encoder, predictor = ActionEncoder(low, high, 4).double(), Predictor(3, 2, not args.no_state).double()
    training = embedding.encoder_training.EncoderTraining(data, encoder, predictor, "", args, None)
    noise = normal(40, 2, seed=9).double()
    losses, gradients = training.gradients(training.actions, training.states, training.targets, noise)
    mu, log_variance = encoder(data.actions)
    prediction = predictor(training.states, sample_embedding(mu, log_variance, noise))
    literal = dyne_loss(prediction, training.targets, mu, log_variance, args.gamma)
    literal[0].backward()
    torch.testing.assert_close(torch.stack(losses), torch.stack(literal))
    assert_gradients({"encoder": encoder.layers, "predictor": predictor.layers}, gradients)


@pytest.mark.parametrize("form", ["squared", "l2"])
@pytest.mark.parametrize("span", ["bounds", "unit"])
def test_gradients_of_the_decoder_are_those_of_autograd_in_float64(form, span):
    args, (low, high) = flags("--norm", form, "--decoder_range", span), bounds("toy_envs:WalkSkewed-v0")
    encoder = ActionEncoder(low, high, 3).double()
    decoder = ActionDecoder(*decoder_span(args, low, high), 3).double()
    training, z = DecoderTraining(normal(50, 3, 2).double(), encoder, decoder, args, None), normal(30, 2).double()
    training.begin()
    encoder.requires_grad_(False)
    losses, gradients = training.gradients(z, args.norm_weight)
    literal = decoder_loss(decoder, encoder, z, form, args.norm_weight)
    literal[0].backward()
    torch.testing.assert_close(torch.stack(losses), torch.stack(literal))
    assert_gradients({"decoder": decoder.layers}, {"decoder": gradients})


def test_the_weight_of_the_norm_falls_to_lambda():
    found = [annealed_weight(progress, 1e-4) for progress in (0, 0.35, 0.69, 0.7, 1)]
    assert found[0] == pytest.approx(0.3) and found[1] == pytest.approx((0.3 * 1e-4) ** 0.5)
    assert 1e-4 < found[2] < 1.2e-4 and found[3:] == [1e-4, 1e-4]
    assert annealed_weight(0, 0.0) == 0 and annealed_weight(0, 0.5) == 0.5


def test_the_learning_rate_of_the_decoder_rises_and_falls():
    args = argparse.Namespace(decoder_lr=1e-3, decoder_warmup=0.1, decoder_schedule="annealed")
    found = [learning_rate(args, progress) for progress in (0, 0.05, 0.1, 0.5, 1)]
    assert found == pytest.approx([0, 5e-4 * (1 + np.cos(0.05 * np.pi)) / 2, 1e-3 * 0.97553, 5e-4, 0], rel=1e-3)
    args.decoder_warmup = 0
    assert learning_rate(args, 0.0) == 1e-3


def test_one_embedding_is_decoded_as_a_batch_of_it_is():
    decoder = ActionDecoder(np.array([-1.0, -2.0], np.float32), np.array([1.0, 2.0], np.float32), 3).requires_grad_(
        False
    )
    z = torch.tensor([0.5, -1.5])
    torch.testing.assert_close(decoder(z), decoder(z[None])[0])
    torch.testing.assert_close(decoder(z.expand(4, 5, 2))[1, 2], decoder(z.expand(20, 2))[7])
    assert decoder(z).shape == (3, 2)


def test_a_constant_schedule_changes_neither_learning_rate_nor_weight():
    args = argparse.Namespace(decoder_lr=1e-4, decoder_warmup=0.1, norm_weight=1e-4, decoder_schedule="constant")
    for progress in (0, 0.05, 0.5, 1):
        assert learning_rate(args, progress) == 1e-4 and norm_weight(args, progress) == 1e-4
    args.decoder_schedule = "annealed"
    assert learning_rate(args, 0.5) < 1e-4 < norm_weight(args, 0.5)
