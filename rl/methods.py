"""Every method of stage two, one row each: what trains it, what it sees, what it acts in, how figures draw it.

A new method is a row here and, if it learns in a new way, a class (docs/own-algorithm.md shows both).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PRETRAINING = 100_000  # random steps that the encoder of a pretrained method has seen, of the same environment
CONTROL_SPACES = ("held", "chunk", "identity")


@dataclass(frozen=True)
class Method:
    """A method.

    Attributes:
        name: what results and figures call it.
        script: rl/<script> trains it.
        agent: its class, as module:name; "" where stable-baselines3 or a script of its own trains it.
        sees: "observations"; "pixels" or "vae": images by DynE's encoder or by a VAE's; "frames": images by a network of
            its own; "nothing".
        acts_in: "raw": the environment's actions; "decoder": the embeddings of a decoder; "held", "chunk", "identity":
            controls that nothing was learned for, in a decoder's place: an action repeated, a chunk of actions, a single one (`rl.action_spaces.ControlActions`).
        color: in figures, hex.
    """

    name: str
    script: str
    agent: str
    sees: str
    acts_in: str
    color: str

    @property
    def is_control(self) -> bool:
        """Whether it acts in plans that nothing was learned for."""
        return self.acts_in in CONTROL_SPACES

    @property
    def has_plan_length(self) -> bool:
        """Whether `--plan_length` tells how many steps a plan of it has."""
        return self.acts_in in ("held", "chunk")

    @property
    def from_pixels(self) -> bool:
        """Whether it sees images."""
        return self.sees in ("pixels", "vae", "frames")

    @property
    def pretrained(self) -> bool:
        """Whether its encoder of images was trained beforehand, on `PRETRAINING` steps."""
        return self.sees in ("pixels", "vae")


# In the order of legends and tables.
_ROWS = [
    Method("TD3", "main_td3.py", "rl.td3:TD3", "observations", "raw", "#1f77b4"),
    Method("DynE-TD3", "main_dyne.py", "rl.dyne_td3:DynETD3", "observations", "decoder", "#d62728"),
    Method("S-DynE-TD3", "main_dyne.py", "rl.td3:TD3", "pixels", "raw", "#ff7f0e"),
    Method("SA-DynE-TD3", "main_dyne.py", "rl.dyne_td3:DynETD3", "pixels", "decoder", "#9467bd"),
    Method("Pixel-TD3", "main_pixel_td3.py", "rl.pixel_td3:PixelTD3", "frames", "raw", "#17becf"),
    Method("VAE-TD3", "main_vae_td3.py", "rl.td3:TD3", "vae", "raw", "#2ca02c"),
    Method("SAC", "main_baselines.py", "", "observations", "raw", "#222222"),
    Method("PPO", "main_baselines.py", "", "observations", "raw", "#bcbd22"),
    Method("SAC-LSP", "main_sac_lsp.py", "", "observations", "raw", "#e377c2"),
    Method("SAC-plans", "main_baselines.py", "", "observations", "decoder", "#e69f00"),
    Method("TD3-plans", "main_baselines.py", "", "observations", "decoder", "#009e73"),
    Method("held-TD3", "main_dyne.py", "rl.dyne_td3:DynETD3", "observations", "held", "#6a994e"),
    Method("chunk-TD3", "main_dyne.py", "rl.dyne_td3:DynETD3", "observations", "chunk", "#7a0177"),
    Method("identity-TD3", "main_dyne.py", "rl.dyne_td3:DynETD3", "observations", "identity", "#8c6d1f"),
    Method("random", "main_td3.py", "rl.random_agent:RandomAgent", "nothing", "raw", "#7f7f7f"),
    Method("random-DynE", "main_dyne.py", "rl.random_agent:RandomAgent", "nothing", "decoder", "#b58f8f"),
]
METHODS = {method.name: method for method in _ROWS}
WITH_IMAGES = {
    "DynE-TD3": "SA-DynE-TD3",
    "TD3": "S-DynE-TD3",
}  # what a policy of rl/main_dyne.py is called that sees images


OF_ONE_LENGTH = {  # methods whose numbers depend on --max_timesteps, and why
    "PPO": "its learning rate falls to 0 at the last step",
    "SAC-LSP": "its levels share the steps",
}


def of_all_seeds(method: str) -> set[str]:
    """The flags that may be others when a run of a method is resumed, but not in some of its seeds."""
    return {"max_timesteps"} if method in OF_ONE_LENGTH else set()


def told_by(flags: Mapping[str, Any]) -> str | None:
    """The name of the method that the flags of a run tell; None where they tell none of `METHODS`, as those of SAC-LSP do."""
    policy, algo = flags.get("policy_name"), flags.get("algo")
    name = WITH_IMAGES.get(str(policy), policy) if flags.get("pixels") else policy
    if policy is None and algo is not None:
        name = f"{algo}-plans" if flags.get("decoder") else algo
    return name if isinstance(name, str) and name in METHODS else None


def methods_of(script: str, *, from_pixels: bool = False) -> list[str]:
    """The names of the methods that a script trains, in the order of `METHODS`."""
    return [m.name for m in METHODS.values() if m.script == script and m.from_pixels == from_pixels]
