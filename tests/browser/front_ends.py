"""JupyterLab, Notebook 7 and Voila as processes on a temporary folder, and notebooks run in them by a real browser.

Nothing of the user's own Jupyter settings is read or changed, and no server is reached from outside this machine.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 60.0  # seconds that a server, a page or a cell may take on a busy machine
COMMANDS = {
    "lab": ["jupyterlab", "--LabApp.expose_app_in_browser=True"],
    "notebook": ["notebook", "--JupyterNotebookApp.expose_app_in_browser=True"],
    "voila": ["voila", "--no-browser"],
}
PAGES = {"lab": "lab/tree/", "notebook": "notebooks/", "voila": "voila/render/"}
INSIDE = re.compile(r"(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|(data|blob|about|chrome-extension):")
VOILAS_OWN = re.compile(r"https://cdn\.jsdelivr\.net/npm/@fortawesome/")


@dataclass
class FrontEnd:
    """One running server: its kind ("lab", "notebook", "voila"), its address and its folder."""

    kind: str
    address: str
    folder: Path
    log: Path
    notebooks: int = field(default=0)

    def write(self, cells: Sequence[str]) -> Path:
        """A new notebook of these code cells (one that begins with `#` and a space is text)."""
        self.notebooks += 1
        path = self.folder / f"book{self.notebooks}.ipynb"
        book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
        book.cells = [
            nbformat.v4.new_markdown_cell(cell) if re.match(r"#+ \w", cell) else nbformat.v4.new_code_cell(cell)
            for cell in cells
        ]
        nbformat.write(book, path)
        return path


@contextmanager
def front_end(kind: str, folder: Path) -> Iterator[FrontEnd]:
    """A server of a kind, stopped with its kernels at the end."""
    books = folder / "books"
    books.mkdir(parents=True)
    log, port = folder / "log.txt", _free_port()
    command = [sys.executable, "-m", *COMMANDS[kind], *_options(kind, books, port)]
    with log.open("w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, env=_environment(folder), cwd=books)
    try:
        running = FrontEnd(kind, f"http://127.0.0.1:{port}/", books, log)
        _wait_for(running, server)
        yield running
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _options(kind: str, books: Path, port: int) -> list[str]:
    if kind == "voila":
        return [str(books), f"--port={port}", "--Voila.ip=127.0.0.1"]
    return [
        "--no-browser", "--allow-root", f"--port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1",
        "--IdentityProvider.token=", "--ServerApp.password=", f"--ServerApp.root_dir={books}",
    ]  # fmt: skip


def _environment(folder: Path) -> dict[str, str]:
    own = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTERLAB_SETTINGS_DIR": "settings", "IPYTHONDIR": "ipython",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTER_DATA_DIR": "data",
    }  # fmt: skip
    paths = {name: str(folder / part) for name, part in own.items()}
    quiet = {"JUPYTER_NO_CONFIG": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    return {**os.environ, **paths, **quiet, "PYTHONPATH": str(ROOT)}


def _free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def _wait_for(running: FrontEnd, server: subprocess.Popen) -> None:
    path = "" if running.kind == "voila" else "api/status"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(running.address + path, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{running.kind} did not start:\n{running.log.read_text()[-2000:]}")


def set_theme(running: FrontEnd, dark: bool) -> None:
    """The theme of pages that are opened from now on (Voila's is part of a page's address)."""
    path = running.log.parent / "settings" / "@jupyterlab" / "apputils-extension" / "themes.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"theme": "JupyterLab Dark" if dark else "JupyterLab Light"}))
    news = path.with_name("notification.jupyterlab-settings")
    news.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))


def open_page(
    browser: Browser, running: FrontEnd, path: Path, *, dark: bool, size: tuple[int, int], kernel: bool = True
) -> Page:
    """The notebook's page, before anything is run; its requests are kept in `page.requests`.

    Without `kernel` the page gets none: what it shows is in the file.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    context.route(lambda url: not INSIDE.match(url), lambda route: route.abort())
    if not kernel:
        context.route(re.compile(r"/api/(sessions|kernels)\b"), lambda route: route.abort())
    page.requests, page.received, page.errors = [], [], []
    page.on("request", lambda request: page.requests.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("websocket", lambda ws: ws.on("framereceived", lambda frame: page.received.append(len(frame))))
    options = {"lab": "?reset", "notebook": "", "voila": "?theme=dark" if dark else "?theme=light"}[running.kind]
    page.goto(running.address + PAGES[running.kind] + path.name + options, wait_until="domcontentloaded")
    return page


_COUNTS = """() => {
  const panel = globalThis.jupyterapp?.shell.currentWidget;
  const book = panel?.content;
  if (!book?.widgets || panel.sessionContext?.session?.kernel?.status !== "idle") return null;
  const cells = book.widgets.filter((cell) => cell.model.type === "code");
  return cells.map((cell) => cell.model.sharedModel.execution_count ?? 0);
}"""
_BEGUN = """(before) => [...document.querySelectorAll(".jp-InputPrompt")].some((one) => one.innerText.includes("*"))
  || ((now) => now !== null && String(now) !== String(before))((COUNTS)())""".replace("COUNTS", _COUNTS)


def run_all(page: Page, *, wait: bool = True) -> None:
    """Run every cell. A run asked for before the kernel is connected is dropped without a word: ask again."""
    from playwright.sync_api import TimeoutError as Late

    page.wait_for_function(_COUNTS)
    before = page.evaluate(_COUNTS)
    for _ in range(5):
        page.evaluate("() => { globalThis.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        with suppress(Late):
            page.wait_for_function(_BEGUN, arg=before, timeout=PATIENCE * 1000 / 6)
            break
    if wait:
        wait_until_idle(page)


def wait_until_idle(page: Page) -> None:
    """Wait until the kernel is idle and every cell has run."""
    page.wait_for_function(f"() => {{ const s = ({_COUNTS})(); return s !== null && s.every((count) => count > 0); }}")


def outside(page: Page) -> list[str]:
    """The requests that would have left this machine, save those of Voila's own page (it asks for its icons' fonts)."""
    return [url for url in page.requests if not INSIDE.match(url) and not VOILAS_OWN.match(url)]


def saved(page: Page, path: Path) -> Any:
    """The notebook as the page saves it now."""
    page.evaluate("() => globalThis.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_timeout(1500)
    return nbformat.read(path, as_version=4)
