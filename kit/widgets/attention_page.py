"""The attention explorer outside the kernel: its JavaScript joined, a page that holds its data, and a still picture.

Pure: looks and choices in, text out.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from kit.attention import AGGREGATIONS
from kit.plots import layer_head_map, passage_bars, token_shading
from kit.plots.still import still
from kit.widgets.attention_choice import Choice, preset
from kit.widgets.attention_look import Look
from kit.widgets.attention_pieces import fitting, keys_of, packed
from kit.widgets.attention_views import bars, head_map

JS = Path(__file__).parent / "js"
MODULES = (
    "numbers", "elements", "choice", "store", "answer", "controls", "bars", "map", "words", "files", "picture", "view",
)  # fmt: skip
SAVED = 600_000  # bytes of pieces, at most, in an exported page
SHOWN = 20  # bars of a still picture


def javascript(last: str) -> str:
    """The explorer's modules in their order, and `last`: "live" in a notebook, "saved" in an exported page."""
    return "\n".join((JS / f"attention_{name}.js").read_text(encoding="utf-8") for name in (*MODULES, last))


def stylesheet() -> str:
    return (JS / "attention.css").read_text(encoding="utf-8")


def saved_keys(look: Look, choice: Choice, question: int) -> Iterator[str]:
    """The keys of an exported page, the most wanted first: this choice, then ever more that differ from it."""
    whole = replace(choice, layer=None, head=None)
    yield from keys_of(look, choice, question)
    for other in _near(look, whole):
        yield from keys_of(look, other, question)
    n, h, _, _ = look.sizes
    places = [(None, head) for head in range(h)] + [(layer, None) for layer in range(n)]
    places += [(layer, head) for layer in range(n) for head in range(h)]
    ways = itertools.product(dict.fromkeys([choice.said, *look.answers]), _kinds(choice), places)
    for said, kind, (layer, head) in ways:
        one = replace(whole, said=said, kind=kind, layer=layer, head=head)
        for answer in _answers(look, one):
            yield from keys_of(look, replace(one, answer=answer), question)


def _near(look: Look, whole: Choice) -> Iterator[Choice]:
    """All layers and heads: every answer token of each kind, both answers, every aggregation."""
    yield whole
    for said in dict.fromkeys([whole.said, *look.answers]):
        for kind in _kinds(whole):
            for answer in _answers(look, replace(whole, said=said)):
                yield replace(whole, said=said, kind=kind, answer=answer)
    for name in AGGREGATIONS:
        yield replace(whole, aggregation=name, **preset(name))


def _kinds(choice: Choice) -> list[str]:
    return list(dict.fromkeys([choice.kind, "probabilities", "logits", "value_norms"]))


def _answers(look: Look, choice: Choice) -> list[int | None]:
    return [*range(len(look.answers[choice.said].tokens)), None]


def saved_body(page: dict[str, Any], look: Look, choice: Choice, question: int, token_numbers: bytes) -> str:
    """The explorer as HTML that runs from a file: script, style and data, at most about 0.9 MB."""
    keys = fitting(saved_keys(look, choice, question), look, SAVED)
    parts, pieces = packed(keys, look)
    facts = {**page, "parts": [["tokens", len(token_numbers)], *parts]}
    text = json.dumps(facts, separators=(",", ":"), ensure_ascii=False).encode()
    data = gzip.compress(len(text).to_bytes(4, "little") + text + token_numbers + pieces, mtime=0)
    return (
        f"<style>body{{max-width:80rem}}{stylesheet()}</style>\n"
        '<div id="attention"><noscript><p>This page needs JavaScript.</p></noscript></div>\n'
        f"<script>(() => {{\n{javascript('saved')}\n"
        f'startSaved(document.getElementById("attention"), "{base64.b64encode(data).decode()}");\n}})()</script>'
    )


def still_body(look: Look, choice: Choice, gold: set[str]) -> str:
    """Bars of the passages, the chosen one's map and its shaded tokens, as HTML without script."""
    found = bars(look, choice)
    order = np.argsort(-found.scores, kind="stable")[:SHOWN]
    titles = [look.passages[row].title or look.passages[row].id for row in order]
    marked = [look.passages[row].id in gold for row in order]
    name = f"attention {choice.kind.replace('_', ' ')}, {choice.aggregation}"
    scores = np.where(np.isfinite(found.scores), found.scores, np.nan)[order]
    logits = choice.kind == "logits"
    drawn = passage_bars(scores, titles, marked, name=name, from_lowest=logits)
    passage = next(row for row, one in enumerate(look.passages) if one.id == choice.passage)
    cells = head_map(look, choice, passage)
    weights = found.weights[passage, : look.lengths[passage]] - found.low
    answered = look.answers[choice.said]
    said = (
        f"The reader answers: {answered.text}" if choice.said == "generated" else f"The given answer: {answered.text}"
    )
    more = f" The {SHOWN} highest of {len(look.passages)} passages." if len(look.passages) > SHOWN else ""
    return (
        f"<p><b>{escape(look.question.text)}</b><br>{escape(said)}.{more}</p>"
        f"{_scrolled(still(drawn, title='Scores of the passages'))}"
        f"<p><b>{escape(look.passages[passage].title)}</b> [{escape(choice.passage)}], layer by head:</p>"
        f"{_scrolled(still(layer_head_map(cells, name=name, from_zero=not logits), title='Layers and heads'))}"
        f"{token_shading(look.tokens[passage], weights.tolist(), maximum=found.high - found.low)}"
        f"<p><small>{escape(choice.text)}</small></p>"
    )


def _scrolled(picture: str) -> str:
    """A picture that a narrow page moves sideways within itself."""
    return f'<div style="overflow-x:auto">{picture}</div>'
