"""embedding/main_pixels.py and main_vae.py as scripts: what they write, that they go on exactly, what they refuse."""

import os
import signal

import mujoco  # noqa: F401  (as processes.py does: its version stands in what is written)
import numpy as np
import pandas as pd
import pytest
import torch
import toy_pixel_envs  # noqa: F401  (registers its environments)
from PIL import Image
from same_runs import assert_same
from scripts import listing

import analysis.list_runs
import embedding.main_pixels
import embedding.main_vae
from common import checkpoint
from common.devices import choose_precision
from common.errors import UsageError
from common.pixel_environments import make_pixel_env
from embedding.decoder import ActionDecoder
from embedding.decoder_training import DecoderTraining
from embedding.pixel_models import load_pixel_embedding, load_vae
from embedding.pixel_play import PixelWindows, load_pixel_play
from embedding.pixel_training import ImageTraining
from embedding.renders import GAP, HEADING, grid
from envs.rendering import RenderingUnavailable, select_gl_backend

PIXELS, VAE = embedding.main_pixels.main, embedding.main_vae.main
DOT = "toy_pixel_envs:Dot-v0"
SHORT = {"env": DOT, "steps": 40, "source_img_width": 64, "epochs": 3, "epoch_size": 8, "batch_size": 4}
DECODER = {"decoder_epochs": 2, "decoder_batches": 4}
FLAGS = {PIXELS: {**SHORT, **DECODER, "traj_len": 2}, VAE: SHORT}
FOLDERS = {PIXELS: "Dot-v0-pixels", VAE: "Dot-v0-vae"}
scripts = pytest.mark.parametrize("main", [PIXELS, VAE], ids=["pixels", "vae"])


@pytest.fixture
def train(call, tmp_path):
    """Runs a script shortly under a name; returns its folder and how the call ended."""

    def run(main, name, *arguments, **flags):
        ran = call(main, *arguments, name=name, results_dir=tmp_path, **{**FLAGS[main], **flags})
        return tmp_path / FOLDERS[main] / name, ran

    return run


# ---- what is written ----


@scripts
@pytest.mark.parametrize(("likelihood", "precision"), [("bce", "bf16"), ("mse", "fp32")])
def test_a_run_writes_its_files(train, call, tmp_path, main, likelihood, precision):
    folder, ran = train(main, "a", likelihood=likelihood, precision=precision)
    assert ran.code == 0, ran.err
    wanted = {"encoder.pt", "opt.json", "log.csv", "checkpoint.pt"} | ({"decoder.pt"} if main is PIXELS else set())
    assert wanted <= {path.name for path in folder.iterdir()}
    log = pd.read_csv(folder / "log.csv")
    stages = ["pixels"] * 3 + ["decoder"] * 2 if main is PIXELS else ["vae"] * 3
    assert log.stage.tolist() == stages
    images = log[log.stage != "decoder"]
    assert np.isfinite(images[["loss", "error", "regulariser", "squared_error"]]).all(axis=None)
    assert images.kl_weight.tolist() == pytest.approx([1 / 3, 0, 2 / 3], abs=1e-6)  # of the second of two batches
    shown = {path.name for path in (folder / "render").iterdir()}
    assert shown == {*(f"epoch_{n:04}.png" for n in (1, 2, 3)), "latest.png", "observations.png"}
    listed = call(analysis.list_runs.main, tmp_path, threads=None).out
    assert f"{FOLDERS[main]}/a" in listed and "finished" in listed


