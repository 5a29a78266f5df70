"""Reading torch files that someone may have made to do harm.

`torch.load(weights_only=True)` executes nothing, but it makes room for whatever a file claims: a zip member that expands a
thousandfold, a tensor of a billion numbers that all lie in the same four bytes. So what a file claims is held against its
size: its zip directory and the names in its pickle before it is read, tensors, lists and dicts before they are looked at.
"""

import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

LARGEST_FILE = 2**32  # bytes of a file
LARGEST_PICKLE = 2**22  # bytes of all that is not the tensors' numbers
DEEPEST = 50  # levels of lists and dicts
SHARED = 4  # how often, on average, a file's bytes may be used: tensors may lie in one storage
KNOWN = re.compile(r"torch\._utils _rebuild_tensor_v2|collections OrderedDict|torch [A-Za-z0-9]+Storage")


class NotReadable(ValueError):
    """A file that is not a torch file of tensors and plain values, or claims to be larger than it is."""


def read(path: Path) -> Any:
    """The tensors, on the CPU, and plain values of a torch file.

    Raises:
        NotReadable: something else is in it, or more than its size allows.
        Exception: whatever torch's reader stumbles over in a damaged file.
    """
    with path.open("rb") as file:
        size = check_archive(file)
    body = torch.load(path, map_location="cpu", weights_only=True)
    check_values(body, size)
    return body


def check_archive(file: BinaryIO) -> int:
    """Checks a torch file before torch's reader sees it; returns its size, bytes.

    Its zip members must be stored as they are, and together be no larger than the file; its pickle may name nothing but
    tensors and ordered dicts.

    Raises:
        NotReadable: it is not so.
        zipfile.BadZipFile, ValueError: it is no zip file, or holds no whole pickle.
    """
    size = file.seek(0, 2)
    file.seek(0)
    if size > LARGEST_FILE:
        raise NotReadable(f"it is larger than {LARGEST_FILE / 2**30:g} GiB")
    if file.read(4) != b"PK\x03\x04":
        raise NotReadable("it is no torch file")
    with zipfile.ZipFile(file) as archive:
        members, folder = archive.infolist(), archive.namelist()[0].partition("/")[0]
        names = {member.filename for member in members}
        if archive.comment or len(names) < len(members) or not all(name.startswith(f"{folder}/") for name in names):
            raise NotReadable("its zip directory is not torch's")
        if any(m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size for m in members):
            raise NotReadable("its zip members are compressed")
        if sum(member.file_size for member in members) > size:
            raise NotReadable("its zip members are larger than the file")
        pickled = archive.getinfo(f"{folder}/data.pkl")
        if pickled.file_size > LARGEST_PICKLE:
            raise NotReadable("it holds too many plain values")
        for opcode, argument, _ in pickletools.genops(archive.read(pickled)):
            if opcode.name == "GLOBAL" and not KNOWN.fullmatch(str(argument)):
                raise NotReadable(f"it holds more than tensors and plain values: {str(argument)[:80]}")
    return size


def check_values(body: Any, size: int) -> None:
    """Checks what was read from a file of `size` bytes, looking at no tensor's numbers.

    Raises:
        NotReadable: a tensor is larger than its storage, or all together are more than the file can hold.
    """
    waiting: list[tuple[Any, int]] = [(body, 0)]
    total = 0  # items and bytes, of what stands in several places each time
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, torch.Tensor):
            used = value.numel() * value.element_size()
            if used > value.untyped_storage().nbytes():
                raise NotReadable(f"a tensor of shape {tuple(value.shape)} has fewer numbers than that")
            total += used
        elif isinstance(value, str | dict | list | tuple):
            total += len(value)
        total += 1
        if total > SHARED * size or depth > DEEPEST:
            raise NotReadable("it holds more than its size allows")
        if set(getattr(value, "__dict__", ())) - {"_metadata"}:  # what torch notes at its state_dicts
            raise NotReadable("a dict has attributes of its own")
        if isinstance(value, dict):
            waiting += [(item, depth + 1) for pair in value.items() for item in pair]
        elif isinstance(value, list | tuple):
            waiting += [(item, depth + 1) for item in value]
