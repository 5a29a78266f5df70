"""What several test files share: scripts called in this process, and embeddings that were hardly trained."""

import collections
import contextlib
import io
import sys
from typing import NamedTuple
from unittest import mock

import pytest
import torch

import embedding.main
from embedding.flags import run

TINY_EMBEDDING = {"steps": 1000, "epochs": 1, "epoch_size": 256, "decoder_epochs": 1, "decoder_batches": 8}


COUNTS = collections.Counter()


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="the full counts of faults and drawn flags (make faults)")


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
def tiny(tmp_path_factory):
    """Results folder with an embedding `default` of k = 4 for three environments, trained for a moment."""
    results = tmp_path_factory.mktemp("embeddings")
    for env_id in ("ReacherVertical-v2", "Hopper-v5", "Pendulum-v1"):
        ran = _call(embedding.main.main, env=env_id, results_dir=results, **TINY_EMBEDDING)
        assert ran.code == 0, ran.err
    return results
