"""What several test files share: scripts called in this process, and embeddings that were hardly trained."""

import collections
import contextlib
import fcntl
import io
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

from common.machine import use_portable_blas

use_portable_blas()  # before numpy is imported, as scripts do
os.environ.setdefault("RAY_worker_niceness", "0")  # else Ray's tasks starve beside tests in other processes

# ruff: isort: split
import torch
from scripts import EVALUATE, SHORT, TD3, TINY_IMAGES, listing

import embedding.main
import embedding.main_pixels
import embedding.main_vae
from common.cli import run

TINY_EMBEDDING = {"steps": 1000, "epochs": 1, "epoch_size": 256, "decoder_epochs": 1, "decoder_batches": 8}


COUNTS = collections.Counter()


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="the full counts of faults and drawn flags (make faults)")


def pytest_collection_modifyitems(items):
    """Those that take longest begin first, so that processes side by side end together."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # one of several processes (pytest-xdist)
        session.config.workeroutput["counts"] = dict(COUNTS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    COUNTS.update(getattr(node, "workeroutput", {}).get("counts", {}))


def pytest_terminal_summary(terminalreporter):
    for what, count in sorted(COUNTS.items()):
        terminalreporter.write_line(f"{count:6} {what}")


@pytest.fixture(scope="session")
def full(request):
    """Whether faults are tried in their full counts."""
    return request.config.getoption("--full")


@pytest.fixture(scope="session")
def counts():
    """{what was tried: how often}, printed at the end."""
    return COUNTS


class Call(NamedTuple):
    """How a script ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


def _call(main, *arguments, **flags):
    for name, value in {"threads": 1, **flags}.items():
        arguments += (f"--{name}", value) if value is not None else ()
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv = [sys.modules[main.__module__].__file__, *map(str, arguments)]
    with mock.patch.object(sys, "argv", argv), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run(main)
        except SystemExit as end:
            code = end.code
    return Call(code, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def torch_as_new():
    """One thread, as the scripts of rl/ have (others set a number of their own), and the same initial weights."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def call():
    """Calls a script's `main` in this process with the given arguments, as `python script.py` would; see `Call`."""
    return _call


@pytest.fixture(scope="session")
def filled(tmp_path_factory):
    """A function of a name and of what fills the folder of that name: once for all processes side by side (pytest-xdist)."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name, fill):
        path, filled = base / name, base / f"{name}.filled"
        with open(base / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not filled.exists():
                shutil.rmtree(path, ignore_errors=True)  # another process failed
                fill(path)
                filled.touch()
        return path

    return folder


@pytest.fixture(scope="session")
def tiny(filled):
    """Results folder with an embedding `default` of k = 4 for three environments, trained for a moment; not to be written to."""

    def fill(results):
        for env_id in ("ReacherVertical-v2", "Hopper-v5", "Pendulum-v1"):
            ran = _call(embedding.main.main, env=env_id, results_dir=results, **TINY_EMBEDDING)
            assert ran.code == 0, ran.err

    return filled("embeddings", fill)


@pytest.fixture(scope="session")
def tiny_images(filled):
    """Results folder with hardly trained embeddings of images, DynE's and the VAE's; not to be written to."""

    def fill(results):
        for env in ("ReacherVertical-v2", "toy_pixel_envs:Dot-v0"):
            decoder = {"decoder_epochs": 1, "decoder_batches": 4, "traj_len": 4}
            for main, flags in ((embedding.main_pixels.main, decoder), (embedding.main_vae.main, {})):
                ran = _call(main, env=env, results_dir=results, **TINY_IMAGES, **flags)
                assert ran.code == 0, ran.err

    return filled("embeddings_of_images", fill)


@pytest.fixture(scope="session")
def trained(filled):
    """Folder of a real, if short, training on ReacherVertical; not to be written to."""

    def fill(results):
        flags = {"steps": 20_000, "epochs": 4, "lr": 5e-4, "decoder_epochs": 6, "decoder_batches": 1000}
        ran = _call(embedding.main.main, env="ReacherVertical-v2", results_dir=results, **flags)
        assert ran.code == 0, ran.err

    return filled("trained", fill) / "ReacherVertical-v2" / "default"


@pytest.fixture
def refuse(call, tmp_path):
    """Calls a script that must refuse, naming all of `words`, without writing to the results folder."""

    def refused(main, words, *arguments, **flags):
        if main is EVALUATE:
            arguments = (tmp_path / "rl" / "ReacherVertical-v2" / "random" / "default", *arguments)
        else:
            flags = {"results_dir": tmp_path, **SHORT[main], **flags}  # short, should the script not refuse
        before = listing(tmp_path)
        ran = call(main, *arguments, **({"threads": None} if main is EVALUATE else {}), **flags)
        assert ran.code == 2, ran
        assert ran.err.count("\n") == 1 and ran.err.endswith("\n"), ran.err
        assert ran.err.startswith(Path(sys.modules[main.__module__].__file__).name + ": error: ")
        for word in words:
            assert word in ran.err
        assert listing(tmp_path) == before
        return ran.err

    return refused


@pytest.fixture
def a_run(call, tmp_path):
    """A finished run of a random policy, which is quick."""
    assert call(TD3, results_dir=tmp_path, **SHORT[TD3]).code == 0
    return tmp_path / "rl" / "ReacherVertical-v2" / "random" / "default"


@pytest.fixture
def decoder(tiny):
    """The file of a decoder of ReacherVertical that was hardly trained."""
    return tiny / "ReacherVertical-v2" / "default" / "decoder.pt"
