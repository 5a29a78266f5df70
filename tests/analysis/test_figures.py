"""Every figure, from the committed data, and what is said where there is none."""

import shutil

import numpy as np
import pandas as pd
import pytest
from curve_runs import ENV, call, frame, refused
from PIL import Image

from analysis import figure_tables, figures, random_figures
from analysis.curves import ABLATION, PUBLISHED
from analysis.variants import QUESTIONS, question
from common.errors import UsageError
from common.paths import REPOSITORY
from common.theme import WIDTH
from rl.methods import METHODS

STARTS_AND_ENDS = "black their start, dots their ends"
RESULTS = REPOSITORY / "results"


@pytest.fixture
def results(tmp_path):
    """A folder of the committed figures' data, and of curves of whole plans."""
    for name in ("figures", "published", "ablations"):
        shutil.copytree(RESULTS / name, tmp_path / name, ignore=shutil.ignore_patterns("*.p*", "*.svg", "*.mp4"))
    plans = frame([[-20.0, -9.0]], [0, 10_000], "SAC-plans").assign(seed=999)
    plans[PUBLISHED].to_csv(tmp_path / "published" / f"{ENV}_SAC-plans.csv", index=False, header=False, mode="a")
    return tmp_path


def test_all_figures_are_drawn_as_svg_and_png(results, monkeypatch, capsys):
    call(figures, monkeypatch, results)
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in told] == [*figures.FIGURES]
    for line in told:
        name = line.partition(":")[0]
        assert "not drawn" not in line
        assert (results / "figures" / f"{name}.svg").read_text().startswith("<svg")
        picture = Image.open(results / "figures" / f"{name}.png").convert("RGB")
        assert picture.width / 2 < 1.05 * WIDTH  # of a page, in which its letters are as large as drawn
        image = np.asarray(picture).reshape(-1, 3)
        assert (np.ptp(image.astype(int), axis=1) > 60).mean() > 0.001  # what is drawn in colour


def test_what_was_not_run_is_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "figures").mkdir()
    call(figures, monkeypatch, tmp_path)
    told = capsys.readouterr().out.splitlines()
    assert len(told) == len(figures.FIGURES) and all(": not drawn: " in line for line in told)
    assert not list((tmp_path / "figures").iterdir())
    assert "make it first" in refused(figures, monkeypatch, capsys, tmp_path, "--out", tmp_path / "no")


def test_a_table_of_another_figure_is_refused(results):
    (results / "figures" / "figure3.csv").write_text("dx,dy,z1,z2\n1,2,3,4\n")
    with pytest.raises(UsageError, match="not the table of figure3"):
        figures.figure3(results)


def test_distances_reached_are_quantiles_of_the_bins(tmp_path):
    (tmp_path / "figures").mkdir()
    bins = [("E", 4, "raw", "4 steps", i, i + 1, 20, share) for i, share in enumerate((0.1, 0.45, 0.4, 0.05))]
    pd.DataFrame(bins, columns=figure_tables.COLUMNS["figure3"]).to_csv(
        tmp_path / "figures" / "figure3.csv", index=False
    )
    table = random_figures.reached(tmp_path)
    assert table.index.tolist() == ["4 steps, raw actions"] and table.to_numpy().tolist() == [["1.89", "3.00", "3.98"]]


def test_near_points_of_the_plane_have_near_colours():
    x, y = np.random.default_rng(0).uniform(-1, 1, (2, 300))
    colors = random_figures.two_dimensional_colors(x, y)
    values = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in colors])
    places, shades = (np.linalg.norm(v[:, None] - v[None], axis=-1) for v in (np.stack([x, y], axis=1), values))
    assert len(set(colors)) > 290 and shades.max() > 250
    assert shades[places < 0.1].max() < 35 < shades[places > 0.5].min()


def test_plans_are_compared_where_they_were_tried(tmp_path):
    (tmp_path / "published").mkdir()
    curves = [frame([[-20.0, -9.0, -8.0]], [0, 1000, 2000], "DynE-TD3", env=env) for env in (ENV, "Pusher-v2")]
    curves.append(frame([[-20.0, -9.0]], [0, 1000], "SAC-plans"))
    pd.concat(curves)[PUBLISHED].to_csv(tmp_path / "published" / "all.csv", index=False)
    found = figures.plan_curves(tmp_path)
    assert set(found.env) == {ENV} and found.groupby("method").steps.max().to_dict() == {
        "DynE-TD3": 1000,
        "SAC-plans": 1000,
    }


