"""TD3 and DynE-TD3: their targets, gradients and schedules, and that they learn."""

import gymnasium
import numpy as np
import pytest
import torch
import toy_envs

import embedding.main
import rl.main_dyne
import rl.main_td3
from common.mlp import row_length
from embedding.decoder import ActionDecoder
from rl.action_spaces import DynEActions, RawActions
from rl.dyne_td3 import DynETD3
from rl.evaluation import play
from rl.policies import load_policy, seed_folders
from rl.replay import Batch
from rl.td3 import TD3

pytestmark = pytest.mark.quick

S, A, SEEDS, B = 7, 2, (3, 0), 10
LOW, HIGH = np.array([-1, -2], np.float32), np.array([3, 2], np.float32)


def raw_actions():
    return RawActions(LOW, HIGH)


def dyne_actions():
    return DynEActions(ActionDecoder(LOW, HIGH, k=4, max_embedding=2.5), LOW, HIGH)


SPACES = {TD3: raw_actions, DynETD3: dyne_actions}
both = pytest.mark.parametrize("agent_class", SPACES)


def make(agent_class, *, state_dim=S, lr=1e-3, tau=0.1, policy_noise=0.5, noise_clip=0.4, policy_freq=2):
    """An agent whose targets are not its networks, as if it had trained for long."""
    flags = {"lr": lr, "tau": tau, "policy_noise": policy_noise, "noise_clip": noise_clip, "policy_freq": policy_freq}
    agent = agent_class((state_dim,), SPACES[agent_class](), SEEDS, torch.device("cpu"), **flags)
    for target in (agent.target_actor.mlp, *agent.target_critics):
        target.rows += 0.05 * torch.randn_like(target.rows)
    return agent


def target_of(agent, batch, noise):
    return agent.target_value(batch.reward, batch.discount, batch.next_state, noise)


def update(agent, batch, noise):
    agent.update([batch], noise[None])


def batch_of(seed=0):
    rng = np.random.default_rng(seed)
    columns = [rng.standard_normal((len(SEEDS), B, width)) for width in (S, A, 1, 1, 1, S)]
    columns[2] = rng.integers(0, 4, columns[2].shape)
    columns[4] = rng.choice([0.0, 0.99, 0.99**3], columns[4].shape)
    return Batch(*(torch.tensor(column, dtype=torch.float32) for column in columns))


def noise_of(seed=0):
    return torch.randn(len(SEEDS), B, A, generator=torch.Generator().manual_seed(seed))


def network(mlp, m, x):
    """Network `m` of an `MLP` for one sample, in float64: a list of numbers to a list of numbers."""
    x = np.array(x, dtype=np.float64)
    for layer, (weight, bias) in enumerate(mlp.layers(mlp.rows[m])):
        x = x @ weight.double().numpy() + bias.double().numpy()
        x = np.maximum(x, 0) if layer < 2 else x
    return x.tolist()


