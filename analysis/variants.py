"""The words for the variants of an ablation, whose names in results/ablations are short."""

from typing import NamedTuple


class Question(NamedTuple):
    """What a group of variants asks.

    Attributes:
        title: what varies.
        words: {name of a variant: what it is}, in the order of tables.
        method: the variants that are a method of figure 4, {name: method}: they have its colour.
    """

    title: str
    words: dict[str, str]
    methods: dict[str, str]


class Kind(NamedTuple):
    """A variant of TD3 that was tried beside the published one, because DynE-TD3 differs from that one in it.

    Attributes:
        group, name: its ablation.
        curve: what figure 4 calls it.
        words: what it is.
        with_it: the same in the middle of a sentence.
        color: of its curve.
    """

    group: str
    name: str
    curve: str
    words: str
    with_it: str
    color: str


RAW = "noise 0.1 in raw units"  # the published one
VARIANTS_OF_TD3 = (
    Kind("noise", "bounds", "TD3 (wider noise)", "noise of a tenth of each bound", "with the wider noise", "#17becf"),
    Kind("bounded", "2", "TD3 (within ±2)", f"{RAW}, actions within ±2", "within ±2", "#98df8a"),
    Kind(
        "start",
        "td3",
        "TD3 (10 000 random steps)",
        f"{RAW}, 10 000 random steps",
        "with 10 000 random steps",
        "#6a3d9a",
    ),
)


# ---- groups of ablations that have a place of their own ----

OF_FIGURE_4 = {"embedding": "seed0", "decoder": "default"}  # {group of ablations: its variant that figure 4 has}
IN_CONTROLS = "controls"  # those that the figure of controls shows
MORE_UNTRAINED = "untrained"  # those of other untrained encoders than its own
LONGER = "longer"  # those of runs that are longer than the published ones, for the texts alone
SMOOTHING = "smoothing"  # those that the figure of values shows
RANDOM_STEPS = "start"  # those of TD3 and DynE-TD3 that begin with random steps
APART = [IN_CONTROLS, MORE_UNTRAINED, LONGER, SMOOTHING, *(kind.group for kind in VARIANTS_OF_TD3)]


QUESTIONS = {
    "source": Question(
        "source of the decoder",
        {"ReacherVertical": "ReacherVertical itself", "ReacherTurn": "ReacherTurn", "none": "none: TD3"},
        {"ReacherVertical": "DynE-TD3", "none": "TD3"},
    ),
    "objective": Question(
        "objective of the decoder",
        {
            "1e-4": "norm weighs 1e-4, the default",
            "2.56e-2": "norm weighs 2.56e-2",
            "prior": "z drawn from the prior",
        },
        {"1e-4": "DynE-TD3"},
    ),
    "decoder": Question(
        "training of stage one",
        {
            "default": "f sees state and actions, the default",
            "no_state": "f sees the actions alone",
            "release": "the release's, as far as flags go",
        },
        {"default": "DynE-TD3"},
    ),
    "embedding": Question("seed of the embedding", {f"seed{n}": f"seed {n}" for n in range(5)}, {"seed0": "DynE-TD3"}),
    "range": Question(
        "range of decoded actions",
        {"default": "±2, Pusher's bounds (default)", "unit": "±1, as in the release"},
        {"default": "DynE-TD3"},
    ),
}


def question(group: str, names: set[str]) -> Question:
    """What the group of a file in results/ablations asks, of which there are variants of these names.

    An unknown group or variant is called by its name.
    """
    key = "range" if group == "decoder" and "unit" in names else group
    known = QUESTIONS.get(key, Question(group, {}, {}))
    return known._replace(words=known.words | {name: name for name in sorted(names - set(known.words))})
