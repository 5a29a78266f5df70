"""What a training run takes of memory and of the disk, counted before it is taken."""

from embedding.memory import require_disk, require_memory

A_SEED = 40e6  # bytes: environments, networks, optimisers (30 MB measured on ReacherVertical)


def check_memory(args, folder, replay_class, bytes_a_row, state_space, action_dim, device):
    """Prints what the replay will take once it is full; raises `UsageError` if that or the rest of the run has no room.

    Args:
        args: the script's flags.
        folder: the run's.
        replay_class: what its experience is kept in.
        bytes_a_row: that a sampled row takes in an update: activations and gradients.
        state_space, action_dim: of the policy.
        device: torch device of networks and replay.
    """
    seeds, batch, updates = args.num_seeds, args.batch_size, args.update_every
    rows, width = min(args.replay_size, args.max_timesteps), replay_class.row_width(state_space.shape, action_dim)
    full, growing, samples = replay_class.memory(rows, width, batch, updates)
    require_memory(
        {
            f"--replay_size: {rows:,} rows of {seeds} seeds": seeds * growing,
            f"--num_seeds {seeds}": seeds * (A_SEED + state_space.bytes_a_seed + 8 * args.eval_episodes),
            f"--batch_size {batch} of {seeds} seeds": seeds * batch * bytes_a_row,
            f"--update_every {updates} updates of --batch_size {batch}": (
                seeds * (samples + updates * batch * (16 + 8 * action_dim))
            ),
        },
        device,
    )
    on_disk = f"--replay_size: {rows:,} rows of {seeds} seeds, kept for --resume,"
    require_disk(on_disk, seeds * rows * width * 4, folder, "seed_*/replay/*.f32")
    print(f"replay: {seeds * full / 1e9:.2f} GB on {device} once {rows:,} rows of {seeds} seeds are full")
