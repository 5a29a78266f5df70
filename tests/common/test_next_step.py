"""The command that comes next can be typed as it is told, wherever one is."""

import shlex
import sys

import pytest

from common import next_step
from common.next_step import command, own_env_flag, results_flag, shown, tell_next
from common.paths import REPOSITORY, RESULTS

pytestmark = pytest.mark.quick


@pytest.fixture
def active(monkeypatch):
    """As if this Python's environment were activated."""
    monkeypatch.setattr(next_step.shutil, "which", lambda name: sys.executable if name == "python" else None)


@pytest.mark.parametrize(("folder", "script"), [("", "rl/evaluate.py"), ("embedding", "../rl/evaluate.py")])
def test_scripts_are_named_from_the_working_folder(active, monkeypatch, folder, script):
    monkeypatch.chdir(REPOSITORY / folder)
    assert command("rl/evaluate.py", "a b", 3) == f"python {script} 'a b' 3"


def test_far_away_they_are_named_in_full(active, monkeypatch, tmp_path):
    far = tmp_path / "a" / "b" / "c" / "d" / "e" / "f" / "g" / "h"
    far.mkdir(parents=True)
    monkeypatch.chdir(far)
    assert shlex.split(command("rl/evaluate.py"))[1] == str(REPOSITORY / "rl" / "evaluate.py")


def test_another_python_is_named_by_its_path(monkeypatch):
    monkeypatch.setattr(next_step.shutil, "which", lambda name: "/usr/bin/python")
    python = shlex.split(command("rl/evaluate.py"))[0]
    assert (REPOSITORY.cwd() / python).samefile(sys.executable) and "/" in python


def test_an_installed_copy_is_called_as_a_module(active, monkeypatch):
    monkeypatch.setattr(next_step, "IS_INSTALLED", True)
    assert command("rl/evaluate.py", "x") == "python -m rl.evaluate x"


def test_flags_that_are_needed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert results_flag(RESULTS) == () and results_flag(tmp_path / "r") == ("--results_dir", "r")
    assert own_env_flag("Pendulum-v1") == () and own_env_flag("lab.ball:B-v0") == ("--env", "lab.ball:B-v0")
    assert shown(tmp_path / "r") == "r" and shown("/x") == "/x"


def test_the_line(active, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(REPOSITORY)
    tell_next(RESULTS / "x", "rl/evaluate.py", "y")
    tell_next(None, "rl/evaluate.py", "y")
    assert capsys.readouterr().out == (
        "results/x is written; next: python rl/evaluate.py y\nnext: python rl/evaluate.py y\n"
    )
