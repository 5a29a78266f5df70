"""Checkpoints: what is written is read back, and nothing else is ever read."""

import os
import pickle
import subprocess
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from common import checkpoint, files
from common.checkpoint import CheckpointError
from common.errors import UsageError
from common.files import put_in_place, write_atomically
from common.run_folder import RunFolder
from embedding.decoder import ActionDecoder
from rl.replay import Batch

CONTENT = {
    "k": 4,
    "bound": 3.25,
    "tiny": 1e-320,
    "large": 2**80,
    "name": "Ärm-v2",
    "flag": True,
    "nothing": None,
    "weights": OrderedDict(a=torch.linspace(-1, 1, 15).reshape(3, 5), b=torch.arange(4), c=torch.tensor([True, False])),
    "double": torch.tensor(1 / 3, dtype=torch.float64),
    "empty": torch.zeros(0, 2),
    "nested": [1, (2.5, "x"), {"deep": [torch.ones(2)]}],
    "by number": {0: "a", 1: "b"},
}


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return a == b


@pytest.fixture
def path(tmp_path):
    checkpoint.save(tmp_path / "x.pt", "decoder", CONTENT)
    return tmp_path / "x.pt"


# ---- what is written is read back ----


def test_content_comes_back_equal(path):
    assert same(checkpoint.load(path, "decoder"), CONTENT)


def test_a_checkpoint_is_plain_and_says_what_it_is(path):
    body = torch.load(path, weights_only=True)
    assert body["kind"] == "decoder" and body["format"] == checkpoint.FORMAT
    assert body["versions"]["torch"] == torch.__version__
    assert same(body["content"], CONTENT)


def test_a_decoder_decodes_the_same_after_it(tmp_path):
    decoder = ActionDecoder([-1.0, -2.0], [3.0, 2.0], k=3, max_embedding=2.5, env_name="X-v0")
    decoder.whitening.fit(torch.randn(50, 2))
    decoder.save(tmp_path / "decoder.pt")
    loaded = ActionDecoder.load(tmp_path / "decoder.pt")
    z = torch.randn(6, 2)
    assert torch.equal(loaded(z), decoder(z)) and torch.equal(loaded.whitening(z), decoder.whitening(z))
    assert (loaded.k, loaded.max_embedding, loaded.env_id, loaded.action_dim) == (3, 2.5, "X-v0", 2)


