"""What the benchmarks share: timing in alternating rounds, and a report of tables and claims.

Contestants take turns, round after round, so that what slows the machine down for a while slows all of them down.
Ratios are taken within each round; what is reported are medians over the rounds.
"""

import gc
import importlib.metadata
import json
import os
import platform
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from common.cli import check_out
from common.errors import UsageError
from common.machine import processor
from common.paths import RESULTS
from common.provenance import typed_command

PACKAGES = ["torch", "numpy", "gymnasium", "mujoco", "stable-baselines3"]


# ---- timing ----


def now(device=None):
    """Seconds on a clock, once everything that was asked of `device` is done."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def alternate(contestants, rounds, device=None):
    """Runs every contestant once untimed, then all of them in turn, `rounds` times.

    Args:
        contestants: {name: (units, function)}; a call of the function does so many units of work.
    Returns:
        {name: (rounds,) units per second}.
    """
    for _, function in contestants.values():
        function()
    rates = {name: np.zeros(rounds) for name in contestants}
    for turn in range(rounds):
        for name, (units, function) in contestants.items():
            gc.collect()
            start = now(device)
            function()
            rates[name][turn] = units / (now(device) - start)
    return rates


def ratio(rates, peer):
    """The median over rounds of rates (rounds,) relative to those of a peer, round by round."""
    return float(np.median(rates / peer))


class Stopwatch:
    """Adds up the time spent in methods that it wraps.

    A wrapped method that is called from another one counts for itself and not for its caller.

    Attributes:
        seconds: {label: seconds}.
    """

    def __init__(self, device):
        self.seconds, self.device = defaultdict(float), device
        self._inner = [0.0]  # of every call under way, the time spent in wrapped methods called from it

    def wrap(self, owner, method, label):
        """Times `owner.method` under `label` from now on."""
        original = getattr(owner, method)

        def timed(*args, **kwargs):
            start = now(self.device)
            self._inner.append(0.0)
            result = original(*args, **kwargs)
            elapsed = now(self.device) - start
            self.seconds[label] += elapsed - self._inner.pop()
            self._inner[-1] += elapsed
            return result

        setattr(owner, method, timed)


# ---- reports ----


def add_report_flags(parser):
    """Adds the flags that every benchmark has."""
    parser.add_argument("--results_dir", default=str(RESULTS), help="folder for temporary files")
    parser.add_argument(
        "--out", default=None, help="file to write the result to, .json or .md; without it: print it only"
    )


def temporary_folder(results_dir):
    """A context with a folder for the runs that are measured: on the disk that runs are written to."""
    try:
        Path(results_dir).mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=results_dir, prefix="benchmark-")
    except OSError as error:
        raise UsageError(f"--results_dir {results_dir}: {error.strerror}: choose another folder") from error


class Report:
    """The result of one benchmark: tables and claims, printed as they come.

    Args:
        title: what is measured.
        out: None, or a .json or .md file that `write` writes.
        device: torch device that is described along with the machine.
    """

    def __init__(self, title, out, device=None):
        self.out = out and check_out(out, ".json", ".md")
        self.content = {
            "title": title,
            "command": typed_command(),
            "machine": machine(device),
            "tables": [],
            "claims": [],
        }
        print(header_text(self.content), flush=True)

    def table(self, title, columns, rows):
        """Adds a table; rows hold text, numbers, and None where there is nothing to say."""
        self.content["tables"].append({"title": title, "columns": columns, "rows": rows})
        print(table_text(self.content["tables"][-1]), flush=True)

    def claim(self, text, measured, *, least=None, most=None):
        """Adds a claim: that `measured` is at least `least`, or at most `most`."""
        reached = bool(measured >= least if most is None else measured <= most)
        bound = {"least": least} if most is None else {"most": most}
        self.content["claims"].append({"claim": text, "measured": measured, "reached": reached, **bound})
        print(claim_text(self.content["claims"][-1]), flush=True)

    def write(self):
        """Writes `--out`, if it was given."""
        if self.out:
            asked_for_json = self.out.suffix == ".json"
            self.out.write_text(json.dumps(self.content, indent=2) + "\n" if asked_for_json else markdown(self.content))


def machine(device=None):
    """What the numbers depend on besides the code: {name: value}, in the order to be read."""
    described = {
        "processor": f"{processor()}, {torch.backends.cpu.get_cpu_capability()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    if device is not None and device.type == "cuda":
        described["accelerator"] = torch.cuda.get_device_name(device)
    described["python"] = platform.python_version()
    described |= {name: importlib.metadata.version(name) for name in PACKAGES}
    busy = _busy_cores()
    if busy is not None:
        described["cores busy beforehand"] = f"{busy:.1f}"
    return described


def _busy_cores(seconds=0.5):
    """How many cores others keep busy, from a look at the system's clocks; None where it has no such clocks."""
    clocks = Path("/proc/stat")
    if not clocks.is_file():
        return None

    def busy():
        user, nice, system, _, _, irq, softirq = map(int, clocks.read_text().splitlines()[0].split()[1:8])
        return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")

    before, start = busy(), time.perf_counter()
    time.sleep(seconds)
    return (busy() - before) / (time.perf_counter() - start)


# ---- text ----


def markdown(content):
    """A report's content as markdown."""
    claims = "\n".join(map(claim_text, content["claims"]))
    return "\n".join([header_text(content), *map(table_text, content["tables"]), claims]) + "\n"


def header_text(content):
    """Title, command and machine."""
    described = "; ".join(f"{name} {value}" for name, value in content["machine"].items())
    return f"## {content['title']}\n\n    {content['command']}\n\n{described}"


def table_text(content):
    """One table, as markdown that is also aligned."""
    cells = [content["columns"], *[[number(value) for value in row] for row in content["rows"]]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join(["", content["title"], "", lines[0], rule, *lines[1:], ""])


def claim_text(content):
    """One claim, and whether it was reached."""
    bound = f"at least {content['least']:g}" if "least" in content else f"at most {content['most']:g}"
    verdict = "reached" if content["reached"] else "NOT REACHED"
    return f"- {verdict}: {content['claim']}: {number(content['measured'])} ({bound})"


def number(value):
    """A value of a table as text, to three digits or so."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def sections_of(path):
    """The results that a file written by benchmarks/run_all.py holds, {command: text}, in their order."""
    if not path.is_file():
        return {}
    texts = ["## " + text for text in path.read_text().split("\n## ")[1:]]
    return {text.splitlines()[2].strip(): text.rstrip("\n") + "\n" for text in texts}
