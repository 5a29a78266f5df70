"""The tables of the results pages, in Markdown, each with a line that tells its seeds and averages."""

import pandas as pd

from analysis.comparisons import at, better, entry, finals, seeds_of, steps_of
from analysis.curves import FEW
from analysis.estimates import at_shared_steps, final_returns
from analysis.report_data import Data, authors_returns
from analysis.tasks import BASELINES, ENCODED, FROM_STATES, NAMES, OTHER_TASKS, REACHER_FAMILY
from analysis.variants import QUESTIONS
from analysis.wording import (
    LADDER,
    columns,
    count,
    listed,
    markdown,
    mostly,
    paragraphs,
    read_off,
    seeds,
    with_interval,
)
from common.errors import UsageError

PIXEL_LADDER = [125_000, 150_000, 175_000, 200_000, 225_000, 250_000, 400_000, 600_000, 1_000_000, 3_000_000]
FINE, COARSE, PIXEL_BINS, PIXEL_FINE = 2_500, 5_000, 25_000, 5_000  # widths of averages, steps
Rows = list[tuple[list[str], pd.DataFrame]]  # the words that a row begins with, and its curves


def returns(rows: Rows, ladder: list[int], width: int) -> tuple[list[str], list[list[str]]]:
    """The header, without the words' columns, and the rows of a table of returns at the steps that rows reach."""
    steps = columns(ladder, [steps_of(one) for _, one in rows])
    return [count(step) for step in steps], [
        [*words, *(entry(at(one, step, width)) for step in steps)] for words, one in rows
    ]


def seeds_told(rows: Rows) -> tuple[str, Rows]:
    """The seeds of a table's rows, and the rows, which tell their own at the end of their words where they differ."""
    counts = sorted({seeds_of(one) for _, one in rows})
    if len(counts) == 1:
        return seeds(counts[0]), rows
    told = [([*words[:-1], f"{words[-1]} ({seeds(seeds_of(one))})"], one) for words, one in rows]
    return f"{counts[0]} to {seeds(counts[-1])}", told


def once(lines: list[list[str]]) -> list[list[str]]:
    """The rows of a table, whose first words stand only where they begin."""
    before = [""] + [line[0] for line in lines[:-1]]
    return [["" if line[0] == words else line[0], *line[1:]] for words, line in zip(before, lines, strict=True)]


def averages(width: int) -> str:
    """What the entries of a table are."""
    return f"means over the {count(width)} steps up to each column"


def some(rows: Rows, what: str) -> Rows:
    """The rows; raises `UsageError` if there are none."""
    if not rows:
        raise UsageError(f"there are no curves for the table of {what}")
    return rows


def authors_return(task: str, method: str, last: int) -> tuple[int, float] | None:
    """The authors' return nearest to a curve's last step: the last step read off up to there, or the first, and it."""
    read = authors_returns(task, method)
    if not read:
        return None
    step = max((step for step in read if step <= last), default=min(read))
    return step, read[step]


# ---- from states ----

ENDS = "last tenth"
ENDS_TOLD = f"{ENDS}: of the steps that all have on a task"


def ends(found: dict[str, pd.DataFrame]) -> list[str]:
    """The entries of a column `ENDS`: final returns over the last tenth of the steps that all of these methods have."""
    return [entry(final_returns(one)) for one in at_shared_steps(*found.values())]


def figure4_vertical(data: Data) -> str:
    """ReacherVertical: TD3 and DynE-TD3, and the authors' returns."""
    task = "ReacherVertical"
    found = data.methods(task, ["TD3", "DynE-TD3"])
    told, rows = seeds_told(some([([name], one) for name, one in found.items()], "figure 4"))
    header, lines = returns(rows, LADDER, FINE)
    read = [authors_return(task, name, steps_of(one)) for name, one in found.items()]
    step = max(of_method[0] for of_method in read if of_method)
    last = [f"about {read_off(of_method[1])}" if of_method else "" for of_method in read]
    ours = [[*line, *more] for line, *more in zip(lines, ends(found), last, strict=True)]
    title = f"{task}, {told}, {averages(FINE)}, ± half of the 95 % interval ({ENDS}: of the steps that both have):"
    header = [task, *header, ENDS, f"authors' released plot, {count(step)} (2 seeds)"]
    return f"{title}\n\n{markdown(header, ours)}"


