"""A model of stable-baselines3 as one seed of a baseline: trained, kept, and gone on with as if it had not stopped."""

import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from rl.baseline_env import BaselineEnv, plain
from rl.baseline_run import SeedRun, on_cpu
from rl.policies import Policies
from rl.protocols import ActionSpace, Content
from rl.state_spaces import ObservedStates

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

Normalise = Callable[[np.ndarray], np.ndarray]  # observations (N, S) to what the model sees
STATISTICS = ("obs_rms", "ret_rms")  # those of VecNormalize


class _Over(Exception):
    """Raised between updates to end `learn`, which has no other way out there."""


class SB3Learner:
    """A `Learner` of `rl.baseline_run`.

    Between two updates all that follows depends on the weights, the optimisers, the replay, what PPO normalises by, the
    episode under way and the random streams: stable-baselines3 draws from numpy's and torch's global ones, and from that of
    the action space.

    Args:
        model: SAC, TD3 or PPO, in the vectorised environment of one `env`.
        normalise: what PPO does to observations; the identity for others.
        env: the environment that its steps are taken in.
        actions: what it acts in.
    """

    def __init__(self, model: "BaseAlgorithm", normalise: Normalise, env: BaselineEnv, actions: ActionSpace) -> None:
        self.model, self.env, self.actions = model, env, actions
        self._saved = 0  # rows of the replay that are on the disk

        def act(states: np.ndarray, due: np.ndarray) -> np.ndarray:
            """States (N, S) to actions (N, D)."""
            return model.predict(normalise(states), deterministic=True)[0]

        assert env.observation_space.shape is not None
        self.policies = Policies(ObservedStates(env.observation_space.shape[0]), actions, act)

    @staticmethod
    def row_width(state_dim: int, action_dim: int) -> int:
        """Numbers a row of replay: both observations, the action, reward, done, and whether a time limit did it."""
        return 2 * state_dim + action_dim + 3

    def weights(self) -> Iterable[torch.Tensor]:
        """All weights that are trained."""
        return self.model.policy.parameters()

    def learn(self, run: SeedRun) -> None:
        """Trains until the run is over; raises what stable-baselines3 raises."""
        from stable_baselines3.common.callbacks import BaseCallback
        from stable_baselines3.common.logger import Logger

        off_policy = hasattr(self.model, "replay_buffer")

        class Counts(BaseCallback):
            """Counts the environment's steps, evaluates, and pauses between updates: with PPO, between rollouts."""

            def _on_training_start(self) -> None:
                run.start()

            def _on_rollout_start(self) -> None:
                if run.pause():
                    raise _Over

            def _on_step(self) -> bool:
                (info,) = self.locals["infos"]
                total, length = info.get("ended", (None, 0))
                run.count(info.get("steps", 1), None if total is None else (round(total, 6), length))
                run.evaluate_if_due()
                return off_policy or not run.is_over()  # PPO does not finish its last rollout

        left = run.max_steps - self.model.num_timesteps
        self.model.set_logger(Logger(None, []))  # its own would write into the folder of temporary files
        with contextlib.suppress(_Over):
            self.model.learn(left, callback=Counts(), reset_num_timesteps=False)  # it counts on, from 0 if it is new

    # ---- what is kept ----

    def take_unsaved(self) -> list[np.ndarray]:
        """The rows of replay since this was last called, a list of (M, width) float32."""
        buffer, rows = getattr(self.model, "replay_buffer", None), self.model.num_timesteps
        if buffer is None:
            return []
        places = np.arange(max(self._saved, rows - buffer.buffer_size), rows) % buffer.buffer_size
        self._saved = rows
        parts = (buffer.observations, buffer.next_observations, buffer.actions)
        ends = (buffer.rewards, buffer.dones, buffer.timeouts)
        columns = [part[places, 0] for part in parts] + [end[places] for end in ends]
        return [np.concatenate(columns, axis=1, dtype=np.float32)] if len(places) else []

    def _put_back(self, parts: Iterable[np.ndarray], rows: int) -> None:
        """Fills the replay with the newest of `rows` rows, in parts (M, width)."""
        kept = list(parts)
        buffer = getattr(self.model, "replay_buffer", None)
        if buffer is None:
            return
        size, place = buffer.buffer_size, rows - sum(map(len, kept))
        observed, acted = buffer.observations.shape[-1], buffer.actions.shape[-1]
        edges = np.cumsum([observed, observed, acted, 1, 1])
        for part in kept:
            places = (place + np.arange(len(part))) % size
            columns = np.split(part, edges, axis=1)
            for array, column in zip(
                (buffer.observations, buffer.next_observations, buffer.actions), columns, strict=False
            ):
                array[places, 0] = column
            for array, column in zip((buffer.rewards, buffer.dones, buffer.timeouts), columns[3:], strict=True):
                array[places] = column
            place += len(part)
        buffer.pos, buffer.full, self._saved = rows % size, rows >= size, rows

    def snapshot(self) -> Content:
        """Everything that the next steps and updates depend on besides the replay and the episode."""
        model, vectors = self.model, self.model.get_vec_normalize_env()
        state: Content = {
            "parameters": on_cpu(model.get_parameters()),
            "timesteps": model.num_timesteps,
            "updates": model._n_updates,
            "streams": {
                "numpy": plain(np.random.get_state(legacy=False)),
                "torch": torch.get_rng_state(),
                "actions": plain(model.action_space.np_random.bit_generator.state),
            },
        }
        if model.device.type == "cuda":
            state["streams"]["cuda"] = torch.cuda.get_rng_state(model.device)
        if (temperature := getattr(model, "log_ent_coef", None)) is not None:
            state["temperature"] = on_cpu(temperature)
        if vectors is not None:
            state["statistics"] = {name: _statistics(getattr(vectors, name)) for name in STATISTICS}
            state["returns"] = torch.from_numpy(vectors.returns.copy())
        return state

    def rewind(self, state: Content, rows: Iterable[np.ndarray]) -> None:
        """Goes back to a `snapshot`; its environment has been rewound.

        Args:
            rows: the replay's newest, in parts (M, width).
        """
        model, vectors = self.model, self.model.get_vec_normalize_env()
        model.set_parameters(state["parameters"], device=model.device)
        model.num_timesteps, model._n_updates = state["timesteps"], state["updates"]
        self._put_back(rows, model.num_timesteps)
        if "temperature" in state:
            model.log_ent_coef.data.copy_(state["temperature"])  # type: ignore[attr-defined]
        observation = np.array(self.env.observation, model.observation_space.dtype)[None]
        if vectors is not None:
            for name in STATISTICS:
                _take_statistics(getattr(vectors, name), state["statistics"][name])
            vectors.returns = state["returns"].numpy()
        model._last_obs = observation if vectors is None else vectors.normalize_obs(observation)
        model._last_episode_starts = np.array([not self.env.taken])
        streams = state["streams"]
        np.random.set_state(streams["numpy"])
        torch.set_rng_state(streams["torch"])
        model.action_space.np_random.bit_generator.state = streams["actions"]
        if "cuda" in streams and model.device.type == "cuda":
            torch.cuda.set_rng_state(streams["cuda"], model.device)

    def policy_content(self) -> Content:
        """What `rl.baseline_policies` makes the policy without noise from again."""
        policy: Any = self.model.policy
        of_ppo = hasattr(policy, "mlp_extractor")
        if of_ppo:
            parts = [policy.mlp_extractor.policy_net, policy.action_net]
        else:
            parts = (
                [policy.actor.latent_pi, policy.actor.mu] if hasattr(policy.actor, "latent_pi") else [policy.actor.mu]
            )
        layers = [layer for part in parts for layer in part.modules() if isinstance(layer, nn.Linear)]
        space, vectors = self.model.action_space, self.model.get_vec_normalize_env()
        return {
            "kind": "mlp",
            "widths": [layers[0].in_features, *(layer.out_features for layer in layers)],
            "activation": "tanh" if of_ppo else "relu",
            "squash": not of_ppo,
            "weights": on_cpu(
                {f"{i}.{name}": x for i, one in enumerate(layers) for name, x in one.state_dict().items()}
            ),
            "low": torch.from_numpy(space.low.copy()),  # type: ignore[attr-defined]
            "high": torch.from_numpy(space.high.copy()),  # type: ignore[attr-defined]
            "statistics": _statistics(vectors.obs_rms) if vectors is not None else None,
        }


def _statistics(running: Any) -> Content:
    """A RunningMeanStd of stable-baselines3 as plain values and tensors."""
    mean, variance = (torch.from_numpy(np.array(x, np.float64)) for x in (running.mean, running.var))
    return {"mean": mean, "variance": variance, "count": float(running.count)}


def _take_statistics(running: Any, state: Content) -> None:
    running.mean, running.var, running.count = state["mean"].numpy(), state["variance"].numpy(), state["count"]
