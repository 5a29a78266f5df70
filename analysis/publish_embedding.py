"""Copies a finished embedding to where published ones lie, with a text beside it on how it was made.

    python analysis/publish_embedding.py results/ReacherVertical-v2/default --out results/published/embeddings/ReacherVertical-v2/k4

writes encoder.pt, decoder.pt and embedding.txt. An embedding of embedding/main_pixels.py leaves its predictor of images
behind, which no policy needs and which is twice as large as all the rest. Commit, machine and versions are those of this
moment, as with publish.py.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

from analysis.commands import training_command
from common import checkpoint
from common.cli import Parser, run
from common.errors import UsageError
from common.files import put_in_place, write_atomically
from common.provenance import notes, writing
from embedding.pixel_models import PIXEL_ENCODER, save_pixel_embedding
from embedding.trained import load_embedding, load_whole_pixel_embedding

WRITTEN = ("encoder.pt", "decoder.pt", "embedding.txt")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("run", help="folder of an embedding of embedding/main.py or main_pixels.py")
    parser.add_argument(
        "--out", required=True, help="folder to write, <env>/k<k> or <env>/pixels of a folder of embeddings"
    )
    parser.add_argument("--commit", default=None, help="commit the run was made with; without it: the repository's")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    args = parser.parse_args()
    folder, out = Path(args.run), Path(args.out)
    pixels = load_whole_pixel_embedding(folder) if _is_of_pixels(folder / "encoder.pt") else None
    if pixels is None:
        load_embedding(folder)  # whole, and of one training
    if any(os.path.lexists(out / name) for name in WRITTEN) and not args.overwrite:
        raise UsageError(f"--out {out}: it exists: choose another, or replace it with --overwrite")
    if (out / "opt.json").exists():
        raise UsageError(f"--out {out}: it is the folder of a training: choose another")
    made_by = training_command(folder / "decoder.pt")
    text = notes({"command": made_by}, args.commit)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        with put_in_place(out / "encoder.pt") as temporary:
            if pixels is None:
                shutil.copyfile(folder / "encoder.pt", temporary)
            else:
                save_pixel_embedding(temporary, replace(pixels, predictor=None))
        with put_in_place(out / "decoder.pt") as temporary:
            shutil.copyfile(folder / "decoder.pt", temporary)
        write_atomically(out / "embedding.txt", lambda file: file.write(text.encode()))
    print(f"{out}: {made_by}")


def _is_of_pixels(encoder: Path) -> bool:
    """Whether a file is the encoder.pt of an embedding from pixels."""
    try:
        return checkpoint.kind_of(encoder) == PIXEL_ENCODER
    except checkpoint.CheckpointError:
        return False  # `load_embedding` says what is wrong with it


if __name__ == "__main__":
    run(main)
