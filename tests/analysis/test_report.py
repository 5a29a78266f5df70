"""The results pages tell what the data are; blocks and tables on small invented curves."""

import pandas as pd
import pytest
from curve_runs import call, one_series, write_curve

from analysis import (
    random_claims,
    report,
    report_embeddings,
    report_summary,
    report_tables,
)
from analysis.comparisons import at, entry, finals, on_the_way, seeds_of, steps_of, window
from analysis.figure_tables import SHOWN_ON
from analysis.report_data import Data
from analysis.wording import columns, markdown, number, read_off
from common.errors import UsageError
from common.paths import REPOSITORY

# ---- the real pages ----


def test_the_pages_tell_what_the_data_are(monkeypatch, capsys):
    """Where this fails, `make results` writes the pages."""
    call(report, monkeypatch, "--check")
    assert capsys.readouterr().out == ""


# ---- pages and markers ----


BLOCKS = {"one": lambda data: "1\n\n| 2 |", "two": lambda data: "word " * 40}


def write_pages(root, **texts):
    """Pages of these texts: `readme`, `results` and `docs` name them."""
    paths = {"readme": "README.md", "results": "results/README.md", "docs": "docs/differences.md"}
    for name, text in texts.items():
        path = root / paths[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def block(name, text=""):
    return f"<!-- begin: {name} -->\n{text}<!-- end -->\n"


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(report, "BLOCKS", BLOCKS)


def test_only_what_is_between_markers_is_rewritten_on_all_pages(small, tmp_path, monkeypatch, capsys):
    write_pages(tmp_path, readme=f"a\n{block('one')}b\n", results=block("two", "old\n"), docs=f"# c\n\n{block('one')}")
    call(report, monkeypatch, "--root", tmp_path)
    assert (tmp_path / "README.md").read_text() == "a\n" + block("one", "\n1\n\n| 2 |\n\n") + "b\n"
    assert (tmp_path / "docs" / "differences.md").read_text() == "# c\n\n" + block("one", "\n1\n\n| 2 |\n\n")
    lines = (tmp_path / "results" / "README.md").read_text().splitlines()
    assert max(map(len, lines)) <= report.WIDTH and " ".join(lines).count("word") == 40
    assert capsys.readouterr().out.count("rewritten") == 3
    call(report, monkeypatch, "--root", tmp_path, "--check")
    assert capsys.readouterr().out == ""


def test_a_check_names_the_block_and_writes_nothing(small, tmp_path, monkeypatch, capsys):
    write_pages(tmp_path, readme=block("one") + block("two"))
    call(report, monkeypatch, "--root", tmp_path)
    path = tmp_path / "README.md"
    path.write_text(path.read_text().replace("| 2 |", "| 3 |"))
    before = path.read_text()
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        call(report, monkeypatch, "--root", tmp_path, "--check")
    assert stopped.value.code == 1 and path.read_text() == before
    assert capsys.readouterr().out == "README.md: one differs from the data\n"


def test_the_summary_has_a_row_for_every_curve(small, tmp_path, monkeypatch, capsys):
    write_pages(tmp_path, readme=block("one") + block("two"))
    write_curve(tmp_path / "results", "Pusher", "TD3", [-30.0] * 5)
    write_curve(tmp_path / "results", "Pusher", "S-DynE-TD3", [-20.0, -22.0], last=100_000)
    (tmp_path / "results" / "published" / "Pusher-v2_TD3.txt").write_text("commit:      abc\nmachine:     a, 2 cores\n")
    call(report, monkeypatch, "--root", tmp_path)
    assert "results/summary.csv: rewritten" in capsys.readouterr().out
    assert (tmp_path / "results" / "summary.csv").read_text().splitlines()[1:] == [
        "published/Pusher-v2_S-DynE-TD3.csv,Pusher-v2,S-DynE-TD3,,2,200000,-21,,,-21.5,,",
        'published/Pusher-v2_TD3.csv,Pusher-v2,TD3,,5,10000,-30,-30,-30,-35,abc,"a, 2 cores"',
    ]
    call(report, monkeypatch, "--root", tmp_path, "--check")
    (tmp_path / "results" / "summary.csv").write_text("")
    with pytest.raises(SystemExit):
        call(report, monkeypatch, "--root", tmp_path, "--check")
    assert "results/summary.csv: differs from the data" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (block("one") + block("two") + block("three"), "there is no block 'three'"),
        (block("one"), "no page has the block 'two'"),
        (block("one") + "<!-- begin: two -->\n", "the block two has no line <!-- end -->"),
        (block("one") + block("two") + "<!-- end -->\n", "stands where it may not"),
        (block("one") + block("two", "<!-- begin: one -->\n"), "stands where it may not"),
    ],
)
def test_wrong_markers_are_an_error_in_one_line(small, tmp_path, monkeypatch, capsys, text, told):
    write_pages(tmp_path, readme=text)
    with pytest.raises(SystemExit) as stopped:
        call(report, monkeypatch, "--root", tmp_path)
    (line,) = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 2 and told in line
    assert (tmp_path / "README.md").read_text() == text


