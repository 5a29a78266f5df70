"""From the command line to checked values: the parser, and what several scripts ask of their flags.

Whatever is wrong with a flag becomes a `UsageError`: one line that names the flag, the value and the way out. `run`
turns it into exit code 2. Every check here happens before anything is written.
"""

import argparse
import difflib
import errno
import math
import os
import re
import sys
from pathlib import Path

import gymnasium
import numpy as np
import torch

import envs  # noqa: F401  (registers this project's environments)

REPOSITORY = Path(__file__).resolve().parent.parent


NOT_A_PATH = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EACCES, errno.EPERM)
DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
NOT_WRITTEN = (errno.EROFS, errno.EIO, errno.ENOENT)


class UsageError(Exception):
    """Bad input, said in one line that names the flag, the value and the way out."""


class Diverged(Exception):
    """A loss, gradient, action or observation is not finite; says which, of which seed, and when, and what is kept."""


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors, and `-` and `_` interchangeable in flag names."""

    def __init__(self, description):
        super().__init__(
            description=description, allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )

    def parse_args(self, args=None, namespace=None):
        args = sys.argv[1:] if args is None else args
        return super().parse_args([_underscored(arg) for arg in args], namespace)

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {one_line(message)} (--help lists the flags)\n")


def one_line(text):
    """A message as one line: white space becomes blanks, what cannot be printed is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(str(text).split()))


def _underscored(arg):
    if not re.match(r"--[A-Za-z]", arg):
        return arg
    flag, equals, value = arg.partition("=")
    return "--" + flag[2:].replace("-", "_") + equals + value


