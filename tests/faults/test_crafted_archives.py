"""Files that are larger than they seem, or hold other things than tensors and plain values: refused before they are read."""

import contextlib
import io
import pickle
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import pytest
import torch
from crafted_files import ONES, write_as_it_is

from common import checkpoint
from common.checkpoint import CheckpointError
from rl.action_spaces import LARGEST_PLAN
from rl.policies import load_policy


def nested(depth, width=1):
    value = []
    for _ in range(depth):
        value = [value] * width
    return value


def ring():
    value = []
    value.append(value)
    return value


class Calls:
    """Unpickled, it calls `function`, of those that torch's reader takes for harmless."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


class Stated(Calls):
    """What it calls makes an object that is given a state."""

    def __init__(self, state, function, *arguments):
        super().__init__(function, *arguments)
        self.state = state

    def __reduce__(self):
        return self.function, self.arguments, self.state


STORAGE = torch.zeros(4).storage()
OF_STORAGE = torch._utils._rebuild_tensor_v2, STORAGE, 0, (4,), (1,), False, OrderedDict()
CONTENTS = {
    "a view of 2.5 GB of four bytes": {"x": torch.zeros(1).expand(25_000, 25_000)},
    "a small view that is too large": {"x": torch.zeros(1).expand(2)},
    "a tensor many times": [torch.zeros(1000)] * 1000,
    "a list in itself": ring(),
    "a deep list": nested(300),
    "a list of lists of lists": nested(9, 10),
    "a sparse tensor": torch.sparse_coo_tensor(
        torch.zeros(1, 1).long(), torch.ones(1), (10**9,), check_invariants=False
    ),
    "a meta tensor": torch.ones(10**9, device="meta"),
    "a parameter": torch.nn.Parameter(torch.ones(2)),
    "a conjugate": torch.ones(2, dtype=torch.complex64).conj(),
    "bfloat16": torch.ones(2, dtype=torch.bfloat16),
    "a counter": Counter("abc"),
    "a set": {1, 2},
    "300 MB of zeros": Calls(bytearray, 300_000_000),
    "a tensor of 4 GB": Calls(torch.Tensor, 10**9),
    "a tensor that is grown afterwards": Stated((STORAGE, 0, (10**9,), (1,)), *OF_STORAGE),
    "a dict with another method": Stated({"items": 3}, OrderedDict),
    "a dict with a method from elsewhere": Stated({"get": 3}, OrderedDict),
    "a number that cannot be printed": 10**5000,
}


@pytest.mark.parametrize("what", CONTENTS)
def test_contents_that_are_not_plain(tmp_path, what):
    path = tmp_path / "x.pt"
    body = {"format": checkpoint.FORMAT, "kind": "decoder", "versions": {}, "content": {"x": CONTENTS[what]}}
    torch.save(body | {"digest": "0" * 64}, path)
    with pytest.raises(CheckpointError, match=str(path)):
        assert_small(lambda: checkpoint.read(path, "decoder"))


def assert_small(function):
    """Calls `function`, which may take 100 MB more than there were."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status("VmRSS")
    try:
        return function()
    finally:
        assert status("VmHWM") < before + 100_000


def status(name):
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1])


def rewritten(path, members=lambda name, data: [(name, data)], compression=zipfile.ZIP_STORED, comment=b""):
    """Writes a torch file's members anew."""
    old, new = zipfile.ZipFile(path), io.BytesIO()
    with zipfile.ZipFile(new, "w", compression) as archive:
        for name in old.namelist():
            for member in members(name, old.read(name)):
                archive.writestr(*member)
        archive.comment = comment
    return new.getvalue()


def overlapping(path):
    """A directory that lists the largest member a hundred times."""
    data = rewritten(path)
    archive = zipfile.ZipFile(io.BytesIO(data))
    (member,) = [m for m in archive.infolist() if m.filename.endswith("data/0")]
    begin = archive.start_dir
    entry_at = data.index(b"PK\x01\x02", begin)
    while member.filename.encode() not in data[entry_at : data.index(b"PK", entry_at + 4)]:
        entry_at = data.index(b"PK\x01\x02", entry_at + 4)
    record, end = data[entry_at : data.index(b"PK", entry_at + 4)], bytearray(data[-22:])
    directory = data[begin:-22] + b"".join(record.replace(b"data/0", b"da%02d/0" % n)[: len(record)] for n in range(99))
    end[8:12] = (len(archive.infolist()) + 99).to_bytes(2, "little") * 2
    end[12:16] = len(directory).to_bytes(4, "little")
    return data[:begin] + directory + bytes(end)


def legacy(path):
    buffer = io.BytesIO()
    torch.save(torch.load(path, weights_only=True), buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def longer_storage(name, data):
    return [(name, data.replace(b"J\x80\x84\x1e\x00", b"J\x80\x84\x1e\x70"))]


REWRITTEN = {
    "compressed": lambda path: rewritten(path, compression=zipfile.ZIP_DEFLATED),
    "compressed otherwise": lambda path: rewritten(path, compression=zipfile.ZIP_LZMA),
    "with a comment": lambda path: rewritten(path, comment=b"PK\x05\x06" + bytes(18)),
    "in two folders": lambda path: rewritten(path, lambda n, data: [(n, data), ("other/" + n, data)]),
    "members without a pickle": lambda path: rewritten(path, lambda n, data: [] if "data.pkl" in n else [(n, data)]),
    "members that overlap": overlapping,
    "behind something else": lambda path: b"GIF89a" + path.read_bytes(),
    "behind an older file": lambda path: legacy(path) + path.read_bytes(),
    "an older format": legacy,
    "an empty zip": lambda path: b"PK\x05\x06" + bytes(18),
    "a pickle alone": lambda path: pickle.dumps({"format": "dyne-1"}, protocol=2),
    "a storage shorter than said": lambda path: rewritten(path, longer_storage),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", REWRITTEN)
def test_files_whose_directory_lies(tmp_path, what):
    path = tmp_path / "x.pt"
    write_as_it_is(path, "decoder", {"x": torch.zeros(2_000_000)})
    assert checkpoint.load(path, "decoder")["x"].shape == (2_000_000,)
    path.write_bytes(REWRITTEN[what](path))
    with pytest.raises(CheckpointError, match=str(path)):
        assert_small(lambda: checkpoint.read(path, "decoder"))


@pytest.mark.parametrize("head", [{"versions": None}, {"kind": ["decoder"]}, {"format": 1}, {"digest": ONES}], ids=str)
def test_heads_that_are_none(tmp_path, head):
    write_as_it_is(tmp_path / "x.pt", "decoder", {"k": 2}, head)
    with pytest.raises(CheckpointError, match="x.pt"):
        checkpoint.read(tmp_path / "x.pt", "decoder")


def test_a_plan_takes_no_more_memory_than_its_file_allows(tmp_path):
    """A length that is told in a few bytes."""
    wide = {"low": torch.full((300,), -1.0), "high": torch.full((300,), 1.0)}
    content = {"env_id": "Wide-v0", "method": "held-TD3", "seed": 0, "states": {"kind": "observations", "dim": 1}}
    content |= {"policy": {"widths": [1, 300], "actor": torch.zeros(1, 600)}}
    for k, fits in ((10**6, False), (LARGEST_PLAN // 300, True)):
        actions = {"kind": "held", "k": k, "share": 1.0, **wide}
        checkpoint.save(tmp_path / "checkpoint.pt", "run", content | {"actions": actions})
        with contextlib.nullcontext() if fits else pytest.raises(CheckpointError, match="k is 1000000"):
            assert_small(lambda: load_policy(tmp_path))
