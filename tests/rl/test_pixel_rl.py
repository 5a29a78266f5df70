"""The scripts of agents that see images."""

import json
import shlex
import shutil

import numpy as np
import pytest
import torch
import toy_pixel_envs  # noqa: F401  (registers its environments)
from same_runs import assert_same
from scripts import TINY_IMAGES, listing

import analysis.publish
import analysis.publish_embedding
import common.memory
import embedding.main_pixels
import embedding.main_vae
import embedding.trained
import rl.evaluate
import rl.main_dyne
import rl.main_pixel_td3
import rl.main_vae_td3
import rl.pixel_networks
from common.devices import choose_precision
from common.errors import UsageError
from common.paths import PUBLISHED_EMBEDDINGS
from common.streams import reset_seed
from embedding.trained import load_image_encoder, load_whole_pixel_embedding
from rl.evaluation import play
from rl.frame_replay import FrameReplay
from rl.policies import load_policy, seed_folders
from rl.state_spaces import EncodedFrames

CPU = torch.device("cpu")
DOT = "toy_pixel_envs:Dot-v0"
DYNE, VAE_TD3, PIXEL_TD3 = rl.main_dyne.main, rl.main_vae_td3.main, rl.main_pixel_td3.main
METHODS = {
    "SA-DynE-TD3": (DYNE, {"policy_name": "DynE-TD3"}),
    "S-DynE-TD3": (DYNE, {"policy_name": "TD3"}),
    "VAE-TD3": (VAE_TD3, {"start_timesteps": 10}),
    "Pixel-TD3": (PIXEL_TD3, {"start_timesteps": 10, "source_img_width": 64}),
}
every_method = pytest.mark.parametrize("method", METHODS)
SHORT = {"env": DOT, "max_timesteps": 40, "update_every": 10, "eval_freq": 20, "eval_episodes": 2, "batch_size": 5}


# ---- runs ----


@pytest.fixture
def train(call, tiny_images, tmp_path):
    """Runs a method shortly; returns the run's folder and how the call ended."""

    def run(method, *arguments, name="default", **flags):
        main, own = METHODS[method]
        if main is not PIXEL_TD3:
            kind = "vae" if main is VAE_TD3 else "pixels"
            own = {**own, "encoder": tiny_images / f"Dot-v0-{kind}" / "default"}
        if main is DYNE:
            arguments = ("--pixels", *arguments)
        ran = call(main, *arguments, name=name, results_dir=tmp_path, **{**SHORT, **own, **flags})
        return tmp_path / "rl" / "Dot-v0" / method / name, ran

    return run


@every_method
def test_a_run_goes_on_exactly(train, method):
    whole, ran = train(method, name="whole", num_seeds=2, seed=1)
    assert ran.code == 0, ran.err
    half, ran = train(method, name="half", num_seeds=2, seed=1, max_timesteps=20)
    assert ran.code == 0, ran.err
    assert train(method, "--resume", name="half", num_seeds=2, seed=1)[1].code == 0
    alone, ran = train(method, name="alone", seed=2)
    assert ran.code == 0, ran.err
    for seed in (1, 2):
        assert_same(whole / f"seed_{seed}", half / f"seed_{seed}")
    assert_same(whole / "seed_2", alone / "seed_2")
    assert (whole / "seed_1" / "eval.csv").read_text() != (whole / "seed_2" / "eval.csv").read_text()


