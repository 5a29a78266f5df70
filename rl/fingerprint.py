"""What an environment is and does, as checkpoints note it, so that a run is only resumed in the same."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import gymnasium

from common.environment_identity import BREAKS, PROBED_STEPS, made_of, what_it_does
from common.errors import UsageError
from common.progress import tell
from rl.protocols import Content

NOT_REPEATING = (
    "--env {}: the same reset and the same actions do not lead to the same again: it draws from other streams than its own "
    "np_random, or keeps something from one episode to the next"
)


@dataclass(frozen=True)
class Fingerprint:
    """What an environment is and does.

    Attributes:
        does: a digest of its first steps (`common.environment_identity.what_it_does`).
        repeats: whether it does that again.
        made_of: a digest of its code and its MuJoCo model (`common.environment_identity.made_of`).
    """

    does: str
    repeats: bool
    made_of: str

    @classmethod
    def of(cls, env: gymnasium.Env, by_its_stream: bool = False) -> Self:
        """The fingerprint of an environment that is not in use; `by_its_stream`: as for `what_it_does`."""
        return cls(*what_it_does(env, by_its_stream), made_of(env))  # a step may import more of its code

    def entries(self) -> dict[str, Any]:
        """What a checkpoint notes of it."""
        return {"fingerprint": self.does, "made_of": self.made_of}

    def is_of(self, content: Content) -> bool:
        """Whether it is the environment of a checkpoint, as far as that is known: older ones do not tell."""
        return self._does_as(content) and content.get("made_of") in (None, self.made_of)

    def _does_as(self, content: Content) -> bool:
        noted = content.get("fingerprint")
        if not noted or (str(noted).startswith(BREAKS) and not self.does.startswith(BREAKS)):
            return True  # what it did is not known
        return noted == self.does

    def check_beginning(self, env_name: str) -> None:
        """Says that a run which begins cannot be resumed, if that is so; `env_name`: the flag's value."""
        if not self.repeats:
            tell(
                f"{NOT_REPEATING.format(env_name)}: this run cannot be resumed, and numbers may depend on seeds beside it"
            )

    def check_resumed(self, contents: Iterable[Content], env_name: str, max_timesteps: int) -> None:
        """Checks that seeds go on in the environment that they began in, and says if only its code or model is another.

        Args:
            contents: of a checkpoint of each seed.
            env_name: the flag's value.
            max_timesteps: the steps that they are to have; those that have them need no environment.
        Raises:
            UsageError: it does something else, or does not do the same again.
        """
        contents = list(contents)
        going = [content for content in contents if content["steps"] < max_timesteps]
        if going and not self.repeats:
            raise UsageError(f"--resume: {NOT_REPEATING.format(env_name)}: start over with --overwrite")
        if not all(map(self._does_as, contents)):
            raise UsageError(
                f"--env {env_name}: it is not what the run that --resume continues began with: its spaces, its time limit, "
                "its arguments or what follows an action differ, or it is not deterministic: put back what it was, or start over "
                "with --overwrite"
            )
        if not all(map(self.is_of, going)):
            tell(
                f"--env {env_name}: its code, its MuJoCo model, or the version of Python or MuJoCo is not the one that the run "
                f"which --resume continues began with; its first {PROBED_STEPS} steps are the same: if anything after them is "
                "not, stop now and start over with --overwrite, or put back what it was"
            )
