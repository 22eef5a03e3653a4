"""The readers behind notebook 03's map, at the smallest size: their rows, that a stopped run goes on, and the file."""

from __future__ import annotations

import json

from passages_read import RESULTS, Sizes, compare
from tiny_course import tiny_course

SIZES = Sizes(train_n=(1, 2), test_n=(1, 2), steps=1, passages=4, questions=4, taught=6)


def test_a_row_a_reader_and_what_is_there_is_not_made_again(small_encoder, small_reader, tmp_path):
    toy = tiny_course(small_encoder, small_reader, tmp_path)
    rows = compare(tmp_path / "run", seeds=(0, 1), sizes=SIZES, toy=toy)
    assert [(row["trained_n"], row["seed"]) for row in rows] == [(None, 0), (1, 0), (2, 0), (1, 1), (2, 1)]
    assert all(len(right) == 4 and set(right) <= {0, 1} for row in rows for right in row["em"].values())
    path = tmp_path / "run" / "rows.json"
    kept = json.loads(path.read_text())
    assert list(kept.values()) == rows
    path.write_text(json.dumps({key: {**row, "steps": -1 if row["trained_n"] else 0} for key, row in kept.items()}))
    assert [row["steps"] for row in compare(tmp_path / "run", seeds=(0, 1), sizes=SIZES, toy=toy)] == [
        0,
        -1,
        -1,
        -1,
        -1,
    ]


def test_the_file_holds_every_reader_on_the_same_questions():
    rows, made = json.loads(RESULTS.read_text()), Sizes()
    readers = {(row["trained_n"], row["seed"]) for row in rows}
    assert readers == {(None, 0)} | {(n, seed) for n in made.train_n for seed in (0, 1, 2)}
    assert all(list(row["em"]) == [str(m) for m in made.test_n] for row in rows)
    assert {len(right) for row in rows for right in row["em"].values()} == {made.questions}