def test_networks_are_loaded_as_they_were_trained(train, tmp_path):
    folder, _ = train(PIXELS, "a")
    loaded, decoder = load_pixel_embedding(folder / "encoder.pt"), ActionDecoder.load(folder / "decoder.pt")
    assert (loaded.k, loaded.env_name, loaded.source_img_width) == (2, DOT, 64)
    assert (decoder.k, decoder.action_dim, decoder.env_name) == (2, 1, DOT)
    env = make_pixel_env(DOT, loaded.source_img_width)
    state = loaded.state_encoder(torch.from_numpy(env.reset(seed=0)[0])[None])[0]
    assert state.shape == (1, 100) and torch.isfinite(state).all()
    log = pd.read_csv(folder / "log.csv")
    data = PixelWindows(load_pixel_play(DOT, 40, 0, tmp_path, 2, 64), 2)
    stacks, targets = data.batch(torch.arange(len(data)))
    logits = loaded.predictor(loaded.state_encoder(stacks)[0], loaded.action_encoder(data.actions)[0])
    error = (torch.sigmoid(logits) - targets.float() / 255).square().mean().item()
    assert error == pytest.approx(log.squared_error[2], rel=0.02)  # of some of these windows

    folder, _ = train(VAE, "a")
    encoding, _ = load_vae(folder / "encoder.pt").encoder(data.frames[:4])
    assert encoding.shape == (4, 25)


def test_pictures_show_what_goes_in_and_what_should_come_out(train, tmp_path):
    folder, _ = train(PIXELS, "a", epochs=10, epoch_size=4)
    pictures = {path.stem: np.asarray(Image.open(path)) for path in (folder / "render").iterdir()}
    step = 64 + GAP
    assert pictures["epoch_0010"].shape == (5 * step - GAP, 10 * step - GAP, 3)
    assert {"samples_0010", "observations", "latest"} <= pictures.keys() and "samples_0009" not in pictures
    data = PixelWindows(load_pixel_play(DOT, 40, 0, tmp_path, 2, 64), 2)
    stacks, targets = data.batch(torch.arange(len(data)))
    cells = [pictures["epoch_0010"][:64, c * step : c * step + 64].transpose(2, 0, 1) for c in range(10)]
    assert (cells[4] == 255).all() and (cells[7] == 255).all()
    window = next(w for w in range(len(data)) if np.array_equal(stacks[w, -3:], cells[3]))
    assert np.array_equal(stacks[window], np.concatenate(cells[:4]))
    assert np.array_equal(targets[window], np.stack(cells[5:7]))
    assert np.array_equal(pictures["epoch_0001"][:, : 7 * step], pictures["epoch_0010"][:, : 7 * step])
    assert not np.array_equal(pictures["epoch_0001"], pictures["epoch_0010"])
    zoomed = pictures["latest"][HEADING::2, ::2]
    assert np.array_equal(zoomed[: 5 * step - GAP, : 10 * step - GAP], pictures["epoch_0010"])


def test_grids_leave_white_where_there_is_nothing():
    black = np.zeros((1, 3, 64, 64), np.uint8)
    sheet = grid([black.repeat(2, 0), black])
    assert sheet.shape == (2 * 64 + GAP, 2 * 64 + GAP, 3)
    assert (sheet[64 + GAP :, 64 + GAP :] == 255).all() and (sheet[64 + GAP :, :64] == 0).all()


def test_pictures_may_be_fewer_or_none_and_change_nothing_else(train):
    full, _ = train(VAE, "full")
    for freq, names in ((2, {"epoch_0002.png", "latest.png"}), (0, set())):
        folder, _ = train(VAE, f"freq{freq}", render_freq=freq)
        assert {path.name for path in folder.glob("render/*")} == names
        digests = [torch.load(x / "encoder.pt", weights_only=True)["digest"] for x in (full, folder)]
        assert digests[0] == digests[1]


def test_both_scripts_on_the_task_of_the_paper(call, tmp_path):
    """The frames that one has drawn the other reads."""
    try:
        select_gl_backend()
    except RenderingUnavailable as error:
        pytest.skip(str(error))
    flags = {**SHORT, "env": "ReacherVertical-v2", "steps": 100, "epochs": 1, "results_dir": tmp_path}
    ran = call(PIXELS, **flags, **DECODER)
    assert ran.code == 0, ran.err
    ran = call(VAE, **flags)
    assert ran.code == 0 and "frames read from" in ran.out, ran
    assert len(list(tmp_path.rglob("frames.uint8"))) == 1


