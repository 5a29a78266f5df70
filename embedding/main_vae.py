"""Trains a variational autoencoder of single frames: the states of VAE-TD3, the baseline of section 5.3.

    python embedding/main_vae.py --env ReacherVertical-v2

draws 100 000 random steps, or reads what embedding/main_pixels.py drew, and writes
results/<env>-vae/<name>/{encoder.pt, opt.json, log.csv, render/}. A frame's encoding is 25 wide; a policy sees those of
the four newest frames. Columns of log.csv: as those of the stage `pixels` of embedding/main_pixels.py.
"""

import torch

from common.cli import Parser, add_common_flags, positive_int, run
from common.devices import choose_device, choose_precision
from common.environments import make_env
from common.memory import require_memory
from common.paths import embedding_run
from common.run_folder import RunFolder
from common.streams import torch_stream
from embedding.image_training import COLUMNS, ImageTraining, add_image_flags, frames_near, memory_parts
from embedding.models import sample_embedding
from embedding.pixel_models import VAE, VAE_DIM, ImageDecoder, ImageEncoder, pixel_loss, save_vae
from embedding.pixel_play import load_pixel_play, take_frames
from embedding.training import Training


def parse(args=None):
    """Returns the flags of this script."""
    parser = Parser(__doc__.splitlines()[0])
    add_image_flags(parser)
    parser.add_argument("--state_dim", type=positive_int, default=VAE_DIM, help="width of a frame's encoding")
    add_common_flags(parser)
    return parser.parse_args(args)


class VAETraining(ImageTraining):
    """Trains a VAE on frames: one in, the same one out; see `ImageTraining`.

    Args:
        frames: (F, 3, 64, 64) uint8.
        vae: `VAE`, whose networks are trained.
        args, folder, device: as in `ImageTraining`.
    """

    name = "vae"

    def __init__(self, frames, vae, args, folder, device):
        self.frames, self.vae, self.path = frames, vae, folder / "encoder.pt"
        modules = {"encoder": vae.encoder, "decoder": vae.decoder}
        super().__init__(modules, len(frames), vae.encoder.width, args, folder, device)

    def _batch(self, rows):
        return take_frames(self.frames, rows).to(self.device)

    def _loss(self, rows, noise, weight):
        frames = self._batch(rows)
        with self.precision():
            mu, log_variance = self.vae.encoder(frames)
            logits = self.vae.decoder(sample_embedding(mu, log_variance, noise))
        regularised = [(mu, log_variance, self.args.beta * weight)]
        loss, error, (divergence,) = pixel_loss(logits, frames[:, None], self.args.likelihood, regularised)
        return loss, error, divergence

    def _reconstructions(self, rows):
        frames = self._batch(rows)
        with self.precision():
            logits = self.vae.decoder(self.vae.encoder(frames)[0])
        return frames[:, None], frames[:, None], torch.sigmoid(logits)

    def _samples(self, noise):
        with self.precision():
            return torch.sigmoid(self.vae.decoder(noise))

    def _observations(self, rows):
        return self._batch(rows)[:, None]

    def finish(self):
        """Writes encoder.pt."""
        save_vae(self.path, self.vae)


def main():
    args = parse()
    device = choose_device(args.device, args.threads)
    args.precision = choose_precision(args.precision, device)
    env_id = make_env(args.env_name, flag="--env").spec.id
    folder = RunFolder(embedding_run(args.results_dir, env_id, args.name, "vae"), "embedding run")
    folder.check(args.resume, args.overwrite)
    if args.resume:
        folder.check_resume(vars(args), "encoder.pt")
    state_dim = {f"networks for --state_dim {args.state_dim}": 16 * 3 * 400 * args.state_dim}
    require_memory(memory_parts(args, args.state_dim) | state_dim, device)
    print(f"{env_id}: VAE of frames, {args.precision}, on {device}, into {folder.path}")

    play = load_pixel_play(
        args.env_name, args.steps, args.seed, args.results_dir, source_img_width=args.source_img_width
    )
    folder.lock(empty=not (args.resume or args.overwrite))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_stream(args.seed, "vae: initial weights").initial_seed())
        networks = ImageEncoder(3, args.state_dim), ImageDecoder(args.state_dim, 1)
    vae = VAE(*(module.to(device) for module in networks), env_id, args.source_img_width)
    frames = frames_near(play.frames, device)
    training = Training(folder, [VAETraining(frames, vae, args, folder.path, device)], vars(args), COLUMNS)
    if training.start():
        print(f"{folder.path} is finished: nothing is left to do")
        return
    training.run(args.checkpoint_freq)


if __name__ == "__main__":
    run(main)
