"""What a training run takes of memory, counted before it is taken."""

from embedding.memory import require_memory
from rl.replay import Replay

A_SEED = 40e6  # bytes: environments, networks, optimisers (30 MB measured on ReacherVertical)
A_ROW = 25_000  # bytes a row of a batch, a seed: activations and gradients (23 kB measured)


def check_memory(args, state_dim, action_dim, device):
    """Prints what the replay will take once it is full; raises `UsageError` if memory for the run is not there.

    Args:
        args: the script's flags.
        state_dim, action_dim: S and D, the widths of observations and of the policy's actions.
        device: torch device of networks and replay.
    """
    seeds, batch, updates = args.num_seeds, args.batch_size, args.update_every
    rows, width = min(args.replay_size, args.max_timesteps), Replay.row_width(state_dim, action_dim)
    replay = seeds * rows * width * 4
    require_memory(
        {
            f"--replay_size: {rows:,} rows of {seeds} seeds": replay * 3 // 2,  # while the last growth copies the rows
            f"--num_seeds {seeds}": seeds * (A_SEED + 8 * args.eval_episodes),
            f"--batch_size {batch} of {seeds} seeds": seeds * batch * A_ROW,
            f"--update_every {updates} updates of --batch_size {batch}": (
                updates * seeds * batch * (4 * width + 16 + 8 * action_dim)
            ),
        },
        device,
    )
    print(f"replay: {replay / 1e9:.2f} GB on {device} once {rows:,} rows of {seeds} seeds are full")
