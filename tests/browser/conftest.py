"""Real browser tests. A test asks for `lab`, `notebook7` or `voila` (a running server) and for `run_notebook`:

    def test_it_is_drawn(lab, run_notebook):
        page = run_notebook(lab, ["from kit.widgets import LossLab", "LossLab([3.0, 1.0])"])
        page.wait_for_selector(".kit-chart .main-svg")
        page.screenshot(path=...)

`page` is Playwright's; it has `.requests` (addresses), `.received` (sizes of websocket messages), `.errors` (of
scripts) and `.path` (the notebook's file). `run_notebook(front_end, cells, dark=False, wait=True, size=(1200, 1400))`:
with `wait=False` it comes back while the cells run (wait_until_idle, saved: see front_ends.py). Cells that begin with
`# ` and a word are text. After each test its pages are closed; a request that left this machine fails it. The fixture
`pictures(page, name)` saves a screenshot where the variable KIT_SCREENSHOTS names a folder.

Run by `make browser` (`pytest -m browser`); a missing chromium (`apt-get install chromium`), playwright, notebook or
voila is a failure. One server of a kind serves all tests; notebooks of tests stand in a temporary folder. Leave the
whole folder under about 3 minutes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from . import front_ends
from .front_ends import FrontEnd, front_end

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is a browser test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def chromium() -> Iterator:
    """A headless browser."""
    if find_spec("playwright") is None:
        pytest.fail("playwright is not installed (pip install 'kit[test]')")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail(f"no browser on this machine, wanted one of {', '.join(BROWSERS)} (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


def _served(kind: str, package: str, folder: Path) -> Iterator[FrontEnd]:
    if find_spec(package) is None:
        pytest.fail(f"{package} is not installed (pip install 'kit[test]')")
    with front_end(kind, folder) as running:
        yield running


@pytest.fixture(scope="package")
def lab(chromium: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    yield from _served("lab", "jupyterlab", tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="package")
def notebook7(chromium: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    yield from _served("notebook", "notebook", tmp_path_factory.mktemp("notebook"))


@pytest.fixture(scope="package")
def voila(chromium: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    yield from _served("voila", "voila", tmp_path_factory.mktemp("voila"))


@pytest.fixture
def run_notebook(chromium) -> Iterator[Callable]:
    """Open a notebook of these cells in a front end and run it; the page."""
    pages = []

    def run(where: FrontEnd, cells, *, dark: bool = False, wait: bool = True, size=(1200, 1400)):
        path = where.write(cells)
        front_ends.set_theme(where, dark)
        page = front_ends.open_page(chromium, where, path, dark=dark, size=size)
        page.path = path
        pages.append(page)
        if where.kind != "voila":
            front_ends.run_all(page, wait=wait)
        return page

    yield run
    strays = [url for page in pages for url in front_ends.outside(page)]
    for page in pages:
        page.context.close()
    assert strays == [], "these requests left the machine"


@pytest.fixture
def open_file(chromium, tmp_path) -> Iterator[Callable]:
    """Export an explorer and open its file without any server; the page has `.errors` and `.requests`."""
    pages = []

    def open_exported(explorer, address: str = "", *, dark: bool = False, size=(1366, 768)):
        path = explorer.export_html(tmp_path / f"page{len(pages)}.html")
        assert path.stat().st_size < 1_000_000
        scheme = "dark" if dark else "light"
        context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        page = context.new_page()
        page.errors, page.requests = [], []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda line: page.errors.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(path.as_uri() + address)
        page.wait_for_selector(".kit-panel")
        pages.append(page)
        return page

    yield open_exported
    for page in pages:
        assert page.errors == []
        assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []
        page.context.close()


@pytest.fixture
def pictures(request: pytest.FixtureRequest) -> Callable:
    """Save a screenshot of a page under a name, where KIT_SCREENSHOTS names a folder to look at them in."""

    def save(page, name: str) -> None:
        if folder := os.environ.get("KIT_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png")

    return save
