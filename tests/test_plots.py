"""Pictures: what is drawn, by hand; that gold is told by more than colour; escaping, contrast and error messages."""

import json
import math
import re

import numpy as np
import pytest

from kit import plots
from kit.plots.shading import DARK_PAGE, SHADE, contrast
from kit.plots.style import GOLD, OTHER, SERIES
from kit.types import KitError

NAN = float("nan")


def test_passage_bars_begin_at_zero_or_at_the_lowest_and_mark_gold():
    figure = plots.passage_bars([-2.0, -7.0, -4.0], ["a", "b", "c"], [False, False, True], from_lowest=True)
    gold, others = figure.data
    assert list(gold.x) == [3.0] and list(others.x) == [5.0, 0.0] and gold.base == others.base == -7.0
    assert list(gold.y) == [2] and list(others.y) == [0, 1]
    assert list(others.text) == ["−2", "−7"]
    assert gold.marker.pattern.shape == "/" and others.marker.pattern.shape is None
    assert figure.layout.yaxis.ticktext == ("a", "b", "★ c")
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # the first passage is on top
    from_zero = plots.passage_bars([2.0, 1.0], ["a", "b"], [True, False])
    assert list(from_zero.data[0].x) == [2.0] and from_zero.layout.xaxis.range[0] == 0.0


def test_a_passage_without_a_score_has_a_label_and_no_bar():
    figure = plots.passage_bars([1.0, NAN], ["a", "b"], [False, False])
    assert list(figure.data[1].y) == [0] and len(figure.layout.yaxis.ticktext) == 2


def test_labels_are_escaped_and_cut():
    figure = plots.passage_bars([1.0], ["<b>" + "x" * 100], [False])
    label = figure.layout.yaxis.ticktext[0]
    assert label.startswith("&lt;b&gt;xx") and label.endswith("…") and len(label) < 40


def test_layer_head_map_keeps_rows_as_layers_and_writes_only_into_small_maps():
    figure = plots.layer_head_map(np.arange(6.0).reshape(2, 3))
    assert figure.data[0].z.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert list(figure.data[0].x) == [0, 1, 2] and list(figure.data[0].y) == [0, 1]
    assert figure.data[0].texttemplate and not plots.layer_head_map(np.zeros((24, 16))).data[0].texttemplate


def test_distributions_are_shares_of_each_kind():
    scores = np.array([[3.0, 0.0, 0.5], [4.0, NAN, 1.0]])
    gold = np.array([[True, False, False], [True, False, False]])
    others, golds = plots.score_distributions({"teacher": scores}, gold).data
    assert golds.name == "★ gold passages" and golds.fillpattern.shape == "/" and others.line.dash == "dot"
    assert sum(others.y) == pytest.approx(1) and sum(golds.y) == pytest.approx(1)
    edges, heights = np.array(others.x[1:]), np.array(others.y[1:-1])
    assert heights[np.searchsorted(edges, 0.5, side="right") - 1] == pytest.approx(1 / 3)  # the NaN is left out
    assert len(edges) == len(heights) + 1 and edges[0] == 0.0 and edges[-1] == 4.0


def test_distributions_do_not_depend_on_the_order_or_shape_of_cells():
    draw = np.random.default_rng(0)
    scores, gold = draw.normal(size=(5, 4)), draw.random((5, 4)) < 0.3
    order = draw.permutation(20)
    one = plots.score_distributions({"a": scores}, gold)
    other = plots.score_distributions({"a": scores.ravel()[order]}, gold.ravel()[order])
    for left, right in zip(one.data, other.data, strict=True):
        assert list(left.y) == pytest.approx(list(right.y))


def test_recall_curves_sort_k_and_write_the_highest_and_the_lowest():
    figure = plots.recall_curves({"BM25": {"20": 0.9, "1": 0.5, "5": 0.8}, "one": {1: 0.4, 5: 0.7, 20: 0.8},
                                  "two": {1: 0.45, 5: 0.85, 20: 0.85}})  # fmt: skip
    bm25, one, two = figure.data
    assert bm25.x == (1, 5, 20) and bm25.y == (0.5, 0.8, 0.9)
    assert bm25.text == ("50.0%", "", "90.0%") and two.text == ("", "85.0%", "")
    assert one.text == ("40.0%", "70.0%", "80.0%") and set(one.textposition) == {"bottom center"}
    assert len({trace.marker.symbol for trace in figure.data}) == len({trace.line.dash for trace in figure.data}) == 3
    assert figure.layout.xaxis.ticktext == ("1", "5", "20")


