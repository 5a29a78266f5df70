"""Carries tasks out with Ray: on the cores of this machine, or on a cluster whose nodes share the folder of results.

A task is one script in a process of its own. Where a node dies, Ray calls its tasks again elsewhere; scripts that resume go
on from their newest checkpoints. A script that fails by itself is not called again.
"""

import contextlib
import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from common.errors import NOT_WRITTEN_CODE, UsageError, one_line
from common.interruption import stopping_signals
from common.paths import REPOSITORY
from common.run_folder import RunFolder
from experiments.task import Task
from experiments.tasks import undone

PATIENCE = 120.0  # seconds that a task waits for the process of a dead node to leave its folder
PR_SET_PDEATHSIG = 1  # Linux's prctl.h


@dataclass(frozen=True)
class Outcome:
    """How a script ended: its exit code, the last line of what it printed, and how long it took, seconds."""

    code: int
    line: str
    seconds: float


def call(task: Task, log: str, folder: str | None = None) -> Outcome:
    """Runs the script of a task and waits for it; one that leaves its task undone has failed, whatever its exit code.

    Args:
        log: the file that what it prints is appended to.
        folder: where the script runs, if this machine has that folder; else, or None: where this process runs.
    """
    start = time.monotonic()
    while RunFolder(task.folder, "run").in_use() and time.monotonic() - start < PATIENCE:
        time.sleep(1)
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    task.prepare()
    words = [sys.executable, str(REPOSITORY / task.command[0]), *task.command[1:]]
    with open(log, "ab") as file:
        done = subprocess.run(
            words,
            check=False,
            cwd=folder if folder and os.path.isdir(folder) else None,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            preexec_fn=_die_with_parent,
        )
    code, lines = done.returncode, Path(log).read_text(errors="replace").replace("\r", "\n").strip().splitlines()
    if code == 0:
        try:
            task.conclude()
        except OSError as error:
            code, lines = NOT_WRITTEN_CODE, [str(error)]
    return Outcome(code, one_line(lines[-1]) if lines else "", time.monotonic() - start)


def _die_with_parent() -> None:
    """On Linux a script ends with the worker that called it, so that nobody holds its folder when Ray calls it elsewhere."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def carry_out(
    tasks: Sequence[Task],
    *,
    address: str | None,
    cores: int,
    gpus: float,
    logs: Path,
    tell: Callable[[str], None],
    every: float = 30.0,
) -> dict[str, Outcome]:
    """Runs tasks, each once those are done that it needs.

    Args:
        tasks: in order (`experiments.tasks.ordered`); those that are done already, and need none that is not, are left out.
        address: of a Ray cluster that exists; None: this machine alone.
        cores: how many tasks run at once on this machine; a cluster decides by itself.
        gpus: the share of a GPU that a task takes; 0: none.
        logs: the folder of the tasks' logs.
        tell: is called with a line for each task that begins, ends or goes on.
        every: seconds between lines on the tasks that go on.
    Returns:
        {name: `Outcome`} of all tasks that were called.
    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """
    waiting = undone(tasks)
    done = {task.name for task in tasks} - {task.name for task in waiting}
    running: dict[Any, Task] = {}
    outcomes: dict[str, Outcome] = {}
    begun: dict[str, tuple[float, int]] = {}
    told, began, here = time.monotonic(), time.time(), os.getcwd()
    with _connection(address, cores) as ray:
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=-1)(call)
        while waiting or running:
            while ready := [task for task in waiting if set(task.after) <= done]:
                for task in ready:
                    waiting.remove(task)
                    if task.is_done():  # what it is made of was made anew, and is the same
                        done.add(task.name)
                        tell(f"{task.name}: as it was")
                    else:
                        running[remote.remote(task, str(_log(logs, task)), here)] = task
            if not running:
                break  # what is left needs tasks that failed
            ended, _ = ray.wait(list(running), timeout=min(every, 5.0))
            for reference in ended:
                task = running.pop(reference)
                outcome = outcomes[task.name] = ray.get(reference)
                if outcome.code == 0:
                    done.add(task.name)
                tell(_ended(task, outcome))
            for task in running.values():  # those whose log is written to have a core, the others wait for one
                if task.name not in begun and (log := _log(logs, task)).exists() and log.stat().st_mtime >= began:
                    begun[task.name] = time.monotonic(), task.progress()
            if time.monotonic() - told >= every:
                told = time.monotonic()
                for task in running.values():
                    if task.name in begun and (line := _goes_on(task, *begun[task.name])):
                        tell(line)
    for task in waiting:
        left = "left as it is" if task.is_done() else "not run"
        tell(f"{task.name}: {left}: it needs {min(set(task.after) - done)}")
    return outcomes


@contextlib.contextmanager
def _connection(address: str | None, cores: int) -> Iterator[Any]:
    """Within `with`, Ray, connected; SIGINT, SIGTERM and SIGHUP end the process with one line. Errors as in `carry_out`."""
    ray = _connect(address, cores)
    received: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        received.append(number)
        raise KeyboardInterrupt

    handlers = {number: signal.signal(number, stop) for number in stopping_signals()}  # Ray's own shows where it stood
    try:
        yield ray
    except (KeyboardInterrupt, SystemExit):  # the latter where Ray was waiting
        if not received:
            raise
        name = signal.Signals(received[0]).name
        print(f"stopped by {name}; called again it goes on from the tasks' checkpoints", file=sys.stderr)
        sys.exit(128 + received[0])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        ray.shutdown()


def _connect(address: str | None, cores: int) -> Any:
    """Ray, connected; errors as in `carry_out`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "experiments/run.py needs Ray: pip install 'dyne[cluster]', or pip install ray==2.60.0"
        ) from error
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    local: dict[str, Any] = {"num_cpus": cores, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        # Ray's processes import from the folder in which this is called, where they have it: this copy, and no other one.
        with contextlib.chdir(REPOSITORY):
            if address:
                ray.init(address=address, **quiet)
            else:
                ray.init(address="local", **local, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(f"--address {address}: there is no cluster: {one_line(error)}") from error
    except Exception as error:  # of this very type: its processes did not answer in time
        raise UsageError(
            f"--cores {cores}: Ray did not start here: {one_line(error)}: try again when less runs"
        ) from error
    return ray


def _log(logs: Path, task: Task) -> Path:
    return logs / f"{re.sub(r'[^A-Za-z0-9._=-]+', '_', task.name)}.log"


def _ended(task: Task, outcome: Outcome) -> str:
    if outcome.code == 0:
        return f"{task.name}: done in {_time(outcome.seconds)}"
    return f"{task.name}: FAILED with exit code {outcome.code}: {outcome.line}"


def _goes_on(task: Task, since: float, before: int) -> str:
    """A line on a task under way: steps, and once they have grown steps/s and time left; nothing of a task without steps."""
    if not task.steps:
        return ""
    steps, seconds = task.progress(), time.monotonic() - since
    speed = (steps - before) / seconds
    if not speed:
        return f"{task.name}: {steps:,} of {task.steps:,} steps"
    told = f"{speed:.0f}" if speed >= 10 else f"{speed:.2g}"
    return f"{task.name}: {steps:,} of {task.steps:,} steps, {told} steps/s, {_time((task.steps - steps) / speed)} left"


def _time(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 3600
        else f"{seconds / 60:.1f} min"
        if seconds >= 60
        else f"{seconds:.0f} s"
    )
