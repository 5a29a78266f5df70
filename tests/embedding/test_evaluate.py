"""embedding/evaluate.py: its verdicts, what it prints, and what it refuses."""

import dataclasses
import re
import shutil
from fractions import Fraction

import gymnasium
import pytest
import toy_envs  # noqa: F401  (registers its environments)

import analysis.figure3_reach
import analysis.figure8_effects
import analysis.figure10_trajectories
import embedding.evaluate
import embedding.main
from common import checkpoint
from common.environments import make_env
from common.errors import UsageError
from common.paths import PUBLISHED_EMBEDDINGS
from embedding import diagnostics
from embedding.decoder import PRIOR_MAX_EMBEDDING
from embedding.evaluate import Measures, verdicts
from embedding.random_play import random_play
from embedding.trained import load_embedding

EVALUATE = embedding.evaluate.main

# ---- verdicts ----

GOOD = Measures(
    k=4,
    max_embedding=3.8,
    objective=("squared", 1e-4),
    use_state=True,
    elsewhere=False,
    reconstruction=2e-4,
    rest=0.01,
    excess=1.1,
    cost=0.16,
    raw_cost=0.667,
    reached={"embedding": (0.8, 2.1), "normal": (0.5, 1.0), "raw": (0.55, 1.1), "reference": (0.9, 2.2)},
    prediction=(0.15, 0.94),
    sizes=(4, 4),
)


@pytest.mark.parametrize(
    ("quantity", "change"),
    [
        ("reconstruction", {"reconstruction": 0.15}),
        ("reconstruction", {"reconstruction": float("nan")}),
        ("d(0)", {"rest": 0.37}),
        ("convergence", {"excess": 3.7}),
        ("action cost", {"cost": 0.28}),
        ("action cost", {"k": 8}),
        ("coverage", {"reached": GOOD.reached | {"embedding": (0.56, 1.4)}}),
        ("coverage", {"reached": GOOD.reached | {"embedding": (float("nan"), 1.4)}}),
        ("prediction", {"prediction": (1.1, 0.94)}),
        ("prediction", {"prediction": (0.66, 0.94)}),
    ],
)
def test_each_quantity_has_its_verdict(quantity, change):
    assert set(verdicts(GOOD).values()) == {"ok"}
    found = verdicts(dataclasses.replace(GOOD, **change))
    assert found.pop(quantity).startswith("off, ")
    assert set(found.values()) == {"ok"}


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({}, "no flag is known to cure it: go on, policies may learn in it all the same"),
        ({"max_embedding": PRIOR_MAX_EMBEDDING}, "try without --prior, or go on"),
        ({"objective": ["l2", 1e-4]}, "try --norm squared, or go on"),
        ({"objective": ["l2", 1e-4], "max_embedding": PRIOR_MAX_EMBEDDING}, "try without --prior or --norm squared"),
        ({"objective": None}, "no flag is known to cure it: go on"),
    ],
)
def test_no_cure_is_named_that_was_taken_already(change, advice):
    found = verdicts(dataclasses.replace(GOOD, cost=0.28, rest=0.37, **change))
    assert found["action cost"].endswith(advice) or f": {advice}" in found["action cost"], found
    assert ("without --prior" in found["d(0)"]) == ("--prior" in advice)
    assert ("--norm_weight 0.001" in found["d(0)"]) == (change.get("objective", GOOD.objective) is not None)


def test_an_embedding_of_this_environment_is_no_cure_for_one_of_it():
    poor = dataclasses.replace(GOOD, reached=GOOD.reached | {"embedding": (0.56, 1.4)})
    cure = "an embedding of this environment"
    assert (
        cure not in verdicts(poor)["coverage"]
        and cure in verdicts(dataclasses.replace(poor, elsewhere=True))["coverage"]
    )


def test_what_f_can_say_without_the_state_is_held_to_less():
    assert verdicts(dataclasses.replace(GOOD, prediction=(0.66, 0.94), use_state=False))["prediction"] == "ok"


