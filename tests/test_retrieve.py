"""kit.retrieve: BM25 by hand and by a slow loop, exact search against numpy, ties, what does not fit."""

from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import pytest
import torch

from kit.index import build_index
from kit.index.vectors import write_vectors
from kit.retrieve import BM25, DenseRetriever, add_random_passages
from kit.retrieve.bm25 import singular, words_of
from kit.retrieve.dense import embed_corpus, exact_search, stable_top
from kit.types import KitError, Passage, Question, ScoreTable

WORDS = [f"w{n}" for n in range(30)]


def corpus_of(texts):
    return {f"p{row}": Passage(f"p{row}", "", text) for row, text in enumerate(texts)}


@pytest.fixture(scope="module")
def corpus():
    rng = random.Random(0)
    return corpus_of([" ".join(rng.choices(WORDS, k=rng.randint(1, 20))) for _ in range(80)])


@pytest.fixture(scope="module")
def questions():
    rng = random.Random(1)
    return [Question(f"q{row}", " ".join(rng.choices(WORDS, k=3))) for row in range(15)]


def slow_bm25(corpus, question, k1=0.9, b=0.4):
    """Score of each passage by the formula, word by word."""
    documents = [words_of(f"{p.title} {p.text}") for p in corpus.values()]
    mean = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        counts, score = Counter(document), 0.0
        for word in words_of(question):
            having = sum(word in other for other in documents)
            idf = math.log(1 + (len(documents) - having + 0.5) / (having + 0.5))
            score += idf * counts[word] / (counts[word] + k1 * (1 - b + b * len(document) / mean))
        scores.append(score)
    return np.array(scores)


def test_bm25_by_hand():
    """Two passages of two words: idf = ln(1 + 1.5 / 1.5) = ln 2, tf / (tf + 0.9) = 1 / 1.9 and 2 / 2.9."""
    table = BM25(corpus_of(["red apple", "green green"])).retrieve([Question("q", "Green?"), Question("r", "red")], 2)
    assert table.passage_ids.tolist() == [["p1", ""], ["p0", ""]]
    np.testing.assert_allclose(table.values[:, 0], [math.log(2) * 2 / 2.9, math.log(2) / 1.9], rtol=1e-6)
    assert np.isnan(table.values[:, 1]).all() and table.name == "bm25"


@pytest.mark.parametrize("options", [{}, {"k1": 1.5, "b": 0.75}])
def test_bm25_is_the_formula(corpus, questions, options):
    table = BM25(corpus, **options).retrieve(questions, 100)
    for row, question in enumerate(questions):
        scores = slow_bm25(corpus, question.text, **options)
        wanted = [i for i in np.argsort(-scores, kind="stable") if scores[i] > 0]
        got = table.passages_of(question.id)
        assert len(got) == len(wanted)
        np.testing.assert_allclose(table.values[row, : len(got)], scores[wanted], rtol=1e-5)
        np.testing.assert_allclose(scores[[int(name[1:]) for name in got]], scores[wanted], rtol=1e-5)


def test_bm25_reads_titles():
    corpus = {"a": Passage("a", "Nile", "It is long."), "b": Passage("b", "Rhine", "It is short.")}
    assert BM25(corpus).retrieve([Question("q", "the Nile")], 1).passage_ids.tolist() == [["a"]]


def test_bm25_equal_passages_keep_the_order_of_the_corpus():
    texts = ["x y", "y x", *["z"] * 5, "x y"]
    table = BM25(corpus_of(texts)).retrieve([Question("q", "x")], 2)
    assert table.passage_ids.tolist() == [["p0", "p1"]]
    assert BM25(corpus_of(texts)).retrieve([Question("q", "z")], 4).passage_ids.tolist() == [["p2", "p3", "p4", "p5"]]


def test_bm25_a_smaller_k_is_the_beginning_of_a_larger(corpus, questions):
    bm25 = BM25(corpus)
    few, many = bm25.retrieve(questions, 5), bm25.retrieve(questions, 60)
    np.testing.assert_array_equal(few.passage_ids, many.passage_ids[:, :5])


def test_bm25_questions_without_a_known_word(corpus):
    table = BM25(corpus).retrieve([Question("q", "the of ?!"), Question("r", "unheard")], 3)
    assert not table.mask.any() and table.values.shape == (2, 3)
    assert BM25(corpus).retrieve([], 3).values.shape[0] == 0


def test_bm25_saved_and_loaded(tmp_path, corpus, questions):
    bm25 = BM25(corpus, k1=1.2, b=0.5, stem="none")
    bm25.save(tmp_path / "bm25")
    bm25.save(tmp_path / "bm25")
    for mmap in (False, True):
        loaded = BM25.load(tmp_path / "bm25", mmap=mmap)
        before, after = bm25.retrieve(questions, 9), loaded.retrieve(questions, 9)
        np.testing.assert_array_equal(before.passage_ids, after.passage_ids)
        np.testing.assert_array_equal(before.values, after.values)
        assert (loaded.k1, loaded.b, loaded.stem, len(loaded)) == (1.2, 0.5, "none", 80)
    assert [path.name for path in tmp_path.iterdir()] == ["bm25"]


