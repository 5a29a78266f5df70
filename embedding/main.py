"""Trains the DynE action embedding and its decoder from states (paper, sections 2.2 and 3.1).

    python embedding/main.py --env ReacherVertical-v2

plays 100 000 random steps, trains the encoder e_a with the predictor f, then the decoder d_a, and writes
results/<env>/<name>/{encoder.pt, decoder.pt, opt.json, log.csv}.
"""

import csv
from pathlib import Path

import torch
from tqdm import tqdm

from embedding import checkpoint
from embedding.data import load_random_play, windows
from embedding.decoder import PRIOR_MAX_EMBEDDING, ActionDecoder, decoder_loss
from embedding.flags import (
    Parser,
    UsageError,
    add_common_flags,
    check_run_folders,
    choose_device,
    folder_name,
    folder_of,
    make_env,
    make_run_folder,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
    run,
    time_limit,
)
from embedding.models import ActionEncoder, Predictor, dyne_loss, sample_embedding
from embedding.streams import torch_stream


def parse(args=None):
    """Returns the flags of this script."""
    parser = Parser(__doc__.splitlines()[0])
    parser.add_argument("--env_name", "--env", default="ReacherVertical-v2", help="gymnasium id, or module:id")
    parser.add_argument("--name", type=folder_name, default="default", help="name of this embedding")
    parser.add_argument("--traj_len", type=positive_int, default=4, help="k, the number of actions in a sequence")
    parser.add_argument("--steps", type=positive_int, default=100_000, help="steps of random play")
    parser.add_argument("--epochs", type=non_negative_int, default=50, help="epochs of encoder and predictor")
    parser.add_argument("--epoch_size", type=positive_int, default=10_000, help="samples an epoch")
    parser.add_argument("--batch_size", type=positive_int, default=128, help="samples a batch")
    parser.add_argument("--lr", type=positive_float, default=1e-4, help="Adam's step size, all networks")
    parser.add_argument("--amsgrad", action="store_true", help="the AMSGrad variant of Adam (the release's)")
    parser.add_argument("--gamma", type=non_negative_float, default=1e-4, help="weight of the KL divergence of z_a")
    parser.add_argument("--no_state", action="store_true", help="f sees z_a alone, not s_t")
    parser.add_argument("--decoder_epochs", type=non_negative_int, default=10, help="epochs of the decoder")
    parser.add_argument("--decoder_batches", type=positive_int, default=1000, help="batches an epoch of the decoder")
    parser.add_argument("--norm", choices=["squared", "l2"], default="squared", help="form of the action norm")
    parser.add_argument("--norm_weight", type=non_negative_float, default=1.28e-2, help="weight of the norm a sample")
    parser.add_argument("--prior", action="store_true", help="decode z ~ N(0, I), not the encoder's marginal")
    add_common_flags(parser)
    return parser.parse_args(args)


