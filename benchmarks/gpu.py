"""What a GPU is worth: that every training script runs on it, that it computes what a CPU does, and how fast.

    python benchmarks/gpu.py

writes benchmarks/RESULTS-gpu.md. Without a GPU `--device cpu` tries everything but CUDA graphs, and writes nothing unless
`--out` is given.
"""

import argparse
import contextlib
import shlex
import subprocess
import sys
import time
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import numpy as np
import torch
from measure import Report, add_report_flags, alternate, ratio, temporary_folder
from pixels import EPOCH, noise, trainings
from updates import ours

from common.cli import Parser, add_env_flag, positive_int, run
from common.devices import choose_device
from common.errors import UsageError
from common.paths import REPOSITORY
from embedding.decoder import ActionDecoder
from embedding.pixel_play import PixelWindows
from rl.action_spaces import DynEActions, RawActions
from rl.agents import Agents
from rl.dyne_td3 import DynETD3
from rl.pixel_td3 import PixelTD3
from rl.replay import Batch
from rl.td3 import TD3

OUT = Path(__file__).resolve().parent / "RESULTS-gpu.md"
CPU = torch.device("cpu")
IMAGES = "--steps 200 --source_img_width 64 --epochs 1 --epoch_size 256"
DECODER = "--decoder_epochs 1 --decoder_batches 20"
RL = "--max_timesteps 300 --start_timesteps 100 --eval_freq 300 --eval_episodes 1 --num_seeds 2"
SCRIPTS = {  # in this order: those below need what those above have trained
    "embedding/main.py": f"--steps 2000 --epochs 1 --epoch_size 512 {DECODER}",
    "embedding/main_pixels.py": f"{IMAGES} {DECODER}",
    "embedding/main_vae.py": IMAGES,
    "rl/main_td3.py": RL,
    "rl/main_dyne.py": RL,
    "rl/main_dyne.py --pixels": f"{RL} --batch_size 16",
    "rl/main_vae_td3.py": f"{RL} --batch_size 16",
    "rl/main_pixel_td3.py": f"{RL} --batch_size 16 --source_img_width 64",
}
LR, BEFORE = 1e-3, 4  # where agents are compared: Adam's learning rate, updates before the one that is
GOALS = {1: 1500, 8: 10_000}  # {seeds: updates of one seed a second, those of all together, captured}


def parse(args=None):
    """Returns the flags of this script."""
    parser = Parser(__doc__)
    add_env_flag(parser)
    parser.add_argument("--scripts", nargs="*", choices=SCRIPTS, default=list(SCRIPTS), help="those that are run")
    parser.add_argument("--num_seeds", type=positive_int, nargs="+", default=[1, 8, 16], help="seeds in one process")
    parser.add_argument("--batch_size", type=positive_int, default=100, help="batch size")
    parser.add_argument("--rows", type=positive_int, default=2000, help="rows of replay beforehand, a seed")
    parser.add_argument("--updates", type=positive_int, default=100, help="updates a block; a round is a block")
    parser.add_argument("--steps", type=positive_int, default=20_000, help="steps of play that images are trained on")
    parser.add_argument("--image_batch_size", type=positive_int, default=128, help="samples a batch of images")
    parser.add_argument("--batches", type=positive_int, default=79, help="batches of images a round")
    parser.add_argument("--rounds", type=positive_int, default=5, help="rounds that medians are taken over")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:<n>, or cpu: all but CUDA graphs")
    parser.add_argument("--threads", type=positive_int, default=1, help="torch threads of this process")
    add_report_flags(parser)
    args = parser.parse_args(args)
    if args.updates % 2:
        raise UsageError(f"--updates {args.updates}: the actor is updated at every second: use an even number")
    return args


# ---- scripts ----


def run_script(name, flags, device, folder):
    """Runs a training script in a process of its own.

    Returns:
        why it failed, or None; and the seconds it took.
    """
    script, *more = name.split()
    command = [sys.executable, REPOSITORY / script, *more, *shlex.split(flags), "--device", str(device)]
    begin = time.monotonic()
    done = subprocess.run([*command, "--results_dir", folder], check=False, capture_output=True, text=True)
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return said[-1] if done.returncode else None, time.monotonic() - begin


def report_scripts(names, device, folder, report):
    """Runs training scripts, in their order, and says which of them worked."""
    rows = []
    for name in (name for name in SCRIPTS if name in names):
        failure, seconds = run_script(name, SCRIPTS[name], device, folder)
        rows.append([name, f"failed: {failure}" if failure else "worked", seconds])
    report.table(f"Training scripts, tiny, --device {device}", ["", "", "seconds"], rows)
    worked = sum(row[1] == "worked" for row in rows)
    report.claim(f"training scripts that work, of {len(rows)}", worked, least=len(rows))


