"""Numbers that make no sense, alone, together, or on this machine: one line, exit code 2, nothing written."""

import pytest
import toy_envs  # noqa: F401  (registers its environments)
from scripts import DYNE, EMBED, EVALUATE, SHORT, TD3, listing, training

WHOLE = {
    EMBED: ["traj_len", "steps", "epoch_size", "batch_size", "decoder_batches", "threads"],
    TD3: ["num_seeds", "max_timesteps", "update_every", "replay_size", "eval_freq", "eval_episodes", "policy_freq"],
    DYNE: ["num_seeds", "max_timesteps", "batch_size"],
    EVALUATE: ["episodes", "video_episodes"],
}
OR_ZERO = {
    EMBED: ["seed", "epochs", "decoder_epochs"],
    TD3: ["seed", "start_timesteps", "render_freq"],
    EVALUATE: ["seed"],
}
FLOATS = {
    EMBED: {"lr": "0 -1", "gamma": "-1", "norm_weight": "-0.5"},
    TD3: {
        "lr": "0 -1",
        "discount": "1.01 -0.1",
        "tau": "2",
        "expl_noise": "-1",
        "policy_noise": "-1",
        "noise_clip": "-1",
    },
    DYNE: {"lr": "0"},
}
NUMBERS = [
    *((m, name, v) for m, names in WHOLE.items() for name in names for v in ("0", "-1", "1.5", "nan", "inf", "x")),
    *((m, name, v) for m, names in OR_ZERO.items() for name in names for v in ("-1", "0.5", "nan", "inf", "")),
    *((m, n, v) for m, f in FLOATS.items() for n, values in f.items() for v in [*values.split(), "nan", "inf", "x"]),
]


@pytest.mark.parametrize(("main", "name", "value"), NUMBERS, ids=lambda part: getattr(part, "__module__", part))
def test_numbers_that_make_no_sense(refuse, main, name, value):
    refuse(main, [f"--{name}", repr(value), "is not a "], **{name: value})


def test_numbers_may_be_written_as_powers_of_ten(call, tmp_path):
    flags = {**SHORT[TD3], "max_timesteps": "1e2", "replay_size": "1E5", "eval_freq": "5e1"}
    assert call(TD3, results_dir=tmp_path, **flags).code == 0
    options = (tmp_path / "rl" / "ReacherVertical-v2" / "random" / "default" / "seed_0" / "opt.json").read_text()
    assert '"replay_size": 100000,' in options and '"max_timesteps": 100,' in options


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"traj_len": 101}, ["--traj_len 101", "ReacherVertical-v2 has 100 steps"]),
        ({"traj_len": 4, "steps": 3}, ["--traj_len 4", "--steps 3"]),
        ({"traj_len": 10, "env": "toy_envs:WalkShort-v0"}, ["--traj_len 10", "has 3 steps"]),
    ],
)
def test_sequences_longer_than_an_episode(refuse, flags, words):
    refuse(EMBED, words, **flags)


MEMORY = [
    (TD3, {"replay_size": "1e13", "max_timesteps": "1e13"}, "--replay_size: 10,000,000,000,000 rows"),
    (TD3, {"num_seeds": "1e6"}, "--num_seeds 1000000"),
    (TD3, {"batch_size": "1e10"}, "--batch_size 10000000000"),
    (TD3, {"update_every": "1e9", "max_timesteps": "1e9", "replay_size": 10}, "--update_every 1000000000"),
    (EMBED, {"steps": "1e12"}, "--steps 1000000000000"),
    (EMBED, {"batch_size": "1e10"}, "--batch_size 10000000000"),
    (EMBED, {"epoch_size": "1e12"}, "--epoch_size 1000000000000"),
    (EMBED, {"decoder_batches": "1e12"}, "--decoder_batches 1000000000000"),
]


@pytest.mark.parametrize(("main", "flags", "words"), MEMORY)
def test_more_memory_than_there_is(refuse, main, flags, words):
    refuse(main, [words, " GB ", "are free on cpu: use less"], **flags)


def test_blocks_longer_than_the_run(refuse):
    refuse(TD3, ["--update_every 200", "--max_timesteps 100"], update_every=200)


@training
def test_more_threads_than_cores(refuse, main):
    refuse(main, ["--threads 100000", "cores"], threads=100_000)


def test_sequences_longer_than_every_episode_of_random_play(call, tmp_path):
    """Known only once it was played; still nothing is written."""
    ran = call(EMBED, env="toy_envs:Scripted-v0", traj_len=9, results_dir=tmp_path, **SHORT[EMBED])
    assert ran.code == 2 and "--traj_len 9: the longest of the episodes has 5 steps" in ran.err.splitlines()[-1]
    assert not listing(tmp_path)


def test_unit_actions_outside_of_the_bounds(refuse):
    refuse(EMBED, ["--decoder_range unit", "use bounds"], env="toy_envs:WalkFar-v0", decoder_range="unit")