def test_lines_do_not_end_inside_of_numbers():
    assert "\n000" not in report.wrapped("up to 100 000 steps " * 200)


# ---- numbers ----


def test_numbers_have_a_minus_and_as_many_decimals_as_the_page():
    assert [number(value) for value in (-7.24, -99.94, -99.96, -151.5, 3.0, -0.04)] == (
        ["−7.2", "−99.9", "−100", "−152", "3.0", "0.0"]
    )
    assert [read_off(value) for value in (-9, -9.0)] == ["−9", "−9.0"]


def test_entries_tell_few_seeds_and_an_interval_of_many():
    assert entry(pd.Series([-1.0, -2.0])) == "−1.5 (−1.0 −2.0)"
    assert entry(pd.Series([-3.0])) == "−3.0" and entry(pd.Series([], dtype=float)) == ""
    assert entry(pd.Series([-1.0] * 4)) == "−1.0 (−1.0 −1.0 −1.0 −1.0)"
    assert entry(pd.Series([-1.0] * 5)) == "−1.0 ± 0.0"


def test_windows_are_open_on_their_left_and_of_seeds_that_got_so_far():
    found = window(one_series([0, 1, 2, 3], [0, 5]), 1000, 3000)
    assert found.to_dict() == {0: 2.5}
    assert window(one_series([0, 1, 2, 3]), 0, 1000).to_dict() == {0: 1.0}


def test_finals_are_of_as_many_steps_as_both_have():
    one, other, upto = finals(one_series(range(21)), one_series([0] * 10 + [7, 7, 7]))
    assert (one.to_dict(), other.to_dict(), upto) == ({0: 11.5}, {0: 7.0}, 12_000)
    many, few = one_series(range(21), range(21), range(11)), one_series(range(6), range(8))
    one, other, upto = finals(many, few)
    assert (one.to_dict(), other.to_dict(), upto) == ({0: 5.0, 1: 5.0, 2: 5.0}, {0: 5.0, 1: 5.0}, 5_000)
    ours, theirs = on_the_way(many, few)
    assert (ours.tolist(), theirs.tolist()) == ([3.0] * 3, [3.0] * 2)
    assert (steps_of(many), seeds_of(many)) == (10_000, 3) and len(at(many, steps_of(many), 1000)) == 3
    with pytest.raises(UsageError, match="share no steps"):
        finals(one_series([1, 1]), one_series([1, 1]).assign(steps=[100_000, 101_000]))


def test_series_that_share_few_evaluations_are_compared_by_the_areas_under_their_own_curves():
    """Every 70 and every 100 steps only 700 is shared; every 50 and every 100 all of the latter are."""

    def curve(every, dip=0):
        """Returns -(step / 100) and one less, but for a dip at step 700; 0 untrained."""
        steps = range(0, 1001, every)
        return one_series(
            *([-step / 100 - more - dip * (step == 700) for step in steps] for more in (0, 1)), every=every
        )

    odd, even = curve(70), curve(100, dip=99)
    ours, theirs = on_the_way(odd, even)
    upto = 980  # the last step that all seeds have; the first that all were evaluated at in training is 100
    assert ours.tolist() == pytest.approx([-(1 + 9.8) / 2, -(1 + 9.8) / 2 - 1])
    assert theirs.tolist() == pytest.approx([value - 99 * 100 / (upto - 100) for value in ours])
    ours, theirs = on_the_way(curve(50), even)
    assert ours.tolist() == [-5.5, -6.5] and theirs.tolist() == pytest.approx([-5.5 - 9.9, -6.5 - 9.9])
    ours, theirs = on_the_way(odd[odd.steps <= 70], even)
    assert not len(ours) and not len(theirs)


