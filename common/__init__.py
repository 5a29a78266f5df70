"""What both stages stand on: errors, the command line, environments, devices, checkpoints, run folders, random streams."""

import os
import sys
from pathlib import Path

if os.name != "posix":
    sys.exit("DynE needs Linux or macOS, for locks on files: on Windows run it in WSL")

# `python rl/main_td3.py` puts rl/ first on the path, where its modules would stand before others of the same name. What was
# imported before this line is safe: no module there is called like one of Python's or of a dependency (tests/test_house.py).
_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = {str(_ROOT / name) for name in ("analysis", "common", "embedding", "envs", "experiments", "rl")}
_SCRIPTS = str(_ROOT / "benchmarks")  # they import each other from there: last on the path
_path = [(os.path.realpath(entry), entry) for entry in sys.path]
sys.path[:] = [entry for real, entry in _path if entry == "" or real not in _PACKAGES | {_SCRIPTS}]
sys.path += [entry for real, entry in _path if entry and real == _SCRIPTS]