@pytest.mark.parametrize(
    "value",
    [
        np.float64(1),
        np.int64(1),
        np.zeros(2),
        np.str_("a"),
        {np.float64(1): 2},
        b"bytes",
        {1, 2},
        1j,
        torch.float32,
        torch.Size([1]),
        Path("x"),
        object(),
        len,
        ActionDecoder,
        defaultdict(int),
        Batch(*range(6)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_plain_is_refused_before_anything_is_written(tmp_path, value):
    """Whatever `save` takes must be readable: numpy's scalars, say, would be written and then be refused by `load`."""
    with pytest.raises(TypeError, match="plain values, not "):
        checkpoint.save(tmp_path / "x.pt", "run", {"fine": 1, "inside": [value]})
    assert not list(tmp_path.iterdir())


# ---- what is not a whole checkpoint of the kind is refused ----


def test_no_file(tmp_path):
    for missing in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(CheckpointError, match=f"there is no file {missing}"):
            checkpoint.load(missing, "decoder")


def test_another_kind_or_format(path, monkeypatch):
    with pytest.raises(CheckpointError, match="is a decoder in format dyne-1, not an encoder"):
        checkpoint.load(path, "encoder")
    monkeypatch.setattr(checkpoint, "FORMAT", "dyne-2")
    with pytest.raises(CheckpointError, match="in format dyne-1, not a decoder in dyne-2"):
        checkpoint.load(path, "decoder")


@pytest.mark.parametrize(
    "body",
    [
        torch.zeros(3),
        [1, 2],
        {"state_dict": torch.zeros(2)},
        {"format": "dyne-1", "kind": "decoder"},
        {"format": "dyne-1", "kind": "decoder", "content": {}, "digest": "0" * 64},
        {"format": "dyne-1", "kind": "decoder", "content": {1, 2}, "digest": "0" * 64},
    ],
    ids=["tensor", "list", "state_dict", "no digest", "wrong digest", "not plain"],
)
def test_a_torch_file_of_someone_else(tmp_path, body):
    torch.save(body, tmp_path / "x.pt")
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path / "x.pt", "decoder")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", pickle.dumps({"a": 1}, protocol=2), bytes(5000)])
def test_no_torch_file_at_all(tmp_path, content):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path / "x.pt", "decoder")


class Malicious:
    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return Path.touch, (self.proof,)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_executed(tmp_path, zipped):
    proof, path = tmp_path / "executed", tmp_path / "x.pt"
    body = {"format": "dyne-1", "kind": "decoder", "content": Malicious(proof), "digest": "0" * 64}
    torch.save(body, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError):
        checkpoint.load(path, "decoder")
    path.write_bytes(pickle.dumps(body, protocol=2))
    with pytest.raises(CheckpointError):
        checkpoint.load(path, "decoder")
    assert not proof.exists()
    pickle.loads(path.read_bytes())
    assert proof.exists()  # the file would have done it


def test_a_truncated_file(path):
    whole = path.read_bytes()
    for length in {*range(0, len(whole), 37), *range(len(whole) - 40, len(whole))}:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            checkpoint.load(path, "decoder")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_flipped_byte_is_refused_or_harmless(path):
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    pickled = whole.index(b"data.pkl"), whole.index(b"PK\x07\x08")  # where the reader interprets most
    places = [*rng.integers(len(whole), size=300), *rng.integers(*pickled, size=500)]
    refused = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= rng.integers(1, 256)
        path.write_bytes(damaged)
        try:
            assert same(checkpoint.load(path, "decoder"), CONTENT)
        except CheckpointError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 400


def test_every_byte_of_a_tensor_counts(path):
    whole = path.read_bytes()
    stored = CONTENT["weights"]["a"].numpy().tobytes()
    begin = whole.index(stored)
    for place in range(begin, begin + len(stored)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"damaged"):
            checkpoint.load(path, "decoder")


def test_a_number_that_the_reader_cannot_finish(path):
    """The last opcode of the pickle becomes one that wants eight more bytes."""
    whole = path.read_bytes()
    end = whole.index(b"PK\x07\x08") - 1
    assert whole[end : end + 1] == b"."
    path.write_bytes(whole[:end] + b"G" + whole[end + 1 :])
    with pytest.raises(CheckpointError):
        checkpoint.load(path, "decoder")


# ---- writing ----


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path):
    old = path.read_bytes()

    def fail(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    with pytest.raises(TypeError):
        checkpoint.save(path, "decoder", {"x": object()})
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_the_file_is_whole_before_it_has_its_name(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old" and Path(file.name).parent == tmp_path

    write_atomically(path, write)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_writers_left_is_cleared_away_and_living_ones_is_not(tmp_path):
    child = subprocess.Popen(["true"])
    child.wait()

    def temporary(name, pid):
        with put_in_place(tmp_path / name) as path:
            path.touch()
        (tmp_path / name).unlink()
        return path.with_name(path.name.replace(f".{os.getpid()}.tmp", f".{pid}.tmp"))

    dead, living, other = temporary("a.txt", child.pid), temporary("a.txt", 1), temporary("b.txt", child.pid)
    elsewhere = tmp_path / f".a.txt.node7-4026531836.{child.pid}.tmp"  # on another machine that shares the folder
    for path in (dead, living, other, elsewhere):
        path.touch()
    write_atomically(tmp_path / "a.txt", lambda file: file.write(b"x"))
    assert sorted(tmp_path.iterdir()) == sorted([living, other, elsewhere, tmp_path / "a.txt"])


def test_writers_of_equal_numbers_on_two_machines_do_not_meet(tmp_path, monkeypatch):
    """As in containers that share a folder: whoever is last replaces, and none takes the other's file away."""
    monkeypatch.setattr(files, "_machine", lambda: "one")
    with put_in_place(tmp_path / "a") as first:
        first.write_bytes(b"first")
        monkeypatch.setattr(files, "_machine", lambda: "two")
        write_atomically(tmp_path / "a", lambda file: file.write(b"second"))
        assert (tmp_path / "a").read_bytes() == b"second" and first.exists()
    assert (tmp_path / "a").read_bytes() == b"first" and [path.name for path in tmp_path.iterdir()] == ["a"]


def test_checkpoints_of_other_versions_are_read_with_a_warning(tmp_path, monkeypatch, capsys):
    folder = RunFolder(tmp_path, "run")
    folder.save({"steps": 0})
    assert folder.checkpoints() == [{"steps": 0}] and not capsys.readouterr().out
    monkeypatch.setattr(torch, "__version__", "9.9")
    folder.save({"steps": 1})
    monkeypatch.undo()
    assert folder.checkpoints()[0] == {"steps": 1}
    assert "was written with torch 9.9: numbers may differ" in capsys.readouterr().out


def test_the_whole_checkpoint_is_kept_where_the_newest_is_damaged(tmp_path):
    """Else a kill within the next save, between its two renames, would leave the damaged one alone."""
    folder = RunFolder(tmp_path, "run")
    for steps in (1, 2):
        folder.save({"steps": steps})
    folder.drop_damaged()
    assert [content["steps"] for content in folder.checkpoints()] == [2, 1]
    folder.newest.write_bytes(folder.newest.read_bytes()[:-9])
    folder.drop_damaged()
    assert [content["steps"] for content in folder.checkpoints()] == [1] and not folder.older.exists()
    folder.newest.write_bytes(b"")
    folder.drop_damaged()  # nothing that could take its place
    assert folder.newest.exists()


def test_what_would_be_too_large_to_be_read_leaves_the_checkpoint_before_it(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path, "run")
    folder.save({"steps": 1})
    monkeypatch.setattr("common.torch_file.LARGEST_FILE", 100)
    with pytest.raises(UsageError, match="could not be read again"):
        folder.save({"steps": 2})
    monkeypatch.undo()
    assert folder.checkpoints() == [{"steps": 1}] and [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
