"""How fast TD3 and DynE-TD3 learn, against stable-baselines3's TD3 and against their own matrix products.

    python benchmarks/updates.py

The matrix products are those of the fastest library for each (benchmarks/matrix_products.py).

Equal on all sides: batch, networks 400-300 with twin critics, float32, Adam, an actor update every second update,
the environment, and so many rows in the replay. An update includes drawing its batch and its noise. A step is a step
of the environment and an update: stable-baselines3 alternates between single ones, its default; ours between blocks of
100. Critics see the action repeated here (15 inputs on ReacherVertical, DynE-TD3's 14, stable-baselines3's 13).
"""

from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import gymnasium
import numpy as np
from matrix_products import TD3Floor
from measure import Report, add_report_flags, alternate, ratio, temporary_folder
from stable_baselines3 import TD3 as PeerTD3
from stable_baselines3.common.noise import NormalActionNoise
from untrained import make_experiment

from common.cli import Parser, add_env_flag, positive_int, run
from common.devices import choose_device
from common.environments import make_env

OURS, DYNE, PEER, FLOOR = "TD3", "DynE-TD3", "stable-baselines3 TD3", "matrix products alone"


def parse():
    """Returns the flags of this script."""
    parser = Parser(__doc__)
    add_env_flag(parser)
    parser.add_argument("--num_seeds", type=positive_int, nargs="+", default=[1, 2, 4, 8], help="seeds in one process")
    parser.add_argument("--batch_size", type=positive_int, default=100, help="batch size")
    parser.add_argument("--rows", type=positive_int, default=10_000, help="rows of replay beforehand, a seed")
    parser.add_argument("--updates", type=positive_int, default=100, help="updates, or steps, a round")
    parser.add_argument("--rounds", type=positive_int, default=15, help="rounds that medians are taken over")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:<n>, or auto: cuda where there is one")
    parser.add_argument("--threads", type=positive_int, default=1, help="torch threads of this process")
    add_report_flags(parser)
    return parser.parse_args()


def ours(policy_name, num_seeds, args, folder):
    """An experiment whose replay holds `--rows` rows of random actions a seed."""
    flags = {name: getattr(args, name) for name in ("batch_size", "device", "threads")}
    flags |= {"update_every": args.updates, "start_timesteps": args.rows, "max_timesteps": args.rows}
    experiment = make_experiment(policy_name, args.env_name, num_seeds, folder, **flags)
    experiment.start()
    experiment.collector.collect(experiment.agent.act, args.rows)
    return experiment


def peer(args, device):
    """stable-baselines3's TD3, whose replay holds `--rows` rows of random actions."""
    env = make_env(args.env_name)
    space = gymnasium.spaces.Box(-np.inf, np.inf, env.observation_space.shape, np.float32)
    env = gymnasium.wrappers.TransformObservation(env, lambda observation: observation.astype(np.float32), space)
    noise = NormalActionNoise(np.zeros(env.action_space.shape), np.full(env.action_space.shape, 0.1))
    model = PeerTD3(
        "MlpPolicy",
        env,
        policy_kwargs={"net_arch": [400, 300]},
        batch_size=args.batch_size,
        learning_starts=args.rows,
        train_freq=1,
        gradient_steps=1,
        policy_delay=2,
        action_noise=noise,
        device=device,
    )
    return model.learn(args.rows, log_interval=None)


def floor(agents, batch, device):
    """The matrix products of the updates of one seed, or on other devices than a CPU of all of them at once."""
    agent = agents.agents[0]
    sizes = agent.state_shape[0], agent.actions.dim, agent.critics[0].widths[0]
    return TD3Floor(sizes, None if device.type == "cpu" else agent.num_seeds, batch, agent.policy_freq, device)


def key(name, num_seeds):
    """The name of a contestant of several numbers of seeds."""
    return f"{name} --num_seeds {num_seeds}"


