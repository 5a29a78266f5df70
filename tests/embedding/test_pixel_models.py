"""Networks and objectives of images, against literal formulas; their sizes, schedule and files."""

import math

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from common import checkpoint
from embedding.models import ActionEncoder
from embedding.pixel_models import (
    STATE_DIM,
    VAE,
    VAE_DIM,
    ImageDecoder,
    ImageEncoder,
    PixelEmbedding,
    PixelPredictor,
    image_loss,
    kl_weight,
    load_pixel_embedding,
    load_vae,
    pixel_loss,
    save_pixel_embedding,
    save_vae,
)


def images(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


# ---- objectives ----


def literal_error(logits, target, likelihood):
    """Term (1) by a loop over values in Python's own numbers."""
    total = 0.0
    for logit, byte in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True):
        p, x = 1 / (1 + math.exp(-logit)), byte / 255
        total += (p - x) ** 2 if likelihood == "mse" else -(x * math.log(p) + (1 - x) * math.log(1 - p))
    return total / logits.numel()


def literal_kl(mu, log_variance):
    """D_KL(N(mu, sigma^2) || N(0, I)), summed over dimensions, averaged over the batch."""
    total = 0.0
    for m, v in zip(mu.flatten().tolist(), log_variance.flatten().tolist(), strict=True):
        total += (m * m + math.exp(v) - 1 - v) / 2
    return total / len(mu)


@pytest.mark.parametrize("likelihood", ["mse", "bce"])
def test_the_loss_is_the_formula(likelihood):
    logits, target = 2 * torch.randn(3, 2, 3, 4, 5), images(3, 2, 3, 4, 5)
    mu_s, v_s, mu_a, v_a = torch.randn(3, 7), torch.randn(3, 7), torch.randn(3, 2), torch.randn(3, 2)
    loss, error, (kl_s, kl_a) = pixel_loss(logits, target, likelihood, [(mu_s, v_s, 0.3), (mu_a, v_a, 0.05)])
    wanted = literal_error(logits, target, likelihood), literal_kl(mu_s, v_s), literal_kl(mu_a, v_a)
    assert (error.item(), kl_s.item(), kl_a.item()) == pytest.approx(wanted, rel=1e-5)
    assert loss.item() == pytest.approx(wanted[0] + 0.3 * wanted[1] + 0.05 * wanted[2], rel=1e-5)


@pytest.mark.parametrize("likelihood", ["mse", "bce"])
def test_the_right_image_is_the_best(likelihood):
    target = images(2, 3, 8, 8).clamp(1, 254)
    right = torch.logit(target.float() / 255)
    best = image_loss(right, target, likelihood)
    assert all(image_loss(right + d, target, likelihood) > best for d in (0.1, -0.1))
    if likelihood == "mse":
        assert best < 1e-12


@pytest.mark.parametrize(
    ("progress", "cycles", "wanted"),
    [(0, 2, 0), (0.25, 2, 0.5), (0.4999, 2, 0.9998), (0.5, 2, 0), (0.75, 2, 0.5), (0.9, 1, 0.9), (0.3, 0, 1)],
)
def test_the_annealing_is_a_sawtooth(progress, cycles, wanted):
    assert kl_weight(progress, cycles) == pytest.approx(wanted)


