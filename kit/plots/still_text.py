"""Text of a still picture: plotly's few tags as SVG, numbers as an axis writes them, and how wide a text will be."""

from __future__ import annotations

import math
import re
from html import escape, unescape

from kit.types import KitError

SIZE = 13
# Widths of characters as shares of the font's size, in DejaVu Sans, one of the widest fonts that may be used.
_NARROW, _WIDE, _PLAIN = frozenset("iljtfrI.,:;'|!()[]·- "), frozenset("mwMW@%—…★"), 0.62
_PREFIXES = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"(<[^>]+>)")


def lines_of(text: str) -> list[str]:
    return _BREAK.split(str(text))


def width_of(text: str, size: float = SIZE) -> float:
    """About how wide a text will be, in pixels: its longest line."""
    return max(sum(map(_wide, unescape(_TAG.sub("", line)))) for line in lines_of(text)) * size


def _wide(character: str) -> float:
    if character in _NARROW:
        return 0.36
    return 0.95 if character in _WIDE else 0.72 if character.isupper() else _PLAIN


def text_at(
    text: str, x: float, y: float, *, anchor: str = "middle", size: float = SIZE, colour: str = "", turn: float = 0
) -> str:
    """A text whose middle is at `y`; plotly's tags b, i, sub and sup are kept, others left out.

    >>> text_at("a <b>b</b>", 10, 20)
    '<text x="10.0" y="24.6" text-anchor="middle">a <tspan font-weight="bold">b</tspan></text>'
    """
    lines = lines_of(text)
    top = y + size * 0.35 - (len(lines) - 1) * size * 0.6
    look = (f' font-size="{size:g}"' if size != SIZE else "") + (f' fill="{escape(colour)}"' if colour else "")
    look += f' transform="rotate({turn:g} {x:.1f} {y:.1f})"' if turn else ""
    if len(lines) == 1:
        inner = _styled(lines[0])
    else:
        inner = "".join(
            f'<tspan x="{x:.1f}" y="{top + number * size * 1.2:.1f}">{_styled(line)}</tspan>'
            for number, line in enumerate(lines)
        )
    return f'<text x="{x:.1f}" y="{top:.1f}" text-anchor="{anchor}"{look}>{inner}</text>'


def _styled(line: str) -> str:
    looks = {"b": "font-weight", "i": "font-style", "sub": "baseline-shift", "sup": "baseline-shift"}
    values = {"b": "bold", "i": "italic", "sub": "sub", "sup": "super"}
    parts, open_tags = [], []
    for piece in _TAG.split(line):
        name = piece.strip("</>").split()[0].lower() if _TAG.fullmatch(piece) and piece.strip("</> ") else ""
        if not _TAG.fullmatch(piece):
            parts.append(escape(unescape(piece)))
        elif name in looks and not piece.startswith("</"):
            parts.append(f'<tspan {looks[name]}="{values[name]}">')
            open_tags.append(name)
        elif name in looks and open_tags and open_tags[-1] == name:
            parts.append("</tspan>")
            open_tags.pop()
    return "".join(parts) + "</tspan>" * len(open_tags)


def written(value: float, form: str | None = None, *, step: float | None = None) -> str:
    """A number by a d3 format (those of Python, `~` for no zeros at the end, `s` with a prefix), or as it needs.

    >>> written(0.5, ".0%"), written(1500, "~s"), written(0.30000000000000004, step=0.1), written(-2.0)
    ('50%', '1.5k', '0.3', '−2')
    """
    if form:
        text = _formatted(value, form)
    elif step:
        digits = max(0, -math.floor(math.log10(abs(step)) + 1e-9))
        text = f"{value:.{min(digits, 12)}f}" if abs(value) < 1e6 else f"{value:.6g}"
    else:
        text = f"{value:.6g}"
    return text.replace("-", "−")


def _formatted(value: float, form: str) -> str:
    trim, plain = "~" in form, form.replace("~", "")
    prefix = ""
    if plain.endswith("s"):
        power = min(12, max(-9, 3 * math.floor(math.log10(abs(value)) / 3))) if value else 0
        value, plain, prefix = value / 10**power, plain[:-1] + "g", _PREFIXES[power]
    try:
        text = format(round(value) if plain.endswith("d") else value, plain)
    except ValueError:
        raise KitError("still", "a number format that Python has too", repr(form)) from None
    if trim and "." in text:
        text = re.sub(r"\.?0+(?=\D*$)", "", text)
    return text + prefix
