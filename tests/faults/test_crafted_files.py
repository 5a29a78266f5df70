"""Files that someone made to do harm, or that another program wrote: refused by loaders, and by scripts in one line.

Their digests are right: who makes a file can make that too.
"""

import pytest
import torch
from crafted_files import ENV, HIGH, KINDS, LOW, ONES, WIDTHS, Without, changed, place_of, whole_run, write_as_it_is

import analysis.figure3_reach
import analysis.figure8_effects
import analysis.figure10_trajectories
import analysis.list_runs
import embedding.evaluate
import rl.evaluate
import rl.main_dyne
import rl.main_td3
from common import checkpoint
from common.checkpoint import CheckpointError
from common.mlp import row_length

NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """{name of a kind: the content of a whole file of it}."""
    found = {}
    for name, (kind, write, _) in KINDS.items():
        path = tmp_path_factory.mktemp(name) / "x.pt"
        write(path)
        found[name] = checkpoint.load(path, kind)
    return found


# ---- entries that are not what they should be ----

# (kind, what changes: entries, dots between those within each other, to their values; a word of the message)
CHANGES = [
    ("decoder", {"k": 0}, "k is 0"),
    ("decoder", {"k": -3}, "k is -3"),
    ("decoder", {"k": 10**30}, "k is 1000000000"),
    ("decoder", {"k": 10**500}, "k is a huge number"),
    ("decoder", {"k": 900_000}, "weight has the shape (4, 400)"),
    ("decoder", {"k": 3}, "has the shape"),
    ("decoder", {"k": 2.0}, "k is 2.0"),
    ("decoder", {"k": True}, "k is True"),
    ("decoder", {"k": "2"}, "k is 2, not a whole number"),
    ("decoder", {"k": torch.tensor(2)}, "k is a tensor"),
    ("decoder", {"k": Without}, "there is no k"),
    ("decoder", {"max_embedding": -1.0}, "max_embedding is -1.0"),
    ("decoder", {"max_embedding": 0}, "max_embedding is 0"),
    ("decoder", {"max_embedding": NAN}, "max_embedding is nan"),
    ("decoder", {"max_embedding": INF}, "max_embedding is inf"),
    ("decoder", {"max_embedding": "3"}, "max_embedding is 3"),
    ("decoder", {"max_embedding": [3.0]}, "max_embedding is a list"),
    ("decoder", {"env_id": 7}, "env_id is 7"),
    ("decoder", {"env_id": ["x"]}, "env_id is a list"),
    ("decoder", {"env_id": "os:Ball-v0"}, "env_id is os:Ball-v0"),
    ("decoder", {"env_id": "a\nb"}, "not the id"),
    ("decoder", {"env_id": "x" * 10**5}, "not the id"),
    ("decoder", {"env_id": Without}, "there is no env_id"),
    ("decoder", {"env_name": "os:Other-v0"}, "env_name is os:Other-v0"),
    ("decoder", {"env_name": f"; rm -r *:{ENV}"}, "env_name is"),
    ("decoder", {"objective": "ab"}, "objective is not"),
    ("decoder", {"objective": ["cubed", 1.0]}, "form is cubed"),
    ("decoder", {"objective": ["l2", -1.0]}, "weight is -1.0"),
    ("decoder", {"objective": ["l2", NAN]}, "weight is nan"),
    ("decoder", {"weights": []}, "weights is no dict"),
    ("decoder", {"weights": {}}, "there is no low"),
    ("decoder", {"weights": {1: ONES}}, "weights is no dict of names"),
    ("decoder", {"weights.low": HIGH, "weights.high": LOW}, "low is not below high"),
    ("decoder", {"weights.low": HIGH}, "low is not below high"),
    ("decoder", {"weights.low": NAN * ONES}, "low is not finite"),
    ("decoder", {"weights.high": INF * ONES}, "high is not finite"),
    ("decoder", {"weights.low": -3e38 * ONES, "weights.high": 3e38 * ONES}, "low is not below high"),
    ("decoder", {"weights.low": torch.ones(0), "weights.high": torch.ones(0)}, "low has the shape (0,)"),
    ("decoder", {"weights.low": torch.tensor(-1.0)}, "low has the shape ()"),
    ("decoder", {"weights.low": -torch.ones(3), "weights.high": torch.ones(3)}, "has the shape"),
    ("decoder", {"weights.low": LOW.long()}, "low is a tensor of torch.int64"),
    ("decoder", {"weights.low": LOW.half()}, "low is a tensor of torch.float16"),
    ("decoder", {"weights.low": [-1.0, -1.0]}, "low is a list"),
    ("decoder", {"weights.more": ONES}, "weights of another network"),
    ("decoder", {"weights.whitening.std": 0 * ONES}, "std is not positive"),
    ("decoder", {"weights.whitening.std": Without}, "weights of another network"),
    ("decoder", {"weights.layers.0.bias": NAN * torch.ones(400)}, "layers.0.bias is not finite"),
    ("decoder", {"weights.layers.0.bias": torch.ones(400).double()}, "layers.0.bias is a tensor of torch.float64"),
    ("decoder", {"weights.layers.0.bias": torch.ones(1, 400)}, "layers.0.bias has the shape (1, 400)"),
    (
        "decoder",
        {"weights.layers.2.weight": 3e38 * torch.ones(400, 400), "weights.layers.4.weight": torch.eye(4, 400) - 1e-3},
        "plans are not finite",
    ),
    ("encoder", {"k": 0}, "k is 0"),
    ("encoder", {"k": 5}, "has the shape"),
    ("encoder", {"use_state": 1}, "use_state is 1"),
    ("encoder", {"use_state": False}, "has the shape"),
    ("encoder", {"encoder": None}, "encoder is no dict"),
    ("encoder", {"encoder.half_range": 0 * ONES}, "half_range is not positive"),
    ("encoder", {"encoder.center": torch.ones(3)}, "half_range has the shape (2,), not (3,)"),
    ("encoder", {"predictor": {}}, "there is no state_whitening.mean"),
    ("encoder", {"predictor.state_whitening.mean": torch.ones(9)}, "has the shape"),
    ("encoder", {"predictor.delta_whitening.std": -torch.ones(4)}, "std is not positive"),
    ("encoder", {"env_id": None}, "env_id is None"),
    ("pixels", {"state_dim": 10**6}, "has the shape"),
    ("pixels", {"state_dim": 0}, "state_dim is 0"),
    ("pixels", {"frames": 3}, "frames is 3"),
    ("pixels", {"source_img_width": 10**9}, "source_img_width is 1000000000"),
    ("pixels", {"state_encoder": "x"}, "state_encoder is no dict"),
    ("pixels", {"state_encoder.convolutions.0.running_var": -torch.ones(12)}, "running_var is not positive"),
    ("pixels", {"env_id": Without}, "there is no env_id"),
    ("vae", {"width": "5"}, "width is 5"),
    ("vae", {"width": 6}, "has the shape"),
    ("vae", {"decoder": Without}, "there is no decoder"),
    ("run", {"method": "SAC"}, "there is no kind"),
    ("run", {"method": ["TD3"]}, "method is a list"),
    ("run", {"method": "os:system"}, "method, os:system, has no row"),
    ("run", {"seed": -1}, "seed is -1"),
    ("run", {"seed": None}, "seed is None"),
    ("run", {"env_id": b"x".decode() + ":y"}, "env_id is x:y"),
    ("run", {"states": []}, "there is no kind"),
    ("run", {"states.kind": "ultrasound"}, "kind is ultrasound"),
    ("run", {"states.dim": 10**12}, "dim is 1000000000000"),
    ("run", {"states.dim": 7}, "mat1 and mat2|shape|size"),
    ("run", {"actions": "raw"}, "actions is no dict"),
    ("run", {"actions.kind": "cooked"}, "kind is cooked"),
    ("run", {"actions.low": HIGH, "actions.high": LOW}, "low is not below high"),
    ("run", {"actions.low": -torch.ones(3), "actions.high": torch.ones(3)}, "width is 2, not a whole number from 3"),
    ("run", {"policy": None}, "there is no widths"),
    ("run", {"policy.widths": [11, 2]}, "actor has the shape"),
    ("run", {"policy.widths": [11, -5, 4, 2]}, "width is -5"),
    ("run", {"policy.widths": [1] * 10**5}, "widths is a list"),
    ("run", {"policy.widths": 4}, "widths is 4"),
    ("run", {"policy.actor": NAN * torch.ones(1, row_length(WIDTHS))}, "actor is not finite"),
    ("ppo", {"policy.kind": "sb3"}, "kind is sb3"),
    ("ppo", {"policy.widths": [11, 9, 2]}, "has the shape"),
    ("ppo", {"policy.widths": [11, 4, 3]}, "width is 3"),
    ("ppo", {"policy.weights": {}}, "weights of another network"),
    ("ppo", {"policy.activation": "exec"}, "activation is exec"),
    ("ppo", {"policy.squash": 0}, "squash is 0"),
    ("ppo", {"policy.low": -torch.ones(3), "policy.high": torch.ones(3)}, "low has 3 numbers, not 2"),
    ("ppo", {"policy.statistics.mean": NAN * torch.ones(11).double()}, "mean is not finite"),
    ("ppo", {"policy.statistics.variance": -torch.ones(11).double()}, "variance is negative"),
    ("ppo", {"policy.statistics": Without}, "there is no statistics"),
    ("stack", {"policy.state_dim": 12}, "has the shape"),
    ("stack", {"policy.policies": []}, "policies is no list"),
    ("stack", {"policy.policies": [{}]}, "weights of another network"),
    ("stack", {"policy.policies": [None]}, "weights is no dict"),
    ("dyne", {"actions.decoder": Without}, "there is no decoder"),
    ("dyne", {"actions.decoder.max_embedding": -3.0}, "max_embedding is -3.0"),
    ("dyne", {"actions.low": -torch.ones(3), "actions.high": torch.ones(3)}, "2 numbers, not 3"),
    ("frames", {"states.source_img_width": 0}, "source_img_width is 0"),
    ("frames", {"policy.trunk": {}}, "trunk has the weights of another network"),
    ("frames", {"policy.actor.norms.0.variance": -torch.ones(1, 512)}, "variance is not positive"),
]


