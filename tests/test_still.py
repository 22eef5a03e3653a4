"""Figures as SVG: marks by hand, text that is safe and in the page's colour, and every figure of the kit."""

from __future__ import annotations

import base64
import re
import struct
import xml.etree.ElementTree as ET
import zlib

import numpy as np
import plotly.graph_objects as go
import pytest

from kit import plots
from kit.plots.still import still
from kit.plots.still_text import text_at, width_of, written
from kit.types import KitError

SVG = "{http://www.w3.org/2000/svg}"
NAN = float("nan")


def parts(figure: go.Figure, tag: str, **options) -> list[ET.Element]:
    """All elements of a kind outside <defs>, of well-formed SVG."""
    root = ET.fromstring(still(figure, **options))
    for defs in root.findall(f"{SVG}defs"):
        root.remove(defs)
    return list(root.iter(SVG + tag))


def texts(figure: go.Figure) -> list[str]:
    return ["".join(one.itertext()) for one in parts(figure, "text")]


def fixed(figure: go.Figure) -> go.Figure:
    """Without ticks and margins: a plot whose pixels can be worked out."""
    figure.update_xaxes(showticklabels=False, range=[0, 4], showgrid=False)
    return figure.update_yaxes(showticklabels=False, range=[0, 10], showgrid=False).update_layout(showlegend=False)


def test_bars_are_as_long_as_their_values():
    bars = parts(fixed(go.Figure().add_bar(x=[1, 2, 3], y=[5, 10, NAN])), "rect")
    heights = [float(bar.get("height")) for bar in bars]
    assert len(bars) == 2 and heights[1] == pytest.approx(2 * heights[0], abs=0.2)
    bottoms = {round(float(bar.get("y")) + float(bar.get("height")), 0) for bar in bars}
    assert len(bottoms) == 1  # all stand on zero
    assert float(bars[1].get("x")) - float(bars[0].get("x")) == pytest.approx(
        float(bars[0].get("width")) / 0.8, abs=0.2
    )


def test_flat_negative_grouped_and_stacked_bars():
    flat = go.Figure().add_bar(y=[0, 1], x=[2.0, -2.0], orientation="h")
    right, left = parts(flat, "rect")
    assert float(left.get("x")) + float(left.get("width")) == pytest.approx(float(right.get("x")), abs=0.2)
    pair = go.Figure().add_bar(x=["a"], y=[1], name="one").add_bar(x=["a"], y=[1], name="two")
    *_, one, two = parts(pair.update_layout(showlegend=False), "rect")
    assert float(one.get("x")) + float(one.get("width")) == pytest.approx(float(two.get("x")), abs=0.2)
    one, two = parts(pair.update_layout(barmode="stack"), "rect")
    assert float(two.get("y")) + float(two.get("height")) == pytest.approx(float(one.get("y")), abs=0.2)
    assert one.get("x") == two.get("x")


def test_a_bar_ends_at_the_border_of_its_range():
    short, long = parts(fixed(go.Figure().add_bar(x=[1, 2], y=[10, 1000])), "rect")
    assert short.get("height") == long.get("height")


def test_lines_step_break_at_gaps_and_are_dashed():
    figure = fixed(go.Figure().add_scatter(x=[0, 1, 2, 3], y=[0, 1, NAN, 4], mode="lines", line={"dash": "dot"}))
    lines = parts(figure, "path")
    assert len(lines) == 2 and all(line.get("stroke-dasharray") == "2 4" for line in lines)
    stepped = parts(fixed(go.Figure().add_scatter(x=[0, 2], y=[0, 5], mode="lines", line_shape="hv")), "path")
    assert re.fullmatch(r"M[\d.,]+H[\d.]+V[\d.]+", stepped[0].get("d"))
    joined = go.Figure().add_scatter(x=[0, 1, 2], y=[1, NAN, 2], mode="lines", connectgaps=True)
    assert len(parts(fixed(joined), "path")) == 1


def test_what_leaves_the_axes_is_cut_off():
    figure = fixed(go.Figure().add_scatter(x=[1, 2], y=[5, 500], mode="lines+markers+text", text=["in", "out"]))
    assert len(parts(figure, "circle")) == 1 and texts(figure) == ["in"]
    assert "clipPath" in still(figure) and parts(figure, "g")[1].get("clip-path", "").startswith("url(#k")


def test_logarithmic_axes_are_even_in_powers():
    figure = go.Figure().add_scatter(x=[1, 10, 100], y=[1, 2, 3], mode="markers").update_xaxes(type="log")
    places = [float(point.get("cx")) for point in parts(figure, "circle")]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)
    assert {"1", "10", "100"} <= set(texts(figure))
    ranged = figure.update_xaxes(range=[0, 4])
    assert {"1000", "10000"} <= set(texts(ranged))


