"""Comparing what two runs wrote."""

import re

import torch

from common import checkpoint


def contents(folder):
    """Every file of a run but that of its speed, checkpoints as their content less the flags that may differ."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in ("opt.json", "speed.csv", ".lock", "checkpoint.previous.pt"):
            name = str(path.relative_to(folder))
            if path.name == "checkpoint.pt":
                kind = re.search(rb"embedding run|run", path.read_bytes()).group().decode()
                content = checkpoint.load(path, kind)
                content.pop("flags")
                found[name] = checkpoint.digest(content)
            elif path.suffix == ".pt":
                found[name] = torch.load(path, weights_only=True)["digest"]
            else:
                found[name] = path.read_bytes()
    return found


def assert_same(folder, other):
    """Both folders hold the same files with the same content."""
    one, two = contents(folder), contents(other)
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
