"""Says how much of the true state is in the embedding of images: probes, a linear one and a small network.

    python embedding/probe.py --env ReacherVertical-v2 --encoder default --vae default

plays random steps that no training has seen, embeds what they look like, and predicts from that the sine and cosine of
joint angles, the joints' velocities, and the position of the target, by ridge regression and by a network with two hidden
layers of 256. R^2 is that of whole episodes which the regression has not seen: 1 is perfect, 0 is no better than the mean.
Compared are mu_s of DynE, the four newest encodings of a VAE (paper, section 5.3), and the images themselves, 16 x 16 pixels
of each of four frames. Writes a table, a text on how it was made and a picture: probe.csv, probe.txt and probe.png in the
encoder's folder (results/<env>-pixels/published/ for the published one), or where --out says.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from runpy import run_path
from typing import Any

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

import altair as alt
import gymnasium
import numpy as np
import pandas as pd
import torch
from PIL import Image

from common.cli import Parser, add_env_flag, check_out, folder_path, non_negative_int, positive_int, run
from common.environments import make_env
from common.errors import UsageError
from common.files import put_in_place
from common.next_step import results_flag, tell_next
from common.paths import RESULTS, embedding_run
from common.progress import Progress
from common.provenance import check_table, notes, typed_command, write_table
from common.theme import panel_width
from embedding.pixel_models import ImageEncoder
from embedding.pixel_play import load_pixel_play, take_frames
from embedding.random_play import RandomPlay, episode_seed, random_play
from embedding.regression import explained, network, r_squared, ridges
from embedding.trained import image_encoder_path, load_image_encoder
from envs.pixels import FRAMES, SIZE, stack_rows

HELD_OUT = 0.2  # share of the episodes that R^2 is of
CHOSEN_ON = 0.2  # share of the others that the weight of the penalty is chosen on
PENALTIES = 10.0 ** np.arange(-3, 6)  # on standardised inputs
LEAST = 20  # episodes that can be shared out
SMALL = 16  # width of the images that are probed themselves, pixels
BATCH = 128
STILL = 1e-6  # standard deviation, metres or radians a second, below which nothing is to be predicted
COLUMNS = ["env", "representation", "regression", "quantity", "r2"]
COLORS = {"DynE": "#ff7f0e", "VAE": "#2ca02c", "pixels": "#17becf"}  # of the methods that see by them: rl/methods.py


def true_state(env: gymnasium.Env) -> tuple[list[str], Callable[[], list[float]]]:
    """Returns names of quantities, and a function that reads them of the simulator as it stands.

    Joints: sine and cosine of hinges, positions of slides, all velocities; x, y, z of the body `target`, if there is one.

    Raises:
        UsageError: the environment is not MuJoCo's.
    """
    import mujoco

    simulator: Any = env.unwrapped
    model = getattr(simulator, "model", None)
    if not isinstance(model, mujoco.MjModel):
        assert env.spec is not None
        raise UsageError(f"--env {env.spec.id}: a probe needs the joints of a MuJoCo environment: name one")
    hinges: list[tuple[str, int]] = []
    slides: list[tuple[str, int]] = []
    speeds: list[tuple[str, int]] = []
    of_kind = {int(mujoco.mjtJoint.mjJNT_HINGE): hinges, int(mujoco.mjtJoint.mjJNT_SLIDE): slides}
    for joint in range(model.njnt):
        kind, name = int(model.jnt_type[joint]), model.joint(joint).name
        if kind in of_kind:
            of_kind[kind].append((name, model.jnt_qposadr[joint]))
            speeds.append((name, model.jnt_dofadr[joint]))
    target = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "target")
    names = [f"{f} {name}" for name, _ in hinges for f in ("sin", "cos")] + [f"position {name}" for name, _ in slides]
    names += [f"velocity {name}" for name, _ in speeds] + [f"target {axis}" for axis in "xyz" if target != -1]

    def read() -> list[float]:
        data = simulator.data
        values = [f(data.qpos[i]) for _, i in hinges for f in (math.sin, math.cos)]
        values += [data.qpos[i] for _, i in slides] + [data.qvel[i] for _, i in speeds]
        return values + (data.xpos[target].tolist() if target != -1 else [])

    return names, read


def play_again(env: gymnasium.Env, play: RandomPlay, seed: int) -> tuple[list[str], np.ndarray]:
    """The true states of random play: names of Q quantities, and (T + E, Q), rows of episodes as in `play`."""
    names, read = true_state(env)
    rows, actions = [], iter(play.actions)
    for episode, length in enumerate(play.lengths):
        env.reset(seed=episode_seed(seed, episode))
        rows.append(read())
        for _ in range(length):
            env.step(next(actions))
            rows.append(read())
    return names, np.array(rows)


# ---- representations ----


def embed(encoder: ImageEncoder, frames: torch.Tensor, rows: np.ndarray) -> np.ndarray:
    """mu of images: rows (M, F) of frames, F side by side, to (M, D)."""
    parts = []
    with torch.no_grad(), Progress(len(rows), "encoding", "image") as progress:
        for part in torch.from_numpy(rows).split(BATCH):
            images = take_frames(frames, part.flatten()).view(len(part), -1, SIZE, SIZE)
            parts.append(encoder(images)[0])
            progress.update(len(part))
    return torch.cat(parts).numpy()


def shrink(frames: torch.Tensor, rows: np.ndarray) -> np.ndarray:
    """Stacks (M, 4) of rows as small images, (M, 4 * 3 * 16 * 16), in [0, 1]."""
    small = [
        np.asarray(Image.fromarray(frame.permute(1, 2, 0).numpy()).reduce(SIZE // SMALL)).ravel() for frame in frames
    ]
    return np.stack(small)[rows].reshape(len(rows), -1).astype(np.float32) / 255


def stacks_of(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All stacks of four frames of random play.

    Args:
        lengths: (E,), steps of its episodes; an episode has a frame more.
    Returns:
        their frames (M, 4), rows of the play; the newest of each, and its episode, (M,) both.
    """
    frames = lengths + 1
    first, episode = np.repeat(np.cumsum(frames) - frames, frames), np.repeat(np.arange(len(frames)), frames)
    newest = np.flatnonzero(np.arange(len(first)) - first >= FRAMES - 1)
    return stack_rows(first[newest], newest), newest, episode[newest]


