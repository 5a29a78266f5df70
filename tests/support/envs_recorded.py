"""Reading of `tests/data/recorded` (see the README there)."""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent.parent / "data" / "recorded"
REACHER_IDS = ("ReacherVertical-v2", "ReacherTurn-v2", "ReacherPush-v2")
SEVEN_DOF_IDS = ("Pusher-v2", "Striker-v2", "Thrower-v2")
IDS = REACHER_IDS + SEVEN_DOF_IDS
KINDS = ("random", "held")
EPISODES = 4
IMAGE_STEPS = (0, 10, 30, 60)  # of the first random episode


class Recording:
    """One recorded episode. `actions` `(100, A)`, `qpos`, `qvel`, `obs` `(101, .)`, `reward` `(100,)`."""

    def __init__(self, env_id: str, kind: str, episode: int):
        with np.load(FOLDER / f"{env_id}.npz") as file:
            arrays = {name: file[name][episode] for name in file.files if name.startswith(f"{kind}_")}
        self.actions, self.qpos, self.qvel, self.obs, self.reward = (
            arrays[f"{kind}_{name}"] for name in ("actions", "qpos", "qvel", "obs", "reward")
        )
        target_pos = arrays.get(f"{kind}_target_body_pos")
        self._target = {} if target_pos is None else {"target_pos": target_pos}

    def start(self, step: int = 0) -> dict[str, np.ndarray]:
        """Options with which `reset` starts from the recorded state after `step` steps."""
        return {"qpos": self.qpos[step], "qvel": self.qvel[step]} | self._target


def recordings(env_id: str, kind: str) -> list[Recording]:
    return [Recording(env_id, kind, episode) for episode in range(EPISODES)]