def figure4_tasks(data: Data) -> str:
    """The other tasks: TD3 and DynE-TD3."""
    return by_task({task: data.methods(task, ["TD3", "DynE-TD3"]) for task in OTHER_TASKS}, "figure 4, the other tasks")


def by_task(found: dict[str, dict[str, pd.DataFrame]], what: str) -> str:
    """The table of several methods on several tasks, {task: {method: its curves}}."""
    rows = [([task, method], one) for task, of_task in found.items() for method, one in of_task.items()]
    told, rows = seeds_told(some(rows, what))
    header, lines = returns(rows, [step for step in LADDER if step >= COARSE and step != 10_000], COARSE)
    last = [of_row for of_task in found.values() if of_task for of_row in ends(of_task)]
    lines = [[*line, of_row] for line, of_row in zip(once(lines), last, strict=True)]
    return f"{told} a row, {averages(COARSE)} ({ENDS_TOLD}):\n\n{markdown(['', '', *header, ENDS], lines)}"


def baselines(data: Data) -> str:
    """A table of all methods from states on every task that has baselines."""
    tables = []
    for task in NAMES:
        found = data.methods(task, FROM_STATES)
        if not set(found) & set(BASELINES):
            continue
        told, rows = seeds_told([([name], one) for name, one in found.items()])
        width = FINE if task == "ReacherVertical" else COARSE
        header, lines = returns(rows, [step for step in LADDER if step >= COARSE], width)
        tables.append(f"{task}, {told}, {averages(width)}:\n\n{markdown([task, *header], lines)}")
    if not tables:
        raise UsageError("there are no curves for the tables of baselines")
    return "\n\n".join(tables)


# ---- from pixels ----


def figure5(data: Data) -> str:
    """A table of the methods with encoders, and one of Pixel-TD3, on every task that has them."""
    tables = []
    for task in REACHER_FAMILY:
        encoded, alone = data.methods(task, ENCODED), data.methods(task, ["Pixel-TD3"])
        if encoded:
            pretrained = "the steps include the 100 000 of pretraining"
            tables.append(
                pixels(data, task, encoded, PIXEL_LADDER, PIXEL_BINS, f"{pretrained}; {averages(PIXEL_BINS)}")
            )
        if alone:
            short = max(map(steps_of, alone.values())) < 5 * PIXEL_BINS
            width = PIXEL_FINE if short else PIXEL_BINS
            ladder = [width * factor for factor in (1, 2, 3, 4, 5, 10, 20, 40, 120)]
            tables.append(pixels(data, task, alone, ladder, width, f"no pretraining; {averages(width)}"))
    if not tables:
        raise UsageError("there are no curves for the tables of figure 5")
    return "\n\n".join(tables)


def pixels(data: Data, task: str, found: dict[str, pd.DataFrame], ladder: list[int], width: int, told: str) -> str:
    """A table of methods from pixels {method: curves}; `told` says what its entries are."""
    rows = [([encoder_told(data, task, method)], one) for method, one in found.items()]
    many, rows = seeds_told(rows)
    header, lines = returns(rows, ladder, width)
    read = [authors_return(task, method, steps_of(one)) for method, one in found.items()]
    last = [f"{read_off(value[1])} at {count(value[0])}" if value else "" for value in read]
    table = markdown(
        [task, *header, "authors' released plot (8 seeds)"],
        [[*line, end] for line, end in zip(lines, last, strict=True)],
    )
    return f"{task}, {many}; {told}:\n\n{table}"


def encoder_told(data: Data, task: str, method: str) -> str:
    """A method, and for how many epochs its encoder was trained."""
    epochs = data.encoder_epochs(task, method)
    return f"{method}, encoder of {epochs} epochs" if epochs else method


# ---- whole plans and ablations ----


