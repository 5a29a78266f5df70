"""What the key of stored random play counts of an environment's code."""

import hashlib
import importlib
import os
import subprocess
import sys
import zipfile

import gymnasium
import pytest

from common.environment_identity import code_digest
from common.environments import make_env
from embedding.play_key import RECIPE, play_key
from embedding.random_play import random_play

pytestmark = pytest.mark.quick

FILES = {
    "__init__.py": "from gymnasium.envs.registration import register\n"
    'register("OfFiles-v0", entry_point="keyed.leaf:Leaf", max_episode_steps=5)\n',
    "leaf.py": "from .base import Base\n\n\nclass Leaf(Base):\n    '''A leaf.'''\n",
    "base.py": "import gymnasium\nimport numpy as np\nfrom keyed import dynamics\nfrom gymnasium.spaces import Box\n\n\n"
    "class Base(gymnasium.Env):\n    observation_space = action_space = Box(-1, 1, (1,))\n\n"
    "    def reset(self, **_):\n        return np.zeros(1, np.float32), {}\n\n"
    "    def step(self, action):\n        return dynamics.move(action), 0.0, False, False, {}\n",
    "dynamics.py": "from keyed.constants import GAIN\n\n\ndef move(action):\n    return GAIN * action\n",
    "constants.py": "GAIN = 0.5\n",
    "elsewhere.py": "UNUSED = 1\n",
}


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """The digest of an environment of files, of which some are replaced: {name: text}."""
    monkeypatch.syspath_prepend(tmp_path)

    def of(**replaced):
        for name in [name for name in sys.modules if name.partition(".")[0] == "keyed"]:
            del sys.modules[name]
        gymnasium.registry.pop("OfFiles-v0", None)
        (tmp_path / "keyed").mkdir(exist_ok=True)
        for name, text in FILES.items():
            (tmp_path / "keyed" / name).write_text(replaced.get(name.removesuffix(".py"), text))
        importlib.invalidate_caches()
        return code_digest(make_env("keyed:OfFiles-v0"))

    yield of
    gymnasium.registry.pop("OfFiles-v0", None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "keyed"]:
        del sys.modules[name]


LEAF, BASE, DYNAMICS, CONSTANTS = (FILES[f"{name}.py"] for name in ("leaf", "base", "dynamics", "constants"))
SAME = {
    "a comment in the leaf": {"leaf": "# the leaf\n" + LEAF},
    "its docstring": {"leaf": LEAF.replace("A leaf.", "Another.")},
    "annotations": {"base": BASE.replace("(self, action)", "(self, action: np.ndarray) -> tuple")},
    "blank lines": {"base": BASE.replace("\n\n    def", "\n\n\n\n    def")},
    "a module that is not imported": {"elsewhere": "UNUSED = 2\n"},
}
OTHER = {
    "the leaf": {"leaf": LEAF + "\n    def render(self):\n        return None\n"},
    "the class it inherits from": {"base": BASE.replace("0.0, False", "1.0, False")},
    "a module that this imports": {"dynamics": DYNAMICS.replace("GAIN *", "GAIN +")},
    "a constant two imports away": {"constants": "GAIN = 0.25\n"},
}
BY_NAME = DYNAMICS.replace(
    "from keyed.constants", "import importlib\n\nGAIN = importlib.import_module('keyed.constants').GAIN #"
)


@pytest.mark.parametrize("change", SAME)
def test_what_changes_no_data_changes_no_digest(digest, change):
    assert digest() == digest(**SAME[change])


@pytest.mark.parametrize("change", OTHER)
def test_code_that_may_change_data_changes_the_digest(digest, change):
    assert digest() != digest(**OTHER[change])


def test_what_is_imported_by_its_name_as_text_counts(digest):
    assert digest(dynamics=BY_NAME) == digest(dynamics=BY_NAME) != digest(dynamics=BY_NAME, constants="GAIN = 0.25\n")


def test_the_module_of_an_object_among_the_arguments_counts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "gusts", raising=False)
    digests = []
    for force in (1, 1, 2):
        sys.modules.pop("gusts", None)
        importlib.invalidate_caches()
        (tmp_path / "gusts.py").write_text(f"class Gust:\n    def __call__(self):\n        return {force}\n")
        gust = importlib.import_module("gusts").Gust()
        (tmp_path / "given.py").write_text(GIVEN)
        gymnasium.register("Gusty-v0", "given:Given", max_episode_steps=5, kwargs={"function": gust, "names": ()})
        digests.append(code_digest(make_env("Gusty-v0")))
        del gymnasium.registry["Gusty-v0"]
    assert digests[0] == digests[1] != digests[2]


def test_the_base_classes_of_a_task_are_part_of_its_key(monkeypatch):
    env = make_env("ReacherTurn-v2")
    before = play_key(env, 10, 0)
    assert before == play_key(make_env("ReacherTurn-v2"), 10, 0)
    monkeypatch.setitem(sys.modules, "envs.mujoco_task", sys.modules["envs.pixels"])  # another file
    assert before["code"] != play_key(env, 10, 0)["code"]