def run(main):
    """Calls `main()` as a script; what stops it becomes one line and an exit code.

    2: bad input; 3: training diverged; 1: something could not be written (a full disk); 130: a second SIGINT, or one
    before the run began. A run that SIGINT or SIGTERM stopped exits with 130 or 143 by itself.
    """
    script = Path(sys.argv[0]).name
    try:
        main()
    except UsageError as error:
        print(f"{script}: error: {one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except Diverged as error:
        print(f"{script}: error: {one_line(error)}", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        print(f"{script}: stopped", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.errno in NOT_A_PATH and error.filename:
            print(f"{script}: error: {one_line(error.filename)}: {error.strerror}: name another", file=sys.stderr)
            sys.exit(2)
        if error.errno not in DISK_FULL + NOT_WRITTEN:
            raise
        what = f"{error.filename}: " if error.filename else ""
        if error.errno in NOT_WRITTEN:
            print(f"{script}: error: {what}{error.strerror}: it cannot be written any more", file=sys.stderr)
            sys.exit(1)
        print(
            f"{script}: error: {what}{error.strerror}: make room, then call it again (training goes on with --resume)",
            file=sys.stderr,
        )
        sys.exit(1)


# ---- types of flags ----


def _number(text, convert, accept, wanted):
    try:
        value = convert(text)
    except (ValueError, OverflowError):
        value = None
    if value is None or not accept(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value


def _whole(text):
    value = float(text)  # so that 1e6 is accepted
    if not value.is_integer():
        raise ValueError
    return int(value) if abs(value) >= 2**53 or "e" in text.lower() or "." in text else int(text)


def positive_int(text):
    return _number(text, _whole, lambda v: 1 <= v < 2**53, "a whole number of at least 1")


def non_negative_int(text):
    return _number(text, _whole, lambda v: 0 <= v < 2**53, "a whole number of at least 0")


def positive_float(text):
    return _number(text, float, lambda v: 0 < v < math.inf, "a positive number")


def non_negative_float(text):
    return _number(text, float, lambda v: 0 <= v < math.inf, "a number of at least 0")


def fraction(text):
    return _number(text, float, lambda v: 0 <= v <= 1, "a number from 0 to 1")


def folder_name(text):
    """A name that is one folder: letters, digits and . _ + = -, not starting with a dot or a dash."""
    if not re.fullmatch(r"[A-Za-z0-9_+=][A-Za-z0-9._+=-]{0,99}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder's name: use letters, digits and . _ + = -")
    return text


def embedding_name(text):
    """A folder's name that means nothing else beside embeddings."""
    if re.fullmatch(r"data|seed_.*|published-k.*", folder_name(text)):
        raise argparse.ArgumentTypeError(f"{text!r} has another meaning: choose a name that has none")
    return text


def add_common_flags(parser):
    """Adds the flags that every training script has."""
    parser.add_argument("--seed", type=non_negative_int, default=0, help="first random seed")
    parser.add_argument("--results_dir", default=str(REPOSITORY / "results"), help="folder that results are written to")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace an existing run of the same name")
    existing.add_argument("--resume", action="store_true", help="continue the run of this name, if there is one")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:<n>, or auto: cuda where there is one")
    parser.add_argument("--threads", type=positive_int, default=1, help="torch threads; more pay only on idle cores")


# ---- environments ----


def folder_of(env_id):
    """The folder of results/ that belongs to an environment id."""
    return re.sub(r"[^A-Za-z0-9._+=-]", "_", env_id)


def make_env(env_id, flag="--env_name", **kwargs):
    """Makes a gymnasium environment with a bounded Box action space and a flat Box observation space.

    Args:
        env_id: a registered id, or `module:id` for an environment of one's own.
        flag: the flag that is named if the environment will not do.
        kwargs: passed on to `gymnasium.make`.
    Raises:
        UsageError: unknown id, missing dependency, or spaces that DynE cannot work with.
    """
    if ":" in env_id and not re.fullmatch(r"\w+(\.\w+)*:[^:]+", env_id):
        raise UsageError(f"{flag} {env_id}: an environment of one's own is named as module:id")
    try:
        env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
    except ImportError as error:
        raise UsageError(f"{flag} {env_id}: {error}: install it, or check the part before the colon") from error
    except RuntimeError as error:
        if "MUJOCO_GL" not in str(error):
            raise
        raise UsageError(f"MUJOCO_GL: {error}: set it to egl, osmesa or glfw, or unset it") from error
    except gymnasium.error.UnregisteredEnv as error:
        near = difflib.get_close_matches(env_id, list(gymnasium.registry), n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else "no known one is like it."
        raise UsageError(f"{flag} {env_id}: there is no such environment: {hint} One's own is module:id") from error
    except gymnasium.error.Error as error:
        raise UsageError(f"{flag} {env_id}: {error}") from error
    space = env.action_space
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise UsageError(f"{flag} {env_id}: its actions are {space}; DynE needs a one-dimensional Box")
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all() and (space.low < space.high).all()):
        raise UsageError(f"{flag} {env_id}: its action bounds are {space.low} to {space.high}; they must be finite")
    if not isinstance(env.observation_space, gymnasium.spaces.Box) or len(env.observation_space.shape) != 1:
        try:
            env = gymnasium.wrappers.FlattenObservation(env)
        except (NotImplementedError, ValueError, TypeError) as error:
            kind = env.observation_space
            raise UsageError(f"{flag} {env_id}: its observations, {kind}, have no flat form") from error
    return env


def time_limit(env):
    """The environment's number of steps an episode, or None if it has no limit."""
    return env.spec.max_episode_steps


def check_traj_len(args, env):
    """Raises `UsageError` if `--traj_len` actions do not fit into an episode, or into all of random play."""
    limit = time_limit(env)
    if args.traj_len > min(limit or args.steps, args.steps):
        raise UsageError(
            f"--traj_len {args.traj_len}: an episode of {args.env_name} has {limit or 'no more than --steps'} steps "
            f"(--steps {args.steps}): a sequence must fit into an episode"
        )


# ---- devices ----


def choose_device(name, threads):
    """Sets the number of torch threads and returns the torch device called `name` (`auto`: cuda where there is one)."""
    cores = os.cpu_count() or 1
    if threads > cores:
        raise UsageError(f"--threads {threads}: this machine has {cores} cores: use at most as many")
    torch.set_num_threads(threads)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {name}: there is no such device: use cpu, cuda or auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise UsageError(f"--device {name}: torch sees {found} CUDA devices here: use --device cpu")
    return device
