"""What is read of files that others may have written."""

import builtins
import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from common.cli import check_out
from common.csv_log import CsvLog
from common.errors import UsageError
from common.files import (
    LARGEST_NOTES,
    LARGEST_TABLE,
    open_to_read,
    put_in_place,
    read_entries,
    read_whole,
    write_atomically,
)
from common.run_folder import FAILURE, LOCK, RunFolder

pytestmark = pytest.mark.quick
DEEP = "[" * 100_000


def test_the_entries_of_an_object_are_read(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1]}')
    assert read_entries(tmp_path / "a.json") == {"a": [1]}


@pytest.mark.parametrize("text", [b"", b"[1]", b"3", b"{", b"\xff", DEEP.encode()], ids=lambda text: str(text[:4]))
def test_what_is_no_object_is_a_value_error(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"."):
        read_entries(tmp_path / "a.json")


def test_a_run_whose_failure_cannot_be_read_has_failed(tmp_path):
    (tmp_path / FAILURE).write_text(DEEP)
    assert RunFolder(tmp_path, "run").failure == f"{FAILURE} cannot be read"


def test_what_was_left_under_a_number_that_no_process_has_goes(tmp_path):
    with put_in_place(tmp_path / "a") as path:
        path.touch()
    path.with_name(path.name.replace(f".{os.getpid()}.tmp", f".{10**30}.tmp")).touch()
    write_atomically(tmp_path / "a", lambda file: file.write(b"whole"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("read", [open_to_read, read_entries, lambda path: read_whole(path, 10)])
def test_a_pipe_is_not_waited_for_nor_one_behind_a_link(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match=f"no regular file: .*{name}"):
            read(tmp_path / name)


def test_a_pipe_in_the_place_of_a_lock_is_no_process_that_writes(tmp_path):
    os.mkfifo(tmp_path / LOCK)
    assert not RunFolder(tmp_path, "run").in_use()


def test_files_larger_than_any_of_their_kind_are_not_read(tmp_path):
    """They take no room on the disk, and would take all memory."""
    for name, size in (("opt.json", LARGEST_NOTES), (FAILURE, LARGEST_NOTES), ("eval.csv", LARGEST_TABLE)):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, size + 1)
    with pytest.raises(OSError, match=r"larger than 4 MiB: .*opt\.json"):
        read_entries(tmp_path / "opt.json")
    with pytest.raises(OSError, match=r"larger than 64 MiB: .*eval\.csv"):
        CsvLog(tmp_path / "eval.csv", ["steps"]).rows()
    assert RunFolder(tmp_path, "run").failure == f"{FAILURE} cannot be read"


FORKING = """
import fcntl, os, pathlib, signal, sys
from common.files import open_for_lock
file = open_for_lock(pathlib.Path(sys.argv[1]))
fcntl.flock(file, fcntl.LOCK_EX)
if os.fork() == 0:
    print("forked", flush=True)
    sys.stdin.read()
    os._exit(0)
signal.pause()
"""


def test_a_process_that_was_forked_off_keeps_no_lock(tmp_path):
    """An environment's worker outlives a run that was killed."""
    command = [sys.executable, "-c", FORKING, tmp_path / LOCK]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"forked\n"
        assert RunFolder(tmp_path, "run").in_use()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not RunFolder(tmp_path, "run").in_use()
        with open(tmp_path / LOCK, "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_names_the_file(tmp_path):
    table, target = CsvLog("/dev/full", ["steps"]), tmp_path / "checkpoint.pt"
    with pytest.raises(OSError, match="/dev/full") as found:
        table.append([[1]])
    assert found.value.errno == errno.ENOSPC and found.value.filename == "/dev/full"
    with (
        pytest.raises(OSError, match=r"checkpoint\.pt") as found,
        put_in_place(target),
        open("/dev/full", "wb") as full,
    ):
        full.write(b"x")
    assert found.value.errno == errno.ENOSPC and found.value.filename == str(target)


def test_a_table_that_begins_is_never_read_without_its_header(tmp_path, monkeypatch):
    """Others read the tables of runs while they begin."""
    table, seen, original = CsvLog(tmp_path / "eval.csv", ["steps", "mean_return"]), [], builtins.open

    def watched(file, *args, **kwargs):
        if table.path.exists():
            seen.append(table.path.read_bytes())
        return original(file, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", watched)
    table.begin()
    table.append([[1, 2]])
    table.begin()
    monkeypatch.undo()
    assert seen and all(content.startswith(b"steps,mean_return\n") for content in seen)
    assert table.path.read_bytes() == b"steps,mean_return\n"


@pytest.mark.parametrize(
    ("name", "like"), [("x.png", b"\x89PNG..."), ("x.gif", b"GIF89a"), ("x.mp4", b"0000ftypisom"), ("x.svg", b"<svg")]
)
def test_what_is_no_picture_is_not_replaced_by_one(tmp_path, name, like):
    out = tmp_path / name
    assert check_out(out, out.suffix) == out
    for replaceable in (like, b""):
        out.write_bytes(replaceable)
        assert check_out(out, out.suffix) == out
    out.write_text("my notes")
    with pytest.raises(UsageError, match=f"--out .*{name}: it exists and is no {out.suffix} file: choose another"):
        check_out(out, out.suffix)