def test_precision_is_resolved_and_a_run_goes_on_in_its_own(train):
    halves = {}
    for precision in ("fp32", "bf16"):
        whole, ran = train("Pixel-TD3", name=f"whole-{precision}", precision=precision)
        assert ran.code == 0, ran.err
        half, _ = train("Pixel-TD3", name=f"half-{precision}", precision=precision, max_timesteps=20)
        other = {"fp32": "bf16", "bf16": "fp32"}[precision]
        ran = train("Pixel-TD3", "--resume", name=f"half-{precision}", precision=other)[1]
        assert ran.code == 2 and "--precision" in ran.err
        assert train("Pixel-TD3", "--resume", name=f"half-{precision}", precision=precision)[1].code == 0
        assert_same(whole / "seed_0", half / "seed_0")
        halves[precision] = torch.load(half / "seed_0" / "checkpoint.pt", weights_only=True)["content"]["policy"]
    rounded, exact = (halves[precision]["trunk"]["weights.0"] for precision in ("bf16", "fp32"))
    assert not torch.equal(rounded, exact)
    folder, ran = train("Pixel-TD3", name="auto", max_timesteps=20)
    assert ran.code == 0, ran.err
    resolved = json.loads((folder / "seed_0" / "opt.json").read_text())["precision"]
    assert resolved == choose_precision("auto", CPU)


def test_a_run_of_blocks_of_one_step_is_repeatable(train):
    """The first step's successor is not there yet when its block ends."""
    folders = []
    for name in ("a", "b"):
        folder, ran = train("Pixel-TD3", name=name, update_every=1, max_timesteps=12, eval_freq=6)
        assert ran.code == 0, ran.err
        folders.append(folder / "seed_0")
        np.random.default_rng(0).integers(0, 256, (2000, 12, 64, 64), dtype=np.uint8)  # leaves a heap that is not clean
    assert_same(*folders)


@every_method
def test_a_run_goes_on_where_encodings_depend_on_the_batch(train, monkeypatch, method):
    """As on a GPU: what is beside an image may change the last bits of its encoding."""
    if method == "Pixel-TD3":
        pytest.skip("encodes nothing")

    def together(self, images):
        return self.encoder(torch.from_numpy(np.stack(images)))[0].numpy() * (1 + 1e-6 * len(images))

    monkeypatch.setattr(EncodedFrames, "_mu", together)
    whole, ran = train(method, name="whole", num_seeds=3)
    assert ran.code == 0, ran.err
    assert train(method, name="half", num_seeds=3, max_timesteps=20)[1].code == 0
    half, ran = train(method, "--resume", name="half", num_seeds=3)
    assert ran.code == 0, ran.err
    for seed in range(3):
        assert_same(whole / f"seed_{seed}", half / f"seed_{seed}")


@every_method
def test_a_full_ring_of_replay_goes_on_exactly_too(train, method):
    whole, ran = train(method, name="whole", replay_size=15)
    assert ran.code == 0, ran.err
    half, ran = train(method, name="half", replay_size=15, max_timesteps=20)
    assert ran.code == 0, ran.err
    assert train(method, "--resume", name="half", replay_size=15)[1].code == 0
    assert_same(whole / "seed_0", half / "seed_0")


@every_method
def test_a_loaded_policy_repeats_the_last_evaluation_of_its_run(train, call, method):
    run, ran = train(method, num_seeds=2)
    assert ran.code == 0, ran.err
    for folder in seed_folders(run):
        policy = load_policy(folder)
        assert policy.method == method
        env, rows = policy.state_space.make_env(DOT), np.load(folder / "eval.npy")
        starts = [reset_seed(policy.seed, "evaluation", len(rows) - 1, episode) for episode in range(2)]
        assert rows[-1, 2] == np.mean([play(policy, env, start) for start in starts])
    ran = call(rl.evaluate.main, run, threads=None, env=DOT, episodes=2)
    assert ran.code == 0 and f"{method} seed 1: mean return" in ran.out
    ran = call(rl.evaluate.main, run, threads=None, env="ReacherVertical-v2")
    assert ran.code == 2 and "--env ReacherVertical-v2" in ran.err and "use an environment like it" in ran.err


@every_method
def test_videos_are_recorded_of_what_a_policy_does(train, call, method):
    run, ran = train(method, render_freq=20)
    assert ran.code == 0, ran.err
    assert [path.stat().st_size > 0 for path in sorted((run / "seed_0" / "videos").glob("*.mp4"))] == [True, True]


