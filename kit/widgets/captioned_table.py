"""A table with a caption that looks alike in a notebook's widget, in its static output and on an exported page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kit.pages.tables import table_html

STYLE = (
    "<style>.kit-numbers table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.3em 0;border:0}"
    ".kit-numbers :is(th,td){padding:.15em .9em .15em 0;border:0;border-bottom:1px solid "
    "var(--jp-border-color2,rgba(128,128,128,.4));text-align:left;line-height:1.35;vertical-align:bottom;"
    "font-size:13px;max-width:22em}.kit-numbers .number{text-align:right}"
    ".kit-numbers caption{text-align:left;opacity:.8;padding-bottom:.3em;white-space:normal}"
    ".kit-numbers .scroll{overflow-x:auto}"
    ".kit-numbers tr{background:transparent!important}</style>"
)


def captioned_table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """HTML of plain texts, the first column words and the others numbers, with its own style.

    >>> captioned_table("c", ["name", "n"], [["a", "1"]]).count("kit-numbers") > 1
    True
    """
    return f'{STYLE}<div class="kit-numbers">{table_html(caption, header, rows)}</div>'