def refused_by_scripts(call, name, folder, results):
    """Whether every script that reads the file refuses it in one line with exit code 2, and writes nothing."""
    dyne = {"policy_name": "random-DynE", "max_timesteps": 100, "eval_episodes": 1, "results_dir": results}
    seeing = {"encoder": folder, "env": ENV, "max_timesteps": 100, "results_dir": results}
    td3 = rl.main_dyne.main
    calls = {
        "decoder": [(td3, (), {"decoder": folder, **dyne}), (embedding.evaluate.main, (folder,), {"threads": None})],
        "encoder": [(embedding.evaluate.main, (folder,), {"threads": None})],
        "pixels": [(td3, ("--pixels",), {"policy_name": "TD3", **seeing})],
        "vae": [],
    }.get(name, [(rl.evaluate.main, (folder,), {"threads": None})])
    for main, arguments, flags in calls:
        ran = call(main, *arguments, **flags)
        assert ran.code == 2 and ran.err.count("\n") == 1 and str(folder) in ran.err, ran
    assert not results.exists()


def test_what_is_whole_is_loaded(contents, tmp_path):
    for name, (kind, _, load) in KINDS.items():
        path = place_of(name, tmp_path)
        checkpoint.save(path, kind, contents[name])
        assert load(path)


def test_what_is_whole_is_loaded_whatever_networks_are_made_in(contents, tmp_path):
    """A program may have set torch's default to float64; its own networks are none of a loader's business."""
    torch.set_default_dtype(torch.float64)
    try:
        test_what_is_whole_is_loaded(contents, tmp_path)
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(("name", "changes", "word"), CHANGES, ids=[f"{n} {' '.join(c)} {w}" for n, c, w in CHANGES])
def test_an_entry_that_is_not_what_it_should_be(contents, call, tmp_path, name, changes, word):
    kind, _, load = KINDS[name]
    path = place_of(name, tmp_path)
    write_as_it_is(path, kind, changed(contents[name], changes))
    with pytest.raises(CheckpointError) as refusal:
        load(path)
    message = str(refusal.value)
    assert str(path) in message and any(w in message for w in word.split("|")) and len(message) < 600, message
    refused_by_scripts(call, name, tmp_path, tmp_path / "results")


