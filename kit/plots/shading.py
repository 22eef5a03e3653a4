"""Tokens shaded by their scores, as HTML that reads well on light and on dark pages. Pure: strings in, a string out."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from html import escape

from kit.types import KitError

SHADE = (230, 159, 0)  # Okabe-Ito orange: light enough for black text at full strength
DARK_PAGE = (22, 24, 29)
FAINT = 0.04  # below this strength a token is left as it is
MARKED = 3  # the highest tokens are underlined too: not by colour alone
_NO_SPACE_BEFORE = frozenset(".,:;!?)]}%'’")
_STYLE = (
    "<style>.kit-tokens{line-height:2;overflow-wrap:anywhere}"
    ".kit-tokens span{border-radius:.2em;padding:.1em .12em}"
    ".kit-tokens b{font-weight:inherit;outline:2px solid;outline-offset:1px;border-radius:.2em}"
    ".kit-tokens .on{color:#000}.kit-tokens .top{font-weight:700;text-decoration:underline}"
    "@media(prefers-color-scheme:dark){.kit-tokens .pale{color:#fff}}"
    "[data-jp-theme-light=true] .kit-tokens .pale{color:#000}"
    "[data-jp-theme-light=false] .kit-tokens .pale{color:#fff}"
    ".kit-tokens .legend{display:inline-block;width:6em;height:.8em;padding:0;margin:0 .4em;vertical-align:middle}"
    "</style>"
)


def token_shading(
    tokens: Sequence[str], scores: Sequence[float], *, maximum: float | None = None, legend: bool = True,
    framed: Collection[int] = (),
) -> str:  # fmt: skip
    """HTML of the tokens (t), each shaded by its score (t): from none at 0 to full at `maximum`.

    Strength is the square root of score / maximum, so that small scores are seen; `maximum` is the highest score
    unless given (give it, to compare two passages on one scale). Scores are at least 0 (attention probabilities); a NaN
    is a token without a score. `▁` begins a word and `##` goes on with one; where tokens have neither, each is a word.
    The three highest are bold and underlined, tokens whose numbers are in `framed` have a frame, every token's score is
    its tooltip, and all text is escaped.

    >>> token_shading(["<b>"], [0.5], legend=False).split("</style>")[1]
    '<span class="on top" style="background:rgba(230,159,0,1.00)" title="0.5">&lt;b&gt;</span></div>'
    """
    values = [float(score) for score in scores]
    if len(tokens) != len(values):
        raise KitError("token_shading", f"a score for each of {len(tokens)} tokens", f"{len(values)} scores")
    known = [value for value in values if not math.isnan(value)]
    if any(value < 0 or math.isinf(value) for value in known):
        raise KitError("token_shading", "scores of at least 0", min(known))
    top = max(known, default=0.0) if maximum is None else maximum
    marked = sorted({value for value in known if value > 0}, reverse=True)[:MARKED]
    least = marked[-1] if marked else math.inf
    pieces = any(token.startswith("▁") for token in tokens)
    parts = []
    for place, (token, value) in enumerate(zip(tokens, values, strict=True)):
        if place and _begins_word(token, pieces):
            parts.append(" ")
        span = _span(token, value, top, value >= least)
        parts.append(f"<b>{span}</b>" if place in framed else span)
    return f'<div class="kit-tokens">{_STYLE}{"".join(parts)}{_legend(top) if legend else ""}</div>'


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """The contrast ratio of two colours (red, green, blue from 0 to 255), from 1 to 21.

    Source: WCAG 2.2, relative luminance and contrast ratio.

    >>> round(contrast((0, 0, 0), (255, 255, 255)), 1)
    21.0
    """
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: tuple[float, float, float]) -> float:
    parts = [value / 255 for value in colour]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _begins_word(token: str, pieces: bool) -> bool:
    if pieces:
        return token.startswith("▁")
    return not token.startswith("##") and token not in _NO_SPACE_BEFORE


def _span(token: str, value: float, top: float, marked: bool) -> str:
    text = escape(token.removeprefix("▁").removeprefix("##") or token)
    if math.isnan(value):
        return f'<span title="no score">{text}</span>'
    strength = min(1.0, math.sqrt(value / top)) if top > 0 else 0.0
    if strength < FAINT:
        return f'<span title="{value:.3g}">{text}</span>'
    names = f"on{_pale(strength)}{' top' if marked else ''}"
    shade = ",".join(map(str, SHADE))
    return f'<span class="{names}" style="background:rgba({shade},{strength:.2f})" title="{value:.3g}">{text}</span>'


def _pale(strength: float) -> str:
    """Whether white text reads better than black where a shade lies on a dark page; on a light one black does."""
    red, green, blue = (strength * shade + (1 - strength) * page for shade, page in zip(SHADE, DARK_PAGE, strict=True))
    blend = red, green, blue
    return " pale" if contrast(blend, (255, 255, 255)) > contrast(blend, (0, 0, 0)) else ""


def _legend(top: float) -> str:
    shade = ",".join(map(str, SHADE))
    steps = ",".join(f"rgba({shade},{math.sqrt(part / 8):.2f}) {part / 8:.1%}" for part in range(9))
    bar = f'<span class="legend" style="background:linear-gradient(90deg,{steps})"></span>'
    return f"<br><small>0{bar}{top:.3g}; the highest are underlined</small>"