def test_the_table_of_the_docstring_agrees_with_the_limits():
    """What has a star is off, and nothing else."""
    names = "reconstruction", "d(0)", "convergence", "action cost", "coverage", "prediction"
    row = r"^    (.{33}) +(\*?[-\d]\S+) +(\S+) +(\S+) +(\S+) +(\S+) +(\S+)$"
    *rows, limits = re.findall(row, embedding.evaluate.__doc__, flags=re.MULTILINE)
    assert len(rows) > 6 and sum(number.startswith("*") for one in rows for number in one) > 6
    judged = embedding.evaluate
    own = judged.RECONSTRUCTION, judged.REST, judged.EXCESS, judged.COST, judged.COVERAGE, judged.PREDICTION[True]
    assert [float(Fraction(limit)) for limit in limits[1:]] == [*own]
    for name, *numbers in rows:
        reconstructed, rest, excess, cost, way, predicted = (float(number.strip("*")) for number in numbers)
        raw, reference = GOOD.reached["raw"][0], GOOD.reached["reference"][0]
        m = dataclasses.replace(
            GOOD,
            reconstruction=reconstructed,
            rest=rest,
            excess=excess,
            cost=cost * GOOD.raw_cost / GOOD.k,
            reached=GOOD.reached | {"embedding": (raw + way * (reference - raw), 1)},
            prediction=(predicted, 1),
            use_state="--no_state" not in name,
        )
        found = {quantity for quantity, verdict in verdicts(m).items() if verdict != "ok"}
        assert found == {names[n] for n, number in enumerate(numbers) if number.startswith("*")}, name


# ---- the script ----


def values(out):
    return out.split("\n", 1)[1]  # the first line names the folder


