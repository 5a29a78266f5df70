"""Where the time of a training run goes: evaluation, environments, replay, gradient updates, checkpoints.

    python benchmarks/evaluation_share.py

runs an experiment at default settings (an evaluation of 10 episodes every 1000 steps) and times its parts. A run
evaluates and saves at its very start and saves again at its very end, so these shares are a little larger here than
in a long run.
"""

from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

from measure import Report, Stopwatch, add_report_flags, now, temporary_folder
from untrained import make_experiment

from common.cli import Parser, add_env_flag, positive_int, run
from common.devices import choose_device

EVALUATION, REST = "evaluation", "the rest"


def parse():
    """Returns the flags of this script."""
    parser = Parser(__doc__)
    add_env_flag(parser)
    parser.add_argument("--policy_name", choices=["TD3", "DynE-TD3"], default="TD3", help="method to train")
    parser.add_argument("--num_seeds", type=positive_int, nargs="+", default=[1, 8], help="seeds in one process")
    parser.add_argument("--steps", type=positive_int, default=5000, help="steps a seed")
    parser.add_argument("--batch_size", type=positive_int, default=100, help="batch size")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:<n>, or auto: cuda where there is one")
    parser.add_argument("--threads", type=positive_int, default=1, help="torch threads of this process")
    add_report_flags(parser)
    return parser.parse_args()


def shares(num_seeds, args, device):
    """Runs an experiment; returns its seconds and {part: share of them}."""
    with temporary_folder(args.results_dir) as folder:
        flags = {name: getattr(args, name) for name in ("batch_size", "device", "threads")}
        experiment = make_experiment(
            args.policy_name, args.env_name, num_seeds, folder, max_timesteps=args.steps, **flags
        )
        stopwatch = Stopwatch(device)
        stopwatch.wrap(experiment, "evaluate", EVALUATION)
        stopwatch.wrap(experiment.collector, "collect", "acting and environments")
        stopwatch.wrap(experiment, "update", "sampling from replay, noise")
        stopwatch.wrap(experiment.agent, "update", "gradient updates")
        stopwatch.wrap(experiment, "save", "checkpoints")
        start = now(device)
        experiment.run()
        total = now(device) - start
    parts = {label: seconds / total for label, seconds in stopwatch.seconds.items()}
    return total, parts | {REST: 1 - sum(parts.values())}


def main():
    args = parse()
    device = choose_device(args.device, args.threads)
    report = Report("Share of evaluation", args.out, device)
    measured = {n: shares(n, args, device) for n in sorted(set(args.num_seeds))}
    labels = [label for label in next(iter(measured.values()))[1] if label != REST]
    report.table(
        f"{args.policy_name}, {args.steps} steps, --threads {args.threads}, on {device}: time of the run, and percent of it",
        ["--num_seeds", "seconds", *labels, REST],
        [[n, total, *[100 * parts[label] for label in (*labels, REST)]] for n, (total, parts) in measured.items()],
    )
    for n, (_, parts) in measured.items():
        report.claim(f"percent of the time spent on {EVALUATION}, --num_seeds {n}", 100 * parts[EVALUATION], most=10)
    report.write()


if __name__ == "__main__":
    run(main)
