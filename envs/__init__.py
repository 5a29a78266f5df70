"""The environments of the paper, registered with gymnasium when this package is imported.

Entry points are strings: `import envs` alone does not import mujoco, `gymnasium.make` of a task does.
"""

import warnings

from gymnasium.envs.registration import register, registry

EPISODE_STEPS = 100  # the only end of an episode, in every task (the authors' release)

_TASKS = {
    "ReacherVertical-v2": "envs.reacher_family.reacher_vertical:ReacherVertical",
    "ReacherTurn-v2": "envs.reacher_family.reacher_turn:ReacherTurn",
    "ReacherPush-v2": "envs.reacher_family.reacher_push:ReacherPush",
    "Pusher-v2": "envs.seven_dof_family.pusher:Pusher",
    "Striker-v2": "envs.seven_dof_family.striker:Striker",
    "Thrower-v2": "envs.seven_dof_family.thrower:Thrower",
    "Point-v0": "envs.point.point:Point",
    "PointMass-v0": "envs.point.point_mass:PointMass",
}

for _id, _entry_point in _TASKS.items():
    registry.pop(_id, None)  # gymnasium has an entry for Pusher-v2, which only raises
    register(id=_id, entry_point=_entry_point, max_episode_steps=EPISODE_STEPS)

# gymnasium.make would advise gymnasium's Pusher-v5, which is another task: its arm passes through the object.
warnings.filterwarnings("ignore", r".*The environment Pusher-v2 is out of date", DeprecationWarning)
