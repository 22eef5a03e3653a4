"""The picture of the README, docs/explorer.png: `python data/make/picture.py` (needs chromium and the extra `test`)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import kit
from kit.toy.world import build_world
from kit.widgets import AttentionExplorer

OUT = Path(__file__).resolve().parents[2] / "docs" / "explorer.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUESTION, ANSWER = "Which currency is used in Japan?", "yen"
SIZE = {"width": 1180, "height": 552}


def main() -> None:
    """Export the attention explorer of one question, open the page, and keep what is seen."""
    from playwright.sync_api import sync_playwright

    corpus = build_world(seed=0).passages
    question = kit.Question("1", QUESTION, answers=(ANSWER,))
    retrieved = kit.BM25(corpus).retrieve([question], k=10)
    explorer = AttentionExplorer(kit.FiDReader.from_pretrained("toy-t5"), question, corpus, retrieved)
    browser = next(path for name in BROWSERS if (path := shutil.which(name)))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page(viewport=SIZE)
        page.goto(explorer.export_html(Path(folder) / "explorer.html").as_uri())
        page.locator(".kit-panel").first.wait_for()
        page.wait_for_timeout(500)
        page.screenshot(path=OUT)
    print(f"{OUT} ({OUT.stat().st_size // 1000} kB)")


if __name__ == "__main__":
    main()
