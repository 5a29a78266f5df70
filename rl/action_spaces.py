"""The action space that a policy acts in: raw actions, or embeddings that a decoder turns into k raw actions."""

import numpy as np
import torch

from common import checkpoint, entries
from embedding.decoder import ActionDecoder
from rl.protocols import ActionSpace, Content


class RawActions:
    """The environment's own actions: a plan is one action.

    Args:
        low, high: (A,) float32, the environment's bounds.
    The policy's bound is the first entry of `high` in every dimension (10 on Thrower), as in the release; where the
    bounds are not symmetric about zero it is each dimension's own range.
    """

    k = 1
    description = "raw actions"
    center: np.ndarray
    scale: np.ndarray

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        self.low, self.high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        self.dim = len(self.low)
        if np.array_equal(self.low, -self.high):
            self.center, self.scale = np.zeros(self.dim, np.float32), np.full(self.dim, self.high[0])
        else:
            self.center, self.scale = (self.high + self.low) / 2, (self.high - self.low) / 2
        self.policy_low = np.maximum(self.low, self.center - self.scale)
        self.policy_high = np.minimum(self.high, self.center + self.scale)
        self.noise_unit = 1.0  # exploration noise is in raw units, and so is the target policy's
        self.target_noise_unit = 1.0

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """A uniformly random action (A,) float32."""
        return rng.uniform(self.low, self.high).astype(np.float32)

    def decode(self, action: np.ndarray) -> np.ndarray:
        """The plan of an action (A,): itself, within the bounds; (1, A)."""
        return np.clip(action, self.low, self.high)[None]

    def content(self) -> Content:
        """What `from_content` builds the same space from: plain values and tensors."""
        return {"kind": "raw", "low": torch.from_numpy(self.low), "high": torch.from_numpy(self.high)}


class DynEActions:
    """Embeddings z of a decoder: a plan is its k raw actions, run open loop.

    Args:
        decoder: an `ActionDecoder`, of this environment or of another with the same number of actions. Decoded
            actions are in the raw units of its environment and are clipped to these bounds:
        low, high: (A,) float32, the bounds of the environment that is acted in.
    """

    def __init__(self, decoder: ActionDecoder, low: np.ndarray, high: np.ndarray) -> None:
        self.decoder, self.k, self.dim = decoder.cpu(), decoder.k, decoder.action_dim
        self.description = f"the decoder of {decoder.env_id}, k = {decoder.k}"
        self.low, self.high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        bound = decoder.max_embedding
        self.center, self.scale = np.zeros(self.dim, np.float32), np.full(self.dim, bound, np.float32)
        self.policy_low, self.policy_high = -self.scale, self.scale
        self.noise_unit, self.target_noise_unit = bound, bound / self.k

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """A uniformly random embedding (A,) float32 within max_embedding."""
        return rng.uniform(self.policy_low, self.policy_high).astype(np.float32)

    @torch.no_grad()
    def decode(self, z: np.ndarray) -> np.ndarray:
        """The plan d_a(z) of an embedding (A,): raw actions (k, A)."""
        return np.clip(self.decoder(torch.from_numpy(z).unsqueeze(0))[0].numpy(), self.low, self.high)

    def content(self) -> Content:
        """What `from_content` builds the same space from: plain values and tensors."""
        bounds = {"low": torch.from_numpy(self.low), "high": torch.from_numpy(self.high)}
        return {"kind": "dyne", "decoder": self.decoder.content(), **bounds}


def from_content(content: Content) -> ActionSpace:
    """The action space that `content()` described; raises `CheckpointError` if it describes none."""
    low, high = (bound.numpy() for bound in entries.bounds(content, (torch.float32,)))
    if entries.choice(content, "kind", "raw", "dyne") == "raw":
        return RawActions(low, high)
    decoder = ActionDecoder.from_content(entries.table(content, "decoder"))
    if decoder.action_dim != len(low):
        raise checkpoint.CheckpointError(f"the decoder's actions have {decoder.action_dim} numbers, not {len(low)}")
    return DynEActions(decoder, low, high)
