"""A page in one file: style, light and dark, and a policy under which nothing is fetched."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path

# Script and style are inline, or a file beside the page; pictures are saved through data and blob.
POLICY = "default-src 'none'; script-src 'unsafe-inline' 'self' file:; style-src 'unsafe-inline'; img-src data: blob:"


@cache
def style() -> str:
    """The style sheet of every page."""
    return (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


def page_html(title: str, body: str, *, more_style: str = "") -> str:
    """A page around `body` (HTML, with its scripts); `title` is plain text.

    >>> "<title>a &lt; b</title>" in page_html("a < b", "<p>text</p>")
    True
    """
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    head = f"{head}{policy}<title>{escape(title)}</title><style>{style()}{more_style}</style>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'
