"""What goes to the page: views as a few bytes each, named by keys that the page asks with.

A key is nine fields between bars: kind of piece, question number, answer said, answer token, aggregation, kind,
layer, head and passage number (the last three: "-" where they play no part). Layouts, little-endian:

    row   scores float32 (k), lowest and highest weight of a token float32, strips uint8 (k, s)
    map   values float16 (n, h)
    text  lowest and highest weight of each answer token float32 (a, 2), weights uint8 (a, t of the passage)

A weight of 0..255 is a share between its lowest and highest, and the square root of one for probabilities and norms.
`js/attention_store.js` reads the same. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from kit.attention import AGGREGATIONS
from kit.metrics import exact_match
from kit.types import KitError, ScoreTable
from kit.widgets.attention_choice import ALL, Choice
from kit.widgets.attention_look import Look
from kit.widgets.attention_views import bars, head_map, passage_tokens, ranks

STRIP = 64  # columns, at most, of the strip beside a bar that shows where in its passage the reader looks
UP_FRONT = 270_000  # bytes, at most, of token numbers, words and pieces that a page gets with its first view
FIELDS = ("piece", "question", "said", "answer", "aggregation", "kind", "layer", "head", "passage")


def key_of(piece: str, choice: Choice, question: int, passage: int | None = None) -> str:
    """The key of the piece that a choice needs.

    >>> key_of("map", Choice("q1", "p1"), 0, 3)
    'map|0|generated|0|attention_share|probabilities|-|-|3'
    """
    answer = "-" if piece == "text" else _word(choice.answer)
    layer, head = ("-", "-") if piece == "map" else (_word(choice.layer), _word(choice.head))
    passage_word = "-" if piece == "row" else str(passage)
    way = shaded_as(choice.aggregation) if piece == "text" else choice.aggregation
    return "|".join((piece, str(question), choice.said, answer, way, choice.kind, layer, head, passage_word))


def shaded_as(aggregation: str) -> str:
    """The first aggregation that treats heads and layers alike: words are shaded the same by both.

    >>> shaded_as("max_tokens"), shaded_as("max_heads")
    ('fid_kd', 'max_heads')
    """
    wanted = AGGREGATIONS[aggregation]
    return next(
        name
        for name, way in AGGREGATIONS.items()
        if (way.over_heads, way.over_layers) == (wanted.over_heads, wanted.over_layers)
    )


def piece_of(key: str, look: Look) -> bytes:
    """The bytes of one piece of a look."""
    fields = dict(zip(FIELDS, key.split("|"), strict=False))
    if len(fields) < len(FIELDS) or fields["piece"] not in ("row", "map", "text"):
        raise KitError("piece", f"a key of {len(FIELDS)} fields", repr(key))
    numbers = {name: None if fields[name] in (ALL, "-") else int(fields[name]) for name in ("answer", "layer", "head")}
    way = {name: fields[name] for name in ("said", "aggregation", "kind")}
    choice = Choice(look.question.id, "", **numbers, **way)
    if fields["piece"] == "row":
        return _row(look, choice)
    passage = int(fields["passage"])
    if fields["piece"] == "map":
        return head_map(look, choice, passage).astype("<f2").tobytes()
    return _text(look, choice, passage)


def shares(values: np.ndarray, low: np.ndarray | float, high: np.ndarray | float, kind: str) -> np.ndarray:
    """Weights as uint8 between `low` and `high`; NaN is 0.

    >>> shares(np.array([0.0, 0.25, 1.0]), 0.0, 1.0, "probabilities").tolist()
    [0, 128, 255]
    """
    span = np.where(np.asarray(high) > low, np.asarray(high) - low, 1.0)
    share = np.nan_to_num(np.clip((values - low) / span, 0.0, 1.0))
    return np.rint(255 * (share if kind == "logits" else np.sqrt(share))).astype(np.uint8)


def _row(look: Look, choice: Choice) -> bytes:
    found = bars(look, choice)
    t = found.weights.shape[1]
    columns = strip_columns(t)
    starts = np.arange(columns) * t // columns
    strips = np.fmax.reduceat(found.weights, starts, axis=1)  # (k, s)
    ends = np.array([found.low, found.high], dtype="<f4")
    return found.scores.astype("<f4").tobytes() + ends.tobytes() + shares(strips, *ends, choice.kind).tobytes()


def _text(look: Look, choice: Choice, passage: int) -> bytes:
    weights = passage_tokens(look, choice, passage)  # (a, t)
    if not weights.shape[1]:
        return np.zeros((len(weights), 2), dtype="<f4").tobytes()
    low = weights.min(1) if choice.kind == "logits" else np.zeros(len(weights))
    ends = np.stack([low, weights.max(1)], axis=1).astype("<f4")  # (a, 2)
    return ends.tobytes() + shares(weights, ends[:, :1], ends[:, 1:], choice.kind).tobytes()


def strip_columns(tokens: int) -> int:
    """Columns of a strip over passages of so many tokens."""
    return min(tokens, STRIP)


def size_of(key: str, look: Look) -> int:
    """How many bytes a piece has, without making it."""
    piece, _, said, *_, passage = key.split("|")
    n, h, k, t = look.sizes
    if piece == "row":
        return k * (4 + strip_columns(t)) + 8
    return 2 * n * h if piece == "map" else len(look.answers[said].tokens) * (8 + look.lengths[int(passage)])


def first_pieces(look: Look, choice: Choice, question: int) -> list[str]:
    """The keys that a first view gets: bars, maps and tokens of its passages, highest first, as many as fit."""
    words, ids = token_ids(look)
    room = UP_FRONT - len(ids) - sum(len(word.encode()) + 3 for word in words)
    return fitting(keys_of(look, choice, question), look, room)


def keys_of(look: Look, choice: Choice, question: int) -> list[str]:
    """All keys of one way of counting: the bars, then each passage's map, then each one's tokens, highest first."""
    order = np.argsort(-bars(look, choice).scores, kind="stable").tolist()
    passages = [key_of(piece, choice, question, passage) for piece in ("map", "text") for passage in order]
    return [key_of("row", choice, question), *passages]


def fitting(keys: Iterable[str], look: Look, room: int) -> list[str]:
    """The keys, each once, that come before `room` bytes are full."""
    found: dict[str, int] = {}
    for key in keys:
        if key in found:
            continue
        room -= size_of(key, look)
        if room < 0:
            break
        found[key] = room
    return list(found)


def packed(keys: list[str], look: Look) -> tuple[list[list[Any]], bytes]:
    """The pieces behind each other, and [key, bytes] of each."""
    pieces = [piece_of(key, look) for key in keys]
    return [[key, len(piece)] for key, piece in zip(keys, pieces, strict=True)], b"".join(pieces)


def token_ids(look: Look) -> tuple[list[str], bytes]:
    """The words of all passages once, and uint16 numbers of them, passage behind passage."""
    words = list(dict.fromkeys(word for tokens in look.tokens for word in tokens))
    numbers = {word: number for number, word in enumerate(words)}
    ids = [numbers[word] for tokens in look.tokens for word in tokens]
    return words, np.array(ids, dtype="<u2").tobytes()


def page_facts(look: Look, gold: set[str], others: dict[str, ScoreTable], shown: ScoreTable) -> dict[str, Any]:
    """What a page is told of a look, beside its pieces: texts, sizes, gold passages, other tables' scores and ranks."""
    n, h, _, t = look.sizes
    passages = [
        {"id": passage.id, "title": passage.title, "gold": passage.id in gold, "length": length}
        for passage, length in zip(look.passages, look.lengths, strict=True)
    ]
    return {
        "id": look.question.id,
        "asked": look.question.text,
        "accepted": list(look.question.answers),
        "right": bool(look.question.answers)
        and exact_match(look.answers["generated"].text, list(look.question.answers)),
        "sizes": {"layers": n, "heads": h, "tokens": t, "question": look.question_length, "strip": strip_columns(t)},
        "passages": passages,
        "answers": {said: {"text": one.text, "tokens": list(one.tokens)} for said, one in look.answers.items()},
        "others": [other_scores(name, table, shown) for name, table in others.items()],
    }


def other_scores(name: str, table: ScoreTable, shown: ScoreTable) -> dict[str, Any]:
    """Another table's scores (None: not scored) and ranks (0: none) of the passages shown, a table of one question."""
    values = table.aligned_to(shown).values[0]
    listed = [float(f"{value:.6g}") if np.isfinite(value) else None for value in values.tolist()]
    return {"name": name, "values": listed, "ranks": ranks(values).tolist()}


def aggregations() -> dict[str, dict[str, Any]]:
    """All aggregations, by name, as their fields."""
    return {name: asdict(way) for name, way in AGGREGATIONS.items()}


def _word(number: int | None) -> str:
    return ALL if number is None else str(number)
