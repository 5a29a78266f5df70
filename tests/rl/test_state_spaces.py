"""What policies see: state spaces of images."""

import numpy as np
import pytest
import torch
import toy_pixel_envs  # noqa: F401  (registers its environments)

import embedding.frozen_encoder
from common.pixel_environments import make_pixel_env
from embedding.pixel_models import ImageEncoder
from rl.state_spaces import DynEStates, FrameStates, ObservedStates, VAEStates, from_content

CPU = torch.device("cpu")


def random_encoder(channels, width):
    """An encoder of random weights whose batch norms are not those of nothing seen."""
    encoder = ImageEncoder(channels, width)
    with torch.no_grad():
        encoder(torch.randint(0, 256, (8, channels, 64, 64), dtype=torch.uint8))
        for norm in (module for module in encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)):
            norm.weight.uniform_(0.5, 2)
            norm.bias.uniform_(-1, 1)
    return encoder.eval().requires_grad_(False)


def stacks(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 12, 64, 64), dtype=np.uint8)


def test_dyne_states_are_the_means_of_their_stacks_whatever_is_beside_them():
    encoder, images = random_encoder(12, 7), stacks(3)
    space = DynEStates(encoder, 64, CPU)
    states = space.encode(list(images))
    for image, state in zip(images, states, strict=True):
        alone = encoder(torch.from_numpy(image)[None])[0][0].numpy()
        np.testing.assert_allclose(state, alone, rtol=0, atol=1e-5 * np.abs(alone).max())  # rounding
        assert np.array_equal(space.encode([image])[0], state)
    assert states.dtype == np.float32 and states.shape == (3, 7) and space.shape == (7,)


def test_what_an_environment_of_images_cannot_be_made_with_is_refused():
    space = FrameStates(64)
    assert space.make_env("toy_pixel_envs:Dot-v0", render_mode="rgb_array").observation_space.shape == (12, 64, 64)
    for other in ({"render_mode": "human"}, {"max_episode_steps": 3}):
        with pytest.raises(TypeError, match=next(iter(other))):
            space.make_env("toy_pixel_envs:Dot-v0", **other)


def test_without_onednn_an_encoder_is_taken_as_it_is(monkeypatch):
    def missing(encoder):
        raise AttributeError("_reorder_convolution_weight")

    monkeypatch.setattr(embedding.frozen_encoder, "FrozenEncoder", missing)
    encoder, images = random_encoder(12, 7), stacks(2)
    literal = torch.cat([encoder(image[None])[0] for image in torch.from_numpy(images)]).numpy()
    assert np.array_equal(DynEStates(encoder, 64, CPU).encode(list(images)), literal)


def test_vae_states_are_the_encodings_of_the_four_frames_of_the_stack():
    encoder, env = random_encoder(3, 5), make_pixel_env("toy_pixel_envs:Dot-v0", 64)
    space, state = VAEStates(encoder, 64, CPU), None
    stack, _ = env.reset(seed=3)
    for step in range(6):
        state = space.encode([stack], state)
        frames = torch.from_numpy(stack).view(4, 1, 3, 64, 64)
        literal = torch.cat([encoder(frame)[0][0] for frame in frames]).numpy()
        np.testing.assert_allclose(state[0], literal, rtol=0, atol=1e-5 * np.abs(literal).max(), err_msg=f"step {step}")
        stack = env.step(np.array([0.3 * step], np.float32))[0]
    assert space.shape == (20,)
    beside = space.encode([stack, stack[::-1]], np.concatenate([state, 0 * state]))
    assert np.array_equal(beside[0], space.encode([stack], state)[0])


def test_a_state_space_is_built_again_from_its_content():
    for space in (DynEStates(random_encoder(12, 7), 128, CPU), VAEStates(random_encoder(3, 5), 64, CPU)):
        again = from_content(space.content(), CPU)
        assert type(again) is type(space) and again.source_img_width == space.source_img_width
        assert np.array_equal(again.encode(list(stacks(2))), space.encode(list(stacks(2))))
    assert from_content(FrameStates(64).content(), CPU).source_img_width == 64


def test_observations_that_float32_has_not_are_encoded_whatever_numpy_is_to_do_about_them():
    with np.errstate(all="raise"):
        states = ObservedStates(2).encode([np.array([1e-42, 1e300])])
    assert states.tolist() == [[np.float32(1e-42), np.inf]]
