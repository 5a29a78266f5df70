"""The results page on controls: the same agent in action spaces that nothing was learned for."""

import pytest
from curve_runs import write_curve, write_variant

from analysis import report_controls
from analysis.report_data import Data
from common.errors import UsageError


def test_held_actions_are_told_on_the_tasks_that_have_them(tmp_path):
    for task in ("ReacherTurn", "ReacherPush"):
        for method, value in (("TD3", -20), ("DynE-TD3", -10)):
            write_curve(tmp_path, task, method, [value, value - 1])
    write_curve(tmp_path, "ReacherTurn", "held-TD3", [-15, -16])
    table, told = report_controls.held(Data(tmp_path)), report_controls.held_text(Data(tmp_path))
    assert "held-TD3" in table and "ReacherPush" not in table + told
    ends = "one of DynE-TD3 with probability 1.00 (−10.5 against −15.5) and one of TD3 with probability 0.00 (−20.5 against"
    assert ends in told and "of 10 000 steps" in told


def test_how_far_half_the_range_comes_from_td3_to_dyne(tmp_path):
    """Over the steps that all three have, however long each is."""
    ends = {"TD3": [-10, -11, -12, -10, -10], "DynE-TD3": [-6, -6, -6, -7, -8]}
    for method, returns in ends.items():
        write_curve(tmp_path, "ReacherVertical", method, returns, last=20_000)
    write_variant(tmp_path, "ReacherVertical", "held-TD3", "controls", "held_half", [-9, -9, -9, -9, -9])
    data = Data(tmp_path)
    td3, dyne = (data.series("ReacherVertical", method) for method in ends)
    held, words = data.variant("controls", "held_half"), report_controls.HALF["held_half"][0]
    told = report_controls.half_range({report_controls.RAW: td3, words: held}, dyne)
    assert told == (
        "At the end held-TD3 within half the range comes 40 % of the way from TD3 to DynE-TD3 (ahead of TD3, P 1.00 (in all pairs of "
        "runs)), over all steps 40 % (ahead of TD3, P 1.00 (in all pairs of runs))."
    )
    assert not report_controls.half_range({report_controls.RAW: td3}, dyne)


def test_controls_are_compared_on_the_seeds_that_all_have(tmp_path):
    for method in ("identity-TD3", "held-TD3", "chunk-TD3"):
        write_curve(tmp_path, "ReacherVertical", method, [-9] * 8)
    write_curve(tmp_path, "ReacherVertical", "TD3", [-9] * 6)
    write_curve(tmp_path, "ReacherVertical", "DynE-TD3", [-7] * 7)
    write_variant(tmp_path, "ReacherVertical", "DynE-TD3", "controls", "untrained", [-8] * 5)  # not of all
    found = report_controls.action_spaces(Data(tmp_path))
    assert {tuple(sorted(set(one.seed))) for one in found.values()} == {tuple(range(6))} and len(found) == 5
    assert "of 6 such pairs DynE-TD3 returns more" in report_controls.controls_text(Data(tmp_path))
    write_curve(tmp_path, "ReacherVertical", "TD3", [])
    with pytest.raises(UsageError, match="there is no curve of TD3"):
        report_controls.controls(Data(tmp_path))
    path = tmp_path / "published" / "ReacherVertical-v2_TD3.csv"
    path.write_text(path.read_text() + "ReacherVertical-v2,TD3,9,0,-9\nReacherVertical-v2,TD3,9,1000,-9\n")
    with pytest.raises(UsageError, match="share no seed: publish the same of each"):
        report_controls.controls(Data(tmp_path))


def test_the_length_of_a_controls_plans_is_read_from_the_text_beside_its_curve(tmp_path):
    write_curve(tmp_path, "ReacherVertical", "held-TD3", [-15])
    assert Data(tmp_path).plan_length("ReacherVertical", "held-TD3") is None
    (tmp_path / "published" / "ReacherVertical-v2_held-TD3.txt").write_text("python rl/main_dyne.py --plan_length 8\n")
    assert Data(tmp_path).plan_length("ReacherVertical", "held-TD3") == 8


def test_a_td3_that_begins_with_random_steps_stands_beside_the_controls(tmp_path):
    for method, value in {"identity-TD3": -9, "held-TD3": -7, "chunk-TD3": -12, "TD3": -9, "DynE-TD3": -7}.items():
        write_curve(tmp_path, "ReacherVertical", method, [value] * 5)
    write_variant(tmp_path, "ReacherVertical", "TD3", "start", "td3_1000", [-8] * 4)  # not of all seeds
    assert "random steps" not in report_controls.controls_text(Data(tmp_path))
    write_variant(tmp_path, "ReacherVertical", "TD3", "start", "td3_1000", [-8] * 6)
    told = report_controls.controls_text(Data(tmp_path))
    always, never = "1.00 (in all pairs of runs)", "0.00 (in all pairs of runs)"
    assert (
        f"with probability {never} than one of DynE-TD3, {always} than one of TD3, {always} than one of identity"
        in told
    )
    assert f"{never} than one of held-TD3 and {always} than one of chunk-TD3." in told and "but SAC" not in told
