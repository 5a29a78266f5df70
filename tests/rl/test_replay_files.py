"""The replay's files go back to every state that they were in."""

import numpy as np
import pytest

from rl.replay_files import CHUNK, ReplayFiles

pytestmark = pytest.mark.quick


def test_replay_files_rewind_to_every_state_they_returned(tmp_path):
    rng, width, capacity = np.random.default_rng(0), 3, int(1.5 * CHUNK)
    rows = rng.standard_normal((5 * CHUNK // 2, width)).astype(np.float32)
    files, states, last = ReplayFiles(tmp_path, width, capacity), [], 0
    for end in (0, 10, CHUNK - 1, CHUNK, CHUNK + 7, 2 * CHUNK, len(rows)):
        files.append(rows[last:end])
        states.append((end, files.snapshot()))
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
