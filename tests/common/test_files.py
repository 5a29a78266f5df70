"""What is read of files that others may have written."""

import pytest

from common.files import read_entries, write_atomically
from common.run_folder import FAILURE, RunFolder

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
    (tmp_path / f".a.{10**30}.tmp").touch()
    write_atomically(tmp_path / "a", lambda file: file.write(b"whole"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
