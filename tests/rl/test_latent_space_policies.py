"""The parts of SAC-LSP: densities of policies that are stacked, targets, the temperature."""

import numpy as np
import pytest
import torch
from torch.autograd.functional import jacobian

from rl.latent_space_policies import LatentPolicy, PolicyStack, SoftActorCritic

S, A, B = 5, 3, 7
CPU = torch.device("cpu")


def policy_of(squash, action_dim=A):
    """A policy that is far from the identity."""
    torch.manual_seed(0)
    policy = LatentPolicy(S, action_dim, squash).double()
    for coupling in policy.couplings:
        torch.nn.init.normal_(coupling.layers[-1].weight, std=0.1)
    return policy


def inputs(action_dim=A):
    generator = torch.Generator().manual_seed(1)
    return (torch.randn(B, width, generator=generator, dtype=torch.float64) for width in (action_dim, S))


@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize("action_dim", [1, 2, 3])
def test_the_density_of_an_action_is_that_of_its_latent_over_the_volume(squash, action_dim):
    policy, (h, state) = policy_of(squash, action_dim), inputs(action_dim)
    action, log_density = policy(h, state)
    for b in range(B):
        change = jacobian(lambda x, b=b: policy(x[None], state[b][None])[0][0], h[b])
        normal = torch.distributions.Normal(0.0, 1.0).log_prob(h[b]).sum()
        assert log_density[b].item() == pytest.approx((normal - change.det().abs().log()).item(), abs=1e-6)
        assert not torch.allclose(change, torch.diag(change.diagonal())) or action_dim == 1
    if squash:
        assert action.abs().max() < 1


def test_a_new_policy_passes_its_latents_on():
    h, state = inputs()
    assert torch.equal(LatentPolicy(S, A, False).double()(h, state)[0], h)
    stack = PolicyStack(S, [-1, -2, -3], [1, 2, 3], CPU)
    stack.add()
    states, latents = np.float32(state.numpy()), np.float32(h.numpy())
    chosen, raw = stack.act(states, latents)
    np.testing.assert_allclose(chosen, np.tanh(latents), rtol=1e-5)
    np.testing.assert_allclose(raw, np.tanh(latents) * [1, 2, 3], rtol=1e-5)
    below = stack.policies[0]
    stack.add()
    again, same = stack.act(states, latents)
    np.testing.assert_allclose(again, latents, rtol=1e-6)  # what the upper policy chooses are the lower one's latents
    np.testing.assert_allclose(same, raw, rtol=1e-5)
    assert not any(p.requires_grad for p in below.parameters())
    assert [policy.squash for policy in stack.policies] == [True, False]


@pytest.mark.parametrize("squash", [True, False])
def test_targets_are_those_of_soft_actor_critic(monkeypatch, squash):
    policy = policy_of(squash).float()

    def relative(action, log_density):  # an upper policy's density is relative to its prior
        normal = torch.distributions.Normal(0.0, 1.0).log_prob(action).sum(1)
        return action, log_density if squash else log_density - normal

    agent = SoftActorCritic(policy, S, CPU, torch.Generator().manual_seed(3))
    with torch.no_grad():
        agent.log_alpha.fill_(-0.7)
    rng = torch.Generator().manual_seed(4)
    state, following = torch.randn(2, B, S, generator=rng)
    action, reward = torch.rand(B, A, generator=rng), torch.randn(B, generator=rng)
    terminated = torch.tensor([0.0, 1.0] * 4)[:B]
    seen = []
    monkeypatch.setattr(agent, "_step", lambda index, loss: seen.append(loss.item()))
    h = torch.randn(B, A, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        chosen, log_density = relative(*policy(h, following))
        q = torch.stack([twin(torch.cat([following, chosen], 1)).squeeze(1) for twin in agent.target_critic.twins])
        soft = torch.minimum(q[0], q[1]) - np.exp(-0.7) * log_density
        wanted = reward + 0.99 * torch.where(terminated == 1, 0.0, soft)
        literal = [
            np.mean(
                [
                    (twin(torch.cat([s, a])).item() - y.item()) ** 2
                    for s, a, y in zip(state, action, wanted, strict=True)
                ]
            )
            for twin in agent.critic.twins
        ]
    agent.update(state, action, reward, following, terminated)
    assert seen[0] == pytest.approx(sum(literal), rel=1e-4)
    noise = torch.Generator().manual_seed(3)
    h = [torch.randn(B, A, generator=noise) for _ in range(2)][1]
    with torch.no_grad():
        chosen, log_density = relative(*policy(h, state))
        q = torch.stack([twin(torch.cat([state, chosen], 1)).squeeze(1) for twin in agent.critic.twins])
        assert seen[1] == pytest.approx((np.exp(-0.7) * log_density - q.amin(0)).mean().item(), rel=1e-4)
        assert seen[2] == pytest.approx(0.7 * (log_density - A).mean().item(), rel=1e-4)


def test_the_temperature_moves_towards_an_entropy_of_minus_the_number_of_actions():
    for squash_towards, sign in ((0.0, -1), (-4.0, 1)):  # a wide policy is too random, a narrow one not random enough
        policy = LatentPolicy(S, A, False)
        with torch.no_grad():
            for coupling in policy.couplings:
                coupling.layers[-1].bias[:A] = squash_towards
        agent = SoftActorCritic(policy, S, CPU, torch.Generator().manual_seed(0))
        state = torch.randn(64, S)
        agent.update(state, torch.zeros(64, A), torch.zeros(64), state, torch.ones(64))
        assert np.sign(agent.log_alpha.item()) == sign
