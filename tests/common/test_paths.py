"""Folders of environments: one id each."""

import pytest
import toy_envs  # noqa: F401 (registers environments)
from scripts import EMBED, SHORT, TD3, listing

ONE, OTHER = "ns/Walk-v0", "ns_Walk-v0"


@pytest.mark.parametrize("first", [ONE, OTHER])
def test_ids_whose_folders_have_one_name_do_not_share_it(call, tmp_path, first):
    """Their curves would be drawn as those of one environment, and one's decoder taken for the other's."""
    second = {ONE: OTHER, OTHER: ONE}[first]
    for main in (EMBED, TD3):
        flags = {"results_dir": tmp_path, **SHORT[main], "max_timesteps": 100 if main is TD3 else None}
        assert call(main, env=first, **flags).code == 0
        before = listing(tmp_path)
        other = {"policy_name": "TD3"} if main is TD3 else {"name": "another"}
        ran = call(main, env=second, **flags | other)
        assert ran.code == 2 and f"holds results of {first}, and its own would lie among them" in ran.err, ran
        assert ran.err.count("\n") == 1 and listing(tmp_path) == before
        ran = call(main, env=f"toy_envs:{first}", **flags, name="another")  # for all one knows another one of this id
        assert ran.code == 2 and f"--env toy_envs:{first}: " in ran.err
        assert call(main, env=first, **flags, name="another").code == 0