def test_evidence_and_exact_match_bars():
    figure = plots.evidence_bars({"all": 0.8, "attention": 0.75})
    assert figure.layout.xaxis.ticktext == ("<b>80.0%</b><br>all", "<b>75.0%</b><br>attention")
    assert figure.layout.shapes[0].y0 == 0.8
    figure = plots.exact_match_bars({"all": 0.5, "none": None, "real": 1.0})
    assert list(figure.data[0].y) == [0, 2] and figure.layout.yaxis.ticktext == ("all", "none", "real")
    assert [text.strip() for text in figure.data[1].text] == ["50.0%", "100.0%"]


def test_intervals_are_drawn_from_their_lower_to_their_upper_bound():
    bars = plots.evidence_bars({"all": 0.8, "few": 0.5}, {"few": (0.25, 0.625), "all": (0.75, 1.0)}).data[0]
    assert list(bars.error_y.array) == pytest.approx([0.2, 0.125])
    assert list(bars.error_y.arrayminus) == pytest.approx([0.05, 0.25])
    bars, texts = plots.exact_match_bars({"all": 0.5, "none": None}, {"all": (0.25, 1.0)}).data
    assert bars.error_x.array == (0.5,) and texts.x == (1.0,)
    assert plots.evidence_bars({"all": 0.8}).data[0].error_y.array is None


def test_a_training_curve_of_means_keeps_the_values_faint():
    rows = [{"step": step, "loss": value} for step, value in enumerate((4.0, 2.0, 0.0))]
    mean, values = plots.training_curve(rows, ["loss"], window=2).data
    assert mean.y == (4.0, 3.0, 1.0) and values.y == (4.0, 2.0, 0.0)
    assert values.line.color.startswith("rgba(") and values.line.width < mean.line.width


def test_shares_are_written_as_percentages():
    figure = plots.passage_bars([0.915, 1e-15], ["a", "b"], [True, False], percent=True)
    assert [trace.text for trace in figure.data] == [("91.5%",), ("0.0%",)]
    assert figure.layout.xaxis.tickformat == ".0%"


def test_training_curve_has_a_line_a_run_and_a_panel_a_figure():
    rows = [{"step": s, "loss": 1.0 / s, "run": r} for r in ("one", "two") for s in (1, 2)]
    rows.append({"step": 3, "em": 0.5, "run": "two"})
    figure = plots.training_curve(rows, ["loss", "em"])
    lines = {(trace.name, trace.yaxis): (trace.x, trace.y) for trace in figure.data}
    assert lines["one", "y"] == ((1, 2), (1.0, 0.5)) and lines["two", "y2"] == ((3,), (0.5,))
    assert lines["one", "y2"] == ((), ())


def test_rank_changes_by_hand_with_ties_in_the_given_order():
    figure = plots.rank_changes([1.0, 1.0, 5.0], [3.0, 2.0, 1.0], ["a", "b", "c"], [True, False, False])
    assert [trace.y for trace in figure.data] == [(2, 1), (3, 2), (1, 3)]
    assert figure.data[0].text[1].strip() == "1. ★ a" and figure.data[0].line.dash == "solid"
    assert [trace.showlegend for trace in figure.data] == [True, True, False]


def test_every_figure_is_transparent_safe_for_json_and_in_safe_colours():
    figures = [
        plots.passage_bars([1.0, 2.0], ["a", "b"], [True, False]),
        plots.layer_head_map([[0.5]]),
        plots.score_distributions({"a": [1.0, 2.0]}, [True, False]),
        plots.recall_curves({"a": {1: 0.5}}),
        plots.evidence_bars({"all": 0.5}),
        plots.exact_match_bars({"all": 0.5}),
        plots.training_curve([{"step": 0, "loss": 1.0}], ["loss"]),
        plots.rank_changes([1.0, 2.0], [2.0, 1.0], ["a", "b"], [True, False]),
    ]
    for figure in figures:
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
        colours = set(re.findall(r"#[0-9a-fA-F]{6}", json.dumps(json.loads(figure.to_json())["data"])))
        if figure.data[0].type != "heatmap":
            assert colours and colours <= set(SERIES)
    for colour in (GOLD, OTHER):
        rgb = tuple(int(colour[n : n + 2], 16) for n in (1, 3, 5))
        assert contrast(rgb, (255, 255, 255)) > 3 and contrast(rgb, DARK_PAGE) > 3


def spans(html):
    return re.findall(
        r'<span(?: class="([^"]*)")?(?: style="background:rgba\([\d,]+,([\d.]+)\)")? title="([^"]*)">(.*?)</span>', html
    )


