"""What a policy and its critics see: observations as they are, embeddings of images, or the images themselves.

A state space also makes the environments that are observed in its way, with `observed` numbers an observation. Its
states, arrays of `shape`, are a function of the observations since the episode's start, of nothing else.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch

from common import entries
from common.environments import make_env
from common.pixel_environments import make_pixel_env
from embedding.frozen_encoder import frozen
from embedding.pixel_models import ImageEncoder
from envs.pixels import FRAMES, SIZE, SOURCE_WIDTHS
from rl.protocols import Content, StateSpace


class ObservedStates:
    """The environment's own observations.

    Args:
        dim: O, how many numbers they have.
    """

    shape: tuple[int, ...]
    bytes_once: float
    bytes_a_seed: float
    bytes_once = bytes_a_seed = 0  # that environments take beyond those without images: in all, and the two of a seed

    def __init__(self, dim: int) -> None:
        self.shape, self.observed = (dim,), dim
        self.description = f"observations of {dim} numbers"

    def make_env(self, env_id: str, flag: str = "--env", **kwargs: Any) -> gymnasium.Env:
        """Makes an environment whose observations `encode` takes; errors as in `common.environments.make_env`."""
        return make_env(env_id, flag, **kwargs)

    def encode(self, observations: Sequence[np.ndarray], previous: np.ndarray | None = None) -> np.ndarray:
        """States of M environments: observations (M, O) to float32 (M, O)."""
        with np.errstate(all="ignore"):  # what becomes infinite is found by who asked
            return np.stack(observations).astype(np.float32)

    def content(self) -> Content:
        """What `from_content` builds the same space from: plain values and tensors."""
        return {"kind": "observations", "dim": self.shape[0]}


class FrameStates:
    """The four newest frames, (12, 64, 64) uint8: for Pixel-TD3, which learns to see by itself.

    Args:
        source_img_width: the width that is drawn, pixels.
    """

    shape: tuple[int, ...] = (3 * FRAMES, SIZE, SIZE)
    image_shape = shape  # of an observation, whatever is made of it
    observed = math.prod(shape)
    bytes_once, bytes_a_seed = 110e6, 96e6

    def __init__(self, source_img_width: int) -> None:
        self.source_img_width = source_img_width
        self.description = f"images, drawn {source_img_width} wide"

    def make_env(self, env_id: str, flag: str = "--env", **kwargs: Any) -> gymnasium.Env:
        """Makes an environment that observes its newest frames; errors as in `make_pixel_env`.

        Raises:
            TypeError: it is to be made with other arguments than `render_mode="rgb_array"`, which it has anyway.
        """
        if kwargs.items() - {("render_mode", "rgb_array")}:
            raise TypeError(
                f"an environment that observes images draws rgb_array of its own size, and takes no {kwargs}"
            )
        return make_pixel_env(env_id, self.source_img_width, flag=flag)

    def encode(self, observations: Sequence[np.ndarray], previous: np.ndarray | None = None) -> np.ndarray:
        """Stacks of M environments, uint8 (M, 12, 64, 64)."""
        return np.stack(observations)

    def content(self) -> Content:
        """What `from_content` builds the same space from: plain values and tensors."""
        return {"kind": "frames", "source_img_width": self.source_img_width}


class EncodedFrames(FrameStates):
    """Frames as a frozen encoder sees them; the base of the two spaces below.

    Args:
        encoder: `ImageEncoder`, frozen, in eval mode.
        source_img_width: the width that it was trained on.
        device: torch device that it runs on.
    """

    kind: ClassVar[str]

    def __init__(self, encoder: ImageEncoder, source_img_width: int, device: torch.device) -> None:
        super().__init__(source_img_width)
        self.encoder, self.device = encoder.to(device), device
        self._of_one = frozen(encoder) if device.type == "cpu" else None

    @torch.no_grad()
    def _mu(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """mu of images (M, C, 64, 64) uint8, as float32 (M, D).

        On the CPU one by one: their sums then are those of an image alone, whatever is beside it, and a batch of a few
        is hardly faster.
        """
        batch = torch.from_numpy(np.stack(images))
        if self._of_one is not None:
            return torch.cat([self._of_one(image) for image in batch.split(1)]).numpy()
        return self.encoder(batch.to(self.device))[0].cpu().numpy()

    def content(self) -> Content:
        """What `from_content` builds the same space from: plain values and tensors."""
        sizes = {"kind": self.kind, "channels": self.encoder.channels, "width": self.encoder.width}
        weights = {name: tensor.cpu() for name, tensor in self.encoder.state_dict().items()}
        return sizes | {"source_img_width": self.source_img_width, "encoder": weights}


class DynEStates(EncodedFrames):
    """mu_s of the four newest frames, the encoder being DynE's e_s of stacks (paper, section 5.3 and appendix B)."""

    kind: ClassVar[str] = "dyne"

    def __init__(self, encoder: ImageEncoder, source_img_width: int, device: torch.device) -> None:
        super().__init__(encoder, source_img_width, device)
        self.shape = (encoder.width,)
        self.description = f"embeddings of images, {encoder.width} wide"

    def encode(self, observations: Sequence[np.ndarray], previous: np.ndarray | None = None) -> np.ndarray:
        """States of M environments: stacks (M, 12, 64, 64) uint8 to mu_s (M, D) float32."""
        return self._mu(observations)


class VAEStates(EncodedFrames):
    """The encodings of the four newest frames, side by side, oldest first; the encoder is a VAE's, of one frame."""

    kind: ClassVar[str] = "vae"

    def __init__(self, encoder: ImageEncoder, source_img_width: int, device: torch.device) -> None:
        super().__init__(encoder, source_img_width, device)
        self.shape = (FRAMES * encoder.width,)
        self.description = f"encodings of {FRAMES} images, {encoder.width} wide each"

    def encode(self, observations: Sequence[np.ndarray], previous: np.ndarray | None = None) -> np.ndarray:
        """States of M environments, (M, 4 D) float32.

        Args:
            observations: stacks (M, 12, 64, 64) uint8, of which the newest frame is encoded.
            previous: (M, 4 D), their states one step before; None where an episode begins: its first frame stands for
                those before it.
        """
        newest = self._mu([stack[-3:] for stack in observations])
        if previous is None:
            return np.tile(newest, FRAMES)
        return np.concatenate([previous[:, self.encoder.width :], newest], axis=1)


def from_content(content: Content, device: torch.device) -> StateSpace:
    """The state space that `content()` described; raises `CheckpointError` if it describes none."""
    kind = entries.choice(content, "kind", "observations", "frames", "dyne", "vae")
    if kind == "observations":
        return ObservedStates(entries.whole(content, "dim", 1))
    drawn = entries.choice(content, "source_img_width", *SOURCE_WIDTHS)
    if kind == "frames":
        return FrameStates(drawn)
    space, frames = {"dyne": (DynEStates, FRAMES), "vae": (VAEStates, 1)}[kind]
    channels, width = entries.choice(content, "channels", 3 * frames), entries.whole(content, "width", 1)
    return space(entries.network(content, "encoder", lambda: ImageEncoder(channels, width)), drawn, device)
