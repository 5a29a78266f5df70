"""Time and memory of embedding/main.py, stage by stage, on a machine that has not played this environment before.

    python benchmarks/embedding_stages.py

runs the script in a process of its own, from the start of Python to its end, with its default flags. Random play is
compared with stepping the environment one by one with the same actions, training with the matrix products it needs.
"""

import contextlib
import multiprocessing
import os
import sys
import time
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import numpy as np
from matrix_products import decoder_floor, embedding_floor
from measure import Report, add_report_flags, alternate, ratio, temporary_folder

import embedding.decoder_training
import embedding.encoder_training
import embedding.main
from common.cli import Parser, add_env_flag, positive_int, run
from common.devices import choose_device
from common.environments import make_env
from common.streams import reset_seed
from embedding.random_play import random_play, state_reader

START, PLAY, WINDOWS, EMBEDDING, DECODER = (
    "Python, imports, environment",
    "random play",
    "windows, whitening, networks",
    "encoder and predictor",
    "decoder",
)
END, ONE_BY_ONE = "Python's end", "environment stepped one by one"
BEGINS = [
    (embedding.main, "load_random_play", PLAY),
    (embedding.main, "windows", WINDOWS),
    (embedding.encoder_training.EncoderTraining, "begin", EMBEDDING),
    (embedding.decoder_training.DecoderTraining, "begin", DECODER),
]
SIZES = ("steps", "traj_len", "epochs", "epoch_size", "decoder_epochs", "decoder_batches", "threads")


def parse():
    """Returns the flags of this script."""
    defaults = embedding.main.parse([])
    parser = Parser(__doc__)
    add_env_flag(parser, defaults.env_name)
    for size in SIZES:
        parser.add_argument(
            f"--{size}", type=positive_int, default=getattr(defaults, size), help="of embedding/main.py"
        )
    parser.add_argument("--peer_steps", type=positive_int, default=10_000, help="steps that are taken one by one")
    parser.add_argument("--products", type=positive_int, default=200, help="batches whose matrix products are timed")
    parser.add_argument("--rounds", type=positive_int, default=5, help="rounds that medians are taken over")
    parser.add_argument("--runs", type=positive_int, default=3, help="runs that medians are taken over")
    add_report_flags(parser)
    return parser.parse_args()


def flags_of(args, folder):
    """The command line of embedding/main.py."""
    flags = {name: getattr(args, name) for name in ("env_name", *SIZES)} | {"device": "cpu", "results_dir": folder}
    return [word for name, value in flags.items() for word in (f"--{name}", str(value))]


# ---- the stages ----


class Stages:
    """The stages of this process, one after the other: seconds, and the most memory that was resident meanwhile."""

    def __init__(self, label, began):
        self.label, self.began, self.done = label, began, []

    def begin(self, label):
        """Ends the stage under way and begins the next."""
        now = time.monotonic()
        self.done.append((self.label, now - self.began, peak_memory()))
        self.label, self.began = label, now
        reset_peak_memory()


def peak_memory():
    """The most bytes resident since the last `reset_peak_memory`; None where the system does not say."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    peaks = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(peaks[0]) * 1024 if peaks else None


def reset_peak_memory():
    """Lets `peak_memory` begin anew, on Linux."""
    clear = Path("/proc/self/clear_refs")
    if clear.is_file():
        clear.write_text("5")


def child(flags, began, connection):
    """Runs embedding/main.py in this process and sends its stages."""
    stages = Stages(START, began)

    def beginning(function, label):
        def staged(*args, **kwargs):
            stages.begin(label)
            return function(*args, **kwargs)

        return staged

    for owner, name, label in BEGINS:
        setattr(owner, name, beginning(getattr(owner, name), label))
    sys.argv = ["embedding/main.py", *flags]
    run(embedding.main.main)
    stages.begin(None)
    connection.send(stages.done)


def run_stages(flags):
    """Runs embedding/main.py with `flags`; returns its stages: (label, seconds, peak memory) of each."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    began = time.monotonic()
    process = context.Process(target=child, args=(flags, began, sender))
    process.start()
    sender.close()
    try:
        done = receiver.recv()
    except EOFError:
        sys.exit("embedding/main.py failed, see above")
    process.join()
    return [*done, (END, time.monotonic() - began - sum(seconds for _, seconds, _ in done), None)]


