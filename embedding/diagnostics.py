"""How good an embedding and its decoder are, before any reinforcement learning: the numbers of embedding/evaluate.py.

Coverage is the left plot of the paper's figure 3 as a number. From one state s_t, a reference mixture of action
sequences (`reference_plans`) reaches a set of states s_{t+k}. Some of them are landmarks, spread over the set by
farthest-point traversal; the radius is the distance within which every state of the set has a landmark. A sampler
draws twice as many plans as there are landmarks; a landmark is covered if any of these plans ends within the radius.
Distances are between changes s_{t+k} - s_t, whitened by random play and clipped as the targets of f are (appendix B).

So landmarks stand for equal parts of what can be reached, however seldom random play goes there, and the radius has no
unit to choose. There are 7^A landmarks for the A dimensions of z, at most fifty: with fifty for Pendulum's one
dimension they would tell states apart that no one-dimensional z can.
"""

from collections.abc import Callable
from dataclasses import dataclass

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

from common.streams import stream, torch_stream
from embedding.decoder import ActionDecoder, embed_all, plan_loss, reconstruction_error
from embedding.decoder_training import annealed_weight
from embedding.models import LARGEST_DELTA, ActionEncoder, Predictor, Whitening, prediction_loss, sample_embedding
from embedding.random_play import (
    RandomPlay,
    Windows,
    check_finite,
    episode_seed,
    is_open_loop,
    physics_state,
    roll_out,
    state_reader,
)

LANDMARKS_AN_AXIS, MOST_LANDMARKS = 7, 50
PLANS_A_LANDMARK = 2
REFERENCE = 400  # plans of the reference mixture, among whose ends landmarks are chosen
STARTS = {True: 32, False: 8}  # start states, averaged over: of open-loop environments, of those stepped one by one
PLAN_STEPS, PLAN_LR = 200, 0.05  # of the descent that looks for better plans
LATEST_START = 10  # steps into an episode; where states cannot be set each plan plays these again


# ---- encoder, predictor and decoder on random play that they have not seen ----


def reconstruction_a_dimension(decoder: ActionDecoder, encoder: ActionEncoder, actions: torch.Tensor) -> float:
    """||e_a(d_a(z)) - z||^2 / A (section 3.1, first term) of the z of actions (W, k, A), mean over W."""
    z = decoder.whitening(embed_all(encoder, actions))
    with torch.no_grad():
        return reconstruction_error(decoder, encoder, z, decoder(z)).item() / decoder.action_dim


def largest_action_at_rest(decoder: ActionDecoder, encoder: ActionEncoder) -> float:
    """d(0): the action of the plan for z = 0 that is farthest from the middle of the bounds, in units of half their width."""
    with torch.no_grad():
        return encoder.normalise(decoder(torch.zeros(1, decoder.action_dim))).abs().max().item()


def excess_over_best_plans(decoder: ActionDecoder, encoder: ActionEncoder, actions: torch.Tensor) -> float | None:
    """How far the decoder is from its minimum: its objective on some z, divided by that of the best plans found for the same z.

    These are looked for without a network, each z by itself: gradient descent on L(d_a) with regard to the actions, once
    from rest on, the norm's weight annealed as in training, and once from the decoder's own plan on. The better one
    counts. A decoder that has converged does about as well.

    Args:
        actions: (B, k, A), sequences whose embeddings are decoded.
    Returns:
        the ratio of the medians, at least 1; None for decoders that do not know their objective.
    """
    if decoder.objective is None:
        return None
    form, weight = decoder.objective
    z = decoder.whitening(embed_all(encoder, actions))
    with torch.no_grad():
        own = torch.tanh(decoder.layers(z))
    improved = _improve_plans(decoder, encoder, z, own.clamp(-1 + 1e-4, 1 - 1e-4), form, lambda _: weight)
    from_rest = _improve_plans(decoder, encoder, z, torch.zeros_like(own), form, lambda p: annealed_weight(p, weight))
    losses = [_losses(decoder, encoder, z, unit, form, weight) for unit in (own, improved, from_rest)]
    return (losses[0].median() / torch.stack(losses).amin(0).median()).item()


@torch.no_grad()
def _losses(
    decoder: ActionDecoder, encoder: ActionEncoder, z: torch.Tensor, unit: torch.Tensor, form: str, weight: float
) -> torch.Tensor:
    """L(d_a) of each z (B, A) for plans (B, k A) in [-1, 1]: (B,)."""
    plans = decoder.to_span(unit)
    pairs = zip(z.split(1), plans.split(1), strict=True)
    return torch.stack([plan_loss(decoder, encoder, one, plan, form, weight)[0] for one, plan in pairs])