def test_columns_hold_the_last_step_of_every_row_and_are_not_too_many():
    assert columns([1000, 5000], [2000, 4000]) == [1000, 2000, 4000]
    many = columns(list(range(1000, 50_000, 1000)), [60_000])
    assert (len(many), many[0], many[-2:]) == (8, 1000, [49_000, 60_000])


def test_empty_cells_of_a_table_have_one_space():
    assert markdown(["", "a"], [["", ""]]) == "| | a |\n| --- | --- |\n| | |"


# ---- tables and texts on invented curves ----


def test_a_task_that_grows_gets_columns_and_tells_its_seeds(tmp_path):
    for task in ("ReacherTurn", "Pusher"):
        write_curve(tmp_path, task, "TD3", [-10, -20])
        write_curve(tmp_path, task, "DynE-TD3", [-5, -6])
    write_curve(tmp_path, "Pusher", "DynE-TD3", [-4, -5, -6, -7, -5.5], last=1_000_000, every=5000)
    lines = report_tables.figure4_tasks(Data(tmp_path)).splitlines()
    assert lines[0].startswith("2 to 5 seeds a row")
    steps = ["5 000", "10 000", "20 000", "50 000", "100 000", "250 000", "500 000", "1 000 000"]
    assert lines[2] == f"| | | {' | '.join([*steps, 'last tenth'])} |"
    assert (
        lines[4]
        == "| ReacherTurn | TD3 (2 seeds) | −15.0 (−10.0 −20.0) | −15.0 (−10.0 −20.0) |"
        + " |" * 6
        + " −15.0 (−10.0 −20.0) |"
    )
    assert lines[-1].startswith("| | DynE-TD3 (5 seeds) | −5.5 ± ") and lines[-1].count("−5.5 ± ") == 9


def test_a_curve_without_evaluations_has_no_row_in_the_summary(tmp_path):
    write_curve(tmp_path, "ReacherVertical", "TD3", [-9, -8], last=0)
    with pytest.raises(UsageError, match="ReacherVertical-v2_TD3.csv: a seed has no evaluation behind that before"):
        report_summary.table(Data(tmp_path))


def test_tables_of_baselines_are_of_the_tasks_that_have_some(tmp_path):
    for method in ("TD3", "DynE-TD3", "SAC"):
        write_curve(tmp_path, "Striker", method, [-100, -200])
    write_curve(tmp_path, "Pusher", "TD3", [-1, -2])
    found = report_tables.baselines(Data(tmp_path))
    assert "| SAC | −150 (−100 −200) | −150 (−100 −200) |" in found and "Pusher" not in found


def test_steps_from_pixels_count_pretraining(tmp_path):
    for method in ("SA-DynE-TD3", "VAE-TD3"):
        write_curve(tmp_path, "ReacherTurn", method, [-100, -200], last=50_000, every=5000)
    text = "command:     python embedding/main_pixels.py --env_name ReacherTurn-v2 --epochs 20 --name short\n"
    (tmp_path / "published" / "ReacherTurn-v2_SA-DynE-TD3.txt").write_text(text)
    found = report_tables.figure5(Data(tmp_path))
    assert "| ReacherTurn | 125 000 | 150 000 | authors' released plot (8 seeds) |" in found
    assert "| SA-DynE-TD3, encoder of 20 epochs | −150 (−100 −200) | −150 (−100 −200) | −145 at 400 000 |" in found
    assert "| VAE-TD3 | " in found


def test_two_curves_are_compared_where_both_were_evaluated():
    often, rarely = one_series([-9, -8, -7, -6, -5, -4, -3, -2, -1]), one_series([-90, -80, -70], every=4000)
    ours, theirs, upto = finals(often, rarely)
    assert (ours.tolist(), theirs.tolist(), upto) == ([-1], [-70], 8000)
    with pytest.raises(UsageError, match="share no steps"):
        finals(often[often.steps % 4000 > 0], rarely)