def test_pictures_have_panels_of_what_was_run_only(results):
    tables = [(path, *path.stem.split("_", 1)) for path in (results / "published").glob("*_*.csv")]
    for path, env, method in tables:
        if env != ENV and METHODS[method].from_pixels:
            path.unlink()
    wanted = [ENV]
    for env in (None, "ReacherTurn-v2"):
        if env:
            curve = frame([[-200.0, -150.0]], [0, 10_000], "SA-DynE-TD3", env=env)
            curve[PUBLISHED].to_csv(results / "published" / "more.csv", index=False)
            wanted.append(env)
        for figure in (figures.figure5, figures.figure9):
            assert [panel["title"]["text"] for panel in figure(results).to_dict()["concat"]] == wanted


def test_ablations_are_told_in_words_and_the_default_has_its_methods_colour(results):
    panels = {panel["title"]["text"]: panel for panel in figures.ablations(results).to_dict()["concat"]}
    assert {f"{ENV}: objective of the decoder", "Pusher-v2: range of decoded actions"} <= set(panels)
    assert not any("weight" in title for title in panels)  # they have a figure of their own
    of_source = panels[f"{ENV}: source of the decoder"]["layer"][0]["encoding"]["color"]["scale"]
    drawn = dict(zip(of_source["domain"], of_source["range"], strict=True))
    assert drawn["ReacherVertical itself"] == METHODS["DynE-TD3"].color and drawn["none: TD3"] == METHODS["TD3"].color
    short = {name for asked in QUESTIONS.values() for name in asked.words if name not in asked.words.values()}
    assert {"none", "unit", "no_state", "prior", "default"} < short
    for panel in panels.values():
        assert not short & {*panel["layer"][0]["encoding"]["color"]["scale"]["domain"]}


def test_ablations_that_other_figures_show_keep_no_figure_from_being_drawn(tmp_path, monkeypatch, capsys):
    for name in ("figures", "published", "ablations"):
        (tmp_path / name).mkdir()
    curve = frame([[-20.0, -9.0]], [0, 10_000], "DynE-TD3")
    curve[PUBLISHED].to_csv(tmp_path / "published" / "one.csv", index=False)
    for group in ("controls", "lambda"):
        one = curve.rename(columns={"name": "variant"}).assign(variant="1e-2")[ABLATION]
        one.to_csv(tmp_path / "ablations" / f"{ENV}_{group}_1e-2.csv", index=False)
    call(figures, monkeypatch, tmp_path)
    told = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert told["ablations"] == f"not drawn: {tmp_path}: its ablations are those that other figures show"
    assert [*told] == [*figures.FIGURES] and "not drawn" not in told["figure4"]


def test_an_unknown_ablation_is_called_by_its_names():
    assert question("lambda", {"b", "a"}) == ("lambda", {"a": "a", "b": "b"}, {})
    words = question("source", {"none", "16"}).words
    assert words["16"] == "16" and words["none"] == "none: TD3"


def told(panel):
    """The title of a panel, or the lines below it, and that of its horizontal axis."""
    title, encoding = panel["title"], panel.get("layer", [panel])[0]["encoding"]
    return title if isinstance(title, str) else title["subtitle"], encoding["x"]["title"]


def test_figures_of_random_actions_tell_their_own_environment_and_lengths(results):
    for name, env, titles in (
        ("figure8", "Point-v0", ("Point: what sequences of actions do", "x(t+k) − x(t)")),
        ("figure8", "Ball-v3", ("Ball: what sequences of actions do", "x(t+k) − x(t)")),
        ("figure10", "PointMass-v0", (["10 episodes of 100 steps on PointMass:", STARTS_AND_ENDS], "x (m)")),
        ("figure10", "Ball-v3", (["10 episodes of 57 to 100 steps on Ball:", STARTS_AND_ENDS], "x")),
    ):
        table = pd.read_csv(RESULTS / "figures" / f"{name}.csv").assign(env=env)
        if env == "Ball-v3" and name == "figure10":
            table = table[(table.episode != 4) | (table.step <= 57)]
        table.to_csv(results / "figures" / f"{name}.csv", index=False)
        assert told(figures.FIGURES[name](results).to_dict()["hconcat"][0]) == titles


def test_new_kinds_of_random_actions_have_colours_and_panels(results):
    table = pd.read_csv(results / "figures" / "figure10.csv")
    held = table[table.actions == "raw"].assign(actions="held")
    pd.concat([table, held]).to_csv(results / "figures" / "figure10.csv", index=False)
    titles = [panel["title"]["text"] for panel in figures.figure10(results).to_dict()["hconcat"]]
    assert titles == ["random raw actions", "random DynE actions", "random held actions"]
    found = random_figures.action_colors(["raw", "DynE", "held", "drawn"])
    assert [found[name] for name in ("raw", "DynE", "held")] == [
        METHODS[name].color for name in ("TD3", "DynE-TD3", "held-TD3")
    ]
    assert len(set(found.values())) == 4