# ---- going on ----


@pytest.mark.parametrize(("main", "precision"), [(PIXELS, "fp32"), (VAE, "bf16")])
def test_a_run_that_was_stopped_goes_on_exactly(train, main, precision, monkeypatch):
    whole, ran = train(main, "whole", precision=precision, epochs=4)
    assert ran.code == 0, ran.err
    stops = [(ImageTraining, 1), (ImageTraining, 2), (ImageTraining, 1)]
    stops += [(DecoderTraining, 1)] if main is PIXELS else []
    for owner, epochs in stops:
        done, original = [], owner.run_epoch

        def stopped(self, _, done=done, original=original, epochs=epochs):
            losses = original(self)
            done.append(losses)
            if len(done) == epochs:
                os.kill(os.getpid(), signal.SIGTERM)
            return losses

        with monkeypatch.context() as patch:
            patch.setattr(owner, "run_epoch", stopped)
            parts, ran = train(main, "parts", "--resume", precision=precision, epochs=4)
        assert ran.code == 143, ran.err
    parts, ran = train(main, "parts", "--resume", precision=precision, epochs=4)
    assert ran.code == 0, ran.err
    assert_same(whole, parts)
    parts, ran = train(main, "parts", "--resume", precision=precision, epochs=4)
    assert ran.code == 0 and "is finished" in ran.out


@scripts
def test_an_epoch_that_was_stopped_within_goes_on_exactly(train, main, monkeypatch):
    """SIGTERM before a batch ends a run there and then, not at the end of its epoch."""
    whole, ran = train(main, "whole", epochs=2, epoch_size=20)
    assert ran.code == 0, ran.err
    for batches in (2, 4, 1, 3):
        done, original = [], ImageTraining.precision

        def counted(self, done=done, original=original, batches=batches):
            done.append(self)
            if len(done) == batches:
                os.kill(os.getpid(), signal.SIGTERM)
            return original(self)

        with monkeypatch.context() as patch:
            patch.setattr(ImageTraining, "precision", counted)  # once a batch
            parts, ran = train(main, "parts", "--resume", epochs=2, epoch_size=20)
        assert ran.code == 143 and len(done) <= batches + 3, ran.err
    content = checkpoint.load(parts / "checkpoint.pt", "embedding run")
    assert content["states"][content["part"]]["under_way"]["done"] in range(1, 5)
    parts, ran = train(main, "parts", "--resume", epochs=2, epoch_size=20)
    assert ran.code == 0, ran.err
    assert_same(whole, parts)


@scripts
def test_flags_that_contradict_the_checkpoint(train, main):
    train(main, "a", precision="fp32")
    for flags in ({"likelihood": "mse"}, {"precision": "bf16"}, {"epochs": 4}, {"beta": 1}, {"kl_cycles": 1}):
        ((name, value),) = flags.items()
        _, ran = train(main, "a", "--resume", **{"precision": "fp32", **flags})
        assert ran.code == 2 and f"--{name} {value}" in ran.err and ran.err.splitlines()[-1].count("--resume") == 1


@scripts
def test_a_training_that_diverges_is_said(train, main):
    folder, ran = train(main, "a", lr=1e30)
    assert ran.code == 3 and "seed 0" in ran.err and "epoch" in ran.err and "Traceback" not in ran.err
    assert (folder / "failed.json").exists()


def test_a_training_that_was_given_up_goes_on_once_that_is_taken_back(train):
    folder, _ = train(VAE, "a", epochs=3, checkpoint_freq=1)
    for path in (folder / "checkpoint.pt", folder / "encoder.pt"):
        path.unlink()  # as before its last epoch
    (folder / "failed.json").write_text('{"reason": "it diverged"}')
    before = listing(folder)
    _, ran = train(VAE, "a", "--resume", epochs=3, checkpoint_freq=1)
    assert ran.code == 3 and "it was given up (it diverged)" in ran.err and "delete failed.json beside it" in ran.err, (
        ran
    )
    assert listing(folder) == before
    (folder / "failed.json").unlink()
    assert train(VAE, "a", "--resume", epochs=3, checkpoint_freq=1)[1].code == 0
    (folder / "failed.json").write_text('{"reason": "it diverged"}')
    (folder / "encoder.pt").unlink()
    assert train(VAE, "a", "--resume", epochs=3, checkpoint_freq=1)[1].code == 0 and (folder / "encoder.pt").exists()


