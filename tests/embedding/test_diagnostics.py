"""What is measured of an embedding: networks on play, where plans end, coverage (embedding/diagnostics.py)."""

import numpy as np
import pytest
import torch
import toy_envs

import embedding.main
from common.environments import make_env
from common.errors import UsageError
from common.streams import torch_stream
from embedding import diagnostics
from embedding.decoder import ActionDecoder
from embedding.decoder_training import DecoderTraining
from embedding.diagnostics import (
    Start,
    action_cost,
    coverage,
    covered,
    draw_starts,
    excess_over_best_plans,
    landmarks,
    largest_action_at_rest,
    outcomes,
    prediction_errors,
    reconstruction_a_dimension,
    reference_plans,
    uniform_action_cost,
    uniform_plans,
)
from embedding.models import ActionEncoder, Predictor, load_encoder, save_encoder
from embedding.random_play import Windows, random_play, windows

LOW, HIGH = np.array([-1.0, -2.0], np.float32), np.array([3.0, 2.0], np.float32)  # those of toy_envs:WalkSkewed-v0


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def networks():
    """A decoder, an encoder and a predictor of two actions, untrained but with whitenings."""
    decoder, encoder, predictor = ActionDecoder(LOW, HIGH, 3), ActionEncoder(LOW, HIGH, 3), Predictor(4, 2)
    decoder.whitening.fit(normal(100, 2) * 3 + 1)
    predictor.state_whitening.fit(normal(100, 4) * 2 - 1)
    predictor.delta_whitening.fit(normal(100, 4) / 3 + 0.2)
    return decoder, encoder, predictor


# ---- networks on play ----


def test_an_encoder_is_read_as_it_was_written(networks, tmp_path):
    _, encoder, predictor = networks
    save_encoder(tmp_path / "encoder.pt", encoder, predictor, "X-v0")
    again, predicted, env_id = load_encoder(tmp_path / "encoder.pt")
    assert env_id == "X-v0" and not any(p.requires_grad for p in (*again.parameters(), *predicted.parameters()))
    actions, states = normal(5, 3, 2), normal(5, 4)
    assert torch.equal(again(actions)[0], encoder(actions)[0])
    assert torch.equal(predicted(states, normal(5, 2)), predictor(states, normal(5, 2)))


def test_the_reconstruction_error_is_that_of_a_loop_over_samples(networks):
    decoder, encoder, _ = networks
    actions = normal(9, 3, 2)
    mean, std, errors = decoder.whitening.mean, decoder.whitening.std, []
    for sequence in actions:
        z = ((encoder(sequence[None])[0][0] - mean) / std).detach()
        again = ((encoder(decoder(z[None]))[0][0] - mean) / std).detach()
        errors += [(float(again[d]) - float(z[d])) ** 2 for d in range(2)]
    assert reconstruction_a_dimension(decoder, encoder, actions) == pytest.approx(np.mean(errors), rel=1e-4)


def test_the_excess_is_that_over_plans_that_were_looked_for_one_by_one(networks):
    """It falls as the decoder is trained, and stays near 1 at least: nothing is far below the best plans."""
    decoder, encoder, _ = networks
    low, high = (torch.from_numpy(bound) for bound in (LOW, HIGH))
    actions = low + (high - low) * torch.rand(2000, 3, 2, generator=torch.Generator().manual_seed(0))
    assert excess_over_best_plans(decoder, encoder, actions[:100]) is None  # it does not know its objective
    flags = ["--decoder_epochs", "4", "--decoder_batches", "250", "--norm_weight", "1e-2"]
    training = DecoderTraining(actions, encoder, decoder, embedding.main.parse(flags), None)
    training.begin()
    before = excess_over_best_plans(decoder, encoder, actions[:100])
    for _ in range(4):
        training.run_epoch()
    assert 0.99 < excess_over_best_plans(decoder, encoder, actions[:100]) < 1.5 < before


