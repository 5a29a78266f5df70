"""What surrounds a script: the folder it is called from, its path of modules, closed and narrow streams, python -OO."""

import os
import subprocess
import sys

import pytest

from common.paths import REPOSITORY

pytestmark = pytest.mark.slow  # processes of their own, which import everything

SCRIPTS = [
    path.relative_to(REPOSITORY)
    for folder in ("analysis", "benchmarks", "embedding", "rl")
    for path in sorted((REPOSITORY / folder).glob("*.py"))
    if "run(main)" in path.read_text()
]
SHORT = [
    "--policy_name",
    "random",
    "--max_timesteps",
    "20",
    "--update_every",
    "20",
    "--eval_episodes",
    "1",
    "--threads",
    "1",
]
ENV = """
import gymnasium
import toy_envs
{}
gymnasium.register("Mine-v0", toy_envs.Walk, max_episode_steps=6)
"""


def sh(command, folder, **environment):
    """Runs a command line, in which $PYTHON, $RL and $TD3 are set, in a folder; returns what `subprocess.run` does."""
    paths = f"{REPOSITORY}:{REPOSITORY / 'tests' / 'support'}"
    named = {"PYTHON": sys.executable, "RL": str(REPOSITORY / "rl"), "PYTHONPATH": paths}
    named["TD3"] = " ".join([str(REPOSITORY / "rl" / "main_td3.py"), "--results_dir", "results", *SHORT])
    environment = os.environ | named | environment
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
    )


def test_every_script_has_neither_its_own_folder_first_nor_a_docstring_to_lose(tmp_path):
    """As `python -OO <script> --help`, but all in one go; benchmarks/ import each other and come last."""
    code = """
import runpy, sys, unittest.mock
for name in ("altair", "altair.typing"):
    sys.modules[name] = unittest.mock.MagicMock()  # which itself does not load without docstrings
root, packages = sys.argv.pop(1), sys.argv.pop(1).split()
clean, loaded = list(sys.path), set(sys.modules)
for script in sys.argv[1:]:
    folder = f"{root}/{script.partition('/')[0]}"
    for name in set(sys.modules) - loaded:  # common/ cleans the path when it is imported
        if name.partition(".")[0] in packages:
            del sys.modules[name]
    sys.path[:], sys.argv = [folder, *clean], [f"{root}/{script}", "--help"]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        assert end.code == 0, script
    assert folder not in sys.path[:-1], script
    assert folder not in sys.path or script.startswith("benchmarks"), script
"""
    words = [sys.executable, "-OO", "-c", code, REPOSITORY, "common analysis embedding rl", *map(str, SCRIPTS)]
    ran = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("usage: ") == len(SCRIPTS) > 20


def test_an_environment_in_the_working_folder(tmp_path):
    """It is found, and what it imports is not ours."""
    for name in ("flags", "models", "statistics"):
        (tmp_path / f"{name}.py").write_text("theirs = True\n")
    (tmp_path / "my_module.py").write_text(ENV.format("import flags, models\nassert flags.theirs and models.theirs"))
    ran = sh("$PYTHON $TD3 --env my_module:Mine-v0 && $PYTHON $TD3 --env my_modul:Mine-v0", tmp_path)
    assert ran.returncode == 2 and "No module named 'my_modul'" in ran.stderr, ran.stderr
    assert (tmp_path / "results" / "rl" / "Mine-v0" / "random" / "default" / "seed_0" / "eval.csv").is_file()


def test_pythons_modules_are_pythons(tmp_path):
    (tmp_path / "my_module.py").write_text(ENV.format("import statistics\nassert statistics.mean([1, 3]) == 2"))
    figure = REPOSITORY / "analysis" / "figure8_effects.py"
    ran = sh(f"$PYTHON $TD3 --env my_module:Mine-v0 && $PYTHON {figure} --help", tmp_path)
    assert ran.returncode == 0, ran.stderr


def test_an_environment_of_a_folder_is_found_by_processes_that_draw(tmp_path):
    (tmp_path / "my_dots.py").write_text(
        "import toy_pixel_envs\nimport gymnasium\ngymnasium.register('Mine-v0', "
        "toy_pixel_envs.Dot, max_episode_steps=6)\n"
    )
    (tmp_path / "draw.py").write_text(
        "from embedding.pixel_play import load_pixel_play\n"
        "if __name__ == '__main__':\n"
        "    import sys\n"
        "    sys.path.pop(0)\n"
        "    load_pixel_play('my_dots:Mine-v0', 30, 0, 'results', source_img_width=64, workers=2)\n"
    )
    ran = sh("$PYTHON draw.py", tmp_path)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_streams(tmp_path, closed):
    assert sh(f"$PYTHON $TD3 --env toy_envs:Walk-v0 {closed}", tmp_path).returncode == 0
    csv = (tmp_path / "results" / "rl" / "Walk-v0" / "random" / "default" / "seed_0" / "eval.csv").read_text()
    assert len(csv.splitlines()) == 2


@pytest.mark.parametrize("arguments", ["--help", "--env toy_envs:Walk-v0 --overwrite"])
def test_a_reader_that_leaves(tmp_path, arguments):
    ran = sh(f"(sleep 1; exec $PYTHON $TD3 {arguments}) | true; echo ${{PIPESTATUS[0]}}", tmp_path)
    assert ran.stdout.strip() == "0" and "Traceback" not in ran.stderr
    assert "Exception" not in ran.stderr and "Error" not in ran.stderr


def test_an_environment_that_sets_the_streams_to_none(tmp_path):
    mute = "class Mute(toy_envs.Walk):\n    def step(self, action):\n        sys.stdout = sys.stderr = None\n"
    mute += "        return super().step(action)\n"
    text = ENV.format(f"import sys\n{mute}").replace("toy_envs.Walk,", "Mute,")
    (tmp_path / "mute.py").write_text(text)
    ran = sh("$PYTHON $TD3 --env mute:Mine-v0", tmp_path)
    assert ran.returncode == 0 and "is written; next: " in ran.stdout.splitlines()[-1], ran
    (tmp_path / "mute.py").write_text(text.replace("return super", "raise OSError(9, 'mine')\n        return super"))
    ran = sh("$PYTHON $TD3 --env mute:Mine-v0 --overwrite", tmp_path)
    assert ran.returncode == 2 and "raised OSError: [Errno 9] mine" in ran.stderr.splitlines()[-1], ran


def test_a_working_folder_that_is_gone(tmp_path):
    ran = sh(
        f'mkdir gone && cd gone && rmdir "$PWD" && $PYTHON $RL/main_td3.py --results_dir {tmp_path}/results', tmp_path
    )
    assert ran.returncode == 2 and ran.stderr.startswith("main_td3.py: error: the working folder does not exist"), ran
    assert ran.stderr.count("\n") == 1 and not list(tmp_path.iterdir())


def test_narrow_encodings(tmp_path):
    folder = tmp_path / "für_∂θ"
    folder.mkdir()
    line = '$PYTHON $TD3 --env toy_envs:Walk-v0 --results_dir "$PWD/für_∂θ"'
    ran = sh(line, tmp_path, PYTHONIOENCODING="ascii")
    assert ran.returncode == 0 and "f\\xfcr_" in ran.stdout, ran.stderr
    assert list(folder.rglob("eval.csv"))


def test_without_docstrings_and_assertions(tmp_path):
    ran = sh("$PYTHON -OO $TD3 --env ReacherVertical-v2 --policy_name TD3 --batch_size 4", tmp_path)
    assert ran.returncode == 0, ran.stderr
