"""A Python that lacks what scripts need: each says so in one line."""

import functools
import importlib.util
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from common.paths import REPOSITORY

pytestmark = pytest.mark.quick
INSTALLED = REPOSITORY / "common" / "installed.py"
FLOORS = ("analysis", "benchmarks", "embedding", "experiments", "rl")
FILES = [path for floor in FLOORS for path in sorted((REPOSITORY / floor).glob("*.py"))]
# benchmarks/update_worker.py is called by a benchmark.
SCRIPTS = [f for f in FILES if 'if __name__ == "__main__":' in f.read_text() and f.stem != "update_worker"]


@pytest.fixture(autouse=True)
def own_handler():
    """Ctrl-C means to pytest what it did, after the file was run in this process."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def bare(script):
    """How a script ends in a Python that has no packages, not even this project."""
    return subprocess.run([sys.executable, "-S", "-E", str(script)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_without_packages_every_script_says_so_in_one_line(script):
    done = bare(script)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith(f"{script.name}: error: {sys.executable} lacks torch and "), done.stderr


def test_the_way_out_is_the_environment_that_make_has_made(tmp_path):
    for name in ("common/installed.py", "rl/main_td3.py"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(REPOSITORY / name, tmp_path / name)
    assert "call pip install -r " in bare(tmp_path / "rl" / "main_td3.py").stderr
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    assert re.search(r"call source \S*\.venv/bin/activate first\n$", bare(tmp_path / "rl" / "main_td3.py").stderr)


@pytest.mark.parametrize(("missing", "told"), [(["torch"], "torch"), (["PIL", "tqdm"], "PIL and 1 more")])
def test_it_names_what_is_missing(monkeypatch, capsys, missing, told):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else found(name))
    with pytest.raises(SystemExit) as exit:
        runpy.run_path(str(INSTALLED))
    assert exit.value.code == 2 and f" lacks {told}: " in capsys.readouterr().err


INTERRUPTED = f"""
import os, runpy, signal, sys, time
runpy.run_path({str(INSTALLED)!r})
def interrupt():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60 if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN else 0)
    finally:
        print("tidied up")
if sys.argv[1] == "while importing":
    interrupt()
from common.cli import run
run(interrupt)
"""


def interrupted(when, before=signal.SIG_DFL):
    """How a script ends that is sent SIGINT; `before`: what that does to it when it begins, whatever it does to pytest."""
    words = [sys.executable, "-c", INTERRUPTED, when]
    begin = functools.partial(signal.signal, signal.SIGINT, before)
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, preexec_fn=begin)
    return done.returncode, done.stdout, done.stderr


def test_ctrl_c_is_one_line_from_the_first_import_on():
    assert interrupted("while importing") == (130, "", "python: stopped\n")
    assert interrupted("when it runs") == (130, "tidied up\n", "-c: stopped\n")


@pytest.mark.parametrize("when", ["while importing", "when it runs"])
def test_an_ignored_ctrl_c_stays_ignored(when):
    ended = interrupted(when, before=signal.SIG_IGN)
    assert ended == (0, "tidied up\n" * (1 + (when == "while importing")), "")


def test_what_one_script_needs_besides(capsys):
    runpy.run_path(str(INSTALLED), {"EXTRAS": ("sys",)})
    with pytest.raises(SystemExit):
        runpy.run_path(str(INSTALLED), {"EXTRAS": ("no_such_package",)})
    assert " lacks no_such_package: " in capsys.readouterr().err


def test_a_script_imports_the_project_that_it_lies_in(tmp_path):
    """Not another copy, such as the one that is installed here."""
    for name in ("common", "embedding", "envs", "rl"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    flags = tmp_path / "rl" / "flags.py"
    flags.write_text(flags.read_text().replace("name of this run", "name of a run of this copy"))
    words = [sys.executable, str(tmp_path / "rl" / "main_td3.py"), "--help"]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "name of a run of this copy" in done.stdout


def test_variables_of_bars_that_make_no_sense_are_told():
    """tqdm reads them while it is imported."""
    words = [sys.executable, str(REPOSITORY / "rl" / "main_td3.py"), "--help"]
    done = subprocess.run(words, env=os.environ | {"TQDM_NCOLS": "wide"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert "TQDM_* of the environment: " in done.stderr and "'wide': unset that one" in done.stderr


def test_an_old_python_is_told(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 8, 10))
    with pytest.raises(SystemExit):
        runpy.run_path(str(INSTALLED))
    assert " lacks Python 3.11, being Python " in capsys.readouterr().err


def test_it_knows_all_dependencies():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = {re.match(r"[a-z0-9-]+", name)[0] for name in project["dependencies"]}
    brought_by = packages_distributions()
    needed = set(runpy.run_path(str(INSTALLED))["NEEDED"])
    assert needed == {name for name in needed if {name, *map(str.lower, brought_by[name])} & declared}
    assert declared == {name for name in declared if any(name in {n, *map(str.lower, brought_by[n])} for n in needed)}


TELL = """
import os, runpy, sys
runpy.run_path(sys.argv[1])
print(os.environ.get("OPENBLAS_CORETYPE"), "numpy" in sys.modules)
"""


@pytest.mark.parametrize("chosen", ["", "SkylakeX"])
def test_rewards_round_alike_on_all_processors(chosen, monkeypatch):
    """OpenBLAS takes the kernels that the published numbers were made with, unless the user names others."""
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    if chosen:
        monkeypatch.setenv("OPENBLAS_CORETYPE", chosen)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    done = subprocess.run([sys.executable, "-c", TELL, str(INSTALLED)], capture_output=True, text=True, check=True)
    able = " avx2 " in Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else False
    assert done.stdout.split() == [chosen or ("Haswell" if able else "None"), "False"]
