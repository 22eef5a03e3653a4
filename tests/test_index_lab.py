"""Indexes measured and planned (kit.bench), and kit.widgets.IndexLab without a browser."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest

from kit.bench import WIKIPEDIA, index_sizes
from kit.bench.index_measures import Measured, Step, Trial, measured_indexes, recall_of, usual_specs
from kit.bench.index_plan import extrapolated, family, planned_indexes
from kit.index.vectors import write_vectors
from kit.types import KitError
from kit.widgets import IndexLab

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
    lab = IndexLab(VECTORS, QUESTIONS, specs=("Flat", "IVF4,Flat", "HNSW8"), k=5)
    lab.set(nprobe="1 4", ef_search="16")
    yield lab
    lab.close()


@pytest.fixture
def quick(monkeypatch):
    """Times are not what these tests are about."""
    monkeypatch.setattr("kit.bench.index_measures.seconds_of", lambda *works, **_: [work() or 0.012 for work in works])


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
    worse = planned_indexes(WIKIPEDIA, 768, IVF[:1], least_recall=0.9)
    assert [one.nearest for one in worse] == [None] * 7, "30% is not listed under at least 90%"


def test_the_lab_measures_and_plans(lab, quick):
    assert [one.name for one in lab.measure()] == [
        "Flat", "IVF4,Flat nprobe 1", "IVF4,Flat nprobe 4", "HNSW8 efSearch 16",
    ]  # fmt: skip
    assert lab._done == pytest.approx(1.0) and len(lab._data) < 6_000
    lab.set(count=1_000_000)
    assert [row.spec for row in lab.plan() if row.milliseconds] == ["Flat", "IVF65536,Flat", "HNSW32"]
    _, header, rows = lab.summary()
    assert header[1] == "recall@5" and [row[0] for row in rows] == [
        one.name for one in lab.measured if one.recall >= 0.9
    ]
    lab.set(least_recall=0.0)
    assert len(lab.summary()[2]) == 4


def asked_for(lab, monkeypatch, name: str) -> dict:
    """What a page gets that asks for an action."""
    sent: list = []
    monkeypatch.setattr(lab, "send", lambda content, buffers=None: sent.append(content))
    lab._handle_custom_msg({"kind": "ask", "id": "1", "name": name, "request": {}}, [])
    return sent[0]


def test_the_button_measures_in_the_background(lab, quick, monkeypatch):
    assert "error" not in asked_for(lab, monkeypatch, "measure")
    lab.worker.join(60)
    assert len(lab.measured) == 4 and not lab._busy.locked()
    assert "a question that it answers" in asked_for(lab, monkeypatch, "dance")["error"]


def test_stop_ends_it_after_the_index_at_hand(lab, monkeypatch):
    reached, go_on = threading.Event(), threading.Event()

    def steps(*_):
        yield Step(0.5, "Flat")
        reached.set()
        go_on.wait(30)
        yield Step(0.7, "IVF4,Flat", (FLAT,))
        yield Step(1.0, "", (IVF[0],))

    monkeypatch.setattr("kit.widgets.index_lab.measured_indexes", steps)
    lab.answer("measure", {})
    assert reached.wait(30)
    with pytest.raises(KitError, match="one measuring at a time"):
        lab.measure()
    assert "one measuring at a time" in asked_for(lab, monkeypatch, "measure")["error"]
    asked_for(lab, monkeypatch, "stop")
    go_on.set()
    lab.worker.join(30)
    assert lab.measured == [FLAT] and lab._status == "stopped before IVF4,Flat"


@pytest.mark.parametrize(("name", "value", "message"), [
    ("nprobe", "1 many", "nprobe: wanted whole numbers of at least 1, as 1 4 16, given 'many'"),
    ("nprobe", "", "nprobe: wanted whole numbers of at least 1, as 1 4 16, given none"),
    ("ef_search", "0", "efSearch: wanted whole numbers of at least 1, as 1 4 16, given '0'"),
    ("specs", " ", "specs: wanted factory strings of FAISS"),
    ("k", 301, "k: wanted a number"), ("least_recall", 0.7, "least_recall: wanted one of"),
])  # fmt: skip
def test_a_wrong_setting_is_refused(lab, name, value, message):
    with pytest.raises(KitError, match=re.escape(message)):
        lab.set(**{name: value})


def test_nothing_that_can_be_built_is_an_error(quick):
    lab = IndexLab(VECTORS, QUESTIONS, specs=["Flatt"])
    with pytest.raises(KitError, match="could not parse index string Flatt"):
        lab.measure()
    assert "Flatt" in lab.problems[0]
    lab.answer("measure", {})
    lab.worker.join(30)
    assert "Flatt" in lab._status


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
