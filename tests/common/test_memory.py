"""What a run takes, counted before it is taken."""

import resource

import pytest

import rl.main_baselines
import rl.main_td3
from common.errors import UsageError
from common.memory import FILES_OF_A_PROCESS, FILES_OF_A_SEED, require_open_files

pytestmark = pytest.mark.quick


@pytest.fixture
def limits(monkeypatch):
    """Sets the limits of open files, (soft, hard), of this process; returns those that it asks for."""
    asked = []
    monkeypatch.setattr(resource, "setrlimit", lambda which, limit: asked.append((which, limit)))

    def set_to(soft, hard):
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
        return asked

    return set_to


def test_the_limit_of_open_files_is_raised_if_it_may_be(limits):
    wanted = FILES_OF_A_PROCESS + 100 * FILES_OF_A_SEED
    for soft, hard in ((wanted, wanted), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)):
        asked = limits(soft, hard)
        require_open_files(100)
        assert asked == []
    for hard in (wanted, resource.RLIM_INFINITY):
        asked = limits(100, hard)
        require_open_files(100)
        assert asked.pop() == (resource.RLIMIT_NOFILE, (wanted, hard)) and not asked
    limits(100, wanted - 1)
    with pytest.raises(UsageError, match=f"--num_seeds 100: the run opens up to {wanted} files, and this system lets"):
        require_open_files(100)


@pytest.mark.parametrize("main", [rl.main_td3.main, rl.main_baselines.main])
def test_more_seeds_than_files_may_be_open_are_refused(limits, call, tmp_path, main):
    limits(70, 70)
    ran = call(main, env="Pendulum-v1", num_seeds=30, max_timesteps=100, results_dir=tmp_path)
    assert (ran.code, ran.err.count("\n")) == (2, 1) and "or raise ulimit -n" in ran.err, ran.err
    assert not list(tmp_path.iterdir())
