"""The toy table: made at the smallest size, gone on with where it stopped, and written between a page's marks."""

from __future__ import annotations

import pytest
from recipes_table import TableSizes, toy_markdown, toy_table
from tables import write_between
from tiny_course import tiny_course

from kit.train import Optimisation, ReaderTraining
from kit.types import KitError

TINY = TableSizes(
    questions=12, test=8, listed=4, drawn=1, steps=1, ks=(1, 3),
    reader=ReaderTraining(Optimisation(steps=1), questions=2, n_context=2),
)  # fmt: skip


def test_a_table_is_measured_and_goes_on(small_encoder, small_reader, tmp_path):
    lines: list[str] = []
    toy = tiny_course(small_encoder, small_reader, tmp_path)
    options = {"sizes": TINY, "toy": toy, "log": lines.append}
    names = ("dpr", "rdr", "tas-b", "atlas-pdist")
    rows = toy_table(tmp_path / "run", names=names[:2], **options)
    assert [row["recipe"] for row in rows] == ["BM25", "start", "dpr", "rdr"]
    assert all(0 <= row["recall"]["1"] <= row["recall"]["3"] <= 1 for row in rows)
    before = len(lines)
    more = toy_table(tmp_path / "run", names=names, **options)
    assert more[2:4] == rows[2:] and len(lines) - before == 2
    again = toy_table(tmp_path / "run", names=names[:1], seeds=(0, 1), **options)
    assert again[2] == rows[2] and len(lines) - before == 3
    text = toy_markdown([*more, again[-1]])
    assert text.count("\n") == 2 + 2 + 4 - 1 and "| 0, 1 |" in text
    line = next(line for line in text.splitlines() if "`dpr`" in line)
    assert line.split("|")[2].strip() == ""  # labels have no first passage of their own


def test_means_and_ranges():
    row = {"recipe": "dpr", "teacher": None, "seconds": 3.0}
    rows = [{**row, "seed": seed, "recall": {"1": value}} for seed, value in ((0, 0.25), (1, 0.75))]
    assert toy_markdown(rows).splitlines()[-1] == "| `dpr` |  | 0.500 (0.250 to 0.750) | 3 | 0, 1 |"


def test_a_page_keeps_all_but_what_is_between_the_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- t -->\nold\n<!-- end of t -->\nbelow\n")
    write_between(page, "t", "| new |")
    assert page.read_text() == "above\n<!-- t -->\n| new |\n<!-- end of t -->\nbelow\n"
    with pytest.raises(KitError, match=r"page.md: wanted one line <!-- u --> and after it"):
        write_between(page, "u", "")
