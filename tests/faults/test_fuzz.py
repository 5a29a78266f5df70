"""Whatever is given to a script ends in a run, or in exit code 2 with one line and nothing written.

`make faults` draws 1000 sets of flags, the test suite a few.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import pytest
import torch
import toy_envs  # noqa: F401  (registers its environments)
import toy_pixel_envs  # noqa: F401  (likewise)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import analysis.figure3_reach
import analysis.figure8_effects
import analysis.figure10_trajectories
import analysis.figures
import analysis.list_runs
import analysis.plot_runs
import analysis.publish
import embedding.evaluate
import embedding.main
import embedding.main_pixels
import embedding.main_vae
import embedding.probe
import rl.evaluate
import rl.main_baselines
import rl.main_dyne
import rl.main_pixel_td3
import rl.main_sac_lsp
import rl.main_td3
import rl.main_vae_td3
from common import cli
from rl.flags import action_bound, episode_count

TABLES = [analysis.figure3_reach.main, analysis.figure8_effects.main, analysis.figure10_trajectories.main]
MAINS = [
    *(*TABLES, analysis.figures.main, rl.main_baselines.main, rl.main_sac_lsp.main),
    *(embedding.main.main, embedding.evaluate.main, rl.main_td3.main, rl.main_dyne.main),
    *(rl.evaluate.main, analysis.list_runs.main, analysis.plot_runs.main, analysis.publish.main),
    *(embedding.main_pixels.main, embedding.main_vae.main, embedding.probe.main),
    *(rl.main_pixel_td3.main, rl.main_vae_td3.main),
]
# What scripts are called with that need images.
DRAWN = dict.fromkeys(MAINS[-5:], "toy_pixel_envs:Dot-v0") | {embedding.probe.main: "ReacherVertical-v2"}
RUN = "rl/Pendulum-v1/TD3/existing"

# What is not drawn is given these values, so that a run is short; what is drawn and may make a run long is drawn from a
# few small values, besides those that must be refused.
SHORT = {
    "steps": 250,
    "epochs": 1,
    "epoch_size": 64,
    "decoder_epochs": 1,
    "decoder_batches": 2,
    "max_timesteps": 40,
    "update_every": 20,
    "eval_freq": 20,
    "eval_episodes": 1,
    "batch_size": 8,
    "episodes": 1,
    "sequences": 10,
    "video_episodes": 1,
    "env_name": "Pendulum-v1",
    "source_img_width": 64,
}
SMALL = {
    "steps": [3, 250],
    "epochs": [0, 2],
    "epoch_size": [1, 65],
    "decoder_epochs": [0, 2],
    "decoder_batches": [1, 3],
    "max_timesteps": [1, 41, 60],
    "eval_episodes": [2],
    "episodes": [2],
    "sequences": [9, 12],
    "levels": [1, 3],
    "video_episodes": [1, 4],
    "num_seeds": [2, 3],
    "batch_size": [1, 33],
}
ENDLESS = {"max_timesteps", "epochs", "decoder_epochs", "episodes"}  # large values are no mistake there

GARBAGE = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["", " ", "-", "--", "0x10", "1_000", "١", "1e", "NaN", "-inf", "None", "[]", "x" * 300, "\udcff"]),
)
FLOAT_TYPES = (cli.positive_float, cli.non_negative_float, cli.fraction, cli.noise, cli.share, action_bound)
WHOLE = ["0", "-1", "1", "2", "7", "100", "2.5", "1e2", "-0"]
LARGE = ["10000000000000", "1e14", str(2**53), str(2**64), "1e400", "9" * 400]
FLOATS = ["0", "-1", "1e-300", "1e-3", "0.5", "1", "1e5", "1e300", "nan", "inf", "-inf"]
IDS = [
    *("Pendulum-v1", "ReacherVertical-v2", "toy_envs:Walk-v0", "toy_envs:WalkShort-v0", "toy_envs:WalkBreaks-v0"),
    *("toy_pixel_envs:Dot-v0", "toy_pixel_envs:DotGray-v0", "toy_pixel_envs:DotShort-v0"),
    *(
        "Pendulum",
        "CartPole-v1",
        "Hopper-v2",
        "Blackjack-v1",
        "Nope-v0",
        ":",
        "a:b",
        "os:x-v0",
        "embedding.main:x-v1",
        "x/y-v0",
    ),
]
TEXTS = {
    "env_name": IDS,
    "source_env": IDS,
    "decoder": ["default", "existing", "here", "missing", "missing.pt", "damaged.pt", ".", "/", "results"],
    "encoder": ["default", "missing", "missing.pt", "damaged.pt", "results/Dot-v0-vae/default", ".", "results"],
    "vae": ["default", "missing", "results/Dot-v0-pixels/default", "damaged.pt"],
    "results_dir": ["results", ".", "file", "file/x", "/proc", "new", "new/deep", "x" * 300, "~"],
    "device": ["cpu", "cuda", "cuda:7", "cpu:1", "cuda:x", "mps", "meta", "gpu"],
    "name": ["existing", "a", "a.b", "..", "a/b", "-", "x" * 255],
    "video": ["v.mp4", "file/x.mp4", "v.avi", "/proc/v.mp4", "existing.mp4"],
    "out": ["o.png", "o.csv", "o.svg", "file/o.csv", "/proc/o.csv", "/proc/o.png", "results"],
    "folder": ["results/Pendulum-v1/default", "results", "file", "nowhere", "results/damaged"],
    "run": ["results", f"results/{RUN}", f"results/{RUN}/seed_0", "file", "nowhere", "/"],
    "results": ["results", "results/rl", "file", "nowhere", "results/damaged"],
    "runs": ["results", f"results/{RUN}", "file", "nowhere"],
    "variant": ["v", "../v"],
    "seeds": ["0", "0-1", "0,1", "3-1", "0-", ",", "1-99999999999999"],
    "command": ["python x", ""],
    "commit": ["abc", ""],
}


class _Captured(Exception):
    pass


def actions_of(main):
    """The arguments that a script's parser has, as argparse's actions."""

    def capture(parser, *_):
        raise _Captured(parser)

    original, cli.Parser.parse_args = cli.Parser.parse_args, capture
    try:
        main()
    except _Captured as captured:
        return [action for action in captured.args[0]._actions if action.dest not in ("help", "debug")]
    finally:
        cli.Parser.parse_args = original


ACTIONS = {main: actions_of(main) for main in MAINS}


def mostly(usual, *others):
    """Draws seven times of eight from `usual`, else from one of the others or garbage."""
    return st.integers(0, 7).flatmap(lambda k: usual if k else st.one_of(*others, GARBAGE))


def values_of(action):
    """A strategy for the text given to one argument."""
    name = action.dest
    if action.choices:
        return mostly(st.sampled_from([str(choice) for choice in action.choices]))
    if action.type in (cli.positive_int, cli.non_negative_int, episode_count):
        small = [str(value) for value in SMALL.get(name, [])] or WHOLE
        refused = ["-1", "2.5", "nan"] if action.type is cli.non_negative_int else ["0", "-1", "2.5", "1e-3", "nan"]
        return mostly(st.sampled_from(small), st.sampled_from(refused + ([] if name in ENDLESS else LARGE)))
    if action.type in FLOAT_TYPES:
        return mostly(st.floats(0, 1).map(str), st.sampled_from(FLOATS))
    assert name in TEXTS, f"{name}: say what may be drawn for it"
    return mostly(st.sampled_from(TEXTS[name]))


@pytest.mark.parametrize("main", MAINS, ids=lambda main: main.__module__)
def test_every_flag_can_be_drawn(main):
    for action in ACTIONS[main]:
        assert action.nargs == 0 or values_of(action) is not None


@st.composite
def command_lines(draw):
    """A script's main and its arguments."""
    main = draw(st.sampled_from(MAINS))
    chosen = draw(st.lists(st.sampled_from(ACTIONS[main]), max_size=3, unique_by=lambda action: action.dest))
    words = []
    for action in ACTIONS[main]:
        name = action.dest
        if action not in chosen:
            if name in SHORT:
                words += [f"--{name}", str(DRAWN.get(main, SHORT[name]) if name == "env_name" else SHORT[name])]
            elif name == "folder":
                words += ["results/Pendulum-v1/default"]
            elif name == "out" and main in TABLES:
                words += ["--out", "o.csv"]
            elif name in ("run", "runs"):
                words += [f"results/{RUN}"]
            elif name == "results":
                words += ["results"]
            continue
        if not action.option_strings:
            words += draw(st.lists(values_of(action), max_size=3))
            continue
        flag = draw(st.sampled_from([*action.option_strings, action.option_strings[0].replace("_", "-")]))
        if action.nargs == 0:
            words += [draw(st.sampled_from([flag, flag, f"{flag}=1"]))]
        elif draw(st.booleans()):
            words += [f"{flag}={draw(values_of(action))}"]
        else:
            words += [flag, *draw(st.lists(values_of(action), min_size=1, max_size=2 if action.nargs else 1))]
    if draw(st.integers(0, 19)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(GARBAGE))
    return main, words