def train_embedding(data, encoder, predictor, args, device, log):
    """Stage one, first half: e_a and f on windows of random play (section 2.2)."""
    states, targets = predictor.state_whitening(data.states), predictor.target(data.deltas)
    parameters = [*encoder.parameters(), *predictor.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=args.lr, amsgrad=args.amsgrad, fused=True)
    draws = torch_stream(args.seed, "embedding: batches and noise")
    batches = -(-args.epoch_size // args.batch_size)
    for epoch in tqdm(range(1, args.epochs + 1), desc="embedding", unit="epoch"):
        rows = torch.randint(len(states), (batches, args.batch_size), generator=draws).to(device)
        noise = torch.randn(batches, args.batch_size, encoder.action_dim, generator=draws).to(device)
        sums = torch.zeros(3, device=device)
        for row, epsilon in zip(rows, noise, strict=True):
            mu, log_variance = encoder(data.actions[row])
            prediction = predictor(states[row], sample_embedding(mu, log_variance, epsilon))
            loss, error, kl = dyne_loss(prediction, targets[row], mu, log_variance, args.gamma)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sums += torch.stack([loss.detach(), error, kl])
        log("embedding", epoch, *(sums / batches).tolist())


def embed_all(encoder, actions, batch=10_000):
    """mu_a of every window: actions (W, k, A) to (W, A)."""
    with torch.no_grad():
        return torch.cat([encoder(part)[0] for part in actions.split(batch)])


def train_decoder(data, encoder, decoder, args, device, log):
    """Stage one, second half: d_a against the frozen encoder (section 3.1)."""
    encoder.requires_grad_(False).eval()
    if not args.prior:
        embeddings = embed_all(encoder, data.actions)
        decoder.whitening.fit(embeddings)
        embeddings = decoder.whitening(embeddings)
        decoder.max_embedding = embeddings.abs().max().item()
    optimizer = torch.optim.Adam(decoder.parameters(), lr=args.lr, amsgrad=args.amsgrad, fused=True)
    draws = torch_stream(args.seed, "decoder: embeddings")
    shape = (args.decoder_batches, args.batch_size)
    for epoch in tqdm(range(1, args.decoder_epochs + 1), desc="decoder", unit="epoch"):
        if args.prior:
            batches = torch.randn(*shape, decoder.action_dim, generator=draws).to(device)
        else:
            batches = embeddings[torch.randint(len(embeddings), shape, generator=draws).to(device)]
        sums = torch.zeros(3, device=device)
        for z in batches:
            loss, reconstruction, norm = decoder_loss(decoder, encoder, z, args.norm, args.norm_weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sums += torch.stack([loss.detach(), reconstruction, norm])
        log("decoder", epoch, *(sums / args.decoder_batches).tolist())


def save_encoder(path, encoder, predictor, env_id):
    """Writes e_a and f as a checkpoint that is complete in itself."""
    content = {
        "k": encoder.k,
        "env_id": env_id,
        "use_state": predictor.use_state,
        "encoder": encoder.state_dict(),
        "predictor": predictor.state_dict(),
    }
    checkpoint.save(path, "encoder", content)


def main():
    args = parse()
    device = choose_device(args.device, args.threads)
    env = make_env(args.env_name, flag="--env")
    limit = time_limit(env)
    if args.traj_len > min(limit or args.steps, args.steps):
        raise UsageError(
            f"--traj_len {args.traj_len}: an episode of {args.env_name} has {limit or 'no more than --steps'} steps "
            f"(--steps {args.steps}): a sequence must fit into an episode"
        )
    folder = Path(args.results_dir).absolute() / folder_of(env.spec.id) / args.name
    check_run_folders([folder], args.overwrite)
    print(f"{env.spec.id}: embedding sequences of {args.traj_len} actions, on {device}, into {folder}")

    play = load_random_play(env, args.steps, args.seed, args.results_dir)
    data = windows(play, args.traj_len)
    make_run_folder(folder, vars(args))
    low, high = env.action_space.low, env.action_space.high
    state_dim = data.states.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_stream(args.seed, "embedding: initial weights").initial_seed())
        encoder = ActionEncoder(low, high, args.traj_len)
        predictor = Predictor(state_dim, encoder.action_dim, use_state=not args.no_state)
        decoder = ActionDecoder(low, high, args.traj_len, PRIOR_MAX_EMBEDDING, env.spec.id)
    predictor.state_whitening.fit(data.states)
    predictor.delta_whitening.fit(data.deltas)
    for module in (encoder, predictor, decoder):
        module.to(device)
    data.states, data.actions, data.deltas = (x.to(device) for x in (data.states, data.actions, data.deltas))

    with open(folder / "log.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["stage", "epoch", "loss", "error", "regulariser"])

        def log(*row):
            writer.writerow(row)
            file.flush()

        train_embedding(data, encoder, predictor, args, device, log)
        save_encoder(folder / "encoder.pt", encoder, predictor, env.spec.id)
        train_decoder(data, encoder, decoder, args, device, log)
        decoder.save(folder / "decoder.pt")
    with torch.no_grad():
        rest = encoder.normalise(decoder(torch.zeros(1, decoder.action_dim, device=device))).abs().max().item()
    print(f"decoder: max_embedding {decoder.max_embedding:.2f}, largest |d(0)| {rest:.3f} of the bounds; see log.csv")


if __name__ == "__main__":
    run(main)
