"""Policies: those of a running experiment for all its seeds, and one that was loaded from a run's folder.

policy = load_policy("results/rl/ReacherVertical-v2/DynE-TD3/default/seed_0")
policy.reset()                                # at the start of every episode
action = policy.select_action(observation)    # (A,) in the environment's units
"""

import contextlib
import pkgutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import torch

from common import checkpoint, entries
from common.cli import LARGEST_WHOLE
from common.environments import known_id, make_env
from common.finite import is_finite
from common.paths import PUBLISHED_POLICIES, folder_of, folders_of_seeds
from envs.rendering import RenderingUnavailable, select_gl_backend
from rl import action_spaces, state_spaces
from rl.fingerprint import Fingerprint
from rl.methods import METHODS
from rl.plans import Plans
from rl.protocols import Act, ActionSpace, Content, SelectAction, StateSpace

BASELINES = "rl.baseline_policies"  # makes the policies of methods that have no agent of this project
READ = ("env_id", "env_name", "method", "seed", "states", "actions", "policy", "fingerprint", "made_of")  # of a run


@dataclass
class Policies:
    """The policies of N seeds, as `rl.evaluation.evaluate` takes them.

    Attributes:
        state_space, actions: what they see and act in.
        act: a function of states (N, *S) and due (N,) bool to actions (N, D), of which the due ones are used.
    """

    state_space: StateSpace
    actions: ActionSpace
    act: Act


class Policy:
    """A policy for one environment, which sees its observations and runs its plans as it did in training.

    Pickled and read again, it is what it was when it was loaded: at the start of an episode.

    Attributes:
        env_id, env_name: the environment it was trained on, its id, and as it was named: an id or module:id.
        method: TD3, DynE-TD3, S-DynE-TD3, ..., SAC, random or random-DynE.
        seed: the seed it was trained with.
        state_space: what it sees of observations (`rl.state_spaces`), which makes environments that it can act in; None
            for a random policy.
        actions: its action space (`rl.action_spaces`).
    """

    def __init__(
        self,
        env_name: str,
        method: str,
        seed: int,
        state_space: StateSpace | None,
        actions: ActionSpace,
        act: SelectAction,
        content: Content | None = None,
    ) -> None:
        self._content = content  # of a file: what it is made from
        self.env_name, self.env_id, self.method, self.seed = env_name, env_name.rpartition(":")[2], method, seed
        self.state_space, self.actions = state_space, actions
        self._observed = _blank(state_space).shape  # of an observation
        self._act = act
        self.reset()

    def reset(self) -> None:
        """Forgets what was seen and the plan under way: call it at the start of every episode."""
        self._plans = Plans(self.actions, 1)
        self._state: np.ndarray | None = None

    def __reduce__(self) -> tuple[Callable[[Content], "Policy"], tuple[Content]]:
        if self._content is None:
            raise TypeError("a policy that is being trained cannot be pickled: load it from its run")
        return _policy_of, (self._content,)

    def make_env(self, trust: bool = False, **kwargs: Any) -> gymnasium.Env:
        """Makes the environment that it was trained on, observed as it was in training.

        Warns where one that was named module:id is not, to the last bit, what it was then; another module may have its id.

        Args:
            trust: whether to import the module that the run's file names, if it names one: that executes its code.
            kwargs: passed on to `gymnasium.make`; with `render_mode="rgb_array"` it draws without a display, too. A policy
                that sees images takes this one alone.
        Raises:
            UsageError: a module is needed and not trusted; or as for `common.environments.make_env`.
        """
        if kwargs.get("render_mode") == "rgb_array":
            with contextlib.suppress(RenderingUnavailable):  # it may draw without OpenGL
                select_gl_backend()
        agree = "import it yourself, or call make_env(trust=True), which imports it ({})"
        env_name = self.env_name if trust else known_id(self.env_name, "the policy", agree)
        make = self.state_space.make_env if self.state_space else make_env
        env = make(env_name, "env_name", **kwargs)
        if self._content and ":" in self.env_name:
            with contextlib.closing(make_env(env_name)) as probed:
                now = Fingerprint.of(probed)
            if now.repeats and not now.is_of(self._content):
                warnings.warn(
                    f"{self.env_name} is not, to the last bit, what the policy was trained on: its code, its arguments, the "
                    "module that has registered it, the version of Python or MuJoCo, or the processor is another",
                    stacklevel=2,
                )
        return env

    def select_action(self, observation: np.ndarray) -> np.ndarray:
        """The next raw action (A,) float32 for an observation; a new plan begins every k-th call.

        Raises:
            ValueError: the observation has another shape than in training, or is not finite.
        """
        if self.state_space:
            if np.shape(observation) != self._observed:
                raise ValueError(
                    f"an observation of shape {np.shape(observation)}: in training they had {self._observed}"
                )
            if not is_finite(observation):
                raise ValueError(f"an observation that is not finite: {observation}")
            self._state = self.state_space.encode([observation], self._state)
        if self._plans.due()[0]:
            self._plans.start(0, self._act(cast(np.ndarray, self._state)))  # None only where it is not looked at
        return self._plans.next(0).copy()


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in a seed's folder; the one before it where that is missing; None if there is none."""
    found = (folder / name for name in ("checkpoint.pt", "checkpoint.previous.pt"))
    return next((path for path in found if path.is_file()), None)


