"""kit.index: hand-worked searches, numpy as oracle, parts that do not fit."""

from __future__ import annotations

import importlib.metadata
import json

import faiss
import numpy as np
import pytest
import torch

from kit.index import VectorIndex, build_index
from kit.index.kinds import load_faiss
from kit.types import KitError

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(600, 16)).astype(np.float32)
IDS = [f"p{row}" for row in range(600)]
QUESTIONS = RNG.normal(size=(20, 16)).astype(np.float32)


def brute_force(questions, vectors, k):
    """Rows (x, k) and scores by sorting all inner products; equal ones in row order."""
    scores = questions @ vectors.T
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(scores, rows, 1)


def recall(found, wanted):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), wanted.tolist(), strict=True)])


@pytest.fixture
def names():
    rows, _ = brute_force(QUESTIONS, VECTORS, 10)
    return np.array(IDS)[rows]


def test_flat_is_exact(names):
    ids, scores = build_index(IDS, VECTORS).search(QUESTIONS, 10)
    assert ids.tolist() == names.tolist()
    np.testing.assert_allclose(scores, brute_force(QUESTIONS, VECTORS, 10)[1], rtol=1e-5)
    assert ids.dtype.kind == "U" and scores.dtype == np.float32


@pytest.mark.parametrize(
    ("spec", "options", "least"),
    [
        ("SQfp16", {}, 0.97),
        ("IVF8,Flat", {"nprobe": 8}, 1.0),
        ("RR16,IVF8,Flat", {"nprobe": 8}, 0.99),
        ("HNSW32", {"ef_search": 200}, 0.97),
        ("PQ16x4", {}, 0.6),
    ],
)
def test_other_specs_find_nearly_the_same(names, spec, options, least):
    ids, _ = build_index(IDS, VECTORS, spec).search(QUESTIONS, 10, **options)
    assert recall(ids, names) >= least


def test_few_cells_find_less_than_all(names):
    index = build_index(IDS, VECTORS, "IVF16,Flat")
    shares = [recall(index.search(QUESTIONS, 10, nprobe=nprobe)[0], names) for nprobe in (1, 4, 16)]
    assert shares[0] < shares[1] < shares[2] == 1.0


@pytest.mark.parametrize(
    ("spec", "option", "cells"),
    [
        ("Flat", None, 0),
        ("IVF8,Flat", "nprobe", 8),
        ("RR8,IVF4,Flat", "nprobe", 4),
        ("IVF8_HNSW4,Flat", "nprobe", 8),
        ("HNSW8", "ef_search", 0),
    ],
)
def test_an_index_tells_which_option_its_search_takes(spec, option, cells):
    index = build_index(IDS, VECTORS, spec)
    assert (index.search_option, index.cells) == (option, cells)
    if option:
        index.search(QUESTIONS, 3, **{option: 2})


@pytest.mark.parametrize(("spec", "least"), [("Flat", 600 * 16 * 4), ("SQ8", 600 * 16), ("PQ4x4", 600 * 2)])
def test_bytes_are_those_of_the_saved_file(tmp_path, spec, least):
    index = build_index(IDS, VECTORS, spec)
    index.save(tmp_path)
    assert index.bytes == (tmp_path / "index.faiss").stat().st_size
    assert least < index.bytes < least + 1500


def test_training_is_seeded():
    found = [build_index(IDS, VECTORS, "IVF4,Flat", seed=s, train_rows=200).search(QUESTIONS, 5)[1] for s in (1, 1, 2)]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_k_larger_than_the_index():
    ids, scores = build_index(["a", "b"], np.eye(2)).search([[3.0, 1.0]], 4)
    assert ids.tolist() == [["a", "b", "", ""]]
    np.testing.assert_array_equal(scores, np.array([[3, 1, np.nan, np.nan]], dtype=np.float32))


def test_cells_that_hold_too_little_leave_missing_cells():
    ids, scores = build_index(IDS, VECTORS, "IVF16,Flat").search(QUESTIONS, 300, nprobe=1)
    assert (ids == "").any() and not (ids == "").all()
    assert (np.isnan(scores) == (ids == "")).all()