@pytest.fixture(scope="module")
def world(tmp_path_factory, call, tiny, tiny_images):
    """A folder with decoders, a finished run, a damaged one, and files in the way."""
    folder = tmp_path_factory.mktemp("world")
    for env_id in ("Pendulum-v1", "ReacherVertical-v2"):
        (folder / "results" / env_id / "default").mkdir(parents=True)
        for name in ("encoder.pt", "decoder.pt"):
            shutil.copy(tiny / env_id / "default" / name, folder / "results" / env_id / "default")
    for kind in ("pixels", "vae"):
        for env_id in ("Dot-v0", "ReacherVertical-v2"):
            shutil.copytree(tiny_images / f"{env_id}-{kind}", folder / "results" / f"{env_id}-{kind}")
    short = {name: SHORT[name] for name in ("env_name", "max_timesteps", "update_every", "eval_freq", "eval_episodes")}
    ran = call(rl.main_td3.main, results_dir=folder / "results", name="existing", **short, batch_size=8)
    assert ran.code == 0, ran.err
    shutil.copytree(folder / "results" / RUN, folder / "results" / "damaged")
    for path in (folder / "results" / "damaged").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-30])
    (folder / "file").write_text("x")
    (folder / "damaged.pt").write_bytes((tiny / "Pendulum-v1" / "default" / "decoder.pt").read_bytes()[:-30])
    return folder


