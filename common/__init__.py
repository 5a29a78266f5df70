"""What both stages stand on: errors, the command line, environments, devices, checkpoints, run folders, random streams."""

import os
import sys
from pathlib import Path

if os.name != "posix":
    sys.exit("DynE needs Linux or macOS, for locks on files: on Windows run it in WSL")

# `python rl/main_td3.py` puts rl/ first on the path, where its modules would stand before others of the same name.
_PACKAGES = {
    str(Path(__file__).resolve().parent.parent / name) for name in ("analysis", "embedding", "experiments", "rl")
}
sys.path[:] = [entry for entry in sys.path if entry not in _PACKAGES]