def test_equal_scores_keep_the_order_of_the_rows():
    vectors = np.repeat(np.eye(2), 4, axis=0)
    ids, _ = build_index(list("hgfedcba"), vectors).search([[1.0, 1.0]], 8)
    assert ids.tolist() == [list("hgfedcba")]


def test_no_questions():
    ids, scores = build_index(IDS, VECTORS).search(np.empty((0, 16)), 3)
    assert ids.shape == scores.shape == (0, 3)


def test_torch_tensors_are_vectors_too(names):
    ids, _ = build_index(IDS, torch.from_numpy(VECTORS)).search(torch.from_numpy(QUESTIONS), 10)
    assert ids.tolist() == names.tolist()


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("spec", ["Flat", "IVF8,Flat"])
def test_saved_and_loaded_it_finds_the_same(tmp_path, spec, mmap):
    odd = ["a\nb", "é,日本", '"', *IDS[3:]]
    index = build_index(odd, VECTORS, spec, fingerprint="f00d")
    index.save(tmp_path / "index")
    loaded = VectorIndex.load(tmp_path / "index", fingerprint="f00d", mmap=mmap)
    for before, after in zip(index.search(QUESTIONS, 600), loaded.search(QUESTIONS, 600), strict=True):
        np.testing.assert_array_equal(before, after)
    assert (loaded.spec, loaded.fingerprint, len(loaded), loaded.dimension) == (spec, "f00d", 600, 16)
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == ["ids.parquet", "index.faiss", "index.json"]


def test_an_index_refuses_what_does_not_belong_to_it(tmp_path):
    build_index(IDS, VECTORS, fingerprint="f00d").save(tmp_path / "a")
    build_index(IDS[:9], VECTORS[:9], fingerprint="f00d").save(tmp_path / "b")
    build_index(IDS[::-1], VECTORS, fingerprint="f00d").save(tmp_path / "c")
    with pytest.raises(KitError, match="wanted vectors of the encoder beef, given those of f00d"):
        VectorIndex.load(tmp_path / "a", fingerprint="beef")
    (tmp_path / "c" / "ids.parquet").rename(tmp_path / "a" / "ids.parquet")
    with pytest.raises(KitError, match="ids_sha256"):
        VectorIndex.load(tmp_path / "a")
    (tmp_path / "b" / "index.faiss").rename(tmp_path / "a" / "index.faiss")
    with pytest.raises(KitError, match=r"wanted count 600, as index\.json says, given 9"):
        VectorIndex.load(tmp_path / "a")
    whole = (tmp_path / "c" / "index.faiss").read_bytes()
    (tmp_path / "a" / "index.faiss").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(KitError, match="a whole FAISS index"):
        VectorIndex.load(tmp_path / "a")
    (tmp_path / "a" / "index.json").unlink()
    with pytest.raises(KitError, match="an index saved by the kit"):
        VectorIndex.load(tmp_path / "a")


def test_a_save_that_fails_leaves_the_earlier_index(tmp_path, monkeypatch):
    build_index(IDS, VECTORS).save(tmp_path / "index")

    def full_disk(*_):
        raise RuntimeError("no space left")

    monkeypatch.setattr(faiss, "write_index", full_disk)
    with pytest.raises(RuntimeError):
        build_index(IDS[:5], VECTORS[:5]).save(tmp_path / "index")
    assert len(VectorIndex.load(tmp_path / "index")) == 600


