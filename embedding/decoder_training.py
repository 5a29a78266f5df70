"""Training the action decoder d_a against a frozen encoder (paper, section 3.1): its flags, its schedule, its loop."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from common.cli import fraction, non_negative_float, non_negative_int, positive_float, positive_int
from common.errors import UsageError
from common.mlp import Adam, shared_mlp
from common.streams import torch_stream
from embedding.decoder import TINY, ActionDecoder, embed_all
from embedding.models import ActionEncoder, Losses
from embedding.training import never

FIRST_WEIGHT = 0.3  # of the norm, where training begins
ANNEALED = 0.7  # share of the training after which the weight of the norm is lambda


def add_decoder_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `DecoderTraining` that are its own."""
    parser.add_argument("--decoder_epochs", type=non_negative_int, default=30, help="epochs of the decoder")
    parser.add_argument("--decoder_batches", type=positive_int, default=1000, help="batches an epoch of the decoder")
    parser.add_argument(
        "--decoder_lr", type=positive_float, default=1e-3, help="Adam's largest learning rate, decoder; it falls to 0"
    )
    parser.add_argument(
        "--decoder_warmup", type=fraction, default=0.03, help="share of the training in which the learning rate rises"
    )
    parser.add_argument(
        "--decoder_schedule",
        choices=["annealed", "constant"],
        default="annealed",
        help="learning rate and weight of the norm: the one rises and falls while the other falls to lambda, or both constant",
    )
    parser.add_argument("--norm", choices=["squared", "l2"], default="squared", help="form of the action norm")
    parser.add_argument("--norm_weight", type=non_negative_float, default=1e-4, help="lambda, weight of the norm")
    parser.add_argument("--prior", action="store_true", help="decode z ~ N(0, I), not the encoder's marginal")
    parser.add_argument(
        "--decoder_range", choices=["bounds", "unit"], default="bounds", help="actions span the bounds, or [-1, 1]"
    )


