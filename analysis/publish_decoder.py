"""Copies a finished embedding to where published ones lie, with a text beside it on how it was made.

    python analysis/publish_decoder.py results/ReacherVertical-v2/default --out results/published/decoders/ReacherVertical-v2/k4

writes encoder.pt, decoder.pt and decoder.txt. Commit, machine and versions are those of this moment, as with publish.py.
"""

import shutil
from pathlib import Path
from runpy import run_path

if __name__ == "__main__":  # says in one line what is not installed
    run_path(str(Path(__file__).resolve().parents[1] / "common" / "installed.py"))

from analysis.commands import training_command
from common.cli import Parser, run
from common.errors import UsageError
from common.files import put_in_place, write_atomically
from common.provenance import notes, writing
from embedding.trained import load_embedding


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("run", help="folder of an embedding that embedding/main.py wrote")
    parser.add_argument("--out", required=True, help="folder to write, <env>/k<k> of a folder of decoders")
    parser.add_argument("--commit", default=None, help="commit the run was made with; none: the repository's")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    args = parser.parse_args()
    folder, out = Path(args.run), Path(args.out)
    load_embedding(folder)  # whole, and of one training
    if any((out / name).exists() for name in ("encoder.pt", "decoder.pt")) and not args.overwrite:
        raise UsageError(f"--out {out}: it exists: choose another, or replace it with --overwrite")
    made_by = training_command(folder / "decoder.pt")
    text = notes({"command": made_by}, args.commit)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for name in ("encoder.pt", "decoder.pt"):
            with put_in_place(out / name) as temporary:
                shutil.copyfile(folder / name, temporary)
        write_atomically(out / "decoder.txt", lambda file: file.write(text.encode()))
    print(f"{out}: {made_by}")


if __name__ == "__main__":
    run(main)
