"""What a step of the methods from pixels costs, and where its time goes: drawing, encoding, gradient updates.

    python benchmarks/pixel_agents.py

Experiments at default settings (images drawn 256 wide, an update a step), without evaluations and checkpoints; encoders
and decoders have random weights. Methods and numbers of seeds take turns, block by block.
"""

import contextlib
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import numpy as np
from measure import Report, Stopwatch, add_report_flags, now, temporary_folder
from untrained import FROM_PIXELS, make_experiment

from common.cli import Parser, add_env_flag, positive_int, run
from common.devices import choose_device
from envs.rendering import RenderingUnavailable, select_gl_backend

PARTS = ["environments, drawing, stacking", "encoding", "acting, windows", "replay, noise", "gradient updates"]


def parse():
    """Returns the flags of this script."""
    parser = Parser(__doc__)
    add_env_flag(parser)
    parser.add_argument("--num_seeds", type=positive_int, nargs="+", default=[1, 4], help="seeds in one process")
    parser.add_argument("--batch_size", type=positive_int, default=100, help="batch size")
    parser.add_argument("--block", type=positive_int, default=100, help="steps a block")
    parser.add_argument("--rounds", type=positive_int, default=3, help="blocks of each that are timed")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:<n>, or auto: cuda where there is one")
    parser.add_argument("--threads", type=positive_int, default=1, help="torch threads of this process")
    add_report_flags(parser)
    return parser.parse_args()


def watched(experiment, device):
    """A stopwatch on the parts of an experiment's blocks."""
    stopwatch, collector = Stopwatch(device), experiment.collector
    for env in experiment.setup.envs:
        stopwatch.wrap(env, "step", PARTS[0])
        stopwatch.wrap(env, "reset", PARTS[0])
    stopwatch.wrap(experiment.setup.states, "encode", PARTS[1])
    stopwatch.wrap(collector, "collect", PARTS[2])
    stopwatch.wrap(experiment, "update", PARTS[3])
    stopwatch.wrap(experiment.agent, "update", PARTS[4])
    return stopwatch


def measure(args, folder, device):
    """{(method, N): (seed-steps a second of each round, {part: share of the time})}."""
    flags = {"batch_size": args.batch_size, "device": args.device, "threads": args.threads}
    flags |= {"update_every": args.block, "max_timesteps": args.block * (args.rounds + 1)}
    cases = [(method, n) for method in FROM_PIXELS for n in sorted(set(args.num_seeds))]
    experiments = {case: make_experiment(*case[:1], args.env_name, case[1], folder, **flags) for case in cases}
    stopwatches, rates = {}, {case: np.zeros(args.rounds) for case in cases}
    for case, experiment in experiments.items():
        experiment.start()
        experiment.block()  # untimed
        stopwatches[case] = watched(experiment, device)
    for turn in range(args.rounds):
        for case, experiment in experiments.items():
            start = now(device)
            experiment.block()
            rates[case][turn] = args.block * case[1] / (now(device) - start)
    for experiment in experiments.values():
        experiment.close()
    times = {case: args.block * case[1] * (1 / rates[case]).sum() for case in cases}
    return {
        case: (rates[case], {part: stopwatches[case].seconds[part] / times[case] for part in PARTS}) for case in cases
    }


def main():
    args = parse()
    device = choose_device(args.device, args.threads)
    report = Report("Steps from pixels", args.out, device)
    try:
        select_gl_backend()
    except RenderingUnavailable as error:
        print(f"nothing is drawn: {error}")
        report.write()
        return
    with temporary_folder(args.results_dir) as folder, contextlib.redirect_stdout(None):
        measured = measure(args, folder, device)
    report.table(
        f"{args.env_name}, --threads {args.threads}, on {device}: seed-steps a second, and percent of the time",
        ["method", "--num_seeds", "seed-steps a second", *PARTS, "the rest"],
        [
            [method, n, float(np.median(rates)), *[100 * p for p in parts.values()], 100 * (1 - sum(parts.values()))]
            for (method, n), (rates, parts) in measured.items()
        ],
    )
    fewest, most = min(args.num_seeds), max(args.num_seeds)
    for method in FROM_PIXELS:
        gain = float(np.median(measured[method, most][0] / measured[method, fewest][0]))
        report.claim(f"{method}: seed-steps/s of {most} seeds against those of {fewest}", gain, least=0.9)
        if method != "Pixel-TD3":
            rate = float(np.median(measured[method, most][0]))
            report.claim(f"{method}: seed-steps/s of {most} seeds", rate, least=120)
    report.write()


if __name__ == "__main__":
    run(main)