def measure_updates(td3, dyne, model, floors, args, device):
    """Updates of one seed a second, by round: {contestant: (rounds,)}. TD3 and the floors are {num_seeds: it}.

    On a CPU seeds are updated one after the other, so that the floor of one is that of all.
    """
    contestants = {}
    for n, experiment in td3.items():
        contestants[key(OURS, n)] = (n * args.updates, lambda e=experiment: e.update(args.updates))
        if n in floors:
            contestants[key(FLOOR, n)] = (n * args.updates, lambda f=floors[n]: f.run(args.updates))
        if n == 1:
            contestants[DYNE] = (args.updates, lambda: dyne.update(args.updates))
            contestants[PEER] = (args.updates, lambda: model.train(args.updates, args.batch_size))
    return alternate(contestants, args.rounds, device)


def measure_steps(td3, dyne, model, args, device):
    """Whole training steps of one seed a second, by round: {contestant: (rounds,)}."""
    contestants = {
        OURS: (args.updates, td3.block),
        DYNE: (args.updates, dyne.block),
        PEER: (args.updates, lambda: model.learn(args.updates, log_interval=None, reset_num_timesteps=False)),
    }
    return alternate(contestants, args.rounds, device)


def main():
    args = parse()
    device = choose_device(args.device, args.threads)
    report = Report("Updates", args.out, device)
    counts = sorted({1, *args.num_seeds})
    with temporary_folder(args.results_dir) as folder:
        td3 = {n: ours(OURS, n, args, folder) for n in counts}
        dyne = ours(DYNE, 1, args, folder)
        model = peer(args, device)
        with_floor = [1] if device.type == "cpu" else counts
        floors = {n: floor(td3[n].agent, args.batch_size, device) for n in with_floor}
        updates = measure_updates(td3, dyne, model, floors, args, device)
        steps = measure_steps(td3[1], dyne, model, args, device)

    one, of_floor, of_peer = updates[key(OURS, 1)], updates[key(FLOOR, 1)], updates[PEER]
    report.table(
        f"Updates a second of one seed; --batch_size {args.batch_size} --threads {args.threads}, on {device}; the matrix "
        f"products of one are {floors[1].flops / 1e6:.1f} MFLOP, the fastest by "
        + " and ".join(f"{name} ({count} of them)" for name, count in sorted(floors[1].libraries.items())),
        ["", "updates/s", "of the matrix products", f"x {PEER}"],
        [
            [name, float(np.median(rates)), ratio(rates, of_floor), ratio(rates, of_peer)]
            for name, rates in ((OURS, one), (DYNE, updates[DYNE]), (PEER, of_peer), (FLOOR, of_floor))
        ],
    )
    report.table(
        "Seeds side by side: updates of one seed a second, those of all seeds together",
        ["--num_seeds", "updates/s", "x one seed", "of the matrix products"],
        [
            [n, float(np.median(rates)), ratio(rates, one), ratio(rates, updates.get(key(FLOOR, n), of_floor))]
            for n, rates in ((n, updates[key(OURS, n)]) for n in counts)
        ],
    )
    report.table(
        "Whole training steps a second of one seed: acting, environment, replay, update; no evaluation",
        ["", "steps/s", f"x {PEER}"],
        [[name, float(np.median(rates)), ratio(rates, steps[PEER])] for name, rates in steps.items()],
    )
    most = counts[-1]
    report.claim(f"updates, {OURS} to {PEER}", ratio(one, of_peer), least=2.3)
    report.claim(f"whole steps, {OURS} to {PEER}", ratio(steps[OURS], steps[PEER]), least=2.3)
    report.claim(f"updates, {OURS} to its matrix products", ratio(one, of_floor), least=0.62)
    report.claim(f"updates, {DYNE} to {OURS}", ratio(updates[DYNE], one), least=0.9)
    report.claim(f"updates of one seed, {most} seeds to one", ratio(updates[key(OURS, most)], one), least=0.95)
    report.content["flops_per_update"] = floors[1].flops
    report.content["rates"] = {
        "updates": {name: rates.tolist() for name, rates in updates.items()},
        "steps": {name: rates.tolist() for name, rates in steps.items()},
    }
    report.write()


if __name__ == "__main__":
    run(main)
