"""Finding what was trained: by the name it was given, its folder or its file."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import gymnasium

from common.checkpoint import CheckpointError
from common.environments import known_id, make_env
from common.errors import UsageError
from common.paths import OWN, PUBLISHED_EMBEDDINGS, embedding_run, folder_of
from embedding.decoder import ActionDecoder
from embedding.models import ActionEncoder, Predictor, load_encoder
from embedding.pixel_models import VAE, ImageEncoder, PixelEmbedding, load_pixel_embedding, load_vae

# Where the paper's decoders come from (section 5.2).
TRANSFER = {
    **dict.fromkeys(["ReacherTurn-v2", "ReacherPush-v2"], "ReacherVertical-v2"),
    **dict.fromkeys(["Striker-v2", "Thrower-v2"], "Pusher-v2"),
}
PUBLISHED = r"published-k(\d{1,3})"  # what --decoder calls the decoders that come with the project
# Encoders of images: the script that trains them, how they are read.
IMAGE_ENCODERS: dict[str, tuple[str, Callable[[Path], tuple[PixelEmbedding | VAE, ImageEncoder]]]] = {
    "pixels": ("main_pixels.py", lambda path: (found := load_pixel_embedding(path), found.state_encoder)),
    "vae": ("main_vae.py", lambda path: (found := load_vae(path), found.encoder)),
}


def trained_file(file: str, flag: str, name: str, run: Path, command: str) -> Path:
    """The file that a flag names.

    Args:
        file: encoder.pt or decoder.pt.
        flag, name: the flag and its value: the name of an embedding, the file, or the folder that it is in.
        run: the folder of the embedding of this name.
        command: that trains one.
    Raises:
        UsageError: there is no such file.
    """
    if _is_path(name):
        path, way_out = Path(name), f"give the {file} of an embedding, or its folder"
        path = path / file if path.is_dir() else path
    else:
        path = run / file
        way_out = f"train it with {command}" + ("" if name == "default" else f" --name {name}")
    if not path.is_file():
        raise UsageError(f"{flag} {name}: there is no {path}: {way_out}")
    return path


def _is_path(name: str) -> bool:
    return name.endswith(".pt") or "/" in name


def image_encoder_path(
    kind: str, name: str, env_name: str, env_id: str, results_dir: str | Path, flag: str = "--encoder"
) -> Path:
    """The encoder.pt that a flag names; arguments and errors as for `load_image_encoder`."""
    if name == "published":
        path = PUBLISHED_EMBEDDINGS / folder_of(env_id) / kind / "encoder.pt"
        if not path.is_file():
            found = ", ".join(sorted(path.parts[-3] for path in PUBLISHED_EMBEDDINGS.glob(f"*/{kind}/encoder.pt")))
            raise UsageError(
                f"{flag} published: none of {env_id} is published ({found or 'none is'}): train one with "
                f"python embedding/{IMAGE_ENCODERS[kind][0]} --env {env_name}"
            )
        return path
    run = embedding_run(results_dir, env_id, name, kind)
    command = f"python embedding/{IMAGE_ENCODERS[kind][0]} --env {env_name}"
    return trained_file("encoder.pt", flag, name, run, command)


def load_image_encoder(
    kind: str, name: str, env_name: str, env_id: str, results_dir: str | Path, flag: str = "--encoder"
) -> tuple[ImageEncoder, int]:
    """Loads a frozen encoder of images.

    Args:
        kind: pixels (DynE's e_s, of stacks of frames) or vae (of one frame).
        name: the value of `flag`: the name of an embedding, its folder, its encoder.pt, or published.
        env_name, env_id: the environment that it is to see, as it was named and its id.
        results_dir: where named embeddings are looked for.
        flag: the flag that is named if it will not do.
    Returns:
        the `ImageEncoder`, and the width of the images that it was trained on.
    Raises:
        UsageError: there is none, with the command that trains it, or it does not fit.
    """
    script, load = IMAGE_ENCODERS[kind]
    path = image_encoder_path(kind, name, env_name, env_id, results_dir, flag)
    try:
        found, encoder = load(path)
    except CheckpointError as error:
        raise UsageError(f"{flag} {name}: {error}: train it anew with embedding/{script}") from error
    own = found.env_name.rpartition(":")[2]
    if own != env_id or _is_anothers(found.env_name, env_name):
        raise UsageError(
            f"{flag} {name}: it was trained on images of {found.env_name}, not of {env_name}: train one with "
            f"python embedding/{script} --env {env_name}"
        )
    return encoder, found.source_img_width


def load_embedding(folder: str | Path) -> tuple[ActionDecoder, ActionEncoder, Predictor, str]:
    """Reads an embedding.

    Returns:
        decoder, encoder, predictor, and the environment they were trained on, its id or module:id.
    Raises:
        UsageError: the folder does not hold both networks, whole and of one embedding.
    """
    folder = Path(folder)
    way_out = "give the folder of a finished run of embedding/main.py"
    try:
        encoder, predictor, env_name = load_encoder(folder / "encoder.pt")
        decoder = ActionDecoder.load(folder / "decoder.pt")
    except CheckpointError as error:
        raise UsageError(f"folder {folder}: {error}: {way_out}") from error
    low, high = encoder.bounds
    same_size = (encoder.k, encoder.action_dim) == (decoder.k, decoder.action_dim)
    slack = 1e-5 * (high - low)
    within = (decoder.low >= low - slack).all() and (decoder.high <= high + slack).all()
    if not (same_size and within and decoder.inverts(encoder)):
        raise UsageError(f"folder {folder}: its encoder.pt and decoder.pt are not of one embedding: {way_out}")
    return decoder, encoder, predictor, env_name


def load_whole_pixel_embedding(folder: str | Path) -> PixelEmbedding:
    """Reads an embedding from pixels; raises `UsageError` as `load_embedding` does."""
    folder = Path(folder)
    way_out = "give the folder of a finished run of embedding/main_pixels.py"
    try:
        embedding = load_pixel_embedding(folder / "encoder.pt")
        decoder = ActionDecoder.load(folder / "decoder.pt")
    except CheckpointError as error:
        raise UsageError(f"folder {folder}: {error}: {way_out}") from error
    if not decoder.inverts(embedding.action_encoder):
        raise UsageError(f"folder {folder}: its encoder.pt and decoder.pt are not of one embedding: {way_out}")
    return embedding


def environment_of(folder: str | Path, own: str, env_name: str | None, decoder: ActionDecoder) -> gymnasium.Env:
    """Makes the environment that an embedding is looked at in.

    Args:
        folder: the embedding's.
        own: what it was trained on, as `load_embedding` returns it.
        env_name: the flag --env; None: its own, if no module need be imported for it.
        decoder: the embedding's, which must fit.
    Raises:
        UsageError: it needs a module that the flag does not name, there is no such environment, or it does not fit.
    """
    env_name = env_name or known_id(own, f"folder {folder}", "add --env {}")
    env = make_env(env_name)
    if misfit := decoder.misfit(env):
        raise UsageError(f"--env {env_name}: {misfit}")
    return env


def load_decoder(args: argparse.Namespace, env: gymnasium.Env) -> ActionDecoder:
    """Loads the decoder that `--decoder` and `--source_env` name, and checks that it fits the environment.

    Raises:
        UsageError: there is none, with the command that trains it, or it does not fit.
    """
    assert env.spec is not None
    path, named, script = decoder_path(args, env.spec.id), f"--decoder {args.decoder}", "main.py"
    if args.decoder is None:
        named, script = f"--encoder {args.encoder}", "main_pixels.py"
    try:
        decoder = ActionDecoder.load(path)
    except CheckpointError as error:
        raise UsageError(f"{named}: {error}: train it anew with embedding/{script}") from error
    if args.decoder is None and not _of_one_training(_pixel_encoder_path(args, env.spec.id), decoder):
        raise UsageError(f"{named}: its encoder.pt and decoder.pt are not of one embedding: name one with --decoder")
    source, source_id = _source(args, env.spec.id)
    by_name = args.decoder is not None and not (_is_path(args.decoder) or re.fullmatch(PUBLISHED, args.decoder))
    if by_name and decoder.env_id not in ("", source_id):
        raise UsageError(
            f"{named}: {path} was trained on {decoder.env_name}, not on {source}: name this file with --decoder if it is meant, "
            f"or train one with python embedding/main.py --env {source}"
        )
    if _is_anothers(decoder.env_name, source):
        raise UsageError(
            f"{named}: it was trained on {decoder.env_name}, not on {source}: add --source_env {decoder.env_name}, or train one "
            f"with python embedding/main.py --env {source}"
        )
    if misfit := decoder.misfit(env):
        raise UsageError(f"{named}: {misfit}")
    return decoder


def _source(args: argparse.Namespace, env_id: str) -> tuple[str, str]:
    """The environment whose decoder is asked for, as `--source_env` or `--env` names it, and its id."""
    if args.source_env:
        return args.source_env, args.source_env.rpartition(":")[2]
    return args.env_name, env_id


def _is_anothers(own: str, named: str) -> bool:
    """Whether two names of an environment, id or module:id, have one id but different modules.

    Args:
        own: that in a file; without a module it may be any module's, since files of earlier versions named none.
        named: the one that is asked for.
    """
    (module, _, env_id), (other_module, _, other_id) = (name.removeprefix(OWN).rpartition(":") for name in (own, named))
    return env_id == other_id and bool(module) and module != other_module


def _pixel_encoder_path(args: argparse.Namespace, env_id: str) -> Path:
    """The encoder.pt that `--encoder` names."""
    return image_encoder_path("pixels", args.encoder, args.env_name, env_id, args.results_dir)


def _of_one_training(encoder: Path, decoder: ActionDecoder) -> bool:
    """Whether a decoder inverts the action encoder in a file of `embedding.pixel_models.save_pixel_embedding`."""
    try:
        return decoder.inverts(load_pixel_embedding(encoder).action_encoder)
    except (CheckpointError, KeyError, TypeError, RuntimeError):
        return True  # `load_image_encoder` says what is wrong with it


def decoder_path(args: argparse.Namespace, env_id: str) -> Path:
    """The file that `--decoder` and `--source_env` name for an environment; `UsageError` if it is not there."""
    if args.decoder is None:  # from pixels: the actions that were embedded with the images
        path = _pixel_encoder_path(args, env_id).with_name("decoder.pt")
        if not path.is_file():
            raise UsageError(f"--encoder {args.encoder}: there is no {path} beside it: name one with --decoder")
        return path
    source, source_id = _source(args, env_id)
    if published := re.fullmatch(PUBLISHED, args.decoder):
        return _published_decoder(args, source_id, source, int(published[1]))
    run = embedding_run(args.results_dir, source_id, args.decoder)
    return trained_file("decoder.pt", "--decoder", args.decoder, run, f"python embedding/main.py --env {source}")


def _published_decoder(args: argparse.Namespace, source_id: str, source: str, k: int) -> Path:
    """The committed decoder of k steps of `source_id`; of the task that the paper transfers from, if it has none."""
    for env_id in (source_id, *(() if args.source_env else (TRANSFER.get(source_id, source_id),))):
        path = PUBLISHED_EMBEDDINGS / folder_of(env_id) / f"k{k}" / "decoder.pt"
        if path.is_file():
            return path
    found = sorted(PUBLISHED_EMBEDDINGS.glob("*/k*/decoder.pt"))
    names = ", ".join(f"{path.parts[-3]} published-{path.parts[-2]}" for path in found)
    raise UsageError(
        f"--decoder {args.decoder}: none of {source_id} is published: name one of these as --source_env and --decoder "
        f"({names or 'none'}), or train one with python embedding/main.py --env {source} --traj_len {k}"
    )
