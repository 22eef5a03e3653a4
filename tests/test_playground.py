"""kit.widgets.Playground without a browser: readings, its state, and what it gives the page."""

from __future__ import annotations

import re

import numpy as np
import pytest

import kit
from kit.reader.passage_reading import PassageReading, read_passages, truth_of_attention
from kit.teachers import LeaveOneOut
from kit.types import KitError, Passage, Question, ScoreTable
from kit.widgets import Playground
from kit.widgets.packed import packed

A, B, C = (Passage(i, f"Title {i}", text) for i, text in (("a", "Paris."), ("b", "Rome <b>."), ("c", "Oslo.")))


class Fixed:
    """A retriever that always finds the same."""

    def __init__(self, *ids: str) -> None:
        self.ids = ids

    def retrieve(self, questions, k):
        found = [(i, 9.0 - n) for n, i in enumerate(self.ids)][:k]
        return ScoreTable.from_rows("fixed", {question.id: found for question in questions})


def reading(passages=(A, B, C), attention=(3.0, 1.0, 2.0), without=(-2.0, -0.5, -0.6), answer="Paris"):
    return PassageReading("where?", tuple(passages), answer, np.array(attention), -0.5, np.array(without))


@pytest.fixture
def questions(world):
    return list(world.questions["test"][:3])


@pytest.fixture
def playground(corpus, small_reader, questions):
    first, second, third = list(corpus)[:3]
    retrievers = {"BM25": kit.BM25(corpus), "<fixed>": Fixed(first, second, third)}
    made = Playground(corpus, retrievers, small_reader, questions=questions, k=3)
    yield made
    made.close()


def test_a_reading_is_the_reader_s_own(corpus, small_reader, questions):
    passages = list(corpus.values())[:4]
    found = ScoreTable("t", ["q"], [[p.id for p in passages]], [[4.0, 3.0, 2.0, 1.0]])
    question = Question("q", questions[0].text)
    whole = small_reader.read([question], corpus, found)
    mine = read_passages(small_reader, question.text, passages)
    assert mine.answer == whole.answers["q"]
    np.testing.assert_allclose(mine.attention, whole.scores.values[0], rtol=1e-5)
    told = Question("q", question.text, (mine.answer,))
    tokens = small_reader.tokenize_targets([mine.answer]).shape[1]
    teacher = LeaveOneOut(small_reader).score([told], corpus, found).values[0]
    np.testing.assert_allclose(mine.without, -teacher * tokens, rtol=1e-4)
    ids, mask = small_reader.tokenize([question.text], [passages])
    loss = small_reader(ids, mask, small_reader.tokenize_targets([mine.answer])).loss.item()
    assert mine.log_likelihood == pytest.approx(-loss * tokens, rel=1e-4)
    np.testing.assert_allclose(mine.effect, mine.log_likelihood - mine.without)


def test_leaving_out_is_reading_without(small_reader):
    small_reader.max_tokens = 96
    three, two = read_passages(small_reader, "where?", [A, B, C]), [A, C]
    ids, mask = small_reader.tokenize(["where?"], [two])
    labels = small_reader.tokenize_targets([three.answer])
    loss = small_reader(ids, mask, labels).loss.item()
    assert three.without[1] == pytest.approx(-loss * labels.shape[1], rel=1e-4)


def test_one_passage_or_none_can_be_read(small_reader):
    alone, none = read_passages(small_reader, "where?", [A]), read_passages(small_reader, "where?", [])
    assert np.isnan(alone.without).tolist() == [True] and none.attention.shape == none.effect.shape == (0,)
    assert truth_of_attention(alone) is truth_of_attention(none) is None and np.isfinite(none.log_likelihood)


def test_a_reader_is_left_as_it_was(small_reader):
    small_reader.train()
    one, other = (read_passages(small_reader, "where?", [A, B]) for _ in range(2))
    assert small_reader.training and one.log_likelihood == other.log_likelihood


