"""kit.widgets.IndexLab: measuring, the plan, what is shown, without a browser."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import numpy as np
import pytest

from kit.bench import WIKIPEDIA, index_sizes
from kit.index.vectors import write_vectors
from kit.types import KitError
from kit.widgets import IndexLab
from kit.widgets.index_lab import numbers_in
from kit.widgets.index_measures import Measured, Step, Trial, measured_indexes, recall_of, usual_specs
from kit.widgets.index_plan import extrapolated, family, planned_indexes
from kit.widgets.index_views import lab_html, measured_table, plan_html, recall_against_time, time_ticks

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(300, 16)).astype(np.float32)
QUESTIONS = RNG.normal(size=(12, 16)).astype(np.float32)
FAST = {"seconds": 0.0}
FLAT = Measured("Flat", "", None, 1.0, 2.0, 64_000, 0.01, 0, 1_000, 16)
IVF = [
    Measured("IVF8,Flat", "nprobe", n, recall, ms, 66_000, 0.2, 8, 1_000, 16)
    for n, recall, ms in ((1, 0.3, 0.5), (4, 0.92, 1.0), (8, 1.0, 2.0))
]


def all_of(trial, vectors=VECTORS, questions=QUESTIONS):
    steps = list(measured_indexes(vectors, questions, trial))
    return steps, [one for step in steps for one in step.measured]


@pytest.fixture
def lab():
    made = IndexLab(VECTORS, QUESTIONS, specs=("Flat", "IVF4,Flat", "HNSW8"), k=5)
    made.controls["nprobe"].value, made.controls["ef_search"].value = "1 4", "16"
    yield made
    made.close()


@pytest.fixture
def quick(monkeypatch):
    """Times are not what these tests are about."""
    monkeypatch.setattr(
        "kit.widgets.index_measures.seconds_of", lambda *works, **_: [work() or 0.012 for work in works]
    )


def test_exact_kinds_find_all_and_few_cells_find_less(quick):
    steps, measured = all_of(Trial(("Flat", "IVF4,Flat"), k=5, nprobes=(1, 2, 4, 64), **FAST))
    recalls = {one.name: one.recall for one in measured}
    assert recalls["Flat"] == recalls["IVF4,Flat nprobe 4"] == 1.0
    assert recalls["IVF4,Flat nprobe 1"] < recalls["IVF4,Flat nprobe 2"] < 1.0
    assert [one.setting for one in measured] == [None, 1, 2, 4], "nprobe 64 is cut to the four cells"
    assert [step.done for step in steps] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert [step.coming for step in steps] == ["exact search", "Flat", "IVF4,Flat", ""]


def test_recall_is_against_a_slow_search(quick):
    _, measured = all_of(Trial(("IVF4,Flat",), k=5, nprobes=(1,), **FAST))
    exact = np.argsort(-(QUESTIONS @ VECTORS.T), axis=1)[:, :5].astype(str)
    from kit.index import build_index

    found, _ = build_index([str(n) for n in range(300)], VECTORS, "IVF4,Flat").search(QUESTIONS, 5, nprobe=1)
    assert measured[0].recall == pytest.approx(recall_of(found, exact)) and 0 < measured[0].recall < 1


def test_time_is_a_question_s_and_memory_the_file_s(quick):
    _, (one,) = all_of(Trial(("Flat",), k=5, **FAST))
    assert one.milliseconds == pytest.approx(1000 * 0.012 / 12)
    assert 300 * 16 * 4 < one.bytes < 300 * 16 * 4 + 500 and one.cells == 0
    _, (alone,) = all_of(Trial(("Flat",), k=5, together=False, **FAST))
    assert alone.milliseconds == pytest.approx(1000 * 0.012 / 12), "12 questions are fewer than 16"


def test_a_time_is_measured_for_real():
    _, measured = all_of(Trial(("Flat",), k=5, **FAST))
    assert 0 < measured[0].milliseconds < 10_000


def test_vectors_on_disk_are_measured_too(tmp_path, quick):
    stored = write_vectors(tmp_path / "v", [f"p{n}" for n in range(300)], VECTORS, shard_size=100, dtype="float32")
    assert [one.recall for one in all_of(Trial(("Flat",), k=5, **FAST), stored)[1]] == [1.0]


def test_a_spec_that_cannot_be_built_leaves_the_others(quick):
    steps, measured = all_of(Trial(("PQ5", "Flat"), k=5, **FAST))
    assert [one.spec for one in measured] == ["Flat"]
    assert ["'PQ5'" in step.problem for step in steps] == [False, False, True, False]


def test_usual_specs_can_all_be_built(quick):
    steps, measured = all_of(Trial(usual_specs(*VECTORS.shape), k=5, nprobes=(4,), ef_searches=(16,), **FAST))
    assert [step.problem for step in steps if step.problem] == [] and len(measured) == len(usual_specs(300, 16))


@pytest.mark.parametrize("spec", ["Flat", "SQfp16", "IVF65536,Flat", "IVF65536,PQ96", "HNSW32"])
def test_every_planned_index_is_of_a_known_kind(spec):
    assert family(spec) and spec in [size.name for size in index_sizes(WIKIPEDIA, 768)]


def test_extrapolation_by_hand():
    assert extrapolated(FLAT, "Flat", 4_000, 32) == 2.0 * 4 * 2
    graph = Measured("HNSW8", "ef_search", 16, 1.0, 1.0, 1, 0.0, 0, 1_000, 16)
    assert extrapolated(graph, "HNSW32", 1_000_000, 16) == pytest.approx(2.0), "the logarithm doubles"
    # half of the cells: 500 vectors and 8 centroids looked at, then half of 8,000 and 16
    assert extrapolated(IVF[1], "IVF16,Flat", 8_000, 16) == pytest.approx(1.0 * 4016 / 508)
    with pytest.raises(KitError, match="an index of the kind of HNSW32, given Flat"):
        extrapolated(FLAT, "HNSW32", 10, 10)


def test_the_plan_takes_sizes_from_the_bench_and_times_from_what_finds_enough():
    plan = {one.spec: one for one in planned_indexes(WIKIPEDIA, 768, [FLAT, *IVF], least_recall=0.9)}
    assert {one.name: one.value for one in index_sizes(WIKIPEDIA, 768)} == {n: p.gigabytes for n, p in plan.items()}
    assert plan["IVF65536,Flat"].nearest is IVF[1] and plan["Flat"].nearest is FLAT
    assert plan["HNSW32"].milliseconds is None and plan["vectors, float16"].nearest is None
    worse = planned_indexes(WIKIPEDIA, 768, IVF[:1], least_recall=0.99)
    assert next(one for one in worse if one.spec == "IVF65536,Flat").nearest is IVF[0]


def test_the_plan_says_plainly_what_it_is():
    html = plan_html(planned_indexes(WIKIPEDIA, 768, [FLAT]), WIKIPEDIA, 768)
    assert "EXTRAPOLATION, not a measurement: 21,015 times the 1,000 vectors" in html and "64.7 GB" in html
    assert "as soon as something is measured" in plan_html(planned_indexes(10, 4), 10, 4)


def test_the_plot_holds_every_point_and_memory_as_area():
    figure = recall_against_time([FLAT, *IVF, replace(FLAT, spec="SQ8", bytes=16_000)], 5)
    assert [len(trace.x) for trace in figure.data] == [1, 3, 1]
    assert figure.data[1].text == ("1", "4", "8") and figure.data[1].y == (0.3, 0.92, 1.0)
    sizes = [trace.marker.size for trace in figure.data]
    assert sizes[0] / sizes[2] == pytest.approx(2.0), "four times the memory, four times the area"
    low, high = figure.layout.xaxis.range
    assert all(low < np.log10(time) < high for time in figure.layout.xaxis.tickvals)
    assert len(recall_against_time([], 5).data) == 0 and time_ticks(-5, 3) == [10.0**n for n in range(-5, 4)]


def test_the_lab_measures_shows_and_plans(lab, quick):
    assert [one.name for one in lab.measure()] == [
        "Flat", "IVF4,Flat nprobe 1", "IVF4,Flat nprobe 4", "HNSW8 efSearch 16",
    ]  # fmt: skip
    assert [trace.name.split(" ·")[0] for trace in lab._picture.figure.data] == ["Flat", "IVF4,Flat", "HNSW8"]
    assert "IVF4,Flat" in lab._told["table"].value and lab.controls["progress"].value == pytest.approx(1.0)
    assert "EXTRAPOLATION" in lab._told["plan"].value
    before = lab._told["plan"].value
    lab.controls["count"].value = 1_000
    assert lab._told["plan"].value != before and "1,000 passages" in lab._told["plan"].value
    assert [row.spec for row in lab.plan() if row.milliseconds] == ["Flat", "IVF65536,Flat", "HNSW32"]


def test_the_button_measures_in_the_background(lab, quick):
    lab.controls["measure"].click()
    lab.worker.join(60)
    assert len(lab.measured) == 4 and not lab.controls["measure"].disabled and lab.controls["stop"].disabled


def test_stop_ends_it_after_the_index_at_hand(lab, monkeypatch):
    reached, go_on = threading.Event(), threading.Event()

    def steps(*_):
        yield Step(0.5, "Flat")
        reached.set()
        go_on.wait(30)
        yield Step(0.7, "IVF4,Flat", (FLAT,))
        yield Step(1.0, "", (IVF[0],))

    monkeypatch.setattr("kit.widgets.index_lab.measured_indexes", steps)
    lab.controls["measure"].click()
    assert reached.wait(30) and lab.controls["measure"].disabled and not lab.controls["stop"].disabled
    with pytest.raises(KitError, match="one measuring at a time"):
        lab.measure()
    lab.controls["stop"].click()
    go_on.set()
    lab.worker.join(30)
    assert lab.measured == [FLAT] and "stopped before IVF4,Flat" in lab._told["status"].value
    assert not lab.controls["measure"].disabled


def test_settings_are_offered_where_a_spec_has_them(lab):
    assert not lab.controls["nprobe"].disabled and not lab.controls["ef_search"].disabled
    lab.controls["specs"].value = "Flat SQ8"
    assert lab.controls["nprobe"].disabled and lab.controls["ef_search"].disabled


@pytest.mark.parametrize(("control", "value", "message"), [
    ("nprobe", "1 many", "nprobe: wanted whole numbers of at least 1, as 1 4 16, given &#x27;many&#x27;"),
    ("specs", " ", "specs: wanted factory strings of FAISS"),
])  # fmt: skip
def test_a_mistake_in_a_control_is_told_beside_it(lab, control, value, message):
    lab.controls[control].value = value
    lab.controls["measure"].click()
    assert message in lab._told["status"].value and lab.worker is None
    with pytest.raises(KitError):
        lab.measure()


def test_nothing_that_can_be_built_is_an_error(quick):
    lab = IndexLab(VECTORS, QUESTIONS, specs=["Flatt"])
    with pytest.raises(KitError, match="could not parse index string Flatt"):
        lab.measure()
    assert "Flatt" in lab._told["problems"].value


def test_still_and_export_tell_the_same_without_script(lab, tmp_path, quick):
    assert "nothing measured yet" in lab.still()
    lab.measure()
    html = lab.export_html(tmp_path / "lab.html").read_text(encoding="utf-8")
    assert html.count("<svg") == 1 and "<script" not in html and len(html) < 100_000
    assert "IVF4,Flat" in html and "EXTRAPOLATION" in html and "21,015,324" in html
    assert not re.search(r"(src|href)=.https?:", html)
    assert lab._repr_mimebundle_()["text/html"].count("<svg") == 1


@pytest.mark.parametrize(("vectors", "questions", "options", "message"), [
    (VECTORS, QUESTIONS[:, :5], {}, "question_vectors: wanted vectors of 16 numbers"),
    (VECTORS[0], QUESTIONS, {}, "vectors: wanted a matrix"),
    (VECTORS, QUESTIONS * np.nan, {}, "question_vectors, row 0: wanted finite numbers"),
    ("words", QUESTIONS, {}, "vectors: wanted a matrix of numbers"),
    (VECTORS, QUESTIONS, {"k": 301}, "k: wanted from 1 to the 300 vectors, given 301"),
    (VECTORS, QUESTIONS, {"specs": "Flat"}, "specs: wanted a list of factory strings"),
    (VECTORS, QUESTIONS, {"specs": []}, "specs: wanted factory strings of FAISS"),
    (VECTORS, QUESTIONS, {"ids": ["a"]}, "ids: wanted one for each of the 300 vectors, given 1"),
])  # fmt: skip
def test_bad_input(vectors, questions, options, message):
    with pytest.raises(KitError, match=re.escape(message)):
        IndexLab(vectors, questions, **options)


def test_numbers_in_a_text():
    assert numbers_in("nprobe", " 1,4  16 ") == (1, 4, 16)
    with pytest.raises(KitError, match="given none"):
        numbers_in("nprobe", "")
    with pytest.raises(KitError, match="given '0'"):
        numbers_in("nprobe", "0")


def test_the_tables_have_a_row_for_each():
    assert measured_table([FLAT, *IVF], 5).count("<tr>") == 5 and measured_table([], 5) == ""
    html = lab_html([FLAT], planned_indexes(10, 4, [FLAT]), ["no <such> index"], "told", (5, 10, 4))
    assert "no &lt;such&gt; index" in html and "Plan for 10 passages" in html
