"""Runs with invented returns, as training leaves them, and scripts called on them."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from analysis import curves
from common.cli import run

ENV = "ReacherVertical-v2"
FLAGS = {"env_name": ENV, "policy_name": "TD3", "eval_freq": 1000, "eval_episodes": 10, "max_timesteps": 10_000}


def write_run(results, seeds, method="TD3", name="default", last=10_000, env=ENV, **flags):
    """A run's folder as training leaves it, with returns that depend on method, seed and step only."""
    folder = results / "rl" / env / method / name
    for seed in seeds:
        noise = iter(np.random.default_rng([seed, len(method)]).normal(-9, 2, size=100))
        rows = [f"{step // 100},{step},{next(noise):.17g}\n" for step in range(0, last + 1, 1000)]
        (folder / f"seed_{seed}").mkdir(parents=True)
        (folder / f"seed_{seed}" / "eval.csv").write_text("episodes,steps,mean_return\n" + "".join(rows))
        opt = {**FLAGS, "env_name": env, "policy_name": method, "name": name, "seed": seed, "num_seeds": 1, **flags}
        (folder / f"seed_{seed}" / "opt.json").write_text(json.dumps(opt))
    return folder


def frame(returns, steps, method="TD3", name="default", env=ENV):
    """Curves of one series: `returns` (seeds, evaluations) at `steps` (evaluations,)."""
    evaluations = [(seed, *pair) for seed, of in enumerate(returns) for pair in zip(steps, of, strict=True)]
    return pd.DataFrame([(env, method, name, *row) for row in evaluations], columns=curves.CURVES)


HEADER = "env,method,seed,steps,mean_return\n"


def write_curve(results, task, method, returns, last=10_000, every=1000):
    """A published curve: seed n of `returns` returns its number at every step, and one hundred less at step 0."""
    folder = results / "published"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{task}-v2,{method},{seed},{step},{value - 100 * (step == 0)}\n"
        for seed, value in enumerate(returns)
        for step in range(0, last + 1, every)
    ]
    (folder / f"{task}-v2_{method}.csv").write_text(HEADER + "".join(rows))


def write_variant(results, task, method, group, name, returns, last=10_000):
    """An ablation's curve, as `write_curve` writes published ones."""
    write_curve(results / "other", task, method, returns, last)
    (results / "ablations").mkdir(parents=True, exist_ok=True)
    curve = pd.read_csv(results / "other" / "published" / f"{task}-v2_{method}.csv").assign(variant=name)
    curve[curves.ABLATION].to_csv(results / "ablations" / f"{task}-v2_{group}_{name}.csv", index=False)


def one_series(*seeds, every=1000):
    """Curves of one series; each seed is a list of returns, at every `every` steps from 0 on."""
    rows = [(seed, every * place, value) for seed, of in enumerate(seeds) for place, value in enumerate(of)]
    return pd.DataFrame(rows, columns=["seed", "steps", "mean_return"]).assign(method="TD3")


def call(script, monkeypatch, *args):
    """Runs a script's `main` as the script is run, in this process."""
    monkeypatch.setattr(sys, "argv", ["script.py", *map(str, args)])
    run(script.main)


def refused(script, monkeypatch, capsys, *args):
    """The one line that a script refuses its arguments with, and exit code 2."""
    with pytest.raises(SystemExit) as exit:
        call(script, monkeypatch, *args)
    assert exit.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line
