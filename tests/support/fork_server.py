"""A process that has imported what scripts import of other projects, and forks for each script that it is to run.

    python fork_server.py

reads lines of JSON, {"words": the script and its arguments; "out", "err": files for what it prints}, and
answers each with the exit code. Python and these imports start once instead of once a script; the project's own modules are
imported anew for each, from where the script lies.
"""

import json
import os
import runpy
import sys
import traceback

import altair  # noqa: F401
import gymnasium  # noqa: F401
import mujoco  # noqa: F401
import pandas  # noqa: F401
import PIL.Image  # noqa: F401
import stable_baselines3  # noqa: F401
import torch  # noqa: F401


def run(words: list[str], out: str, err: str) -> int:
    """Runs a script as a new Python would; returns its exit code."""
    for number, path in ((0, os.devnull), (1, out), (2, err)):
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    code: object = 0
    try:
        sys.argv, sys.path[0] = words, os.path.dirname(os.path.abspath(words[0]))
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:  # noqa: BLE001  (told as Python tells it)
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code or 0)


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(run(**request))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