def literal_critic(agent, critics, n, twin, state, action, step):
    """Q(s, a) with the action repeated, or Q(s, z, i) with z and i repeated; floats."""
    end = [*action, step] if isinstance(agent, DynETD3) else action
    repeats = max(1, int(0.5 * len(state) // len(end)))
    return network(critics[twin], n, [*state, *(end * repeats)])[0]


def literal_action(agent, actor, n, state):
    outputs = network(actor.mlp, n, state)
    space = agent.actions
    return [c + s * np.tanh(x) for c, s, x in zip(space.center.tolist(), space.scale.tolist(), outputs, strict=True)]


# ---- targets ----


@both
def test_targets_are_those_of_a_loop_over_samples(agent_class):
    agent, batch, noise = make(agent_class), batch_of(), noise_of()
    low, high = agent.actions.policy_low.tolist(), agent.actions.policy_high.tolist()
    found = target_of(agent, batch, noise)
    assert found.shape == (len(SEEDS), B, 1)
    clipped = []
    for n in range(len(SEEDS)):
        for row in range(B):
            state = batch.next_state[n, row].tolist()
            action = literal_action(agent, agent.target_actor, n, state)
            for d in range(A):
                epsilon = min(max(noise[n, row, d].item() * 0.5, -0.4), 0.4)
                action[d] = min(max(action[d] + epsilon, low[d]), high[d])
                clipped.append(abs(epsilon) == 0.4)
            q1, q2 = (literal_critic(agent, agent.target_critics, n, twin, state, action, 0) for twin in (0, 1))
            y = batch.reward[n, row].item() + batch.discount[n, row].item() * min(q1, q2)
            assert found[n, row, 0].item() == pytest.approx(y, rel=1e-4, abs=1e-5)
    assert any(clipped) and not all(clipped)


@both
def test_nothing_is_expected_after_termination(agent_class):
    agent, batch = make(agent_class), batch_of()
    terminated = batch._replace(discount=torch.zeros_like(batch.discount))
    assert torch.equal(target_of(agent, terminated, noise_of()), batch.reward)


@both
def test_target_actions_are_clipped_to_the_policys_bounds(agent_class):
    agent = make(agent_class, policy_noise=1e6, noise_clip=1e6)
    seen = []
    agent.target_critics[0].forward = lambda x: (seen.append(x) or torch.zeros(len(SEEDS), B, 1), None)
    target_of(agent, batch_of(), noise_of())
    actions = seen[0][..., S : S + A]
    low, high = (torch.as_tensor(bound) for bound in (agent.actions.policy_low, agent.actions.policy_high))
    assert ((actions == low) | (actions == high)).all()


def test_the_bounds_of_the_policy_are_those_of_its_actions():
    space = dyne_actions()
    assert (space.policy_low == -2.5).all() and (space.policy_high == 2.5).all()
    assert (space.noise_unit, space.target_noise_unit) == (2.5, 2.5 / 4)
    skewed, wide = raw_actions(), RawActions([-10, -1], [10, 1])
    assert (skewed.policy_low == LOW).all() and (skewed.policy_high == HIGH).all()
    assert wide.scale.tolist() == [10, 10] and wide.policy_high.tolist() == [10, 1]
    assert (skewed.noise_unit, wide.target_noise_unit) == (1, 1)


# ---- inputs of the critic ----


@pytest.mark.parametrize("state_dim", [1, 2, 4, 7, 11, 14, 23, 100])
@both
def test_actions_are_repeated_to_about_half_the_width_of_the_state(agent_class, state_dim):
    agent = make(agent_class, state_dim=state_dim)
    width = A + 1 if agent_class is DynETD3 else A
    repeats = max(1, int(np.floor(0.5 * state_dim / width)))
    assert all(critic.widths[0] == state_dim + repeats * width for critic in agent.critics)
    state, action, step = torch.ones(2, 3, state_dim), torch.full((2, 3, A), 2.0), torch.full((2, 3, 1), 3.0)
    end = [2.0] * A + [3.0] * (width - A)
    assert agent.critic_input(state, action, step)[1, 2].tolist() == [1.0] * state_dim + end * repeats


# ---- updates ----


def linear_network(mlp, m):
    """Network `m` of an `MLP` as ordinary layers with copies of its weights."""
    layers = []
    for weight, bias in mlp.layers(mlp.rows[m]):
        layer = torch.nn.Linear(*weight.shape)
        layer.load_state_dict({"weight": weight.T, "bias": bias})
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def literal_updates(agent, batches, n, lr=1e-3, tau=0.1):
    """TD3 as in the paper, for seed index n, on ordinary layers: its actor and its two critics after `batches`."""
    actor, *critics = (linear_network(mlp, n) for mlp in (agent.actor.mlp, *agent.critics))
    old_actor, *old_critics = (linear_network(mlp, n) for mlp in (agent.target_actor.mlp, *agent.target_critics))
    center, scale = torch.as_tensor(agent.actions.center), torch.as_tensor(agent.actions.scale)
    low, high = torch.as_tensor(agent.actions.policy_low), torch.as_tensor(agent.actions.policy_high)
    actor_adam = torch.optim.Adam(actor.parameters(), lr)
    critic_adam = torch.optim.Adam([p for critic in critics for p in critic.parameters()], lr)

    def q(critic, state, action, step):
        return critic(agent.critic_input(state, action, step))

    for update, (batch, noise) in enumerate(batches, start=1):
        state, action, step, reward, discount, after = (column[n] for column in batch)
        begin = torch.zeros_like(step)
        with torch.no_grad():
            epsilon = (noise[n] * 0.5).clamp(-0.4, 0.4)
            chosen = torch.minimum(torch.maximum(center + scale * old_actor(after).tanh() + epsilon, low), high)
            y = reward + discount * torch.minimum(*(q(critic, after, chosen, begin) for critic in old_critics))
        critic_adam.zero_grad()
        sum(torch.nn.functional.mse_loss(q(critic, state, action, step), y) for critic in critics).backward()
        critic_adam.step()
        if update % 2 == 0:
            actor_adam.zero_grad()
            (-q(critics[0], state, center + scale * actor(state).tanh(), begin).mean()).backward()
            actor_adam.step()
            for old, new in ((old_actor, actor), *zip(old_critics, critics, strict=True)):
                for target, parameter in zip(old.parameters(), new.parameters(), strict=True):
                    target.data += tau * (parameter.data - target.data)
    return actor, critics


@both
def test_updates_are_those_of_ordinary_layers(agent_class):
    """The critics descend the errors of both; the actor climbs the first, at i = 0 of every sampled state."""
    agent, before = make(agent_class), make(agent_class)
    batches = [(batch_of(seed), noise_of(seed)) for seed in range(8)]
    assert all((batch.plan_step > 0).any() for batch, _ in batches)
    literal = [literal_updates(agent, batches, n) for n in range(len(SEEDS))]
    agent.update([batch for batch, _ in batches], torch.stack([noise for _, noise in batches]))
    for mlp, old, own in zip(networks(agent)[:3], networks(before)[:3], range(3), strict=True):
        x = torch.randn(len(SEEDS), 50, mlp.widths[0])
        found, was = mlp.forward(x)[0], old.forward(x)[0]
        for n, (actor, critics) in enumerate(literal):
            torch.testing.assert_close(found[n], (actor, *critics)[own](x[n]), atol=1e-3, rtol=1e-3)
            assert (found[n] - was[n]).abs().mean() > (0.05 if own else 0.01)


def networks(agent):
    """Actor and both critics, then their targets."""
    return agent.actor.mlp, *agent.critics, agent.target_actor.mlp, *agent.target_critics


@both
@pytest.mark.parametrize("freq", [1, 2, 3])
def test_updates_at_once_are_updates_one_by_one(agent_class, freq):
    """The values of several batches are computed at once as long as the targets stand still, wherever a block begins."""
    batches = [(batch_of(seed), noise_of(seed)) for seed in range(7)]
    together, apart = make(agent_class, policy_freq=freq), make(agent_class, policy_freq=freq)
    for theirs, ours in zip(networks(apart), networks(together), strict=True):
        theirs.rows.copy_(ours.rows)
    for block in (batches[:3], batches[3:]):
        together.update([batch for batch, _ in block], torch.stack([noise for _, noise in block]))
    for batch, noise in batches:
        update(apart, batch, noise)
    for theirs, ours in zip(networks(apart), networks(together), strict=True):
        torch.testing.assert_close(theirs.rows, ours.rows, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("freq", [1, 2, 3])
@both
def test_actor_and_targets_move_at_every_policy_freqth_update(agent_class, freq):
    agent, batch, noise = make(agent_class, policy_freq=freq), batch_of(), noise_of()
    for number in range(1, 7):
        before = [mlp.rows.clone() for mlp in networks(agent)]
        update(agent, batch, noise)
        moved = [not torch.equal(mlp.rows, rows) for mlp, rows in zip(networks(agent), before, strict=True)]
        assert moved == ([True] * 6 if number % freq == 0 else [False, True, True, False, False, False])
        if number % freq:
            continue
        for online, target, was in zip(networks(agent)[:3], networks(agent)[3:], before[3:], strict=True):
            torch.testing.assert_close(target.rows, was + 0.1 * (online.rows - was))


@both
def test_targets_begin_as_copies(agent_class):
    flags = {"lr": 1e-3, "tau": 0.1, "policy_noise": 0.5, "noise_clip": 0.4, "policy_freq": 2}
    agent = agent_class((S,), SPACES[agent_class](), SEEDS, torch.device("cpu"), **flags)
    for online, target in zip(networks(agent)[:3], networks(agent)[3:], strict=True):
        assert torch.equal(online.rows, target.rows) and online.rows.data_ptr() != target.rows.data_ptr()


@both
def test_diagnostics_are_means_over_the_updates_of_a_block(agent_class):
    agent, batch, noise = make(agent_class, lr=0.0), batch_of(), noise_of()
    inputs = seen = agent.critic_input(batch.state, batch.action, batch.plan_step)
    errors = [critic.forward(inputs)[0] - target_of(agent, batch, noise) for critic in agent.critics]
    losses = sum(error.square().mean((1, 2)) for error in errors)
    inputs = agent.critic_input(batch.state, agent.actor(batch.state), torch.zeros(len(SEEDS), B, 1))
    first = agent.critics[0].forward(inputs)[0].mean((1, 2))
    found = torch.stack([critic.forward(seen)[0] for critic in agent.critics])  # (2, N, B, 1)
    assert all(np.isnan(value) for row in agent.diagnostics() for value in row.values())
    update(agent, batch, noise)
    agent.clear_diagnostics()
    agent.tau = 0.0  # with the learning rate 0, every update is the same
    for _ in range(4):
        update(agent, batch, noise)
    for n, row in enumerate(agent.diagnostics()):
        assert row["critic_loss"] == pytest.approx(losses[n].item(), rel=1e-4)
        assert row["value"] == pytest.approx(first[n].item(), rel=1e-4) and row["actor_loss"] == -row["value"]
        assert row["q_min"] == pytest.approx(found[:, n].min().item(), rel=1e-4)
        assert row["q_max"] == pytest.approx(found[:, n].max().item(), rel=1e-4)


# ---- acting and learning ----


@both
def test_acting_is_the_actor_without_noise(agent_class):
    agent = make(agent_class)
    states = np.random.default_rng(0).standard_normal((len(SEEDS), S)).astype(np.float32) * 100
    actions = agent.act(states)
    assert actions.dtype == np.float32 and np.array_equal(actions, agent.act(states))
    for n in range(len(SEEDS)):
        np.testing.assert_allclose(actions[n], literal_action(agent, agent.actor, n, states[n].tolist()), atol=1e-4)


def best_return(seed):
    """Of an episode of Walk: straight to the origin."""
    env = gymnasium.make("toy_envs:Walk-v0")
    position, total = env.reset(seed=seed)[0], 0.0
    for _ in range(6):
        position = position + toy_envs.STEP * np.clip(-position / toy_envs.STEP, -1, 1)
        total -= np.square(position).sum()
    return total


@pytest.mark.parametrize("method", ["TD3", "DynE-TD3"])
@pytest.mark.slow
def test_walking_to_the_origin_is_learned(tmp_path, call, method):
    main, flags = rl.main_td3.main, {"env_name": "toy_envs:Walk-v0", "results_dir": tmp_path}
    if method == "DynE-TD3":
        main, size = rl.main_dyne.main, {"steps": 3000, "epochs": 2, "epoch_size": 5000}
        decoder = {"lr": 1e-3, "decoder_epochs": 1, "decoder_batches": 300}
        assert call(embedding.main.main, traj_len=2, **size, **decoder, **flags).code == 0
    training = {"max_timesteps": 700, "start_timesteps": 100, "update_every": 6, "batch_size": 64}
    ran = call(main, num_seeds=2, eval_episodes=1, **training, **flags)
    assert ran.code == 0, ran.err

    env, starts = gymnasium.make("toy_envs:Walk-v0"), range(30)
    best = np.mean([best_return(seed) for seed in starts])
    assert -0.6 < best < -0.2  # standing still: -4
    for folder in seed_folders(tmp_path / "rl" / "Walk-v0" / method / "default"):
        learned = np.mean([play(load_policy(folder), env, seed) for seed in starts])
        assert best - 0.5 < learned <= best


@both
@pytest.mark.parametrize("state_dim", [3, 50])
def test_weights_are_counted_as_they_are_made(agent_class, state_dim):
    agent = make(agent_class, state_dim=state_dim)
    made = sum(row_length(widths) for widths in agent.networks().values())
    assert agent_class.count_weights((state_dim,), agent.actions.dim) == made