# ---- what is refused ----

BAD = [
    ({"env": "ReacherVertica-v2"}, ["--env ReacherVertica-v2", "did you mean ReacherVertical-v2"]),
    ({"env": "toy_envs:Walk-v0", "traj_len": 1}, ["--env toy_envs:Walk-v0: it has no pixels"]),
    ({"env": "Pendulum-v1"}, ["--env Pendulum-v1: it has no pixels"]),
    ({"env": "toy_pixel_envs:DotGray-v0"}, ["(64, 64, 1)"]),
    ({"traj_len": 7}, ["--traj_len 7", "has 6 steps"]),
    ({"likelihood": "l1"}, ["--likelihood", "'l1'"]),
    ({"precision": "fp16"}, ["--precision", "'fp16'"]),
    ({"source_img_width": 100}, ["--source_img_width", "100", "64, 128, 256"]),
    ({"steps": "1e12"}, ["--steps 1000000000000", " GB"]),
    ({"batch_size": "1e10"}, ["--batch_size 10000000000", "use less"]),
    ({"epoch_size": "1e12"}, ["--epoch_size 1000000000000", "use less"]),
    ({"state_dim": "1e12"}, ["--state_dim 1000000000000", "use less"]),
    ({"threads": 100_000}, ["--threads 100000"]),
    ({"device": "cuda:99"}, ["--device cuda:99"]),
    ({"decoder_range": "unit", "env": "toy_pixel_envs:DotFar-v0"}, ["--decoder_range unit"]),
    *(({name: "0"}, [f"--{name}", "'0' is not a "]) for name in ("steps", "epoch_size", "batch_size", "lr")),
    *(({name: "-1"}, [f"--{name}", "'-1' is not a "]) for name in ("epochs", "beta", "kl_cycles", "render_freq")),
    ({"gamma": "nan"}, ["--gamma", "'nan'"]),
    ({"name": "a/b"}, ["--name", "'a/b'"]),
]


@pytest.mark.parametrize(("flags", "words"), BAD, ids=lambda x: " ".join(map(str, x)) if isinstance(x, dict) else "")
@scripts
def test_bad_input_is_one_line_and_nothing_is_written(call, tmp_path, main, flags, words):
    if main is VAE and flags.keys() & {"traj_len", "gamma", "decoder_range"}:
        pytest.skip("a flag that it does not have")
    ran = call(main, results_dir=tmp_path, **{**FLAGS[main], "epochs": 0, **flags})
    assert ran.code == 2, ran
    assert ran.err.count("\n") == 1 and all(word in ran.err for word in words), ran.err
    assert not listing(tmp_path)


@scripts
def test_an_existing_run_is_replaced_only_with_overwrite(train, main):
    folder, _ = train(main, "a", epochs=1)
    before = listing(folder)
    _, ran = train(main, "a", epochs=1)
    assert ran.code == 2 and "--name: the run" in ran.err and listing(folder) == before
    _, ran = train(main, "a", "--overwrite", epochs=0)
    assert ran.code == 0 and not (folder / "render").exists()


def test_precision():
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu) in ("fp32", "bf16")
    assert [choose_precision(name, cpu) for name in ("fp32", "bf16")] == ["fp32", "bf16"]


def test_precision_that_a_device_lacks(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert choose_precision("auto", torch.device("cuda")) == "fp32"
    with pytest.raises(UsageError, match="--precision bf16: .* use fp32"):
        choose_precision("bf16", torch.device("cuda"))
