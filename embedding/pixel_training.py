"""What training pixel DynE and training a VAE have in common: flags, precision, the loop of an epoch, pictures."""

import argparse
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from common.cli import add_env_flag, non_negative_float, non_negative_int, positive_float, positive_int
from common.devices import add_precision_flag
from common.pixel_environments import add_pixel_flags
from common.streams import stream, torch_stream
from embedding.models import Losses, sample_embedding
from embedding.pixel_models import VAE, PixelEmbedding, kl_weight, pixel_loss, save_pixel_embedding, save_vae, to_unit
from embedding.pixel_play import FRAME_BYTES, PixelWindows, take_frames
from embedding.renders import Renders, to_bytes
from embedding.training import embedding_name, never
from envs.pixels import FRAMES, SIZE

COLUMNS = ["loss", "error", "regulariser", "kl_weight", "squared_error"]  # of log.csv
BYTES_A_ROW = 4_500_000  # of a batch in training, activations and gradients, pixel DynE (4.1 MB measured, fp32)
WEIGHTS = 16 * 7.5e6  # bytes: weights, gradients and Adam's two moments (7.3 million weights with k = 4, A = 2)
RENDERED = 5  # observations in a picture
SAMPLES_FREQ = 10  # epochs between pictures of samples that are kept
HELD = 128  # observations that `squared_error` is of


def add_image_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that both scripts have, but for those of `common.cli.add_common_flags`."""
    add_env_flag(parser)
    parser.add_argument("--name", type=embedding_name, default="default", help="name of this embedding")
    parser.add_argument("--steps", type=positive_int, default=100_000, help="steps of random play")
    add_pixel_flags(parser)
    parser.add_argument("--epochs", type=non_negative_int, default=200, help="epochs of the images' networks")
    parser.add_argument("--epoch_size", type=positive_int, default=10_000, help="samples an epoch")
    parser.add_argument("--batch_size", type=positive_int, default=128, help="samples a batch")
    parser.add_argument(
        "--lr", type=positive_float, default=1e-4, help="Adam's learning rate, all networks that are trained on images"
    )
    parser.add_argument("--amsgrad", action="store_true", help="the AMSGrad variant of Adam (the release's)")
    parser.add_argument(
        "--likelihood", choices=["bce", "mse"], default="bce", help="of images: cross-entropy, or squared error"
    )
    parser.add_argument("--beta", type=non_negative_float, default=5e-7, help="weight of the KL divergence of z_s")
    parser.add_argument("--kl_cycles", type=non_negative_int, default=2, help="teeth of the KL weight; 0: constant")
    add_precision_flag(parser)
    parser.add_argument("--render_freq", type=non_negative_int, default=1, help="epochs between pictures; 0: none")
    parser.add_argument("--checkpoint_freq", type=positive_int, default=10, help="epochs between checkpoints")


def memory_parts(args: argparse.Namespace, width: int) -> dict[str, float]:
    """What training takes of memory, for `require_memory`.

    Args:
        args: the script's flags.
        width: of all embeddings of a sample.
    """
    return {
        "the networks": WEIGHTS,
        f"--steps {args.steps} of random play": args.steps * 1_000,
        f"batches of --batch_size {args.batch_size}": max(args.batch_size, HELD) * BYTES_A_ROW,
        f"an epoch of --epoch_size {args.epoch_size}": args.epoch_size * (16 + 8 * width),
    }


def frames_near(frames: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The frames on `device` where they take less than half of its free memory, else where they are."""
    if device.type == "cuda" and 2 * len(frames) * FRAME_BYTES < torch.cuda.mem_get_info(device)[0]:
        return frames.to(device)
    return frames


