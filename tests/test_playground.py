"""kit.widgets.Playground: readings, the desk, what is shown and what the controls do, without a browser."""

from __future__ import annotations

import re

import numpy as np
import pytest

import kit
from kit.teachers import LeaveOneOut
from kit.types import KitError, Passage, Question, ScoreTable
from kit.widgets import Playground
from kit.widgets.passage_columns import badge, columns_html, gold_of, letters_of, list_html
from kit.widgets.passage_list import added, dropped, edited, how_changed, moved, own_passage
from kit.widgets.passage_reading import PassageReading, read_passages, truth_of_attention
from kit.widgets.reading_desk import Desk, asked
from kit.widgets.reading_views import answer_html, reading_figure, reading_table, truth_html

A, B, C = (Passage(i, f"Title {i}", text) for i, text in (("a", "Paris."), ("b", "Rome <b>."), ("c", "Oslo.")))
LETTERS = {"a": "A", "b": "B", "c": "C"}


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


def test_the_list_changes_by_pure_functions():
    passages = (A, B, C)
    assert edited(passages, 1, "Rom.")[1] == Passage("b", "Title b", "Rom.")
    assert edited(passages, 1, "Rom.", title="")[1].title == ""
    assert dropped(passages, 0) == (B, C) and moved(passages, 0, 2) == (B, C, A) and moved(passages, 1, 1) == passages
    assert added((A, B), C) == passages and added((B, C), A, 0) == passages
    assert passages == (A, B, C)
    assert own_passage((A,), "t", "x").id == "own-1"
    assert [how_changed(p, {"a": A, "b": B}) for p in (A, edited(passages, 1, "?")[1], C)] == ["", "edited", "your own"]


@pytest.mark.parametrize("change", [
    lambda p: edited(p, 3, "x"), lambda p: dropped(p, -1), lambda p: moved(p, 0, 3), lambda p: added(p, A),
    lambda p: added(p, Passage("d", "", ""), 9), lambda p: dropped((), 0), lambda p: dropped(p, "a"),
])  # fmt: skip
def test_changes_that_cannot_be(change):
    with pytest.raises(KitError):
        change((A, B, C))


def test_a_passage_has_one_letter_in_all_columns():
    found = {
        "x": Fixed("b", "a").retrieve([Question("q", "?")], 2),
        "y": Fixed("b", "c").retrieve([Question("q", "?")], 2),
    }
    desk = Desk(Question("q", "?"), found)
    assert desk.letters == {"b": "A", "a": "B", "c": "C"}
    html = columns_html(found, {"a": A, "b": B, "c": C}, ["Oslo"], desk.letters)
    assert html.count(badge("A", shared=True)) == 2 and html.count(badge("B", shared=False)) == 1
    assert html.count("★") == 1 and "Rome &lt;b&gt;." in html and "also in y" in html
    assert letters_of([f"p{n}" for n in range(28)])["p27"] == "BB"


def test_gold_is_what_holds_an_answer():
    assert gold_of([A, B], ["paris"]) == [True, False] and gold_of([A], []) == [False]
    html = list_html((A, edited((B,), 0, "New.")[0]), {"a": A, "b": B}, ["Paris"], LETTERS)
    assert html.count("★") == 1 and html.count("(edited)") == 1


def test_the_figure_has_both_measures_and_the_reading_before():
    before = reading((C, A), (5.0, 4.0), (-0.5, -0.9))
    figure = reading_figure(reading(), before, ["Paris"], LETTERS)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    diamonds = [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "markers"]
    numbers = [list(trace.text) for trace in figure.data if trace.type == "scatter" and trace.mode == "text"]
    assert [list(bar.y) for bar in bars] == [[0], [1, 2], [0], [1, 2]], "gold passages and others, in each panel"
    assert list(bars[0].x) == [2.0] and bars[0].base == 1.0 and bars[3].x == pytest.approx([0.0, 0.1])
    assert numbers == [["3", "1", "2"], ["1.5", "0", "0.1"]]
    assert [list(trace.y) for trace in diamonds] == [[0, 2], [0, 2]], "passages keep their rows' ids"
    assert list(diamonds[0].x) == [4.0, 5.0] and diamonds[1].x[0] == pytest.approx(0.4)
    assert list(figure.layout.yaxis.ticktext) == ["A ★ Title a", "B Title b", "C Title c"]
    assert "before" not in [trace.name for trace in reading_figure(reading(), None, [], LETTERS).data]
    assert reading_figure(reading((A,), (1.0,), (np.nan,)), None, [], LETTERS).data


def test_words_about_a_reading():
    assert "✓" in answer_html(reading(), None, ["paris"]) and "✗" in answer_html(reading(), None, ["Rome"])
    assert "✓" not in answer_html(reading(), None, []) and "60.7%" in answer_html(reading(), None, [])
    assert "before: <b>Oslo</b>" in answer_html(reading(), reading(answer="Oslo"), [])
    assert "highest on A; and that is the truth: without A the answer loses most" in truth_html(reading(), LETTERS)
    assert "depends most on C" in truth_html(reading(without=(-0.5, -0.5, -2.0)), LETTERS)
    assert "no single passage" in truth_html(reading(without=(-0.5, -0.5, -0.5)), LETTERS)
    assert "Attention alone" in truth_html(reading((A,), (1.0,), (np.nan,)), LETTERS)
    table = reading_table(reading(), reading((A,), (7.0,), (-0.7,)), [], LETTERS)
    assert table.count("<tr>") == 4 and "13.5%" in table and ">7</td>" in table and table.count(">before<") == 2


