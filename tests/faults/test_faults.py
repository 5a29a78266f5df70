"""Runs survive what machines do to them: kills, full disks, damaged files, a second process.

`make faults` tries these in full counts, the test suite a few of each.
"""

import gc
import os
import resource
import shutil
import signal
import subprocess
import time

import mujoco  # noqa: F401  (as processes.py does: its version stands in what is written)
import numpy as np
import pytest
import torch
import toy_pixel_envs  # noqa: F401  (registers its environments)
from fault_runs import BASELINES, FEWER, FLAGS, FOLDERS, MAINS, wait_until_held
from processes import ScriptProcess
from same_runs import assert_same, contents
from scripts import Malicious, can_draw, listing

import analysis.list_runs
import rl.evaluate
import rl.evaluation
import rl.main_dyne
import rl.main_pixel_td3
import rl.main_td3
from common import checkpoint
from common.csv_log import CsvLog
from rl.replay_files import ReplayFiles

scripts = pytest.mark.parametrize("script", list(MAINS))
KILLED = ["embedding/main.py", "embedding/main_pixels.py", "rl/main_td3.py"]  # in small counts too


@pytest.fixture
def flags_of(tiny):
    """The flags of a script's run, as a dict; some of them changed."""

    def flags(script, **changed):
        flags = FLAGS[script] | changed
        if script == "rl/main_dyne.py":
            flags["decoder"] = tiny / "ReacherVertical-v2" / "default" / "decoder.pt"
        return flags

    return flags


@pytest.fixture
def start(tmp_path_factory):
    """Starts a script with flags, a dict, and further arguments."""
    err = tmp_path_factory.mktemp("stderr")

    def started(script, flags, *arguments):
        words = [word for name, value in flags.items() for word in (f"--{name}", value)]
        return ScriptProcess(script, [*words, *arguments], err / f"{len(list(err.iterdir()))}.txt")

    return started


# ---- kills ----


@scripts
def test_kill_9_loses_nothing(script, start, flags_of, tmp_path, counts, full):
    """One run, killed over and over at random moments, ends as the undisturbed one."""
    if script not in KILLED and not full:
        pytest.skip("in full counts only: other tests stop it in its midst")
    wanted, rng = (20 if full else 2), np.random.default_rng(None if full else 0)
    flags = flags_of(script, results_dir=tmp_path, **{} if full else FEWER[script])
    if script == "rl/main_dyne.py" and full and can_draw():
        flags["render_freq"] = 1000
    whole = tmp_path / FOLDERS[script] / "whole"
    process = start(script, flags, "--name", "whole")
    wait_until_held(whole, process)
    began = time.monotonic()
    assert process.wait() == 0, process.err
    life = (time.monotonic() - began) / wanted
    kills, run = 0, 0
    while kills < wanted:  # with one run, unless the machine has become much faster
        run += 1
        parts = tmp_path / FOLDERS[script] / f"parts{run}"
        process = start(script, flags, "--name", parts.name, "--resume")
        while kills < wanted and wait_until_held(parts, process):
            time.sleep(rng.uniform(0, life))
            if process.poll() is not None:
                break
            process.kill()
            kills += 1
            counts[f"kills of {script}"] += 1
            process = start(script, flags, "--name", parts.name, "--resume")
        assert process.wait() == 0, process.err
        assert_same(whole, parts)


def test_a_second_sigint_stops_at_once_and_loses_nothing(start, flags_of, tmp_path):
    """Blocks are so long that the first SIGINT alone would take a minute."""
    flags = flags_of("rl/main_td3.py", results_dir=tmp_path, update_every=20_000, max_timesteps=20_000, num_seeds=1)
    folder = tmp_path / FOLDERS["rl/main_td3.py"] / "default"
    process = start("rl/main_td3.py", flags)
    wait_until_held(folder, process)
    while not (folder / "seed_0" / "checkpoint.pt").exists():
        time.sleep(0.02)
    for _ in range(2):
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGINT)
    assert process.wait(20) == 130 and process.err.endswith("main_td3.py: stopped\n"), process.err
    assert checkpoint.load(folder / "seed_0" / "checkpoint.pt", "run")["steps"] == 0


# ---- full disks ----

