"""Teachers of a FiD reader or a retriever, and those made of others: slow loops, Atlas's numbers, missing cells."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

from kit.attention import Aggregation, cross_attention_scores
from kit.losses import emdr2, kl
from kit.reader import FiDReader
from kit.teachers import (
    READER_TEACHERS,
    TEACHERS,
    EncoderScores,
    Ensemble,
    FiDAttention,
    FromTable,
    LeaveOneOut,
    PassageLikelihood,
    Standardised,
    load_teacher,
    standardised,
)
from kit.types import KitError, Passage, Question, ScoreTable

GOLDEN = Path(__file__).parent / "golden" / "reader"
NAN = float("nan")
CORPUS = {str(i): Passage(str(i), f"film {i}", "the old king " * i) for i in range(1, 6)}
A, B, C = (
    Question("a", "who is the king", ("old king", "king")),
    Question("b", "when", ("river",)),
    Question("c", "where is the river of the city", ("city",), target="the old city"),
)
# Rows of 2, 0 and 3 passages, holes included, in another order than the questions.
TABLE = ScoreTable(
    "bm25",
    ["c", "b", "a"],
    [["1", "2", "3"], ["", "", ""], ["", "5", "4"]],
    [[1.0, 3.0, 2.0], [NAN, NAN, NAN], [NAN, 1.0, NAN]],
)


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(3)
    sizes = {"vocab_size": 136, "d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 4}
    t5 = T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=0))
    for parameter in t5.parameters():
        nn.init.normal_(parameter, std=0.3)
    return FiDReader(t5.train(), AutoTokenizer.from_pretrained(GOLDEN / "tokenizer"))  # dropout: teachers turn it off


def passages_of(question, table=TABLE):
    return [CORPUS[i] for i in table.passages_of(question.id)]


def loss(reader, question, passages, answer):
    """Mean negative log-likelihood of the answer's tokens, as the reader's own loss has it."""
    ids, mask = reader.tokenize([question.text], [passages])
    training = reader.training
    with torch.no_grad():
        value = reader.eval()(ids, mask, reader.tokenize_targets([answer])).loss.item()
    reader.train(training)
    return value


def assert_cells(scores, wanted):
    """The cells of TABLE in the order of the questions A, B, C, with these values in them."""
    assert scores.question_ids.tolist() == ["a", "b", "c"]
    assert scores.passage_ids.tolist() == [["", "5", "4"], ["", "", ""], ["1", "2", "3"]]
    np.testing.assert_allclose(scores.values, wanted, atol=1e-4)


# Cross-attention


def test_attention_is_that_of_each_question_by_itself(reader):
    rows = []
    for question in (A, C):
        ids, mask = reader.tokenize([question.text], [passages_of(question)])
        rows.append(cross_attention_scores(reader, ids, mask)[0].tolist())
    for batch_size in (1, 2, 8):
        scores = FiDAttention(reader, batch_size=batch_size).score([A, B, C], CORPUS, TABLE)
        assert_cells(scores, [[NAN, *rows[0]], [NAN] * 3, rows[1]])
    assert scores.name == "fid_kd" and reader.t5.training


def test_attention_is_what_reading_gives(reader):
    read = reader.read([A, B, C], CORPUS, TABLE, max_new_tokens=2).scores
    scores = FiDAttention(reader).score([A, B, C], CORPUS, TABLE)
    np.testing.assert_allclose(read.aligned_to(scores).values, scores.values, atol=1e-4)


def test_only_the_best_few_are_read(reader):
    scores = FiDAttention(reader, n_context=2).score([A, B, C], CORPUS, TABLE)
    fewer = ScoreTable("fewer", ["a", "b", "c"], [["5", "4"], ["", ""], ["2", "3"]], np.full((3, 2), NAN))
    alone = FiDAttention(reader).score([A, B, C], CORPUS, fewer)
    (a5, a4), _, (c2, c3) = alone.values.tolist()
    assert_cells(scores, [[NAN, a5, a4], [NAN] * 3, [NAN, c2, c3]])
    one = FiDAttention(reader, n_context=1).score([A, B, C], CORPUS, TABLE)
    assert np.isnan(one.values).tolist() == [[True, False, True], [True] * 3, [True, False, True]]


def test_the_answer_counts_only_where_the_aggregation_looks_at_it(reader):
    other = Question("c", C.text, ("river",))
    first, all_tokens = FiDAttention(reader), FiDAttention(reader, "all_answer_tokens")
    assert not first.needs_answers and all_tokens.needs_answers
    assert (first.score([C], CORPUS, TABLE).values == first.score([other], CORPUS, TABLE).values).all()
    given = all_tokens.score([C], CORPUS, TABLE).values
    assert abs(given - all_tokens.score([other], CORPUS, TABLE).values).max() > 1e-2
    ids, mask = reader.tokenize([C.text], [passages_of(C)])
    labels = reader.tokenize_targets(["the old city"])
    wanted = cross_attention_scores(reader, ids, mask, aggregation="all_answer_tokens", labels=labels)
    np.testing.assert_allclose(given, wanted, rtol=1e-4)


def test_the_questions_tokens_can_be_left_out(reader):
    """Each question has its own number of tokens, so both together must equal each by itself."""
    teacher = FiDAttention(reader, Aggregation(question=False, over_tokens="sum"))
    both = teacher.score([A, C], CORPUS, TABLE)
    assert teacher.name == "cross_attention" == both.name
    for row, question in enumerate((A, C)):
        np.testing.assert_allclose(both.values[row], teacher.score([question], CORPUS, TABLE).values[0], rtol=1e-4)
    counted = FiDAttention(reader, Aggregation(over_tokens="sum")).score([A, C], CORPUS, TABLE)
    assert (abs(both.values - counted.values)[both.mask] > 1e-3).all()


# Likelihoods


def test_passage_likelihood_is_the_readers_loss_on_one_passage(reader):
    a = [-loss(reader, A, [CORPUS[i]], "old king") for i in ("5", "4")]
    c = [-loss(reader, C, [CORPUS[i]], "the old city") for i in ("1", "2", "3")]
    wanted = [[NAN, *a], [NAN] * 3, c]
    for batch_size in (1, 4):
        assert_cells(PassageLikelihood(reader, batch_size=batch_size).score([A, B, C], CORPUS, TABLE), wanted)
    tokens = [len(reader.tokenize_targets([answer])[0]) for answer in ("old king", "", "the old city")]
    summed = PassageLikelihood(reader, over_answer="sum").score([A, B, C], CORPUS, TABLE)
    np.testing.assert_allclose(summed.values, np.array(wanted) * np.array(tokens)[:, None], rtol=1e-4)


def test_leave_one_out_is_the_readers_loss_without_the_passage(reader):
    a = [loss(reader, A, [CORPUS[i]], "old king") for i in ("4", "5")]  # without 5, without 4
    c = [loss(reader, C, [p for p in passages_of(C) if p.id != i], "the old city") for i in TABLE.passages_of("c")]
    for batch_size in (1, 2):
        scores = LeaveOneOut(reader, batch_size=batch_size).score([A, B, C], CORPUS, TABLE)
        assert_cells(scores, [[NAN, *a], [NAN] * 3, c])
    single = ScoreTable("one", ["a"], [["4"]], [[1.0]])
    assert np.isnan(LeaveOneOut(reader).score([A], CORPUS, single).values).all(), "nothing is left to read"


def test_long_answers_are_cut(reader):
    cut = PassageLikelihood(reader, answer_tokens=2).score([C], CORPUS, TABLE).values
    first = reader.tokenize_targets(["the old city"])[:, :1]
    labels = torch.cat([first, torch.tensor([[1]])], dim=1)
    ids, mask = reader.tokenize([C.text], [passages_of(C)])
    wanted = reader.answer_log_likelihood(ids, mask, labels).mean(-1)
    np.testing.assert_allclose(cut, wanted, rtol=1e-4)


def test_the_sum_serves_emdr2_of_whole_answers(reader):
    ids, mask = reader.tokenize([C.text], [passages_of(C)])
    tokens = reader.answer_log_likelihood(ids, mask, reader.tokenize_targets(["the old city"]))
    student = torch.tensor([[0.5, -1.0, 2.0]])
    wanted = emdr2(tokens, student, torch.ones(1, tokens.shape[-1], dtype=torch.bool), per="sequence")
    table = PassageLikelihood(reader, over_answer="sum").score([C], CORPUS, TABLE)
    given = emdr2(torch.tensor(table.values)[..., None], student, torch.tensor([[True]]), per="sequence")
    torch.testing.assert_close(given, wanted)


@pytest.fixture(scope="module")
def atlas():
    """Atlas's reader with its recorded inputs in place of a tokenizer, their questions and table."""
    io = load_file(GOLDEN / "atlas/io.safetensors")
    reader = FiDReader.from_pretrained(GOLDEN / "atlas", device="cpu")
    reader.require_tokenizer = lambda wanted_by: None

    def tokenize(texts, passages):
        rows = torch.tensor(
            [[[int(text), int(p.id.split("-")[1])] for p in found] for text, found in zip(texts, passages, strict=True)]
        )
        return io["reader_ids"][rows[..., 0], rows[..., 1]], io["reader_mask"][rows[..., 0], rows[..., 1]]

    reader.tokenize = tokenize
    reader.tokenize_targets = lambda texts, max_tokens=None: io["labels"][[int(text) for text in texts]]
    ids = [[f"{row}-{column}" for column in range(4)] for row in range(2)]
    questions = [Question(str(row), str(row), (str(row),)) for row in range(2)]
    corpus = {i: Passage(i, "", i) for row in ids for i in row}
    return reader, questions, corpus, ScoreTable("bm25", ["0", "1"], ids, np.zeros((2, 4))), io