def _improve_plans(
    decoder: ActionDecoder,
    encoder: ActionEncoder,
    z: torch.Tensor,
    unit: torch.Tensor,
    form: str,
    weight: Callable[[float], float],
) -> torch.Tensor:
    """Descends the objective of each z (B, A) from plans (B, k A) in [-1, 1] on; `weight` tells the norm's by progress."""
    free = torch.atanh(unit).requires_grad_()
    optimizer = torch.optim.Adam([free], lr=PLAN_LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, PLAN_STEPS)
    for step in range(PLAN_STEPS):
        plans = decoder.to_span(torch.tanh(free))
        (plan_loss(decoder, encoder, z, plans, form, weight(step / PLAN_STEPS))[0] * len(z)).backward(inputs=[free])
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return torch.tanh(free).detach()


def prediction_errors(encoder: ActionEncoder, predictor: Predictor, data: Windows, seed: int) -> tuple[float, float]:
    """Term (1) of section 2.2 on `embedding.random_play.Windows`, with z_a sampled as in training.

    Returns:
        the error of f, and that of predicting that nothing moves (s_{t+k} = s_t); both in whitened units.
    """
    target, still = predictor.target(data.deltas), predictor.target(torch.zeros_like(data.deltas))
    with torch.no_grad():
        mu, log_variance = encoder(data.actions)
        noise = torch.randn(mu.shape, generator=torch_stream(seed, "diagnostics: noise of z"))
        z = sample_embedding(mu, log_variance, noise)
        found = predictor(predictor.state_whitening(data.states), z)
    return prediction_loss(found, target).item(), prediction_loss(still, target).item()