class ImageTraining:
    """Trains networks of images; a part of `embedding.training.Training`.

    A subclass has `name` and gives `_loss`, `_reconstructions`, `_samples`, `_observations` and `finish`.

    Args:
        modules: {name: network} that are trained.
        count: how many samples there are to draw from.
        width: of all embeddings of a sample: how much noise a sample takes.
        args: the script's flags, `precision` resolved.
        folder: the run's folder.
        device: torch device.
    """

    name: str
    finishing = "this batch"
    headings: tuple[str, str, str]  # of inputs, targets and reconstructions

    def __init__(
        self,
        modules: dict[str, nn.Module],
        count: int,
        width: int,
        args: argparse.Namespace,
        folder: Path,
        device: torch.device,
    ) -> None:
        self.modules, self.count, self.width, self.args, self.device = modules, count, width, args, device
        self.epochs, self.epoch, self.renders = args.epochs, 0, Renders(folder)
        self.under_way: dict[str, Any] | None = (
            None  # the epoch that was stopped: its rows, how many are done, its sums
        )
        parameters = [p for module in modules.values() for p in module.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=args.lr, amsgrad=args.amsgrad, fused=True)
        self.draws = torch_stream(args.seed, f"{self.name}: batches and noise")
        chosen = stream(args.seed, f"{self.name}: samples looked at").integers(count, size=max(RENDERED, HELD))
        self.looked_at = torch.from_numpy(chosen)

    # ---- what a subclass gives ----

    def _loss(self, rows: torch.Tensor, noise: torch.Tensor, weight: float) -> Losses:
        """The objective on samples.

        Args:
            rows: (B,) int64.
            noise: (B, width), standard normal.
            weight: that the KL divergences are multiplied by, of the annealing.
        Returns:
            the loss; then detached: term (1), and the sum of the KL divergences in nats.
        """
        raise NotImplementedError

    def _reconstructions(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns of samples (B,) the inputs (B, I, 3, 64, 64) and targets (B, O, 3, 64, 64), uint8, and the noise-free
        reconstructions (B, O, 3, 64, 64), float in [0, 1]."""
        raise NotImplementedError

    def _samples(self, noise: torch.Tensor) -> torch.Tensor:
        """Images of embeddings (B, width) that are drawn from the prior: (B, O, 3, 64, 64) in [0, 1]."""
        raise NotImplementedError

    def _observations(self, rows: torch.Tensor) -> torch.Tensor:
        """Samples as they are: (B, I, 3, 64, 64) uint8."""
        raise NotImplementedError

    # ---- a part of Training ----

    def begin(self) -> None:
        """Nothing comes before it."""

    def run_epoch(self, stopped: Callable[[], bool] = never) -> list[float] | None:
        """One epoch; returns the mean loss, term (1) and KL divergence, the last KL weight and the squared error.

        Args:
            stopped: asked before each batch; once it is, the rest of the epoch is left to the next call.
        """
        args, begun = self.args, self.under_way
        batches = -(-args.epoch_size // args.batch_size)
        rows, done = (begun["rows"], begun["done"]) if begun else (self._rows(batches), 0)
        sums = begun["sums"].to(self.device) if begun else torch.zeros(3, device=self.device)
        self.under_way = None
        for module in self.modules.values():
            module.train()
        for batch in range(done, batches):
            if stopped():
                self.under_way = {"rows": rows, "done": batch, "sums": sums.cpu()}
                return None
            noise = torch.randn(args.batch_size, self.width, generator=self.draws).to(self.device)
            weight = kl_weight((self.epoch + batch / batches) / args.epochs, args.kl_cycles)
            loss, error, divergence = self._loss(rows[batch], noise, weight)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            sums += torch.stack([loss.detach(), error, divergence])
        self.epoch += 1
        return [*(sums / batches).tolist(), weight, self._look()]

    def _rows(self, batches: int) -> torch.Tensor:
        """The samples of an epoch, (batches, B)."""
        return torch.randint(self.count, (batches, self.args.batch_size), generator=self.draws)

    def _look(self) -> float:
        """The squared error a value, without noise, of some fixed samples; draws the epoch's pictures."""
        for module in self.modules.values():
            module.eval()
        with torch.no_grad():
            inputs, targets, found = self._reconstructions(self.looked_at)
            error = (found - to_unit(targets)).square().mean().item()
            if self.args.render_freq and self.epoch % self.args.render_freq == 0:
                shown = [to_bytes(to_unit(x[:RENDERED])) for x in (inputs, targets)] + [to_bytes(found[:RENDERED])]
                rows = [_with_gaps(parts) for parts in zip(*shown, strict=True)]
                noise = torch.randn(3 * RENDERED, self.width, generator=self._sample_stream()).to(self.device)
                samples = to_bytes(self._samples(noise)).reshape(3, -1, *shown[0].shape[2:])
                widths = [len(part[0]) for part in shown]
                headings = list(zip(self.headings, widths, strict=True))
                self.renders.epoch(self.epoch, rows, list(samples), headings, self.epoch % SAMPLES_FREQ == 0)
                if self.epoch == 1:
                    self.renders.observations(list(self._observations(self.looked_at[:RENDERED]).cpu().numpy()))
        return error

    def _sample_stream(self) -> torch.Generator:
        return torch_stream(self.args.seed, f"{self.name}: samples drawn")  # the same z every epoch

    def precision(self) -> contextlib.AbstractContextManager:
        """A context in which the networks compute as `--precision` says."""
        if self.args.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def snapshot(self) -> dict[str, Any]:
        """Everything the next epoch depends on."""
        return {
            "epoch": self.epoch,
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "optimizer": self.optimizer.state_dict(),
            "draws": self.draws.get_state(),
        } | ({"under_way": self.under_way} if self.under_way else {})

    def rewind(self, state: dict[str, Any]) -> None:
        """Goes back to a `snapshot`."""
        self.epoch = state["epoch"]
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.draws.set_state(state["draws"])
        self.under_way = state.get("under_way")


class PixelTraining(ImageTraining):
    """Trains e_s, e_a and f on windows of frames (section 2.2); see `ImageTraining`.

    Args:
        data: `PixelWindows`.
        embedding: `PixelEmbedding`, whose networks are trained.
        args, folder, device: as in `ImageTraining`.
    """

    name = "pixels"
    headings = "past", "true future", "predicted"

    def __init__(
        self,
        data: PixelWindows,
        embedding: PixelEmbedding,
        args: argparse.Namespace,
        folder: Path,
        device: torch.device,
    ) -> None:
        self.data, self.embedding, self.path = data, embedding, folder / "encoder.pt"
        self.actions = data.actions.to(device)
        self.state_encoder, self.action_encoder = embedding.state_encoder, embedding.action_encoder
        assert embedding.predictor is not None  # only published ones are without it
        self.predictor = embedding.predictor
        names = ("state_encoder", "action_encoder", "predictor")
        width = self.state_encoder.width + self.action_encoder.action_dim
        super().__init__({n: getattr(self, n) for n in names}, len(data), width, args, folder, device)

    def _batch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        stacks, targets = self.data.batch(rows)
        return stacks.to(self.device), targets.to(self.device), self.actions[rows.to(self.device)]

    def _loss(self, rows: torch.Tensor, noise: torch.Tensor, weight: float) -> Losses:
        stacks, targets, actions = self._batch(rows)
        mu_a, log_variance_a = self.action_encoder(actions)  # fp32: it is small, and its gradients are its own
        noise_s, noise_a = noise.split([self.state_encoder.width, mu_a.shape[1]], dim=1)
        with self.precision():
            mu_s, log_variance_s = self.state_encoder(stacks)
            z_s = sample_embedding(mu_s, log_variance_s, noise_s)
            logits = self.predictor(z_s, sample_embedding(mu_a, log_variance_a, noise_a))
        regularised = [
            (mu_s, log_variance_s, self.args.beta * weight),
            (mu_a, log_variance_a, self.args.gamma * weight),
        ]
        loss, error, (kl_s, kl_a) = pixel_loss(logits, targets, self.args.likelihood, regularised)
        return loss, error, kl_s + kl_a

    def _reconstructions(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        stacks, targets, actions = self._batch(rows)
        with self.precision():
            logits = self.predictor(self.state_encoder(stacks)[0], self.action_encoder(actions)[0])
        return stacks.view(-1, FRAMES, 3, SIZE, SIZE), targets, torch.sigmoid(logits)

    def _samples(self, noise: torch.Tensor) -> torch.Tensor:
        with self.precision():
            return torch.sigmoid(self.predictor(*noise.split([self.state_encoder.width, self.width_a], dim=1)))

    @property
    def width_a(self) -> int:
        """The width of z_a."""
        return self.action_encoder.action_dim

    def _observations(self, rows: torch.Tensor) -> torch.Tensor:
        return self.data.batch(rows)[0].view(-1, FRAMES, 3, SIZE, SIZE)

    def finish(self) -> None:
        """Writes encoder.pt."""
        save_pixel_embedding(self.path, self.embedding)


class VAETraining(ImageTraining):
    """Trains a VAE on frames: one in, the same one out; see `ImageTraining`.

    Args:
        frames: (F, 3, 64, 64) uint8.
        vae: `VAE`, whose networks are trained.
        args, folder, device: as in `ImageTraining`.
    """

    name = "vae"
    headings = "input", "target", "reconstruction"

    def __init__(
        self, frames: torch.Tensor, vae: VAE, args: argparse.Namespace, folder: Path, device: torch.device
    ) -> None:
        self.frames, self.vae, self.path = frames, vae, folder / "encoder.pt"
        modules = {"encoder": vae.encoder, "decoder": vae.decoder}
        super().__init__(modules, len(frames), vae.encoder.width, args, folder, device)

    def _batch(self, rows: torch.Tensor) -> torch.Tensor:
        return take_frames(self.frames, rows).to(self.device)

    def _loss(self, rows: torch.Tensor, noise: torch.Tensor, weight: float) -> Losses:
        frames = self._batch(rows)
        with self.precision():
            mu, log_variance = self.vae.encoder(frames)
            logits = self.vae.decoder(sample_embedding(mu, log_variance, noise))
        regularised = [(mu, log_variance, self.args.beta * weight)]
        loss, error, (divergence,) = pixel_loss(logits, frames[:, None], self.args.likelihood, regularised)
        return loss, error, divergence

    def _reconstructions(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        frames = self._batch(rows)
        with self.precision():
            logits = self.vae.decoder(self.vae.encoder(frames)[0])
        return frames[:, None], frames[:, None], torch.sigmoid(logits)

    def _samples(self, noise: torch.Tensor) -> torch.Tensor:
        with self.precision():
            return torch.sigmoid(self.vae.decoder(noise))

    def _observations(self, rows: torch.Tensor) -> torch.Tensor:
        return self._batch(rows)[:, None]

    def finish(self) -> None:
        """Writes encoder.pt."""
        save_vae(self.path, self.vae)


def _with_gaps(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Joins arrays of images (n, 3, 64, 64) to one row, a white image between any two."""
    white = np.full((1, *parts[0].shape[1:]), 255, np.uint8)
    return np.concatenate([image for part in parts for image in (white, part)][1:])
