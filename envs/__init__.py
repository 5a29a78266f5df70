"""The environments of the paper, registered with gymnasium when this package is imported.

Entry points are strings: `import envs` alone does not import mujoco, `gymnasium.make` of a task does.
"""

from gymnasium.envs.registration import register

EPISODE_STEPS = 100  # the only end of an episode, in every task (the authors' release)

_TASKS = {
    "ReacherVertical-v2": "envs.reacher_family.reacher_vertical:ReacherVertical",
    "ReacherTurn-v2": "envs.reacher_family.reacher_turn:ReacherTurn",
    "ReacherPush-v2": "envs.reacher_family.reacher_push:ReacherPush",
}

for _id, _entry_point in _TASKS.items():
    register(id=_id, entry_point=_entry_point, max_episode_steps=EPISODE_STEPS)
