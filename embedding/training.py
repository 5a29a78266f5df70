"""The loop that trains the networks of stage one, epoch by epoch, so that it can stop and go on anywhere."""

import argparse
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import gymnasium
import torch
from torch import nn

from common import entries
from common.cli import folder_name
from common.csv_log import CsvLog
from common.environments import name_of
from common.errors import Diverged, UsageError
from common.interruption import Interruption
from common.paths import check_own_folder, embedding_run
from common.progress import Progress, tell
from common.run_flags import check_flags
from common.run_folder import RunFolder
from embedding.models import widths_of
from embedding.play_key import sources

OFTEN = 200  # times that a sample is seen, above which there is a warning: the defaults see each 5 and 20 times


class Part(Protocol):
    """One training of several; `Training` runs them.

    Attributes:
        name: what log.csv calls it.
        epochs: how many it takes.
        finishing: what it finishes before it stops, in words.
    """

    name: str
    epochs: int
    finishing: str

    def begin(self) -> None:
        """Prepares it, the parts before it being done."""
        ...

    def run_epoch(self, stopped: Callable[[], bool] = ...) -> list[float] | None:
        """Trains one epoch and returns its losses, in the order of the log's columns.

        Args:
            stopped: whether to stop as soon as that is exact. A part that stops within an epoch returns None; its next
                call goes on with that epoch.
        """
        ...

    def finish(self) -> None:
        """Writes its result."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """All that the next epoch depends on, as tensors and plain values."""
        ...

    def rewind(self, state: dict[str, Any]) -> None:
        """Goes back to a `snapshot`."""
        ...


class Training:
    """Several trainings, one after the other, in one folder.

    Args:
        folder: the run's `RunFolder`, locked.
        parts: the trainings, each a `Part`.
        flags: the resolved flags, a dict.
        columns: the header of log.csv behind `stage` and `epoch`; a part with fewer losses leaves the last ones empty.
        play: digests of what it learns from: `embedding.play_key.sources`, and `data` (`RandomPlay.digest`).
    """

    def __init__(
        self,
        folder: RunFolder,
        parts: Sequence[Part],
        flags: dict[str, Any],
        columns: list[str],
        play: dict[str, str],
    ) -> None:
        self.folder, self.parts, self.flags, self.play = folder, parts, flags, play
        self.log = CsvLog(folder.path / "log.csv", ["stage", "epoch", *columns])
        self.part, self.epoch = 0, 0

    def start(self) -> bool:
        """Starts afresh, or with `--resume` from the newest checkpoint, if there is one.

        Returns:
            whether it is done; then the folder is given back.
        Raises:
            Diverged: it was given up.
        """
        saved = self.folder.checkpoints() if self.flags["resume"] else []
        if not saved:
            self.folder.begin(self.flags)
            self.log.begin()
            self.parts[0].begin()
            return False
        content = saved[0]
        try:
            check_flags(content["flags"], self.flags)
            check_play(content, self.play, self.folder)
            self.part, self.epoch = content["part"], content["epoch"]
            if (reason := self.folder.failure) and self.part < len(self.parts):
                raise Diverged(f"{self.folder.path}: it was given up ({reason}); {self.folder.after_failure()}")
            for part, state in zip(self.parts, content["states"], strict=False):
                part.begin()
                part.rewind(state)
            self.log.rewind(content["log"])
        except entries.UNFIT as error:
            raise UsageError(
                f"--resume: {self.folder.path} was written by another version ({error!r}): start over with --overwrite"
            ) from error
        if len(saved) == 1:
            self.folder.drop_damaged()
        if is_done := self.part == len(self.parts):
            for part in self.parts:
                part.finish()  # as files of the folder may have been lost or changed since
            self.folder.release()
        return is_done

    def run(self, checkpoint_freq: int) -> None:
        """Runs all parts to their ends, with a checkpoint every `checkpoint_freq` epochs, and gives the folder back."""
        try:
            self._run(checkpoint_freq)
        finally:
            self.folder.release()

    def _run(self, checkpoint_freq: int) -> None:
        with Interruption("this epoch") as interruption:
            while self.part < len(self.parts):
                part = self.parts[self.part]
                interruption.finishing = part.finishing
                with Progress(part.epochs, part.name, "epoch", self.epoch) as shown:
                    while self.epoch < part.epochs and not interruption.received:
                        losses = part.run_epoch(lambda: interruption.received is not None)
                        if losses is None:
                            break
                        self.epoch += 1
                        shown.update()
                        self._check(part, losses)
                        empty = [""] * (len(self.log.columns) - 2 - len(losses))
                        self.log.append([[part.name, self.epoch, *losses, *empty]])
                        if self.epoch % checkpoint_freq == 0 and self.epoch < part.epochs:
                            self._save()
                if interruption.received:
                    self._save()
                    interruption.leave()
                part.finish()
                self.part, self.epoch = self.part + 1, 0
                if self.part < len(self.parts):
                    self.parts[self.part].begin()
                self._save()

    def _check(self, part: Part, losses: list[float]) -> None:
        """Raises `Diverged` unless the losses of an epoch, and all tensors that it leaves, are finite."""
        named = zip(self.log.columns[2:], losses, strict=False)
        shown: str | None = ", ".join(f"{name} {loss}" for name, loss in named if not math.isfinite(loss))
        shown = shown or first_not_finite(part.snapshot())
        if shown:
            reason = f"seed {self.flags['seed']}: {part.name}, epoch {self.epoch}: not finite: {shown}"
            self.folder.fail(reason)
            raise Diverged(f"{reason}; {self.folder.after_failure()}")

    def _save(self) -> None:
        content = {
            "flags": self.flags,
            "play": self.play,
            "parts": [[part.name, part.epochs] for part in self.parts],
            "part": self.part,
            "epoch": self.epoch,
            "states": [part.snapshot() for part in self.parts[: self.part + 1]],
            "log": self.log.snapshot(),
        }
        self.folder.save(content)


def resolved(device: torch.device, seed: int, networks: Mapping[str, nn.Module]) -> dict[str, Any]:
    """What `opt.json` tells beside the flags, of a training of these networks on a torch device."""
    widths = {name: widths_of(network) for name, network in networks.items()}
    return {"device": str(device), "seeds": [seed], "networks": widths}


def never() -> bool:
    """Returns False: what `stopped` is by default."""
    return False


def first_not_finite(state: Any, name: str = "") -> str | None:
    """The name of the first tensor of nested dicts and lists that is not finite, or None."""
    if isinstance(state, torch.Tensor):
        return None if torch.isfinite(state).all() else name
    if not isinstance(state, dict | list | tuple):
        return None
    items = state.items() if isinstance(state, dict) else enumerate(state)
    found = (first_not_finite(value, f"{name}.{key}" if name else str(key)) for key, value in items)
    return next((name for name in found if name), None)


def check_play(content: dict[str, Any], play: dict[str, str], folder: RunFolder) -> None:
    """Raises `UsageError` if a checkpoint was trained on other random play; digests that an older checkpoint lacks are not compared.

    Where the code of the environment is another and all of the play is known to be the same, a line says so.
    """
    other = {name for name, digest in play.items() if content.get("play", {}).get(name, digest) != digest}
    if other - {"code"}:
        raise UsageError(
            f"--resume: {folder.path} began with other random play: the environment, its arguments or its code have "
            "changed since: bring back what it was, or start over with --overwrite"
        )
    if other and "data" in play:
        tell(
            f"--resume: the environment's code has changed since {folder.path} began; its random play is the same: it goes on"
        )


def open_run(args: argparse.Namespace, env: gymnasium.Env, result: str, images: str | None = None) -> RunFolder:
    """The folder that a script of stage one writes to, checked before anything is written.

    Args:
        args: the script's flags.
        env: the environment that it trains on.
        result: the file that the end of its training leaves.
        images: as for `common.paths.embedding_run`.
    Raises:
        UsageError: the folder exists and is not to be used, or is in use; or flags, or the environment, contradict what
            `--resume` continues.
    """
    assert env.spec is not None
    entries.check_nameable(name_of(env, args.env_name))
    folder = RunFolder(embedding_run(args.results_dir, env.spec.id, args.name, images), "embedding run")
    check_own_folder(folder.path.parent, args.env_name)
    folder.check(args.resume, args.overwrite)
    if args.resume and (content := folder.check_resume(vars(args), result)):
        check_play(content, sources(env, args), folder)
    return folder


def warn_of_repetition(args: argparse.Namespace, samples: int) -> None:
    """Says it where an embedding is about to see each of its samples (of random play) very often.

    Args:
        args: the script's flags.
        samples: how many there are.
    """
    times = args.epochs * args.epoch_size / samples
    if times > OFTEN:
        print(
            f"warning: --steps {args.steps} make {samples:,} samples, and --epochs {args.epochs} of --epoch_size "
            f"{args.epoch_size} see each {times:,.0f} times: they will be learned by heart: use more --steps, or fewer --epochs"
        )


def embedding_name(text: str) -> str:
    """A folder's name that is not reserved beside embeddings, and that no flag takes for a file."""
    if re.fullmatch(r"data|seed_.*|published(-k.*)?|.*\.pt", folder_name(text)):
        raise argparse.ArgumentTypeError(
            f"{text!r} is reserved (data, seed_*, published, published-k*, *.pt): choose another name"
        )
    return text
