"""A run is read from the folder of its own environment and method, and only folders of seeds are read in it."""

import shutil

import pytest
from curve_runs import ENV, refused, write_run

from analysis import curves, plot_runs
from common.errors import UsageError
from rl.methods import told_by


@pytest.mark.parametrize(("env", "method"), [("Pendulum-v1", "TD3"), (ENV, "SAC"), ("ReacherVertical-v20", "TD3")])
def test_a_run_that_was_copied_to_another_place_is_refused(tmp_path, monkeypatch, capsys, env, method):
    run = write_run(tmp_path, [0, 1])
    copy = tmp_path / "rl" / env / method / "default"
    shutil.copytree(run, copy)
    line = refused(plot_runs, monkeypatch, capsys, tmp_path)
    told = f"its opt.json is of TD3 on {ENV}, its folder of {method} on {env}: put it where it belongs"
    assert f"{copy / 'seed_0'}: {told}" in line and not list(tmp_path.glob("*.png"))
    (copy / "seed_0" / "opt.json").write_text("{")
    assert f"{copy / 'seed_1'}: {told}" in refused(plot_runs, monkeypatch, capsys, tmp_path)


@pytest.mark.parametrize(
    ("folder", "env_name"),
    [("Cart-v0", "my.carts:Cart-v0"), ("ns_Cart-v0", "carts:ns/Cart-v0"), ("Cart-v12", "Cart"), ("Cart", "Cart")],
)
def test_a_run_lies_in_the_folder_that_belongs_to_its_environment(tmp_path, folder, env_name):
    run = write_run(tmp_path, [0], env=folder, env_name=env_name)
    assert set(curves.load_run(run).env) == {folder}
    other = shutil.copytree(run, tmp_path / "rl" / "Cart-vertical" / "TD3" / "default")
    with pytest.raises(UsageError, match="its folder of TD3 on Cart-vertical"):
        curves.load_run(other)


def test_a_run_that_lies_elsewhere_is_of_what_its_folders_are_called(tmp_path):
    run = write_run(tmp_path, [0])
    kept = shutil.copytree(run, tmp_path / "kept" / "a" / "b" / "c")
    assert set(curves.load_run(kept).env) == {"a"} and set(curves.load_run(kept).method) == {"b"}


def test_flags_tell_the_method_where_they_can():
    told = {
        "TD3": {"policy_name": "TD3"},
        "S-DynE-TD3": {"policy_name": "TD3", "pixels": True},
        "DynE-TD3": {"policy_name": "DynE-TD3", "pixels": False, "decoder": "default"},
        "TD3-plans": {"algo": "TD3", "decoder": "default"},
        "PPO": {"algo": "PPO", "decoder": None},
    }
    assert [told_by(flags) for flags in told.values()] == [*told]
    for flags in ({"levels": 2}, {"policy_name": "mine"}, {"policy_name": ["TD3"]}, {"algo": "TD4"}, {}):
        assert told_by(flags) is None


def test_a_backup_is_no_run_and_no_seed(tmp_path):
    run = write_run(tmp_path, [0, 1])
    before = curves.load_runs(tmp_path)
    shutil.copytree(run / "seed_0", run / "seed_0_backup")
    shutil.copytree(run / "seed_0", run.parent / "other" / "seed_0_backup")
    assert curves.load_runs(tmp_path).equals(before)
    with pytest.raises(UsageError, match="no evaluations in it"):
        curves.load_runs(run.parent / "other")