def test_asking_says_what_is_wrong(corpus):
    with pytest.raises(KitError, match="retriever 'x': wanted passages that are in the corpus, given 'nowhere'"):
        asked(Question("q", "?"), {"x": Fixed("nowhere")}, corpus, 3, "x")
    with pytest.raises(KitError, match="read_from: wanted one of 'x', given 'y'"):
        asked(Question("q", "?"), {"x": Fixed()}, corpus, 3, "y")
    assert asked(Question("q", "?"), {"x": Fixed()}, corpus, 3, "x").passages == ()


def test_it_reads_at_once_and_what_is_chosen(playground, questions):
    assert playground.reading.question == questions[0].text and len(playground.desk.passages) == 3
    assert playground.controls["text"].value == questions[0].text
    assert "passages read in" in playground._told["status"].value
    playground.controls["question"].value = questions[1].text
    assert playground.reading.question == questions[1].text and playground.desk.before is None
    playground.controls["read_from"].value = "<fixed>"
    assert playground.reading.ids == tuple(list(playground._corpus)[:3]) and playground.desk.before is not None
    playground.controls["k"].value = 2
    assert len(playground.reading.passages) == 2
    playground.controls["text"].value = "who?"
    assert playground.desk.question.answers == () and playground.controls["question"].value == ""
    assert "★" not in playground.still()
    playground.ask(questions[2].text)
    assert playground.desk.question is questions[2], "a typed question that is listed has its answers"


def test_controls_change_what_is_read(playground):
    controls, ids = playground.controls, playground.reading.ids
    controls["passage"].value = ids[1]
    assert controls["passage_text"].value == playground.desk.passages[1].text
    controls["up"].click()
    assert playground.reading.ids == (ids[1], ids[0], ids[2]) and controls["passage"].value == ids[1]
    controls["up"].click()
    assert playground.reading.ids[0] == ids[1], "it is the first already"
    controls["passage_text"].value = "Something else."
    controls["apply"].click()
    assert playground.reading.passages[0].text == "Something else." and playground.desk.before.ids[0] == ids[1]
    assert "(edited)" in controls["passage"].options[0][0]
    controls["drop"].click()
    assert playground.reading.ids == (ids[0], ids[2])
    controls["title"].value, controls["passage_text"].value = "Mine", "My own words."
    controls["add"].click()
    assert playground.reading.passages[-1] == Passage("own-1", "Mine", "My own words.")
    assert controls["passage"].value == "own-1"
    controls["more"].value = ids[1]
    controls["add"].click()
    assert playground.reading.ids == (ids[0], ids[2], "own-1", ids[1])
    controls["as_found"].click()
    assert playground.reading.ids == ids


def test_reading_can_wait(playground):
    playground.controls["at_once"].value = False
    before = playground.reading
    playground.drop(0)
    assert playground.reading is before and "press Read" in playground._told["status"].value
    assert "Not read yet" in playground.still()
    playground.controls["read"].click()
    assert playground.reading.passages == playground.desk.passages and playground.desk.before is before


def test_leave_one_out_can_be_switched_off(playground):
    playground.drop(0)
    before = playground.desk.before
    playground.controls["leave_one_out"].value = False
    assert np.isnan(playground.reading.effect).all() and "Attention alone" in playground._told["truth"].value
    playground.controls["leave_one_out"].value = True
    assert np.isfinite(playground.reading.effect).all() and playground.desk.before is before


def test_a_click_on_a_bar_chooses_its_passage(playground):
    figure = playground._picture.figure
    trace = next(n for n, trace in enumerate(figure.data) if trace.y is not None and len(trace.y))
    row = int(figure.data[trace].y[-1])
    playground._clicked(trace, len(figure.data[trace].y) - 1)
    assert playground.controls["passage"].value == playground.reading.ids[row]


def test_a_mistake_is_told_beside_the_controls(playground, monkeypatch):
    monkeypatch.setitem(playground._retrievers, "BM25", Fixed("nowhere"))
    playground.controls["text"].value = "who?"
    assert "wanted passages that are in the corpus" in playground._told["status"].value
    with pytest.raises(KitError):
        playground.ask("who?")


def test_every_passage_can_be_dropped(playground):
    for _ in range(3):
        playground.controls["drop"].click()
    assert playground.reading.passages == () and playground.controls["drop"].disabled
    assert playground.controls["passage"].value is None and "no passages" in playground.still()


def test_without_questions_it_waits_for_one(corpus, small_reader):
    made = Playground(corpus, {"BM25": kit.BM25(corpus)}, small_reader)
    assert made.reading is None and "No question" in made.still() and "question" not in made.controls
    made.ask("Where is Paris?")
    assert made.reading.question == "Where is Paris?"


def test_still_and_export_need_no_script(playground, tmp_path):
    playground.edit(0, "Other <words>.")
    html = playground.export_html(tmp_path / "p.html").read_text(encoding="utf-8")
    assert html.count("<svg") == 1 and "<script" not in html and "Other &lt;words&gt;." in html
    assert "&lt;fixed&gt;" in html and len(html) < 200_000 and not re.search(r"(src|href)=.https?:", html)
    assert "<svg" in playground._repr_mimebundle_()["text/html"]


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
