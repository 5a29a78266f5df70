"""--tensorboard writes the numbers of the tables as events."""

import errno
import os
import threading

import numpy as np
import pandas as pd
import pytest

import rl.main_td3


def assert_events_are_the_tables(folder):
    """What tensorboard shows of a seed are the rows of its tables, each once."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    for tag, file, column in (
        ("evaluation/mean_return", "eval.csv", 2),
        ("training/episode_return", "train.csv", 2),
        ("training/critic_loss", "train.csv", 4),
        ("training/actor_loss", "train.csv", 6),
        ("training/q_max", "train.csv", 8),
    ):
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        np.testing.assert_allclose(
            found, np.loadtxt(folder / file, delimiter=",", skiprows=1)[:, [1, column]], rtol=1e-6
        )


def test_tensorboard_events_are_the_curves(call, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    flags = {"max_timesteps": 200, "eval_freq": 100, "eval_episodes": 1, "batch_size": 4}
    assert call(rl.main_td3.main, "--tensorboard", results_dir=tmp_path, **flags).code == 0
    folder = tmp_path / "rl" / "ReacherVertical-v2" / "TD3" / "default" / "seed_0"
    assert_events_are_the_tables(folder)
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    speeds = [(event.step, event.value) for event in events.Scalars("training/steps_per_second")]
    np.testing.assert_allclose(speeds, np.loadtxt(folder / "speed.csv", delimiter=",", skiprows=1), atol=0.01)


@pytest.mark.parametrize(
    ("edited", "kept"),
    [
        (
            "400,7.5\nedited,by,hand\n\n400,\n-inf,6\n200,inf\n300,1",
            [100, 200, 300, 300],
        ),  # the first behind the checkpoint
        ("9" * 200_000, []),
    ],
)
def test_events_that_are_first_asked_for_at_a_resume_are_of_the_whole_run(call, tmp_path, edited, kept):
    flags = {"eval_freq": 100, "eval_episodes": 1, "batch_size": 4, "results_dir": tmp_path}
    folder = tmp_path / "rl" / "ReacherVertical-v2" / "TD3" / "default" / "seed_0"
    assert call(rl.main_td3.main, max_timesteps=300, **flags).code == 0
    with (folder / "speed.csv").open("a") as table:
        table.write(edited)
    assert call(rl.main_td3.main, "--tensorboard", "--resume", max_timesteps=400, **flags).code == 0
    assert_events_are_the_tables(folder)
    assert pd.read_csv(folder / "speed.csv").steps.tolist() == kept
    assert len(list((folder / "tensorboard").iterdir())) == 1


def test_what_a_process_that_was_killed_wrote_behind_its_checkpoint_is_passed_over(call, tmp_path):
    flags = {"eval_episodes": 1, "batch_size": 4, "results_dir": tmp_path}
    assert call(rl.main_td3.main, "--tensorboard", max_timesteps=200, eval_freq=100, **flags).code == 0
    folder = tmp_path / "rl" / "ReacherVertical-v2" / "TD3" / "default" / "seed_0"
    saved = {path: path.read_bytes() for path in folder.glob("checkpoint*")}
    assert call(rl.main_td3.main, "--tensorboard", "--resume", max_timesteps=500, eval_freq=100, **flags).code == 0
    for path, data in saved.items():
        path.write_bytes(data)
    assert call(rl.main_td3.main, "--tensorboard", "--resume", max_timesteps=800, eval_freq=400, **flags).code == 0
    assert_events_are_the_tables(folder)
    assert np.loadtxt(folder / "eval.csv", delimiter=",", skiprows=1)[:, 1].tolist() == [0, 100, 200, 400, 800]


def test_events_that_cannot_be_written_are_told_in_one_line(call, tmp_path, monkeypatch):
    from tensorboard.summary.writer.record_writer import RecordWriter

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(
        threading, "excepthook", threading.excepthook
    )  # what another test has made of it is of no use here
    monkeypatch.setattr(RecordWriter, "write", full)
    flags = {"max_timesteps": 400, "eval_freq": 100, "eval_episodes": 1, "batch_size": 4}
    ran = call(rl.main_td3.main, "--tensorboard", results_dir=tmp_path, **flags)
    folder = tmp_path / "rl" / "ReacherVertical-v2" / "TD3" / "default" / "seed_0" / "tensorboard"
    assert ran.code == 1 and "Traceback" not in ran.err
    assert ran.err.splitlines()[-1].startswith(f"main_td3.py: error: {folder}: No space left on device: make room")


def test_folders_that_tensorboard_cannot_name_are_refused(call, tmp_path):
    ran = call(rl.main_td3.main, "--tensorboard", results_dir=tmp_path / "p\udcffq", max_timesteps=100)
    assert (ran.code, ran.err.count("\n")) == (2, 1) and "is no UTF-8, as tensorboard's folders must be" in ran.err
    assert not list(tmp_path.iterdir())
