"""The paper's tasks and the methods compared on them, in the groups that pages and figures speak of."""

import re

REACHER_FAMILY = ["ReacherVertical", "ReacherTurn", "ReacherPush"]  # those that the paper shows from pixels too
SEVEN_DOF_FAMILY = ["Pusher", "Striker", "Thrower"]
NAMES = [*REACHER_FAMILY, *SEVEN_DOF_FAMILY]  # in the order of the paper's figure 4
VERTICAL, *OTHER_TASKS = NAMES

BASELINES = ["SAC", "SAC-LSP", "PPO"]
FROM_STATES = ["TD3", "DynE-TD3", *BASELINES]
DYNE_FROM_PIXELS = ["SA-DynE-TD3", "S-DynE-TD3"]
ENCODED = [*DYNE_FROM_PIXELS, "VAE-TD3"]  # from pixels by an encoder that was trained before
FROM_PIXELS = [*ENCODED, "Pixel-TD3"]


def environment(task: str) -> str:
    """The id of a task's environment."""
    return f"{task}-v2"


def task_of(env_id: str) -> str:
    """What pages call an environment: its id without the version."""
    return re.sub(r"-v\d+$", "", env_id)


TASKS = [environment(name) for name in NAMES]