@pytest.mark.parametrize(
    ("make", "recorded"),
    [
        (PassageLikelihood, "perplexity_score"),
        (LeaveOneOut, "loop_score"),
        (lambda reader: FiDAttention(reader, "adist"), "adist.normssum"),
    ],
)
def test_teachers_are_atlas(atlas, make, recorded):
    reader, questions, corpus, table, io = atlas
    scores = make(reader).score(questions, corpus, table)
    assert abs(torch.tensor(scores.values) - io[recorded]).max() < 1e-5
    turned = make(reader).score(questions[::-1], corpus, table)
    np.testing.assert_allclose(turned.values[::-1], scores.values, atol=1e-5)


# Teachers of teachers


class Fixed:
    """A teacher that says what it is told, in cells of its own order."""

    def __init__(self, values, name="fixed"):
        self.values, self.name = values, name

    def score(self, questions, corpus, table, *, progress=False):
        rows = {q.id: [(i, self.values.get(i, NAN)) for i in sorted(table.passages_of(q.id))] for q in questions}
        return ScoreTable.from_rows(self.name, rows)


def test_ensemble_is_the_mean_of_raw_scores_in_the_tables_cells():
    one, two, three = Fixed({"1": 1.0, "2": 2.0, "3": 30.0}), Fixed({"1": -5.0, "2": 9.0}), Fixed({"1": 4.0, "2": 4.0})
    scores = Ensemble([one, two, three], name="T2").score([C], {}, TABLE)
    assert scores.name == "T2" and scores.passage_ids.tolist() == [["1", "2", "3"]]
    np.testing.assert_allclose(scores.values, [[0.0, 5.0, NAN]])
    assert Ensemble([one]).score([C, A], {}, TABLE).question_ids.tolist() == ["c", "a"]