WRITES = {
    "the checkpoint": (
        checkpoint,
        "save",
        ["rl/main_td3.py", "embedding/main.py", "embedding/main_vae.py", *BASELINES],
    ),
    "csv": (CsvLog, "append", ["rl/main_td3.py", "embedding/main.py"]),
    "the replay": (ReplayFiles, "append", ["rl/main_td3.py", "rl/main_pixel_td3.py", *BASELINES]),
    "the video": (rl.evaluation, "write_video", ["rl/main_dyne.py"]),
}
SHORT = {
    "embedding/main_pixels.py": {"epochs": 2, "epoch_size": 16, "decoder_epochs": 2, "decoder_batches": 8},
    "embedding/main_vae.py": {"epochs": 6, "epoch_size": 16},
    "embedding/main.py": {"epochs": 3, "epoch_size": 256, "decoder_epochs": 2, "decoder_batches": 8},
    "rl/main_td3.py": {"max_timesteps": 300, "eval_freq": 100},
    "rl/main_dyne.py": {"max_timesteps": 200, "eval_freq": 100, "render_freq": 100, "num_seeds": 1},
    "rl/main_pixel_td3.py": {"max_timesteps": 60, "eval_freq": 20, "checkpoint_freq": 0},
    **{script: {"max_timesteps": 600} for script in BASELINES},
}


@pytest.mark.parametrize(("what", "script"), [(what, script) for what, (*_, of) in WRITES.items() for script in of])
def test_a_full_disk_loses_nothing(what, script, flags_of, call, tmp_path, monkeypatch, counts, full):
    """The kernel refuses to let a file grow (RLIMIT_FSIZE) in the midst of a write; room made, the run goes on."""
    if what == "the video" and not can_draw():
        pytest.skip("nothing can be drawn on this machine")
    owner, name, _ = WRITES[what]
    flags = flags_of(script, **SHORT[script], results_dir=tmp_path)
    assert call(MAINS[script], **flags, name="whole").code == 0
    rng = np.random.default_rng(None if full else 0)
    failed = 0
    for attempt in range(10 if full and what != "the video" else 3 if full else 1):
        calls, refused, fatal = [], [], int(rng.integers(1, 3 if what == "the video" else 6))
        with monkeypatch.context() as patch:
            original = getattr(owner, name)

            def limited(*args, calls=calls, refused=refused, fatal=fatal, original=original):
                calls.append(args)
                if len(calls) != fatal:
                    return original(*args)
                grown = args[0].path.stat().st_size if isinstance(args[0], CsvLog) else 0
                _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (grown + int(rng.integers(0, 20)), hard))
                try:
                    return original(*args)
                except OSError:
                    refused.append(args)
                    raise
                finally:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

            patch.setattr(owner, name, limited)
            ran = call(MAINS[script], **flags, name=f"parts{attempt}")
        if not refused:  # so few calls, or nothing to be written
            assert ran.code == 0
            continue
        failed += 1
        counts[f"full disks while {what} of {script} was written"] += 1
        assert ran.code == 1 and "make room" in ran.err.splitlines()[-1] and "Traceback" not in ran.err, ran
        ran = call(MAINS[script], "--resume", **flags, name=f"parts{attempt}")
        assert ran.code == 0, ran.err
        folder = tmp_path / FOLDERS[script]
        assert_same(folder / "whole", folder / f"parts{attempt}")
    assert failed


@scripts
def test_a_disk_that_fills_up(script, start, flags_of, tmp_path, counts, full):
    """A disk of a few hundred kB to a few MB; made larger, it takes the rest of the run."""
    disk, rng = tmp_path / "disk", np.random.default_rng()
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    if not full or subprocess.run([*mount, "size=1m", "none", disk], capture_output=True, check=False).returncode:
        pytest.skip("in full counts only, and only where a disk may be mounted")
    try:
        flags = flags_of(script, **SHORT[script])
        flags.pop("render_freq", None)
        process = start(script, flags, "--results_dir", tmp_path, "--name", "whole")
        assert process.wait() == 0, process.err
        whole = tmp_path / FOLDERS[script] / "whole"
        most = sum(path.stat().st_size for path in whole.rglob("*")) / 1e3
        for attempt in range(4):
            shutil.rmtree(disk / FOLDERS[script], ignore_errors=True)
            size = int(rng.uniform(0.05, 1.3) * most)
            subprocess.run([*mount, f"remount,size={size}k", "none", disk], check=True)
            process = start(script, flags, "--results_dir", disk, "--name", "parts")
            code = process.wait()
            assert code in (0, 1, 2) and "Traceback" not in process.err, process.err
            counts[f"disks that were filled by {script}"] += code != 0
            subprocess.run([*mount, "remount,size=2g", "none", disk], check=True)
            process = start(script, flags, "--results_dir", disk, "--name", "parts", "--resume")
            assert process.wait() == 0, (attempt, process.err)
            assert_same(whole, disk / FOLDERS[script] / "parts")
    finally:
        subprocess.run(["umount", disk], check=True)


# ---- damaged files ----


def damage(path, rng):
    """Flips a bit, or cuts the end off."""
    data = bytearray(path.read_bytes())
    if rng.random() < 0.7:
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    else:
        del data[rng.integers(len(data)) :]
    path.write_bytes(data)