def test_the_release_s_annealing_is_the_default_at_its_length():
    """200 epochs: from 0 to 1 over 100 epochs, twice; a shorter run has as many teeth."""
    for epochs in (200, 10):
        weights = [kl_weight(epoch / epochs, 2) for epoch in range(epochs)]
        assert weights == pytest.approx([epoch % (epochs // 2) / (epochs // 2) for epoch in range(epochs)])


# ---- networks ----


def test_shapes():
    mu, log_variance = ImageEncoder(12, STATE_DIM)(images(5, 12, 64, 64))
    assert mu.shape == log_variance.shape == (5, 100) and mu.dtype == torch.float32
    mu, _ = ImageEncoder(3, VAE_DIM)(images(5, 3, 64, 64))
    assert mu.shape == (5, 25) and ImageDecoder(25, 1)(mu).shape == (5, 1, 3, 64, 64)
    assert PixelPredictor(100, 2)(torch.zeros(5, 100), torch.zeros(5, 2)).shape == (5, 2, 3, 64, 64)


@pytest.mark.parametrize(("action_dim", "repeats"), [(1, 50), (2, 25), (7, 7), (60, 1)])
def test_the_action_is_about_half_as_wide_as_the_state(action_dim, repeats):
    predictor = PixelPredictor(100, action_dim)
    assert predictor.repeats == repeats
    assert predictor.decoder.layers[0].in_features == 100 + repeats * action_dim


def test_layers_are_those_of_the_dcgan():
    encoder, decoder = ImageEncoder(12, 100), ImageDecoder(150, 2)
    down = [m for m in encoder.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [m.out_channels for m in down] == [32, 64, 128, 256]
    assert all((m.kernel_size, m.stride) == ((4, 4), (2, 2)) for m in down)
    norms = [m.num_features for m in encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms == [12, 64, 128, 256]
    for head in decoder.heads:
        up = [m for m in head if isinstance(m, torch.nn.ConvTranspose2d)]
        assert [m.out_channels for m in up] == [256, 128, 64, 32, 3] and up[0].in_channels == 400
    wide = [m for net in (encoder, decoder) for m in net.modules() if isinstance(m, torch.nn.Linear)]
    assert [(m.in_features, m.out_features) for m in wide] == [(4096, 400), (400, 200), (150, 400), (400, 400)]


def test_operations_of_a_sample():
    """0.18 GFLOP forward, 0.54 with the gradients: the size that the cost of a run is reckoned with."""
    encoder, predictor, action_encoder = (
        ImageEncoder(12, 100),
        PixelPredictor(100, 2),
        ActionEncoder([-1] * 2, [1] * 2, 4),
    )
    with FlopCounterMode(display=False) as forward:
        mu, _ = encoder(images(2, 12, 64, 64))
        logits = predictor(mu, action_encoder(torch.zeros(2, 4, 2))[0])
    with FlopCounterMode(display=False) as backward:
        image_loss(logits, images(2, 2, 3, 64, 64), "bce").backward()
    assert forward.get_total_flops() / 2 == pytest.approx(0.18e9, rel=0.02)
    assert (forward.get_total_flops() + backward.get_total_flops()) / 2 == pytest.approx(0.54e9, rel=0.02)


def test_an_encoding_does_not_depend_on_those_beside_it():
    encoder = ImageEncoder(12, 100)
    batch = images(6, 12, 64, 64)
    encoder(batch)  # moves the running statistics
    encoder.eval()
    with torch.no_grad():
        together, alone = encoder(batch)[0], torch.cat([encoder(image[None])[0] for image in batch])
    torch.testing.assert_close(together, alone)
    assert (together[0] - together[1]).abs().max() > 1e-4


def test_both_inputs_reach_the_prediction_and_all_weights_get_gradients():
    encoder, predictor, action_encoder = (
        ImageEncoder(12, 100),
        PixelPredictor(100, 2),
        ActionEncoder([-1] * 2, [1] * 2, 4),
    )
    mu, log_variance = encoder(images(4, 12, 64, 64))
    mu_a, log_variance_a = action_encoder(torch.randn(4, 4, 2))
    logits = predictor(mu + log_variance, mu_a + log_variance_a)
    loss, *_ = pixel_loss(
        logits, images(4, 2, 3, 64, 64), "bce", [(mu, log_variance, 1e-3), (mu_a, log_variance_a, 1e-3)]
    )
    loss.backward()
    for module in (encoder, predictor, action_encoder):
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


# ---- files ----


@pytest.fixture
def embedding():
    low, high = torch.tensor([-1.0, -2.0]), torch.tensor([3.0, 2.0])
    networks = ImageEncoder(12, 30), ActionEncoder(low, high, 3), PixelPredictor(30, 2)
    networks[0](images(4, 12, 64, 64))
    return PixelEmbedding(*networks, k=3, env_name="lab:Some-v0", source_img_width=128)


def test_a_pixel_embedding_is_complete_in_its_file(embedding, tmp_path):
    save_pixel_embedding(tmp_path / "encoder.pt", embedding)
    loaded = load_pixel_embedding(tmp_path / "encoder.pt")
    assert (loaded.k, loaded.env_name, loaded.source_img_width) == (3, "lab:Some-v0", 128)
    stacks, actions = images(2, 12, 64, 64), torch.rand(2, 3, 2)
    for module in (embedding.state_encoder, embedding.action_encoder, embedding.predictor):
        module.eval()
    for name, inputs in {"state_encoder": (stacks,), "action_encoder": (actions,)}.items():
        assert torch.equal(getattr(embedding, name)(*inputs)[0], getattr(loaded, name)(*inputs)[0])
    codes = torch.randn(2, 30), torch.randn(2, 2)
    assert torch.equal(embedding.predictor(*codes), loaded.predictor(*codes))
    for module in (loaded.state_encoder, loaded.action_encoder, loaded.predictor):
        assert not module.training and not any(p.requires_grad for p in module.parameters())


def test_a_vae_is_complete_in_its_file(embedding, tmp_path):
    vae = VAE(ImageEncoder(3, 25).eval(), ImageDecoder(25, 1).eval(), "Some-v0", 64)
    save_vae(tmp_path / "encoder.pt", vae)
    loaded = load_vae(tmp_path / "encoder.pt")
    assert (loaded.env_name, loaded.source_img_width) == ("Some-v0", 64)
    frames = images(2, 3, 64, 64)
    assert torch.equal(vae.encoder(frames)[0], loaded.encoder(frames)[0])
    assert torch.equal(vae.decoder(torch.ones(1, 25)), loaded.decoder(torch.ones(1, 25)))
    save_pixel_embedding(tmp_path / "pixels.pt", embedding)
    for load, path in ((load_vae, "pixels.pt"), (load_pixel_embedding, "encoder.pt")):
        with pytest.raises(checkpoint.CheckpointError, match="not a"):
            load(tmp_path / path)