def test_an_ensemble_of_nobody_is_refused():
    with pytest.raises(KitError, match="Ensemble: wanted at least one teacher"):
        Ensemble([])


def test_standardising_evens_out_what_teachers_weigh():
    wide, narrow = Fixed({"1": 100.0, "2": 0.0, "3": 200.0}), Fixed({"1": 0.0, "2": 1.0, "3": -1.0})
    mixed = Ensemble([Standardised(wide), Standardised(narrow)]).score([C], {}, TABLE)
    side = 1.5**0.5
    np.testing.assert_allclose(mixed.values, [[0.0, (-side + side) / 2, 0.0]], atol=1e-6)
    raw = Ensemble([wide, narrow]).score([C], {}, TABLE)
    assert raw.values.argmax() == 2, "without it the wide one decides"
    even = torch.zeros(1, 3)
    one_hot = kl(even, torch.tensor(wide.score([C], {}, TABLE).values))
    spread = kl(even, torch.tensor(Standardised(wide).score([C], {}, TABLE).values))
    assert one_hot.item() == pytest.approx(np.log(3), abs=1e-4) and 0.1 < spread.item() < 0.6


def test_a_table_is_a_teacher():
    said = ScoreTable("teacher", ["x", "c"], [["9", "8"], ["3", "1"]], [[1.0, 2.0], [7.0, 5.0]])
    scores = FromTable(said).score([C], {}, TABLE)
    assert scores.name == "teacher" and scores.passage_ids.tolist() == [["1", "2", "3"]]
    np.testing.assert_allclose(scores.values, [[5.0, NAN, 7.0]])
    with pytest.raises(KitError, match="score table 'teacher': wanted a question that it holds, given 'a'"):
        FromTable(said).score([A], {}, TABLE)


def test_standardised_by_hand():
    table = ScoreTable(
        "g",
        ["1", "2", "3", "4"],
        [["a", "b", "c"], ["a", "b", "c"], ["a", "b", ""], ["a", "", ""]],
        [[1.0, 3.0, NAN], [-np.inf, 6.0, 2.0], [5.0, 5.0, NAN], [7.0, NAN, NAN]],
    )
    before = table.values.copy()
    out = standardised(table, scale=0.5)
    wanted = [[-0.5, 0.5, NAN], [-np.inf, 0.5, -0.5], [0.0, 0.0, NAN], [0.0, NAN, NAN]]
    np.testing.assert_allclose(out.values, wanted)
    assert (out.name, out.passage_ids.tolist()) == ("g", table.passage_ids.tolist())
    np.testing.assert_array_equal(table.values, before)
    shifted = ScoreTable("g", ["1"], [["a", "b", "c"]], [[1010.0, 1040.0, 1020.0]])
    plain = ScoreTable("g", ["1"], [["a", "b", "c"]], [[1.0, 4.0, 2.0]])
    np.testing.assert_allclose(standardised(shifted).values, standardised(plain).values, atol=1e-5)
    with pytest.raises(KitError, match="standardised: scale: wanted a finite number above 0, given 0"):
        standardised(table, scale=0)


