"""The manifest of what is published: it agrees with the files that there are, and its errors are one line each."""

import os

import pandas as pd
import pytest
from manifests import TINY, reader

import experiments.run
from common.errors import UsageError
from common.paths import RESULTS
from experiments.manifest import read
from experiments.run import MANIFEST
from experiments.tasks import tasks_of

pytestmark = pytest.mark.quick
ABLATION = """
[[ablations]]
env = "Pendulum-v1"
group = "g"
seeds = "1"
steps = 200
variants = { a = "pend" }
flags = { eval_freq = 50 }
"""


LONGER = ABLATION.replace('"1"', '"0"').replace("steps = 200", "steps = 800").replace("flags = { eval_freq = 50 }", "")
POLICIES = "policy_seed = 0\nfinal_episodes = 5\n"
NOISE = """
[[ablations]]
env = "Pendulum-v1"
group = "{group}"
method = "TD3"
seeds = "{seeds}"
steps = 200
variants = {{ a = "" }}
flags = {{ noise_clip = "{clip}", checkpoint_freq = {freq} }}
"""
PPO = """
[[ablations]]
env = "Pendulum-v1"
group = "{group}"
method = "PPO"
seeds = "{seeds}"
steps = {steps}
variants = {{ a = "" }}
"""
IMAGES = """
[embeddings.seen]
script = "main_pixels.py"
env = "Hopper-v5"

[embeddings.coded]
script = "main_vae.py"
env = "Hopper-v5"
"""


@pytest.fixture
def manifest(tmp_path):
    return reader(tmp_path)


def test_the_manifest_and_the_published_files_name_each_other():
    files = {curve.file for curve in read(MANIFEST).curves}
    folders = (RESULTS / "published", RESULTS / "ablations")
    assert files == {str(path.relative_to(RESULTS)) for folder in folders for path in folder.glob("*.csv")}


def test_the_manifest_asks_for_all_that_is_published():
    """Or what is published anew would have fewer steps or seeds than what it replaces."""
    for curve in read(MANIFEST).curves:
        table = pd.read_csv(RESULTS / curve.file)
        assert table.steps.max() <= curve.steps and set(table.seed) <= set(curve.seeds), curve.file


def test_published_tables_name_the_manifests_variants():
    """By which the pages find them: what is published anew takes their place."""
    for curve in read(MANIFEST).curves:
        table = pd.read_csv(RESULTS / curve.file, dtype=str, keep_default_na=False)
        assert set(table.get("variant", [])) == ({curve.variant} if curve.variant else set()), curve.file


def test_published_embeddings_probes_and_tables_are_in_the_manifest():
    content = read(MANIFEST)
    folder = RESULTS / "published" / "embeddings"
    published = {str(path.parent.relative_to(folder)) for path in folder.glob("*/*/encoder.pt")}
    assert {e.published for e in content.embeddings.values() if e.published} == published
    assert {f"{probe['env']}.csv" for probe in content.probes} == {p.name for p in (RESULTS / "probes").glob("*.csv")}
    assert {f"{table['name']}.csv" for table in content.tables} == {p.name for p in (RESULTS / "figures").glob("*.csv")}


def test_what_is_published_has_a_text_on_how_it_was_made_beside_it():
    for path in RESULTS.glob("*/*.csv"):
        text = path.with_suffix(".txt").read_text()
        assert all(f"\n{line}:" in f"\n{text}" for line in ("command", "commit", "machine", "versions")), path


def test_the_returns_of_final_policies_are_in_the_manifest():
    named = {f"{curve.env}_{curve.method}.csv" for curve in read(MANIFEST).curves if curve.final_episodes}
    assert named == {path.name for path in (RESULTS / "final_policies").glob("*.csv")}


def test_published_policies_are_in_the_manifest():
    named = {curve.env for curve in read(MANIFEST).curves if curve.policy_seed is not None}
    assert named == {path.parent.name for path in (RESULTS / "published" / "policies").glob("*/checkpoint.pt")}


