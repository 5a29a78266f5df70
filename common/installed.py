"""What every script runs before it imports anything: it says in one line what this Python lacks, where imports would stop
with a traceback, ends in one line on Ctrl-C until imports are done, and sets how numpy will add up.

Scripts run this file by its path: it needs nothing but Python, and this project need not be installed. A script imports the
project that it lies in, also where another copy of it is installed.
"""

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

PYTHON = (3, 11)
NEEDED = (
    *("torch", "numpy", "gymnasium", "mujoco", "pandas", "altair", "vl_convert", "imageio", "imageio_ffmpeg"),
    *("PIL", "tensorboard", "tqdm", "packaging"),
)
EXTRAS: tuple[str, ...] = globals().get("EXTRAS", ())  # what one script needs besides, as it may say


def there(name: str) -> bool:
    """Whether a package can be imported, or was."""
    try:
        return find_spec(name) is not None
    except ValueError:  # it was, and does not say from where
        return True


def lacking() -> str:
    """What is missing of `NEEDED` and `EXTRAS`, in words; "" if nothing is."""
    if sys.version_info < PYTHON:
        return f"Python {'.'.join(map(str, PYTHON))}, being Python {sys.version.split()[0]}"
    missing = [name for name in (*NEEDED, *EXTRAS) if not there(name)]
    return f"{missing[0]} and {len(missing) - 1} more" if len(missing) > 1 else "".join(missing)


def way_out() -> str:
    """What to call."""
    activate = root / ".venv" / "bin" / "activate"
    if not activate.is_file() or Path(sys.prefix) == activate.parent.parent:
        return f"call pip install -r {os.path.relpath(root / 'requirements.txt')}, or make demo, which makes a .venv"
    return f"call source {os.path.relpath(activate)} first"


def stop_while_importing(*_: object) -> None:
    """Ends this process at once, while it imports and nothing was begun: a traceback would tell nothing."""
    os.write(2, f"{script}: stopped\n".encode(errors="replace"))
    os._exit(130)


root = Path(__file__).resolve().parent.parent  # of the project
script = Path(getattr(sys.modules["__main__"], "__file__", "python")).name
try:
    os.getcwd()
except OSError:
    print(f"{script}: error: the working folder does not exist any more: change to one that does", file=sys.stderr)
    sys.exit(2)
if (
    signal.getsignal(signal.SIGINT) is signal.default_int_handler
):  # else it is ignored, as in the background of a shell script
    signal.signal(signal.SIGINT, stop_while_importing)  # until `common.cli.run` begins
if what := lacking():
    print(f"{script}: error: {sys.executable} lacks {what}: {way_out()}", file=sys.stderr)
    sys.exit(2)
if root not in [Path(entry).resolve() for entry in sys.path if entry]:
    sys.path.insert(0, str(root))

try:
    import tqdm  # noqa: F401 - it reads the variables TQDM_*
except ValueError as error:
    print(f"{script}: error: variables TQDM_* of the environment: {error}: unset that one", file=sys.stderr)
    sys.exit(2)

from common.machine import use_portable_blas

use_portable_blas()
