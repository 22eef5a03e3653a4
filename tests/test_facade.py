"""`import kit`: every room and the first names, quickly, and what is missing named with its extra."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import kit
from kit.extras import EXTRAS

# A Python in which the packages of an extra are not installed.
WITHOUT = """
import importlib.abc, sys
class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Nothing())
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def without(*extras: str, but: Iterable[str] = ()) -> str:
    return WITHOUT.format(packages={package for extra in extras for package in EXTRAS[extra]} - set(but))


def test_importing_kit_is_quick_and_loads_nothing():
    code = (
        "import sys, time; t = time.process_time(); import kit; print(time.process_time() - t, 'numpy' in sys.modules)"
    )
    seconds, loaded = run(code).stdout.split()
    assert float(seconds) < 0.1 and loaded == "False"


def test_all_names_are_there_and_editors_complete_them():
    missing = [name for name in kit.__all__ if not hasattr(kit, name)]
    assert missing == [] and set(kit.__all__) <= set(dir(kit))
    tree = ast.parse(Path(kit.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    named = {alias.asname for node in block.body for alias in node.names}
    # Of no use outside:
    inner = {
        "arguments",
        "batches",
        "extras",
        "optimisation",
        "own_files",
        "processes",
        "score_files",
        "shipped",
        "threads",
    }
    assert named - set(kit.__all__) == set() and set(kit.__all__) - named - inner == set()
    with pytest.raises(AttributeError, match="module 'kit' has no attribute 'nothing'"):
        _ = kit.nothing


def test_the_core_needs_no_extra():
    core = "types files text data metrics losses attention checkpoints encoder reader index retrieve teachers train"
    loaded = f"for name in {[*core.split(), 'rounds', 'recipes']}: getattr(kit, name)"
    code = f"{without('widgets', 'lab', 'course', but={'IPython'})}\nimport kit\n{loaded}\nprint(kit.KitError)"
    ended = run(code)  # transformers loads IPython if its distribution is there
    assert ended.stdout == "<class 'kit.types.KitError'>\n", ended.stderr


@pytest.mark.parametrize(
    "statement", ["import kit; kit.plots", "import kit.plots", "from kit.plots import passage_bars",
                  "from kit.widgets import LossLab", "import kit; kit.widgets.LossLab"]
)  # fmt: skip
def test_a_missing_part_names_its_extra(statement):
    ended = run(f"{without('widgets')}\n{statement}")
    assert ended.stderr.splitlines()[-1].endswith('(pip install "kit[widgets]"), given a Python without it'), (
        ended.stderr
    )


def test_a_command_names_the_extra_it_needs(tmp_path):
    ended = run(
        f"{without('course', 'widgets', 'lab')}\nfrom kit.cli import main\nmain(['course', '--out', {str(tmp_path)!r}])"
    )
    assert ended.returncode == 2 and 'pip install "kit[' in ended.stderr and "Traceback" not in ended.stderr