def test_the_prediction_errors_are_those_of_a_loop_over_samples(networks):
    _, encoder, predictor = networks
    data = Windows(normal(9, 4), normal(9, 3, 2, seed=1), normal(9, 4, seed=2) * 3)
    noise = torch.randn(9, 2, generator=torch_stream(5, "diagnostics: noise of z"))
    errors, stills = [], []
    for n in range(9):
        mu, log_variance = encoder(data.actions[n][None])
        z = mu + noise[n] * torch.sqrt(torch.exp(log_variance))
        white = (data.states[n] - predictor.state_whitening.mean) / predictor.state_whitening.std
        found = predictor(white[None], z)[0].detach()
        for d in range(4):
            mean, std = float(predictor.delta_whitening.mean[d]), float(predictor.delta_whitening.std[d])
            target = min(max((float(data.deltas[n, d]) - mean) / std, -10), 10)
            errors.append((float(found[d]) - target) ** 2)
            stills.append((-mean / std - target) ** 2)
    assert prediction_errors(encoder, predictor, data, 5) == pytest.approx((np.mean(errors), np.mean(stills)), rel=1e-4)


def test_d_of_zero_is_counted_from_the_middle_of_the_bounds(networks):
    decoder, encoder, _ = networks
    torch.nn.init.zeros_(decoder.layers[-1].weight)
    torch.nn.init.zeros_(decoder.layers[-1].bias)
    assert largest_action_at_rest(decoder, encoder) == pytest.approx(0, abs=1e-6)
    decoder.layers[-1].bias.data[4] = -np.arctanh(0.5)  # the first number of the third action
    assert decoder(torch.zeros(1, 2))[0, 2, 0].item() == pytest.approx(0)  # halfway from the middle, 1, to -1
    assert largest_action_at_rest(decoder, encoder) == pytest.approx(0.5)


def test_action_costs_are_squares_summed_over_the_numbers_of_an_action():
    plans = np.array([[[1.0, 2.0], [0.0, 0.0]], [[3.0, 0.0], [-1.0, 1.0]]])
    about_zero, about_one = (-np.ones(2), np.ones(2)), (np.zeros(2), np.full(2, 2.0))
    assert action_cost(plans, *about_zero) == (5 + 0 + 9 + 2) / 4
    assert action_cost(plans, *about_one) == (1 + 2 + 5 + 4) / 4
    drawn = uniform_plans(np.random.default_rng(0), 100_000, 2, LOW, HIGH)
    assert uniform_action_cost(LOW, HIGH) == pytest.approx(action_cost(drawn, LOW, HIGH), rel=0.01)


# ---- plans and where they end ----


def test_reference_plans_are_of_four_kinds_within_the_bounds():
    plans = reference_plans(np.random.default_rng(0), 400, 4, np.float64(LOW), np.float64(HIGH))
    assert plans.shape == (400, 4, 2) and (plans >= LOW).all() and (plans <= HIGH).all()
    at_bound, constant = (plans == LOW) | (plans == HIGH), (plans == plans[:, :1]).all((1, 2))
    kind = np.arange(400) % 4
    assert constant[kind <= 1].all() and not constant[kind == 3].any()
    assert not at_bound[(kind == 0) | (kind == 3)].any()
    assert at_bound[kind == 1].any((1, 2)).all()
    assert 30 < at_bound[kind == 1].all((1, 2)).sum() < 70  # corners
    assert at_bound[kind == 2].all() and not constant[kind == 2].all()
    for bound in (LOW, HIGH):
        assert ((plans[kind == 1] == bound).all(1).sum(0) > 20).all()  # every face


def test_plans_end_where_a_walk_takes_them_and_an_episodes_end_drops_the_rest():
    plans = np.random.default_rng(0).uniform(-1, 1, (20, 5, 2))
    for env_id, length in (("toy_envs:Walk-v0", 6), ("toy_envs:WalkShort-v0", 3)):
        for earlier in range(3):
            start = Start(seed=3, actions=np.full((earlier, 2), 0.5, np.float32))
            expected = toy_envs.STEP * plans[:, : length - earlier].sum(1)
            np.testing.assert_allclose(outcomes(make_env(env_id), start, plans), expected, atol=1e-6)