def listing(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def quick(monkeypatch):
    """Less play and fewer starts than the script takes."""
    monkeypatch.setattr(embedding.evaluate, "STEPS", 2000)
    monkeypatch.setattr(diagnostics, "STARTS", {True: 4, False: 2})


@pytest.mark.parametrize("env_id", ["ReacherVertical-v2", "Hopper-v5", "Pendulum-v1"])
def test_an_embedding_that_was_hardly_trained_is_called_bad(call, tiny, env_id, quick):
    before = listing(tiny)
    ran = call(EVALUATE, tiny / env_id / "default", threads=None)
    assert ran.code == 0 and ran.err == ""
    assert listing(tiny) == before  # nothing is written
    for quantity in ("reconstruction", "d(0)", "coverage"):
        assert f"\n  {quantity:14}  off, " in ran.out


def test_the_next_command_names_no_decoder_where_it_is_the_default(call, tiny, quick, monkeypatch, tmp_path):
    folder = tmp_path / "results" / "ReacherVertical-v2" / "default"
    shutil.copytree(tiny / "ReacherVertical-v2" / "default", folder)
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    monkeypatch.setattr(embedding.evaluate, "RESULTS", tmp_path / "results")
    told = call(EVALUATE, "../results/ReacherVertical-v2/default", threads=None).out.splitlines()[-1]
    assert "--decoder" not in told and "--env ReacherVertical-v2" in told
    other = folder.rename(folder.with_name("other"))
    assert f"--decoder ../{other.relative_to(tmp_path)}" in call(EVALUATE, other, threads=None).out


def test_good_embeddings_are_called_good_also_where_f_does_not_know_the_states(call, trained):
    published = PUBLISHED_EMBEDDINGS / "ReacherVertical-v2" / "k4"
    for folder in (trained, published):
        ran = call(EVALUATE, folder, threads=None)
        assert ran.code == 0 and ran.out.count("  ok\n") == 6, ran.out
    ran = call(EVALUATE, published, env="ReacherTurn-v2", threads=None)
    assert ran.code == 0 and ran.out.count("  ok\n") == 5, ran.out
    assert "not judged: f knows states of 4 numbers, these have 6" in ran.out


def test_the_same_seed_prints_the_same_and_another_does_not(call, tiny, quick):
    first, again, other = (
        values(call(EVALUATE, tiny / "ReacherVertical-v2" / "default", seed=seed, threads=None).out)
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_the_play_is_not_that_of_any_small_seed(call, tiny, quick, monkeypatch):
    seen = []

    def noted(env, steps, seed, progress):
        seen.append(seed)
        return random_play(env, 500, seed, progress)

    monkeypatch.setattr(embedding.evaluate, "random_play", noted)
    for seed in (0, 1):
        assert call(EVALUATE, tiny / "ReacherVertical-v2" / "default", seed=seed, threads=None).code == 0
    assert len(set(seen)) == 2 and min(seen) > 1000


# ---- bad input ----


@pytest.fixture
def refuse(call):
    """Calls the script, which must refuse in one line that holds `words`."""

    def refused(words, folder, **flags):
        ran = call(EVALUATE, folder, threads=None, **flags)
        assert (ran.code, ran.err.count("\n"), ran.out) == (2, 1, ""), ran
        assert ran.err.startswith("evaluate.py: error: ")
        for word in words:
            assert word in ran.err

    return refused


@pytest.fixture
def copy(tiny, tmp_path):
    return shutil.copytree(tiny / "ReacherVertical-v2" / "default", tmp_path / "copy")


def test_folders_that_are_no_embedding(refuse, copy, tmp_path):
    for folder in (tmp_path / "nowhere", tmp_path, copy / "decoder.pt"):
        refuse([f"folder {folder}", "there is no file", "finished run of embedding/main.py"], folder)
    (copy / "decoder.pt").unlink()
    refuse([f"folder {copy}", "decoder.pt", "finished run of embedding/main.py"], copy)


@pytest.mark.parametrize("name", ["encoder.pt", "decoder.pt"])
def test_files_that_are_damaged_or_of_another_kind(refuse, copy, name):
    path = copy / name
    whole = path.read_bytes()
    other = (copy / {"encoder.pt": "decoder.pt", "decoder.pt": "encoder.pt"}[name]).read_bytes()
    for content in (whole[:-1000], b"", other):
        path.write_bytes(content)
        refuse([f"folder {copy}", name, "give the folder of"], copy)
    checkpoint.save(path, name[:-3], {"k": 4})
    refuse([f"folder {copy}", "not of this version", "give the folder of"], copy)


def test_an_encoder_and_a_decoder_of_different_trainings(refuse, copy, tiny):
    shutil.copy(tiny / "Pendulum-v1" / "default" / "decoder.pt", copy)
    refuse([f"folder {copy}", "not of one embedding"], copy)


def test_an_encoder_and_a_decoder_of_another_seed(refuse, call, copy, tmp_path):
    """Of the same environment and sizes: the decoder knows whose it is. Decoders of earlier versions do not."""
    flags = {"steps": 100, "epochs": 0, "decoder_epochs": 0, "seed": 5, "results_dir": tmp_path}
    assert call(embedding.main.main, env="ReacherVertical-v2", **flags).code == 0
    other = tmp_path / "ReacherVertical-v2" / "default" / "decoder.pt"
    shutil.copy(other, copy)
    refuse([f"folder {copy}", "not of one embedding"], copy)
    for figure in (analysis.figure3_reach.main, analysis.figure8_effects.main, analysis.figure10_trajectories.main):
        ran = call(figure, copy, threads=None, out=tmp_path / "table.csv")
        assert ran.code == 2 and "not of one embedding" in ran.err and not (tmp_path / "table.csv").exists()
    content = checkpoint.load(other, "decoder")
    del content["encoder"]
    checkpoint.save(copy / "decoder.pt", "decoder", content)
    load_embedding(copy)


@pytest.mark.parametrize("bounds", [((-300, -0.01), (300, 0.01)), ((0, 250), (1000, 260)), ((1e6, -1), (1e6 + 1, 1))])
def test_bounds_may_be_wide_or_far_from_zero(call, tmp_path, monkeypatch, bounds):
    monkeypatch.setitem(gymnasium.registry["Walk-v0"].kwargs, "low", bounds[0])
    monkeypatch.setitem(gymnasium.registry["Walk-v0"].kwargs, "high", bounds[1])
    flags = {"steps": 100, "epochs": 0, "decoder_epochs": 0, "results_dir": tmp_path}
    ran = call(embedding.main.main, env="toy_envs:Walk-v0", traj_len=2, **flags)
    assert ran.code == 0, ran.err
    decoder, *_ = load_embedding(tmp_path / "Walk-v0" / "default")
    assert decoder.high.tolist() == pytest.approx(bounds[1])


def test_published_embeddings_load():
    folders = [path.parent for path in PUBLISHED_EMBEDDINGS.glob("*/k*/encoder.pt")]
    assert len(folders) >= 3
    for folder in folders:
        load_embedding(folder)


def test_environments_that_plans_do_not_fit(refuse, tiny):
    folder = tiny / "ReacherVertical-v2" / "default"
    refuse(["--env Pendulum-v1", "actions of 2 numbers", "takes 1: use"], folder, env="Pendulum-v1")
    refuse(["--env Nope-v0: there is no such environment"], folder, env="Nope-v0")
    refuse(["WalkShort-v0", "3 steps", "plans of 4 steps", "--traj_len"], folder, env="toy_envs:WalkShort-v0")
    refuse(["WalkBreaks-v0", "not finite"], folder, env="toy_envs:WalkBreaks-v0")
    refuse(["--seed", "'-1'", "at least 0"], folder, seed="-1")


def test_environments_whose_episodes_end_too_soon(tiny):
    decoder, encoder, predictor, _ = load_embedding(tiny / "ReacherVertical-v2" / "default")
    env = make_env("toy_envs:WalkShort-v0")
    with pytest.raises(UsageError, match="longest of its random episodes has 3 steps"):
        embedding.evaluate.measure(env, decoder, encoder, predictor, 0)
