"""Agents that see images: state spaces, the replay of frames, the networks of Pixel-TD3, and the scripts."""

import itertools
import shutil

import numpy as np
import pytest
import torch
import toy_pixel_envs  # noqa: F401  (registers its environments)
from conftest import TINY_IMAGES
from same_runs import assert_same
from scripts import listing
from torch import nn
from torch.nn import functional as F

import embedding.main_pixels
import embedding.main_vae
import embedding.memory
import rl.evaluate
import rl.main_dyne
import rl.main_pixel_td3
import rl.main_vae_td3
import rl.pixel_networks
import rl.training
from embedding.flags import UsageError
from embedding.pixel_envs import make_pixel_env
from embedding.pixel_models import ImageEncoder
from embedding.streams import reset_seed
from rl.action_spaces import RawActions
from rl.collection import Collector
from rl.evaluation import play
from rl.frame_replay import FrameReplay
from rl.pixel_networks import CONVOLUTIONS, PixelActor, StackedBatchNorm, Trunk
from rl.pixel_td3 import PixelTD3
from rl.policies import load_policy, seed_folders
from rl.replay import Replay, Window
from rl.state_spaces import DynEStates, EncodedFrames, FrameStates, VAEStates, from_content
from rl.td3 import Batch

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


def random_encoder(channels, width):
    """An encoder of random weights whose batch norms are not those of nothing seen."""
    encoder = ImageEncoder(channels, width)
    with torch.no_grad():
        encoder(torch.randint(0, 256, (8, channels, 64, 64), dtype=torch.uint8))
    return encoder.eval().requires_grad_(False)


def stacks(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 12, 64, 64), dtype=np.uint8)


# ---- state spaces ----


def test_dyne_states_are_the_means_of_their_stacks_whatever_is_beside_them():
    encoder, images = random_encoder(12, 7), stacks(3)
    space = DynEStates(encoder, 64, CPU)
    states = space.encode(list(images))
    for image, state in zip(images, states, strict=True):
        alone = encoder(torch.from_numpy(image)[None])[0][0].numpy()
        assert np.array_equal(state, alone) and np.array_equal(space.encode([image])[0], alone)
    assert states.dtype == np.float32 and states.shape == (3, 7) and space.shape == (7,)


def test_vae_states_are_the_encodings_of_the_four_frames_of_the_stack():
    encoder, env = random_encoder(3, 5), make_pixel_env(DOT, 64)
    space, state = VAEStates(encoder, 64, CPU), None
    stack, _ = env.reset(seed=3)
    for step in range(6):
        state = space.encode([stack], state)
        frames = torch.from_numpy(stack).view(4, 1, 3, 64, 64)
        literal = torch.cat([encoder(frame)[0][0] for frame in frames]).numpy()
        assert np.array_equal(state[0], literal), step
        stack = env.step(np.array([0.3 * step], np.float32))[0]
    assert space.shape == (20,)
    beside = space.encode([stack, stack[::-1]], np.concatenate([state, 0 * state]))
    assert np.array_equal(beside[0], space.encode([stack], state)[0])


def test_a_state_space_is_built_again_from_its_content():
    for space in (DynEStates(random_encoder(12, 7), 128, CPU), VAEStates(random_encoder(3, 5), 64, CPU)):
        again = from_content(space.content(), CPU)
        assert type(again) is type(space) and again.source_img_width == space.source_img_width
        assert np.array_equal(again.encode(list(stacks(2))), space.encode(list(stacks(2))))
    assert from_content(FrameStates(64).content(), CPU).source_img_width == 64


# ---- replay of frames ----

SCHEDULE = [1, 6, 2, 3, 9, 4]  # steps of episodes


