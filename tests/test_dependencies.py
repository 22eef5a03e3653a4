"""What kit and its tests import is declared in pyproject.toml, so that a fresh environment holds it."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BROUGHT = {"ipython": "ipywidgets", "traitlets": "ipywidgets", "jupyter-core": "jupyterlab"}  # what: by whom


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", each)[0].lower().replace("_", "-") for each in requirements}


def imported(folder: Path) -> dict[str, str]:
    """Distributions that a folder's modules import, each with one place that does."""
    own = {path.stem for place in (folder, ROOT / "data" / "make") for path in place.rglob("*.py")} | {"kit"}
    found = {}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for module in {each.split(".")[0] for each in modules} - own - sys.stdlib_module_names:
                found[module] = f"{path.relative_to(ROOT)}, line {node.lineno}"
    known = packages_distributions()
    return {known.get(module, [module])[0].lower().replace("_", "-"): place for module, place in found.items()}


@pytest.mark.parametrize(("folder", "extras"), [("kit", ["cpu"]), ("data/make", ["cpu"]), ("tests", ["cpu", "test"])])
def test_every_import_is_declared(folder, extras):
    extra = [each for name in extras for each in PROJECT["optional-dependencies"][name]]
    declared = names(PROJECT["dependencies"] + extra)
    found = imported(ROOT / folder)
    assert "torch" in found
    assert {name: place for name, place in found.items() if name not in declared | set(BROUGHT)} == {}


@pytest.mark.parametrize(("what", "by"), BROUGHT.items())
def test_what_is_not_declared_comes_with_a_package_that_is(what, by):
    assert by in names(PROJECT["dependencies"])
    assert what in names(requires(by))
