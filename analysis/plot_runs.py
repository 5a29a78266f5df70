"""Prints and draws the learning curves of all runs in a results folder, finished or still running.

    python analysis/plot_runs.py results/demo --out results/demo/curves.png
    python analysis/plot_runs.py results/rl/ReacherVertical-v2
    python analysis/plot_runs.py results/rl/ReacherVertical-v2/TD3/default

reads <results>/rl/<env>/<method>/<name>/seed_<n>/eval.csv, of all runs, of an environment, or of one run; those of another
folder of results, as results/demo, are drawn by its name. Returns are means
over seeds in bins of steps, intervals of 5 seeds or more are bootstrapped over seeds (95 %); analysis/curves.py tells how.
"""

import contextlib
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import pandas as pd

from analysis.charts import figure
from analysis.comparisons import better, finals, on_the_way, seeds_of, standing
from analysis.curves import FEW, begun, bin_width_of, first_steps, load_runs, series_of, table
from analysis.drawing import save
from analysis.estimates import final_returns
from analysis.wording import count, with_interval
from common.cli import Parser, check_out, non_negative_int, positive_int, run
from common.errors import UsageError
from rl.methods import METHODS, PRETRAINING

SETTLED = {"ahead of": "ahead", "level with": "not settled", "behind": "behind"}  # what `standing` says
WITH_START_TIMESTEPS = ("main_td3.py", "main_dyne.py", "main_pixel_td3.py", "main_vae_td3.py")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("results", help="folder of results, of an environment in it, or of a run")
    parser.add_argument(
        "--out", default=None, help="figure to draw, .png or .svg; without it: curves.png in that folder"
    )
    parser.add_argument(
        "--steps",
        type=non_negative_int,
        nargs="+",
        default=None,
        help="columns of the table; without it: quarters of a run",
    )
    parser.add_argument(
        "--bin_width",
        type=positive_int,
        default=None,
        help="steps averaged into a point; without it: 1/20 of a run or more",
    )
    args = parser.parse_args()
    curves = load_runs(args.results)
    out = check_out(args.out or Path(args.results) / "curves.png", ".png", ".svg")
    for env, of_env in curves.groupby("env"):
        width = args.bin_width or bin_width_of(of_env.steps.max())
        print(f"{env}: mean return of the evaluations in the {count(width)} step{'s' * (width > 1)} up to each column,")
        print(f"± half of the 95 % interval over seeds; fewer than {FEW} seeds one by one in brackets")
        print(f"{table(of_env, args.steps, width).to_string()}\n")
        if shifted := [
            method for method in dict.fromkeys(of_env.method) if method in METHODS and METHODS[method].pretrained
        ]:
            named = " and ".join(shifted)
            print(
                f"{named}: the {count(PRETRAINING)} steps that an embedding of images plays by default are counted too\n"
            )
        for line in compared(of_env):
            print(f"{line}\n")
        if lost := below_their_start(of_env):
            print(f"{' and '.join(lost)}: worse at the end than before any training. If episodes end early, random")
            print("steps to begin with may help: --start_timesteps 1000\n")
    save(figure(curves, args.bin_width), out)
    print(out)


def compared(of_env: pd.DataFrame, baseline: str = "TD3") -> list[str]:
    """How each series of one environment does against each of a baseline's, a line for each two with `FEW` seeds or more.

    Seeds that have only just begun (`analysis.curves.begun`) do not count; of the others the steps that all of them have.
    """
    enough, of_env = {}, begun(of_env)
    for (method, name), label in series_of(of_env).items():
        one = of_env[(of_env.method == method) & (of_env.name == name)]
        if seeds_of(one) >= FEW:
            enough[method, label] = one
    lines = []
    for (method, label), one in enough.items():
        for (other_method, other_label), other in enough.items():
            if method == baseline or other_method != baseline:
                continue
            try:
                *ends, upto = finals(one, other)
            except UsageError as error:
                lines.append(f"{label} against {other_label}: not compared: {error}")
                continue
            pairs = {f"in the last tenth of {count(upto)} steps": ends, "over all of them": on_the_way(one, other)}
            odds = {where: better(*pair) for where, pair in pairs.items() if len(pair[0])}
            told = (f"{with_interval(found)} {where} ({SETTLED[standing(found)]})" for where, found in odds.items())
            lines.append(
                f"{label} against {other_label}: a run returns more with probability {', '.join(told)};\n"
                "0.50 is even, brackets are 95 % intervals over seeds"
            )
    return lines


def below_their_start(of_env: pd.DataFrame) -> list[str]:
    """The series of one environment that end, over the last tenth of the steps that all their seeds have, below the lowest of
    their untrained policies; of the methods that learn and have --start_timesteps, without seeds that have only just begun."""
    found, of_env = [], begun(of_env)
    for (method, name), label in series_of(of_env).items():
        one = of_env[(of_env.method == method) & (of_env.name == name)]
        known = METHODS.get(method)
        has_flag = known and known.sees != "nothing" and known.script in WITH_START_TIMESTEPS
        with contextlib.suppress(UsageError):  # seeds that were evaluated at other steps tell nothing together
            if has_flag and final_returns(one).max() < one[one.steps == first_steps(one)].mean_return.min():
                found.append(label)
    return found


if __name__ == "__main__":
    run(main)