@pytest.mark.parametrize(("question", "passages", "message"), [
    (" ", [A], "question: wanted a question with words"),
    ("where?", [A, B, A], "passages: wanted each passage once, given 'a' twice"),
    ("where?", ["a"], "passage 0: wanted a kit.Passage, given str"),
])  # fmt: skip
def test_what_cannot_be_read(small_reader, question, passages, message):
    with pytest.raises(KitError, match=message):
        read_passages(small_reader, question, passages)
    with pytest.raises(KitError, match=r"reader: wanted a kit\.FiDReader, given str"):
        read_passages("t5", "where?", [A])


def test_truth_of_attention_by_hand():
    truth = truth_of_attention(reading())
    assert (truth.attention_first, truth.effect_first) == (0, 0) and truth.spearman == pytest.approx(1.0)
    assert truth_of_attention(reading(without=(-0.5, -0.5, -2.0))).effect_first == 2
    assert truth_of_attention(reading(without=(-0.5, -0.55, -0.5))).effect_first is None, "0.05 nats are not much"


def test_it_reads_what_the_chosen_retriever_finds(playground, corpus, questions):
    ids = playground._retrieve(questions[0].text, 3)["BM25"].passages_of(questions[0].id)
    assert playground.state["question"] == questions[0].text and playground.reading.ids == tuple(ids)
    playground.set(read_from="<fixed>")
    assert playground.reading.ids == tuple(list(corpus)[:3])
    playground.set(k=2)
    assert playground.reading.ids == tuple(list(corpus)[:2])
    playground.set(question=Question("new", "Where is it?", ("here",)))
    assert playground.reading.question == "Where is it?"
    assert playground.answer("retrieved", {"question": "Where is it?", "k": 2})["accepted"] == ["here"]


def test_passages_are_edited_dropped_added_and_moved_by_the_state(playground, corpus):
    first, second, third = playground.passages
    other = Passage(first.id, first.title, "Another text.")
    own = Passage("own-1", "Mine", "Written here.")
    playground.set(passages=[third, other, own])
    assert playground.reading.passages == playground.passages == (third, other, own)
    assert playground.state["passages"] == [third.id, {"id": first.id, "title": first.title, "text": "Another text."},
                                            {"id": "own-1", "title": "Mine", "text": "Written here."}]  # fmt: skip
    playground.set(passages=[])
    assert playground.reading.passages == ()
    playground.set(passages=[first, corpus[second.id], third.id])
    assert playground.passages == (first, second, third)
    playground.set(k=1)
    assert playground.state["passages"] is None and len(playground.passages) == 1


@pytest.mark.parametrize(("passages", "message"), [
    ("p", "passages: wanted a list of passages or ids, or None"),
    (["nowhere"], "passages: wanted passages, or ids of the corpus, given 'nowhere'"),
    ([A, A], "passages: wanted each passage once, given 'a' twice"),
    ([7], "passages: wanted passages, or ids of the corpus, given 7"),
])  # fmt: skip
def test_what_are_no_passages(playground, passages, message):
    before = playground.state
    with pytest.raises(KitError, match=re.escape(message)):
        playground.set(passages=passages)
    assert playground.state == before


def test_a_reading_is_kept_and_leave_one_out_can_be_switched_off(playground):
    one = playground.reading
    assert playground.reading is one and np.isfinite(one.effect).all()
    playground.set(leave_one_out=False)
    assert np.isnan(playground.reading.effect).all() and playground.reading.answer == one.answer
    request = playground._request()
    assert playground.answer("reading", request)["truth"] is None


def test_the_page_gets_what_a_reading_says(playground, questions):
    reading, facts = playground.reading, playground.answer("reading", playground._request())
    np.testing.assert_array_equal(facts["effect"], reading.effect)
    assert facts["answer"] == reading.answer and facts["right"] in (True, False)
    assert facts["gold"] == [kit.metrics.has_answer(one.text, questions[0].answers) for one in reading.passages]
    assert facts["truth"]["attention_first"] == int(reading.attention.argmax())
    shown = {**playground._request(), "passages": [{"id": "x", "title": "", "text": questions[0].answers[0]}]}
    assert playground.answer("reading", shown)["gold"] == [True]
    with pytest.raises(KitError, match="wanted passages, or ids of the corpus, given 'nowhere'"):
        playground.answer("reading", {**shown, "passages": ["nowhere"]})


