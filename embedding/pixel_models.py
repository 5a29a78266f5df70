"""The image encoder e_s, the predictor f of images, the VAE, and their objectives (paper, sections 2.2 and B).

Both are made of the DCGAN's convolutions: 4 x 4, stride 2, 32-64-128-256 channels, batch norm; LeakyReLU downwards, ReLU
upwards. Images come as uint8; logits go out, their sigmoid is the image in [0, 1].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from common import checkpoint, entries
from embedding.models import HIDDEN, ActionEncoder, encoder_from, kl_from_standard_normal
from envs.pixels import FRAMES, SOURCE_WIDTHS

CHANNELS = (32, 64, 128, 256)
STATE_DIM = 100  # of z_s (appendix B)
VAE_DIM = 25  # of one frame's encoding, so that four are as wide as z_s
PREDICTED = 2  # frames: those at t+k-1 and t+k (appendix B)
PIXEL_ENCODER = "pixel encoder"  # the kind of its file
SLOPE = 0.2  # of LeakyReLU, as in the DCGAN


def to_unit(images: torch.Tensor) -> torch.Tensor:
    """Images uint8 to float32 in [0, 1]."""
    return images.float() / 255


class ImageEncoder(nn.Module):
    """Images (B, C, 64, 64) uint8 to mu (B, D) and log sigma^2 (B, D): e_s, and the VAE's encoder.

    Batch norm on the input and after every convolution but the first. In eval mode an image's encoding does not depend
    on those beside it.

    Args:
        channels: C, three times the number of frames.
        width: D.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.channels, self.width = channels, width
        layers: list[nn.Module] = [nn.BatchNorm2d(channels)]
        inputs = channels
        for i, outputs in enumerate(CHANNELS):
            layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=i == 0))
            layers += [nn.BatchNorm2d(outputs)] if i else []
            layers.append(nn.LeakyReLU(SLOPE))
            inputs = outputs
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        self.layers = nn.Sequential(nn.Linear(16 * inputs, HIDDEN), nn.LeakyReLU(SLOPE), nn.Linear(HIDDEN, 2 * width))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The distribution of the images' embeddings."""
        mu, log_variance = self.layers(self.convolutions(to_unit(images))).float().chunk(2, dim=1)
        return mu, log_variance


