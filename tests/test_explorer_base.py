"""What explorers are built from: controls and what they take, packed data, the joined script, the exported page."""

from __future__ import annotations

import base64
import gzip
import json
import re

import numpy as np
import pytest

import kit.widgets
from kit.pages.figures import plotly_bundle
from kit.types import KitError
from kit.widgets.base import BASE, JS, Explorer, bundle
from kit.widgets.controls import Choice, Flag, Free, Number, Several, Text
from kit.widgets.packed import packed


class Counter(Explorer):
    """The smallest explorer: a number, and what it asks for."""

    modules = ()

    def __init__(self) -> None:
        super().__init__(
            "Bars & <more>", [Number("bars", "bars", 1, 9, 1, 2), Flag("wide", "wide")], {"note": "</script>"}
        )

    def summary(self):
        return "<bars>", ["number"], [[str(self.state["bars"])]]

    def answer(self, name, request):
        if name != "square":
            return super().answer(name, request)
        return {"square": np.float32([request["of"] ** 2])}

    def exported_requests(self):
        return [("square", {"of": 3})]


def sent_by(counter: Counter, message: dict, monkeypatch) -> list:
    sent: list = []
    monkeypatch.setattr(counter, "send", lambda content, buffers=None: sent.append((content, buffers)))
    counter._handle_custom_msg(message, [])
    return sent


@pytest.mark.parametrize(
    ("control", "value", "message"),
    [
        (Choice("loss", "loss", ["kl"], "kl"), "mse", "loss: wanted one of 'kl', given 'mse'"),
        (Choice("layer", "layer", [0, 1], 0), True, "layer: wanted one of 0, 1, given True"),
        (
            Several("losses", "losses", ["kl", "mse"], ["kl"]),
            [],
            "losses: wanted at least one of 'kl', 'mse', given []",
        ),
        (Several("losses", "losses", ["kl", "mse"], ["kl"]), "kl", "losses: wanted at least one of"),
        (Number("steps", "steps", 1, 9, 1, 2), 10, "steps: wanted a number from 1 to 9, given 10"),
        (Number("steps", "steps", 1, 9, 1, 2), 2.5, "steps: wanted a whole number from 1 to 9, given 2.5"),
        (Number("rate", "rate", 0.1, 9.0, 0.1, 2.0), float("nan"), "rate: wanted a number from 0.1 to 9, given nan"),
        (Number("rate", "rate", 0.1, 9.0, 0.1, 2.0), "2", "rate: wanted a number"),
        (Flag("wide", "wide"), 1, "wide: wanted True or False, given 1"),
        (Text("name", "name", "x", str), 1, "name: wanted a text, given 1"),
    ],
)
def test_a_control_refuses_what_it_does_not_take(control, value, message):
    with pytest.raises(KitError, match=re.escape(message)):
        control.checked(value)


def test_controls_take_what_fits_and_a_wrong_declaration_is_refused():
    assert Choice("q", "q", [("all", None), ("one", "q1")], None).checked("q1") == "q1"
    assert Several("l", "l", ["a", "b", "c"], ["a"]).checked(("c", "a")) == ["a", "c"]
    assert Number("n", "n", 1, 9, 1, 2).checked(3.0) == 3
    assert Free("edits", [], list).checked((1, 2)) == [1, 2]
    with pytest.raises(KitError, match="0 < low < high"):
        Number("t", "t", 0, 5, 1, 1, log=True)
    with pytest.raises(KitError, match="at least one option"):
        Choice("c", "c", [], None)


