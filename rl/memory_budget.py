"""What a training run takes of memory and of the disk, counted before it is taken."""

import argparse
from pathlib import Path

import torch

from common.memory import require_disk, require_memory
from rl.protocols import ReplayBuffer, StateSpace

A_SEED = 40e6  # bytes: environments, networks, optimisers (30 MB measured on ReacherVertical)


def check_memory(
    args: argparse.Namespace,
    folder: Path,
    replay_class: type[ReplayBuffer],
    bytes_a_row: int,
    state_space: StateSpace,
    action_dim: int,
    device: torch.device,
) -> None:
    """Prints what the replay will take once it is full; raises `UsageError` if that or the rest of the run has no room.

    Args:
        args: the script's flags.
        folder: the run's.
        replay_class: what its experience is kept in.
        bytes_a_row: that a sampled row takes in an update: activations and gradients.
        state_space, action_dim: of the policy.
        device: torch device of networks and replay.
    """
    seeds, batch, updates, steps = args.num_seeds, args.batch_size, args.update_every, args.max_timesteps
    rows, width = min(args.replay_size, steps), replay_class.row_width(state_space.shape, action_dim)
    capacity = replay_class.capacity_for(args.replay_size, steps + updates)
    full, growing, samples = replay_class.memory(steps, capacity, width, batch, updates)
    if device.type != "cpu" and replay_class.preallocates:
        growing = capacity * 4 * width
    unsaved = min(steps, args.checkpoint_freq or args.eval_freq)  # rows kept once more until they are on the disk
    require_memory(
        {
            f"--replay_size: {rows:,} rows of {seeds} seeds": seeds * growing,
            f"--checkpoint_freq {unsaved} steps of {seeds} seeds": seeds * unsaved * 4 * width,
            f"--num_seeds {seeds}": state_space.bytes_once
            + seeds * (A_SEED + state_space.bytes_a_seed + 8 * args.eval_episodes),
            f"--batch_size {batch} of {seeds} seeds": seeds * batch * bytes_a_row,
            f"--update_every {updates} updates of --batch_size {batch}": (
                seeds * (samples + updates * (batch * (16 + 8 * action_dim) + 3 * 4 * width))
            ),
        },
        device,
    )
    on_disk = f"--replay_size: {rows:,} rows of {seeds} seeds, kept for --resume,"
    require_disk(on_disk, seeds * rows * width * 4, folder, "seed_*/replay/*.f32")
    of_seeds = f"{seeds} seed" + "s" * (seeds > 1)
    print(f"replay: {seeds * full / 1e6:,.0f} MB on {device} once the {rows:,} steps of {of_seeds} are in it")
