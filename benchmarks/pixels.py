"""What pixels cost: frames drawn, averaged, written and read, and training on them in both precisions.

    python benchmarks/pixels.py

Random play is drawn as embedding/main_pixels.py does it, by all cores; without OpenGL, noise stands for its frames, and
nothing is said of drawing. Averaging a drawn image to a frame is compared with numpy's mean, reading a batch with
training on it, an epoch in bfloat16 with one in float32.
"""

import contextlib
import os
import tempfile
import time
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import numpy as np
import torch
from measure import Report, add_report_flags, alternate, ratio, temporary_folder
from torch.utils.flop_counter import FlopCounterMode

import embedding.main_pixels
import embedding.main_vae
from common.cli import Parser, add_env_flag, positive_int, run
from common.devices import choose_device, choose_precision
from common.environments import make_env
from common.machine import usable_cores
from common.pixel_environments import make_pixel_env
from embedding.models import ActionEncoder
from embedding.pixel_models import VAE, VAE_DIM, ImageDecoder, ImageEncoder, PixelEmbedding, PixelPredictor
from embedding.pixel_play import PixelPlay, PixelWindows, load_pixel_play
from embedding.pixel_training import PixelTraining, VAETraining, frames_near
from embedding.play_drawing import draw_episode
from envs.pixels import FRAMES, SIZE, SOURCE_WIDTH, to_frame
from envs.rendering import RenderingUnavailable, select_gl_backend

FULL = 100_000  # steps of random play of a full run
EPOCH = 10_000  # samples of an epoch of a full run
PRECISIONS = ("fp32", "bf16")


def parse():
    """Returns the flags of this script."""
    parser = Parser(__doc__)
    add_env_flag(parser)
    parser.add_argument("--steps", type=positive_int, default=20_000, help="steps of random play that are drawn")
    parser.add_argument("--episodes", type=positive_int, default=3, help="episodes that one process draws a round")
    parser.add_argument("--batch_size", type=positive_int, default=128, help="samples a batch")
    parser.add_argument("--batches", type=positive_int, default=16, help="batches of training a round")
    parser.add_argument("--threads", type=positive_int, default=1, help="torch threads")
    parser.add_argument("--rounds", type=positive_int, default=5, help="rounds that medians are taken over")
    add_report_flags(parser)
    return parser.parse_args()


# ---- drawing ----


def drawn(args, report):
    """Random play that all cores have drawn, and what is to be said of drawing."""
    with temporary_folder(args.results_dir) as folder, quiet():
        begin = time.monotonic()
        play = load_pixel_play(args.env_name, args.steps, 0, folder)
        together = args.steps / (time.monotonic() - begin)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        play.frames = play.frames.clone()  # the folder goes
    contestants = {}
    for width in (SOURCE_WIDTH, SIZE):
        env = make_pixel_env(args.env_name, width)
        parts = np.split(play.actions, np.cumsum(play.lengths)[:-1])[: args.episodes]

        def draw(env=env, parts=parts):
            for episode, actions in enumerate(parts):
                draw_episode(env, 0, episode, actions)

        contestants[width] = (sum(len(actions) + 1 for actions in parts), draw)
    rates = alternate(contestants, args.rounds)
    report.table(
        f"{args.env_name}, {args.steps:,} steps",
        ["", "frames a second", "x one process at the same width"],
        [
            *[[f"one process, {w} x {w} drawn", float(np.median(rate)), 1.0] for w, rate in rates.items()],
            [
                f"{usable_cores()} processes, {SOURCE_WIDTH} x {SOURCE_WIDTH} drawn, with their start, written to disk",
                together,
                together / float(np.median(rates[SOURCE_WIDTH])),
            ],
        ],
    )
    report.claim(f"minutes for {FULL:,} steps", FULL / together / 60, most=4)
    report.claim(f"GB on the disk for {FULL:,} steps", size / args.steps * FULL / 1e9, most=1.3)
    return play