def action_cost(plans: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """||a||^2 of actions (n, k, A) in the environment's units, counted from the middle of their bounds (A,), (A,), mean over
    steps: what tasks charge for a step, where the bounds lie about 0."""
    middle = (np.asarray(low, np.float64) + np.asarray(high, np.float64)) / 2
    return float(np.square(plans - middle).sum(-1).mean())


def uniform_action_cost(low: np.ndarray, high: np.ndarray) -> float:
    """`action_cost` of actions drawn uniformly from the box (A,), (A,): the exact expectation."""
    width = np.asarray(high, np.float64) - np.asarray(low, np.float64)
    return float((width**2 / 12).sum())


# ---- plans ----


def uniform_plans(rng: np.random.Generator, n: int, k: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Plans (n, k, A) of actions drawn one by one, as a random policy does without an embedding."""
    return rng.uniform(low, high, (n, k, len(low)))


def decoded_plans(decoder: ActionDecoder, z: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Plans (n, k, A) float64 of embeddings (n, A), clipped to the bounds as a policy's are."""
    with torch.no_grad():
        plans = decoder(torch.from_numpy(np.float32(z))).numpy()
    return np.clip(plans, low, high).astype(np.float64)


def reference_plans(rng: np.random.Generator, n: int, k: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Plans (n, k, A) that together go about everywhere: a quarter each of

    constant actions drawn uniformly, constant actions drawn from the faces of the box (with all A > 1 numbers at a
    bound, a corner, in half of them), every number of every step at one of its bounds, and `uniform_plans`.
    """
    size = (n, k, len(low))
    unit = rng.uniform(-1, 1, size)
    kind = np.arange(n) % 4
    unit[kind <= 1] = unit[kind <= 1, :1]
    signs = rng.choice([-1.0, 1.0], size)
    face = np.arange(len(low)) == rng.integers(len(low), size=(n, 1))
    corner = rng.random((n, 1)) < 0.5
    unit = np.where(((kind == 1)[:, None] & (face | corner))[:, None], signs[:, :1], unit)
    unit[kind == 2] = signs[kind == 2]
    return (low + high) / 2 + unit * ((high - low) / 2)


# ---- where plans end ----


@dataclass
class Start:
    """A state of random play: that after `actions` (t, A) from `env.reset(seed=seed)`."""

    seed: int
    actions: np.ndarray


def draw_starts(play: RandomPlay, play_seed: int, k: int, n: int, rng: np.random.Generator) -> list[Start]:
    """Draws n `Start`s of `play`, the random play of `play_seed`, within its first steps and k before an end.

    Raises:
        ValueError: no episode has k steps.
    """
    first = np.concatenate([[0], np.cumsum(play.lengths)[:-1]])
    episodes = rng.choice(np.flatnonzero(play.lengths >= k), n)
    starts = []
    for episode in episodes:
        t = rng.integers(min(play.lengths[episode] - k, LATEST_START) + 1)
        starts.append(Start(episode_seed(play_seed, episode), play.actions[first[episode] : first[episode] + t]))
    return starts


def outcomes(env: gymnasium.Env, start: Start, plans: np.ndarray) -> np.ndarray:
    """The changes s_{t+k} - s_t that plans (n, k, A) make from one start; (n, S) float64.

    An environment that is not open loop is brought to the start before each plan, by the start's seed and actions. An
    episode's end drops the rest of a plan.

    Raises:
        UsageError: a state is not finite.
    """
    read = state_reader(env)
    before, over = _bring_to(env, start, read)
    if is_open_loop(env):
        after = roll_out(env, np.repeat(physics_state(env)[None], len(plans), axis=0), plans)[:, -1]
    else:
        after = np.empty((len(plans), len(before)))
        for i, plan in enumerate(np.asarray(plans, np.float32)):
            after[i], over = _bring_to(env, start, read)
            for action in plan:
                if over:
                    break
                observation, _, terminated, truncated, _ = env.step(action)
                after[i], over = read(observation), terminated or truncated
    check_finite(env, after)
    return after - before


def _bring_to(env: gymnasium.Env, start: Start, read: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, bool]:
    """Returns the state (S,) of `start`, and whether the episode is over there."""
    observation, over = env.reset(seed=start.seed)[0], False
    for action in start.actions:
        observation, _, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
    return read(observation), over


# ---- coverage ----


def landmarks(reached: np.ndarray, n: int) -> tuple[np.ndarray, float]:
    """Spreads n landmarks over reached (R, S): each the state furthest from those before it, the first given.

    Returns:
        their rows (n,), and the largest distance of a state from the nearest of them.
    """
    rows, distance = [0], np.linalg.norm(reached - reached[0], axis=1)
    while len(rows) < n:
        rows.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(reached - reached[rows[-1]], axis=1))
    return np.array(rows), float(distance.max())


def covered(marks: np.ndarray, radius: float, reached: np.ndarray) -> float:
    """The share of marks (L, S) that have one of reached (n, S) within `radius`."""
    nearest = [np.linalg.norm(reached - mark, axis=1).min() for mark in marks]
    return float(np.mean(np.array(nearest) <= radius))


def coverage(
    env: gymnasium.Env, decoder: ActionDecoder, play: RandomPlay, deltas: torch.Tensor, play_seed: int, seed: int
) -> dict[str, tuple[float, float]]:
    """What random plans reach, as the docstring of this module says: the mean over start states.

    Args:
        play: random play of `env` by the seed `play_seed`.
        deltas: (W, S) its k-step changes, which give the whitening.
    Returns:
        of each way to draw plans a pair: the share of landmarks covered, and the reach, the mean distance from where
        the middle of the bounds, held for k steps, leads; in whitened units. The ways: `embedding`, z uniform within
        max_embedding, as a random policy and exploration draw it; `normal`, z ~ N(0, I); `raw`, uniform actions;
        `reference`, the reference mixture anew.
    """
    assert isinstance(env.action_space, Box)
    low, high = np.asarray(env.action_space.low, np.float64), np.asarray(env.action_space.high, np.float64)
    k, rng = decoder.k, stream(seed, "diagnostics: plans")
    marks = min(LANDMARKS_AN_AXIS ** len(low), MOST_LANDMARKS)
    n = PLANS_A_LANDMARK * marks
    whitening = Whitening(deltas.shape[1]).double()
    whitening.fit(deltas)
    z: dict[str, Callable[[tuple[int, int]], np.ndarray]] = {
        "embedding": lambda size: rng.uniform(-decoder.max_embedding, decoder.max_embedding, size),
        "normal": lambda size: rng.standard_normal(size),
    }
    shares: dict[str, list[tuple[float, float]]] = {name: [] for name in (*z, "raw", "reference")}
    for start in draw_starts(play, play_seed, k, STARTS[is_open_loop(env)], rng):
        plans = {name: decoded_plans(decoder, draw((n, len(low))), low, high) for name, draw in z.items()}
        plans["raw"] = uniform_plans(rng, n, k, low, high)
        plans["reference"] = reference_plans(rng, n, k, low, high)
        rest = np.broadcast_to((low + high) / 2, (1, k, len(low)))
        everything = np.concatenate([rest, reference_plans(rng, REFERENCE, k, low, high), *plans.values()])
        reached = whitening(torch.from_numpy(outcomes(env, start, everything))).clamp(-LARGEST_DELTA, LARGEST_DELTA)
        reference, *parts = np.split(reached.numpy(), 1 + REFERENCE + n * np.arange(len(plans)))
        rows, radius = landmarks(reference, marks)
        for name, part in zip(plans, parts, strict=True):
            reach = np.linalg.norm(part - reference[0], axis=1).mean()
            shares[name].append((covered(reference[rows], radius, part), reach))
    return {name: tuple(np.mean(pairs, axis=0).tolist()) for name, pairs in shares.items()}
