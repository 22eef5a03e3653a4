"""A table that looks alike in a notebook, where widgets do not run, and on a page. Pure: texts in, HTML out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

LINE = "rgba(128,128,128,.45)"


def plain_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> str:
    """A table of plain texts that looks alike in a notebook and on a page: `words` columns to the left, the others
    numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        sides = ["left" if column < words else "right" for column in range(len(cells))]
        pairs = zip(sides, cells, strict=True)
        look = f"padding:.15em .8em .15em 0;border-bottom:1px solid {LINE};vertical-align:top;line-height:1.35"
        return "".join(f'<{tag} style="text-align:{side};{look}">{escape(cell)}</{tag}>' for side, cell in pairs)

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    table = f"<table style='border-collapse:collapse'><tr>{line(header, 'th')}</tr>{body}</table>"
    return f'<div style="overflow-x:auto;font-variant-numeric:tabular-nums">{table}</div>'