def test_packed_data_holds_numbers_and_arrays():
    body = gzip.decompress(packed({"a": [1, "é", None], "x": np.float32([[1.5, 2.5]]), "y": np.array([True, False])}))
    length = int.from_bytes(body[:4], "little")
    header, start = json.loads(body[4 : 4 + length]), -(-(4 + length) // 8) * 8
    assert header["a"] == [1, "é", None]
    kind, shape, place = header["x"]["$"]
    found = np.frombuffer(body, np.dtype(kind), int(np.prod(shape)), start + place)
    assert found.tolist() == [1.5, 2.5] and shape == [1, 2] and header["y"]["$"][0] == "u1"
    with pytest.raises(TypeError, match="complex128"):
        packed(np.zeros(1, complex))


def test_a_change_is_checked_and_reaches_the_state():
    counter = Counter()
    counter.set(bars=4)
    assert counter.state == {"bars": 4, "wide": False}
    with pytest.raises(KitError, match=r"Counter\.set: wanted one of bars, wide, given 'size'"):
        counter.set(size=1)
    with pytest.raises(KitError, match="bars: wanted a number from 1 to 9, given 12"):
        counter.set(bars=12, wide=True)
    assert counter.state == {"bars": 4, "wide": False}


def test_the_page_is_answered(monkeypatch):
    counter = Counter()
    ((content, buffers),) = sent_by(
        counter, {"kind": "ask", "id": "7", "name": "square", "request": {"of": 5}}, monkeypatch
    )
    assert content == {"kind": "answer", "id": "7"} and b"25" not in buffers[0] and len(buffers[0]) < 100
    ((content, _),) = sent_by(counter, {"kind": "ask", "id": "8", "name": "root", "request": {}}, monkeypatch)
    assert content["error"] == "Counter: wanted a question that it answers, given 'root'"
    ((content, buffers),) = sent_by(counter, {"kind": "plotly"}, monkeypatch)
    assert content == {"kind": "plotly"} and len(buffers[0]) < 550_000 and b"plotly.js" in gzip.decompress(buffers[0])
    ((content, buffers),) = sent_by(counter, {"kind": "page"}, monkeypatch)
    assert content["name"] == "Counter.html" and buffers[0].startswith(b"<!DOCTYPE html>")
    assert sent_by(counter, {"kind": "something else"}, monkeypatch) == []


def test_an_exported_page_holds_state_answers_and_plotly_and_fetches_nothing(tmp_path):
    counter = Counter()
    counter.set(bars=7)
    path = counter.export_html(tmp_path / "new" / "bars.html")
    page = path.read_text(encoding="utf-8")
    assert [one.name for one in path.parent.iterdir()] == ["bars.html"] and len(page) < 850_000
    assert "<title>Bars &amp; &lt;more&gt;</title>" in page and "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    held = json.loads(re.search(r'<script id="explorer-data"[^>]*>(.*?)</script>', page, re.S)[1])
    assert held["state"] == {"bars": 7, "wide": False} and list(held["answers"]) == ['["square",{"of":3}]']
    assert [(one["value"], one["default"]) for one in held["_controls"]] == [(7, 2), (False, False)]
    assert base64.b64decode(re.search(r'id="kit-plotly"[^>]*>([^<]*)<', page)[1]) == plotly_bundle()
    assert "<noscript>" in page and "<caption>&lt;bars&gt;</caption>" in page


@pytest.mark.parametrize("path", ["", ".", "page.txt", "page"])
def test_an_export_wants_the_path_of_a_page(path):
    with pytest.raises(KitError, match=r"export_html: wanted the path of an \.html file"):
        Counter().export_html(path)


def modules() -> list[tuple[str, ...]]:
    from kit.widgets import IndexLab, LossLab, ScoreDistributions

    return [ScoreDistributions.modules, LossLab.modules, IndexLab.modules]


@pytest.mark.parametrize("extra", modules(), ids=str)
def test_scripts_join_into_one_module_of_small_functions_that_fetches_nothing(extra):
    source = bundle(extra)
    plain = source.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|\bfetch\(|XMLHttpRequest|\bimport\b.*from|import\(|</script|eval\(", plain)
    names = re.findall(r"^(?:async )?(?:const|let|function|class) (\w+)", source, re.M)
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)
    assert source.count("export ") == 1 and source.rstrip().splitlines()[-1].startswith("export default explorer(")
    lines = source.splitlines()
    starts = [n for n, line in enumerate(lines) if re.match(r"(async )?function|export ", line)]
    ends = [n for n, line in enumerate(lines) if line.startswith("}")]
    assert all(min((end for end in ends if end >= start), default=start) - start <= 55 for start in starts)
    assert len(source) < 100_000 and all((JS / name).is_file() for name in BASE)


def test_the_facade_names_the_explorers():
    assert set(kit.widgets.__all__) <= set(dir(kit.widgets))
    assert all(issubclass(getattr(kit.widgets, name), Explorer) for name in kit.widgets.__all__)
    with pytest.raises(AttributeError, match=r"module 'kit\.widgets' has no attribute 'Nothing'"):
        _ = kit.widgets.Nothing
