"""A manifest of a tiny embedding and a tiny curve, and reading manifests of text."""

from experiments.manifest import read

TINY = """
[embeddings.pend]
script = "main.py"
env = "Pendulum-v1"
flags = { steps = 600, epochs = 1, epoch_size = 128, decoder_epochs = 1, decoder_batches = 5 }

[[curves]]
env = "Pendulum-v1"
method = ["DynE-TD3"]
embedding = "pend"
seeds = "0-1"
steps = 400
"""


def reader(folder):
    """A function that reads a manifest of a text, which it writes into `folder`."""

    def of(text):
        (folder / "m.toml").write_text(text)
        return read(folder / "m.toml")

    return of