def test_methods_from_pixels_are_evaluated_every_5000_steps_and_vae_and_pixel_td3_begin_at_random(monkeypatch):
    found = {}
    for script in (rl.main_dyne, rl.main_pixel_td3, rl.main_vae_td3):
        monkeypatch.setattr(script, "train", lambda args, method: found.update({method.name: args}))
    for method, (main, flags) in METHODS.items():
        line = ["--pixels"] * (main is DYNE) + (["--policy_name", flags["policy_name"]] if main is DYNE else [])
        monkeypatch.setattr("sys.argv", ["x.py", *line])
        main()
        args = found[method]
        assert (args.eval_freq, args.start_timesteps) == (5000, 10_000 if main is not DYNE else 0)
    monkeypatch.setattr("sys.argv", ["x.py"])
    DYNE()
    assert (found["DynE-TD3"].eval_freq, found["DynE-TD3"].decoder) == (1000, "default")


# ---- bad input ----


@pytest.fixture
def refuse(train, tmp_path):
    """A method that must refuse, naming all of `words`, without writing anything."""

    def refused(method, words, *arguments, **flags):
        before = listing(tmp_path)
        _, ran = train(method, *arguments, **flags)
        assert (ran.code, ran.err.count("\n")) == (2, 1), ran
        for word in words:
            assert word in ran.err, ran.err
        assert listing(tmp_path) == before

    return refused


def test_tiny_images_that_are_not_there(refuse, tiny_images, tmp_path):
    command = "train it with python embedding/main_pixels.py --env toy_pixel_envs:Dot-v0"
    refuse("S-DynE-TD3", ["--encoder default: there is no", command], encoder="default")
    refuse("SA-DynE-TD3", ["--encoder mine: there is no", f"{command} --name mine"], encoder="mine")
    refuse("VAE-TD3", ["--encoder default: there is no", "python embedding/main_vae.py"], encoder="default")
    refuse("VAE-TD3", ["there is no", "give the encoder.pt"], encoder=tmp_path / "nothing.pt")


def test_tiny_images_of_another_kind_environment_or_stack(refuse, tiny_images, tmp_path):
    pixels, vae = (tiny_images / f"Dot-v0-{kind}" / "default" for kind in ("pixels", "vae"))
    refuse("S-DynE-TD3", [f"--encoder {vae}", "vae", "train it anew with embedding/main_pixels.py"], encoder=vae)
    refuse("VAE-TD3", [f"--encoder {pixels}", "pixel encoder", "embedding/main_vae.py"], encoder=pixels)
    other = "toy_pixel_envs:DotShort-v0"
    refuse("S-DynE-TD3", [f"images of {DOT}, not of {other}", "--env"], env=other)
    damaged = tmp_path / "encoder.pt"
    damaged.write_bytes((pixels / "encoder.pt").read_bytes()[:-100])
    refuse("SA-DynE-TD3", [str(damaged), "train it anew"], encoder=damaged)
    content = torch.load(pixels / "encoder.pt", weights_only=True)["content"]
    for change, words in (({"frames": 3}, ["frames is 3"]), ({"state_dim": 99}, ["not of this version"])):
        common.checkpoint.save(damaged, "pixel encoder", content | change)
        refuse("S-DynE-TD3", words, encoder=damaged)


def test_decoders_beside_the_encoder(refuse, train, tiny_images, tiny, tmp_path):
    pixels = tiny_images / "Dot-v0-pixels" / "default"
    alone = tmp_path / "encoder.pt"
    alone.write_bytes((pixels / "encoder.pt").read_bytes())
    refuse("SA-DynE-TD3", [f"--encoder {alone}", "name one with --decoder"], encoder=alone)
    reacher = tiny / "ReacherVertical-v2" / "default"
    refuse("SA-DynE-TD3", [f"--decoder {reacher}", "actions of 2 numbers", "Dot-v0 takes 1"], decoder=reacher)
    assert train("SA-DynE-TD3", encoder=alone, decoder=pixels)[1].code == 0


