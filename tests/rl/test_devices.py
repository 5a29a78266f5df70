"""The same code on every device, as far as it can be known without a GPU: all of it runs on torch's device `meta`.

A tensor there has a shape and no data. What is left on the CPU by mistake meets it in some operator, and `NoData` raises.
"""

import sys

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import embedding.main
import embedding.main_pixels
import embedding.main_vae
from embedding.decoder import ActionDecoder
from embedding.decoder_training import DecoderTraining
from embedding.encoder_training import EncoderTraining
from embedding.models import ActionEncoder, Predictor
from embedding.pixel_models import VAE, VAE_DIM, ImageDecoder, ImageEncoder, PixelEmbedding, PixelPredictor
from embedding.pixel_play import PixelPlay, PixelWindows
from embedding.pixel_training import PixelTraining, VAETraining
from embedding.random_play import Windows
from envs.pixels import FRAMES, SIZE
from rl.action_spaces import DynEActions, RawActions
from rl.agents import Agents
from rl.dyne_td3 import DynETD3
from rl.frame_replay import FrameReplay
from rl.pixel_td3 import PixelTD3
from rl.replay import Replay
from rl.td3 import TD3

pytestmark = pytest.mark.quick

META = torch.device("meta")
LOW, HIGH = np.full(2, -1, np.float32), np.full(2, 1, np.float32)
S, K, B, U = 5, 4, 6, 5
FLAGS = {"lr": 1e-3, "tau": 0.005, "policy_noise": 0.2, "noise_clip": 0.5, "policy_freq": 2}
aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)  # the way from one device to another
FUSED = (aten._fused_adam_.default,)