def test_heatmap_cells_have_their_colours_and_texts():
    figure = go.Figure().add_heatmap(z=[[0, 1], [NAN, 0.5]], colorscale="cividis", texttemplate="%{z:.3f}")
    cells = parts(figure, "rect")[:-1]  # the last is the colour bar
    assert [cell.get("fill") for cell in cells[:2]] == ["rgb(0, 34, 78)", "rgb(254, 232, 56)"] and len(cells) == 3
    assert float(cells[0].get("y")) > float(cells[2].get("y"))  # the first row is the lowest
    assert [text for text in texts(figure) if len(text) == 5] == ["0.000", "1.000", "0.500"]
    inks = [one.get("fill") for one in parts(figure, "text") if one.text in ("0.000", "1.000")]
    assert inks == ["#fff", "#000"]


def test_a_large_heatmap_is_one_image_with_the_same_cells():
    z = np.zeros((40, 60))
    z[0, 0], z[39, 59], z[39, 0] = 1.0, 1.0, NAN
    picture = still(go.Figure().add_heatmap(z=z, showscale=False))
    data = base64.b64decode(re.search(r"base64,([^\"]+)", picture)[1])
    width, height = struct.unpack(">II", data[16:24])
    length = struct.unpack(">I", data[33:37])[0]
    rows = np.frombuffer(zlib.decompress(data[41 : 41 + length]), dtype=np.uint8).reshape(height, -1)[:, 1:]
    pixels = rows.reshape(height, width, 4)  # from above
    assert (width, height) == (60, 40) and len(picture) < 20_000
    assert pixels[39, 0].tolist() == [254, 232, 56, 255] == pixels[0, 59].tolist()
    assert pixels[0, 0, 3] == 0 and pixels[20, 20].tolist() == [0, 34, 78, 255]


def test_text_is_escaped_and_plotly_tags_are_kept():
    figure = go.Figure().add_bar(x=["<b>90%</b><br>all &lt;i&gt;", "<script>alert(1)</script>"], y=[1, 2])
    picture = still(figure.update_layout(title="A &amp; <i>B</i>"), title='<"quotes">')
    assert "<script" not in picture and 'font-weight="bold">90%' in picture and "all &lt;i&gt;" in picture
    assert "<title>&lt;&quot;quotes&quot;&gt;</title>" in picture
    assert ET.fromstring(picture).get("role") == "img"
    nasty = go.Figure().add_scatter(x=[1], y=[1], name='"><script>', line_color="red")
    assert "<script" not in still(nasty.update_layout(showlegend=True))


def test_text_has_the_colour_of_the_page():
    figure = plots.passage_bars([1.0, 2.0], ["a", "b"], [True, False])
    assert 'fill="currentColor"' in still(figure)[:600]
    assert {one.get("fill") for one in parts(figure, "text")} == {None}


def test_legend_follows_plotly():
    one = go.Figure().add_scatter(x=[1, 2], y=[1, 2], name="alone")
    assert "alone" not in texts(one) and "alone" in texts(one.update_layout(showlegend=True))
    two = go.Figure().add_bar(y=[1], name="first").add_bar(y=[1], name="second", showlegend=False)
    assert "first" in texts(two) and "second" not in texts(two)
    many = go.Figure([go.Bar(y=[1], name=f"a long name of trace {n}") for n in range(9)])
    heights = {one.get("y") for one in parts(many, "text") if (one.text or "").startswith("a long")}
    assert len(heights) >= 2  # rows


def test_hidden_traces_axes_and_grids_are_not_drawn():
    figure = go.Figure().add_bar(y=[1, 2]).add_bar(y=[5, 5], visible="legendonly")
    assert len(parts(figure.update_layout(showlegend=False), "rect")) == 2 and "5" not in texts(figure)
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    assert texts(figure) == []


def test_lines_across_and_annotations_are_in_place():
    figure = fixed(go.Figure().add_scatter(x=[2], y=[5], mode="markers"))
    figure.add_hline(y=5, annotation_text="here").add_vrect(x0=1, x1=3, fillcolor="#eee", line_width=0)
    point, line = parts(figure, "circle")[0], parts(figure, "path")[0]
    assert line.get("d").split(",")[1].split("L")[0] == point.get("cy")
    band = parts(figure, "rect")[0]
    assert float(band.get("x")) + float(band.get("width")) / 2 == pytest.approx(float(point.get("cx")), abs=0.2)
    assert texts(figure) == ["here"]