def test_a_decoder_of_another_training_beside_the_encoder(refuse, tiny_images, call, tmp_path):
    flags = {
        **TINY_IMAGES,
        "decoder_epochs": 0,
        "epochs": 0,
        "traj_len": 4,
        "seed": 7,
        "results_dir": tmp_path / "other",
    }
    assert call(embedding.main_pixels.main, env=DOT, **flags).code == 0
    mixed = shutil.copytree(tiny_images / "Dot-v0-pixels" / "default", tmp_path / "mixed")
    shutil.copy(tmp_path / "other" / "Dot-v0-pixels" / "default" / "decoder.pt", mixed)
    refuse("SA-DynE-TD3", [f"--encoder {mixed}", "not of one embedding", "--decoder"], encoder=mixed)


def test_a_run_is_neither_resumed_nor_published_with_another_encoder(train, tiny_images, call, tmp_path):
    other = tmp_path / "other"
    flags = {"decoder_epochs": 1, "decoder_batches": 4, "results_dir": other, "seed": 7}
    assert call(embedding.main_pixels.main, env=DOT, **TINY_IMAGES, **flags).code == 0
    moved = tmp_path / "encoder.pt"
    shutil.copy(tiny_images / "Dot-v0-pixels" / "default" / "encoder.pt", moved)
    run, ran = train("S-DynE-TD3", max_timesteps=20, encoder=moved)
    assert ran.code == 0
    published = {"out": tmp_path / "curve.csv", "commit": "abc", "threads": None}
    assert call(analysis.publish.main, run, **published).code == 0
    shutil.copy(other / "Dot-v0-pixels" / "default" / "encoder.pt", moved)
    ran = train("S-DynE-TD3", "--resume", encoder=moved)[1]
    assert ran.code == 2 and "what the policy is to see (embeddings of images, 100 wide)" in ran.err
    ran = call(analysis.publish.main, "--overwrite", run, **published)
    assert ran.code == 2 and f"seed_0: it was trained with another encoder than {moved} holds by now" in ran.err, ran


def test_a_published_encoder_acts_as_the_one_it_was_made_of(train, tiny_images, call, tmp_path, monkeypatch):
    made_of, published = tiny_images / "Dot-v0-pixels" / "default", tmp_path / "published"
    monkeypatch.setattr(embedding.trained, "PUBLISHED_EMBEDDINGS", published)
    out = published / "Dot-v0" / "pixels"
    ran = call(analysis.publish_embedding.main, made_of, out=out, commit="abc1234", threads=None)
    assert ran.code == 0 and "python embedding/main_pixels.py --env toy_pixel_envs:Dot-v0" in ran.out, ran
    assert (out / "encoder.pt").stat().st_size < (made_of / "encoder.pt").stat().st_size / 2
    runs = {}
    for name, encoder in (("own", made_of), ("published", "published")):
        runs[name], ran = train("SA-DynE-TD3", name=name, encoder=encoder)
        assert ran.code == 0, ran.err
    assert_same(runs["own"] / "seed_0", runs["published"] / "seed_0")
    assert call(analysis.publish.main, runs["published"], out=tmp_path / "curve.csv", threads=None).code == 0
    text = (tmp_path / "curve.txt").read_text()
    assert "embedding/main_pixels.py" in text and "# at commit abc1234" in text and "--encoder published" in text, text
    ran = call(analysis.publish_embedding.main, made_of, out=out, threads=None)
    assert ran.code == 2 and "replace it with --overwrite" in ran.err
    ran = call(analysis.publish_embedding.main, "--overwrite", made_of, out=made_of, threads=None)
    assert ran.code == 2 and "it is the folder of a training: choose another" in ran.err, ran
    (out / "decoder.pt").unlink()
    ran = call(analysis.publish_embedding.main, out, out=tmp_path / "again", threads=None)
    assert ran.code == 2 and "there is no file" in ran.err and not (tmp_path / "again").exists()