def seed_folders(run: str | Path) -> list[Path]:
    """The folders of a run's seeds, seed_<n>, that have a checkpoint, or the folder itself if it has one.

    Args:
        run: a folder, or where there is none of that name published/<env>, the policy that comes with the project.
    Raises:
        CheckpointError: there is no checkpoint in the folder, nor in a seed's, or no such published policy.
    """
    run = Path(run)
    if run.parent == Path("published") and not run.exists():
        run = PUBLISHED_POLICIES / folder_of(run.name)
        if not newest_checkpoint(run):
            there = ", ".join(sorted(f"published/{path.parent.name}" for path in PUBLISHED_POLICIES.glob("*/*.pt")))
            raise checkpoint.CheckpointError(f"there is no published policy of {run.name}; there are {there or 'none'}")
    if newest_checkpoint(run):
        return [run]
    folders = [folder for folder in folders_of_seeds(run) if newest_checkpoint(folder)]
    if run.is_file():
        raise checkpoint.CheckpointError(f"{run} is a file: name the folder that it lies in, {run.parent}")
    if not run.is_dir():
        raise checkpoint.CheckpointError(f"there is no folder {run.absolute()}")
    if not folders:
        raise checkpoint.CheckpointError(f"{run} holds no run: there is no checkpoint.pt in it nor in a seed_<n> of it")
    return folders


def load_policy(run: str | Path) -> Policy:
    """Loads the policy of a run's folder (of its first seed, if it holds several), or published/<env>.

    Raises:
        common.checkpoint.CheckpointError: no run there, or one that is damaged or makes no policy.
    """
    path = newest_checkpoint(seed_folders(run)[0])
    assert path is not None
    content = checkpoint.load(path, "run")
    if type(method := content.get("method")) is str and method not in METHODS:
        raise checkpoint.CheckpointError(f"{path}: its method, {method:.60}, has no row in rl/methods.py: add its row")
    with entries.naming(path):
        trial = _policy_of(content)
        action = trial.select_action(_blank(trial.state_space))
        if action.shape != trial.actions.low.shape or not np.isfinite(action).all():
            raise ValueError("its actions are not finite, or not of the environment")
        return _policy_of(content)


def _blank(states: StateSpace | None) -> np.ndarray:
    """An observation of zeros, black images."""
    if isinstance(states, state_spaces.FrameStates):
        return np.zeros(states.image_shape, np.uint8)
    return np.zeros(states.observed if states else 0, np.float32)


def _policy_of(content: Content) -> Policy:
    row = METHODS[entries.choice(content, "method", *METHODS)]
    acts_in = entries.table(content, "actions")
    entries.choice(acts_in, "kind", action_spaces.KINDS.get(row.acts_in, row.acts_in))
    actions = action_spaces.from_content(acts_in)
    seed = entries.whole(content, "seed", 0, LARGEST_WHOLE)
    policy_of = pkgutil.resolve_name(row.agent or BASELINES).policy_of
    act: SelectAction = policy_of(entries.entry(content, "policy"), actions, seed)
    sees = row.sees != "nothing"
    states = state_spaces.from_content(content["states"], torch.device("cpu")) if sees else None
    read = {name: content[name] for name in READ if name in content}
    return Policy(entries.environment(content), row.name, seed, states, actions, act, read)