def test_play_of_this_recipe():
    """Whoever changes what is played for the same seed raises RECIPE, or old files pass for new ones."""
    play = random_play(make_env("Point-v0"), 50, 0, progress=False)
    sha = hashlib.sha256(play.actions.tobytes() + play.states.round(9).tobytes() + play.lengths.tobytes())
    assert (RECIPE, sha.hexdigest()[:16]) == (4, "844f28be6731d1a6")


def test_an_import_that_only_a_package_could_do_counts_for_nothing(tmp_path, monkeypatch):
    """As `try: from .helper import x`, in a module that is called both within a package and alone."""
    monkeypatch.syspath_prepend(tmp_path)
    idiom = "try:\n    from .helper import GAIN\nexcept ImportError:\n    GAIN = 1\n"
    (tmp_path / "lonely.py").write_text(idiom + BASE.replace("from keyed import dynamics\n", ""))
    gymnasium.register("Lonely-v0", "lonely:Base", max_episode_steps=5)
    assert code_digest(make_env("Lonely-v0"))
    del gymnasium.registry["Lonely-v0"]


def test_the_code_of_a_module_in_a_zip_file_counts(tmp_path, monkeypatch):
    digests = []
    for name, text in (("first", BASE), ("second", BASE), ("third", BASE.replace("0.0", "1.0"))):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as file:
            file.writestr("zipped.py", text.replace("from keyed import dynamics\n", ""))
        monkeypatch.syspath_prepend(tmp_path / f"{name}.zip")
        sys.modules.pop("zipped", None)
        gymnasium.register("Zipped-v0", "zipped:Base", max_episode_steps=5)
        digests.append(code_digest(make_env("Zipped-v0")))
        del gymnasium.registry["Zipped-v0"]
    assert digests[0] == digests[1] != digests[2]


PROCESS = """
import gymnasium
import {module}
from common.environments import make_env
from embedding.play_key import play_key

arguments = {{"function": lambda: 0, "names": {{"a", "b", "c", "d"}}}}
gymnasium.register("Given-v0", "{module}:Given", max_episode_steps=5, kwargs=arguments)
print(play_key(make_env("Given-v0"), 10, 0)["kwargs"])
"""
GIVEN = BASE.replace("from keyed import dynamics\n", "").replace("class Base", "class Given")
GIVEN = GIVEN.replace("    def reset", "    def __init__(self, function, names):\n        pass\n\n    def reset")


def test_the_key_of_arguments_is_the_same_in_every_process(tmp_path):
    """`repr` of a function holds its address, that of a set of text an order that differs."""
    (tmp_path / "given.py").write_text(GIVEN)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    told = {
        subprocess.run(
            [sys.executable, "-c", PROCESS.format(module="given")],
            env=os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1 and "function" in told.pop()


def test_source_that_is_none_counts_as_it_is(digest):
    """Of another Python, say, which the module that imports it can do without."""
    base = BASE.replace(
        "from keyed import dynamics", "try:\n    from keyed import dynamics\nexcept SyntaxError:\n    pass"
    )
    base = base.replace("dynamics.move(action)", "action")
    found = [digest(base=base, dynamics=text) for text in ("print 1\n", "print 1\n", "print 2\n")]
    assert found[0] == found[1] != found[2]


LATE = BASE.replace("from keyed import dynamics\n", "").replace("return dynamics", "import later\n        return later")


def test_what_a_step_imports_counts_before_and_after_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "late.py").write_text(LATE)
    digests = []
    for text in (DYNAMICS, DYNAMICS.replace("GAIN *", "GAIN +")):
        (tmp_path / "later.py").write_text(text.replace("from keyed.constants import GAIN", "GAIN = 0.5"))
        importlib.invalidate_caches()
        gymnasium.register("ImportsLate-v0", "late:Base", max_episode_steps=5)
        env = make_env("ImportsLate-v0")
        digests.append(code_digest(env))
        env.reset(seed=0)
        env.step(env.action_space.low)
        assert "later" in sys.modules and code_digest(env) == digests[-1]
        del gymnasium.registry["ImportsLate-v0"], sys.modules["later"]
    assert digests[0] != digests[1]
    del sys.modules["late"]


FACTORY = """
import functools
import gymnasium
from shape import Base

def make(gain, **_):
    env = Base()
    env.gain = gain
    return env

gymnasium.register("Made-v0", functools.partial(make, {gain}), max_episode_steps=5)
"""


def test_the_module_that_makes_an_environment_counts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shape.py").write_text(BASE.replace("from keyed import dynamics\n", ""))
    digests = []
    for gain in (0.5, 0.5, 0.7):
        (tmp_path / "maker.py").write_text(FACTORY.format(gain=gain))
        importlib.invalidate_caches()
        digests.append(code_digest(make_env("maker:Made-v0")))
        del gymnasium.registry["Made-v0"], sys.modules["maker"]
    del sys.modules["shape"]
    assert digests[0] == digests[1] != digests[2]