# ---- the peers ----


def step_one_by_one(env, actions, seed):
    """Random play as an environment's own `step` gives it: states (T, S) after each action."""
    read = state_reader(env)
    states, episode, over = [], 0, True
    for action in actions:
        if over:
            env.reset(seed=reset_seed(seed, "random play: resets", episode))
            episode += 1
        observation, _, terminated, truncated, _ = env.step(action)
        states.append(read(observation))
        over = terminated or truncated
    return np.stack(states)


def peer_rates(args, flags, device):
    """Units a second, by round: steps of random play both ways, batches of matrix products of both trainings."""
    env = make_env(args.env_name)
    played = random_play(env, args.peer_steps, flags.seed)
    state_dim, action_dim = played.states.shape[1], played.actions.shape[1]
    encoder_products = embedding_floor(state_dim, action_dim, flags.traj_len, flags.batch_size, device)
    decoder_products = decoder_floor(action_dim, flags.traj_len, flags.batch_size, device)
    contestants = {
        PLAY: (args.peer_steps, lambda: random_play(env, args.peer_steps, flags.seed)),
        ONE_BY_ONE: (args.peer_steps, lambda: step_one_by_one(env, played.actions, flags.seed)),
        EMBEDDING: (args.products, lambda: [encoder_products.run() for _ in range(args.products)]),
        DECODER: (args.products, lambda: [decoder_products.run() for _ in range(args.products)]),
    }
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # progress bars of random play
        return alternate(contestants, args.rounds)


def main():
    args = parse()
    flags = embedding.main.parse(flags_of(args, args.results_dir))
    device = choose_device("cpu", flags.threads)
    report = Report("Stages of the embedding", args.out)
    runs, size = [], 0
    for _ in range(args.runs):
        with temporary_folder(args.results_dir) as folder:
            runs.append(run_stages(flags_of(args, folder)))
            size = sum(path.stat().st_size for path in Path(folder).glob("*/data/*.npz"))
    labels = [label for label, *_ in runs[0]]
    seconds = {label: float(np.median([stages[i][1] for stages in runs])) for i, label in enumerate(labels)}
    memory = {label: [stages[i][2] for stages in runs if stages[i][2]] for i, label in enumerate(labels)}
    memory = {label: max(peaks) / 2**20 if peaks else None for label, peaks in memory.items()}
    whole = float(np.median([sum(stage[1] for stage in stages) for stages in runs]))
    rates = peer_rates(args, flags, device)

    report.table(
        f"embedding/main.py --env {args.env_name} --traj_len {flags.traj_len} --threads {flags.threads}: medians of time and maxima of memory of "
        f"{args.runs} runs; random play takes {size / 1e6:.1f} MB on the disk",
        ["stage", "seconds", "peak memory, MiB"],
        [
            *[[label, seconds[label], memory[label]] for label in labels],
            ["whole", whole, max(filter(None, memory.values()), default=None)],
        ],
    )
    batches = {
        EMBEDDING: flags.epochs * -(-flags.epoch_size // flags.batch_size),
        DECODER: flags.decoder_epochs * flags.decoder_batches,
    }
    rows = [(f"steps of random play, {args.peer_steps:,} of them", rates[PLAY], ONE_BY_ONE, rates[ONE_BY_ONE])]
    for label, count in batches.items():
        rows.append((f"batches of {label}", count / seconds[label], "matrix products alone", rates[label]))
    report.table(
        "Against peers",
        ["", "a second", "peer", "peer's, a second", "x peer"],
        [
            [name, float(np.median(rate)), peer, float(np.median(peers)), ratio(rate, peers)]
            for name, rate, peer, peers in rows
        ],
    )
    report.claim(f"seconds, {EMBEDDING}", seconds[EMBEDDING], most=8)
    report.claim(f"seconds, {DECODER}", seconds[DECODER], most=60)
    report.claim(f"seconds, {PLAY}", seconds[PLAY], most=6)
    report.write()


if __name__ == "__main__":
    run(main)