# ---- the same numbers ----


def make_agents(agent_class, seeds, device):
    """One agent of stacked networks for all seeds on `device`, as `Agents` has it on a GPU, and agents on the CPU."""
    low, high = np.full(2, -1, np.float32), np.full(2, 1, np.float32)
    raw, shape = RawActions(low, high), (12, 64, 64) if agent_class is PixelTD3 else (11,)
    actions = DynEActions(ActionDecoder(low, high, 4), low, high) if agent_class is DynETD3 else raw
    flags = {"lr": LR, "tau": 0.005, "policy_noise": 0.2, "noise_clip": 0.5, "policy_freq": 1}
    return agent_class(shape, actions, seeds, device, **flags), Agents(agent_class, shape, actions, seeds, CPU, **flags)


def random_batch(agent, batch, seed):
    """A `Batch` of random rows (N, `batch`, ..) for an agent, on the CPU."""
    draws, shape = torch.Generator().manual_seed(seed), (agent.num_seeds, batch)
    if agent.state_shape == (12, 64, 64):
        images = torch.randint(0, 256, (2, *shape, *agent.state_shape), generator=draws, dtype=torch.uint8)
    else:
        images = torch.randn(2, *shape, *agent.state_shape, generator=draws)
    action, reward = torch.rand(*shape, 2, generator=draws), torch.randn(*shape, 1, generator=draws)
    return Batch(images[0], action, torch.zeros(*shape, 1), reward, torch.full((*shape, 1), 0.99), images[1])


def weights(state):
    """All weights in an agent's `state_dict`, of networks and targets: flat tensors."""
    for name, value in state.items():
        if isinstance(value, dict) and not name.endswith("adam"):
            yield from weights(value)
        elif torch.is_tensor(value):
            yield value.flatten()


def distance(one, other, num_seeds):
    """The largest difference of any weight of two agents of N seeds."""
    pairs = ([torch.cat(list(weights(agent.snapshot(n)))) for agent in (one, other)] for n in range(num_seeds))
    return max(float((a - b).abs().max()) for a, b in pairs)


def difference_of_an_update(agent_class, num_seeds, batch_size, device):
    """The largest difference of any weight after an update of networks and targets on `device`, from the CPU's.

    Some updates on the CPU come before it: Adam's first step is as long for a gradient that is all rounding error as for
    any other. Products are float32 on both: cuDNN would otherwise round the factors of convolutions to 10 bits (TF32).
    """
    there, here = make_agents(agent_class, range(num_seeds), device)
    *before, batch = (random_batch(there, batch_size, seed) for seed in range(BEFORE + 1))
    noise = torch.zeros(1, num_seeds, batch_size, 2)

    def update_here(batch):
        for agent, part in zip(here.agents, here.parts, strict=True):
            agent.update([Batch(*(x[part] for x in batch))], noise[:, part])

    for earlier in before:
        update_here(earlier)
    for n in range(num_seeds):
        there.rewind(n, here.snapshot(n))
    update_here(batch)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        there.update([Batch(*(x.to(device) for x in batch))], noise.to(device))
    return distance(there, here, num_seeds)


def report_differences(args, device, report):
    """Compares an update of each agent with the CPU's."""
    classes, counts = (TD3, DynETD3, PixelTD3), sorted({min(args.num_seeds), min(3, max(args.num_seeds))})
    found = {(c, n): difference_of_an_update(c, n, args.batch_size, device) for c in classes for n in counts}
    rows = [[c.__name__, n, f"{difference:.1e}"] for (c, n), difference in found.items()]
    title = f"An update on {device} and on the CPU from the same weights; Adam's learning rate is {LR}"
    report.table(title, ["agent", "seeds", "largest difference of any weight"], rows)
    for c in classes:
        worst = max(found[c, n] for n in counts)
        report.claim(f"{c.__name__}: largest difference, in percent of a step", 100 * worst / LR, most=5)


# ---- updates a second ----


def graph_of(block, device):
    """What runs `block()` again, as one CUDA graph: whatever it reads and writes has to stay where it is.

    The block is run twice beforehand, on a stream beside the others: kernels are chosen, memory of theirs is taken.
    """
    beside = torch.cuda.Stream(device)
    beside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(beside):
        for _ in range(2):
            block()
    torch.cuda.current_stream(device).wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        block()
    return graph.replay