def test_the_published_encoder_of_images_is_whole_and_says_how_it_was_made():
    encoder, width = load_image_encoder("pixels", "published", "ReacherVertical-v2", "ReacherVertical-v2", "nowhere")
    assert (encoder.width, encoder.channels, width) == (100, 12, 256)
    folder = PUBLISHED_EMBEDDINGS / "ReacherVertical-v2" / "pixels"
    assert load_whole_pixel_embedding(folder).predictor is None
    assert sum(path.stat().st_size for path in folder.iterdir()) < 12e6
    (line,) = [line for line in (folder / "embedding.txt").read_text().splitlines() if line.startswith("command:")]
    flags = vars(embedding.main_pixels.parse(shlex.split(line)[3:]))
    assert (flags["env_name"], flags["epochs"], flags["lr"]) == ("ReacherVertical-v2", 64, 3e-4)


def test_an_encoder_that_is_not_published(refuse):
    refuse("S-DynE-TD3", ["--encoder published: none of Dot-v0 is published", "main_pixels.py"], encoder="published")
    refuse("VAE-TD3", ["--encoder published: none of Dot-v0 is published", "main_vae.py"], encoder="published")


def test_environments_and_policies_that_pixels_are_not_for(refuse, monkeypatch):
    refuse("Pixel-TD3", ["--env Pendulum-v1", "no pixels"], env="Pendulum-v1")
    refuse("Pixel-TD3", ["--env toy_envs:WalkShort-v0", "no pixels"], env="toy_envs:WalkShort-v0")
    refuse("S-DynE-TD3", ["--pixels: random sees no images", "leave it out"], policy_name="random")
    refuse("SA-DynE-TD3", ["--pixels: random-DynE sees no images"], policy_name="random-DynE")
    refuse("Pixel-TD3", ["--source_img_width", "invalid choice"], source_img_width=100)


def test_sizes_that_are_too_small(refuse):
    refuse("Pixel-TD3", ["--batch_size 1: batch norm needs more rows: use at least 2"], batch_size=1)
    refuse("Pixel-TD3", ["--replay_size 5: stacks of frames need more", "use at least 6"], replay_size=5)


def test_flags_without_effect_are_refused(refuse, call, tmp_path):
    refuse("S-DynE-TD3", ["--decoder x: TD3 does not use it: leave it out"], decoder="x")
    refuse("S-DynE-TD3", [f"--source_env {DOT}: TD3 does not use it"], source_env=DOT)
    ran = call(DYNE, encoder="x", results_dir=tmp_path, env=DOT)
    assert ran.code == 2 and "--encoder x: states need no encoder: add --pixels" in ran.err
    assert listing(tmp_path) == {}


def test_images_beyond_memory(refuse):
    words = ["--replay_size: 1,000,000,000 rows of 1 seeds take 12", "GB", "free on cpu: use less"]
    refuse("Pixel-TD3", words, replay_size="1e9", max_timesteps="1e9")
    refuse("Pixel-TD3", ["--batch_size 1000000 of 1 seeds", "use less"], batch_size="1e6")


def test_images_beyond_the_disk(refuse, train, monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)
    rows = 40 * FrameReplay.row_width(None, 1) * 4
    monkeypatch.setattr(common.memory.shutil, "disk_usage", lambda _: usage._replace(free=rows - 1))
    refuse("Pixel-TD3", ["--replay_size: 40 rows of 1 seeds, kept for --resume, take 0.0 GB on the disk"])
    assert train("S-DynE-TD3")[1].code == 0  # its rows are small
    monkeypatch.setattr(common.memory.shutil, "disk_usage", lambda _: usage._replace(free=rows))
    assert train("Pixel-TD3", max_timesteps=20)[1].code == 0
    monkeypatch.setattr(common.memory.shutil, "disk_usage", lambda _: usage._replace(free=rows // 2 + 8192))
    assert train("Pixel-TD3", "--resume")[1].code == 0  # half of it is there


def test_without_opengl_pixels_are_refused(refuse, monkeypatch):
    def unavailable():
        raise UsageError("MUJOCO_GL: none")

    monkeypatch.setattr("common.pixel_environments.select_gl_backend", unavailable)
    refuse("Pixel-TD3", ["MUJOCO_GL: none"])