def test_the_farthest_distances_are_from_each_episodes_start(tmp_path):
    (tmp_path / "figures").mkdir()
    rows = ["raw,0,0,1,1", "raw,0,1,1,2", "DynE,0,0,0,0", "DynE,0,1,3,4", "DynE,1,0,0,0", "DynE,1,1,0,1"]
    rows += ["held,0,0,0,0", "held,0,1,0,2"]
    write_figure10(tmp_path, rows)
    found, env = report_embeddings.farthest(Data(tmp_path))
    assert {kind: one.tolist() for kind, one in found.items()} == {"DynE": [5, 1], "raw": [1], "held": [2]}
    assert env == "PointMass"
    said, of = random_claims.figure10(Data(tmp_path))
    assert said.startswith(
        "points the same way, not settled: the farthest of an episode is 3.0 on average, with raw actions 1.0, P(farther) 0.75;"
    )
    assert of == "1 episode each"  # at least


def write_figure10(root, rows, env="PointMass-v0"):
    lines = ["env,actions,episode,step,x,y", *(f"{env},{row}" for row in rows)]
    (root / "figures" / "figure10.csv").write_text("\n".join(lines) + "\n")


def test_one_episode_has_no_standard_deviation(tmp_path):
    (tmp_path / "figures").mkdir()
    write_figure10(tmp_path, [f"{kind},0,{step},0,{step}" for kind in ("raw", "DynE", "held") for step in (0, 1)])
    told = report_embeddings.figure10(Data(tmp_path))
    assert told.startswith("The figure shows 1 episode of each kind on PointMass. An episode's farthest distance")
    assert "is 1.0 on average" in told and "deviation" not in told and "nan" not in told


@pytest.mark.parametrize("name", SHOWN_ON)
def test_a_figures_table_of_another_environment_is_not_told_as_the_pages_own(tmp_path, name):
    (tmp_path / "figures").mkdir()
    own = pd.read_csv(REPOSITORY / "results" / "figures" / f"{name}.csv")
    own.assign(env="Other-v0").to_csv(tmp_path / "figures" / f"{name}.csv", index=False)
    with pytest.raises(UsageError, match=rf"{name}.csv: it is of Other-v0, {name} is told of {SHOWN_ON[name]}"):
        report.BLOCKS[name.replace("figure", "figure ")](Data(tmp_path))


def test_shares_beyond_a_distance_are_of_whole_bins(tmp_path):
    (tmp_path / "figures").mkdir()
    edges = [*zip(range(0, 40, 10), range(10, 50, 10), strict=True)]
    even = [f"ReacherVertical-v2,4,spread evenly,4 steps,{low},{high},2000,0.25" for low, high in edges]
    rows = even + [
        f"ReacherVertical-v2,4,{actions},{horizon},{low},{high},20,{share}"
        for horizon in ("4 steps", "episode")
        for actions, shares in (
            ("DynE", (0.4, 0.3, 0.2, 0.1)),
            ("raw", (0.9, 0.1, 0, 0)),
            ("held", (0.25, 0.25, 0.25, 0.25)),
        )
        for (low, high), share in zip(edges, shares, strict=True)
    ]
    header = "env,k,actions,horizon,low,high,count,share"
    (tmp_path / "figures" / "figure3.csv").write_text("\n".join([header, *rows]) + "\n")
    found = report_embeddings.figure3(Data(tmp_path))
    assert (
        "30 % are more than 20.0 away, with raw actions 0 % and with held ones 50 %; 10 % are more than 30.0" in found
    )
    whole = [row for row in rows if "episode" not in row or ",0,10," in row]
    (tmp_path / "figures" / "figure3.csv").write_text("\n".join([header, *whole]) + "\n")
    assert "Of all states" not in report_embeddings.figure3(Data(tmp_path))  # none is as far
    held = report_embeddings.evenness(Data(tmp_path), "held")
    assert (held.plans, held.gap, held.even) == (20, 0.0, True)
    assert report_embeddings.evenness(Data(tmp_path), "raw").gap == pytest.approx(0.65)
    assert report_embeddings.evenness(Data(tmp_path), "DynE").gap == pytest.approx(0.2)
