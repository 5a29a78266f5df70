"""Training the action encoder e_a and the predictor f from states (paper, section 2.2)."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from common.mlp import Adam, shared_mlp
from common.streams import torch_stream
from embedding.models import ActionEncoder, Losses, Predictor, dyne_loss, sample_embedding, save_encoder
from embedding.random_play import Windows
from embedding.training import never

AT_ONCE = 64  # batches that are taken from the data at once


class EncoderTraining:
    """Trains e_a and f on windows of random play (section 2.2); a part of `embedding.training.Training`.

    Args:
        data: `embedding.random_play.Windows`.
        env_name: what it was played in, an id or module:id.
        args: the script's flags.
        path: where the encoder is written.
    """

    name = "embedding"
    finishing = "this epoch"

    def __init__(
        self,
        data: Windows,
        encoder: ActionEncoder,
        predictor: Predictor,
        env_name: str,
        args: argparse.Namespace,
        path: str | Path,
    ) -> None:
        self.encoder, self.predictor, self.env_name, self.args, self.path = encoder, predictor, env_name, args, path
        self.epochs, self.actions = args.epochs, encoder.normalise(data.actions).flatten(1)
        self.states, self.targets = predictor.state_whitening(data.states), predictor.target(data.deltas)
        self.mlps = {"encoder": shared_mlp(encoder.layers), "predictor": shared_mlp(predictor.layers)}
        self.adams = {name: Adam(mlp, args.lr, args.amsgrad) for name, mlp in self.mlps.items()}
        self.draws = torch_stream(args.seed, "embedding: batches and noise")

    def begin(self) -> None:
        """Nothing comes before it."""

    def run_epoch(self, stopped: Callable[[], bool] = never) -> list[float]:
        """One epoch, which is short: it is never stopped; returns the mean loss, prediction error and KL divergence."""
        args, device = self.args, self.states.device
        batches = -(-args.epoch_size // args.batch_size)
        rows = torch.randint(len(self.states), (batches, args.batch_size), generator=self.draws).to(device)
        noise = torch.randn(batches, args.batch_size, self.encoder.action_dim, generator=self.draws).to(device)
        sums = torch.zeros(3, device=device)
        with torch.inference_mode():
            data = (_batches(data, rows) for data in (self.actions, self.states, self.targets))
            for batch in zip(*data, noise, strict=True):
                losses, gradients = self.gradients(*batch)
                for name, adam in self.adams.items():
                    adam.step(gradients[name])
                sums += torch.stack(losses)
        return (sums / batches).tolist()

    def gradients(
        self, actions: torch.Tensor, states: torch.Tensor, targets: torch.Tensor, noise: torch.Tensor
    ) -> tuple[Losses, dict[str, list[torch.Tensor]]]:
        """The objective on B samples, and its gradients.

        Args:
            actions: (B, k A), normalised; states, targets: (B, S), whitened; noise: (B, A), standard normal.
        Returns:
            what `dyne_loss` returns, and {name: gradients of the network's weights}.
        """
        encoder, predictor, gamma = self.mlps["encoder"], self.mlps["predictor"], self.args.gamma
        outputs, encoder_trace = encoder.forward(actions[None])
        mu, log_variance = outputs[0].chunk(2, dim=1)
        z = sample_embedding(mu, log_variance, noise)
        seen = torch.cat([states, z], dim=1) if self.predictor.use_state else z
        outputs, predictor_trace = predictor.forward(seen[None])
        losses = dyne_loss(outputs[0], targets, mu, log_variance, gamma)
        # Term (1) is the mean of (prediction - target)^2.
        d_prediction = (outputs - targets) * (2 / targets.numel())
        d_predictor, d_z = predictor.backward(predictor_trace, d_prediction, inputs=slice(-z.shape[1], None))
        assert d_predictor is not None and d_z is not None
        # z = mu + noise sigma, so dz / dlog_variance = noise sigma / 2 = (z - mu) / 2. Term (3) is the mean over the
        # batch of the sum of (mu^2 + sigma^2 - 1 - log_variance) / 2.
        weight = gamma / len(z)
        d_mu = d_z[0] + weight * mu
        d_log_variance = d_z[0] * (z - mu) / 2 + weight / 2 * (log_variance.exp() - 1)
        d_encoder, _ = encoder.backward(encoder_trace, torch.cat([d_mu, d_log_variance], dim=1)[None])
        assert d_encoder is not None
        return losses, {"encoder": d_encoder, "predictor": d_predictor}

    def finish(self) -> None:
        """Writes encoder.pt."""
        save_encoder(self.path, self.encoder, self.predictor, self.env_name)

    def snapshot(self) -> dict[str, Any]:
        """Everything the next epoch depends on."""
        return {
            "encoder": self.encoder.state_dict(),
            "predictor": self.predictor.state_dict(),
            "adams": {name: adam.snapshot() for name, adam in self.adams.items()},
            "draws": self.draws.get_state(),
        }

    def rewind(self, state: dict[str, Any]) -> None:
        """Goes back to a `snapshot`."""
        self.encoder.load_state_dict(state["encoder"])
        self.predictor.load_state_dict(state["predictor"])
        for name, adam in self.adams.items():
            adam.rewind(state["adams"][name])
        self.draws.set_state(state["draws"])


def _batches(data: torch.Tensor, rows: torch.Tensor) -> Iterator[torch.Tensor]:
    """The rows (U, B) of `data` (W, ·), batch by batch; several batches are taken at once, which costs fewer calls."""
    for some in rows.split(AT_ONCE):
        yield from data[some]
