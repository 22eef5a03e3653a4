"""Every notebook has the course's form, has no outputs, and runs; its checkers tell stub from solution."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from kit.course.hosting import HOSTING, load_hosting
from kit.pages.execute import Executed, execute_notebook

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
AT_A_TIME = 2  # with one thread each
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(path: Path, kind: str = "code", tag: str | None = None) -> list[nbformat.NotebookNode]:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]
    return [cell for cell in cells if tag is None or tag in cell.metadata.get("tags", ())]


def test_the_course_is_whole():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{number:02d}" for number in range(14)]


@every_notebook
def test_it_is_committed_without_outputs(path):
    assert all(not cell.outputs and cell.execution_count is None for cell in cells_of(path))
    assert "widgets" not in nbformat.read(path, as_version=4).metadata


@every_notebook
def test_its_cells_have_ids_that_differ(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z]+-?\d+", name) for name in ids)


@every_notebook
def test_it_says_what_for_and_asks_for_predictions(path):
    notes = [cell.source for cell in cells_of(path, "markdown")]
    assert notes[0].startswith("# ") and "**You will**" in notes[0]
    text = "\n".join(notes)
    assert "**Predict" in text and "## Recap" in text and "**Change this first" in text


@every_notebook
def test_its_settings_are_one_cell_with_one_switch(path):
    cells = [cell.source for cell in cells_of(path)]
    settings = [source for source in cells if source.startswith("# CONFIG")]
    assert len(settings) == 1 and settings[0] == cells[1]  # after the set-up
    assert re.search(r'^SCALE = "toy"', settings[0], re.MULTILINE) and '"full"' in settings[0]


@every_notebook
def test_its_code_is_short_and_knows_nothing_of_a_machine(path):
    for cell in cells_of(path):
        if cell.id == "setup-0":
            continue
        lines = cell.source.splitlines()
        assert all(len(line) <= 120 for line in lines), cell.id
        assert not re.search(r"sys\.path|^[!%]|\bpip\b|/work/|/tmp/|/home/", cell.source, re.MULTILINE), cell.id


@every_notebook
def test_it_begins_with_links_and_set_up_from_one_file(path):
    notebook = nbformat.read(path, as_version=4)
    written = {cell.id: cell.source for cell in notebook.cells[1:3]}
    assert written == load_hosting(FOLDER / HOSTING).cells(path.name)


@every_notebook
def test_each_exercise_has_stub_check_and_hidden_solution(path):
    tags = [tag for cell in cells_of(path) for tag in cell.metadata.get("tags", ()) if tag in ORDER]
    assert tags and tags == ORDER * (len(tags) // len(ORDER))
    assert len(tags) // len(ORDER) <= 3
    names = [re.search(r"check_\w+\((\w+)", cell.source)[1] for cell in cells_of(path, tag="check")]
    for name, cell in zip(names, cells_of(path, tag="solution"), strict=True):
        assert cell.metadata.jupyter.source_hidden and cell.metadata.jupyter.outputs_hidden
        assert f"def {solution_of(name)}(" in cell.source
        assert not re.search(rf"def {name}\b|check_", cell.source), "a solution leaves the student's function alone"


ORDER = ["exercise", "check", "solution"]


def solution_of(name: str) -> str:
    return f"{name.removeprefix('my_')}_solution"


def with_solutions_checked(path: Path) -> nbformat.NotebookNode:
    """The notebook, each check repeated with the solution behind it."""
    notebook, cells, check = nbformat.read(path, as_version=4), [], None
    for cell in notebook.cells:
        cells.append(cell)
        tags = cell.metadata.get("tags", ())
        check = cell.source if "check" in tags else check
        if "solution" in tags:
            name = re.search(r"check_\w+\((\w+)", check)[1]
            cells.append(new_code_cell(re.sub(rf"\b{name}\b", solution_of(name), check), metadata={"tags": ["solved"]}))
    notebook.cells = cells
    return notebook


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[Path, Future[Executed]]]:
    """The notebooks whose tests were chosen, run a few at a time; each test waits for its own."""
    chosen = [item.callspec.params["path"] for item in request.session.items if "runs" in item.fixturenames]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {
            path: pool.submit(
                execute_notebook,
                with_solutions_checked(path),
                folder=FOLDER,
                name=path.name,
                timeout=900,
                environment={"OMP_NUM_THREADS": "1"},
            )
            for path in chosen
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.notebook
@every_notebook
def test_it_runs_and_its_checkers_tell_stub_from_solution(path, runs):
    done = runs[path].result()
    print(f"{path.stem}: {done.seconds:.0f} s")
    for cell in done.notebook.cells:
        tags = cell.metadata.get("tags", ())
        if "check" in tags:
            assert "Not yet: " in printed(cell) and "Passed: " not in printed(cell), cell.id
        if "solution" in tags:
            assert "Passed: " not in printed(cell) and "Not yet: " not in printed(cell), cell.id
        if "solved" in tags:
            assert "Passed: " in printed(cell) and "Not yet: " not in printed(cell), (cell.source, printed(cell))


def printed(cell: nbformat.NotebookNode) -> str:
    """The outputs of the cell as plain text."""
    return "\n".join(one.get("text") or one.get("data", {}).get("text/plain", "") for one in cell.outputs)
