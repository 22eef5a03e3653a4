"""kit.index.vectors: what is written comes back, stopped runs go on, and no two encoders' vectors are mixed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kit.index import build_index
from kit.index.vectors import read_vectors, write_vectors
from kit.types import KitError

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(600, 16)).astype(np.float32)
IDS = [f"p{row}" for row in range(600)]
QUESTIONS = RNG.normal(size=(20, 16)).astype(np.float32)


def lookup(calls):
    """An encode function that notes how often it is called."""

    def encode(ids):
        calls.append(ids)
        return VECTORS[[int(name[1:]) for name in ids]]

    return encode


def test_vectors_come_back_in_order_with_a_short_last_shard(tmp_path):
    calls = []
    vectors = write_vectors(tmp_path, IDS, lookup(calls), shard_size=250, dtype="float32", fingerprint="f00d")
    np.testing.assert_array_equal(vectors.to_array(), VECTORS)
    assert [len(ids) for ids in calls] == [250, 250, 100] and [row for row, _ in vectors.shards()] == [0, 250, 500]
    assert vectors.ids.to_pylist() == IDS and vectors.shape == (600, 16) and vectors.fingerprint == "f00d"
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["count"] == 600 and manifest["dimension"] == 16 and len(manifest["sha256"]) == 3


def test_float16_takes_half_and_is_near(tmp_path):
    vectors = write_vectors(tmp_path, IDS, VECTORS, shard_size=600)
    assert (tmp_path / "vectors-00000.npy").stat().st_size == 600 * 16 * 2 + 128
    np.testing.assert_allclose(vectors.to_array(), VECTORS, rtol=1e-3)


def test_a_stopped_run_goes_on_at_the_first_missing_shard(tmp_path):
    def power_cut(ids):
        if "p300" in ids:
            raise KeyboardInterrupt
        return lookup([])(ids)

    with pytest.raises(KeyboardInterrupt):
        write_vectors(tmp_path, IDS, power_cut, shard_size=100)
    with pytest.raises(KitError, match="3 shards; run the writing again"):
        read_vectors(tmp_path)
    calls = []
    vectors = write_vectors(tmp_path, IDS, lookup(calls), shard_size=100)
    assert [ids[0] for ids in calls] == ["p300", "p400", "p500"]
    np.testing.assert_array_equal(vectors.to_array(), VECTORS.astype(np.float16))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    write_vectors(tmp_path, IDS, lookup(calls), shard_size=100)
    assert len(calls) == 3, "finished vectors are not made again"


def test_processes_share_the_shards(tmp_path):
    calls = ([], [])
    parts = [write_vectors(tmp_path, IDS, lookup(calls[i]), shard_size=100, part=(i, 2)) for i in (0, 1)]
    assert [ids[0] for ids in calls[0]] == ["p0", "p200", "p400"]
    assert parts[0] is None and len(parts[1]) == 600


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fingerprint": "beef"}, "wanted the fingerprint of the vectors that it holds, 'f00d', given 'beef'"),
        ({"ids": IDS[::-1]}, "the ids_sha256"),
        ({"ids": IDS[:50]}, "the count"),
        ({"dtype": "float32"}, "the dtype"),
        ({"shard_size": 7}, "the shard_size"),
    ],
)
def test_a_folder_of_other_vectors_is_refused(tmp_path, change, message):
    arguments = {"ids": IDS, "encode": VECTORS, "shard_size": 300, "fingerprint": "f00d", "dtype": "float16"}
    write_vectors(tmp_path, **arguments)
    with pytest.raises(KitError, match=message):
        write_vectors(tmp_path, **{**arguments, **change})
    with pytest.raises(KitError, match="encoder beef"):
        read_vectors(tmp_path, fingerprint="beef")


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (VECTORS * 1e5, r"shard 0, id 'p0': wanted a vector that is finite in float16"),
        (lambda ids: np.full((len(ids), 4), np.nan), "finite"),
        (lambda ids: VECTORS[:3], r"wanted 300 vectors, one an id, given an array of shape \(3, 16\)"),
    ],
)
def test_vectors_that_cannot_be_kept(tmp_path, encode, message):
    with pytest.raises(KitError, match=message):
        write_vectors(tmp_path, IDS, encode, shard_size=300)
    assert not (tmp_path / "vectors-00000.npy").exists()


def test_a_changed_shard_is_found(tmp_path):
    write_vectors(tmp_path, IDS, VECTORS, shard_size=300)
    np.save(tmp_path / "vectors-00001.npy", np.zeros((300, 16), np.float16))
    assert len(read_vectors(tmp_path)) == 600
    with pytest.raises(KitError, match="sha256"):
        read_vectors(tmp_path, verify=True)
    np.save(tmp_path / "vectors-00001.npy", np.zeros((299, 16), np.float16))
    with pytest.raises(KitError, match="wanted 600 vectors and ids, given 599 vectors"):
        read_vectors(tmp_path)


@pytest.mark.parametrize("spec", ["Flat", "IVF4,Flat"])
def test_an_index_of_vectors_on_disk_is_that_of_the_array(tmp_path, spec):
    vectors = write_vectors(tmp_path, IDS, VECTORS, shard_size=250, dtype="float32", fingerprint="f00d")
    disk, memory = build_index(None, vectors, spec, train_rows=400), build_index(IDS, VECTORS, spec, train_rows=400)
    for one, other in zip(disk.search(QUESTIONS, 7), memory.search(QUESTIONS, 7), strict=True):
        np.testing.assert_array_equal(one, other)
    assert disk.fingerprint == "f00d"
