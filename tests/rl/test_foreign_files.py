"""A run deletes what runs wrote, and nothing else: no foreign files, and nothing behind links."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from scripts import EMBED, SHORT, TD3, listing

from common.run_folder import WRITTEN_BELOW, RunFolder

FOLDERS = {TD3: "rl/ReacherVertical-v2/random/default/seed_0", EMBED: "ReacherVertical-v2/default"}
FOREIGN = [
    "notes.txt",
    ".hidden",
    "eval.csv.bak",
    "more/eval.csv",
    "replay/0.txt",
    "replay/notes.f32",
    "replay/2_notes.f32",
    "videos/talk.mp4",
    "videos/2024-holiday.mp4",
    "tensorboard/events.out.tfevents.my notes.txt",
    ".notes.1st.tmp",
]
both = pytest.mark.parametrize("main", [TD3, EMBED], ids=["td3", "embedding"])


def put_foreign_files(folder):
    for name in FOREIGN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


@pytest.mark.parametrize("way", ["--resume", "--overwrite"])
@both
def test_foreign_files_stay(call, tmp_path, main, way):
    folder = tmp_path / FOLDERS[main]
    put_foreign_files(folder)
    for _ in range(2):  # with nothing to go on from or to replace, and with a run
        ran = call(main, way, results_dir=tmp_path, **SHORT[main])
        assert ran.code == 0, ran.err
        assert [name for name in FOREIGN if (folder / name).read_text() != name] == []


def test_foreign_files_stay_when_a_run_goes_on(call, tmp_path):
    flags = SHORT[TD3] | {"results_dir": tmp_path}
    assert call(TD3, **flags).code == 0
    put_foreign_files(tmp_path / FOLDERS[TD3])
    ran = call(TD3, "--resume", **flags | {"max_timesteps": 200})
    assert ran.code == 0, ran.err
    assert [name for name in FOREIGN if (tmp_path / FOLDERS[TD3] / name).read_text() != name] == []


def test_what_a_run_wrote_goes(call, tmp_path):
    """A run of another length, and what killed writers leave."""
    folder = tmp_path / FOLDERS[TD3]
    assert call(TD3, results_dir=tmp_path, **SHORT[TD3] | {"max_timesteps": 300}).code == 0
    wanted = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    left = ["failed.json", ".checkpoint.new", ".eval.npy.123456.tmp", "model.zip", "videos/500.mp4", "replay/7.f32"]
    left += ["tensorboard/events.out.tfevents.1.host.2.0"]
    for name in left:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    assert call(TD3, "--overwrite", results_dir=tmp_path, **SHORT[TD3] | {"max_timesteps": 300}).code == 0
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == wanted


@pytest.mark.parametrize("way", ["--resume", "--overwrite"])
@pytest.mark.parametrize("link", ["seed_0", ".", "..", "../.."], ids=["seed", "run", "method", "environment"])
def test_nothing_is_replaced_through_a_link(call, tmp_path, way, link):
    """Of a seed's folder, of the run's, or of one above it."""
    run, other = (tmp_path / of / "rl" / "ReacherVertical-v2" / "random" / "default" for of in ("ours", "theirs"))
    assert call(TD3, results_dir=tmp_path / "theirs", **SHORT[TD3]).code == 0
    if way == "--resume":
        for path in other.rglob("checkpoint*"):
            path.unlink()
    link, target = (Path(os.path.normpath(folder / link)) for folder in (run, other))
    link.parent.mkdir(parents=True)
    link.symlink_to(target, target_is_directory=True)
    before = listing(tmp_path)
    ran = call(TD3, way, results_dir=tmp_path / "ours", **SHORT[TD3])
    assert ran.code == 2 and f"--name: {link} is a link" in ran.err and ran.err.count("\n") == 1, ran
    assert listing(tmp_path) == before


def test_links_in_a_folder_go_and_what_they_point_to_stays(call, tmp_path):
    folder, elsewhere = tmp_path / FOLDERS[TD3], tmp_path / "elsewhere"
    assert call(TD3, results_dir=tmp_path, **SHORT[TD3]).code == 0
    elsewhere.mkdir()
    for name in ("0.f32", "100.mp4", "eval.csv"):
        (elsewhere / name).write_text(name)
    (folder / "videos").symlink_to(elsewhere)
    (folder / "replay" / "0.f32").unlink(missing_ok=True)
    (folder / "replay").mkdir(exist_ok=True)
    (folder / "replay" / "0.f32").symlink_to(elsewhere / "0.f32")
    (folder / "eval.csv").unlink()
    (folder / "eval.csv").symlink_to(elsewhere / "eval.csv")
    for name in ("train.csv", "replay/1.f32"):  # links that lead nowhere
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(elsewhere / "not-there")
    before = listing(elsewhere)
    ran = call(TD3, "--resume", results_dir=tmp_path, **SHORT[TD3] | {"max_timesteps": 200})
    assert ran.code == 2 and ran.err.count("\n") == 1 and listing(elsewhere) == before, ran
    ran = call(TD3, "--overwrite", results_dir=tmp_path, **SHORT[TD3])
    assert ran.code == 0 and listing(elsewhere) == before, ran.err


def test_folders_that_were_there_stay_and_others_go(tmp_path):
    there = tmp_path / "results"
    there.mkdir()
    folder = RunFolder(there / "rl" / "x" / "seed_0", "run")
    folder.lock()
    folder.release()
    assert listing(tmp_path) == {there: None}


def test_a_folder_that_cannot_be_locked_leaves_nothing(call, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refused)
    ran = call(TD3, results_dir=tmp_path, **SHORT[TD3])
    assert ran.code == 2 and "No locks available" in ran.err and ran.err.count("\n") == 1, ran
    assert not listing(tmp_path)


MISPLACED = ["checkpoint.pt", "eval.csv", ".lock", "opt.json", "replay", "replay/0.f32", "videos", "tensorboard"]


@pytest.mark.parametrize("way", ["--resume", "--overwrite"])
@pytest.mark.parametrize("name", MISPLACED)
def test_what_lies_where_a_run_writes_something_else_is_named_before_anything_is_deleted(call, tmp_path, way, name):
    """A folder or a pipe in the place of a file, a file or a pipe in the place of a folder."""
    flags = SHORT[TD3] | {"results_dir": tmp_path, "policy_name": "TD3", "batch_size": 10}
    assert call(TD3, **flags).code == 0
    place = tmp_path / "rl" / "ReacherVertical-v2" / "TD3" / "default" / "seed_0" / name
    is_folder = name in WRITTEN_BELOW
    for make in (Path.touch if is_folder else Path.mkdir, os.mkfifo):
        if place.is_dir():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        make(place)
        before = listing(tmp_path)
        ran = call(TD3, way, **flags | {"max_timesteps": 200})
        kind = "folder" if is_folder else "file"
        assert ran.code == 2 and f"{place} is no {kind}" in ran.err and ran.err.count("\n") == 1, ran
        assert listing(tmp_path) == before


def test_a_pipe_in_the_place_of_a_lock_is_not_waited_for(call, tmp_path):
    """Opening one to write waits until somebody reads."""
    run = tmp_path / "rl" / "ReacherVertical-v2" / "random" / "default"
    run.mkdir(parents=True)
    os.mkfifo(run / ".starting")
    ran = call(TD3, results_dir=tmp_path, **SHORT[TD3])
    assert ran.code == 2 and f"{run} cannot be written" in ran.err and ran.err.count("\n") == 1, ran
    assert os.listdir(run) == [".starting"]


def test_a_pipe_behind_a_link_in_the_place_of_a_replay_is_not_waited_for(call, tmp_path):
    assert call(TD3, results_dir=tmp_path, **SHORT[TD3]).code == 0
    replay = tmp_path / FOLDERS[TD3] / "replay" / "0.f32"
    replay.unlink()
    os.mkfifo(tmp_path / "pipe")
    replay.symlink_to(tmp_path / "pipe")
    before = listing(tmp_path)
    ran = call(TD3, "--resume", results_dir=tmp_path, **SHORT[TD3] | {"max_timesteps": 200})
    assert ran.code == 2 and f"{replay}: it is no regular file" in ran.err and ran.err.count("\n") == 1, ran
    assert listing(tmp_path) == before


def test_a_pipe_in_the_place_of_another_seeds_flags_is_not_waited_for(call, tmp_path):
    other = (tmp_path / FOLDERS[TD3]).with_name("seed_9")
    other.mkdir(parents=True)
    os.mkfifo(other / "opt.json")
    assert call(TD3, results_dir=tmp_path, **SHORT[TD3]).code == 0