def listing(folder):
    return {str(path.relative_to(folder)): path.is_file() and path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.filterwarnings("ignore")
def test_any_flags_end_in_a_run_or_in_one_line(world, call, counts, full, monkeypatch, capfd):
    ways = {0: "ran", 2: "were refused", 3: "diverged"}

    @settings(
        max_examples=1000 if full else 60,
        derandomize=not full,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(command_lines())
    def check(drawn):
        main, words = drawn
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "world"
            shutil.copytree(world, folder)
            monkeypatch.chdir(folder)
            if any(action.dest == "results_dir" for action in ACTIONS[main]) and not any(
                word.startswith(("--results_dir", "--results-dir")) for word in words
            ):
                words = [*words, "--results_dir", "results"]
            before = listing(folder)
            ran = call(main, *words, threads=None)
            torch.set_num_threads(1)
            assert ran.code in ways, (words, ran)
            counts[f"sets of flags that {ways[ran.code]}"] += 1
            if ran.code:
                lines = [line for line in ran.err.split("\n") if line.strip() and "\r" not in line]
                lines = [line for line in lines if not line.startswith("random play: ")]  # its progress
                errors = [
                    line for line in lines if line.startswith(f"{Path(sys.modules[main.__module__].__file__).name}")
                ]
                assert len(errors) == 1 and len(lines) == 1 or ran.code == 3, (words, ran.err)
            if ran.code == 2:
                assert listing(folder) == before, (words, ran.err)
        monkeypatch.chdir(world)

    check()
