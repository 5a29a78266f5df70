"""SIGINT, SIGTERM and SIGHUP save a run and name the command that goes on with it."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from same_runs import assert_same

import embedding.main
import rl.main_td3
from common import checkpoint
from common.interruption import Interruption
from common.paths import REPOSITORY

EMBEDDING = {"steps": 1000, "epochs": 100, "epoch_size": 256, "decoder_epochs": 3, "decoder_batches": 8}


def start(script, *arguments):
    command = [sys.executable, str(REPOSITORY / script), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests run under nohup
    try:
        return subprocess.Popen(command, **pipes)
    finally:
        signal.signal(signal.SIGHUP, before)


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def go_on(call, main, command, *more, here):
    """Runs the command that a script named, word for word; or its flags in this process, which is quicker."""
    assert command[0] == sys.executable and command[-1] == "--resume"
    assert Path(command[1]).samefile(main.__code__.co_filename)
    if not here:
        done = subprocess.run([*command, *map(str, more)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return
    ran = call(main, *command[2:], *more, threads=None)
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_save_and_name_the_command_that_goes_on(call, tmp_path, number, code):
    flags = ["--env", "Pendulum-v1", "--eval_freq", 100, "--eval_episodes", 1, "--batch_size", 20, "--results_dir"]
    folder = tmp_path / "rl" / "Pendulum-v1" / "TD3" / "default" / "seed_0"
    process = start("rl/main_td3.py", *flags, tmp_path, "--max_timesteps", 100_000)
    wait_for(lambda: (folder / "checkpoint.previous.pt").exists(), process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert f"{number.name}: finishing this block of steps and saving; Ctrl-C stops at once" in err.splitlines()
    command = shlex.split(err.strip().splitlines()[-1])
    steps = checkpoint.load(folder / "checkpoint.pt", "run")["steps"]
    go_on(call, rl.main_td3.main, command, "--max_timesteps", steps + 100, here=number != signal.SIGINT)
    whole = call(rl.main_td3.main, *flags, tmp_path, max_timesteps=steps + 100, name="whole", threads=None)
    assert whole.code == 0, whole.err
    assert_same(folder.parent.parent / "whole", folder.parent)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_save_an_embedding_too(call, tmp_path, number, code):
    flags = [word for name, value in EMBEDDING.items() for word in (f"--{name}", value)]
    flags += ["--env", "Pendulum-v1", "--checkpoint_freq", 1, "--results_dir", tmp_path]
    folder = tmp_path / "Pendulum-v1" / "default"
    process = start("embedding/main.py", *flags)
    wait_for(lambda: (folder / "checkpoint.previous.pt").exists(), process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert checkpoint.load(folder / "checkpoint.pt", "embedding run")["epoch"] < 100
    go_on(call, embedding.main.main, shlex.split(err.strip().splitlines()[-1]), here=number != signal.SIGINT)
    if number == signal.SIGINT:  # in a process that has imported as much: versions of that stand in what is written
        assert start("embedding/main.py", *flags, "--name", "whole").wait() == 0
    else:
        assert call(embedding.main.main, *flags, name="whole", threads=None).code == 0
    assert_same(folder.with_name("whole"), folder)


def test_under_nohup_a_terminal_that_closes_stops_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption("this") as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
            assert interruption.received is None
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with Interruption("this") as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
            assert interruption.received == signal.SIGHUP
    finally:
        signal.signal(signal.SIGHUP, before)
