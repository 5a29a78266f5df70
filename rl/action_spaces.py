"""The action space that a policy acts in: raw actions, embeddings that a decoder turns into k raw actions, or controls."""

import numpy as np
import torch

from common import checkpoint, entries
from embedding.decoder import ActionDecoder
from rl.protocols import ActionSpace, Content, Unit

LARGEST_BOUND = 1e6  # of raw actions
LARGEST_PLAN = 10**6  # numbers in a plan of a control, which files claim in a few bytes
KINDS = {"decoder": "dyne", "identity": "held"}  # what contents call those that `Method.acts_in` names otherwise


class RawActions:
    """The environment's own actions: a plan is one action.

    Args:
        low, high: (A,) float32, the environment's bounds.
        bound: the policy's and random actions stay within +- this too; None: within `low` and `high` alone.
        noise_unit: "raw": noises are in units of the action; "bounds": in shares of each dimension's range.
        own_ranges: whether the policy spans each dimension's own range; else, where bounds are symmetric about zero, its bound
            is the first entry of `high` in every dimension (10 on Thrower), as in the release.
    Raises:
        ValueError: no action of some dimension is within `bound`.
    """

    k = 1
    description = "raw actions"
    center: np.ndarray
    scale: np.ndarray
    noise_unit: Unit
    target_noise_unit: Unit
    clip_unit: Unit

    def __init__(
        self,
        low: np.ndarray,
        high: np.ndarray,
        bound: float | None = None,
        noise_unit: str = "raw",
        own_ranges: bool = False,
    ) -> None:
        self.low, self.high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        self.dim, self.bound, self.own_ranges = len(self.low), bound, own_ranges
        if np.array_equal(self.low, -self.high) and not own_ranges:
            self.center, self.scale = np.zeros(self.dim, np.float32), np.full(self.dim, self.high[0])
        else:
            self.center, self.scale = (self.high + self.low) / 2, (self.high - self.low) / 2
        self.sampled_low, self.sampled_high = self.low, self.high
        if bound is not None:
            least, most = np.maximum(self.center - self.scale, -bound), np.minimum(self.center + self.scale, bound)
            if not (least < most).all():
                raise ValueError(f"no action between {self.low} and {self.high} is within +-{bound:g}")
            self.center, self.scale = (most + least) / 2, (most - least) / 2
            self.sampled_low, self.sampled_high = np.maximum(self.low, -bound), np.minimum(self.high, bound)
        self.policy_low = np.maximum(self.low, self.center - self.scale)
        self.policy_high = np.minimum(self.high, self.center + self.scale)
        unit: Unit = (self.policy_high - self.policy_low) / 2 if noise_unit == "bounds" else 1.0
        self.noise_unit, self.target_noise_unit, self.clip_unit = unit, unit, unit

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """A uniformly random action (A,) float32."""
        return rng.uniform(self.sampled_low, self.sampled_high).astype(np.float32)

    def decode(self, action: np.ndarray) -> np.ndarray:
        """The plan of an action (A,): itself, within the bounds; (1, A)."""
        return np.clip(action, self.low, self.high)[None]

    def content(self) -> Content:
        """What `from_content` builds the same space from: plain values and tensors."""
        bounds = {"low": torch.from_numpy(self.low), "high": torch.from_numpy(self.high)}
        bound = {} if self.bound is None else {"bound": self.bound}
        return {"kind": "raw", **bounds, **bound} | ({"own_ranges": True} if self.own_ranges else {})


