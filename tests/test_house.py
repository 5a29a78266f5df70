"""The order of the house: which package may import which, and that scripts are not used as libraries."""

import ast
import sys
from importlib.metadata import packages_distributions

import pytest

from common.paths import REPOSITORY

pytestmark = pytest.mark.quick

FLOORS = ["envs", "common", "embedding", "rl", "analysis", "experiments"]  # each may import those before it
MODULES = {
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts): path
    for floor in FLOORS
    for path in sorted((REPOSITORY / floor).rglob("*.py"))
}
SCRIPTS = {name for name, path in MODULES.items() if name.rpartition(".")[2].startswith("main")}


def imports(module, nested=True):
    """The names that a module imports, as dotted names; those within functions too if `nested`."""
    tree = ast.parse(MODULES[module].read_text())
    for node in ast.walk(tree) if nested else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    floor = FLOORS.index(module.partition(".")[0])
    above = {name for name in imports(module) if name.partition(".")[0] in FLOORS[floor + 1 :]}
    assert not above, f"{module} imports {above} from a floor above it"


def test_scripts_are_not_libraries():
    """Only analysis/commands.py and report_settings.py import them: they ask their parsers for defaults."""
    users = {module for module in MODULES for name in imports(module) if name in SCRIPTS}
    assert users <= {"analysis.commands", "analysis.report_settings"} and len(SCRIPTS) >= 9


def test_the_linter_looks_at_all_packages_and_at_nothing_of_ones_own():
    (line,) = [line for line in (REPOSITORY / "Makefile").read_text().splitlines() if line.startswith("OWN := ")]
    assert {*line.split()[2:]} == {*FLOORS, "benchmarks", "tests", "rl_plots.ipynb"}


def test_reading_curves_needs_no_torch():
    """Tables and figures of csv files load in a moment."""
    needed, seen = ["analysis.curves"], set()
    while needed:
        module = needed.pop()
        if module in seen or module not in MODULES:
            continue
        seen.add(module)
        names = list(imports(module, nested=False))
        assert not {name.partition(".")[0] for name in names} & {"torch", "gymnasium", "mujoco"}, module
        needed += names


def test_no_module_is_called_like_one_of_pythons_or_of_a_package():
    """`python rl/x.py` has rl/ first on its path until `common` is imported, behind gymnasium, torch and others."""
    installed = {name for name, brought_by in packages_distributions().items() if set(brought_by) != {"dyne"}}
    taken = {*sys.stdlib_module_names, *installed}
    folders = [REPOSITORY / name for name in (*FLOORS, "benchmarks")]
    modules = [path for folder in folders for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()]
    assert not [str(path) for path in modules if path.stem in taken]