# Retrievers, and teachers by name


def test_a_retriever_is_a_teacher(small_encoder, world):
    questions, corpus = world.questions["train"][:3], world.passages
    ids = list(corpus)[:3]
    rows = [[ids[0], ids[1], ""], ["", "", ""], [ids[2], ids[0], ids[1]]]
    values = [[1.0, 2.0, NAN], [NAN] * 3, [3.0, 2.0, 1.0]]
    table = ScoreTable("bm25", [question.id for question in questions], rows, values)
    scores = EncoderScores(small_encoder).score(questions[::-1], corpus, table)
    assert scores.question_ids.tolist() == [question.id for question in questions[::-1]]
    assert scores.passage_ids.tolist() == rows[::-1] and scores.name == "dual_encoder"
    for question, row, cells in zip(questions[::-1], rows[::-1], scores.values, strict=True):
        for name, value in zip(row, cells, strict=True):
            if not name:
                assert np.isnan(value)
                continue
            q, p = small_encoder.encode_questions([question.text]), small_encoder.encode_passages([corpus[name]])
            assert value == pytest.approx((q @ p.T).item() * small_encoder.scale, abs=1e-5)
    best = EncoderScores(small_encoder, n_context=1).score(questions, corpus, table)
    assert np.isfinite(best.values).tolist() == [[False, True, False], [False] * 3, [True, False, False]]
    with pytest.raises(KitError, match="score table 'bm25': wanted passages that are in the corpus"):
        EncoderScores(small_encoder).score(questions, {}, table)


def test_teachers_are_loaded_by_their_names(reader, small_encoder, tmp_path):
    reader.save_pretrained(tmp_path / "reader")
    small_encoder.save_pretrained(tmp_path / "retriever")
    for name in READER_TEACHERS:
        teacher = load_teacher(name, tmp_path / "reader", device="cpu", batch_size=3)
        assert teacher.name == name and teacher.batch_size == 3
    assert load_teacher("dual_encoder", tmp_path / "retriever", device="cpu").name == "dual_encoder"
    assert set(TEACHERS) == {*READER_TEACHERS, "extractive_reader", "cross_encoder", "dual_encoder"}
    with pytest.raises(KitError, match=r"teacher: wanted one of fid_kd, .*, given 'attention'"):
        load_teacher("attention", tmp_path)


# Mistakes


def test_mistakes_are_named_before_the_work(reader, monkeypatch):
    monkeypatch.setattr(reader, "encode", lambda *_: pytest.fail("the reader ran"))
    unanswered = Question("c", "where")
    for teacher in (PassageLikelihood(reader), LeaveOneOut(reader), FiDAttention(reader, "adist")):
        with pytest.raises(KitError, match=r"question 'c': wanted a target or an answer.*, given none"):
            teacher.score([A, unanswered], CORPUS, TABLE)
        with pytest.raises(KitError, match=r"question 'c': wanted a target or an answer.*, given none"):
            teacher.score([A, Question("c", "where", (" ",))], CORPUS, TABLE)
        with pytest.raises(KitError, match="score table 'bm25': wanted passages that are in the corpus, given '3'"):
            teacher.score([A, C], {i: CORPUS[i] for i in "1245"}, TABLE)
        with pytest.raises(KitError, match="wanted a question that it holds, given 'z'"):
            teacher.score([Question("z", "why", ("x",))], CORPUS, TABLE)
    with pytest.raises(KitError, match=r"aggregation: wanted one of fid_kd, .*, given 'fidkd'"):
        FiDAttention(reader, "fidkd")
    with pytest.raises(KitError, match="over_answer: wanted 'mean' or 'sum', given 'max'"):
        PassageLikelihood(reader, over_answer="max")
    with pytest.raises(KitError, match="batch size: wanted at least 1, given 0"):
        FiDAttention(reader, batch_size=0).score([A], CORPUS, TABLE)
    with pytest.raises(KitError, match="k of at least 1, given 0"):
        FiDAttention(reader, n_context=0).score([A], CORPUS, TABLE)
    with pytest.raises(KitError, match="PassageLikelihood: wanted a reader with a tokenizer"):
        PassageLikelihood(FiDReader(reader.t5)).score([A], CORPUS, TABLE)
    assert "T5" not in repr(FiDAttention(reader)), "a teacher is printed in one line"