def noise(args):
    """Random play whose frames are noise."""
    env, rng = make_env(args.env_name), np.random.default_rng(0)
    lengths = np.full(-(-args.steps // 100), 100)
    rows, (low, high) = int((lengths + 1).sum()), (env.action_space.low, env.action_space.high)
    actions = rng.uniform(low, high, (int(lengths.sum()), len(low))).astype(np.float32)
    frames = torch.from_numpy(rng.integers(0, 256, (rows, 3, SIZE, SIZE), dtype=np.uint8))
    return PixelPlay(np.zeros((rows, 1)), actions, lengths, frames, np.zeros((rows, 1)))


@contextlib.contextmanager
def quiet():
    """Without progress bars."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):
        yield


# ---- averaging, reading, training ----


def trainings(args, play, data, folder, device):
    """{(model, precision): a training on `device` with an epoch of `--batches` batches}."""
    space, frames = make_env(args.env_name).action_space, frames_near(play.frames, device)
    data.frames = frames
    made, line = (
        {},
        ["--batch_size", args.batch_size, "--epoch_size", args.batches * args.batch_size, "--render_freq", 0],
    )
    for precision in PRECISIONS:
        torch.manual_seed(0)
        words = [*map(str, line), "--precision", precision]
        flags = embedding.main_pixels.parse(words)
        encoder = ActionEncoder(space.low, space.high, flags.traj_len)
        state_encoder, predictor = ImageEncoder(3 * FRAMES, flags.state_dim), PixelPredictor(100, encoder.action_dim)
        networks = (module.to(device) for module in (state_encoder, encoder, predictor))
        model = PixelEmbedding(*networks, flags.traj_len, args.env_name, SOURCE_WIDTH)
        made["DynE", precision] = PixelTraining(data, model, flags, Path(folder), device)
        networks = (module.to(device) for module in (ImageEncoder(3, VAE_DIM), ImageDecoder(VAE_DIM, 1)))
        vae, flags = VAE(*networks, args.env_name, SOURCE_WIDTH), embedding.main_vae.parse(words)
        made["VAE", precision] = VAETraining(frames, vae, flags, Path(folder), device)
    return made


def operations(training, batch):
    """Floating-point operations of a sample of a training, forward and backward."""
    rows = torch.zeros(batch, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        training._loss(rows, torch.zeros(batch, training.width), 1.0)[0].backward()
    return counter.get_total_flops() / batch


def main():
    args = parse()
    device = choose_device("cpu", args.threads)
    report = Report("Pixels", args.out)
    try:
        select_gl_backend()
        play = drawn(args, report)
    except RenderingUnavailable as error:
        print(f"nothing is drawn: {error}")
        play = noise(args)
    data, generator = PixelWindows(play, 4), torch.Generator().manual_seed(0)
    image = np.random.default_rng(0).integers(0, 256, (SOURCE_WIDTH, SOURCE_WIDTH, 3), dtype=np.uint8)
    factor = SOURCE_WIDTH // SIZE
    blocks = image.reshape(SIZE, factor, SIZE, factor, 3)

    def read():
        for _ in range(args.batches):
            data.batch(torch.randint(len(data), (args.batch_size,), generator=generator))

    averages = alternate(
        {
            "Pillow": (50, lambda: [to_frame(image) for _ in range(50)]),
            "numpy": (50, lambda: [np.rint(blocks.mean((1, 3))).astype(np.uint8) for _ in range(50)]),
        },
        args.rounds,
    )
    samples = args.batches * args.batch_size
    with tempfile.TemporaryDirectory() as folder:
        made = trainings(args, play, data, folder, device)
        counts = {name: operations(training, args.batch_size) for name, training in made.items()}
        epochs = {name: (samples, training.run_epoch) for name, training in made.items()}
        rates = alternate({"read": (samples, read), **epochs}, args.rounds)
    chosen = choose_precision("auto", device)
    other = next(name for name in PRECISIONS if name != chosen)
    milliseconds = {name: 1e3 / float(np.median(rate)) for name, rate in averages.items()}
    report.table(
        f"Averaging {SOURCE_WIDTH} x {SOURCE_WIDTH} to {SIZE} x {SIZE}",
        ["", "ms an image", "x numpy"],
        [[name, ms, ratio(averages[name], averages["numpy"])] for name, ms in milliseconds.items()],
    )
    report.table(
        f"Training, batches of {args.batch_size}, {args.threads} threads; reading: {np.median(rates['read']):,.0f} a second",
        ["", "", "samples a second", f"s an epoch of {EPOCH:,}", "x fp32", "GFLOP a sample", "GFLOP/s"],
        [
            [
                model,
                precision,
                float(np.median(rates[model, precision])),
                EPOCH / float(np.median(rates[model, precision])),
                ratio(rates[model, precision], rates[model, "fp32"]),
                counts[model, precision] / 1e9,
                counts[model, precision] / 1e9 * float(np.median(rates[model, precision])),
            ]
            for model, precision in sorted(made, key=lambda case: case[0])
        ],
    )
    report.claim("Pillow's averages against numpy's", ratio(averages["Pillow"], averages["numpy"]), least=5)
    report.claim("share of reading in training, %", 100 * ratio(rates["DynE", chosen], rates["read"]), most=5)
    report.claim(
        f"{chosen}, which --precision auto takes, against {other}",
        ratio(rates["DynE", chosen], rates["DynE", other]),
        least=1,
    )
    report.write()


if __name__ == "__main__":
    run(main)
