"""Output that cannot be written stops nothing, and the exit code says how the run ended."""

import io
import os
import signal
import subprocess
import sys
import time

import pytest
from fault_runs import wait_until_held
from processes import ScriptProcess
from tqdm import tqdm

from common import checkpoint
from common.output import Output
from common.paths import REPOSITORY
from common.progress import EVERY

POLICY = {"env": "Pendulum-v1", "eval_freq": 100, "eval_episodes": 1, "batch_size": 20, "max_timesteps": 100_000}
EMBEDDING = {"env": "Pendulum-v1", "steps": 1000, "epochs": 400, "epoch_size": 256, "checkpoint_freq": 1}
RUNS = {"rl/main_td3.py": (POLICY, "run"), "embedding/main.py": (EMBEDDING, "embedding run")}


def words(flags):
    return [f"--{name}={value}" for name, value in flags.items()]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("script", list(RUNS))
def test_a_run_whose_reader_has_gone_saves_and_stops(tmp_path, script, number, code):
    """As with Ctrl-C under `2>&1 | tee log`: tee dies first."""
    pipe, (flags, kind) = tmp_path / "pipe", RUNS[script]
    os.mkfifo(pipe)
    process = ScriptProcess(script, words({**flags, "results_dir": tmp_path / "results"}), pipe)
    reader = os.open(pipe, os.O_RDONLY)
    assert wait_until_held(tmp_path / "results", process)
    while not (found := [*tmp_path.rglob("checkpoint.previous.pt")]):
        assert process.poll() is None
        time.sleep(0.02)
    closed = time.time()
    os.close(reader)
    time.sleep(EVERY + 0.5)  # of its lines one at least has found no reader
    os.kill(process.pid, number)
    try:
        assert process.wait(60) == code
    finally:
        process.kill()
    newest = found[0].with_name("checkpoint.pt")
    assert checkpoint.load(newest, kind) and newest.stat().st_mtime > closed + EVERY


def test_an_environment_may_close_the_stream():
    for stream in (io.StringIO(), io.StringIO()):
        output = Output(stream)
        stream.close()
        assert not output.isatty() and output.write("told\n") == 5 and not output.isatty()
    assert not Output(None).isatty()


def test_a_run_whose_output_is_a_full_disk_ends_well(tmp_path):
    flags = {**POLICY, "max_timesteps": 200, "results_dir": tmp_path}
    assert ScriptProcess("rl/main_td3.py", words(flags), "/dev/full").wait() == 0
    (path,) = tmp_path.rglob("checkpoint.pt")
    assert checkpoint.load(path, "run")["steps"] == 200


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_a_run_without_output_ends_well(tmp_path, closed):
    flags = words({**POLICY, "max_timesteps": 200, "results_dir": tmp_path})
    command = ["sh", "-c", f'"$@" {closed}', "sh", sys.executable, str(REPOSITORY / "rl" / "main_td3.py"), *flags]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    (path,) = tmp_path.rglob("checkpoint.pt")
    assert checkpoint.load(path, "run")["steps"] == 200


class Breaking(io.StringIO):
    """A stream that takes three writes."""

    def write(self, text):
        if len(self.getvalue()) >= 3:
            raise BrokenPipeError
        return super().write(text)


def test_what_was_written_before_stays_and_the_rest_is_dropped():
    stream = Breaking()
    output = Output(stream)
    assert [output.write("a") for _ in range(5)] == [1] * 5 and stream.getvalue() == "aaa"
    print("b", file=output, flush=True)
    with tqdm(total=3, file=output, mininterval=0) as bar:
        bar.update()
        tqdm.write("c", file=output)
    assert stream.getvalue() == "aaa"


def test_a_stream_that_was_closed_or_never_was():
    closed = Output(io.StringIO())
    closed.close()
    for output in (closed, Output(None)):
        print("a", file=output, flush=True)


def test_what_an_encoding_lacks_is_escaped():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print("1 ± 2", file=Output(stream), flush=True)
    print("3", file=Output(stream), flush=True)
    assert stream.buffer.getvalue() == b"1 \\xb1 2\n3\n"


def test_lines_of_both_streams_stand_in_a_log_in_their_order(tmp_path):
    program = "import sys; from common.cli import run; from common.errors import UsageError\n"
    program += "def main():\n    print('first')\n    print('second', file=sys.stderr)\n    print('third')\n"
    program += "    raise UsageError('fourth')\nrun(main)"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open(tmp_path / "log", "w") as log:
        subprocess.run(
            [sys.executable, "-c", program], cwd=REPOSITORY, env=buffered, stdout=log, stderr=log, check=False
        )
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["first", "second", "third", "fourth"]