def plans(data: Data) -> str:
    """What algorithms return on whole plans, on raw actions, and DynE-TD3, after as many steps."""
    task = "ReacherVertical"
    found = {method: data.series(task, method) for method in ("TD3", "TD3-plans", "SAC", "SAC-plans", "DynE-TD3")}
    upto = min(map(steps_of, found.values()))
    said = {method: entry(at(one, upto, FINE)) for method, one in found.items()}
    lines = [
        ["TD3", said["TD3"], said["TD3-plans"], said["DynE-TD3"]],
        ["SAC", said["SAC"], said["SAC-plans"], ""],
    ]
    many = mostly({method: f"{seeds_of(one)}" for method, one in found.items()}, "seeds")
    title = f"{task}, means over the {count(FINE)} steps up to {count(upto)}, {many}:"
    return f"{title}\n\n{markdown(['', 'on raw actions', 'on whole plans', 'DynE-TD3'], lines)}"


def ablations(data: Data) -> str:
    """Sources of the decoder."""
    asked = QUESTIONS["source"]
    told, rows = seeds_told([([words], data.variant("source", name)) for name, words in asked.words.items()])
    header, lines = returns(rows, [step for step in LADDER if step >= COARSE], COARSE)
    return f"ReacherVertical, {told} a row, {averages(COARSE)}:\n\n{markdown([asked.title, *header], lines)}"


def default_beside(data: Data, variant: pd.DataFrame, task: str) -> pd.DataFrame:
    """The published curves of DynE-TD3 on a task, of the seeds and up to the steps of a variant."""
    default = data.series(task, "DynE-TD3")
    return default[default.seed.isin(variant.seed) & (default.steps <= variant.steps.max())]


def decoder_range(data: Data) -> str:
    """Decoders that span the bounds of the actions, and those that span [−1, 1]."""
    words, shown, wider = QUESTIONS["range"].words, [], []
    for task in ("Pusher", "Striker"):
        unit = data.variant("decoder", "unit", task)
        default = default_beside(data, unit, task)
        shown += [([task, words["default"]], default), ([task, words["unit"]], unit)]
        wide, narrow, upto = finals(default, unit)
        wider.append(f"{with_interval(better(wide, narrow))} on {task}")
    told, rows = seeds_told(shown)
    header, lines = returns(rows, [step for step in LADDER if step >= COARSE], COARSE)
    title = f"DynE-TD3, {told} a row, {averages(COARSE)}:"
    ends = f"Over the last tenth of {count(upto)} steps a run with the wider range ends better with probability {listed(wider)}."
    return f"{title}\n\n{markdown(['', 'decoder', *header], once(lines))}\n\n{paragraphs(ends)}"


def decoder_objective(data: Data) -> str:
    """Decoders of the paper's objective, of a heavier norm, and of z from the prior, on the same seeds each pair."""
    paper, heavy, prior = (data.variant("objective", name) for name in ("1e-4", "2.56e-2", "prior"))
    rows = [
        (["default: the paper's λ = 1e-4"], paper),
        (["weight 2.56e-2 (the default of earlier versions)"], heavy),
        (["default"], paper[paper.seed.isin(prior.seed)]),
        (["`--prior`"], prior),
    ]
    spans = [([*words, f"{one.seed.min()} to {one.seed.max()}"], one) for words, one in rows]
    shared = [*spans[:2], *((words, one[one.steps <= steps_of(prior)]) for words, one in spans[2:])]
    header, lines = returns(shared, [step for step in LADDER if step >= 10_000], FINE)
    title = f"DynE-TD3 on ReacherVertical, {averages(FINE)}, of {FEW} seeds or more ± half of the 95 % interval:"
    return f"{title}\n\n{markdown(['decoder', 'seeds', *header], lines)}"


def decoder_variants(data: Data) -> str:
    """The release's norm, and predictions without the state."""
    stateless, l2 = data.variant("decoder", "no_state"), data.variant("lambda-l2", "1e-4")
    default = default_beside(data, stateless, "ReacherVertical")
    release = data.variant("decoder", "release")
    rows: Rows = [(["default"], default), (["`--no_state`"], stateless), (["`--norm l2`"], l2)]
    told, rows = seeds_told([*rows, (["all settings of the release that have flags"], release)])
    header, lines = returns(rows, [step for step in LADDER if step >= COARSE], COARSE)
    return f"DynE-TD3 on ReacherVertical, {told} a row, {averages(COARSE)}:\n\n{markdown(['decoder', *header], lines)}"