def test_panels_lie_below_each_other_and_error_bars_reach():
    figure = plots.training_curve([{"step": s, "a": s, "b": s} for s in (1, 2)], ["a", "b"])
    lines = [path for path in parts(figure, "path") if path.get("stroke") == "#0072B2"]
    heights = [float(path.get("d").split(",")[1].split("L")[0]) for path in lines]
    assert len(heights) == 2 and heights[1] > heights[0] + 100
    assert {"a", "b", "step"} <= set(texts(figure))
    figure = fixed(go.Figure().add_scatter(x=[1], y=[5], error_y={"array": [2], "arrayminus": [1]}, mode="markers"))
    ends = re.match(r"M[\d.]+,([\d.]+)V([\d.]+)", parts(figure, "path")[0].get("d"))
    middle = float(parts(figure, "circle")[0].get("cy"))
    assert middle - float(ends[2]) == pytest.approx(2 * (float(ends[1]) - middle), abs=0.3)


def figures() -> dict[str, go.Figure]:
    draw = np.random.default_rng(0)
    gold = draw.random((5, 4)) < 0.4
    return {
        "bars": plots.passage_bars([3.0, NAN, -1.0], ["a", "b", "c" * 60], [True, False, False]),
        "map": plots.layer_head_map(draw.random((3, 4))),
        "distributions": plots.score_distributions({"a": draw.random((5, 4)), "b": draw.random((5, 4))}, gold),
        "recall": plots.recall_curves({"BM25": {1: 0.5, 5: 0.8}, "student": {1: 0.6, 5: 0.9}}),
        "evidence": plots.evidence_bars({"all": 0.8, "random": 0.3}),
        "match": plots.exact_match_bars({"all": 0.8, "none": None}),
        "training": plots.training_curve([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}], ["loss"]),
        "ranks": plots.rank_changes([1.0, 2.0], [2.0, 1.0], ["a", "b"], [True, False]),
        "nothing": go.Figure(),
    }


@pytest.mark.parametrize("name", figures())
def test_every_figure_of_the_kit_is_drawn_within_its_borders(name):
    figure = figures()[name]
    picture = still(figure, width=640)
    root = ET.fromstring(picture)
    assert root.get("width") == "640" and len(picture) < 25_000 and "NaN" not in picture and "nan" not in picture
    assert root.get("height") == str(int(figure.layout.height or 400))
    for one in root.iter(SVG + "text"):
        if "rotate" in one.get("transform", ""):
            continue
        words, x = "".join(one.itertext()), float(one.get("x"))
        wide = width_of(words) * {"start": 0, "middle": 0.5, "end": 1}[one.get("text-anchor")]
        assert x - wide > -4 and x < 640, words
    assert picture == still(figure, width=640)  # the same bytes each time


def test_hatches_of_two_pictures_have_names_of_their_own():
    one = still(plots.passage_bars([1.0], ["a"], [True]))
    other = still(plots.passage_bars([1.0, 2.0], ["a", "b"], [True, False]))
    names = [set(re.findall(r'id="(\w+)"', picture)) for picture in (one, other)]
    assert names[0] and not names[0] & names[1] and "@@" not in one
    assert set(re.findall(r"url\(#(\w+)\)", one)) <= names[0]


@pytest.mark.parametrize(
    ("value", "form", "step", "text"),
    [(0.25, ".0%", None, "25%"), (1500, "~s", None, "1.5k"), (0.1 + 0.2, None, 0.1, "0.3"), (-2, None, 1, "−2"),
     (3.0, "d", None, "3"), (2_000_000, ",", None, "2,000,000"), (0.5, "~g", None, "0.5"), (0, "s", None, "0")],
)  # fmt: skip
def test_numbers_of_ticks(value, form, step, text):
    assert written(value, form, step=step) == text


def test_lines_of_text_are_centred():
    assert re.findall(r'y="([\d.]+)"', text_at("a<br>b", 0, 100))[1:] == ["96.8", "112.3"]


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ("picture", "still: wanted a plotly figure, given str"),
        (go.Figure(go.Pie(values=[1])), "wanted traces of the types bar, scatter, scattergl, heatmap, given pie"),
        (
            go.Figure().add_bar(y=[1]).add_shape(type="circle"),
            "wanted shapes that are lines or rectangles, given circle",
        ),
        (go.Figure().add_bar(y=[1]).update_yaxes(tickformat="%Y"), "a number format that Python has too, given '%Y'"),
    ],
)
def test_errors_say_what_was_wanted(figure, message):
    with pytest.raises(KitError, match=re.escape(message)):
        still(figure)
