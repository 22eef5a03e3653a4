"""Figures in pages: plotly.js is the one that is named, what a figure says is escaped, and its numbers are a table."""

from __future__ import annotations

import gzip
import json
import re
from html import unescape

import numpy as np
import pytest

from kit import plots
from kit.pages import figures

NASTY = "</script><b>Île & 'co'</b>"


def tables(figure):
    """The rows of each table, cells as texts."""
    html = figures.figure_table(figure)
    return [
        [
            [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
            for row in re.findall("<tr>.*?</tr>", one)
        ]
        for one in re.findall("<table>.*?</table>", html)
    ]


def test_plotly_is_the_bundle_that_the_text_beside_it_names():
    source = gzip.decompress(figures.plotly_bundle()).decode()
    notes = (figures.PLACE / "plotly-cartesian.txt").read_text(encoding="utf-8")
    version = re.search(r"cartesian-dist-min@([\d.]+)", notes)[1]
    assert source.lstrip().startswith(f"/**\n* plotly.js (cartesian - minified) v{version}\n")
    assert "Permission is hereby granted, free of charge" in notes and "</script" not in source
    assert len(figures.plotly_html()) + len(figures.drawing_html()) < 700_000


def test_a_figure_in_a_page_holds_what_plotly_draws_and_no_markup_of_its_own():
    figure = plots.passage_bars([2.0, 1.0], [NASTY, "b"], [True, False])
    html = figures.figure_html(figure, NASTY, "caption")
    content = re.search(r'<script type="application/json">(.*?)</script>', html)[1]
    assert json.loads(content) == {part: json.loads(figure.to_json())[part] for part in ("data", "layout")}
    assert "<b>" not in html and html.count("</script>") == 1
    assert figures.figure_html(json.loads(figure.to_json()), NASTY, "caption") == html  # as a notebook's file holds it


def test_tables_name_places_as_the_axes_do():
    bars = plots.passage_bars([-2.0, -7.0, -4.0], ["a", "b", NASTY], [False, False, True], from_lowest=True)
    assert tables(bars) == [
        [["", "★ gold passage", "other passage"], ["a", "", "−2"], ["b", "", "−7"], ["★ " + NASTY, "−4", ""]]
    ]  # fmt: skip
    assert tables(plots.evidence_bars({"all": 0.8}))[0][1] == ["80.0% all", "80.0%"]
    recall = plots.recall_curves({"BM25": {1: 0.5, 5: 0.8}, "student": {1: 0.6, 20: 0.9}})
    assert tables(recall) == [[["k (passages)", "BM25", "student"], ["1", "50.0%", "60.0%"], ["5", "80.0%", ""],
                               ["20", "", "90.0%"]]]  # fmt: skip


def test_tables_of_maps_and_panels():
    assert tables(plots.layer_head_map([[0.1, 0.2], [0.3, 0.4]])) == [
        [["layer \\ head", "0", "1"], ["0", "0.1", "0.2"], ["1", "0.3", "0.4"]]
    ]
    rows = [{"step": step, "loss": 1 / step, "em": step / 4} for step in (1, 2, 4)]
    loss, em = tables(plots.training_curve(rows, ["loss", "em"]))
    assert [row[0] for row in em] == ["step", "1", "2", "4"] and loss[3][1] == "0.25"
    assert figures.figure_table(plots.training_curve(rows, ["loss", "em"])).count("<caption>") == 2


def test_long_tables_are_thinned_and_empty_figures_have_none():
    rows = [{"step": step, "loss": 1.0} for step in range(1000)]
    (table,) = tables(plots.training_curve(rows, ["loss"]))
    assert 40 < len(table) <= 61 and table[1][0] == "0"
    assert figures.figure_table({"data": [], "layout": {}}) == ""


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32"])
def test_packed_arrays_are_read(dtype):
    import base64

    values = np.array([[1, 2], [3, 4]], dtype=dtype)
    packed = {"dtype": values.dtype.str[1:], "bdata": base64.b64encode(values.tobytes()).decode(), "shape": "2, 2"}
    assert tables({"data": [{"type": "heatmap", "z": packed}]})[0][2] == ["1", "3", "4"]
