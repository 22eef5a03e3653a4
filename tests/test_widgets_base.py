"""What explorers are built from: the figure's view, the titled box, its controls and their brake."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from pathlib import Path

import ipywidgets
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs

import kit.widgets
from kit import plots
from kit.plots.still import still
from kit.types import KitError
from kit.widgets.explorer import Explorer, NumberControl, labelled_choice, labelled_slider, throttled
from kit.widgets.figure_view import JS, FigureView
from kit.widgets.own_keys import ROOT, OwnKeys


def bars(*heights: float) -> go.Figure:
    return go.Figure().add_bar(x=[f"p{number}" for number in range(len(heights))], y=heights)


class Counter(Explorer):
    """The smallest explorer: a number, and so many bars."""

    def __init__(self) -> None:
        self.count = labelled_slider("bars", 1, 9, 1, 2)
        self.view = FigureView(label="bars")
        super().__init__("Bars & <more>", [ipywidgets.HBox([self.count]), self.view])
        self.count.observe(lambda _: self.view.show(bars(*range(self.count.value))), "value")

    def still(self) -> str:
        return still(bars(*range(self.count.value)), title="bars")


def told(view: FigureView, monkeypatch: pytest.MonkeyPatch) -> list:
    """What a view sends to the page from now on, apart from its traits."""
    sent: list = []
    monkeypatch.setattr(view, "send", lambda content, buffers=None: sent.append((content, buffers)))
    return sent


def test_a_view_holds_the_figure_and_replaces_it():
    view = FigureView(bars(1, 2), label="two bars")
    assert view.figure.data[0].y == (1, 2) and view.label == "two bars"
    view.show(bars(3))
    assert view.figure.data[0].y == (3,)
    view.figure.data[0].y = (9,)
    assert view.figure.data[0].y == (3,)  # it was a copy
    assert FigureView().figure.data == ()


def test_clicks_reach_every_callback():
    view, clicks = FigureView(bars(1, 2)), []
    view.on_click(lambda trace, point: clicks.append((trace, point)))
    view.on_click(lambda trace, point: clicks.append("again"))
    view._handle_custom_msg({"kind": "click", "trace": 0, "point": 1}, [])
    assert clicks == [(0, 1), "again"]
    view._handle_custom_msg({"kind": "something else"}, [])
    assert len(clicks) == 2


def test_plotly_is_sent_when_asked_for_and_is_not_in_the_state(monkeypatch):
    view = FigureView(bars(1, 2))
    assert len(json.dumps(view.get_state(), default=str)) < 20_000
    sent = told(view, monkeypatch)
    view.show(bars(2, 1))
    assert sent == []
    view._handle_custom_msg({"kind": "plotly.js"}, [])
    assert sent[0][0] == {"kind": "plotly.js"} and len(sent[0][1][0]) < 1_700_000
    assert gzip.decompress(sent[0][1][0]).decode() == get_plotlyjs()


def test_until_it_is_drawn_a_view_holds_a_still_picture():
    view = FigureView(bars(1, 2), label="two")
    assert view._still.count("<rect") == 2 and "<title>two</title>" in view._still
    view.show(bars(1, 2, 3))
    assert view._still.count("<rect") == 3
    view._handle_custom_msg({"kind": "drawn"}, [])
    view.show(bars(1))
    assert view._still == "" and view.figure.data[0].y == (1,)
    assert FigureView(go.Figure(go.Pie(values=[1, 2])))._still == ""


def test_a_picture_of_usual_size_is_small():
    figure = plots.layer_head_map([[0.123456] * 16] * 24)
    view = FigureView(figure)
    assert len(json.dumps(view._figure)) < 25_000
    assert len(view._still) < 60_000


def test_scripts_are_small_functions_of_their_own_and_fetch_nothing():
    for path in (JS / "figure.js", JS / "own_keys.js"):
        source = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|\bfetch\(|XMLHttpRequest|import\(", source), path.name
        starts = [n for n, line in enumerate(source.splitlines()) if re.match(r"(async )?function|export ", line)]
        ends = [n for n, line in enumerate(source.splitlines()) if line.startswith("}")]
        assert all(min((e for e in ends if e >= s), default=s) - s <= 40 for s in starts), path.name


def test_an_explorer_shows_exports_and_falls_back(tmp_path):
    counter = Counter()
    counter.count.value = 4
    assert len(counter.view.figure.data[0].y) == 4
    bundle = counter._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/html"].count("<rect") == 4 and "Bars &amp; &lt;more&gt;" in bundle["text/html"]
    assert bundle["text/plain"] == "Counter: Bars & <more>"
    path = counter.export_html(tmp_path / "new" / "bars.html")
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and page.count("<rect") == 4 and len(page) < 20_000
    assert "Bars &amp; &lt;more&gt;</h1>" in page and "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"?https?:", page) and "<script" not in page
    assert [one.name for one in path.parent.iterdir()] == ["bars.html"]


@pytest.mark.parametrize("path", ["", ".", "page.txt", "page"])
def test_an_export_wants_the_path_of_a_page(path):
    with pytest.raises(KitError, match=r"export_html: wanted the path of an \.html file"):
        Counter().export_html(path)


def test_closing_closes_all_that_is_held():
    counter = Counter()
    held = [counter, *counter.children, counter.count, counter.count.slider, counter.count.box, counter.view]
    assert all(widget.comm is not None for widget in held)
    counter.close()
    assert all(widget.comm is None for widget in held)
    assert counter._repr_mimebundle_ is None  # a closed one is told by its name
    counter.close()  # a second time does nothing


def test_a_slider_and_its_box_agree():
    control, seen = labelled_slider("passages", 1, 20, 1, 5), []
    control.observe(lambda change: seen.append(change["new"]), "value")
    control.slider.value = 7
    assert (control.value, control.box.value) == (7, 7)
    control.box.value = 9
    assert (control.value, control.slider.value) == (9, 9)
    control.value = 3
    assert (control.slider.value, control.box.value) == (3, 3) and seen == [7, 9, 3]
    assert isinstance(control.slider, ipywidgets.IntSlider) and control.slider.description == "passages"
    assert control.box.description.startswith("passages")
    fine = labelled_slider("temperature", 0.1, 4, 0.1, 1)
    fine.value = 2.5
    assert fine.box.value == fine.slider.value == 2.5


def test_a_logarithmic_slider_holds_the_number_itself():
    control = labelled_slider("temperature", 0.01, 100, 0.1, 1.0, log=True)
    assert (control.slider.min, control.slider.max) == (-2, 2) and control.value == 1.0
    control.box.value = 0.37
    assert control.value == control.slider.value == 0.37
    control.slider.value = 10.0
    assert control.value == control.box.value == 10.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: labelled_slider("k", 5, 5, 1, 5),
            "k: wanted low < high and a step above 0, given low 5, high 5, step 1",
        ),
        (lambda: labelled_slider("k", 0, 5, 0, 5), "k: wanted low < high and a step above 0"),
        (lambda: labelled_slider("t", 0, 5, 1, 5, log=True), "t: wanted 0 < low < high"),
        (lambda: labelled_slider("k", 1, 5, 1, 9), "k: wanted a value from 1 to 5, given 9"),
        (lambda: setattr(labelled_slider("k", 1, 5, 1, 2), "value", 6), "k: wanted a number from 1 to 5, given 6"),
        (lambda: setattr(labelled_slider("k", 1, 5, 1, 2), "value", "3"), "k: wanted a number from 1 to 5, given '3'"),
        (lambda: labelled_choice("layer", []), "layer: wanted at least one option, given none"),
        (lambda: labelled_choice("layer", ["a"], "b"), "layer: wanted one of ['a'], given 'b'"),
        (lambda: FigureView({"data": []}), "FigureView: wanted a plotly figure, given dict"),
        (lambda: FigureView().show(None), "FigureView: wanted a plotly figure, given NoneType"),
    ],
)
def test_errors_say_what_was_wanted(call, message):
    with pytest.raises(KitError, match=re.escape(message)):
        call()


def test_a_choice_has_its_label_and_takes_pairs():
    choice = labelled_choice("head", [("all heads", None), ("head 0", 0)], 0)
    assert choice.value == 0 and choice.description == "head"
    assert labelled_choice("head", ["all", "0"]).value == "all"


def test_none_can_be_an_option_and_is_chosen_first():
    choice = labelled_choice("question", [("all questions", None), ("one", "q1")])
    assert (choice.index, choice.label, choice.value) == (0, "all questions", None)


def test_every_explorers_controls_keep_their_keys():
    counter = Counter()
    (keys,) = [child for child in counter.children if isinstance(child, OwnKeys)]
    assert ROOT in counter._dom_classes and ROOT in keys._esm


def test_a_figure_goes_to_the_page_compressed_and_whole():
    view = FigureView(least_width=300)
    view.show(bars(*range(200)).update_layout(height=321))
    state = view.get_state(["_packed", "_height", "_least_width"])
    assert (state["_height"], state["_least_width"]) == (321, 300)
    assert json.loads(gzip.decompress(state["_packed"])) == json.loads(view.figure.to_json())
    assert len(state["_packed"]) < len(json.dumps(view._figure)) / 3


def test_calls_that_come_too_fast_are_thinned_and_the_last_one_is_kept():
    calls: list[int] = []

    async def hurry() -> None:
        call = throttled(calls.append, per_second=20)
        for number in range(10):
            call(number)
        assert calls == [0]
        await asyncio.sleep(0.15)

    asyncio.run(hurry())
    assert calls == [0, 9]


def test_without_a_loop_every_call_is_made_at_once():
    calls: list[int] = []
    call = throttled(calls.append)
    call(1), call(2)
    assert calls == [1, 2]


def test_the_facade_names_the_explorers():
    assert set(kit.widgets.__all__) <= set(dir(kit.widgets)) and "TrainingView" in kit.widgets.__all__
    with pytest.raises(AttributeError, match=r"module 'kit\.widgets' has no attribute 'Nothing'"):
        _ = kit.widgets.Nothing
    assert isinstance(kit.widgets.TrainingView, type)
    assert issubclass(NumberControl, ipywidgets.HBox) and Path(JS, "figure.js").is_file()
