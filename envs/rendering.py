"""Drawing without a display: the choice of the OpenGL backend."""

import functools
import os
import subprocess
import sys

BACKENDS = ("egl", "osmesa", "glfw")

# What drawing needs, on an empty model: a context, and MuJoCo's own buffers in it.
_PROBE = """
import mujoco
context = mujoco.GLContext(8, 8)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100).free()
context.free()
"""


class RenderingUnavailable(RuntimeError):
    """OpenGL cannot draw here."""


def select_gl_backend() -> str | None:
    """Make offscreen drawing work: on Linux, set `MUJOCO_GL` if it is not set.

    EGL is preferred to OSMesa. The choice stands in `os.environ`, so child processes inherit it; a value that is set
    already is respected, not tried. gymnasium's MuJoCo environments read the variable when they first draw, so this
    may be called after mujoco is imported; `mujoco.Renderer` needs it before. The first call of a process takes one
    or two child processes of about 0.3 s, every further one nothing.

    Returns:
        The backend, one of `BACKENDS`; None on other systems than Linux, where nothing is changed.

    Raises:
        RenderingUnavailable: no backend works, or `MUJOCO_GL` has a value that cannot.
    """
    if not sys.platform.startswith("linux"):
        return None
    backend = os.environ.get("MUJOCO_GL") or _find_backend()
    if backend not in BACKENDS:
        raise RenderingUnavailable(f"MUJOCO_GL is {backend!r}; set it to one of {', '.join(BACKENDS)}, or unset it")
    if backend == "glfw":
        require_display()
    os.environ["MUJOCO_GL"] = backend
    return backend


def require_display() -> None:
    """Check that a window can be opened: GLFW ends the process where there is no display.

    Raises:
        RenderingUnavailable: this is Linux and neither `DISPLAY` nor `WAYLAND_DISPLAY` is set.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise RenderingUnavailable(
            'there is no display: use render_mode="rgb_array" instead of "human", and unset MUJOCO_GL if it is glfw'
        )


@functools.cache
def _find_backend() -> str:
    """The first backend that draws. Each is tried in a child process, which a broken driver may end."""
    failures = []
    for backend in ("egl", "osmesa"):
        environment = os.environ | {"MUJOCO_GL": backend}
        probe = [sys.executable, "-c", _PROBE]
        try:
            subprocess.run(probe, env=environment, check=True, timeout=60, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip().splitlines()[-1:] or [str(error)]
            failures.append(f"{backend}: {reason[0]}")
        except subprocess.TimeoutExpired:
            failures.append(f"{backend}: no answer in 60 s")
        else:
            return backend
    raise RenderingUnavailable(
        "neither EGL nor OSMesa can draw on this machine; on Debian and Ubuntu they are the packages libegl1 and "
        f"libosmesa6, one is enough ({'; '.join(failures)})"
    )
