"""Charts of curves: panels, colours, axes, what the authors' plots tell, and what a caption says."""

import pandas as pd
import pytest
from curve_runs import ENV, frame, write_run

from analysis import charts, curves, drawing


def spec_of(*frames):
    return charts.figure(pd.concat(frames)).to_dict()


def test_figure_has_a_panel_an_environment_and_one_colour_a_method(tmp_path):
    returns = [[-20.0, -9.0], [-18.0, -8.0]]
    frames = [frame(returns, [0, 1000], method, env=env) for env in (ENV, "Pusher-v2") for method in ("TD3", "SAC")]
    chart = charts.figure(pd.concat([*frames, frame(returns, [0, 1000], "TD3", "other")]))
    assert [panel.title.text for panel in chart.concat] == [ENV, "Pusher-v2"]
    for panel in chart.to_dict()["concat"]:
        colors = panel["layer"][0]["encoding"]["color"]["scale"]
        drawn = dict(zip(colors["domain"], colors["range"], strict=True))
        assert drawn["TD3, default"] == charts.COLORS["TD3"] and drawn["SAC"] == charts.COLORS["SAC"]
        assert drawn["TD3, other"] in charts.NAME_COLORS
    drawing.save(chart, tmp_path / "panels.svg")
    svg = (tmp_path / "panels.svg").read_text()
    assert svg.startswith("<svg") and svg.count(">environment steps<") == 2


def test_a_chart_says_how_many_seeds_there_are_and_what_its_areas_are():
    few, many = [[-20.0, -9.0], [-18.0, -8.0]], [[-20.0, -9.0 + seed] for seed in range(5)]
    chart = charts.figure(pd.concat([frame(few, [0, 1000], "SAC"), frame(many, [0, 1000])])).to_dict()
    (panel,) = chart["concat"]
    assert panel["title"]["subtitle"] == ["5 seeds: TD3", "2 seeds: SAC"]
    told = " ".join(chart["title"]["text"])
    assert "95 % intervals" in told and "fewer than 5 seeds" in told
    interval, span = panel["layer"][:2]
    assert [layer["transform"][0]["filter"] for layer in (interval, span)] == ["datum.seeds >= 5", "datum.seeds < 5"]
    assert "strokeDash" in span["mark"] and "strokeDash" not in interval["mark"]
    (panel,) = charts.figure(frame(few, [0, 1000])).to_dict()["concat"]
    assert panel["title"]["subtitle"] == ["2 seeds"] and "strokeDash" in panel["layer"][0]["mark"]


def test_a_chart_tells_of_seeds_that_end_earlier():
    """Of the points that are drawn: the caption tells what each of their areas is, the title how many seeds remain."""
    steps = [0, 100, 200]
    seven = frame([[-20.0, -9.0 + seed, -8.0 + seed] for seed in range(7)], steps)
    fewer = seven[(seven.steps <= 100) | (seven.seed < 2)]
    for until, subtitle, dotted in ((None, "7 seeds, 2 at the end", True), (100, "7 seeds", False)):
        chart = charts.figure(fewer, bin_width=100, until=until).to_dict()
        assert chart["concat"][0]["title"]["subtitle"] == [subtitle]
        told = " ".join(chart["title"]["text"])
        assert "95 % intervals" in told and ("fewer than 5 seeds" in told) == dotted
    (panel,) = spec_of(fewer, frame([[-20.0, -9.0, -8.0]] * 7, steps, "SAC"))["concat"]
    assert panel["title"]["subtitle"] == ["7 seeds: SAC", "7 seeds, 2 at the end: TD3"]


def test_a_series_of_one_evaluation_is_seen_and_its_axis_has_whole_steps():
    begun, long = frame([[-20.0]] * 2, [0]), frame([[-20.0, -9.0]], [0, 1000], "SAC")
    for series, axis in (([begun], 1), ([begun, long], 10), ([long], 10)):
        spec = spec_of(*series)
        layers = spec["concat"][0]["layer"]
        marks = [layer for layer in layers if layer["mark"]["type"] == "point" and "tooltip" not in layer["encoding"]]
        rows = [row for layer in marks for row in spec["datasets"][layer["data"]["name"]]]
        assert [(row["series"], row["steps"]) for row in rows] == [("TD3", 0)] * (begun is series[0])
        assert layers[0]["encoding"]["x"]["axis"]["tickCount"] == axis


