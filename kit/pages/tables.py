"""The one table of pages and of what stands in for widgets: plain texts in, HTML out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

WORDS = ' style="text-align:left"'  # JupyterLab's own style would put them to the right


def table_html(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """A table of plain texts; its first `words` columns are text, the others are numbers, to the right.

    >>> table_html("c", ["name", "n"], [["a", "1"]]).count('class="number"')
    2
    """

    def line(cells: Sequence[str], tag: str) -> str:
        kinds = [WORDS if column < words else ' class="number"' for column in range(len(cells))]
        return "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))

    head, body = f"<tr>{line(header, 'th')}</tr>", "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    named = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{named}<thead>{head}</thead><tbody>{body}</tbody></table></div>'
