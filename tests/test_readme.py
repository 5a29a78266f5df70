"""Every command and every piece of Python in the README and in docs/ runs, in its order, with small settings."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ForkServer

ROOT = Path(__file__).resolve().parent.parent
PAGES = {path.stem: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
README = PAGES["README"]
EMBEDDING = "--steps 600 --epochs 1 --epoch_size 256 --decoder_epochs 1 --decoder_batches 3"
RL = "--max_timesteps 100 --eval_freq 100 --eval_episodes 1"
IMAGES = "--steps 200 --source_img_width 64 --epochs 1 --epoch_size 8 --batch_size 4"
SMALL = {
    "embedding/main.py": EMBEDDING,
    "embedding/evaluate.py": "",
    "embedding/main_pixels.py": f"{IMAGES} --decoder_epochs 1 --decoder_batches 3",
    "embedding/main_vae.py": IMAGES,
    "embedding/probe.py": "--steps 2000",
    "rl/main_td3.py": f"{RL} --num_seeds 2",
    "rl/main_dyne.py": f"{RL} --num_seeds 2",
    "rl/main_dyne.py --pixels": f"{RL} --num_seeds 1",
    "rl/main_vae_td3.py": f"{RL} --num_seeds 1",
    "rl/main_pixel_td3.py": f"{RL} --num_seeds 1 --batch_size 8 --source_img_width 64",
    "rl/main_baselines.py": f"{RL} --num_seeds 1",
    "rl/main_sac_lsp.py": f"{RL} --num_seeds 1",
    "analysis/figure3_reach.py": "--episodes 2",
    "analysis/figure8_effects.py": "--sequences 20",
    "analysis/figure10_trajectories.py": "--episodes 2",
    "analysis/doing_nothing.py": "--episodes 2",
    "rl/evaluate.py": "--episodes 1 --video_episodes 1",
    "analysis/plot_runs.py": "",
    "analysis/critic_values.py": "",
    "analysis/list_runs.py": "",
    "analysis/publish.py": "",
    "benchmarks/run_all.py": "",
    "experiments/run.py": "",
}
NOT_RUN = (
    "pip install",
    "apt-get install",
    "jupyter notebook",
    "make test",
    "source .venv/bin/activate",
    "make demo",
    "make faults",
    "make quick",
    "make figures",
    "make results",
    "make reproduce",
)  # see the tests below


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], flags=re.DOTALL)


def lines_of(block):
    return [line for line in block.splitlines() if line and not line.startswith("#")]


@pytest.fixture
def folder(tmp_path):
    """A folder that looks like the repository, so that the commands run word for word and write nothing into it."""
    for name in ("analysis", "benchmarks", "common", "embedding", "envs", "experiments", "rl"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "results" / "published", tmp_path / "results" / "published")
    (tmp_path / "results" / "figures").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


# Blocks of docs/usage.md that need nothing of the others, by a script that they alone call.
APART = {"pixels": "main_pixels.py", "baselines": "main_baselines.py", "figures": "figure3_reach.py"}


def row_of(page, block):
    """The row of commands that a block belongs to: those of README.md are of docs/usage.md, which has most of them too."""
    if page in ("README", "usage"):
        return next((f"usage {part}" for part, script in APART.items() if script in block), "README usage")
    return page


def row(name, language):
    """The blocks of a row, in the order of its pages."""
    return [block for page in PAGES for block in blocks(page, language) if row_of(page, block) == name]


def row_commands(name):
    """The commands of a row, in order; those of README.md are not run again where docs/usage.md repeats them."""
    found = []
    for page in PAGES:
        of_page = [line for block in blocks(page, "bash") if row_of(page, block) == name for line in lines_of(block)]
        found += [line for line in of_page if line not in found]
    return found


ROWS = list(dict.fromkeys(row_of(page, block) for page in PAGES for block in blocks(page, "(?:bash|python)")))


def run(folder, command):
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # of what does not set its own number
    return subprocess.run(command, cwd=folder, env=one_thread, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", PAGES)
def test_every_script_of_a_command_is_known(page):
    for command in [line for block in blocks(page, "bash") for line in lines_of(block)]:
        words = shlex.split(command)
        assert command.startswith(NOT_RUN) or (words[0] == "python" and words[1] in SMALL), command


def write_files(folder, page):
    """Writes the pieces of Python that are introduced as a file, as `name.py`: and then the piece."""
    for name, text in re.findall(r"`([\w/]+\.py)`:\n\n```python\n(.*?)```", PAGES[page], flags=re.DOTALL):
        (folder / name).write_text(text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_commands_run(folder, tmp_path_factory, name):
    for page in name.split():
        if page in PAGES:
            write_files(folder, page)
    commands, ran = row_commands(name), 0
    with ForkServer(folder, tmp_path_factory.mktemp("printed")) as server:
        for command in commands:
            words = shlex.split(command)
            if words[0] != "python" or words[1].startswith("benchmarks/"):
                continue
            small = SMALL.get(" ".join(words[1:3]), SMALL[words[1]])
            done = server.run(*words[1:], *shlex.split(small))
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            ran += 1
        assert ran or row(name, "python")
        if name.startswith("README"):
            assert (folder / "results" / "out.mp4").stat().st_size > 1000
            assert (folder / "results" / "curves.png").read_bytes().startswith(b"\x89PNG")
        for block in row(name, "python"):
            (folder / "typed.py").write_text(block.replace("learn(5_000)", "learn(40)"))
            done = server.run("typed.py")
            assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_links_lead_somewhere():
    for page, text in PAGES.items():
        base = ROOT if page == "README" else ROOT / "docs"
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            assert target.startswith("http") or (base / target).exists(), f"{page}: {target}"


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


@pytest.mark.slow
def test_demo_runs_without_opengl_and_again_with_it(tmp_path):
    """Without it everything but the film is made."""
    make = ["make", "demo", f"BIN={Path(sys.executable).parent}", f"DEMO_DIR={tmp_path}", "INSTALLED="]
    small = [f"EMBEDDING_FLAGS={EMBEDDING}", f"RL_FLAGS={RL}", "FILM_FLAGS=--episodes 1 --video_episodes 1"]
    curves, film = tmp_path / "curves.png", tmp_path / "side-by-side.mp4"
    done = run(ROOT, [*make, *small, "MUJOCO_GL=glfw", "DISPLAY=", "WAYLAND_DISPLAY="])  # nothing to draw on
    assert done.returncode == 0, done.stdout + done.stderr
    assert curves.exists() and not film.exists()
    assert "evaluate.py: error: --video: " in done.stderr
    before = curves.stat().st_mtime_ns
    done = run(ROOT, [*make, *small])
    assert done.returncode == 0, done.stdout + done.stderr
    assert curves.stat().st_mtime_ns > before
    assert curves.read_bytes().startswith(b"\x89PNG") and film.stat().st_size > 1000
    table = done.stdout[done.stdout.index("ReacherVertical-v2: mean return of the evaluations") :]
    rows = [line for line in table.splitlines() if line.startswith(("TD3 (2 seeds) ", "DynE-TD3 (2 seeds) "))]
    assert len(rows) == 2 and all("-" not in row.split() for row in rows)  # every column is a step that was evaluated


def test_installation_lines_name_the_pinned_versions():
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE))
    assert f"torch {pinned['torch']}" in README
    for package in ("gymnasium", "mujoco"):
        assert f"`{package}` {pinned[package].rsplit('.', 1)[0]}" in README


@pytest.mark.parametrize("target", ["demo", "gif", "figures", "reproduce", "results", "test", "quick", "faults"])
def test_make_targets_exist(target):
    done = run(ROOT, ["make", "-n", target])
    assert done.returncode == 0, done.stderr
