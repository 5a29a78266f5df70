"""The replay's files go back to every state that they were in."""

import shutil

import numpy as np
import pytest

from rl import replay_files
from rl.replay_files import CHUNK, ReplayFiles

pytestmark = pytest.mark.quick


def test_replay_files_rewind_to_every_state_they_returned(tmp_path):
    rng, width, capacity = np.random.default_rng(0), 3, int(1.5 * CHUNK)
    rows = rng.standard_normal((5 * CHUNK // 2, width)).astype(np.float32)
    files, states, last = ReplayFiles(tmp_path, width, capacity), [], 0
    for end in (0, 10, CHUNK - 1, CHUNK, CHUNK + 7, 2 * CHUNK, len(rows)):
        files.append(rows[last:end])
        states.append((end, files.snapshot()))
        files.prune()
        last = end
    for end, state in reversed(states[-2:]):
        files = ReplayFiles(tmp_path, width, capacity)
        restored = np.concatenate([np.empty((0, width), np.float32), *files.verify(state)])
        files.rewind(state)
        np.testing.assert_array_equal(restored, rows[max(0, end - capacity) : end])
    damaged = tmp_path / "replay" / "1.f32"
    data = bytearray(damaged.read_bytes())
    data[100] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(Exception, match="is damaged"):
        list(ReplayFiles(tmp_path, width, capacity).verify(states[-2][1]))


@pytest.mark.parametrize("capacity", [9, 12, 20])
def test_both_checkpoints_can_be_gone_back_to_at_any_moment(tmp_path, monkeypatch, capacity):
    """Of a replay of a few files, of which the oldest are deleted again and again; also while a checkpoint is written."""
    monkeypatch.setattr(replay_files, "CHUNK", 6)
    rows = np.arange(2 * 90, dtype=np.float32).reshape(90, 2)
    files, saved = ReplayFiles(tmp_path / "run", 2, capacity), []
    (tmp_path / "run").mkdir()

    def check():
        for number, (end, state) in enumerate(saved[-2:]):
            shutil.copytree(tmp_path / "run", tmp_path / "copy")
            copy = ReplayFiles(tmp_path / "copy", 2, capacity)
            np.testing.assert_array_equal(np.concatenate(list(copy.verify(state))), rows[max(0, end - capacity) : end])
            copy.rewind(state)
            copy.append(rows[end : end + 5])
            kept = np.concatenate(list(copy.verify(copy.snapshot())))
            np.testing.assert_array_equal(kept, rows[max(0, end + 5 - capacity) : end + 5])
            if number == 1:  # the older one serves still
                older_end, older = saved[-2]
                found = np.concatenate(list(copy.verify(older)))
                np.testing.assert_array_equal(found, rows[max(0, older_end - capacity) : older_end])
            shutil.rmtree(tmp_path / "copy")

    for end in range(2, 84, 2):
        files.append(rows[end - 2 : end])
        state = files.snapshot()
        check()  # the checkpoint could not be written, and the two before it are those there are
        saved.append((end, state))
        check()  # it is written, and the process is killed
        files.prune()
        check()
    assert len(list((tmp_path / "run" / "replay").iterdir())) <= capacity // 6 + 2


def test_checkpoints_of_before_list_files_that_they_do_not_need(tmp_path, monkeypatch):
    monkeypatch.setattr(replay_files, "CHUNK", 6)
    rows = np.arange(2 * 40, dtype=np.float32).reshape(40, 2)
    files = ReplayFiles(tmp_path, 2, 9)
    files.append(rows[:20])
    state = files.snapshot()
    state["checksums"] |= {0: 12345}  # of a file that is gone
    files.prune()
    (tmp_path / "replay" / "0.f32").unlink(missing_ok=True)
    np.testing.assert_array_equal(np.concatenate(list(files.verify(state))), rows[11:20])
    files.rewind(state)
    assert set(files.snapshot()["checksums"]) == {1, 2, 3}


def test_the_disk_is_counted_as_it_is_filled(tmp_path, monkeypatch):
    """Whole files, of what two checkpoints need; never fewer than there are, and at most as many as steps."""
    monkeypatch.setattr(replay_files, "CHUNK", 10)
    most = replay_files.rows_on_disk(200, 15, 7)
    files, held = ReplayFiles(tmp_path, 2, 15), []
    for _ in range(0, 203, 7):
        files.append(np.zeros((7, 2), np.float32))
        held.append(sum(path.stat().st_size for path in tmp_path.rglob("*.f32")) / 8)
        files.snapshot()
        files.prune()
    assert 15 + 7 < max(held) <= most == 39 and replay_files.rows_on_disk(30, 15, 7) == 30