def representations(
    encoder: ImageEncoder, vae: ImageEncoder | None, frames: torch.Tensor, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """What is compared, {name: (M, D)}, of stacks (M, 4) of rows of frames."""
    found = {f"DynE ({encoder.width})": embed(encoder, frames, rows)}
    if vae:
        codes = embed(vae, frames, np.arange(len(frames))[:, None])
        found[f"VAE ({FRAMES} x {vae.width})"] = codes[rows].reshape(len(rows), -1)
    found[f"pixels ({FRAMES} x {SMALL} x {SMALL})"] = shrink(frames, rows)
    return found


def as_table(env_id: str, quantities: Sequence[str], found: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """A frame of `COLUMNS`, of {representation: {regression: R^2 (Q,)}}."""
    rows = [
        (env_id, name, regression, quantity, r2)
        for name, by_regression in found.items()
        for regression, values in by_regression.items()
        for quantity, r2 in zip(quantities, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


# ---- regression ----


def parts_of(episode: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which rows are held out, which ones a choice is made on, and which ones are fitted on: (M,) bool each.

    Args:
        episode: (M,) int, the episode that each row is of. Whole episodes are shared out by `seed`.
    """
    order = np.random.default_rng(seed).permutation(np.unique(episode))
    held = max(1, round(HELD_OUT * len(order)))
    chosen_on = max(1, round(CHOSEN_ON * (len(order) - held)))
    test, choose, fit = (np.isin(episode, part) for part in np.split(order, [held, held + chosen_on]))
    return test, choose, fit


def probe(inputs: np.ndarray, outputs: np.ndarray, episode: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """R^2 (Q,) on held-out episodes of outputs (M, Q) from inputs (M, I), {regression: R^2}.

    Args:
        outputs: they move in each of `parts_of`.
        episode: (M,) int, the episode that each row is of. Most are fitted on, by some the penalty of each output is chosen,
            or the network's epoch, the rest is held out.
    """
    test, choose, fit = parts_of(episode, seed)
    scale = inputs[fit].std(0)
    inputs = (inputs - inputs[fit].mean(0)) / np.where(scale < STILL, 1, scale)
    inputs, outputs = inputs.astype(np.float64), outputs.astype(np.float64)
    found = [r_squared(inputs[choose], outputs[choose], one) for one in ridges(inputs[fit], outputs[fit], PENALTIES)]
    best = np.argmax(found, axis=0)
    weights = ridges(inputs[fit | choose], outputs[fit | choose], PENALTIES)
    linear = r_squared(inputs[test], outputs[test], weights[best, :, np.arange(outputs.shape[1])].T)
    center, spread = outputs[fit].mean(0), outputs[fit].std(0)
    units = (outputs - center) / np.where(spread < STILL, 1, spread)
    predict = network(inputs[fit], units[fit], (inputs[choose], units[choose]), seed)
    return {"linear": linear, "network": explained(units[test], predict(inputs[test]))}


# ---- pictures ----


def chart(table: pd.DataFrame) -> alt.Chart:
    """Bars of R^2, one colour a representation, a row a regression, from 0 on (worse than the mean is 0)."""
    shown = table.assign(r2=table.r2.clip(0))
    names = [*dict.fromkeys(table.representation)]
    painted = alt.Scale(domain=names, range=[COLORS[name.split()[0]] for name in names])
    title = alt.TitleParams(
        table.env.iloc[0],
        subtitle="How well a linear map and a small network predict the true state: 1 is perfect, 0 no better than the mean",
    )
    return (
        alt.Chart(shown)
        .mark_bar()
        .encode(
            x=alt.X("quantity:N", sort=None, title=None, axis=alt.Axis(labelAngle=-35)),
            xOffset=alt.XOffset("representation:N", sort=None),
            y=alt.Y("r2:Q", title="R² on held-out episodes", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("representation:N", title=None, scale=painted, legend=alt.Legend(orient="top")),
            row=alt.Row("regression:N", sort=None, title=None, header=alt.Header(labelFontSize=13)),
            tooltip=["representation", "regression", "quantity", alt.Tooltip("r2:Q", format=".3f")],
        )
        .properties(width=panel_width(1) - 20, height=170, title=title)
    )


def main() -> None:
    parser = Parser(__doc__)
    add_env_flag(parser)
    parser.add_argument(
        "--encoder", default="default", help="name of an embedding of embedding/main_pixels.py, a path, or published"
    )
    parser.add_argument(
        "--vae", default=None, help="name of an embedding of embedding/main_vae.py, or a path; without it: left out"
    )
    parser.add_argument("--steps", type=positive_int, default=30_000, help="steps of random play")
    parser.add_argument("--seed", type=non_negative_int, default=1000, help="of that play; not that of the embeddings")
    parser.add_argument("--results_dir", type=folder_path, default=str(RESULTS), help="folder of results")
    parser.add_argument("--out", default=None, help="csv file to write; without it: probe.csv in the encoder's folder")
    args = parser.parse_args()
    torch.set_num_threads(1)
    env = make_env(args.env_name)
    assert env.spec is not None
    env_id = env.spec.id
    true_state(env)
    names = args.env_name, env_id, args.results_dir
    encoder, width = load_image_encoder("pixels", args.encoder, *names)
    vae, vae_width = load_image_encoder("vae", args.vae, *names, "--vae") if args.vae else (None, width)
    if width != vae_width:
        raise UsageError(
            f"--vae {args.vae}: it was trained on images {vae_width} wide, --encoder {width}: use its equal"
        )

    run_folder = image_encoder_path("pixels", args.encoder, *names).parent
    if args.encoder == "published":  # whose folder stays as it came
        run_folder = embedding_run(args.results_dir, env_id, "published", "pixels")
    out = Path(args.out) if args.out else run_folder / "probe.csv"
    if args.out or run_folder.is_dir():
        check_table(out, COLUMNS, overwrite=not args.out)
        check_out(out.with_suffix(".png"), ".png")
        if args.out and out.with_suffix(".png").exists() and not out.exists():
            raise UsageError(f"--out {out}: {out.with_suffix('.png')} exists, of something else: choose another")
    count = (random_play(env, args.steps, args.seed).lengths >= FRAMES - 1).sum()  # those that have a stack of frames
    if count < LEAST:
        raise UsageError(
            f"--steps {args.steps}: that is {count} episodes of {FRAMES - 1} steps or more: use at least {LEAST}"
        )
    print(
        f"in three parts, each tells its time: {args.steps:,} images drawn on all cores (those of 30,000 took a minute on two), "
        f"encoded by {'both encoders' if vae else 'the encoder'}, {3 if vae else 2} representations regressed on (the longest)"
    )
    play = load_pixel_play(args.env_name, args.steps, args.seed, args.results_dir, source_img_width=width)
    quantities, truth = play_again(env, play, args.seed)
    rows, newest, episode = stacks_of(play.lengths)
    truth = truth[newest]
    moving = np.all([truth[part].std(0) > STILL for part in parts_of(episode)], axis=0)
    columns, still = (
        [name for name, moves in zip(quantities, moving, strict=True) if moves == kept] for kept in (True, False)
    )
    if not columns:
        raise UsageError(
            f"--steps {args.steps}: nothing moves in all of the parts that these are shared out to: play more"
        )
    if still:
        print(f"left out, for standing still in a part (fitted on, chosen on or held out): {', '.join(still)}")
    found = {}
    seen = representations(encoder, vae, play.frames, rows)
    with Progress(len(seen), "regression", "representation") as progress:
        for name, inputs in seen.items():
            found[name] = probe(inputs, truth[:, moving], episode)
            progress.update()
    table = as_table(env_id, columns, found)
    for regression, part in table.groupby("regression"):
        print(f"{regression}:")
        print(part.pivot(index="quantity", columns="representation", values="r2").loc[columns, list(found)].round(3))
    held_out = max(1, round(HELD_OUT * count))
    text = f"R^2 on {held_out} held-out episodes of {count} of random play (seed {args.seed}), {env_id}"
    out.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, out, notes({"table": text, "command": typed_command()}), float_format=None)
    with put_in_place(out.with_suffix(".png")) as temporary:
        chart(table).save(str(temporary), format="png", scale_factor=2)
    print(f"{out.with_suffix('.png')}: R² on {held_out} held-out episodes")
    encoder_flag = () if args.encoder == "default" else ("--encoder", args.encoder)
    words = "--env", args.env_name, *encoder_flag, "--max_timesteps", 150_000, *results_flag(args.results_dir)
    tell_next(None, "rl/main_dyne.py", "--pixels", *words)


if __name__ == "__main__":
    run(main)