def test_panels_may_have_legends_of_their_own():
    frames = [
        frame([[-20.0, -9.0]], [0, 1000], name=name, env=env) for name, env in (("a", "A"), ("b", "A"), ("c", "B"))
    ]
    chart = charts.figure(pd.concat(frames), shared=False).to_dict()
    scales = [panel["layer"][0]["encoding"]["color"]["scale"] for panel in chart["concat"]]
    assert [scale["domain"] for scale in scales] == [["TD3, a", "TD3, b"], ["TD3"]]
    assert scales[0]["range"] == [charts.COLORS["TD3"], charts.NAME_COLORS[0]]
    assert chart["resolve"]["scale"]["color"] == "independent"


def test_axis_of_returns_is_the_authors_where_the_curves_lie_in_it():
    def domain(env, *returns):
        layer = spec_of(frame([returns], [0, 5000, 10_000], env=env))["concat"][0]["layer"][0]
        return layer["encoding"]["y"]["scale"]["domain"]

    assert domain(ENV, -60.0, -19.0, -9.0) == [-20, -5]
    assert domain(ENV, -60.0, -22.0, -9.0) == pytest.approx([-22.85, -4.15])
    assert domain(ENV, -60.0, -40.0, -30.0) == pytest.approx([-41.75, -3.25])
    assert domain(ENV, -60.0, -12.0, -9.0) == pytest.approx([-12.15, -8.85])  # less than half of the authors' range
    assert domain("Elsewhere-v0", -999.0, 10.0, 30.0) == pytest.approx([9, 31])
    assert domain("Elsewhere-v0", -999.0, 10.0, 10.0) == [9, 11]
    assert domain("Elsewhere-v0", 50.0, 10.0, 30.0) == pytest.approx([8, 52])  # what was lost since step 0 is seen


def test_authors_numbers_stand_where_the_curves_reach():
    long, short = ([[-20.0, -9.0]], [0, 50_000]), ([[-20.0, -9.0]], [0, 20_000])
    assert len(spec_of(frame(*short, method="DynE-TD3"))["concat"][0]["layer"]) == 2
    spec = spec_of(frame(*long, method="DynE-TD3"), frame(*long, method="SAC"))
    diamonds = spec["concat"][0]["layer"][2]
    (row,) = spec["datasets"][diamonds["data"]["name"]]
    assert row == {"series": "DynE-TD3", "steps": 50_000, "mean": -8, "source": "authors' plot", "place": 50_000}


def test_authors_diamonds_that_would_hide_each_other_stand_side_by_side():
    both = [
        frame([[-20.0, -9.0]], [100_000, 400_000], method=name) for name in ("SA-DynE-TD3", "S-DynE-TD3", "VAE-TD3")
    ]
    spec = spec_of(*both)
    diamonds = spec["datasets"][spec["concat"][0]["layer"][2]["data"]["name"]]
    places = {row["series"]: row["place"] for row in diamonds}
    assert places["SA-DynE-TD3"] == places["VAE-TD3"] == 400_000 and places["S-DynE-TD3"] < 395_000


def test_a_framed_axis_is_the_authors_and_what_is_below_it_is_told():
    curves = pd.concat([frame([[-60.0, -9.0]], [0, 10_000]), frame([[-60.0, -30.0]], [0, 10_000], method="PPO")])
    chart = charts.figure(curves, framed=[ENV]).to_dict()
    assert chart["concat"][0]["layer"][0]["encoding"]["y"]["scale"]["domain"] == [-20, -5]
    told = " ".join(chart["title"]["text"])
    assert f"Below the frame nearly everywhere: PPO on {ENV}." in told and "are cut off" in told


def test_steps_of_pretraining_are_counted_where_there_was_any(tmp_path):
    for method, first in (("SA-DynE-TD3", 100_000), ("VAE-TD3", 100_000), ("Pixel-TD3", 0), ("DynE-TD3", 0)):
        run = write_run(tmp_path, [0], method)
        drawn = curves.load_runs(tmp_path)
        assert drawn[drawn.method == method].steps.tolist() == list(range(first, first + 10_001, 1000))
        assert curves.load_run(run).steps.tolist() == list(range(0, 10_001, 1000))
    chart = charts.figure(drawn, until=400_000).to_dict()
    (panel,) = chart["concat"]
    assert panel["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 1.02 * 400_000]
    diamonds = [values for values in chart["datasets"].values() if "source" in values[0]]
    told = {(row["series"], row["steps"]): row["mean"] for row in diamonds[0]}
    assert told == {
        ("DynE-TD3", 50_000): -8,
        ("SA-DynE-TD3", 400_000): -9.0,
        ("VAE-TD3", 400_000): -23.5,
        ("Pixel-TD3", 400_000): -26,
    }
