"""Scripts in processes of their own, forked from servers that have imported what takes long."""

import json
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

from common.paths import REPOSITORY

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["torch", "mujoco", "rl.main_dyne", "embedding.main", "stable_baselines3"])


class ScriptProcess:
    """A script of this project that runs as `python <script> <arguments>` would.

    Args:
        script: path below the repository.
        arguments: its arguments; anything that `str` turns into one.
        err: file that stderr is written to.
    """

    def __init__(self, script, arguments, err):
        self.err_path = Path(err)
        self._process = _context.Process(target=_enter, args=(script, [str(word) for word in arguments], str(err)))
        self._process.start()
        self.pid = self._process.pid

    def poll(self):
        """The exit code, negative if a signal ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds=600):
        """Waits for its end; returns the exit code."""
        self._process.join(seconds)
        assert self.poll() is not None, "waited too long"
        return self.poll()

    def kill(self):
        """kill -9, and waits for its end."""
        self._process.kill()
        self.wait()

    @property
    def err(self):
        """What it has written to stderr."""
        return self.err_path.read_text()


def _enter(script, arguments, err):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests run under nohup
    for number, path in ((1, os.devnull), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    sys.argv = [str(REPOSITORY / script), *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")


class ForkServer:
    """Runs scripts of a copy of this project, one after the other (tests/support/fork_server.py). Use it with `with`.

    Args:
        folder: where they run.
        scratch: a folder for what they print.
    """

    def __init__(self, folder, scratch):
        self.printed = Path(scratch) / "out.txt", Path(scratch) / "err.txt"
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # of what does not set its own number
        words = [sys.executable, Path(__file__).with_name("fork_server.py")]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(words, cwd=folder, env=one_thread, stdin=pipe, stdout=pipe, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(60)

    def run(self, *words):
        """Runs a script with its arguments; returns a `subprocess.CompletedProcess`."""
        for path in self.printed:
            path.write_text("")
        request = {"words": [*map(str, words)], **dict(zip(("out", "err"), map(str, self.printed), strict=True))}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(words, code, *(path.read_text() for path in self.printed))
