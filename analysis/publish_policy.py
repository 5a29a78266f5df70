"""Copies the policy of a seed's newest checkpoint to where published ones lie, with a text beside it on how it was made.

    python analysis/publish_policy.py results/rl/ReacherVertical-v2/DynE-TD3/default/seed_0 \
        --out results/published/policies/ReacherVertical-v2

writes checkpoint.pt, which holds what acts and nothing of the training, and policy.txt. Commit, machine and versions are
those of this moment, as with publish.py. `load_policy("published/ReacherVertical-v2")` and rl/evaluate.py take it by name.
"""

import os
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

from analysis.commands import rebuild_commands
from analysis.finished_seeds import check_trained, load_seed
from common import checkpoint
from common.cli import Parser, run
from common.errors import UsageError
from common.files import write_atomically
from common.provenance import notes, writing
from rl.methods import OF_ONE_LENGTH
from rl.policies import load_policy, newest_checkpoint

POLICY_ENTRIES = (
    "env_id",
    "env_name",
    "method",
    "seed",
    "states",
    "actions",
    "policy",
    "steps",
)  # of a run's checkpoint

WRITTEN = ("checkpoint.pt", "policy.txt")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("seed_folder", help="folder of one seed of a run, results/rl/<env>/<method>/<name>/seed_<n>")
    parser.add_argument("--out", required=True, help="folder to write, <env> of a folder of policies")
    parser.add_argument("--commit", default=None, help="commit the run was made with; without it: the repository's")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    args = parser.parse_args()
    folder, out = Path(args.seed_folder), Path(args.out)
    path = newest_checkpoint(folder)
    if path is None:
        raise UsageError(f"{folder}: there is no checkpoint in it: name the folder of one seed")
    if foreign := sorted({entry.name for entry in out.iterdir()} - set(WRITTEN)) if out.is_dir() else []:
        raise UsageError(
            f"--out {out}: it holds {foreign[0]}, which no published policy has: choose a folder of its own"
        )
    if any(os.path.lexists(out / name) for name in WRITTEN) and not args.overwrite:
        raise UsageError(f"--out {out}: it exists: choose another, or replace it with --overwrite")
    try:
        load_policy(folder)  # whole, and of this version
        flags, content = load_seed(folder / "eval.csv")
        assert content is not None
        method, steps, planned = content["method"], content["steps"], flags["max_timesteps"]
        if not steps:
            raise UsageError(f"{folder}: its policy has not been trained yet: go on with it by --resume")
        if method in OF_ONE_LENGTH and steps != planned:
            raise UsageError(
                f"{folder}: it has {steps} steps of {planned}, and no command makes this policy, for the numbers of {method} "
                "depend on --max_timesteps: finish it with --resume"
            )
        check_trained(method, flags, content, folder, "put that back")
        commands = rebuild_commands(method, [flags | {"max_timesteps": steps}])
    except (checkpoint.CheckpointError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{folder}: it holds no policy, or its opt.json no flags: {error}") from error
    lines = {
        "policy": f"{content['method']} on {content['env_id']}, seed {content['seed']}",
        "steps": f"{content['steps']}",
        "command": "\n".join(commands),
    }
    text = notes(lines, args.commit, flags.get("device", "cpu"))
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        checkpoint.save(
            out / "checkpoint.pt", "run", {name: content[name] for name in POLICY_ENTRIES if name in content}
        )
        write_atomically(out / "policy.txt", lambda file: file.write(text.encode()))
    print(f"{out}: {lines['policy']}, {lines['steps']} steps")


if __name__ == "__main__":
    run(main)
