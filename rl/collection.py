"""Collecting experience: N environments, one a seed, stepped in turn with a fixed policy."""

import numpy as np

from embedding.streams import reset_seed, stream
from rl.action_spaces import Plans
from rl.dyne_td3 import plan_returns


class Collector:
    """Runs N environments and writes complete windows to the replay.

    What it holds between blocks is all that a run's data depends on, besides the replay and the networks: each seed's
    episode (its number, return, actions taken, last observation), its plan under way with the steps already taken,
    and the streams "exploration" (noise of the policy, random actions) and "resets" (by episode number).

    Args:
        envs: N environments.
        actions: the policy's action space.
        seeds: the N seeds.
        replay: where windows go.
        discount: gamma.
        noise: standard deviation of the exploration noise, in units of the policy's action.
        random_steps: for so many first steps actions are drawn uniformly instead.
    """

    def __init__(self, envs, actions, seeds, replay, *, discount, noise, random_steps):
        self.envs, self.actions, self.seeds, self.replay = envs, actions, seeds, replay
        self.discount, self.noise, self.random_steps = discount, noise, random_steps
        self.exploration = [stream(seed, "exploration") for seed in seeds]
        self.plans = Plans(actions, len(envs))
        self.pending = [[] for _ in envs]  # (state, reward) of the steps of the plan under way
        self.steps = 0  # environment steps, the same for every seed
        self.episodes = np.zeros(len(envs), dtype=np.int64)  # ended ones
        self.returns = np.zeros(len(envs))
        self.taken = [[] for _ in envs]  # raw actions of the episode under way
        self.states = np.stack([self._reset(n) for n in range(len(envs))])

    def _reset(self, n):
        observation, _ = self.envs[n].reset(seed=reset_seed(self.seeds[n], "resets", int(self.episodes[n])))
        return np.asarray(observation, dtype=np.float32)

    def collect(self, act, steps):
        """Takes `steps` steps in every environment.

        Args:
            act: states (N, S) to actions (N, D); held fixed meanwhile.
        Returns:
            a list for each seed of its episodes that ended: (steps so far, return, length).
        """
        ended, rows = [[] for _ in self.envs], [[] for _ in self.envs]
        for _ in range(steps):
            self._begin_plans(act)
            self.steps += 1
            for n, env in enumerate(self.envs):
                action = self.plans.next(n).copy()
                observation, reward, terminated, truncated, _ = env.step(action)
                self.taken[n].append(action)
                self.pending[n].append((self.states[n].copy(), float(reward)))
                self.states[n] = observation
                self.returns[n] += float(reward)
                if self.plans.due()[n] or terminated or truncated:
                    rows[n].append(self._windows(n, terminated))
                if terminated or truncated:
                    ended[n].append((self.steps, float(self.returns[n]), len(self.taken[n])))
                    self._next_episode(n)
        for n, parts in enumerate(rows):
            if parts:
                self.replay.append(n, np.concatenate(parts))
        return ended

    def _begin_plans(self, act):
        due = self.plans.due()
        if not due.any():
            return
        if self.steps >= self.random_steps:
            chosen = act(self.states)
        for n in np.flatnonzero(due):
            if self.steps < self.random_steps:
                action = self.actions.sample(self.exploration[n])
            else:
                noise = self.exploration[n].standard_normal(self.actions.dim, dtype=np.float32) * np.float32(self.noise)
                action = np.clip(chosen[n] + noise, self.actions.policy_low, self.actions.policy_high)
            self.plans.start(n, action)

    def _windows(self, n, terminated):
        """The replay rows of the plan that has just ended in environment `n`."""
        states, rewards = zip(*self.pending[n], strict=True)
        self.pending[n] = []
        sums, factors = plan_returns(rewards, terminated, self.discount)
        h = len(rewards)
        columns = [
            np.stack(states),
            np.broadcast_to(self.plans.z[n], (h, self.actions.dim)),
            np.arange(h)[:, None],
            sums[:, None],
            factors[:, None],
            np.broadcast_to(self.states[n], (h, self.states.shape[1])),
        ]
        return np.concatenate(columns, axis=1, dtype=np.float32)

    def _next_episode(self, n):
        self.plans.drop(n)
        self.episodes[n] += 1
        self.returns[n], self.taken[n] = 0.0, []
        self.states[n] = self._reset(n)

    def state_dict(self, n):
        """Everything of seed index `n` that the next steps depend on, as plain values and tensors.

        The simulator follows from the episode's number, which gives its reset seed, and the actions taken since.
        """
        states, rewards = zip(*self.pending[n], strict=True) if self.pending[n] else ((), ())
        return {
            "steps": self.steps,
            "episodes": int(self.episodes[n]),
            "return": float(self.returns[n]),
            "taken": [action.tolist() for action in self.taken[n]],
            "plan": {
                "z": self.plans.z[n].tolist(),
                "raw": self.plans.raw[n].tolist(),
                "step": int(self.plans.step[n]),
                "states": [state.tolist() for state in states],
                "rewards": list(rewards),
            },
            "exploration": self.exploration[n].bit_generator.state,
        }