def decoder_span(args: argparse.Namespace, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bounds (A,), (A,) that decoded actions span, as `--decoder_range` says.

    Raises:
        UsageError: no action is in both the bounds and [-1, 1].
    """
    span = (low, high) if args.decoder_range == "bounds" else (low.clip(min=-1), high.clip(max=1))
    if not (span[0] < span[1]).all():
        raise UsageError(f"--decoder_range unit: no action between -1 and 1 is in bounds, {low} to {high}: use bounds")
    return span


def norm_weight(args: argparse.Namespace, progress: float) -> float:
    """The norm's weight when a share `progress` of the training is done, as `--decoder_schedule` says."""
    is_constant = args.decoder_schedule == "constant"
    return args.norm_weight if is_constant else annealed_weight(progress, args.norm_weight)


def annealed_weight(progress: float, weight: float) -> float:
    """The norm's weight when a share `progress` of the training is done: it falls to `weight` geometrically.

    With the paper's small lambda alone the decoder inverts the encoder at once, by plans that wiggle, and takes hundreds
    of epochs to find smaller ones. So training begins near the plans of least norm, and minimises the paper's objective
    for the rest.
    """
    if not 0 < weight < FIRST_WEIGHT or progress >= ANNEALED:
        return weight
    return FIRST_WEIGHT * (weight / FIRST_WEIGHT) ** (progress / ANNEALED)


def learning_rate(args: argparse.Namespace, progress: float) -> float:
    """Adam's learning rate when a share `progress` of the training is done: it rises over --decoder_warmup, and falls as a cosine,
    or with --decoder_schedule constant it is always the same.

    Large steps at the beginning can drive an action to its bound, where the tanh has hardly a gradient and the action stays:
    on Pendulum and on a cart, with one-dimensional actions, 4 of 8 decoders that began with --decoder_lr were stuck so.
    """
    if args.decoder_schedule == "constant":
        return args.decoder_lr
    rising = min(1.0, progress / args.decoder_warmup) if args.decoder_warmup else 1.0
    return rising * args.decoder_lr * (1 + math.cos(math.pi * progress)) / 2


class DecoderTraining:
    """Trains d_a against a frozen encoder (section 3.1); a part of `embedding.training.Training`.

    Args:
        actions: (W, k, A) action sequences of random play, whose embeddings are to be decoded.
        args: the script's flags: those of `add_decoder_flags`, batch_size, amsgrad, seed.
        path: where the decoder is written.
    """

    name = "decoder"
    finishing = "this epoch"

    def __init__(
        self,
        actions: torch.Tensor,
        encoder: ActionEncoder,
        decoder: ActionDecoder,
        args: argparse.Namespace,
        path: str | Path,
    ) -> None:
        self.actions, self.encoder, self.decoder, self.args, self.path = actions, encoder, decoder, args, path
        self.epochs, self.epoch = args.decoder_epochs, 0
        decoder.objective = args.norm, args.norm_weight
        self.mlp = shared_mlp(decoder.layers)
        self.adam = Adam(self.mlp, args.decoder_lr, args.amsgrad)
        self.draws = torch_stream(args.seed, "decoder: embeddings")

    def begin(self) -> None:
        """Freezes the encoder and, unless z is drawn from the prior, embeds all of random play and whitens it."""
        self.encoder.requires_grad_(False).eval()
        self.encoder_mlp = shared_mlp(self.encoder.layers)  # from here on: until now others may have trained it
        if not self.args.prior:
            embeddings = embed_all(self.encoder, self.actions)
            self.decoder.whitening.fit(embeddings)
            self.embeddings = self.decoder.whitening(embeddings)
            self.decoder.max_embedding = self.embeddings.abs().max().item()

    def run_epoch(self, stopped: Callable[[], bool] = never) -> list[float]:
        """One epoch, which is short: it is never stopped; returns the mean loss, reconstruction error and action norm."""
        args, device = self.args, self.actions.device
        shape = (args.decoder_batches, args.batch_size)
        if args.prior:
            batches = torch.randn(*shape, self.decoder.action_dim, generator=self.draws).to(device)
        else:
            batches = self.embeddings[torch.randint(len(self.embeddings), shape, generator=self.draws).to(device)]
        sums = torch.zeros(3, device=device)
        with torch.inference_mode():
            for batch, z in enumerate(batches):
                progress = (self.epoch + batch / len(batches)) / self.epochs
                losses, gradients = self.gradients(z, norm_weight(args, progress))
                self.adam.lr = learning_rate(args, progress)
                self.adam.step(gradients)
                sums += torch.stack(losses)
        self.epoch += 1
        return (sums / args.decoder_batches).tolist()

    def gradients(self, z: torch.Tensor, weight: float) -> tuple[Losses, list[torch.Tensor]]:
        """The objective on whitened embeddings z (B, A), and its gradients.

        Args:
            weight: of the norm.
        Returns:
            what `decoder_loss` returns, and the gradients of the decoder's weights.
        """
        encoder, decoder, args = self.encoder, self.decoder, self.args
        outputs, decoder_trace = self.mlp.forward(z[None])
        unit = torch.tanh(outputs)  # (1, B, k A), actions in units of the decoder's span; now in those of the bounds:
        actions = encoder.normalise(decoder.to_span(unit[0]))
        outputs, encoder_trace = self.encoder_mlp.forward(actions.flatten(1)[None])
        mu, log_variance = outputs[0].chunk(2, dim=1)
        errors = decoder.whitening(mu) - z
        # Both terms are means over the batch of sums over dimensions.
        d_mu = errors * (2 / len(z)) / decoder.whitening.std
        d_outputs = torch.cat([d_mu, torch.zeros_like(log_variance)], dim=1)[None]
        _, d_actions = self.encoder_mlp.backward(encoder_trace, d_outputs, weights=False, inputs=slice(None))
        assert d_actions is not None
        lengths = 1 if args.norm == "squared" else actions.norm(dim=2, keepdim=True).clamp_(min=TINY)
        d_norm = actions * ((2 if args.norm == "squared" else 1) / len(z)) / lengths
        d_span = (d_actions[0].view_as(actions) + weight * d_norm) * decoder.half_range / encoder.half_range
        gradients, _ = self.mlp.backward(decoder_trace, d_span.flatten(1)[None] * (1 - unit.square()))
        assert gradients is not None
        error = errors.square().sum(1).mean()
        norm = (actions.square() if args.norm == "squared" else cast(torch.Tensor, lengths)).sum((1, 2)).mean()
        return (error + weight * norm, error, norm), gradients

    def finish(self) -> None:
        """Writes decoder.pt, which names the encoder that it inverts."""
        self.decoder.encoder = self.encoder.digest()
        self.decoder.save(self.path)

    def snapshot(self) -> dict[str, Any]:
        """Everything the next epoch depends on."""
        return {
            "epoch": self.epoch,
            "decoder": self.decoder.state_dict(),
            "adam": self.adam.snapshot(),
            "draws": self.draws.get_state(),
        }

    def rewind(self, state: dict[str, Any]) -> None:
        """Goes back to a `snapshot`."""
        self.epoch = state["epoch"]
        self.decoder.load_state_dict(state["decoder"])
        self.adam.rewind(state["adam"])
        self.draws.set_state(state["draws"])
