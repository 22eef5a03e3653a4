"""The benchmark: what is multiplied is multiplied right, sizes are those of FAISS, and a tiny run tells all of it."""

from __future__ import annotations

import json

import faiss
import numpy as np
import pytest
import torch
from test_cli import example, kit
from torch.utils.flop_counter import FlopCounterMode

from kit.bench import WIKIPEDIA, Measure, index_sizes, make_plan, run_bench
from kit.bench.measures import SIZES, draw_lengths, draw_tokens, random_encoder, seconds_of
from kit.bench.models import stack_work
from kit.types import KitError


def test_the_works_take_turns_after_one_run_each():
    done = []
    times = seconds_of(lambda: done.append("a"), lambda: done.append("b"), device=torch.device("cpu"), least=0)
    assert "".join(done) == "abababab" and len(times) == 2


def test_lengths_and_tokens():
    lengths = draw_lengths(500, seed=0)
    assert int(lengths.min()) >= 20 and int(lengths.max()) == 200 and 140 < lengths.float().mean() < 155
    assert draw_lengths(9, seed=0, spread=0.0).unique().tolist() == [150]
    ids, mask = draw_tokens(torch.tensor([2, 3]), 50, seed=0)
    assert mask.tolist() == [[True, True, False], [True, True, True]]
    assert (ids[mask] >= 3).all() and (ids[~mask] == 0).all()


def test_the_work_of_a_stack_is_counted_as_torch_counts_it():
    size = SIZES["tiny"]
    encoder = random_encoder(size, torch.device("cpu"), 0)
    encoder.question_tower.set_attn_implementation("eager")  # the counter does not know the CPU's fused attention
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        for length in (7, 30):
            encoder.question_tower(input_ids=torch.ones(1, length, dtype=torch.long))
    assert counter.get_total_flops() == pytest.approx(stack_work(size, torch.tensor([7, 30])), rel=0.01)


def test_the_plan_multiplies():
    measures = {
        "embedding passages": Measure("", 10.0, ""),
        "reader: score": Measure("", 0.5, ""),
        "reader: train step": Measure("", 0.9, ""),
        "search: exact, streamed": Measure("", 0.25, "", "1,000 vectors of 4"),
    }
    plan = {one.name: one.value for one in make_plan(measures, 36_000, 5, 4)}
    assert plan["embed the corpus"] == pytest.approx(1.0)  # 3,600 seconds
    assert plan["exact search, one pass"] == pytest.approx(36 * 0.25 / 60)
    assert plan["score NQ's questions"] == pytest.approx(79_168 * 0.5 / 3600)
    assert plan["train a reader as FiD's"] == pytest.approx(640_000 * 0.9 / 3600)


def test_the_sizes_of_wikipedia():
    sizes = {one.name: one.value for one in index_sizes(WIKIPEDIA, 768)}
    assert sizes["vectors, float32"] == pytest.approx(64.56, abs=0.01)  # METHOD: 64.6 GB
    assert sizes["vectors, float16"] == pytest.approx(32.28, abs=0.01)
    assert sizes["IVF65536,PQ96"] == pytest.approx(2.55, abs=0.01)


@pytest.mark.parametrize("spec", ["Flat", "SQfp16", "HNSW32"])
def test_the_sizes_are_those_of_faiss_files(spec):
    count, dimension = 3000, 32
    index = faiss.index_factory(dimension, spec, faiss.METRIC_INNER_PRODUCT)
    vectors = np.random.default_rng(0).standard_normal((count, dimension), dtype=np.float32)
    index.train(vectors)
    index.add(vectors)
    size = {one.name: one.value for one in index_sizes(count, dimension)}[spec] * 1e9 - 8 * count  # without our ids
    assert size == pytest.approx(faiss.serialize_index(index).nbytes, rel=0.1)


def test_a_tiny_run_tells_all():
    ended = kit(f"{example('bench')} --corpus 1000 --json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert {one["name"] for one in told["measures"]} >= {
        "embedding passages", "embedding tokens", "reader: train step", "reader: read", "reader: score",
        "search: exact, streamed", "search: FAISS Flat",
    }  # fmt: skip
    assert all(one["value"] > 0 for part in ("measures", "ratios", "shares", "plan") for one in told[part])
    assert [one["name"] for one in told["ratios"]] == [
        "embedding", "reader: score", "reader: read", "reader: train step", "search: streamed",
    ]  # fmt: skip
    assert [one["name"] for one in told["shares"]] == [one["name"] for one in told["ratios"][:4]]
    assert all(one["value"] < 1 for one in told["shares"]) and "1 process of 1 thread" in told["machine"]
    assert "extrapolation" in told["plan_is"] and told["settings"]["corpus"] == 1000


def test_the_table_says_what_is_extrapolated(monkeypatch):
    from kit.bench import Bench

    one = (Measure("thing", 1234.5, "GB", "how"),)
    monkeypatch.setattr("kit.bench.run_bench", lambda *_, **__: Bench("a machine", {}, one, one, one, one))
    out = kit("kit bench").out
    assert "extrapolated to 21,015,324 passages (a plan, not a measurement)" in out and "1,234" in out


def test_an_unknown_size_is_refused():
    with pytest.raises(KitError, match="size: wanted one of tiny, small, base, large, given 'huge'"):
        run_bench("huge")
    assert all(size.d_model % size.heads == 0 for size in SIZES.values())
