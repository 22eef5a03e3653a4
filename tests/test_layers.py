"""The folder's order: modules import lower layers only, and heavy packages stay where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kit"
# Each layer imports itself and those above it in this list. Within a layer imports may not go in circles.
LAYERS = [
    ["types", "arguments", "extras", "files", "text", "threads", "shipped", "optimisation", "own_files", "score_files"],
    ["device", "batches", "processes"],
    ["metrics"],
    ["data", "losses"],
    ["checkpoints", "index", "attention"],
    ["encoder"],
    ["retrieve", "reader"],
    ["teachers"],
    ["train"],
    ["toy"],
    ["rounds", "recipes"],
    ["doctor", "bench"],
    ["plots"],
    ["pages"],
    ["quickstart"],
    ["widgets"],
    ["course"],
    ["cli"],
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
HEAVY = {"faiss": {"index"}, "ipywidgets": {"widgets"}, "anywidget": {"widgets"}, "bm25s": {"retrieve"}}


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imports(path: Path) -> set[str]:
    """Everything that a file imports, where it runs (not for type checkers alone), as dotted names."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def test_every_module_has_a_layer():
    assert {name_of(path) for path in modules()} <= set(LAYER)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_import_lower_layers_only(path):
    mine = LAYER[name_of(path)]
    used = {name.split(".")[1] for name in imports(path) if name.startswith("kit.")}
    assert {name for name in used if LAYER[name] > mine} == set()


@pytest.mark.parametrize("package", HEAVY)
def test_heavy_packages_stay_where_they_belong(package):
    users = {name_of(path) for path in modules() if package in {name.split(".")[0] for name in imports(path)}}
    assert users <= HEAVY[package]


@pytest.mark.parametrize("module", ["kit", "kit.types", "kit.data", "kit.metrics"])
def test_light_modules_load_neither_torch_nor_transformers(module):
    code = f"import sys, {module}; print([name for name in ('torch', 'transformers', 'faiss') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