def test_open_loop_outcomes_equal_stepping(monkeypatch):
    env = make_env("ReacherTurn-v2")
    plans = np.random.default_rng(0).uniform(-1, 1, (15, 4, 2)).astype(np.float32).astype(np.float64)
    start = Start(seed=1, actions=np.full((7, 2), 0.3, np.float32))
    fast = outcomes(env, start, plans)
    monkeypatch.setattr(type(env.unwrapped), "open_loop", False)
    np.testing.assert_allclose(fast, outcomes(env, start, plans), rtol=0, atol=1e-9)
    assert (fast.std(0)[[0, 1, 3, 4]] > 1e-3).all()  # the two joints of the arm


@pytest.mark.parametrize("env_id", ["ReacherVertical-v2", "Hopper-v5", "Pendulum-v1"])
def test_starts_are_states_of_the_play(env_id):
    """The k actions that follow a start make the change that the play recorded."""
    env, k = make_env(env_id), 4
    play = random_play(env, 600, seed=9)
    data = windows(play, k)
    starts = draw_starts(play, 9, k, 8, np.random.default_rng(0))
    assert len({(start.seed, len(start.actions)) for start in starts}) > 4
    for start in starts:
        assert len(start.actions) <= diagnostics.LATEST_START
        distances = np.abs(outcomes(env, start, data.actions.numpy().astype(np.float64)) - data.deltas.numpy())
        assert distances.max(1).min() < 1e-5  # one of the windows is the one that follows


def test_outcomes_that_are_not_finite_are_refused():
    start = Start(seed=0, actions=np.zeros((4, 2), np.float32))
    with pytest.raises(UsageError, match="not finite"):
        outcomes(make_env("toy_envs:WalkBreaks-v0"), start, np.zeros((2, 4, 2)))


# ---- coverage ----


def test_landmarks_are_the_furthest_from_those_before():
    line = np.array([[2.0], [0.0], [10.0], [7.0], [5.5], [3.0]])
    rows, radius = landmarks(line, 3)
    assert rows.tolist() == [0, 2, 4] and radius == 2  # 2; 10; 5.5, which is 3.5 from 2; then 0 is 2 from 2


def test_covered_is_the_share_that_a_loop_over_landmarks_finds():
    rng = np.random.default_rng(0)
    marks, reached = rng.standard_normal((30, 3)), rng.standard_normal((40, 3))
    near = [any(sum((m - x) ** 2) <= 0.49 for x in reached) for m in marks]
    assert 0.1 < np.mean(near) < 0.9
    assert covered(marks, 0.7, reached) == pytest.approx(np.mean(near))


class Held:
    """A decoder that holds some function of z in [-1, 1]^2 for k steps."""

    max_embedding, k = 1.0, 4

    def __init__(self, action):
        self.action = action

    def __call__(self, z):
        return self.action(z)[:, None].expand(-1, self.k, -1)


@pytest.fixture(scope="module")
def reached():
    """Coverage of a walk by a decoder that holds the action `action(z)`."""
    env = make_env("toy_envs:Walk-v0")
    play = random_play(env, 3000, seed=0)
    return lambda action: coverage(env, Held(action), play, windows(play, 4).deltas, 0, seed=0)


def test_coverage_of_a_walk_whose_reachable_states_are_a_square(reached):
    """k uniform steps of a walk have the whitened changes of a square, from -sqrt(3 k) to sqrt(3 k)."""
    found = reached(lambda z: z)
    half = np.sqrt(3 * 4)
    assert found["embedding"][0] > 0.85  # uniform over the square
    assert found["embedding"][1] == pytest.approx(0.7652 * half, rel=0.05)  # mean distance from the middle of a square
    assert found["raw"][1] == pytest.approx(np.sqrt(np.pi / 2), rel=0.07)  # that of a normal distribution, about
    assert found["reference"][0] > 0.85
    assert found["raw"][0] < 0.65


def test_coverage_counts_what_a_decoder_leaves_out(reached):
    right = reached(lambda z: torch.stack([z[:, 0].abs(), z[:, 1]], dim=1))
    assert 0.4 < right["embedding"][0] < 0.65  # half of the square, and what lies a radius beyond
    resting = reached(torch.zeros_like)
    assert resting["embedding"] == resting["normal"] == (pytest.approx(1 / 49), 0)  # the landmark at rest and no other
    one = reached(lambda z: torch.stack([z[:, 0], z[:, 0]], dim=1))  # collapsed onto a line
    assert one["embedding"][0] < 0.35