WRONG = {
    "method": ('"DynE-TD3"', '"DynE-TD4"', "there is no method DynE-TD4: did you mean DynE-TD3?"),
    "flag": ("epoch_size", "epoch_siez", "there is no flag of embedding/main.py epoch_siez: did you mean epoch_size?"),
    "value": ("steps = 600", "steps = -600", "is not a whole number of at least 1"),
    "embedding": ('embedding = "pend"', 'embedding = "pendel"', "there is no embedding pendel: did you mean pend?"),
    "no embedding": ('embedding = "pend"', "", "DynE-TD3 needs an embedding: name one"),
    "seeds": ('"0-1"', '"zero"', "'zero' are not seeds"),
    "section": ("[[curves]]", "[[curve]]", "there is no section curve: did you mean curves?"),
    "key": ("seeds =", "seed =", "there is no key seed: did you mean seeds?"),
    "toml": ("[[curves]]", "[[curves", "it is not a manifest"),
    "missing": ("steps = 400", "", "it has no steps: add it"),
    "missing environment": ('env = "Pendulum-v1"\nflags', "flags", "embeddings: pend: it has no env: add it"),
    "missing script": ('script = "main.py"', "", "it has no script: add it"),
    "kind": ("[[curves]]", "[curves.a]", "curves: it is no section of that kind: write [[curves]]"),
    "twice": ('["DynE-TD3"]', '["DynE-TD3", "DynE-TD3"]', "is made twice"),
    "many seeds": ('"0-1"', '"0-999999999"', "each range ends behind its beginning, within 10000"),
    "seeds backwards": ('"0-1"', '"5-2"', "each range ends behind its beginning"),
    "negative steps": ("steps = 400", "steps = -400", "steps -400: it must be a whole number of at least 1"),
    "steps of text": ("steps = 400", 'steps = "many"', "steps 'many': it must be a whole number of at least 1"),
    "number of a method": ('["DynE-TD3"]', "3", "method 3: it must be a name, or a list of names"),
    "number of an environment": ('env = "Pendulum-v1"', "env = 5", "env 5: it must be a name"),
    "folder of an environment": (
        '[[curves]]\nenv = "',
        '[[curves]]\nenv = "../',
        "env '../Pendulum-v1': it must be a name",
    ),
    "list of a script": ('"main.py"', '["main.py"]', "script ['main.py']: it must be a name"),
    "name of an embedding": ("embeddings.pend", 'embeddings."../pend"', "name '../pend': it must be a name"),
    "folder of a decoder": (
        'script = "main.py"',
        'script = "main.py"\npublished = "../k4"',
        "it must be names parted by /",
    ),
    "flags of text": ("steps = 400", 'steps = 400\nflags = "lr"', "flags 'lr': it must be a table of flags"),
    "list of a flag": ("steps = 400", "steps = 400\nflags = { lr = [1] }", "it must be a table of flags"),
    "flag that is set": (
        "steps = 400",
        "steps = 400\nflags = { seed = 4 }",
        "--seed follows from the entry's other keys",
    ),
    **{
        f"{flag} of a curve": (
            "steps = 400",
            f"steps = 400\nflags = {{ {flag} = {value} }}",
            f"published/Pendulum-v1_DynE-TD3.csv: --{flag} follows from the entry's other keys: leave it out",
        )
        for flag, value in {
            **dict.fromkeys(("policy_name", "algo", "decoder", "source_env", "encoder"), '"x"'),
            "pixels": "true",
        }.items()
    },
    "flag that its script refuses": (
        "steps = 400",
        "steps = 400\nflags = { plan_length = 8 }",
        "m.toml: published/Pendulum-v1_DynE-TD3.csv: --plan_length 8: DynE-TD3 does not use it: leave it out",
    ),
    "flags that contradict the entry": (
        'method = ["DynE-TD3"]\nembedding = "pend"',
        'method = "SAC-LSP"\nflags = { levels = 500 }',
        "m.toml: published/Pendulum-v1_SAC-LSP.csv: --levels 500: there are 400 steps to train them: use fewer",
    ),
    "name that is reserved": (
        "embeddings.pend",
        "embeddings.data",
        "m.toml: embeddings.data: argument --name: 'data' is reserved (data, seed_*, published, published-k*, *.pt): choose another name",
    ),
    "evaluations that differ": (
        "[[curves]]",
        f"{ABLATION}[[curves]]",
        "Pendulum-v1_DynE-TD3.csv and ablations/Pendulum-v1_g_a.csv: they share seed 1 of a run, one with --eval_freq 1000, the",
    ),
    "flags that differ in a run of one name": (
        "[[curves]]",
        NOISE.format(group="g", seeds=0, clip="1e+1", freq=0)
        + NOISE.format(group="h", seeds=1, clip="1e-1", freq=0)
        + "[[curves]]",
        "g_a.csv and ablations/Pendulum-v1_h_a.csv: they share the run plain_noise_clip=1e-1, one with --noise_clip 10.0, the",
    ),
    "environments that differ in a run of one folder": (
        "[[curves]]",
        ABLATION.replace("Pendulum-v1", "my_envs:Pendulum-v1") + "[[curves]]",
        "they share the run pend, one with --env Pendulum-v1, the other with --env my_envs:Pendulum-v1: give both the same",
    ),
    "lengths that numbers depend on": (
        "[[curves]]",
        PPO.format(group="g", seeds="0-1", steps=3000) + PPO.format(group="h", seeds="2-3", steps=6000) + "[[curves]]",
        "h_a.csv: they share the run plain, one of 3000 steps, the other of 6000, and the numbers of PPO depend on that, for",
    ),
    **{
        f"policies of other steps by {key}": (
            "[[curves]]",
            f"{LONGER}[[curves]]\n{key} = {value}",
            f"{key} {value}: it asks for policies of 400 steps, and ablations/Pendulum-v1_g_a.csv, which shares the run, trains",
        )
        for key, value in (("final_episodes", 5), ("policy_seed", 0))
    },
    "flag that deletes": (
        "epochs = 1,",
        "epochs = 1, overwrite = true,",
        "--overwrite follows from the entry's other keys",
    ),
    "episodes": (
        "steps = 400",
        'steps = 400\nfinal_episodes = "all"',
        "final_episodes 'all': it must be a whole number",
    ),
    "nested": ("steps = 400", "steps = " + "[" * 10_000, "it is not a manifest"),
    "table of variants": ("[[curves]]", '[[ablations]]\ngroup = "g"\nvariants = ["a"]', "it must be a table of names"),
    "table twice": (
        "[[curves]]",
        '[[tables]]\nname = "t"\nscript = "figure3_reach.py"\nembedding = "pend"\n' * 2 + "[[curves]]",
        "table t: two entries of the manifest make it: leave one out",
    ),
    "script of a table": (
        "[[curves]]",
        '[[tables]]\nname = "t"\nscript = "figure3_rech.py"\nembedding = "pend"\n[[curves]]',
        "m.toml: tables: t: there is no script in analysis/ for tables with embedding called figure3_rech.py: did you mean figure3_reach.py?",
    ),
    **{
        f"{script} of {key}": (
            "[[curves]]",
            f'[[tables]]\nname = "t"\nscript = "{script}.py"\n{key} = {value}\n[[curves]]',
            f"m.toml: tables: t: there is no script in analysis/ for tables with {key} called {script}.py: ",
        )
        for script, key, value in (
            ("doing_nothing", "embedding", '"pend"'),
            ("figure3_reach", "envs", '["Pendulum-v1"]'),
            ("wording", "runs", '["Pendulum-v1 DynE-TD3 pend"]'),
        )
    },
    **{
        f"{method} on another environment than its encoder's": (
            'method = ["DynE-TD3"]\nembedding = "pend"',
            f'method = "{method}"\nembedding = "{images}"',
            f"m.toml: published/Pendulum-v1_{method}.csv: embedding {images}: it is of images of Hopper-v5, not of Pendulum-v1: ",
        )
        for method, images in {"SA-DynE-TD3": "seen", "S-DynE-TD3": "seen", "VAE-TD3": "coded"}.items()
    },
    "probe of another environment": (
        "[[curves]]",
        '[[probes]]\nenv = "Pendulum-v1"\nencoder = "seen"\nvae = "coded"\n[[curves]]',
        "m.toml: probes: Pendulum-v1: embedding seen: it is of images of Hopper-v5, not of Pendulum-v1: name one of that",
    ),
    "blocks longer than the run": (
        "steps = 400",
        "steps = 400\nflags = { update_every = 500 }",
        "Pendulum-v1_DynE-TD3.csv: --update_every 500: a block is longer than --max_timesteps 400: use at most as many",
    ),
    "false of what is no switch": (
        "steps = 400",
        "steps = 400\nflags = { lr = false }",
        "m.toml: published/Pendulum-v1_DynE-TD3.csv: lr = false: it is no switch: give it a value, or leave it out",
    ),
    "many flags": (
        "steps = 400",
        "steps = 400\nflags = { lr = 0.001, tau = 0.005, discount = 0.99, policy_noise = 0.25, expl_noise = 0.15, batch_size = 128, replay_size = 900 }",
        "m.toml: published/Pendulum-v1_DynE-TD3.csv: its flags make the name of its run too long for a folder, pend_batch_size=128_",
    ),
    "steps of environments": (
        "[[curves]]",
        '[[tables]]\nname = "t"\nscript = "doing_nothing.py"\nenvs = ["Pendulum-v1"]\nsteps = 5\n[[curves]]',
        "m.toml: tables: t: it has steps, which only tables of runs take: leave them out",
    ),
    "environment twice": (
        "[[curves]]",
        '[[tables]]\nname = "t"\nscript = "doing_nothing.py"\nenvs = ["Pendulum-v1", "Pendulum-v1"]\n[[curves]]',
        "m.toml: tables: t: it has an environment twice in envs: leave one out",
    ),
    "two kinds of table": (
        "[[curves]]",
        '[[tables]]\nname = "t"\nscript = "doing_nothing.py"\nenvs = ["Pendulum-v1"]\nembedding = "pend"\n[[curves]]',
        "m.toml: tables: t: it has embedding and envs: give one of the three",
    ),
    "embedding of a probe": (
        "[[curves]]",
        '[[probes]]\nenv = "Pendulum-v1"\nencoder = "pend"\nvae = "pend"\n[[curves]]',
        "probes: Pendulum-v1: embedding pend: it is of main.py: name one of main_pixels.py",
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_told_in_one_line_before_anything_starts(tmp_path, call, mistake):
    before, after, words = WRONG[mistake]
    (tmp_path / "m.toml").write_text(TINY.replace(before, after, 1) + IMAGES)
    flags = {"manifest": tmp_path / "m.toml", "results_dir": tmp_path / "results", "threads": None}
    ran = call(experiments.run.main, "--dry_run", **flags)
    assert ran.code == 2 and ran.err.count("\n") == 1 and words in ran.err, ran.err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("path", ["/dev/zero", "pipe", "missing.toml"])
def test_what_has_no_end_or_is_not_there_is_no_manifest(tmp_path, call, path):
    os.mkfifo(tmp_path / "pipe")
    ran = call(experiments.run.main, "--dry_run", manifest=tmp_path / path, results_dir=tmp_path, threads=None)
    assert ran.code == 2 and "it is not a manifest" in ran.err and ran.err.count("\n") == 1, ran


def test_a_curve_may_not_be_shorter_than_a_block(manifest):
    """It could not be published, even as a part of a longer run. Switches may be false."""
    short = LONGER.replace("steps = 800", "steps = 50") + "flags = { tensorboard = false }\n"
    long = LONGER.replace('"g"', '"h"') + "flags = { tensorboard = false }\n"
    assert len(manifest(TINY + long).curves) == 2
    for shared in (short + long, short):
        with pytest.raises(UsageError, match="g_a.csv: --update_every 100: a block is longer than --max_timesteps 50"):
            manifest(TINY + shared)


def test_entries_of_other_seeds_may_be_evaluated_at_other_steps(manifest):
    content = manifest(TINY + ABLATION.replace('"1"', '"2"'))
    assert len(content.curves) == 2 and len({curve.run for curve in content.curves}) == 1


@pytest.mark.parametrize(
    "more",
    [
        "policy_seed = 1\n" + LONGER,
        POLICIES + LONGER.replace("800", "200"),
        POLICIES + LONGER.replace("800", "400"),
        POLICIES + LONGER.replace('"0"', '"2"'),
        POLICIES + LONGER + "flags = { lr = 0.01 }",
        LONGER,
        NOISE.format(group="g", seeds=0, clip="1e+1", freq=0) + NOISE.format(group="h", seeds=0, clip="1e+1", freq=10),
        NOISE.format(group="g", seeds=0, clip="1e+1", freq=0) + NOISE.format(group="h", seeds=0, clip="0.1", freq=0),
        PPO.format(group="g", seeds="0-1", steps=3000) + PPO.format(group="h", seeds="1-2", steps=3000),
    ],
)
def test_entries_whose_numbers_are_not_mixed_may_share_a_run(manifest, more):
    assert len(manifest(TINY + more).curves) > 1


def test_flags_are_read_together_with_the_method(manifest, tmp_path):
    """--plan_length is a flag of some policies of rl/main_dyne.py alone; random is a policy of rl/main_td3.py."""
    curves = TINY.replace('["DynE-TD3"]\nembedding = "pend"', '"held-TD3"') + "flags = { plan_length = 8 }\n"
    (held,) = manifest(curves).curves
    assert held.run == "plain_plan_length=8"
    content = manifest(TINY.replace('["DynE-TD3"]\nembedding = "pend"', '"random"'))
    (task, _) = [task for task in tasks_of(content, tmp_path, {}) if task.steps]
    assert task.folder.parts[-3:] == ("random", "plain", "seed_0") and task.flags["policy_name"] == "random"
