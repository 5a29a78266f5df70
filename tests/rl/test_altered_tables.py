"""Tables that were altered since a checkpoint are not gone on with: the run is refused, and nothing is cut."""

import numpy as np
import pytest
from same_runs import assert_same
from scripts import listing

import embedding.main
import rl.main_td3
import rl.results
from common import checkpoint

FLAGS = {"env": "Pendulum-v1", "eval_freq": 100, "eval_episodes": 1, "batch_size": 20}
EMBEDDING = {"env": "Pendulum-v1", "steps": 1000, "epochs": 4, "epoch_size": 256, "decoder_batches": 8}
RUN = "rl/Pendulum-v1/TD3/default/seed_0"


def another_digit(data):
    place = data.index(b"\n") + 1
    return data[:place] + (b"2" if data[place : place + 1] != b"2" else b"3") + data[place + 1 :]


ALTERED = {
    "a digit more": lambda data: data[:-1] + b"0\n",
    "another digit": another_digit,
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "a column more": lambda data: data.replace(b"\n", b",1\n"),
    "another header": lambda data: b"E" + data[1:],
    "a line less": lambda data: data[: data.index(b"\n") + 1] + data.split(b"\n", 2)[2],
    "lines swapped": lambda data: b"\n".join([*data.split(b"\n")[1::-1], *data.split(b"\n")[2:]]),
    "a byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "not text": lambda data: b"\0\xff" + data,
    "nothing": lambda data: b"",
}


@pytest.fixture(scope="module")
def resume(call, tmp_path_factory):
    """Results of a run and of an embedding, and what goes on with them."""
    results = tmp_path_factory.mktemp("results")
    assert call(rl.main_td3.main, **FLAGS, max_timesteps=500, results_dir=results).code == 0
    assert call(embedding.main.main, **EMBEDDING, decoder_epochs=3, results_dir=results).code == 0

    def resumed(table):
        flags = {"--resume": None}
        if table == "log.csv":
            return call(embedding.main.main, *flags, **EMBEDDING, decoder_epochs=3, results_dir=results)
        return call(rl.main_td3.main, *flags, **FLAGS, max_timesteps=700, results_dir=results)

    return results, resumed


@pytest.mark.parametrize("how", list(ALTERED))
@pytest.mark.parametrize("table", ["eval.csv", "train.csv", "log.csv"])
def test_an_altered_table_is_refused(resume, table, how):
    results, resumed = resume
    (path,) = results.rglob(table)
    whole = path.read_bytes()
    path.write_bytes(ALTERED[how](whole))
    assert path.read_bytes() != whole
    before = listing(results)
    ran = resumed(table)
    assert ran.code == 2 and f"--resume: {path} was changed" in ran.err and ran.err.count("\n") == 1, ran.err
    assert listing(results) == before
    path.write_bytes(whole)


def with_plain_sizes(folder):
    """Rewrites the newest checkpoint as they were when they noted no checksums."""
    content = checkpoint.load(folder / "checkpoint.pt", "run")
    content["results"] = {name: state["size"] for name, state in content["results"].items()}
    checkpoint.save(folder / "checkpoint.pt", "run", content)


def test_checkpoints_that_note_sizes_only_are_gone_on_with(call, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert call(rl.main_td3.main, **FLAGS, max_timesteps=400, results_dir=whole).code == 0
    assert call(rl.main_td3.main, **FLAGS, max_timesteps=200, results_dir=parts).code == 0
    with_plain_sizes(parts / RUN)
    table = parts / RUN / "eval.csv"
    data = table.read_bytes()
    for how in ("a digit more", "CRLF", "a column more", "nothing"):
        table.write_bytes(ALTERED[how](data))
        ran = call(rl.main_td3.main, "--resume", **FLAGS, max_timesteps=400, results_dir=parts)
        assert ran.code == 2 and f"{table} was changed" in ran.err, ran.err
    table.write_bytes(data + b"99,99,")  # as after a kill
    ran = call(rl.main_td3.main, "--resume", **FLAGS, max_timesteps=400, results_dir=parts)
    assert ran.code == 0, ran.err
    assert_same(whole / RUN, parts / RUN)
    assert np.load(parts / RUN / "eval.npy").shape == (5, 3)


OLD = ["episodes", "steps", "episode_return", "episode_length", "critic_loss", "value"]


@pytest.mark.parametrize("noted", ["checksum", "size"])
def test_a_table_of_an_earlier_version_keeps_its_columns(call, tmp_path, monkeypatch, noted):
    """The newest has more of them, behind; numbers are what they are in a run that was never stopped."""
    flags = {**FLAGS, "results_dir": tmp_path}
    assert call(rl.main_td3.main, **flags, max_timesteps=400, name="whole").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(rl.results, "TRAIN_COLUMNS", OLD)
        assert call(rl.main_td3.main, **flags, max_timesteps=200).code == 0
    path = tmp_path / RUN / "checkpoint.pt"
    speed, elsewhere = path.with_name("speed.csv"), tmp_path / "elsewhere.csv"
    speed.unlink()
    if noted == "size":  # in its place a link, which nothing is written through
        elsewhere.write_text("of somebody else")
        speed.symlink_to(elsewhere)
    if noted == "size":  # older still
        content = checkpoint.load(path, "run")
        content["results"] = {name: state["size"] for name, state in content["results"].items()}
        checkpoint.save(path, "run", content)
    ran = call(rl.main_td3.main, "--resume", **flags, max_timesteps=400)
    assert ran.code == 0, ran.err
    lines, whole = (
        (folder / "seed_0" / "train.csv").read_text().splitlines()
        for folder in (path.parents[1], path.parents[2] / "whole")
    )
    assert lines[0] == ",".join(OLD) and lines == [",".join(line.split(",")[:6]) for line in whole]
    assert speed.read_text().startswith("steps,steps_per_second\n400,") and not speed.is_symlink()
    assert noted == "checksum" or elsewhere.read_text() == "of somebody else"
