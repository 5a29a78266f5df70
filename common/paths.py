"""Where everything lies: the repository, and each kind of result below a folder of results.

<results>/<env>/data/                        random play
<results>/<env>[-pixels|-vae]/<name>/        embeddings
<results>/rl/<env>/<method>/<name>/seed_<n>/ policies
<results>/{published, ablations, figures}/   what the notebook shows
"""

import contextlib
import re
from itertools import chain
from pathlib import Path

from common.errors import UsageError
from common.files import read_entries

REPOSITORY = Path(__file__).resolve().parent.parent
IS_INSTALLED = not (REPOSITORY / "pyproject.toml").is_file()  # as a package, without the repository around it
RESULTS = (Path.cwd() if IS_INSTALLED else REPOSITORY) / "results"
OWN = "envs:"  # the module that the project's own environments may be named with
# /<env>/{k<k>, pixels}/{encoder.pt, decoder.pt}; a package brings them along.
PUBLISHED_EMBEDDINGS = REPOSITORY / "embedding" / "published" if IS_INSTALLED else RESULTS / "published" / "embeddings"
# /<env>/checkpoint.pt; likewise.
PUBLISHED_POLICIES = REPOSITORY / "rl" / "published" if IS_INSTALLED else RESULTS / "published" / "policies"


def folder_of(env_id: str) -> str:
    """The name of the folder that belongs to an environment id; raises `UsageError` if that would be another one's."""
    name = _plain(env_id)
    if name in (".", "..", "rl", "published", "ablations", "figures", "logs"):
        raise UsageError(
            f"--env: results of an environment called {env_id} would lie in {name}/: register it by another id"
        )
    return name


def _plain(env_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+=-]", "_", env_id)


def check_own_folder(folder: Path, env_name: str) -> None:
    """Checks that no other environment has its results in the folder of this one, as ns/X and ns_X would, or two modules' X.

    Args:
        folder: <results>/rl/<env> or <results>/<env>[-pixels|-vae].
        env_name: whose folder it is to be: an id, or module:id.
    Raises:
        UsageError: no run in it is of this environment, and one is of an environment whose folder has the same name.
    """
    ours, others = env_name.removeprefix(OWN), []
    for flags in chain(folder.glob("*/opt.json"), folder.glob("*/*/seed_*/opt.json")):
        with contextlib.suppress(OSError, ValueError):
            noted = str(read_entries(flags).get("env_name", "")).removeprefix(OWN)
            if noted == ours:
                return
            if _plain(noted.rpartition(":")[2]) == _plain(ours.rpartition(":")[2]):
                others.append(noted)
    if others:
        raise UsageError(
            f"--env {env_name}: {folder} holds results of {min(others)}, and its own would lie among them: give another "
            "--results_dir"
        )


def play_folder(results: str | Path, env_id: str) -> Path:
    """Where random play of an environment is kept."""
    return Path(results) / folder_of(env_id) / "data"


def embedding_run(results: str | Path, env_id: str, name: str, images: str | None = None) -> Path:
    """Where an embedding is written.

    Args:
        images: None: an embedding from states; "pixels": DynE from pixels; "vae": a VAE.
    """
    return Path(results).absolute() / (folder_of(env_id) + (f"-{images}" if images else "")) / name


def policy_run(results: str | Path, env_id: str, method: str, name: str) -> Path:
    """Where a run of stage two writes, with a folder for each seed (`seed_folder`)."""
    return Path(results).absolute() / "rl" / folder_of(env_id) / method / name


def seed_folder(run: str | Path, seed: int) -> Path:
    """Where one seed of a run writes."""
    return Path(run) / f"seed_{seed}"


def is_seed_folder(folder: Path) -> bool:
    """Whether a folder is called as that of a seed is, seed_<digits>: seed_0_backup is none."""
    return re.fullmatch(r"seed_[0-9]+", folder.name) is not None


def folders_of_seeds(run: str | Path) -> list[Path]:
    """All that is called seed_<digits> in a run's folder, in the order of these numbers."""
    folders = filter(is_seed_folder, Path(run).glob("seed_*"))
    return sorted(folders, key=lambda folder: (len(folder.name), folder.name))


def not_of_seeds(run: str | Path) -> list[Path]:
    """All that is called seed_* in a run's folder and is of no seed, as a backup, sorted."""
    return sorted(set(Path(run).glob("seed_*")) - set(folders_of_seeds(run)))