def filled(capacity, transitions, seeds=1, cut=3):
    """A replay after so many steps of episodes as in `SCHEDULE`, and every step literally, by seed."""
    rng, literal = np.random.default_rng(0), []
    replay = FrameReplay(seeds, (12, 64, 64), 2, capacity, CPU)
    for n in range(seeds):
        steps, episode, rows = [], 0, []
        while len(steps) < transitions:
            length = SCHEDULE[(episode + n) % len(SCHEDULE)]
            frames = rng.integers(0, 256, (length + 1, 3, 64, 64), dtype=np.uint8)
            padded = np.concatenate([frames[:1].repeat(3, axis=0), frames])
            for t in range(min(length, transitions - len(steps))):
                state, following = (padded[s : s + 4].reshape(12, 64, 64) for s in (t, t + 1))
                action, reward, factor = rng.standard_normal(2).astype(np.float32), *rng.standard_normal(2)
                steps.append((state, action, np.float32(reward), np.float32(factor), following))
                begins, ends = t == 0, t == length - 1
                sums = np.array([reward]), np.array([factor])
                rows.append(replay.pack(Window(state[None], action, *sums, following, begins, ends)))
                if len(rows) % cut == 0:
                    replay.append(n, np.concatenate(rows[-cut:]))
            episode += 1
        replay.append(n, np.concatenate(rows[len(rows) - len(rows) % cut :] or [rows[0][:0]]))
        literal.append((steps, ends))
    return replay, literal


def assert_holds(replay, n, steps):
    """The steps that can be sampled of seed index `n` are the last of `steps`, as they were taken."""
    size = int(replay.sizes[n])
    index = np.zeros((1, len(replay.written), size), np.int64) + np.minimum(np.arange(size), replay.sizes[:, None] - 1)
    (batch,) = replay.sample(index)
    for i, (state, action, reward, factor, following) in enumerate(steps):
        assert np.array_equal(batch.state[n, i].numpy(), state)
        assert np.array_equal(batch.next_state[n, i].numpy(), following)
        assert np.array_equal(batch.action[n, i].numpy(), action)
        assert (batch.reward[n, i].item(), batch.discount[n, i].item()) == (reward, factor)
        assert batch.plan_step[n, i].item() == 0


@pytest.mark.parametrize("transitions", [1, 2, 7, 24, 25, 60])
def test_stacks_are_those_that_were_seen(transitions):
    """A step whose next frame is not written yet, the newest of an episode under way, waits for it."""
    replay, literal = filled(1000, transitions, seeds=2)
    for n, (steps, ended) in enumerate(literal):
        assert replay.sizes[n] == len(steps) - (not ended)
        assert_holds(replay, n, steps[: replay.sizes[n]])


@pytest.mark.parametrize("capacity", [8, 13, 30])
def test_a_full_ring_keeps_the_steps_whose_frames_are_all_there(capacity):
    for transitions in range(20, 60, 3):
        replay, [(steps, ended)] = filled(capacity, transitions)
        size, kept = int(replay.sizes[0]), steps[: len(steps) - (not ended)]
        assert 1 <= size < capacity
        assert_holds(replay, 0, kept[len(kept) - size :])
        assert size >= capacity - 3 - 1 - capacity / 2  # ends of episodes take a place each


@pytest.mark.parametrize(("capacity", "transitions"), [(1000, 24), (13, 40), (13, 41), (8, 50)])
def test_a_restored_ring_samples_the_same(capacity, transitions):
    replay, _ = filled(capacity, transitions)
    rows, written = np.concatenate(replay.take_unsaved(0)), int(replay.written[0])
    again = FrameReplay(1, (12, 64, 64), 2, capacity, CPU)
    kept = rows[-capacity:]
    again.restore(0, [kept[:5], kept[5:6], kept[6:]], written)
    size = int(replay.sizes[0])
    assert again.sizes[0] == size
    index = np.arange(size).reshape(1, 1, size)
    for one, other in zip(next(replay.sample(index)), next(again.sample(index)), strict=True):
        assert torch.equal(one, other)
    assert replay.take_unsaved(0) == []