class NoData(TorchDispatchMode):
    """Within `with`, an operator that gets tensors of the CPU beside tensors of `meta` raises: not all of torch's do.

    Three things that `meta` lacks are stood in for: a copy to the CPU and a single number hold zeros, as there is no data
    to copy, and fused Adam, which has no kernel there, is only asked for what CUDA's asks: tensors that lie alike.
    """

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        found = {tensor.device.type for tensor in tensors}
        if len(found) > 1 and operator not in COPIES:
            raise AssertionError(f"{operator}: tensors on {sorted(found)}")
        if found == {"meta"} and operator == aten._local_scalar_dense.default:
            return 0.0
        if found == {"meta"} and operator == aten._to_copy.default and kwargs.get("device") == torch.device("cpu"):
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        if found == {"meta", "cpu"} and operator == aten.copy_.default:
            return args[0]
        if found == {"meta"} and operator in FUSED:
            for alike in zip(*filter(None, args[:5]), strict=True):
                assert len({(tensor.shape, tensor.stride(), tensor.dtype) for tensor in alike}) == 1
            return None
        return operator(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    # torch's optimiser takes fused=True on devices of this list alone.
    module = sys.modules[torch.optim.Optimizer.__module__]
    monkeypatch.setattr(module, "_get_fused_kernels_supported_devices", lambda: ["meta"])
    with NoData():
        yield


# ---- the test of the tests ----


@pytest.mark.parametrize(
    "mistake",
    [
        lambda there, here: there @ here,
        lambda there, here: there[0].add_(here[0]),
        lambda there, here: there[torch.zeros(1, dtype=torch.int64)],
        lambda there, here: torch.nn.functional.conv2d(there[None, None], here[None, None]),
        lambda there, here: torch.baddbmm(here[None], there[None], there[None]),
        lambda there, here: there.index_select(0, torch.zeros(1, dtype=torch.int64)),
    ],
)
def test_a_tensor_left_on_the_cpu_is_found(mistake):
    with pytest.raises(AssertionError, match="cpu"):
        mistake(torch.zeros(3, 3, device=META), torch.zeros(3, 3))


# ---- agents and replay ----


def pixel_rows(rng, steps=12):
    """Records of an episode of images and the next one's first steps."""
    rows = rng.integers(0, 100, (steps, FrameReplay.row_width(None, 2))).astype(np.float32)
    rows[:, -2:] = [0, 1]
    rows[[0, 7], -2], rows[6, -1] = 1, 0
    return rows


def made(agent_class, num_seeds):
    """An agent of `num_seeds` seeds and a replay with rows of each."""
    rng, pixels = np.random.default_rng(0), agent_class is PixelTD3
    actions = RawActions(LOW, HIGH)
    if agent_class is DynETD3:
        actions = DynEActions(ActionDecoder(LOW, HIGH, K), LOW, HIGH)
    shape, replay_class = ((12, 64, 64), FrameReplay) if pixels else ((S,), Replay)
    replay = replay_class(num_seeds, shape, 2, 20, META)
    for n in range(num_seeds):
        rows = pixel_rows(rng) if pixels else rng.random((12, Replay.row_width(shape, 2)), np.float32)
        replay.append(n, rows)
    return Agents(agent_class, shape, actions, range(num_seeds), META, **FLAGS), replay


agents = pytest.mark.parametrize("agent_class", [TD3, DynETD3, PixelTD3])
seeds = pytest.mark.parametrize("num_seeds", [1, 3])


@seeds
@agents
def test_whole_blocks_of_updates_stay_on_the_device(agent_class, num_seeds):
    agent, replay = made(agent_class, num_seeds)
    (one,) = agent.agents
    assert one.num_seeds == num_seeds
    for updates in (U, 1):  # an odd number: the next block begins between two updates of the actor
        agent.clear_diagnostics()
        indices = np.stack(
            [np.random.default_rng(n).integers(0, size, (updates, B)) for n, size in enumerate(replay.sizes)]
        )
        agent.update(replay, indices.transpose(1, 0, 2), torch.zeros(updates, num_seeds, B, 2, device=META))
        assert len(agent.diagnostics()) == num_seeds and len(agent.first_not_finite()) == num_seeds
    assert one.updates == U + 1
    agent.sync_acting()
    states = np.zeros((num_seeds, *one.state_shape), np.uint8 if agent_class is PixelTD3 else np.float32)
    assert agent.act(states).shape == (num_seeds, 2)
    assert all(tensor.device == META for _, tensor in one._watched())


@seeds
@agents
def test_agents_are_saved_from_the_device_and_put_back(agent_class, num_seeds):
    agent, replay = made(agent_class, num_seeds)
    indices = np.zeros((2, num_seeds, B), np.int64)
    agent.update(replay, indices, torch.zeros(2, num_seeds, B, 2, device=META))
    for n in range(num_seeds):
        state = agent.snapshot(n)
        tensors = [leaf for leaf in tree_leaves((state, agent.policy_content(n))) if isinstance(leaf, torch.Tensor)]
        assert len(tensors) > 10 and {tensor.device.type for tensor in tensors} == {"cpu"}
        agent.rewind(n, state)
    agent.update(replay, indices, torch.zeros(2, num_seeds, B, 2, device=META))


@seeds
def test_replay_grows_and_is_sampled_on_the_device(num_seeds, monkeypatch):
    monkeypatch.setattr("rl.replay.FIRST_CAPACITY", 4)
    replay = Replay(num_seeds, (S,), 2, 20, META)
    for n in range(num_seeds):
        for _ in range(3):
            replay.append(n, np.ones((9, Replay.row_width((S,), 2)), np.float32))
    assert replay.rows.shape[1] == 20 and replay.rows.device == META
    for batch in replay.sample(np.zeros((U, num_seeds, B), np.int64)):
        assert {(x.device, x.shape[:2]) for x in batch} == {(META, (num_seeds, B))}


@seeds
def test_stacks_are_formed_on_the_device(num_seeds):
    _, replay = made(PixelTD3, num_seeds)
    for batch in replay.sample(np.zeros((U, num_seeds, B), np.int64)):
        assert {(x.device, x.shape[:2]) for x in batch} == {(META, (num_seeds, B))}
        assert batch.state.shape[2:] == (3 * FRAMES, SIZE, SIZE) and batch.state.dtype == torch.uint8


# ---- embeddings ----

TINY = ["--batch_size", "6", "--epoch_size", "12", "--epochs", "2", "--render_freq", "0"]
DECODER = ["--decoder_batches", "2", "--decoder_epochs", "2"]


def adam_steps(training):
    """Runs two epochs of a stage, saves it and puts it back."""
    training.begin()
    for _ in range(2):
        numbers = training.run_epoch()
        assert len(numbers) >= 3
    training.rewind(training.snapshot())


@pytest.mark.parametrize("flags", [[], ["--no_state", "--amsgrad"]])
def test_the_stages_of_the_embedding_stay_on_the_device(flags):
    args = embedding.main.parse([*TINY[:-2], *DECODER, *flags])
    encoder, decoder = ActionEncoder(LOW, HIGH, K), ActionDecoder(LOW, HIGH, K)
    predictor = Predictor(S, 2, use_state=not args.no_state)
    for module in (encoder, decoder, predictor):
        module.to(META)
    data = Windows(*(torch.zeros(50, *shape, device=META) for shape in ((S,), (K, 2), (S,))))
    adam_steps(EncoderTraining(data, encoder, predictor, "", args, None))
    adam_steps(DecoderTraining(data.actions, encoder, decoder, args, None))


@pytest.mark.parametrize("flags", [["--prior"], ["--norm", "l2"]])
def test_other_objectives_of_the_decoder_stay_on_the_device(flags):
    args = embedding.main.parse([*TINY[:-2], *DECODER, *flags])
    encoder, decoder = ActionEncoder(LOW, HIGH, K).to(META), ActionDecoder(LOW, HIGH, K).to(META)
    adam_steps(DecoderTraining(torch.zeros(50, K, 2, device=META), encoder, decoder, args, None))


def pixel_training(name, near, folder):
    """A training of DynE from pixels, or of a VAE, whose frames are on the device (`near`), or on the CPU."""
    lengths = np.array([9, 9])
    frames = torch.zeros(20, 3, SIZE, SIZE, dtype=torch.uint8, device=META if near else "cpu")
    play = PixelPlay(np.zeros((20, 1)), np.zeros((18, 2), np.float32), lengths, frames, np.zeros((20, 1)))
    if name == "VAE":
        args = embedding.main_vae.parse([*TINY, "--precision", "fp32"])
        vae = VAE(ImageEncoder(3, VAE_DIM).to(META), ImageDecoder(VAE_DIM, 1).to(META), "", SIZE)
        return VAETraining(frames, vae, args, folder, META)
    args = embedding.main_pixels.parse([*TINY, "--precision", "fp32"])
    networks = ImageEncoder(3 * FRAMES, args.state_dim), ActionEncoder(LOW, HIGH, K), PixelPredictor(args.state_dim, 2)
    model = PixelEmbedding(*(network.to(META) for network in networks), K, "", SIZE)
    return PixelTraining(PixelWindows(play, K), model, args, folder, META)


@pytest.mark.parametrize("near", [True, False], ids=["frames-there", "frames-on-the-cpu"])
@pytest.mark.parametrize("name", ["DynE", "VAE"])
def test_networks_of_images_are_trained_on_the_device(name, near, tmp_path):
    training = pixel_training(name, near, tmp_path)
    adam_steps(training)
    training.args.likelihood = "mse"
    training._loss(torch.zeros(B, dtype=torch.int64), torch.zeros(B, training.width, device=META), 1.0)[0].backward()
    parameters = [p for module in training.modules.values() for p in module.parameters()]
    assert {p.grad.device for p in parameters} == {p.device for p in parameters} == {META}
