"""analysis/publish_embedding.py: what it copies, and what it leaves alone."""

import pytest

import analysis.publish_embedding
from embedding.trained import load_embedding

pytestmark = pytest.mark.quick


@pytest.fixture
def publish(call, tiny):
    def publish(out, *flags):
        folder = tiny / "ReacherVertical-v2" / "default"
        return call(analysis.publish_embedding.main, *flags, folder, out=out, commit="abc1234", threads=None)

    return publish


def test_both_networks_and_a_text_are_written(publish, tmp_path):
    ran = publish(tmp_path / "k4")
    assert ran.code == 0, ran.err
    assert {path.name for path in (tmp_path / "k4").iterdir()} == {"encoder.pt", "decoder.pt", "embedding.txt"}
    assert load_embedding(tmp_path / "k4")[3] == "ReacherVertical-v2"


@pytest.mark.parametrize("name", ["encoder.pt", "decoder.pt", "embedding.txt"])
def test_nothing_is_replaced_without_a_word(publish, tmp_path, name):
    (tmp_path / name).write_text("mine")
    ran = publish(tmp_path)
    assert ran.code == 2 and "it exists: choose another, or replace it with --overwrite" in ran.err
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "mine"}
    assert publish(tmp_path, "--overwrite").code == 0 and (tmp_path / name).read_bytes() != b"mine"