def test_bytes_that_are_no_numbers_survive():
    """Frames travel as float32; every pattern of bits must come back."""
    frame = np.full((12, 64, 64), 255, np.uint8)
    frame[:, ::2] = [127, 192, 1, 255] * 16
    replay = FrameReplay(1, (12, 64, 64), 2, 10, CPU)
    window = Window(frame[None], np.zeros(2, np.float32), np.zeros(1), np.zeros(1), frame, True, True)
    replay.append(0, replay.pack(window))
    (batch,) = replay.sample(np.zeros((1, 1, 1), np.int64))
    assert np.array_equal(batch.state[0, 0].numpy(), frame)


def test_what_the_collector_writes_is_what_the_environments_showed():
    envs = [make_pixel_env("toy_pixel_envs:DotShort-v0", 64) for _ in range(2)]
    space, actions = FrameStates(64), RawActions([-1], [1])
    replay = FrameReplay(2, space.shape, 1, 1000, CPU)
    seen = [[] for _ in envs]
    for env, log in zip(envs, seen, strict=True):

        def reset(*, reset=env.reset, log=log, **flags):
            stack, info = reset(**flags)
            log.append([(None, None, False, stack)])
            return stack, info

        def step(action, step=env.step, log=log):
            stack, reward, terminated, *rest = step(action)
            log[-1].append((action, reward, terminated, stack))
            return stack, reward, terminated, *rest

        env.reset, env.step = reset, step
    flags = {"discount": 0.9, "noise": 0.0, "random_steps": None}
    collector = Collector(envs, space, actions, [0, 1], replay, **flags)
    for _ in range(5):
        collector.collect(None, 7)
    for n, log in enumerate(seen):
        steps = []
        for episode in log:
            for before, (action, reward, terminated, after) in itertools.pairwise(episode):
                factor = np.float32(0 if terminated else 0.9)
                steps.append((before[3], action, np.float32(reward), factor, after))
        assert replay.sizes[n] >= len(steps) - 1 and len(log) > 5
        assert_holds(replay, n, steps[: replay.sizes[n]])


# ---- networks ----


def test_the_trunk_is_that_of_ordinary_layers(monkeypatch):
    monkeypatch.setattr(rl.pixel_networks, "to_unit", lambda images: images.double() / 255)
    trunk, images = Trunk([3, 4]).double(), torch.from_numpy(stacks(2 * 6)).view(2, 6, 12, 64, 64)
    for parameter in trunk.norms.parameters():
        parameter.data += torch.rand_like(parameter)
    gradients = {}
    for training in (True, False):
        found = trunk.train(training)(images)
        assert found.shape == (2, 6, trunk.width) == (2, 6, 512)
        weight = torch.rand(2, 6, 512).double()
        of_ours = torch.autograd.grad((found * weight).sum(), list(trunk.parameters()))
        for m in range(2):
            x, layers = images[m].double() / 255, []
            for norm, weights, biases, (_, kernel, stride) in zip(
                trunk.norms, trunk.weights, trunk.biases, CONVOLUTIONS, strict=True
            ):
                batch_norm = nn.BatchNorm2d(x.shape[1]).double().train(training)
                convolution = nn.Conv2d(x.shape[1], weights.shape[1], kernel, stride).double()
                values = {"weight": norm.weight[m], "bias": norm.bias[m]}
                if not training:
                    values |= {"running_mean": norm.mean[m], "running_var": norm.variance[m]}
                batch_norm.load_state_dict(batch_norm.state_dict() | values)
                convolution.load_state_dict({"weight": weights[m], "bias": biases[m]})
                x = F.relu(convolution(batch_norm(x)))
                layers.append((batch_norm, convolution))
                if training:
                    torch.testing.assert_close(batch_norm.running_mean, norm.mean[m])
                    torch.testing.assert_close(batch_norm.running_var, norm.variance[m])
            torch.testing.assert_close(x.flatten(1), found[m])
            (x.flatten(1) * weight[m]).sum().backward()
            gradients = {
                "norms": [p.grad for norm, _ in layers for p in (norm.weight, norm.bias)],
                "weights": [convolution.weight.grad for _, convolution in layers],
                "biases": [convolution.bias.grad for _, convolution in layers],
            }
            ours = dict(zip([name for name, _ in trunk.named_parameters()], of_ours, strict=True))
            for name, wanted in gradients.items():
                own = [gradient for key, gradient in ours.items() if key.startswith(name)]
                for gradient, literal in zip(own, wanted, strict=True):
                    torch.testing.assert_close(gradient[m], literal)