class CapturedBlock:
    """Stands for `Agents.update`: a block of updates as one graph, whose batches and noise lie at fixed places.

    Args:
        agents: `Agents` on a GPU, which are left as they are.
        replay: `rl.replay.Replay`.
        shape: (U, N, B) of every block; U a multiple of how often the actor is updated.
        make_graph: `graph_of`.
    """

    def __init__(self, agents, replay, shape, make_graph=graph_of):
        (self.agent,) = agents.agents
        agent, device = self.agent, self.agent.device
        if shape[0] % agent.policy_freq or agent.updates % agent.policy_freq:
            raise ValueError("a block has to begin and end with an update of the actor")
        self.rows = torch.zeros(*shape, sum(replay.widths), device=device)
        self.noise = torch.zeros(*shape, agent.actions.dim, device=device)
        self.seeds = torch.arange(shape[1], device=device)[:, None]
        batches = [Batch(*rows.split(replay.widths, dim=-1)) for rows in self.rows]
        before = [agent.snapshot(n) for n in range(agent.num_seeds)]
        self.replay_graph = make_graph(lambda: agent.update(batches, self.noise), device)
        for n, state in enumerate(before):
            agent.rewind(n, state)
        agent.clear_diagnostics()

    def __call__(self, replay, indices, noise):
        """A block of updates; arguments as for `Agents.update`."""
        self.rows.copy_(replay.rows[self.seeds, torch.from_numpy(indices).to(self.rows.device)])
        self.noise.copy_(noise)
        self.replay_graph()
        # What the agent counts in Python the graph does not.
        self.agent.updates += len(indices)
        self.agent._value_updates += len(indices) // self.agent.policy_freq


def report_speed(args, device, folder, report):
    """Updates a second of TD3 as they are and captured, and whether both learn the same."""
    counts, captures = sorted(set(args.num_seeds)), device.type == "cuda"
    plain = {n: ours("TD3", n, args, folder / "plain") for n in counts}
    captured = {n: ours("TD3", n, args, folder / "captured") for n in counts} if captures else {}
    apart = {}
    for n, experiment in captured.items():
        agents = experiment.agent
        agents.update = CapturedBlock(agents, experiment.replay, (args.updates, n, args.batch_size))
        for either in (plain[n], experiment):
            either.update(args.updates)
        apart[n] = distance(plain[n].agent, agents, n)
    contestants = {
        (kind, n): (n * args.updates, lambda e=experiment: e.update(args.updates))
        for kind, made in (("as they are", plain), ("captured", captured))
        for n, experiment in made.items()
    }
    rates = alternate(contestants, args.rounds, device)
    report.table(
        f"TD3's updates a second, those of all seeds together; --batch_size {args.batch_size}, blocks of {args.updates}",
        ["", "seeds", "updates/s", "x as they are", "differences after a block"],
        [
            [
                kind,
                n,
                float(np.median(rate)),
                ratio(rate, rates["as they are", n]),
                f"{apart[n]:.1e}" if kind == "captured" else None,
            ]
            for (kind, n), rate in rates.items()
        ],
    )
    for n in captured:
        report.claim(f"{n} seeds: difference of any weight after a block, captured", apart[n], most=LR)
        if n in GOALS:
            rate = float(np.median(rates["captured", n]))
            report.claim(f"{n} seeds: updates of one seed a second, captured", rate, least=GOALS[n])


# ---- images ----


def report_images(args, device, folder, report):
    """Seconds an epoch of the networks of images."""
    sizes = {"env_name": args.env_name, "steps": args.steps, "batches": args.batches}
    sizes = argparse.Namespace(**sizes, batch_size=args.image_batch_size)
    play, samples = noise(sizes), args.batches * args.image_batch_size
    made = trainings(sizes, play, PixelWindows(play, 4), folder, device)
    rates = alternate({name: (samples, training.run_epoch) for name, training in made.items()}, args.rounds, device)
    report.table(
        f"Training on images, batches of {args.image_batch_size}",
        ["", "", "samples a second", f"s an epoch of {EPOCH:,}"],
        [[*name, float(np.median(rate)), EPOCH / float(np.median(rate))] for name, rate in rates.items()],
    )


def main():
    args = parse()
    device = choose_device(args.device, args.threads)
    on_gpu = device.type == "cuda"
    report = Report("On a GPU", args.out or (OUT if on_gpu else None), device)
    with temporary_folder(args.results_dir) as name, torch.cuda.device(device) if on_gpu else contextlib.nullcontext():
        folder = Path(name)
        report_scripts(args.scripts, device, folder, report)
        report_differences(args, device, report)
        report_speed(args, device, folder, report)
        report_images(args, device, folder, report)
    report.write()


if __name__ == "__main__":
    run(main)