@pytest.mark.parametrize(
    ("ids", "vectors", "spec", "message"),
    [
        (IDS, VECTORS[:5], "Flat", "600 ids, vectors (5, 16)"),
        (IDS, VECTORS[0], "Flat", "vectors (16,)"),
        ([], VECTORS[:0], "Flat", "0 ids"),
        (["a", "a"], VECTORS[:2], "Flat", "'a' twice"),
        (["a", 7], VECTORS[:2], "Flat", "a list of ids (str), given 7 at position 1"),
        (IDS, VECTORS, "Flatt", "could not parse index string Flatt"),
        (IDS, VECTORS, "PQ5", "The dimension of the vector (d) should be a multiple"),
        (IDS[:9], VECTORS[:9], "IVF64,Flat", "cells from 1 to 9, given 64"),
        (["a", "b"], np.array([[0.0, 1], [np.nan, 1]]), "Flat", "row 1: wanted finite numbers"),
    ],
)
def test_what_cannot_be_built_says_so_in_one_line(ids, vectors, spec, message):
    with pytest.raises(KitError) as error:
        build_index(ids, vectors, spec)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("vectors", "k", "options", "message"),
    [
        (QUESTIONS, 0, {}, "k from 1 to 100,000"),
        (QUESTIONS[:, :5], 3, {}, "the index's dimension 16, given 5"),
        (QUESTIONS[0], 3, {}, "a matrix"),
        (QUESTIONS * np.nan, 3, {}, "row 0: wanted finite numbers"),
        (QUESTIONS, 3, {"nprobe": 4}, "nprobe with an IVF index"),
        (QUESTIONS, 3, {"ef_search": 4}, "ef_search with an HNSW index"),
    ],
)
def test_what_cannot_be_searched_says_so(vectors, k, options, message):
    with pytest.raises(KitError, match=message):
        build_index(IDS, VECTORS).search(vectors, k, **options)


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "gpu"])
def test_a_gpu_that_is_not_there(device):
    if hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() and device == "cuda":
        pytest.skip("there is one")
    with pytest.raises(KitError, match="device"):
        build_index(IDS, VECTORS, device=device)


def test_two_faiss_packages_or_none(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1")
    with pytest.raises(KitError, match="given faiss-cpu and faiss-gpu"):
        load_faiss()

    def nothing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", nothing)
    assert load_faiss() is faiss, "conda's faiss has another name: what imports is taken"
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(KitError, match=r"wanted faiss-cpu or faiss-gpu \(pip install faiss-cpu\)"):
        load_faiss()


KINDS = """Flat SQfp16 PQ8 HNSW32 HNSW32_SQ8 HNSW32_PQ8 IDMap,HNSW32_PQ8 NSG32_PQ8 IVF16,Flat IVF16_HNSW32,Flat
IVF16(HNSW32_PQ8),Flat IVF16,PQ8 RR32,PQ8 IVF16,PQ8,RFlat RaBitQ""".split()


@pytest.mark.parametrize("spec", KINDS)
def test_every_kind_compares_by_inner_products_or_is_refused(spec):
    """Vectors of very different lengths: the nearest by distance are not the best by inner product."""
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(1000, 32)) * rng.uniform(0.2, 5, size=(1000, 1))).astype(np.float32)
    questions = rng.normal(size=(50, 32)).astype(np.float32)
    best = np.argsort(-questions @ vectors.T, axis=1)[:, :10]
    try:
        index = build_index([str(row) for row in range(1000)], vectors, spec)
    except KitError as error:
        assert "compares by inner products in all its parts" in str(error) and "PQ" in spec
        return
    ids, _ = index.search(questions, 10)
    nearest = np.argsort(((questions[:, None] - vectors) ** 2).sum(-1), axis=1)[:, :10]

    def share(rows):
        return np.mean([len({*a} & {*map(str, b)}) / 10 for a, b in zip(ids.tolist(), rows.tolist(), strict=True)])

    assert share(best) > max(share(nearest), 0.3)


def test_an_index_of_another_metric_is_refused_when_it_is_loaded(tmp_path):
    build_index(IDS, VECTORS).save(tmp_path)
    other = faiss.index_factory(VECTORS.shape[1], "Flat", faiss.METRIC_L2)
    other.add(np.ascontiguousarray(VECTORS, dtype=np.float32))
    faiss.write_index(other, str(tmp_path / "index.faiss"))
    about = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({k: v for k, v in about.items() if not k.startswith("index_")}))
    with pytest.raises(KitError, match="compares by inner products in all its parts, given IndexFlat"):
        VectorIndex.load(tmp_path)