class ImageDecoder(nn.Module):
    """Codes (B, I) to the logits of `heads` images, (B, heads, 3, 64, 64).

    I -> 400 -> 400, then for each image transposed convolutions of its own, 256-128-64-32-3, with batch norm after each
    but the last.
    """

    def __init__(self, inputs: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
        self.heads = nn.ModuleList(_head() for _ in range(heads))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Logits of the images, float32."""
        hidden = self.layers(codes)[:, :, None, None]
        return torch.stack([head(hidden).float() for head in self.heads], dim=1)


def _head() -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = HIDDEN
    for i, outputs in enumerate(reversed(CHANNELS)):
        stride, padding = (2, 1) if i else (1, 0)  # the first makes 4 x 4 of 1 x 1
        layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False))
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        inputs = outputs
    return nn.Sequential(*layers, nn.ConvTranspose2d(inputs, 3, 4, stride=2, padding=1))


class PixelPredictor(nn.Module):
    """f for images: z_s (B, D) and z_a (B, A) to the logits of the frames at t+k-1 and t+k, (B, 2, 3, 64, 64).

    z_a is repeated until it is about half as wide as z_s: by itself it would hardly be seen beside it.
    """

    def __init__(self, state_dim: int, action_dim: int) -> None:
        super().__init__()
        self.repeats = max(1, state_dim // 2 // action_dim)
        self.decoder = ImageDecoder(state_dim + self.repeats * action_dim, PREDICTED)

    def forward(self, z_s: torch.Tensor, z_a: torch.Tensor) -> torch.Tensor:
        """The logits."""
        return self.decoder(torch.cat([z_s, z_a.repeat(1, self.repeats)], dim=1))


# ---- objectives ----


def image_loss(logits: torch.Tensor, images: torch.Tensor, likelihood: str) -> torch.Tensor:
    """Term (1) for images: -log p(image | z), averaged over the images' dimensions (appendix B) and the batch.

    Args:
        logits: (B, ..., 64, 64); images: (B, ..., 64, 64) uint8.
        likelihood: `mse`, an isotropic Normal, ||sigmoid(logits) - image||^2 (paper); `bce`, the cross-entropy of each
            value in [0, 1] as a probability (release).
    """
    target = to_unit(images)
    if likelihood == "mse":
        return F.mse_loss(torch.sigmoid(logits), target)
    return F.binary_cross_entropy_with_logits(logits, target)


def pixel_loss(
    logits: torch.Tensor,
    images: torch.Tensor,
    likelihood: str,
    regularised: Sequence[tuple[torch.Tensor, torch.Tensor, float]],
) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """The objective L of section 2.2 for images: term (1) + sum of weight * KL, terms (2) and (3).

    Args:
        regularised: list of (mu (B, D), log_variance (B, D), weight).
    Returns:
        the loss; then detached: term (1), and the list of KL divergences in nats, summed over D, averaged over B.
    """
    error = image_loss(logits, images, likelihood)
    divergences = [kl_from_standard_normal(mu, log_variance) for mu, log_variance, _ in regularised]
    loss = error + sum(weight * kl for kl, (_, _, weight) in zip(divergences, regularised, strict=True))
    return loss, error.detach(), [kl.detach() for kl in divergences]


def kl_weight(progress: float, cycles: int) -> float:
    """Cyclic annealing (Liu et al. 2019): what beta and gamma are multiplied by, a sawtooth from 0 to 1.

    Args:
        progress: how much of all training is done, in [0, 1).
        cycles: the number of teeth; 2 in the release's 200 epochs. 0: no annealing, always 1.
    """
    return progress * cycles % 1 if cycles else 1.0


# ---- files ----


@dataclass
class PixelEmbedding:
    """A pixel embedding as its file holds it: networks in eval mode, frozen, on the CPU.

    Attributes:
        state_encoder: e_s, `ImageEncoder` of stacks (B, 12, 64, 64); its mu is the state of a policy.
        action_encoder, predictor: e_a and f; None: f was left out, which policies do not need.
        k: actions in a sequence.
        env_name: what it was trained on, an id, or module:id as it was named.
        source_img_width: what was drawn before it was averaged, pixels.
    """

    state_encoder: ImageEncoder
    action_encoder: ActionEncoder
    predictor: PixelPredictor | None
    k: int
    env_name: str
    source_img_width: int


def save_pixel_embedding(path: str | Path, embedding: PixelEmbedding) -> None:
    """Writes a `PixelEmbedding` as a checkpoint that is complete in itself."""
    content = {
        "k": embedding.k,
        **entries.environment_entries(embedding.env_name),
        "source_img_width": embedding.source_img_width,
        "frames": FRAMES,
        "state_dim": embedding.state_encoder.width,
        "state_encoder": embedding.state_encoder.state_dict(),
        "action_encoder": embedding.action_encoder.state_dict(),
        "predictor": None if embedding.predictor is None else embedding.predictor.state_dict(),
    }
    checkpoint.save(path, PIXEL_ENCODER, content)


def load_pixel_embedding(path: str | Path) -> PixelEmbedding:
    """Reads what `save_pixel_embedding` wrote; raises `checkpoint.CheckpointError` for anything else."""
    found = checkpoint.load(path, PIXEL_ENCODER)
    with entries.naming(path):
        frames, width = entries.choice(found, "frames", FRAMES), entries.whole(found, "state_dim", 1)
        action_encoder = encoder_from(found, "action_encoder")
        state_encoder = entries.network(found, "state_encoder", lambda: ImageEncoder(3 * frames, width))
        predictor = None
        if "predictor" not in found or found["predictor"] is not None:
            predictor = entries.network(found, "predictor", lambda: PixelPredictor(width, action_encoder.action_dim))
        drawn = entries.choice(found, "source_img_width", *SOURCE_WIDTHS)
        environment = entries.environment(found)
    return PixelEmbedding(state_encoder, action_encoder, predictor, action_encoder.k, environment, drawn)


@dataclass
class VAE:
    """A VAE of single frames as its file holds it: networks in eval mode, frozen, on the CPU.

    Attributes:
        encoder: `ImageEncoder` of frames (B, 3, 64, 64); the mus of the four newest are the state of a policy.
        decoder: `ImageDecoder` of one image.
        env_name, source_img_width: as in `PixelEmbedding`.
    """

    encoder: ImageEncoder
    decoder: ImageDecoder
    env_name: str
    source_img_width: int


def save_vae(path: str | Path, vae: VAE) -> None:
    """Writes a `VAE` as a checkpoint that is complete in itself."""
    content = {
        **entries.environment_entries(vae.env_name),
        "source_img_width": vae.source_img_width,
        "width": vae.encoder.width,
        "encoder": vae.encoder.state_dict(),
        "decoder": vae.decoder.state_dict(),
    }
    checkpoint.save(path, "vae", content)


def load_vae(path: str | Path) -> VAE:
    """Reads what `save_vae` wrote; raises `checkpoint.CheckpointError` for anything else."""
    found = checkpoint.load(path, "vae")
    with entries.naming(path):
        width = entries.whole(found, "width", 1)
        encoder = entries.network(found, "encoder", lambda: ImageEncoder(3, width))
        decoder = entries.network(found, "decoder", lambda: ImageDecoder(width, 1))
        drawn = entries.choice(found, "source_img_width", *SOURCE_WIDTHS)
        return VAE(encoder, decoder, env_name=entries.environment(found), source_img_width=drawn)
