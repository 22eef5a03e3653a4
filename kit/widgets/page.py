"""An explorer as one page: its script, its data and plotly.js in the file, nothing fetched. Texts are escaped."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
PLOTLY = Path(__file__).parent / "js" / "plotly-cartesian.min.js.gz"


@cache
def plotly_script() -> bytes:
    """plotly.js with its cartesian charts, compressed by gzip: about 0.5 MB."""
    return PLOTLY.read_bytes()


def document(
    title: str,
    script: str,
    style: str,
    traits: Mapping[str, Any],
    answers: Iterable[tuple[str, Mapping[str, Any], bytes]],
    fallback: str,
) -> str:
    """The whole page of one explorer: `traits` is what its model holds (bytes as they are), `answers` what it may ask.

    `fallback` is HTML for readers without JavaScript.
    """
    held = {json.dumps([name, request], separators=(",", ":"), ensure_ascii=False): _text(one) for name, request, one in answers}
    plain = {name: _text(one) if isinstance(one, bytes) else one for name, one in traits.items()}
    data = json.dumps({**plain, "answers": held}, separators=(",", ":")).replace("<", "\\u003c")
    body = script.replace("export default ", "const widget = ") + '\nopenFile(widget, "explorer");'
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<title>{escape(title)}</title><style>{style}</style></head>\n<body class="kit-page">\n'
        f'<div id="explorer" data-kit-file></div><noscript>{fallback}</noscript>\n'
        f'<script id="explorer-data" type="application/json">{data}</script>\n'
        f'<script id="kit-plotly" type="application/octet-stream">{_text(plotly_script())}</script>\n'
        f'<script type="module">{body}</script>\n</body></html>\n'
    )


def summary_html(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain texts for places where no script runs; its first column is text, the others are numbers.

    >>> summary_html("c", ["name", "n"], [["a", "1"]]).count("right")
    2
    """

    def line(cells: Sequence[str], tag: str) -> str:
        sides = ["left" if column == 0 else "right" for column in range(len(cells))]
        pairs = zip(sides, cells, strict=True)
        return "".join(f'<{tag} style="text-align:{side};padding:.15em .8em">{escape(cell)}</{tag}>' for side, cell in pairs)

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><tr>{line(header, 'th')}</tr>{body}</table>"


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