def test_shading_is_the_square_root_of_the_share_and_escapes():
    html = plots.token_shading(["<i>", "a", "b&", "n"], [0.4, 0.1, 0.0, NAN])
    assert [(strength, text) for _, strength, _, text in spans(html)] == [
        ("1.00", "&lt;i&gt;"), ("0.50", "a"), ("", "b&amp;"), ("", "n")
    ]  # fmt: skip
    assert "<i>" not in html and 'title="no score"' in html and "0.4; the highest are underlined" in html
    assert spans(plots.token_shading(["a"], [0.1], maximum=0.4))[0][1] == "0.50"  # on another passage's scale


def test_framed_tokens_stand_in_an_element_of_their_own():
    html = plots.token_shading(["▁a", "▁29", "1"], [0.1, 0.5, 0.0], framed=[1, 2])
    assert re.findall(r"<b><span[^>]*>(.*?)</span></b>", html) == ["29", "1"]


def test_shading_marks_the_three_highest_and_takes_zeros():
    found = spans(plots.token_shading(list("abcde"), [0.5, 0.1, 0.2, 0.3, 0.4]))
    assert [text for names, _, _, text in found if "top" in names] == ["a", "d", "e"]
    assert all(not names and not strength for names, strength, _, _ in spans(plots.token_shading(["a"], [0.0])))
    assert spans(plots.token_shading([], [])) == []


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["▁in", "▁par", "is", "▁."], "in paris ."),
        (["in", "par", "##is", ".", "so"], "in paris. so"),
        (["question", ":", "who"], "question: who"),
    ],
)
def test_tokens_are_joined_as_their_tokenizer_split_them(tokens, text):
    html = plots.token_shading(tokens, [0.0] * len(tokens), legend=False)
    assert re.sub(r"<style>.*?</style>|<[^>]+>", "", html) == text


def test_shaded_text_reads_on_light_and_dark_pages():
    for value in np.linspace(0.002, 1, 60):
        names, strength, _, _ = spans(plots.token_shading(["a"], [value], maximum=1.0))[0]
        blend = [tuple(float(strength) * s + (1 - float(strength)) * p for s, p in zip(SHADE, page, strict=True))
                 for page in ((255, 255, 255), DARK_PAGE)]  # fmt: skip
        assert contrast(blend[0], (0, 0, 0)) > 4.5
        assert contrast(blend[1], (255, 255, 255) if "pale" in names else (0, 0, 0)) > 4.5


def test_contrast_by_hand():
    assert contrast((255, 255, 255), (0, 0, 0)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.478, abs=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.passage_bars([1.0], ["a", "b"], [True, False]), "wanted scores of shape (2), given (1,)"),
        (lambda: plots.passage_bars([1.0], ["a"], [True, False]), "passage_bars: wanted gold of shape (1), given (2,)"),
        (lambda: plots.layer_head_map([1.0]), "layer_head_map: wanted matrix of shape (any, any), given (1,)"),
        (lambda: plots.score_distributions({"t": [[1.0]]}, [[True, False]]), "wanted t of shape (1, 2), given (1, 1)"),
        (lambda: plots.score_distributions({"t": [NAN]}, [True]), "'t': wanted at least one score, given none"),
        (lambda: plots.recall_curves({}), "recall_curves: wanted at least one share, given none"),
        (lambda: plots.evidence_bars({"all": 80.0}), "evidence_bars, 'all': wanted a share from 0 to 1, given 80.0"),
        (lambda: plots.evidence_bars({"all": 0.5}, {"all": (0.6, 0.7)}), "wanted an interval around 0.5, given (0.6"),
        (lambda: plots.training_curve([{"step": 1, "loss": 1}], ["loss"], window=0), "wanted a window of at least 1"),
        (lambda: plots.exact_match_bars({"all": math.nan}), "wanted a share from 0 to 1, given nan"),
        (lambda: plots.training_curve([{"step": 1}], ["loss"]), "wanted rows with 'loss', given ['step']"),
        (lambda: plots.rank_changes([1.0], [NAN], ["a"], [True]), "rank_changes, 'after': wanted a score for every"),
        (lambda: plots.token_shading(["a"], []), "token_shading: wanted a score for each of 1 tokens, given 0 scores"),
        (lambda: plots.token_shading(["a"], [-1.0]), "token_shading: wanted scores of at least 0, given -1.0"),
    ],
)  # fmt: skip
def test_errors_say_what_was_wanted(call, message):
    with pytest.raises(KitError, match=re.escape(message)):
        call()


def test_a_map_from_zero_shows_equal_heads_as_equal_and_small_values_with_two_figures():
    trace = plots.layer_head_map([[0.0139, 0.0139]], from_zero=True).data[0]
    assert (trace.zmin, trace.zmax, trace.texttemplate) == (0, 0.0139, "%{z:.2g}")
    assert plots.layer_head_map([[-90.0, -80.0]]).data[0].zmin is None
