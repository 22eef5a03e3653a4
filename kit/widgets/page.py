"""An explorer as one page: its script, its data and plotly.js in the file, nothing fetched. Texts are escaped."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from kit.pages.figures import plotly_html
from kit.pages.page import POLICY


def document(
    title: str,
    script: str,
    style: str,
    traits: Mapping[str, Any],
    answers: Iterable[tuple[str, Mapping[str, Any], bytes]],
    fallback: str,
    *,
    plotly: bool = True,
) -> str:
    """The whole page of one explorer: `traits` is what its model holds (bytes as they are), `answers` what it may ask.

    `fallback` is HTML for readers without JavaScript.
    """
    held = {
        json.dumps([name, request], separators=(",", ":"), ensure_ascii=False): _text(one)
        for name, request, one in answers
    }
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
        f"{plotly_html() if plotly else ''}\n"
        f'<script type="module">{body}</script>\n</body></html>\n'
    )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
