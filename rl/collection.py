"""Collecting experience: N environments, one a seed, stepped in turn with a fixed policy."""

from collections.abc import Callable, Sequence
from typing import cast

import gymnasium
import numpy as np
import torch

from common import entries
from common.cli import LARGEST_WHOLE
from common.errors import UsageError
from common.finite import is_finite
from common.streams import reset_seed, stream
from rl.plans import ExecutedPlan, Plans, plan_returns
from rl.protocols import ActionSpace, Content, ReplayBuffer, StateSpace


class Collector:
    """Runs N environments and writes executed plans to the replay.

    What it holds between blocks is all that a run's data depends on, besides the replay and the networks: each seed's
    episode (its number, return, actions taken, last observation), its plan under way with the steps already taken,
    and the streams "exploration" (noise of the policy, random actions) and "resets" (by episode number).

    Args:
        envs: N environments, made by the state space.
        state_space: what the policy sees of their observations (`rl.state_spaces`).
        actions: the policy's action space.
        seeds: the N seeds.
        replay: where executed plans go.
        discount: gamma.
        noise: standard deviation of the exploration noise, in units of the policy's action.
        random_steps: for so many first steps actions are drawn uniformly instead; infinity: for all.
    """

    def __init__(
        self,
        envs: Sequence[gymnasium.Env],
        state_space: StateSpace,
        actions: ActionSpace,
        seeds: Sequence[int],
        replay: ReplayBuffer,
        *,
        discount: float,
        noise: float,
        random_steps: float,
    ) -> None:
        self.envs, self.state_space, self.actions = envs, state_space, actions
        self.seeds, self.replay = seeds, replay
        self.discount, self.noise = discount, noise
        self.random_steps = random_steps
        self.exploration = [stream(seed, "exploration") for seed in seeds]
        self.plans = Plans(actions, len(envs))
        # (state, reward) of the steps of the plan under way
        self.pending: list[list[tuple[np.ndarray, float]]] = [[] for _ in envs]
        self.steps = 0  # environment steps, the same for every seed
        self.episodes = np.zeros(len(envs), dtype=np.int64)  # ended ones
        self.returns = np.zeros(len(envs))
        self.taken: list[list[np.ndarray]] = [[] for _ in envs]  # raw actions of the episode under way
        self.faults: dict[int, str] = {}  # seed index -> what was not finite; such a seed is not stepped any more
        self.observations = cast(list[np.ndarray], [None] * len(envs))  # the newest
        self.states = self._reset(range(len(envs)))

    def _reset(self, indices: Sequence[int]) -> np.ndarray:
        """Begins the next episode of seeds; returns their states (M, *S)."""
        for n in indices:
            seed = reset_seed(self.seeds[n], "resets", int(self.episodes[n]))
            self.observations[n] = self.envs[n].reset(seed=seed)[0]
        return self.state_space.encode([self.observations[n] for n in indices])

    def collect(self, act: Callable[[np.ndarray], np.ndarray], steps: int) -> list[list[tuple[int, float, int]]]:
        """Takes `steps` steps in every environment.

        Args:
            act: states (N, *S) to actions (N, D); held fixed meanwhile.
        Returns:
            a list for each seed of its episodes that ended: (steps so far, return, length).
        """
        ended: list[list[tuple[int, float, int]]] = [[] for _ in self.envs]
        rows: list[list[np.ndarray]] = [[] for _ in self.envs]
        for _ in range(steps):
            self._begin_plans(act)
            self.steps += 1
            stepped = self._step()
            for n, (terminated, truncated, next_state) in stepped.items():
                if self.plans.due()[n] or terminated or truncated:
                    rows[n].append(self._executed(n, terminated, truncated, next_state))
                if terminated or truncated:
                    ended[n].append((self.steps, float(self.returns[n]), len(self.taken[n])))
                self.states[n] = next_state
            over = [n for n, (terminated, truncated, _) in stepped.items() if terminated or truncated]
            if over:
                self._next_episodes(over)
        for n, parts in enumerate(rows):
            if parts and n not in self.faults:
                self.replay.append(n, np.concatenate(parts))
        return ended

    def _step(self) -> dict[int, tuple[bool, bool, np.ndarray]]:
        """One step in every environment; {seed index: (terminated, truncated, next state)}."""
        ends = {}
        for n in self.active():
            action = self.plans.next(n).copy()
            observation, reward, terminated, truncated, _ = self.envs[n].step(action)
            if not is_finite(observation, reward):
                self.faults[n] = f"step {self.steps}: observation {observation}, reward {reward}"
                continue
            self.taken[n].append(action)
            self.pending[n].append((self.states[n].copy(), float(reward)))
            self.returns[n] += float(reward)
            ends[n], self.observations[n] = (terminated, truncated), observation
        if not ends:
            return {}
        next_states = self.state_space.encode([self.observations[n] for n in ends], self.states[list(ends)])
        return {n: (*end, state) for (n, end), state in zip(ends.items(), next_states, strict=True)}

    def active(self) -> list[int]:
        """The indices of the seeds that are still stepped."""
        return [n for n in range(len(self.envs)) if n not in self.faults]

    def _begin_plans(self, act: Callable[[np.ndarray], np.ndarray]) -> None:
        due = self.plans.due()
        for n in self.active():
            if due[n] and not is_finite(
                self.states[n]
            ):  # that an episode began with, or what was made of an observation
                self.faults[n] = f"step {self.steps + 1}: observation {self.observations[n]}"
        due[list(self.faults)] = False
        if not due.any():
            return
        if self.steps >= self.random_steps:
            chosen = act(self.states)
        for n in np.flatnonzero(due).tolist():
            if self.steps < self.random_steps:
                action = self.actions.sample(self.exploration[n])
            else:
                noise = self.exploration[n].standard_normal(self.actions.dim, dtype=np.float32) * np.float32(self.noise)
                action = np.clip(chosen[n] + noise, self.actions.policy_low, self.actions.policy_high)
            self.plans.start(n, action)
            if not is_finite(action, self.plans.raw[n]):
                self.faults[n] = f"step {self.steps + 1}: action {action}"

    def _executed(self, n: int, terminated: bool, truncated: bool, next_state: np.ndarray) -> np.ndarray:
        """The replay rows of the plan that has just ended in environment `n`."""
        states, rewards = zip(*self.pending[n], strict=True)
        self.pending[n] = []
        returns, discounts = plan_returns(rewards, terminated, self.discount)
        if not is_finite(returns, next_state, *states):
            self.faults[n] = f"step {self.steps}: sum of rewards {list(rewards)}, or state {next_state}"
        with np.errstate(all="ignore"):
            plan = ExecutedPlan(
                states=np.stack(states),
                action=self.plans.z[n],
                returns=returns,
                discounts=discounts,
                next_state=next_state,
                begins=len(self.taken[n]) == len(rewards),
                ends=terminated or truncated,
            )
            return self.replay.pack(plan)

    def _next_episodes(self, indices: Sequence[int]) -> None:
        for n in indices:
            self.plans.drop(n)
            self.episodes[n] += 1
            self.returns[n], self.taken[n] = 0.0, []
        self.states[indices] = self._reset(indices)

    def snapshot(self, n: int) -> Content:
        """Everything of seed index `n` that the next steps depend on, as plain values and tensors.

        The simulator follows from the episode's number, which gives its reset seed, and the actions taken since.
        """
        states, rewards = zip(*self.pending[n], strict=True) if self.pending[n] else ((), ())
        return {
            "steps": self.steps,
            "episodes": int(self.episodes[n]),
            "return": float(self.returns[n]),
            "observation": torch.from_numpy(np.array(self.observations[n])),
            "state": torch.from_numpy(self.states[n].copy()),
            "taken": torch.from_numpy(np.array(self.taken[n], dtype=np.float32)),
            "z": torch.from_numpy(self.plans.z[n].copy()),
            "raw": torch.from_numpy(self.plans.raw[n].copy()),
            "plan_step": int(self.plans.step[n]),
            "pending_states": torch.from_numpy(np.array(states, dtype=self.states.dtype)),
            "pending_rewards": list(rewards),
            "exploration": self.exploration[n].bit_generator.state,
        }

    def rewind(self, n: int, state: Content) -> None:
        """Goes back, for seed index `n`, to a `snapshot`.

        Raises:
            UsageError: the environment does not come to the same state again.
        """
        self.steps, self.episodes[n] = (entries.whole(state, name, 0, LARGEST_WHOLE) for name in ("steps", "episodes"))
        self.returns[n], self.taken[n] = 0.0, list(state["taken"].numpy())
        self._reset([n])
        for action in self.taken[n]:
            self.observations[n], reward = self.envs[n].step(action)[:2]
            self.returns[n] += float(reward)
        self.states[n] = state["state"].numpy()
        same = np.array_equal(self.observations[n], state["observation"].numpy())
        if not same or self.returns[n] != state["return"]:
            raise UsageError(
                f"--resume: seed {self.seeds[n]}: the same actions led the environment to "
                f"{'other rewards' if same else 'another state'} than before: "
                "it is not deterministic, or its version has changed: start over with --overwrite"
            )
        self.plans.z[n], self.plans.raw[n] = state["z"].numpy(), state["raw"].numpy()
        self.plans.step[n] = state["plan_step"]
        self.pending[n] = list(zip(state["pending_states"].numpy(), state["pending_rewards"], strict=True))
        self.exploration[n].bit_generator.state = state["exploration"]
