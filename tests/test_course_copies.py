"""Copies of the notebooks: new ones come, unchanged ones are renewed, a student's own work is never overwritten."""

from __future__ import annotations

import pytest

from kit.course.copies import copy_notebooks
from kit.shipped import NOTEBOOKS


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source" / "checks").mkdir(parents=True)
    for name in ("a.ipynb", "b.ipynb", "checks/c.py"):
        (tmp_path / "source" / name).write_text(f"first {name}")
    (tmp_path / "source" / "checks" / "__pycache__").mkdir()
    (tmp_path / "source" / "checks" / "__pycache__" / "c.pyc").write_text("")
    return tmp_path / "source"


def test_everything_is_copied_once(source, tmp_path):
    assert copy_notebooks(tmp_path / "work", source) == {"a.ipynb": "new", "b.ipynb": "new", "checks/c.py": "new"}
    assert (tmp_path / "work" / "checks" / "c.py").read_text() == "first checks/c.py"
    assert copy_notebooks(tmp_path / "work", source) == {}


def test_a_newer_kit_renews_what_was_not_changed_and_keeps_what_was(source, tmp_path):
    work = tmp_path / "work"
    copy_notebooks(work, source)
    (work / "a.ipynb").write_text("my answers")
    for name in ("a.ipynb", "b.ipynb"):
        (source / name).write_text(f"second {name}")
    assert copy_notebooks(work, source) == {"a.ipynb": "kept", "b.ipynb": "renewed"}
    assert (work / "a.ipynb").read_text() == "my answers" and (work / "b.ipynb").read_text() == "second b.ipynb"
    assert copy_notebooks(work, source) == {"a.ipynb": "kept"}


def test_a_file_that_was_there_before_is_kept(source, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.ipynb").write_text("of somebody")
    assert copy_notebooks(tmp_path / "work", source)["a.ipynb"] == "kept"
    assert (tmp_path / "work" / "a.ipynb").read_text() == "of somebody"


def test_the_shipped_notebooks_have_their_checkers():
    assert {"00_start_here.ipynb", "checks", "hosting.toml"} <= {path.name for path in NOTEBOOKS.iterdir()}