def test_an_index_of_other_vectors_beside_the_json_of_an_older_one_is_refused(tmp_path):
    build_index(IDS, VECTORS).save(tmp_path / "a")
    build_index(IDS, VECTORS[::-1]).save(tmp_path / "b")
    (tmp_path / "b" / "index.faiss").rename(tmp_path / "a" / "index.faiss")
    for mmap, name in ((False, "index_sha256"), (True, "index_digest")):
        with pytest.raises(KitError, match=f"wanted {name}"):
            VectorIndex.load(tmp_path / "a", mmap=mmap)


def test_one_flipped_byte_of_a_large_index_is_refused(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(1 << 16, 128)).astype(np.float32)  # 33 MB
    build_index([str(row) for row in range(1 << 16)], vectors).save(tmp_path / "large")
    with open(tmp_path / "large" / "index.faiss", "r+b") as file:
        file.seek(100_000)  # between the blocks that a mapped index is checked by
        byte = file.read(1)[0]
        file.seek(100_000)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(KitError, match="wanted index_sha256"):
        VectorIndex.load(tmp_path / "large")
    assert VectorIndex.load(tmp_path / "large", mmap=True).dimension == 128


def test_an_index_is_saved_over_an_earlier_one_and_over_nothing_else(tmp_path):
    build_index(IDS, VECTORS).save(tmp_path / "a")
    build_index(IDS[:50], VECTORS[:50]).save(tmp_path / "a")
    assert len(VectorIndex.load(tmp_path / "a")) == 50
    (tmp_path / "a" / "thesis.tex").write_text("years of work")
    with pytest.raises(KitError, match=r"given one with thesis\.tex"):
        build_index(IDS, VECTORS).save(tmp_path / "a")


def test_an_ivf_index_looks_into_more_than_one_cell():
    index = build_index(IDS, VECTORS, "IVF16,Flat")
    assert (index.cells, index.cells_searched) == (16, 4) and build_index(IDS, VECTORS).cells_searched == 0
    flat = build_index(IDS, VECTORS).search(VECTORS[:100], 5)[0]
    share = {n: np.mean(index.search(VECTORS[:100], 5, nprobe=n)[0] == flat) for n in (1, 4, 16)}
    assert share[1] < share[4] <= share[16] == 1
    np.testing.assert_array_equal(index.search(VECTORS[:100], 5)[0], index.search(VECTORS[:100], 5, nprobe=4)[0])


@pytest.mark.parametrize(
    ("spec", "message"),
    [("IVF99999999,Flat", "cells from 1 to 600"), ("HNSW0", "links from 2 to 512"), ("HNSW99999", "links from 2 to"),
     (None, "a factory string"), (3, "a factory string"),
     ("", "a factory string"), ("Flat,Flat,x", "a factory string")],
)  # fmt: skip
def test_a_spec_out_of_bounds_is_refused(spec, message):
    with pytest.raises(KitError, match=message):
        build_index(IDS, VECTORS, spec)


@pytest.mark.parametrize("k", [0, -1, 10**9, 2.5, "3", None, True])
def test_k_out_of_bounds_is_refused(k):
    with pytest.raises(KitError, match="wanted k from 1 to 100,000"):
        build_index(IDS, VECTORS).search(VECTORS[:2], k)


@pytest.mark.parametrize("wrong", ["vectors", None, 3, 2.5, [["a"]], [[1.0], [1.0, 2.0]], [[float("nan")] * 8]])
def test_what_is_no_matrix_is_refused(wrong):
    index = build_index(IDS, VECTORS)
    with pytest.raises(KitError):
        index.search(wrong, 3)
    with pytest.raises(KitError):
        build_index(["a"], wrong)
    with pytest.raises(KitError):
        build_index(wrong, VECTORS)