def test_bm25_refuses_in_one_line(tmp_path, corpus):
    for arguments, message in [
        (({},), "a corpus with passages"),
        ((corpus_of(["the"]),), "a corpus with words"),
    ]:
        with pytest.raises(KitError, match=message):
            BM25(*arguments)
    with pytest.raises(KitError, match="none or plural, given 'porter'"):
        BM25(corpus, stem="porter")
    with pytest.raises(KitError, match=r"b in 0 \.\.\. 1, given k1=0\.9, b=4"):
        BM25(corpus, b=4)
    with pytest.raises(KitError, match="k from 1 to 100,000"):
        BM25(corpus).retrieve([], 0)
    with pytest.raises(KitError, match="a folder that BM25 saved"):
        BM25.load(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.md").touch()
    with pytest.raises(KitError, match=r"wanted a new folder, or one with .* its files, given one with thesis\.md"):
        BM25(corpus).save(tmp_path / "other")
    BM25(corpus).save(tmp_path / "a")
    BM25(corpus_of(["x"] * 80)).save(tmp_path / "b")
    other = {f"o{row}": Passage(f"o{row}", "", "x") for row in range(80)}
    BM25(other).save(tmp_path / "c")
    (tmp_path / "c" / "ids.parquet").rename(tmp_path / "a" / "ids.parquet")
    with pytest.raises(KitError, match="other ids"):
        BM25.load(tmp_path / "a")


def test_words():
    assert words_of("Who wrote 'Émile', in 1762?", stem="none") == ["who", "wrote", "émile", "1762"]
    assert words_of("Rivers of countries") == ["river", "country"]
    plurals = {"churches": "churche", "horses": "horse", "pies": "py", "skies": "sky", "virus": "virus", "is": "is"}
    assert {word: singular(word) for word in plurals} == plurals


# Vectors


class Encoder:
    """Vectors looked up by the question's text."""

    dimension, scale, fingerprint = 8, 0.5, "f00d"

    def encode_questions(self, texts):
        return np.array([VECTORS[int(text)] for text in texts], dtype=np.float32).reshape(-1, 8)


VECTORS = np.random.default_rng(3).integers(-3, 4, size=(300, 8)).astype(np.float32)  # small integers: many ties
IDS = [f"p{row}" for row in range(300)]


def test_stable_top_is_a_stable_sort():
    scores = torch.randint(0, 4, (50, 40), generator=torch.Generator().manual_seed(0)).float()
    scores[0] = 1.0
    scores[1, 3:] = -torch.inf
    for k in (1, 3, 7, 40, 99):
        values, columns = stable_top(scores, k)
        wanted = np.argsort(-scores.numpy(), axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(columns, wanted)
        np.testing.assert_array_equal(values, np.take_along_axis(scores.numpy(), wanted, 1))
    assert stable_top(scores[:, :0], 3)[0].shape == (50, 0)


@pytest.mark.parametrize("k", [1, 5, 120, 400])
def test_exact_search_over_shards_is_numpy_also_in_its_ties(tmp_path, monkeypatch, k):
    monkeypatch.setattr("kit.retrieve.dense.ROWS_AT_ONCE", 37)
    vectors = write_vectors(tmp_path, IDS, VECTORS, shard_size=110, dtype="float32")
    ids, scores = exact_search(VECTORS[:20], vectors, k)
    products = VECTORS[:20] @ VECTORS.T
    wanted = np.argsort(-products, axis=1, kind="stable")[:, :k]
    assert ids.shape == scores.shape == (20, k)
    np.testing.assert_array_equal(ids[:, :300], np.array(IDS)[wanted])
    np.testing.assert_array_equal(scores[:, :300], np.take_along_axis(products, wanted, 1))
    assert (ids[:, 300:] == "").all() and np.isnan(scores[:, 300:]).all()


def test_exact_search_refuses(tmp_path):
    vectors = write_vectors(tmp_path, IDS, VECTORS)
    with pytest.raises(KitError, match=r"question vectors \(x, 8\), given \(2, 3\)"):
        exact_search(np.zeros((2, 3)), vectors, 1)
    with pytest.raises(KitError, match="k from 1 to 100,000"):
        exact_search(VECTORS, vectors, 0)


def test_dense_retrieval_gives_the_encoders_scores(tmp_path):
    questions = [Question("a", "7"), Question("b", "9")]
    vectors = write_vectors(tmp_path, IDS, VECTORS, dtype="float32", fingerprint="f00d")
    table = DenseRetriever(Encoder(), build_index(IDS, VECTORS)).retrieve(questions, 4)
    streamed = DenseRetriever(Encoder(), vectors, name="student").retrieve(questions, 4)
    np.testing.assert_array_equal(table.values, streamed.values)
    np.testing.assert_allclose(table.values, -np.sort(-(VECTORS[[7, 9]] @ VECTORS.T * 0.5), axis=1)[:, :4])
    assert table.question_ids.tolist() == ["a", "b"] and (table.name, streamed.name) == ("dense", "student")
    assert DenseRetriever(Encoder(), vectors).retrieve([], 4).values.shape[0] == 0


def test_dense_retrieval_refuses_the_vectors_of_another_encoder():
    with pytest.raises(KitError, match=r"wanted vectors of this encoder \(f00d\).*given those of another \(beef\)"):
        DenseRetriever(Encoder(), build_index(IDS, VECTORS, fingerprint="beef"))
    with pytest.raises(KitError, match="the encoder's dimension 8, given 4"):
        DenseRetriever(Encoder(), build_index(IDS, VECTORS[:, :4]))


def test_a_corpus_is_embedded_shard_by_shard(tmp_path):
    class Students(Encoder):
        def encode_passages(self, passages, **options):
            return np.array([[len(passage.text)] * 8 for passage in passages], dtype=np.float32)

    corpus = corpus_of(["x" * n for n in range(1, 8)])
    vectors = embed_corpus(Students(), corpus, tmp_path, shard_size=3)
    assert vectors.to_array()[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert vectors.fingerprint == "f00d" and vectors.ids.to_pylist() == list(corpus)


class WordCounts:
    """An encoder of two numbers a text: how often it says river, and how often city."""

    dimension, scale, fingerprint = 2, 0.5, "words"

    def encode_questions(self, texts, **options):
        return np.float32([[text.count("river"), text.count("city")] for text in texts])

    def encode_passages(self, passages, **options):
        return self.encode_questions([passage.text for passage in passages])


def test_a_retriever_over_a_corpus_is_that_over_its_index(corpus):
    texts = {"a": "city", "b": "river river", "c": "river"}
    corpus = {name: Passage(name, "", text) for name, text in texts.items()}
    retriever = DenseRetriever.over(WordCounts(), corpus, name="words")
    table = retriever.retrieve([Question("q", "which river")], 2)
    assert table.name == "words" and table.passage_ids.tolist() == [["b", "c"]]
    assert table.values.tolist() == [[1.0, 0.5]] and retriever.index.fingerprint == "words"
    with pytest.raises(KitError, match="a corpus with passages, given none"):
        DenseRetriever.over(WordCounts(), {})


@pytest.mark.parametrize("wrong", ["a string", None, 3, 2.5, Question("q", "x"), ["x"], [None]])
def test_what_is_no_list_of_questions_is_refused(corpus, wrong):
    for retriever in (BM25(corpus), DenseRetriever.over(WordCounts(), corpus)):
        with pytest.raises(KitError, match="wanted a list of questions"):
            retriever.retrieve(wrong, 3)
    for call in (lambda: BM25(wrong), lambda: DenseRetriever.over(WordCounts(), wrong)):
        with pytest.raises(KitError, match="wanted a corpus"):
            call()


def test_random_passages_fill_up_what_a_small_corpus_has():
    table = ScoreTable("t", ["q"], [["a", "z"]], [[1.0, 2.0]])
    corpus = {name: Passage(name, "", "x") for name in "abc"}
    assert sorted(add_random_passages(table, corpus, 5).passages_of("q")) == ["a", "b", "c", "z"]


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("挪威的首都是什么", "奥斯陆是挪威的首都。"),
        ("ノルウェーの首都", "オスロはノルウェーの首都です。"),
        ("हिन्दी में राजधानी", "नई दिल्ली भारत की राजधानी है।"),
        ("caf\u00e9", "cafe\u0301"),
    ],
)
def test_bm25_finds_words_of_any_script_and_form(question, passage):
    corpus = {"a": Passage("a", "", "something else"), "b": Passage("b", "", passage)}
    assert BM25(corpus).retrieve([Question("q", question)], 1).passage_ids.tolist() == [["b"]]


def test_marks_do_not_cut_words():
    assert words_of("हिन्दी भाषा") == ["हिन्दी", "भाषा"]


def test_a_corpus_larger_than_memory_gives_one_line(monkeypatch, corpus):
    monkeypatch.setattr("kit.retrieve.bm25.BYTES_A_PASSAGE", 10**15)
    with pytest.warns(UserWarning, match=r"BM25: .* GB are free; a run of Lucene or pyserini can be read in its place"):
        BM25(corpus)
