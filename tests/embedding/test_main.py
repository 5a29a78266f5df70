"""embedding/main.py: what a short training has learned, its log, its seeds."""

import csv
import gc
import warnings

import pytest
import torch
import toy_envs  # noqa: F401  (registers its environments)
from scripts import EMBED, SHORT

import embedding.encoder_training
import embedding.main
from common import checkpoint
from common.environments import make_env
from embedding.decoder import ActionDecoder, action_norm, reconstruction_error
from embedding.models import (
    load_encoder,
    prediction_loss,
)
from embedding.random_play import load_random_play, windows


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    """Windows of random play that the training has not seen."""
    return windows(load_random_play(make_env("ReacherVertical-v2"), 5000, 99, tmp_path_factory.mktemp("held_out")), 4)


def test_a_trained_predictor_beats_nothing_moves_on_unseen_play(trained, held_out):
    encoder, predictor, _ = load_encoder(trained / "encoder.pt")
    target = predictor.target(held_out.deltas)
    with torch.no_grad():
        state = predictor.state_whitening(held_out.states)
        error = prediction_loss(predictor(state, encoder(held_out.actions)[0]), target).item()
        shuffled = prediction_loss(predictor(state, encoder(held_out.actions.flip(0))[0]), target).item()
    assert prediction_loss(torch.zeros_like(target), target).item() == pytest.approx(1, abs=0.2)
    assert error < 0.3
    assert shuffled > 2 * error  # it is the actions that tell


def test_a_trained_decoder_inverts_the_encoder_with_small_actions(trained, held_out):
    encoder, _, _ = load_encoder(trained / "encoder.pt")
    decoder = ActionDecoder.load(trained / "decoder.pt")
    assert (decoder.k, decoder.env_id) == (4, "ReacherVertical-v2") and not any(
        p.requires_grad for p in decoder.parameters()
    )
    with torch.no_grad():
        z = decoder.whitening(encoder(held_out.actions)[0])
        torch.testing.assert_close(z.mean(0), torch.zeros(2), atol=0.1, rtol=0)
        torch.testing.assert_close(z.std(0), torch.ones(2), atol=0.1, rtol=0)
        actions = decoder(z)
        assert reconstruction_error(decoder, encoder, z, actions).item() < 0.02
        assert action_norm(encoder, actions, "squared") < 0.7 * action_norm(encoder, held_out.actions, "squared")
        assert decoder(torch.zeros(1, 2)).abs().max() < 0.2


def test_max_embedding_is_the_largest_that_the_encoder_gives_to_the_data(trained):
    play = load_random_play(make_env("ReacherVertical-v2"), 20_000, 0, trained.parent.parent)
    encoder, _, _ = load_encoder(trained / "encoder.pt")
    decoder = ActionDecoder.load(trained / "decoder.pt")
    with torch.no_grad():
        z = decoder.whitening(encoder(windows(play, 4).actions)[0])
    assert z.abs().max().item() == pytest.approx(decoder.max_embedding, rel=1e-5)
    torch.testing.assert_close(z.mean(0), torch.zeros(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(z.std(0), torch.ones(2), atol=1e-3, rtol=0)


def test_the_log_shows_the_losses_falling(trained):
    rows = list(csv.DictReader((trained / "log.csv").open()))
    for stage, epochs in (("embedding", 4), ("decoder", 6)):
        losses = [float(row["loss"]) for row in rows if row["stage"] == stage]
        assert len(losses) == epochs and losses[-1] < losses[0]


def test_the_prior_needs_no_whitening_and_reaches_three_standard_deviations(tmp_path, call):
    flags = {"steps": 300, "epochs": 0, "decoder_epochs": 1, "decoder_batches": 2, "results_dir": tmp_path}
    assert call(embedding.main.main, "--prior", **flags).code == 0
    decoder = ActionDecoder.load(tmp_path / "ReacherVertical-v2" / "default" / "decoder.pt")
    assert decoder.max_embedding == 3
    assert decoder.whitening.mean.tolist() == [0, 0] and decoder.whitening.std.tolist() == [1, 1]


def test_the_same_seed_gives_the_same_tensors_and_another_does_not(tmp_path, call, tiny):
    flags = {"steps": 1000, "epochs": 1, "epoch_size": 256, "decoder_epochs": 1, "decoder_batches": 8}
    for name, seed in (("again", 0), ("other", 1)):
        ran = call(
            embedding.main.main, "--env_name=ReacherVertical-v2", results_dir=tmp_path, name=name, seed=seed, **flags
        )
        assert ran.code == 0, ran.err
    first, again, other = (
        tiny / "ReacherVertical-v2" / "default",
        *(tmp_path / "ReacherVertical-v2" / n for n in ("again", "other")),
    )
    for kind, networks in (("encoder", ("encoder", "predictor")), ("decoder", ("weights",))):
        contents = [checkpoint.load(folder / f"{kind}.pt", kind) for folder in (first, again, other)]
        for network in networks:
            for name, tensor in contents[0][network].items():
                assert torch.equal(tensor, contents[1][network][name])
                assert name in ("center", "half_range", "low", "high") or not torch.equal(
                    tensor, contents[2][network][name]
                )
    assert (first / "log.csv").read_text() == (again / "log.csv").read_text() != (other / "log.csv").read_text()


def test_samples_that_are_seen_very_often_are_warned_of(call, tmp_path):
    short = {"env": "Pendulum-v1", "decoder_epochs": 0, "epoch_size": 256, "results_dir": tmp_path, "steps": 400}
    for epochs, warned in ((1, False), (400, True)):
        ran = call(embedding.main.main, **short, epochs=epochs, name=f"e{epochs}")
        assert ran.code == 0 and ("warning: --steps 400 make 394 samples" in ran.out) == warned, ran
        assert ("see each 260 times" in ran.out) == warned


@pytest.mark.parametrize(("env", "steps", "traj_len"), [("ReacherVertical-v2", 4, 4), ("Pendulum-v1", 51, 51)])
def test_a_single_sample_is_refused(call, tmp_path, env, steps, traj_len):
    ran = call(embedding.main.main, env=env, steps=steps, traj_len=traj_len, results_dir=tmp_path)
    assert (
        ran.code == 2 and f"--steps {steps}: they hold a single sequence of {traj_len} actions: use more" in ran.err
    ), ran
    assert not list(tmp_path.iterdir())


def test_the_folder_is_given_back_at_the_end(call, tmp_path):
    """Of a training, and of one that is finished; else its lock stays open, and `python -W error` says so."""
    for way in ((), ("--resume",)):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", ResourceWarning)
            ran = call(embedding.main.main, *way, env="Pendulum-v1", results_dir=tmp_path, **SHORT[EMBED])
            gc.collect()
        assert ran.code == 0, ran.err
        assert [str(warning.message) for warning in told if warning.category is ResourceWarning] == []