def test_the_actor_normalises_before_each_layer():
    actor = PixelActor(9, 2, np.zeros(2, np.float32), np.full(2, 3, np.float32), [0, 1]).double().eval()
    for norm in actor.norms:
        for tensor in (norm.weight.data, norm.bias.data, norm.mean, norm.variance):
            tensor += torch.rand_like(tensor)
    x = torch.randn(2, 5, 9).double()
    found = actor(x)
    for m in range(2):
        y = x[m]
        for layer, norm in enumerate(actor.norms):
            y = F.batch_norm(y, norm.mean[m], norm.variance[m], norm.weight[m], norm.bias[m])
            y = y @ actor.mlp.weights[layer][m] + actor.mlp.biases[layer][m]
            y = F.relu(y) if layer < 2 else 3 * torch.tanh(y)
        torch.testing.assert_close(found[m], y)


@pytest.mark.parametrize("low", [0, 120, 254])
def test_images_that_hardly_vary_are_normalised_exactly(low):
    images = torch.randint(low, low + 2, (1, 20, 12, 64, 64), dtype=torch.uint8)
    norm = StackedBatchNorm(1, 12)
    scale, shift = norm.of_input(images[0].float() / 255, slice(0, 1))
    variance, mean = torch.var_mean(images[0].double() / 255, dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(scale.double(), (variance + 1e-5).rsqrt(), rtol=1e-4, atol=0)
    torch.testing.assert_close(shift.double(), -mean * (variance + 1e-5).rsqrt(), rtol=1e-4, atol=0)


def test_batch_norm_of_stacks_is_that_of_each():
    norm, x = StackedBatchNorm(3, 4), torch.randn(3, 6, 4)
    found = norm(x)
    for m in range(3):
        literal = nn.BatchNorm1d(4)
        torch.testing.assert_close(found[m], literal(x[m]))
        torch.testing.assert_close(norm.mean[m], literal.running_mean)


# ---- Pixel-TD3 ----


def agent_of(seeds, **flags):
    settings = {"lr": 1e-3, "tau": 0.1, "policy_noise": 0.2, "noise_clip": 0.5, "policy_freq": 2} | flags
    return PixelTD3((12, 64, 64), RawActions([-1, -2], [1, 2]), seeds, CPU, **settings)


def batch_of(seed, size=6):
    """One seed's `Batch`, without the axis of seeds, and noise."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (2, size, 12, 64, 64), generator=rng, dtype=torch.uint8)
    action, noise = torch.rand(2, size, 2, generator=rng)
    reward, discount = torch.randn(2, size, 1, generator=rng)
    return [images[0], action, torch.zeros(size, 1), reward, 0.0 * discount + 0.99, images[1]], noise


def updated(agent, seeds, updates=4):
    for update in range(updates):
        columns, noise = zip(*(batch_of(100 * seed + update) for seed in seeds), strict=True)
        agent.update(Batch(*map(torch.stack, zip(*columns, strict=True))), torch.stack(noise))
    return agent


def tensors_of(agent, n):
    state = agent.state_dict(n)
    flat = [tensor for name in sorted(state) if isinstance(state[name], list) for tensor in state[name]]
    return [t for tensor in flat for t in (tensor.values() if isinstance(tensor, dict) else [tensor])]


def test_a_seed_is_bit_for_bit_what_it_is_alone():
    together, images = updated(agent_of([3, 5, 0]), [3, 5, 0]), stacks(3)
    acted = together.act(images)
    for n, seed in enumerate([3, 5, 0]):
        alone = updated(agent_of([seed]), [seed])
        assert np.array_equal(alone.act(images[n : n + 1])[0], acted[n])
        for one, other in zip(tensors_of(together, n), tensors_of(alone, 0), strict=True):
            assert torch.equal(one, other)


def test_grouped_networks_as_on_other_devices_learn_the_same(monkeypatch):
    apart = updated(agent_of([3, 5]), [3, 5], 2)
    monkeypatch.setattr(rl.pixel_networks, "_groups", lambda count, device: [slice(0, count)])
    together = updated(agent_of([3, 5]), [3, 5], 2)
    for n in range(2):
        for one, other in zip(tensors_of(apart, n), tensors_of(together, n), strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_an_agent_goes_on_from_its_state():
    whole, half = updated(agent_of([3, 5]), [3, 5], 3), agent_of([3, 5])
    for n in range(2):
        half.load_state_dict(n, whole.state_dict(n))
    for n in range(2):
        for agent in (whole, half):
            agent.clear_diagnostics()
        for one, other in zip(
            tensors_of(updated(whole, [3, 5], 2), n), tensors_of(updated(half, [3, 5], 2), n), strict=True
        ):
            assert torch.equal(one, other)


def test_targets_follow_the_weights_and_copy_the_statistics():
    agent = agent_of([0], policy_freq=1)
    before = [tensor.clone() for tensor in agent.following]
    updated(agent, [0], 1)
    for old, new, followed in zip(before, agent.following, agent.followed, strict=True):
        torch.testing.assert_close(new, old + 0.1 * (followed - old))
    ours, targets = agent._statistics(), agent._statistics("target_")
    assert len(ours) == len(targets) == 2 * (3 + 3)
    for one, other in zip(ours, targets, strict=True):
        assert torch.equal(one, other) and one.unique().numel() > 1


def test_the_trunk_learns_from_the_critics_alone(monkeypatch):
    agent = updated(agent_of([0], policy_freq=1), [0], 1)
    without = agent_of([0], policy_freq=1)
    monkeypatch.setattr(without, "_update_actor", lambda batch: None)
    updated(without, [0], 1)
    for one, other in zip(agent.trunk.parameters(), without.trunk.parameters(), strict=True):
        assert torch.equal(one, other)
    fresh = agent_of([0])
    assert not any(torch.equal(a, b) for a, b in zip(agent.trunk.weights, fresh.trunk.weights, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(agent.actor.mlp.weights, fresh.actor.mlp.weights, strict=True))


def test_acting_neither_trains_nor_depends_on_what_is_beside():
    agent, images = updated(agent_of([0]), [0], 2), stacks(1)
    statistics = [tensor.clone() for tensor in agent._statistics()]
    assert np.array_equal(agent.act(images), agent.act(images))
    assert all(torch.equal(a, b) for a, b in zip(statistics, agent._statistics(), strict=True))
    assert not any(module.training for module in (agent.trunk, agent.actor, agent.target_trunk, agent.target_actor))


def test_the_critic_sees_the_action_as_wide_as_the_features():
    assert agent_of([0]).critic.mlp.weights[0].shape[1] == 512 + 512


# ---- scripts ----


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


def test_a_run_of_blocks_of_one_step_is_repeatable(train):
    """The first step's successor is not there yet when its block ends."""
    folders = []
    for name in ("a", "b"):
        folder, ran = train("Pixel-TD3", name=name, update_every=1, max_timesteps=12, eval_freq=6)
        assert ran.code == 0, ran.err
        folders.append(folder / "seed_0")
        stacks(2000)  # leaves a heap that is not clean
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
    assert ran.code == 2 and "--env_name ReacherVertical-v2" in ran.err and "use an environment like it" in ran.err


@every_method
def test_videos_are_recorded_of_what_a_policy_does(train, call, method):
    run, ran = train(method, render_freq=20)
    assert ran.code == 0, ran.err
    assert [path.stat().st_size > 0 for path in sorted((run / "seed_0" / "videos").glob("*.mp4"))] == [True, True]


def test_methods_from_pixels_are_evaluated_every_5000_steps_and_vae_and_pixel_td3_begin_at_random(monkeypatch):
    found = {}
    monkeypatch.setattr(rl.training.Experiment, "run", lambda self: found.update({self.method: self.args}))

    def init(self, args, *rest, **more):
        self.args, self.method = args, (rest[3] if len(rest) > 3 else args.policy_name)

    monkeypatch.setattr(rl.training.Experiment, "__init__", init)
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
    refuse("S-DynE-TD3", ["images of Dot-v0, not of DotShort-v0", "--env"], env="toy_pixel_envs:DotShort-v0")
    damaged = tmp_path / "encoder.pt"
    damaged.write_bytes((pixels / "encoder.pt").read_bytes()[:-100])
    refuse("SA-DynE-TD3", [str(damaged), "train it anew"], encoder=damaged)
    content = torch.load(pixels / "encoder.pt", weights_only=True)["content"]
    for change, words in (({"frames": 3}, ["of other images"]), ({"state_dim": 99}, ["not of this version"])):
        embedding.checkpoint.save(damaged, "pixel encoder", content | change)
        refuse("S-DynE-TD3", words, encoder=damaged)


def test_decoders_beside_the_encoder(refuse, train, tiny_images, tiny, tmp_path):
    pixels = tiny_images / "Dot-v0-pixels" / "default"
    alone = tmp_path / "encoder.pt"
    alone.write_bytes((pixels / "encoder.pt").read_bytes())
    refuse("SA-DynE-TD3", [f"--encoder {alone}", "name one with --decoder"], encoder=alone)
    reacher = tiny / "ReacherVertical-v2" / "default"
    refuse("SA-DynE-TD3", [f"--decoder {reacher}", "actions of 2 numbers", "Dot-v0 takes 1"], decoder=reacher)
    assert train("SA-DynE-TD3", encoder=alone, decoder=pixels)[1].code == 0


def test_a_run_is_not_resumed_with_another_encoder(train, tiny_images, call, tmp_path):
    other = tmp_path / "other"
    flags = {"decoder_epochs": 1, "decoder_batches": 4, "results_dir": other, "seed": 7}
    assert call(embedding.main_pixels.main, env=DOT, **TINY_IMAGES, **flags).code == 0
    moved = tmp_path / "encoder.pt"
    shutil.copy(tiny_images / "Dot-v0-pixels" / "default" / "encoder.pt", moved)
    assert train("S-DynE-TD3", max_timesteps=20, encoder=moved)[1].code == 0
    shutil.copy(other / "Dot-v0-pixels" / "default" / "encoder.pt", moved)
    ran = train("S-DynE-TD3", "--resume", encoder=moved)[1]
    assert ran.code == 2 and "what the policy is to see (embeddings of images, 100 wide)" in ran.err


def test_environments_and_policies_that_pixels_are_not_for(refuse, monkeypatch):
    refuse("Pixel-TD3", ["--env_name Pendulum-v1", "no pixels"], env="Pendulum-v1")
    refuse("Pixel-TD3", ["--env_name toy_envs:WalkShort-v0", "no pixels"], env="toy_envs:WalkShort-v0")
    refuse("S-DynE-TD3", ["--policy_name random", "without --pixels"], policy_name="random")
    refuse("SA-DynE-TD3", ["--policy_name random-DynE"], policy_name="random-DynE")
    refuse("Pixel-TD3", ["--source_img_width", "invalid choice"], source_img_width=100)


def test_sizes_that_are_too_small(refuse):
    refuse("Pixel-TD3", ["--batch_size 1: batch norm needs more rows: use at least 2"], batch_size=1)
    refuse("Pixel-TD3", ["--replay_size 5: stacks of frames need more", "use at least 6"], replay_size=5)


def test_flags_without_effect_are_refused(refuse, call, tmp_path):
    refuse("S-DynE-TD3", ["--decoder x: TD3 takes raw actions: leave it out"], decoder="x")
    refuse("S-DynE-TD3", [f"--source_env {DOT}: TD3 takes raw actions"], source_env=DOT)
    ran = call(DYNE, encoder="x", results_dir=tmp_path, env=DOT)
    assert ran.code == 2 and "--encoder x: states need no encoder: add --pixels" in ran.err
    assert listing(tmp_path) == {}


def test_images_beyond_memory(refuse):
    words = ["--replay_size: 1,000,000,000 rows of 1 seeds take 12", "GB", "free on cpu: use less"]
    refuse("Pixel-TD3", words, replay_size="1e9", max_timesteps="1e9")
    refuse("Pixel-TD3", ["--batch_size 1000000 of 1 seeds", "use less"], batch_size="1e6")


@pytest.mark.parametrize("replay_class", [Replay, FrameReplay])
@pytest.mark.parametrize(("replay_size", "steps"), [(10**6, 20_000), (10**6, 100_000), (5000, 100_000)])
def test_memory_that_is_counted_is_what_is_taken(replay_class, replay_size, steps):
    shape, width = {Replay: (100,), FrameReplay: (12, 64, 64)}[replay_class], 2
    capacity = replay_class.capacity_for(replay_size, steps + 100)
    row = replay_class.row_width(shape, width)
    full, growing, _ = replay_class.memory(steps, capacity, row, 100, 100)
    replay = replay_class(1, shape, width, capacity, CPU)
    if replay_class is Replay:
        taken = [replay.rows.nbytes]
        while replay.rows.shape[1] < min(capacity, steps):
            replay._grow()
            taken.append(replay.rows.nbytes)
        assert growing == sum(taken[-2:]) and full == min(capacity, steps) * 4 * row <= growing
    else:
        frames = min(steps + steps // 100, capacity)  # of episodes of 100 steps
        share = frames / capacity
        taken = share * (replay.frames.nbytes + replay.steps.nbytes + replay.first.nbytes + replay._numbers.nbytes)
        assert taken <= full == growing < 1.05 * taken


def test_images_beyond_the_disk(refuse, train, monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)
    rows = 40 * FrameReplay.row_width(None, 1) * 4
    monkeypatch.setattr(embedding.memory.shutil, "disk_usage", lambda _: usage._replace(free=rows - 1))
    refuse("Pixel-TD3", ["--replay_size: 40 rows of 1 seeds, kept for --resume, take 0.0 GB on the disk"])
    assert train("S-DynE-TD3")[1].code == 0  # its rows are small
    monkeypatch.setattr(embedding.memory.shutil, "disk_usage", lambda _: usage._replace(free=rows))
    assert train("Pixel-TD3", max_timesteps=20)[1].code == 0
    monkeypatch.setattr(embedding.memory.shutil, "disk_usage", lambda _: usage._replace(free=rows // 2 + 8192))
    assert train("Pixel-TD3", "--resume")[1].code == 0  # half of it is there


def test_without_opengl_pixels_are_refused(refuse, monkeypatch):
    def unavailable():
        raise UsageError("MUJOCO_GL: none")

    monkeypatch.setattr("embedding.pixel_envs.select_gl_backend", unavailable)
    refuse("Pixel-TD3", ["MUJOCO_GL: none"])
