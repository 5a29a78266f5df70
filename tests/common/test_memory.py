"""What a run takes, counted before it is taken."""

import resource

import pytest

import rl.main_baselines
import rl.main_td3
from common.errors import UsageError
from common.memory import FILES_OF_A_PROCESS, require_open_files

pytestmark = pytest.mark.quick


@pytest.fixture
def limit(monkeypatch):
    """Sets the limits of open files of this process, (soft, hard); asking for more than the latter raises an error."""

    def set_to(soft, hard):
        def ask_for(_, limits):
            if hard != resource.RLIM_INFINITY and limits[0] > hard:
                raise ValueError("current limit exceeds maximum limit")
            asked.append(limits)

        asked = []
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", ask_for)
        return asked

    return set_to


@pytest.mark.parametrize("tensorboard", [False, True])
def test_the_limit_of_open_files_is_raised_if_it_may_be(limit, tensorboard):
    wanted = FILES_OF_A_PROCESS + (200 if tensorboard else 100)
    for soft, hard in ((wanted, wanted), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)):
        asked = limit(soft, hard)
        require_open_files(100, tensorboard)
        assert asked == []
    for hard in (wanted, resource.RLIM_INFINITY):
        asked = limit(100, hard)
        require_open_files(100, tensorboard)
        assert asked == [(wanted, hard)]
    limit(90, wanted - 1)
    told = f"--num_seeds 100: the run opens up to {wanted} files, and this system lets a process open 90: use fewer"
    with pytest.raises(UsageError, match=told):
        require_open_files(100, tensorboard)


@pytest.mark.parametrize("main", [rl.main_td3.main, rl.main_baselines.main])
def test_more_seeds_than_files_may_be_open_are_refused(limit, call, tmp_path, main):
    limit(70, 70)
    ran = call(main, env="Pendulum-v1", num_seeds=30, max_timesteps=100, results_dir=tmp_path)
    assert (ran.code, ran.err.count("\n")) == (2, 1) and "or raise ulimit -n" in ran.err, ran.err
    assert not list(tmp_path.iterdir())
