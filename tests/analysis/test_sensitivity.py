"""Returns against the settings of stage one, on small invented curves."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis import report_claims, report_sensitivity, sensitivity
from analysis.report_data import Data
from analysis.report_sensitivity import Spread
from common.errors import UsageError

ENV = "ReacherVertical-v2"


def write(results, folder, name, method, variant, seeds, value, last=5000):
    """A file of curves: seed n returns `value` + n in the last 2500 steps, and far less before."""
    path = results / folder
    path.mkdir(parents=True, exist_ok=True)
    rows = [
        (ENV, method, variant, seed, step, value + seed if step > last - 2500 else -1000.0)
        for seed in seeds
        for step in range(0, last + 1, 500)
    ]
    table = pd.DataFrame(rows, columns=["env", "method", "variant", "seed", "steps", "mean_return"])
    table = table if variant else table.drop(columns="variant")
    table.to_csv(path / f"{ENV}_{name}.csv", index=False)


@pytest.fixture
def results(tmp_path):
    """λ at three values, one of them the default, γ at one besides; seeds 8 and 9. The published curves have others too."""
    write(tmp_path, "published", "DynE-TD3", "DynE-TD3", None, range(8, 16), -30, last=9000)
    write(tmp_path, "published", "DynE-TD3", "DynE-TD3", None, range(8, 16), -30)
    write(tmp_path, "published", "TD3", "TD3", None, range(8, 16), -50)
    write(tmp_path, "ablations", "lambda_1e-5", "DynE-TD3", "1e-5", [8, 9], -20)
    write(tmp_path, "ablations", "lambda_1e-2", "DynE-TD3", "1e-2", [8, 9], -40)
    write(tmp_path, "ablations", "gamma_1e-2", "DynE-TD3", "1e-2", [8, 9], -35)
    return tmp_path


def test_the_default_is_the_published_curve_of_the_same_seeds(results):
    table = sensitivity.returns(results)
    means = table.groupby(["panel", "series", "setting"])["return"].mean()
    ours, td3 = sensitivity.SQUARED, "TD3"
    for panel, wanted in (
        (sensitivity.LAMBDA, {"1e-5": -20, "1e-4": -30, "1e-2": -40}),
        (sensitivity.GAMMA, {"1e-4": -30, "1e-2": -35}),
    ):
        assert means[panel, ours].to_dict() == {name: value + 8.5 for name, value in wanted.items()}
        assert means[panel, td3].to_dict() == {"": -50 + 8.5}
    assert set(table.seed) == {8, 9} and set(table.steps) == {5000}


def test_settings_are_compared_after_as_many_steps(results):
    write(results, "ablations", "lambda_1e-3", "DynE-TD3", "1e-3", [8, 9], -25, last=4000)
    table = sensitivity.returns(results)
    steps = table.groupby("panel").steps.unique().str[0]
    assert steps[sensitivity.LAMBDA] == 4000 and steps[sensitivity.GAMMA] == 5000


def test_the_chart_has_a_panel_a_setting_ordered_by_number(results):
    spec = sensitivity.chart(sensitivity.returns(results)).to_dict()
    assert [panel["title"]["text"] for panel in spec["hconcat"]] == [sensitivity.LAMBDA, sensitivity.GAMMA]
    assert spec["hconcat"][0]["layer"][2]["encoding"]["x"]["sort"] == ["1e-5", "1e-4", "1e-2"]
    assert "2 seeds" in spec["hconcat"][0]["title"]["subtitle"][0]


def test_a_control_without_an_embedding_stands_beside_its_setting(results):
    write(results, "published", "identity-TD3", "identity-TD3", None, range(8, 16), -45)
    for k, value in (("1", -40), ("8", -25)):
        write(results, "ablations", f"k_{k}", "DynE-TD3", k, [8, 9], value)
    table = sensitivity.returns(results)
    control = table[table.series == "identity-TD3"]
    assert set(control.panel) == {sensitivity.LENGTH} and set(control.setting) == {"1"}
    assert control["return"].tolist() == [-37, -36]
    legend = sensitivity.chart(table).to_dict()["hconcat"][-1]["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert legend == [sensitivity.SQUARED, "identity-TD3", "TD3"]
    page, text = report_sensitivity.table(Data(results)), report_sensitivity.text(Data(results))
    assert "| identity-TD3 | −36.5 (−37.0 −36.0) | | |" in page
    assert "For k the means of the 3 settings" in text
    assert "identity-TD3 does what k = 1 does, without an embedding, and returns −36.5" in text
    assert "a run with k = 1 returns more than one of it with probability 1.00" in text
    told, many = report_claims.lengths(Data(results))
    assert told == "ahead of TD3 at all k: k = 8 −16.5, k = 4 −21.5 and k = 1 −31.5; TD3 −41.5"
    assert many == "2 seeds a setting, 5 000 steps"
    write(results, "ablations", "k_8", "DynE-TD3", "8", [8, 9], -60)
    assert report_claims.lengths(Data(results))[0].startswith("ahead of TD3 but for k = 8: k = 4")


def test_nothing_varied_is_told(results):
    for path in (results / "ablations").iterdir():
        path.rename(path.with_name(path.name.replace("lambda", "other").replace("gamma", "more")))
    with pytest.raises(UsageError, match="no setting of stage one was varied"):
        sensitivity.returns(results)


def test_at_a_glance_tells_seeds_steps_and_td3_of_each_weight_its_own(results):
    said, many = report_claims.sensitivity(Data(results))
    assert said.endswith(
        "; DynE-TD3 with λ from 1e-5 to 1e-2 −31.5 to −11.5 and with γ from 1e-4 to 1e-2 −26.5 to −21.5, TD3 −41.5"
    )
    assert many == "2 seeds a setting, 5 000 steps"
    write(results, "ablations", "gamma_1e-2", "DynE-TD3", "1e-2", [9, 10, 11], -35, last=4000)
    said, many = report_claims.sensitivity(Data(results))
    assert said.endswith(", TD3 −41.5 (λ) and −424 (γ)")  # in the steps up to 4 000
    assert many == "2 (λ) and 3 (γ) seeds a setting, 5 000 (λ) and 4 000 (γ) steps"


def test_without_either_weight_nothing_is_said_of_them(results):
    for path in (results / "ablations").iterdir():
        path.unlink()
    write(results, "ablations", "k_8", "DynE-TD3", "8", [8, 9], -25)
    with pytest.raises(UsageError, match="neither λ nor γ was varied"):
        report_claims.sensitivity(Data(results))
    assert report_claims.said_of(report_claims.sensitivity, Data(results)) == ("not run yet", "")
    assert report_claims.said_of(report_claims.lengths, Data(results))[0] != "not run yet"


def test_few_seeds_of_one_weight_settle_nothing(results, monkeypatch):
    monkeypatch.setattr(report_claims, "Spread", lambda table: SimpleNamespace(of_means=0.5, expected=0.5))
    for of_lambda, claim in (([8, 9], "points the same way, not settled: "), (range(8, 13), "reproduces: ")):
        for setting in ("1e-5", "1e-2"):
            write(results, "ablations", f"lambda_{setting}", "DynE-TD3", setting, of_lambda, -30)
            write(results, "ablations", f"gamma_{setting}", "DynE-TD3", setting, range(8, 13), -30)
        assert report_claims.sensitivity(Data(results))[0].startswith(f"{claim}ahead of TD3 at all settings")


def test_the_page_tells_settings_and_their_spread(results):
    table, text = report_sensitivity.table(Data(results)), report_sensitivity.text(Data(results))
    assert "| | 1e-5 | 1e-4 | 1e-2 | TD3 |" in table
    assert "For λ the means of the 3 settings lie between −31.5 and −11.5, TD3's at −41.5" in text
    assert "probability 1.00 to 1.00. The standard deviation of the settings' means is 10.00, where 0.00" in text


def test_the_spread_of_settings_is_told_apart_from_chance():
    rng = np.random.default_rng(0)
    seeds, noise = rng.normal(0, 5, (40, 1)), rng.normal(0, 2, (40, 300))
    nothing = Spread(pd.DataFrame(seeds + noise))  # what seeds share is no difference between settings
    assert nothing.expected == pytest.approx(2 / np.sqrt(40), rel=0.05)
    assert nothing.of_means == pytest.approx(nothing.expected, rel=0.15)
    true = rng.normal(0, 3, 300)
    found = Spread(pd.DataFrame(seeds + noise + true))
    assert found.between == pytest.approx(true.std(ddof=1), rel=0.1)
    assert found.within == pytest.approx(np.hypot(5, 2), rel=0.2)


def test_embeddings_of_other_seeds_are_compared_on_the_same_seeds(results):
    write(results, "ablations", "embedding_seed1", "DynE-TD3", "seed1", [8, 9, 10], -40)
    write(results, "ablations", "embedding_seed2", "DynE-TD3", "seed2", [8, 9], -26)
    text = report_sensitivity.embeddings(Data(results))
    assert "3 embeddings" in text and "each used by 2 seeds" in text
    assert "−21.5, −31.5 and −17.5" in text
