"""Reading and writing checkpoints.

A checkpoint is a torch file of tensors and plain values: readable with `torch.load(path, weights_only=True)`, so
nothing in it is ever executed, and no more memory is taken than it can fill (`common.torch_file`). It names its format and
kind, and carries a digest of its content: a damaged file is refused instead of loaded wrongly. Someone who makes a file
can make its digest too: what the content may be is checked by what is built from it (`common.entries`). Writing is atomic
(`common.files`).
"""

import hashlib
import io
import struct
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import gymnasium
import numpy
import torch

from common import torch_file
from common.errors import UsageError
from common.files import write_atomically

FORMAT = "dyne-1"


class CheckpointError(Exception):
    """A file that is not a whole checkpoint of the expected kind."""


def save(path: str | Path, kind: str, content: dict[str, Any]) -> None:
    """Writes `content`, a dict of tensors and plain values, as a checkpoint of `kind`.

    Raises:
        UsageError: it could not be read again; what was there stays.
    """
    body = {"format": FORMAT, "kind": kind, "versions": versions(), "content": content}
    buffer = io.BytesIO()
    torch.save({**body, "digest": digest(body)}, buffer)
    try:
        torch_file.check_archive(buffer)
    except torch_file.NotReadable as error:
        raise UsageError(
            f"{path}: what is to be saved could not be read again ({error}): train smaller networks; what was saved before is "
            "kept"
        ) from error
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def versions() -> dict[str, str]:
    """The versions that numbers depend on, {library: version}; mujoco's where it is in use."""
    found = {module.__name__: str(module.__version__) for module in (torch, numpy, gymnasium)}
    mujoco = sys.modules.get("mujoco")
    return found | ({"mujoco": mujoco.__version__} if mujoco else {})


def load(path: str | Path, kind: str) -> dict[str, Any]:
    """Reads the content of a checkpoint of `kind`, with its tensors on the CPU; errors as in `read`."""
    return read(path, kind)["content"]


def read(path: str | Path, kind: str) -> dict[str, Any]:
    """Reads a whole checkpoint of `kind`: format, kind, versions and content, with its tensors on the CPU.

    Raises:
        CheckpointError: no such file, not a checkpoint, of another kind or format, cut short or altered.
    """
    path = Path(path)
    body = _body(path)
    if body["format"] != FORMAT or body.get("kind") != kind:
        found = f"{body.get('kind')!s:.40} in format {body['format']!s:.40}"
        raise CheckpointError(f"{path} is {_a(found)}, not {_a(kind)} in {FORMAT}")
    noted = body.pop("digest")
    try:
        intact = noted == digest(body)
    except (TypeError, ValueError, RuntimeError):  # of values that are not plain
        intact = False
    if not intact or not all(isinstance(body.get(part), dict) for part in ("versions", "content")):
        raise CheckpointError(f"{path} is damaged: its content does not match its digest")
    return body


def kind_of(path: str | Path) -> str:
    """The kind that a file says it is; raises `CheckpointError` if it is none of this project's."""
    return str(_body(Path(path)).get("kind"))


def _body(path: Path) -> dict[str, Any]:
    """What a torch file of this project holds, unchecked."""
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    try:
        body = torch_file.read(path)
    except torch_file.NotReadable as error:
        raise CheckpointError(f"{path} is not a checkpoint: {error}") from error
    except Exception as error:  # damaged bytes make the reader stumble over anything
        raise CheckpointError(f"{path} is not a checkpoint, or damaged ({type(error).__name__})") from error
    if not isinstance(body, dict) or "format" not in body or "digest" not in body:
        raise CheckpointError(f"{path} is a torch file, but not one of this project's")
    return body


def digest(value: Any) -> str:
    """A checksum of tensors and plain values, whatever file or device they are on."""
    sha = hashlib.sha256()
    _feed(sha, value)
    return sha.hexdigest()


def _feed(sha: "hashlib._Hash", value: Any) -> None:
    if type(value) in (dict, OrderedDict):  # exactly these types: a subclass would be written, and not read back
        sha.update(b"d" + struct.pack("<q", len(value)))
        for key, item in value.items():
            _feed(sha, key)
            _feed(sha, item)
    elif type(value) in (list, tuple):
        sha.update(b"l" + struct.pack("<q", len(value)))
        for item in value:
            _feed(sha, item)
    elif type(value) is torch.Tensor:
        array = value.detach().cpu().contiguous()
        sha.update(f"t{array.dtype}{tuple(array.shape)}".encode())
        sha.update(array.numpy().tobytes())
    elif value is None or type(value) in (bool, int, float, str):
        sha.update(f"{type(value).__name__}:{value!r};".encode())
    else:
        raise TypeError(f"a checkpoint holds tensors and plain values, not {type(value).__name__}")


def _a(words: str) -> str:
    """Words behind their article."""
    return f"{'an' if words[:1] in 'aeiou' else 'a'} {words}"