@pytest.mark.parametrize("name", ["decoder", "encoder", "vae", "run"])
@pytest.mark.parametrize("content", [{}, [], None, "x", torch.ones(3), {"k": {}}], ids=lambda c: repr(c)[:12])
def test_contents_that_are_none(call, tmp_path, name, content):
    kind, _, load = KINDS[name]
    path = place_of(name, tmp_path)
    write_as_it_is(path, kind, content)
    with pytest.raises(CheckpointError):
        load(path)
    refused_by_scripts(call, name, tmp_path, tmp_path / "results")


# ---- runs that are looked at or gone on with ----


@pytest.mark.parametrize(
    "content",
    [{}, {"steps": "x"}, {"steps": [1]}, {"steps": 100, "flags": []}, {"steps": 100, "flags": {}}, whole_run()],
    ids=lambda content: " ".join(content) or "nothing",
)
def test_runs_that_are_resumed_and_listed(call, tmp_path, content):
    flags = {"policy_name": "random", "max_timesteps": 100, "eval_episodes": 1, "results_dir": tmp_path}
    folder = tmp_path / "rl" / ENV / "random" / "default" / "seed_0"
    folder.mkdir(parents=True)
    (folder / "opt.json").write_text("{}")
    checkpoint.save(folder / "checkpoint.pt", "run", content)
    ran = call(rl.main_td3.main, "--resume", **flags)
    assert ran.code == 2 and ran.err.count("\n") == 1 and "--resume: " in ran.err, ran
    assert call(analysis.list_runs.main, tmp_path, threads=None).code == 0


def test_figures_refuse_too(call, tmp_path):
    write_as_it_is(place_of("decoder", tmp_path), "decoder", {"k": 0})
    for script in (analysis.figure3_reach, analysis.figure8_effects, analysis.figure10_trajectories):
        ran = call(script.main, tmp_path, "--out", tmp_path / "t.csv", threads=None)
        assert ran.code == 2 and ran.err.count("\n") == 1, ran
    assert not (tmp_path / "t.csv").exists()
