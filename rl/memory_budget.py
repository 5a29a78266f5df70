"""What a training run takes of memory and of the disk, counted before it is taken."""

import argparse
from pathlib import Path

import torch

from common.errors import UsageError
from common.memory import require_disk, require_memory, require_open_files
from common.torch_file import LARGEST_FILE
from rl.protocols import Agent, ReplayBuffer, StateSpace
from rl.replay_files import rows_on_disk

BYTES_A_SEED = 40e6  # environments and small networks (30 MB measured on ReacherVertical)
COPIES_IN_CHECKPOINT = 5  # of a seed's weights: targets, Adam's moments, and the actor once more
COPIES_IN_TRAINING = 6  # with gradients
COPIES_WHILE_SAVING = 3 * COPIES_IN_CHECKPOINT  # what is to be in it, and its bytes, which move as they grow


def check_memory(
    args: argparse.Namespace,
    folder: Path,
    replay_class: type[ReplayBuffer],
    agent_class: type[Agent],
    state_space: StateSpace,
    action_dim: int,
    device: torch.device,
) -> str:
    """Returns a line on what the replay will take once it is full.

    Args:
        args: the script's flags.
        folder: the run's.
        replay_class: what its experience is kept in.
        agent_class: what acts and learns.
        state_space, action_dim: of the policy.
        device: torch device of networks and replay.
    Raises:
        UsageError: that or the rest of the run has no room, or its checkpoints would be too large to be read.
    """
    seeds, batch, updates, steps = args.num_seeds, args.batch_size, args.update_every, args.max_timesteps
    of_weights = 4 * agent_class.count_weights(state_space.shape, action_dim)
    if COPIES_IN_CHECKPOINT * of_weights > LARGEST_FILE:
        raise UsageError(
            f"--env {args.env_name}: networks of states {state_space.shape} and {action_dim} numbers an action take "
            f"{COPIES_IN_CHECKPOINT * of_weights / 2**30:.1f} GiB of a checkpoint, and none of more than {LARGEST_FILE / 2**30:g} can be read: use an "
            "environment with fewer numbers"
        )
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
            + COPIES_WHILE_SAVING * of_weights
            + seeds * (BYTES_A_SEED + COPIES_IN_TRAINING * of_weights + state_space.bytes_a_seed),
            f"--batch_size {batch} of {seeds} seeds": seeds * batch * agent_class.bytes_a_row,
            f"--update_every {updates} updates of --batch_size {batch}": (
                seeds * (samples + updates * (batch * (16 + 8 * action_dim) + 3 * 4 * width))
            ),
        },
        device,
    )
    require_open_files(seeds, args.tensorboard)
    kept = rows_on_disk(steps, args.replay_size, unsaved)
    on_disk = f"--replay_size: {kept:,} rows of {seeds} seeds, kept for --resume,"
    require_disk(on_disk, seeds * kept * width * 4, folder, "seed_*/replay/*.f32")
    of_seeds = f"{seeds} seed" + "s" * (seeds > 1)
    return f"replay: {seeds * full / 1e6:,.0f} MB on {device} once the {rows:,} steps of {of_seeds} are in it"