def test_a_retriever_must_find_what_is_there(corpus, small_reader, questions):
    with pytest.raises(KitError, match="retriever 'x': wanted passages that are in the corpus, given 'nowhere'"):
        Playground(corpus, {"x": Fixed("nowhere")}, small_reader, questions=questions)


def test_without_questions_it_waits_for_one(corpus, small_reader):
    made = Playground(corpus, {"BM25": kit.BM25(corpus)}, small_reader)
    assert "No question" in made.summary()[0] and list(made.exported_requests()) == []
    with pytest.raises(KitError, match="Playground: wanted a question with words"):
        _ = made.reading
    made.set(question="Where is Paris?")
    assert made.reading.question == "Where is Paris?"


def test_an_exported_page_holds_this_sessions_readings_and_those_without_each_passage(playground, questions, tmp_path):
    playground.set(passages=[Passage("own-1", "<b>", "Other <words>."), *playground.passages[1:]])
    changed, request = playground.reading, playground._request()
    playground.set(passages=None)
    requests = list(playground.exported_requests())
    assert ("reading", request) in requests and changed.answer == playground.answer("reading", request)["answer"]
    ids = playground._request()["passages"]
    dropped = [one["passages"] for name, one in requests if name == "reading" and len(one["passages"]) == 2]
    assert [ids[1:], [ids[0], ids[2]], ids[:2]] == dropped
    assert {one["question"] for _, one in requests} == {question.text for question in questions}
    html = playground.export_html(tmp_path / "p.html").read_text(encoding="utf-8")
    assert len(html) < 300_000 and not re.search(r"(src|href)=.https?:", html) and "<b>" not in html.split("<script")[0]
    assert "leave-one-out effect (nats)" in playground._repr_mimebundle_()[0]["text/html"]


@pytest.mark.parametrize("k", [5, 20, 100])
def test_a_click_is_25_kb_at_most(small_reader, k):
    drawn = np.random.default_rng(0)
    letters = list("eeeetttaaaooinshrdlucmwfgypbvk")
    pool = ["".join(drawn.choice(letters, drawn.integers(2, 9))) for _ in range(2000)]
    texts = [" ".join(drawn.choice(pool, 100)) for _ in range(2 * k)]  # compress about as little as English does
    corpus = {f"p{n}": Passage(f"p{n}", f"The title of passage {n}", text) for n, text in enumerate(texts)}
    starts = {"BM25": 0, "before": 3, "after": k // 2}
    retrievers = {name: Fixed(*list(corpus)[start:], *list(corpus)[:start]) for name, start in starts.items()}
    playground = Playground(corpus, retrievers, small_reader, questions=[Question("q", "Which is it?")], k=k)
    request = {**playground._request(), "leave_one_out": k < 100}
    took = [len(packed(playground.answer("retrieved", {"question": "Which is it?", "k": k})))]
    took.append(len(packed(playground.answer("reading", request))))
    print(k, took)
    assert max(took) <= 25_000


@pytest.mark.parametrize(("options", "message"), [
    ({"corpus": {}}, "a corpus {id: Passage} with passages"),
    ({"retrievers": {}}, "retrievers as {name: retriever}"),
    ({"retrievers": {"x": 7}}, "retriever 'x': wanted something with retrieve(questions, k), given int"),
    ({"questions": ["why?"]}, "kit.Question objects, given str"),
    ({"k": 0}, "k of at least 1, given 0"),
    ({"reader": "t5"}, "reader: wanted a kit.FiDReader, given str"),
])  # fmt: skip
def test_bad_input(corpus, small_reader, questions, options, message):
    given = {"corpus": corpus, "retrievers": {"x": Fixed()}, "reader": small_reader, "questions": questions, **options}
    with pytest.raises(KitError, match=re.escape(message)):
        Playground(given.pop("corpus"), given.pop("retrievers"), given.pop("reader"), **given)
