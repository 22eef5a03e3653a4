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


def declared(*extras: str) -> set[str]:
    """What an installation with these extras asks for, extras within extras included."""
    found, waiting = names(PROJECT["dependencies"]), list(extras)
    while waiting:
        requirements = PROJECT["optional-dependencies"][waiting.pop()]
        for requirement in requirements:
            if inner := re.fullmatch(r"kit\[(.+)\]", requirement):
                waiting.extend(inner[1].split(","))
        found |= names(requirements)
    return found - {"kit"}


def imported(paths: list[Path], own: set[str]) -> dict[str, str]:
    """Distributions that these modules import, each with one place that does."""
    found = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for module in {each.split(".")[0] for each in modules} - own - sys.stdlib_module_names:
                found[module] = f"{path.relative_to(ROOT)}, line {node.lineno}"
    distributions = packages_distributions()
    return {distributions.get(name, [name])[0].lower().replace("_", "-"): place for name, place in found.items()}


EXTRA_OF_ROOM = {room: ["course"] for room in ("pages", "course")} | {"plots": ["widgets"], "widgets": ["widgets"]}
ROOMS = sorted({path.relative_to(ROOT / "kit").parts[0] for path in (ROOT / "kit").rglob("*.py")})


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_its_extra_declares(room):
    place = ROOT / "kit" / room
    paths = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    allowed = declared("cpu", *EXTRA_OF_ROOM.get(room, []))
    found = imported(paths, {"kit"})
    assert {name: where for name, where in found.items() if name not in allowed | set(BROUGHT)} == {}


def test_the_tests_import_what_their_extra_declares():
    paths = sorted((ROOT / "tests").rglob("*.py"))
    makers = (ROOT / "data" / "make").glob("*.py")
    found = imported(paths, {path.stem for path in (*paths, *makers)} | {"kit", "checks"})
    assert "torch" in found
    assert {name: where for name, where in found.items() if name not in declared("cpu", "test") | set(BROUGHT)} == {}


@pytest.mark.parametrize(("what", "by"), BROUGHT.items())
def test_what_is_not_declared_comes_with_a_package_that_is(what, by):
    assert by in declared("cpu", "test")
    assert what in names(requires(by))