@pytest.mark.parametrize("script", ["rl/main_td3.py", "embedding/main.py"])
@pytest.mark.parametrize("both", [False, True], ids=["newest", "both"])
def test_damaged_checkpoints(script, both, flags_of, call, tmp_path, counts, full):
    """The older serves for the newest; if none is whole the run is refused. Or the damage is in no byte that matters."""
    rng = np.random.default_rng(None if full else 0)
    flags = flags_of(script, **SHORT[script], results_dir=tmp_path)
    end = "max_timesteps" if "rl/" in script else "decoder_epochs"
    parts, whole, saved = (tmp_path / FOLDERS[script] / name for name in ("default", "whole", "saved"))
    assert call(MAINS[script], **flags | {end: 1 if end == "decoder_epochs" else 200}).code == 0
    parts.rename(saved)
    if end == "max_timesteps":
        assert call(MAINS[script], **flags, name="whole").code == 0
    else:  # no flag of an embedding may differ: it is finished, and stays as it is
        shutil.copytree(saved, whole)
        flags[end] = 1
    for _ in range(25 if full else 3):
        shutil.rmtree(parts, ignore_errors=True)
        shutil.copytree(saved, parts)
        for path in list(parts.rglob("checkpoint.pt")) + (list(parts.rglob("checkpoint.previous.pt")) if both else []):
            damage(path, rng)
        before = listing(parts)
        ran = call(MAINS[script], "--resume", **flags)
        assert "Traceback" not in ran.err
        if ran.code == 2 and both:
            assert "--resume: " in ran.err and ran.err.count("\n") == 1
            assert listing(parts) == before
            counts[f"damaged checkpoints of {script} refused"] += 1
        else:
            assert ran.code == 0, ran.err
            assert_same(whole, parts)
            counts[f"damaged checkpoints of {script} survived"] += 1


def test_damaged_decoders(flags_of, tiny, call, tmp_path, counts, full):
    """Refused with nothing written, or loaded exactly."""
    rng, path = np.random.default_rng(None if full else 0), tmp_path / "decoder.pt"
    flags = flags_of("rl/main_dyne.py", **SHORT["rl/main_dyne.py"], results_dir=tmp_path / "results")
    flags |= {"policy_name": "random-DynE", "max_timesteps": 100, "render_freq": 0}
    assert call(rl.main_dyne.main, **flags, name="whole").code == 0
    runs = tmp_path / "results" / "rl" / "ReacherVertical-v2" / "random-DynE"
    for _ in range(50 if full else 5):
        shutil.copy(flags["decoder"], path)
        damage(path, rng)
        ran = call(rl.main_dyne.main, **flags | {"decoder": path}, name="damaged")
        assert "Traceback" not in ran.err
        if ran.code == 2:
            assert f"--decoder {path}: " in ran.err and "train it anew" in ran.err and ran.err.count("\n") == 1
            assert not (runs / "damaged").exists()
            counts["damaged decoders refused"] += 1
        else:
            assert ran.code == 0, ran.err
            assert contents(runs / "damaged") == contents(runs / "whole")
            shutil.rmtree(runs / "damaged")
            counts["damaged decoders loaded exactly"] += 1


def test_loading_a_run_executes_nothing(flags_of, call, tmp_path):
    flags = flags_of("rl/main_td3.py", **SHORT["rl/main_td3.py"], results_dir=tmp_path) | {"num_seeds": 1}
    assert call(rl.main_td3.main, **flags).code == 0
    folder, proof = tmp_path / FOLDERS["rl/main_td3.py"] / "default" / "seed_0", tmp_path / "executed"
    for name in ("checkpoint.pt", "checkpoint.previous.pt"):
        body = torch.load(folder / name, weights_only=True)
        torch.save({**body, "content": Malicious(proof)}, folder / name)
    assert call(rl.main_td3.main, "--resume", **flags).code == 2
    assert call(rl.evaluate.main, folder, threads=None).code == 2
    gc.collect()  # the lock that a process would have given back by ending
    ran = call(analysis.list_runs.main, tmp_path, threads=None)
    assert ran.code == 0 and "failed: no checkpoint is whole" in ran.out
    assert not proof.exists()


# ---- two processes ----


@scripts
def test_a_second_process_is_refused_until_the_first_has_died(script, start, flags_of, call, tmp_path, counts, full):
    flags = flags_of(script, results_dir=tmp_path)
    folder = tmp_path / FOLDERS[script] / "default"
    for _ in range(3 if full else 1):
        process = start(script, flags, "--overwrite")
        assert wait_until_held(folder, process)
        for way in ("--resume", "--overwrite"):
            ran = call(MAINS[script], way, **flags)
            assert ran.code == 2 and "another process" in ran.err and ran.err.count("\n") == 1, ran
            counts["second processes refused"] += 1
        assert "running" in call(analysis.list_runs.main, tmp_path, threads=None).out
        process.kill()
        process = start(script, flags, "--resume")
        assert wait_until_held(folder, process), process.err
        process.kill()
