"""What a manifest names: embeddings and curves, each a training by a script of this project, and the flags of that."""

import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.paths import folder_of
from embedding.trained import IMAGE_ENCODERS
from rl.methods import METHODS, WITH_IMAGES, Method

IMAGE_KINDS = {"main.py": None} | {
    script: kind for kind, (script, _) in IMAGE_ENCODERS.items()
}  # of scripts of stage one
SEEING_STATES = {image: policy for policy, image in WITH_IMAGES.items()}  # {method from pixels: the policy's name}


@dataclass(frozen=True)
class Embedding:
    """A training of stage one.

    Attributes:
        name: its `--name`.
        script: embedding/<script> trains it.
        env: its environment.
        flags: those that differ from defaults.
        published: the folder below results/published/embeddings that it is copied to, or "".
    """

    name: str
    script: str
    env: str
    flags: Mapping[str, Any] = field(default_factory=dict)
    published: str = ""

    @property
    def module(self) -> str:
        """The module that trains it."""
        return f"embedding.{Path(self.script).stem}"

    @property
    def all_flags(self) -> dict[str, Any]:
        """The flags of its script, without the folder of results."""
        return {"env": self.env, "name": self.name, **self.flags}

    @property
    def epochs(self) -> int:
        """How many epochs its encoder is trained for."""
        return int(parsed(self.module, self.all_flags)["epochs"])


@dataclass(frozen=True)
class Curve:
    """A published curve, of a method or of a variant of it.

    Attributes:
        env, method: what is trained, and where.
        seeds: its seeds.
        steps: how many of each seed are published.
        embedding: the name of the embedding that it acts in or sees by, or "".
        flags: those that differ from defaults.
        file: the csv file, below the folder of results.
        variant: the name of the variant, or "" for a curve of figures 4, 5 and 9.
        final_episodes: how many episodes the trained policies are played for, all from the same starts; 0: none.
        policy_seed: the seed whose trained policy comes with the project; None: none does.
    """

    env: str
    method: str
    seeds: tuple[int, ...]
    steps: int
    embedding: str
    flags: Mapping[str, Any]
    file: str
    variant: str = ""
    final_episodes: int = 0
    policy_seed: int | None = None

    @property
    def run(self) -> str:
        """The `--name` of the run that it is taken from, which curves of the same settings share."""
        own = [
            f"{flag}={value}"
            for flag, value in sorted(self.flags.items())
            if flag not in ("eval_freq", "checkpoint_freq")
        ]
        return "_".join([self.embedding or "plain", *(re.sub(r"[^A-Za-z0-9._=-]", "-", word) for word in own)])

    @property
    def place(self) -> tuple[str, str, str]:
        """The folder of that run, below results/rl: (of the environment, of the method, of the run)."""
        return folder_of(id_of(self.env)), self.method, self.run

    @property
    def module(self) -> str:
        """The module that trains it."""
        return f"rl.{Path(METHODS[self.method].script).stem}"

    def all_flags(self, embeddings: Mapping[str, Embedding]) -> dict[str, Any]:
        """The flags of its script, without seed and folder of results; `embeddings`: the manifest's."""
        method = METHODS[self.method]
        flags: dict[str, Any] = {"env": self.env, "name": self.run, "num_seeds": 1, "max_timesteps": self.steps}
        if method.script in ("main_dyne.py", "main_td3.py"):
            flags["policy_name"] = SEEING_STATES.get(self.method, self.method)
        if method.script == "main_dyne.py":
            flags["pixels"] = method.from_pixels
        if method.script == "main_baselines.py":
            flags["algo"] = self.method.removesuffix("-plans")
        if method.pretrained:
            flags["encoder"] = self.embedding
        elif self.embedding:
            flags |= {"decoder": self.embedding, "source_env": embeddings[self.embedding].env}
        return {**flags, **self.flags}


def longest_of(curves: Iterable[Curve]) -> dict[tuple[tuple[str, str, str], int], Curve]:
    """The curve that decides how long a seed of a run is trained, the longest of those that share it: {(place, seed): curve}."""
    longest: dict[tuple[tuple[str, str, str], int], Curve] = {}
    for curve in curves:
        for seed in curve.seeds:
            key = curve.place, seed
            if key not in longest or longest[key].steps < curve.steps:
                longest[key] = curve
    return longest


def id_of(env: str) -> str:
    """The id of an environment that may be named module:id, as folders and files are called."""
    return env.rpartition(":")[2]


def needs_embedding(method: Method) -> bool:
    """Whether a method acts in a decoder's space or sees by a trained encoder."""
    return method.pretrained or method.acts_in == "decoder"


def parsed(module: str, flags: Mapping[str, Any]) -> dict[str, Any]:
    """What a script makes of flags, defaults included."""
    return vars(importlib.import_module(module).parse(words_of(flags)))


def words_of(flags: Mapping[str, Any]) -> list[str]:
    """Flags as they are typed."""
    words = []
    for flag, value in flags.items():
        if value is not False:
            words += [f"--{flag}"] if value is True else [f"--{flag}", str(value)]
    return words