class DynEActions:
    """Embeddings z of a decoder: a plan is its k raw actions, run open loop.

    Args:
        decoder: an `ActionDecoder`, of this environment or of another with the same number of actions. Decoded
            actions are in the raw units of its environment and are clipped to these bounds:
        low, high: (A,) float32, the bounds of the environment that is acted in.
    """

    noise_unit: Unit
    target_noise_unit: Unit
    clip_unit: Unit

    def __init__(self, decoder: ActionDecoder, low: np.ndarray, high: np.ndarray) -> None:
        self.decoder, self.k, self.dim = decoder.cpu(), decoder.k, decoder.action_dim
        self.description = f"the decoder of {decoder.env_id}, k = {decoder.k}"
        self.low, self.high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        bound = decoder.max_embedding
        self.center, self.scale = np.zeros(self.dim, np.float32), np.full(self.dim, bound, np.float32)
        self.policy_low, self.policy_high = -self.scale, self.scale
        self.noise_unit, self.target_noise_unit, self.clip_unit = bound, bound / self.k, 1.0

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


class ControlActions:
    """Plans that nothing was learned for, in the place of a decoder: controls that show what the learned one adds.

    Everything else is as in `DynEActions`: noises are shares of the range of z, which is [-1, 1] in every dimension.

    Args:
        kind: "held": z is one action, which is executed k times; "chunk": z is k actions, executed one by one.
        k: length of a plan; 1: z is a raw action (`identity-TD3`).
        low, high: (A,) float32, the environment's bounds.
        share: of the range between the bounds, about its middle, that z = -1 to 1 spans.
    """

    noise_unit: Unit
    target_noise_unit: Unit
    clip_unit: Unit

    def __init__(self, kind: str, k: int, low: np.ndarray, high: np.ndarray, share: float = 1.0) -> None:
        self.kind, self.k, self.share = kind, k, share
        self.low, self.high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        self.dim = len(self.low) * (k if kind == "chunk" else 1)
        self.description = f"{k} raw actions" if kind == "chunk" else f"a raw action held for {k} steps"
        self.center, self.scale = np.zeros(self.dim, np.float32), np.ones(self.dim, np.float32)
        self.policy_low, self.policy_high = -self.scale, self.scale
        self.noise_unit, self.target_noise_unit, self.clip_unit = 1.0, 1.0 / k, 1.0

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """A uniformly random z (D,) float32."""
        return rng.uniform(self.policy_low, self.policy_high).astype(np.float32)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """The plan of z (D,): raw actions (k, A)."""
        middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        actions = middle + z.reshape(-1, len(self.low)) * (self.share * half)
        return np.clip(np.broadcast_to(actions, (self.k, len(self.low))), self.low, self.high)

    def content(self) -> Content:
        """What `from_content` builds the same space from: plain values and tensors."""
        bounds = {"low": torch.from_numpy(self.low), "high": torch.from_numpy(self.high)}
        return {"kind": self.kind, "k": self.k, "share": self.share, **bounds}


def longest_plan(action_dim: int) -> int:
    """The largest k of a control with raw actions of so many numbers."""
    return max(1, LARGEST_PLAN // action_dim)


def from_content(content: Content) -> ActionSpace:
    """The action space that `content()` described; raises `CheckpointError` if it describes none."""
    low, high = (bound.numpy() for bound in entries.bounds(content, (torch.float32,)))
    kind = entries.choice(content, "kind", "raw", "dyne", "held", "chunk")
    if kind == "raw":
        bound = entries.positive(content, "bound", LARGEST_BOUND) if "bound" in content else None
        own_ranges = "own_ranges" in content and entries.choice(content, "own_ranges", True, False)
        try:
            return RawActions(low, high, bound, own_ranges=own_ranges)
        except ValueError as error:
            raise checkpoint.CheckpointError(str(error)) from error
    if kind != "dyne":
        k, share = entries.whole(content, "k", 1, longest_plan(len(low))), entries.positive(content, "share", 1)
        return ControlActions(kind, k, low, high, share)
    decoder = ActionDecoder.from_content(entries.table(content, "decoder"))
    if decoder.action_dim != len(low):
        raise checkpoint.CheckpointError(f"the decoder's actions have {decoder.action_dim} numbers, not {len(low)}")
    return DynEActions(decoder, low, high)
