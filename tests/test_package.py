"""The project as a package: it builds, installs into an empty environment, and runs from any folder."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from common.paths import REPOSITORY

PACKAGES = ("analysis", "common", "embedding", "envs", "experiments", "rl")


def run(folder, *command):
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], cwd=folder, env=outside, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment that holds the wheel, and the dependencies of this one."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    for name in (*PACKAGES, "results/published/embeddings", "results/published/policies"):
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    pip = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check")
    run(folder, *pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source)
    run(folder, sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    (wheel,) = folder.glob("*.whl")
    interpreter = folder / "venv" / "bin" / "python"
    run(folder, *pip, "--python", interpreter, "install", "--no-deps", wheel)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # not the .pth files in it: not this project
    return interpreter


def test_one_script_of_each_stage_runs_from_an_installed_copy(python, tmp_path):
    where = run(tmp_path, python, "-c", "import rl; print(rl.__file__)")
    assert Path(where.strip()).is_relative_to(python.parent.parent)
    steps = ["--threads", "1", "--env", "ReacherVertical-v2"]
    tiny = ["--steps", "200", "--epochs", "1", "--epoch_size", "128", "--decoder_epochs", "1", "--decoder_batches", "2"]
    run(tmp_path, python, "-m", "embedding.main", *steps, *tiny)
    short = ["--max_timesteps", "200", "--batch_size", "8", "--eval_episodes", "1"]
    run(tmp_path, python, "-m", "rl.main_dyne", *steps, *short, "--decoder", "published-k4")
    played = run(tmp_path, python, "-m", "rl.evaluate", "published/ReacherVertical-v2", "--episodes", "1")
    assert "DynE-TD3 seed" in played
    table = run(tmp_path, python, "-m", "analysis.list_runs")
    assert (tmp_path / "results" / "ReacherVertical-v2" / "default" / "decoder.pt").is_file()
    assert "DynE-TD3" in table and "finished" in table


def test_dependencies_are_those_that_are_imported():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    names = project["dependencies"] + [name for extra in project["optional-dependencies"].values() for name in extra]
    declared = {re.match(r"[a-z0-9-]+", name)[0] for name in names}
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (REPOSITORY / "requirements.txt").read_text(), flags=re.MULTILINE))
    assert declared == pinned - {"setuptools", "jsonschema"}  # the latter for altair's sake
