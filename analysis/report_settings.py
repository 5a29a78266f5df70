"""The tables of what every script is set to by default, read from the scripts themselves."""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import embedding.main
import embedding.main_pixels
import embedding.main_vae
import rl.main_baselines
import rl.main_dyne
import rl.main_pixel_td3
import rl.main_sac_lsp
import rl.main_td3
import rl.main_vae_td3
from analysis.report_data import Data
from analysis.wording import count, markdown
from embedding import models, pixel_models
from rl import latent_space_policies, networks, pixel_networks

Flags = Mapping[str, Any]
Row = tuple[str, Callable[[Flags], Any]]


def _flags(parse: Callable[[list[str]], argparse.Namespace], *words: str) -> Flags:
    return vars(parse([*words]))


def _told(value: Any) -> str:
    """A setting as a table shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    return f"{value:g}" if isinstance(value, float) else f"{value}"


def _flag(name: str) -> Callable[[Flags], Any]:
    """The value of a flag; nothing for a script that has no such flag."""
    return lambda flags: flags.get(name, "")


def _table(scripts: Mapping[str, Flags], rows: list[Row]) -> str:
    lines = [[words, *(_told(value(flags)) for flags in scripts.values())] for words, value in rows]
    return markdown(["", *scripts], lines)


def stage_one(_: Data) -> str:
    """The embeddings: from states, from pixels, and the VAE."""
    scripts = {
        "embedding/main.py": _flags(embedding.main.parse),
        "embedding/main_pixels.py": _flags(embedding.main_pixels.parse),
        "embedding/main_vae.py": _flags(embedding.main_vae.parse),
    }
    hidden = f"{models.HIDDEN}-{models.HIDDEN}, SELU"
    convolutions = "-".join(map(str, pixel_models.CHANNELS))
    rows: list[Row] = [
        ("steps of random play", _flag("steps")),
        ("k, actions a sequence (`--traj_len`)", _flag("traj_len")),
        ("layers of e_a, and of f and d_a from states", lambda flags: hidden if "gamma" in flags else ""),
        ("channels of the convolutions, 4 x 4, stride 2", lambda flags: convolutions if "beta" in flags else ""),
        ("width of z_s, or of a frame's encoding (`--state_dim`)", _flag("state_dim")),
        ("epochs", _flag("epochs")),
        ("samples an epoch", _flag("epoch_size")),
        ("batch", _flag("batch_size")),
        ("Adam's learning rate (`--lr`)", _flag("lr")),
        ("weight of the KL divergence of z_a (`--gamma`)", _flag("gamma")),
        ("weight of the KL divergence of z_s (`--beta`)", _flag("beta")),
        ("likelihood of images", _flag("likelihood")),
        ("epochs of d_a", _flag("decoder_epochs")),
        ("batches an epoch of d_a", _flag("decoder_batches")),
        ("largest learning rate of d_a (`--decoder_lr`)", _flag("decoder_lr")),
        ("share of the training of d_a in which it rises (`--decoder_warmup`)", _flag("decoder_warmup")),
        ("λ, weight of the norm (`--norm_weight`)", _flag("norm_weight")),
    ]
    return _table(scripts, rows)


def stage_two(_: Data) -> str:
    """TD3 and the methods that are TD3 in other spaces."""
    scripts = {
        "TD3": _flags(rl.main_td3.parse),
        "DynE-TD3": _flags(rl.main_dyne.parse),
        "S- and SA-DynE-TD3": _flags(rl.main_dyne.parse, "--pixels"),
        "VAE-TD3": _flags(rl.main_vae_td3.parse),
        "Pixel-TD3": _flags(rl.main_pixel_td3.parse),
    }
    td3, pixel = ("-".join(map(str, hidden)) for hidden in (networks.HIDDEN, pixel_networks.HIDDEN))
    rows: list[Row] = [
        ("hidden layers of actor and critics, ReLU", lambda flags: pixel if flags is scripts["Pixel-TD3"] else td3),
        ("Adam's learning rate", _flag("lr")),
        ("batch", _flag("batch_size")),
        ("discount a raw step", _flag("discount")),
        ("τ of the targets", _flag("tau")),
        ("updates of the critics to one of actor and targets", _flag("policy_freq")),
        ("steps, then as many updates", _flag("update_every")),
        ("random steps at the start", _flag("start_timesteps")),
        ("replay, steps", _flag("replay_size")),
        ("exploration noise*", _flag("expl_noise")),
        ("noise of the target's action*", _flag("policy_noise")),
        ("its bound*", _flag("noise_clip")),
        ("steps between evaluations", _flag("eval_freq")),
        ("episodes an evaluation", _flag("eval_episodes")),
    ]
    told = (
        "\\* in units of the raw action, or where it is an embedding of k actions, in units of the largest embedding, of the largest "
        "embedding / k, and of embeddings."
    )
    return f"{_table(scripts, rows)}\n\n{told}"


def baselines(_: Data) -> str:
    """SAC, PPO and SAC-LSP."""
    sac, ppo = rl.main_baselines.SAC, rl.main_baselines.PPO
    lsp = latent_space_policies.SoftActorCritic.__init__.__kwdefaults__ or {}
    wide = latent_space_policies.HIDDEN

    def layers(settings: Mapping[str, Any]) -> str:
        return "-".join(map(str, settings["policy_kwargs"]["net_arch"]))

    rows = [
        ["hidden layers", layers(sac), layers(ppo), f"{wide}-{wide}"],
        ["Adam's learning rate", f"{sac['learning_rate']:g}", f"{ppo['learning_rate'](1.0):g}, falling to 0", f"{lsp['lr']:g}"],
        ["batch", f"{sac['batch_size']}", f"{ppo['batch_size']}", f"{rl.main_sac_lsp.BATCH}"],
        ["discount", f"{sac['gamma']:g}", f"{ppo['gamma']:g}", f"{lsp['discount']:g}"],
        ["τ of the targets", f"{sac['tau']:g}", "", f"{lsp['tau']:g}"],
        ["steps before the first update", count(sac["learning_starts"]), count(ppo["n_steps"]), f"{count(rl.main_sac_lsp.LEARNING_STARTS)} a level"],
        ["epochs on a rollout, λ of GAE, clipping", "", f"{ppo['n_epochs']}, {ppo['gae_lambda']:g}, {ppo['clip_range']:g}", ""],
        ["entropy aimed at", "minus the number of actions", "", "minus the number of actions"],
    ]  # fmt: skip
    return markdown(["", "SAC", "PPO", "SAC-LSP"], rows)
