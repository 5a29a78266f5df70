"""Files that someone might craft: whole ones of every kind, and how they are changed."""

import copy

import torch

from common import checkpoint
from common.mlp import row_length
from embedding.decoder import ActionDecoder
from embedding.models import ActionEncoder, Predictor, load_encoder, save_encoder
from embedding.pixel_models import (
    VAE,
    ImageDecoder,
    ImageEncoder,
    PixelEmbedding,
    PixelPredictor,
    load_pixel_embedding,
    load_vae,
    save_pixel_embedding,
    save_vae,
)
from rl.action_spaces import DynEActions, RawActions
from rl.latent_space_policies import LatentPolicy
from rl.pixel_networks import PixelActor, Trunk
from rl.policies import load_policy
from rl.state_spaces import FrameStates, ObservedStates

ENV = "ReacherVertical-v2"
LOW, HIGH = torch.full((2,), -1.0), torch.full((2,), 1.0)
ONES, WIDTHS = torch.ones(2), [11, 5, 4, 2]


class Without:
    """In the place of a value: the entry goes."""


def whole_run():
    bounds = LOW.numpy(), HIGH.numpy()
    row = torch.linspace(-1, 1, row_length(WIDTHS))[None]
    return {
        "env_id": ENV,
        "method": "TD3",
        "seed": 0,
        "states": ObservedStates(11).content(),
        "actions": RawActions(*bounds).content(),
        "policy": {"widths": WIDTHS, "actor": row},
        "steps": 100,
        "flags": {},
    }


def whole_dyne_run():
    actions = DynEActions(ActionDecoder(LOW, HIGH, 2, env_name=ENV), LOW.numpy(), HIGH.numpy()).content()
    return whole_run() | {"method": "DynE-TD3", "actions": actions}


def whole_pixel_run():
    trunk, actor = Trunk([0]), PixelActor(512, 2, 0 * ONES.numpy(), ONES.numpy(), [0])
    policy = {"trunk": trunk.state_dict(), "actor": actor.state_dict()}
    return whole_run() | {"method": "Pixel-TD3", "states": FrameStates(64).content(), "policy": policy}


def whole_ppo_run():
    layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in ((11, 4), (4, 2)))
    statistics = {"mean": torch.zeros(11).double(), "variance": torch.ones(11).double(), "count": 7.0}
    policy = {"kind": "mlp", "widths": [11, 4, 2], "activation": "tanh", "squash": False, "low": LOW, "high": HIGH}
    return whole_run() | {
        "method": "PPO",
        "policy": {**policy, "weights": layers.state_dict(), "statistics": statistics},
    }


def whole_stack_run():
    policies = [LatentPolicy(11, 2, squash).state_dict() for squash in (True, False)]
    return whole_run() | {"method": "SAC-LSP", "policy": {"kind": "stack", "state_dim": 11, "policies": policies}}


def write_decoder(path):
    ActionDecoder(LOW, HIGH, 2, 3.0, ENV, ("squared", 1e-4)).save(path)


def write_encoder(path):
    save_encoder(path, ActionEncoder(LOW, HIGH, 2), Predictor(4, 2), ENV)


def write_pixels(path):
    networks = ImageEncoder(12, 5).eval(), ActionEncoder(LOW, HIGH, 2), PixelPredictor(5, 2).eval()
    save_pixel_embedding(path, PixelEmbedding(*networks, 2, ENV, 64))


def write_vae(path):
    save_vae(path, VAE(ImageEncoder(3, 5).eval(), ImageDecoder(5, 1).eval(), ENV, 64))


# name of a kind here: (kind of the checkpoint, what writes a whole one, what loads it)
KINDS = {
    "decoder": ("decoder", write_decoder, ActionDecoder.load),
    "encoder": ("encoder", write_encoder, load_encoder),
    "pixels": ("pixel encoder", write_pixels, load_pixel_embedding),
    "vae": ("vae", write_vae, load_vae),
    "run": ("run", lambda path: checkpoint.save(path, "run", whole_run()), lambda path: load_policy(path.parent)),
    "ppo": ("run", lambda path: checkpoint.save(path, "run", whole_ppo_run()), lambda path: load_policy(path.parent)),
    "stack": (
        "run",
        lambda path: checkpoint.save(path, "run", whole_stack_run()),
        lambda path: load_policy(path.parent),
    ),
    "dyne": ("run", lambda path: checkpoint.save(path, "run", whole_dyne_run()), lambda path: load_policy(path.parent)),
    "frames": ("run", lambda path: checkpoint.save(path, "run", whole_pixel_run()), lambda p: load_policy(p.parent)),
}
FILES = {"encoder": "encoder.pt", "pixels": "encoder.pt", "vae": "encoder.pt", "decoder": "decoder.pt"}


def changed(content, changes):
    """A copy of `content` with other entries."""
    content = copy.deepcopy(content)
    for name, value in changes.items():
        place, rest = content, name
        while "." in rest and rest not in place:
            head, rest = rest.split(".", 1)
            place = place[head]
        if value is Without:
            del place[rest]
        else:
            place[rest] = value
    return content


def place_of(name, folder):
    """The path of a file of a kind within the folder that scripts are given; an embedding's other file is whole."""
    if name in ("decoder", "encoder"):
        write_encoder(folder / "encoder.pt")
        write_decoder(folder / "decoder.pt")
    return folder / FILES.get(name, "checkpoint.pt")


def write_as_it_is(path, kind, content, head=None):
    """Writes a checkpoint as `checkpoint.save` does, of whatever has a digest; `head`: other entries beside the content."""
    body = {"format": checkpoint.FORMAT, "kind": kind, "versions": {}, "content": content} | (head or {})
    try:
        digest = checkpoint.digest(body)
    except (ValueError, TypeError, RecursionError):  # then nothing has one
        digest = "0" * 64
    torch.save({"digest": digest, **body}, path)
