"""The attention explorer without a browser: what it sends, and that it says what the kit's own scores say."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from t5_start import initial_t5

import kit
from kit.attention import AGGREGATIONS
from kit.reader.inputs import count_question_tokens
from kit.toy.vocabulary import t5_tokenizer
from kit.types import KitError, Passage, Question, ScoreTable
from kit.widgets import attention_explorer, attention_look, attention_page
from kit.widgets.attention_choice import Choice, read_selection
from kit.widgets.attention_explorer import AttentionExplorer
from kit.widgets.attention_look import Answered, Look, look_at
from kit.widgets.attention_pieces import first_pieces, key_of, packed, piece_of, shares, size_of, token_ids
from kit.widgets.attention_views import bars, head_map, passage_tokens

ODD = "p 1%=é:(x)'"  # an id that a selection must write in another way


@pytest.fixture(scope="module", autouse=True)
def short_answers() -> Iterator[None]:
    """A reader that has learnt nothing would never end its answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention_look, "MOST_ANSWER_TOKENS", 4)
        yield


@pytest.fixture(scope="module")
def reader() -> kit.FiDReader:
    words = t5_tokenizer()
    torch.manual_seed(0)
    return kit.FiDReader(initial_t5(words, d_model=32, layers=2), words, max_tokens=96).eval()


@pytest.fixture(scope="module")
def example(world) -> tuple[list[Question], kit.data.Corpus, ScoreTable]:
    questions = [replace(question, target=None) for question in world.questions["train"][:2]]
    gold = Passage(ODD, "Odd", f"it is {questions[0].answers[0]} .")
    corpus = kit.data.Corpus([*list(world.passages.values())[:7], gold])
    ids = [[*list(corpus)[:4], ODD], [*list(corpus)[4:7], "", ""]]  # the second has two missing cells
    values = [[5.0, 4, 3, 2, 1], [3.0, 2, 1, np.nan, np.nan]]
    return questions, corpus, ScoreTable("bm25", [question.id for question in questions], ids, values)


@pytest.fixture
def explorer(reader, example) -> AttentionExplorer:
    return AttentionExplorer(reader, *example)


def expected(reader, explorer: AttentionExplorer, **options) -> torch.Tensor:
    """The scores by `kit.cross_attention_scores`, for the labels that the explorer shows."""
    look = explorer._look(0)
    ids, mask = reader.tokenize([look.question.text], [list(look.passages)])
    labels = look.answers[explorer.choice.said].labels[None]
    lengths = count_question_tokens(reader.tokenizer, [look.question.text])
    return kit.cross_attention_scores(reader, ids, mask, labels=labels, question_lengths=lengths, **options)[0]


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_bars_are_the_kits_own_scores(reader, explorer, name):
    for said in explorer._view.page["answers"]:
        explorer.selection = f"aggregation={name} said={said}"
        wanted = expected(reader, explorer, aggregation=name)
        torch.testing.assert_close(torch.tensor(explorer.passage_scores().values[0]), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["logits", "probabilities", "value_norms"])
@pytest.mark.parametrize("name", ["fid_kd", "max_tokens", "max_heads", "atlas_probswoquery"])
def test_a_cell_of_the_map_is_the_score_of_that_layer_and_head(reader, explorer, name, kind):
    look, choice = explorer._look(0), replace(explorer.choice, aggregation=name, kind=kind)
    cells = np.stack([head_map(look, choice, passage) for passage in range(5)])  # (k, n, h)
    for layer, head in itertools.product(*map(range, cells.shape[1:])):
        one = replace(choice, layer=layer, head=head)
        wanted = expected(reader, explorer, aggregation=replace(one.way, answer="first"))
        np.testing.assert_allclose(cells[:, layer, head], wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(bars(look, one).scores, wanted, rtol=1e-4, atol=1e-5)


def test_words_of_a_passage_are_the_weights_that_the_bars_add_up(explorer):
    look = explorer._look(0)
    for name, answer in itertools.product(["fid_kd", "max_heads", "max_layers"], [0, 1]):
        choice = replace(explorer.choice, aggregation=name, answer=answer, kind="probabilities", layer=None, head=1)
        length = look.lengths[3]
        np.testing.assert_allclose(
            passage_tokens(look, choice, 3)[answer], bars(look, choice).weights[3, :length], rtol=1e-5
        )


def test_all_answer_tokens_are_the_mean_of_each(explorer):
    look = explorer._look(0)
    count = len(look.answers["generated"].tokens)
    assert count > 1
    each = [bars(look, replace(explorer.choice, answer=answer)).scores for answer in range(count)]
    np.testing.assert_allclose(bars(look, replace(explorer.choice, answer=None)).scores, np.mean(each, 0), rtol=1e-5)


def test_shares_of_attention_are_shown_first_and_add_up_to_one_for_every_head(explorer):
    look, choice = explorer._look(0), explorer.choice
    assert (choice.aggregation, choice.kind, choice.answer) == ("attention_share", "probabilities", 0)
    assert explorer.passage_scores().values.sum() == pytest.approx(1.0, abs=1e-5)
    cells = np.stack([head_map(look, choice, passage) for passage in range(5)])  # (k, n, h)
    np.testing.assert_allclose(cells.sum(0), 1.0, rtol=1e-5)
    share = {row.split("|")[4]: row for row in first_pieces(look, choice, 0)}
    assert list(share) == ["attention_share", "fid_kd"]  # words are shaded alike by both


def made_look(logits: torch.Tensor, mask: torch.Tensor, said: str = "yes </s>") -> Look:
    """A look of these logits (a, n, h, k, t), one question token, values of length 1."""
    logs = logits.masked_fill(~mask, float("-inf"))
    sums = logs.flatten(-2).logsumexp(-1)
    k = len(mask)
    words = tuple(said.split())
    answered = Answered(said, words, torch.arange(len(words)), logs - sums[..., None, None], sums)
    tokens = tuple(tuple(f"w{place}" for place in range(int(row.sum()))) for row in mask)
    passages = tuple(Passage(f"p{number}", f"title {number}", "text") for number in range(k))
    lengths = torch.ones(logits.shape[1:]) * mask
    return Look(Question("q", "what is it", ("yes",)), passages, tokens, mask, 1, lengths, {"generated": answered})


def test_hand_worked_numbers_and_a_passage_without_tokens():
    logits = torch.zeros(1, 1, 2, 3, 2)
    logits[0, 0, 0] = torch.tensor([[1.0, 3.0], [5.0, 9.0], [0.0, 0.0]])
    logits[0, 0, 1] = torch.tensor([[3.0, 5.0], [1.0, 9.0], [0.0, 0.0]])
    mask = torch.tensor([[True, True], [True, False], [False, False]])
    look, choice = made_look(logits, mask, "yes"), Choice("q", "p0", aggregation="fid_kd", kind="logits")
    np.testing.assert_allclose(bars(look, choice).scores, [3.0, 3.0, -np.inf], rtol=1e-6)  # (2+4)/2, (5+1)/2
    np.testing.assert_allclose(bars(look, replace(choice, head=0)).scores, [2.0, 5.0, -np.inf], rtol=1e-6)
    np.testing.assert_allclose(head_map(look, choice, 0), [[2.0, 4.0]], rtol=1e-6)
    assert np.isneginf(head_map(look, choice, 2)).all()
    assert passage_tokens(look, choice, 2).shape == (1, 0)
    assert len(piece_of(key_of("text", choice, 0, 2), look)) == 8
    shown = np.frombuffer(piece_of(key_of("row", choice, 0), look), "<f4", 5)
    np.testing.assert_allclose(shown, [3.0, 3.0, -np.inf, 2.0, 4.0], rtol=1e-6)


def test_missing_passages_are_left_out(explorer, example):
    explorer.selection = f"question={example[0][1].id}"
    assert len(explorer._view.page["passages"]) == 3
    assert explorer.passage_scores().values.shape == (1, 3)


def test_pieces_are_what_their_layout_says(explorer):
    look, choice = explorer._look(0), replace(explorer.choice, kind="probabilities", aggregation="max_heads")
    n, h, k, _ = look.sizes
    for piece in ("row", "map", "text"):
        key = key_of(piece, choice, 0, 2)
        assert len(piece_of(key, look)) == size_of(key, look)
    cells = np.frombuffer(piece_of(key_of("map", choice, 0, 2), look), "<f2").reshape(n, h)
    np.testing.assert_allclose(cells, head_map(look, choice, 2), rtol=1e-3, atol=1e-6)
    text, answers, length = piece_of(key_of("text", choice, 0, 2), look), 2, look.lengths[2]
    answers = len(look.answers["generated"].tokens)
    ends = np.frombuffer(text, "<f4", 2 * answers).reshape(answers, 2)
    weights = np.frombuffer(text, np.uint8, offset=8 * answers).reshape(answers, length)
    decoded = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * (weights / 255) ** 2
    wanted = passage_tokens(look, choice, 2)
    assert np.abs(decoded - wanted).max() < 0.005 * wanted.max()
    row = piece_of(key_of("row", choice, 0), look)
    strips = np.frombuffer(row, np.uint8, offset=4 * (k + 2)).reshape(k, -1)
    assert strips.max() == 255 and strips.shape[1] == min(64, look.sizes[3])


def test_tokens_come_back_from_their_numbers(explorer):
    look = explorer._look(0)
    words, numbers = token_ids(look)
    assert [words[number] for number in np.frombuffer(numbers, "<u2")] == [w for row in look.tokens for w in row]
    assert look.tokens[4][:2] == ("question", ":")


def test_a_selection_gives_the_same_view_back(explorer, reader, example):
    explorer.selection = (
        f"layer=1 head=2 aggregation=adist order=bm25 token=3 passage={explorer._look(0).passages[2].id}"
    )
    text, scores = explorer.selection, explorer.passage_scores().values
    other = AttentionExplorer(reader, *example)
    assert other.selection != text
    other.selection = text
    assert (other.selection, other.choice) == (text, explorer.choice)
    np.testing.assert_array_equal(other.passage_scores().values, scores)
    assert "kind=value_norms" in text and "answer=all" in text  # what "adist" is defined with


def test_odd_ids_go_through_a_selection():
    choice = Choice("q é", ODD, token=2, answer=None)
    assert read_selection(choice.text, Choice("other", "x")) == choice
    assert len(choice.text.split()) == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("passage=nowhere", "selection, passage: wanted one that was read"),
        ("layer=2", "selection, layer: wanted a number from 0 to 1"),
        ("head=-1", "selection, head: wanted a number, or all"),
        ("head=x", "selection, head: wanted a number, or all, given 'x'"),
        ("answer=99", "selection, answer: wanted a number from 0"),
        ("token=999", "selection, token: wanted a number from 0"),
        ("aggregation=best", "selection, aggregation: wanted one of fid_kd"),
        ("kind=weights", "selection, kind: wanted one of logits"),
        ("said=guessed", "selection, said: wanted one of generated"),
        ("order=random", "selection, order: wanted one of reader, retrieved, bm25"),
        ("question=q99", "selection, question: wanted one of"),
        ("colour=red", "selection: wanted words name=value"),
        ("layer", "selection: wanted words name=value"),
        ("layer=1 layer=0", "selection: wanted each name once"),
    ],
)
def test_a_wrong_selection_is_refused_and_changes_nothing(explorer, text, said):
    before = explorer.selection
    with pytest.raises(KitError, match=re.escape(said)):
        explorer.selection = text
    assert explorer.selection == before


def test_the_page_and_python_share_one_choice(explorer):
    view = explorer._view
    other = explorer._look(0).passages[1].id
    view.set_state({"choice": {**view.choice, "passage": other, "layer": 1, "head": 0}})  # as a click does
    assert f"passage={other} layer=1 head=0" in explorer.selection
    wanted = bars(explorer._look(0), explorer.choice).scores
    np.testing.assert_array_equal(explorer.passage_scores().values[0], wanted)
    with pytest.raises(KitError, match="selection, layer"):
        view.set_state({"choice": {**view.choice, "layer": 9}})
    assert explorer.choice.layer == 1


class Sent(list):
    """What the view sends to the page."""

    def __init__(self, explorer: AttentionExplorer) -> None:
        super().__init__()
        explorer._view.send = lambda content, buffers=None: self.append((content, buffers))


def test_messages_are_answered(explorer, example, monkeypatch):
    monkeypatch.setattr(attention_page, "SAVED", 5000)
    sent = Sent(explorer)
    key = key_of("row", replace(explorer.choice, layer=1, head=1), 0)
    explorer._receive(None, {"want": [key]}, [])
    (content, buffers) = sent.pop()
    assert content == {"parts": [[key, len(buffers[0])]]}
    explorer._receive(None, {"select": "layer=77"}, [])
    assert "selection, layer" in sent.pop()[0]["error"]
    explorer._receive(None, {"want": ["nonsense"]}, [])
    assert "piece" in sent.pop()[0]["error"]
    explorer._receive(None, {"save": True}, [])
    content, buffers = sent.pop()
    assert content["saved"].endswith(".html") and buffers[0].startswith(b"<!DOCTYPE html>")
    explorer.selection = "aggregation=max_heads layer=1"
    explorer._receive(None, {"open": example[0][1].id}, [])
    assert explorer._view.page["id"] == explorer.choice.question == example[0][1].id
    assert explorer.choice.aggregation == "max_heads" and explorer.choice.layer == 1  # what was chosen stays


def test_others_stand_beside_with_their_ranks(reader, example):
    questions, corpus, table = example
    ids = table.passages_of(questions[0].id)
    student = ScoreTable("student", [questions[0].id], [ids[:2]], [[0.25, 0.5]])
    explorer = AttentionExplorer(reader, questions[0], corpus, table, others={"student": student, "BM25": table})
    first, second = explorer._view.page["others"]
    assert first == {"name": "student", "values": [0.25, 0.5, None, None, None], "ranks": [2, 1, 0, 0, 0]}
    assert second["ranks"] == [1, 2, 3, 4, 5]
    explorer.selection = "order=student"
    assert AttentionExplorer(reader, questions[0], corpus, table)._view.page["others"][0]["name"] == "bm25"


def test_gold_passages_are_those_given_or_those_that_hold_an_answer(reader, example):
    questions, corpus, table = example
    ids = table.passages_of(questions[0].id)
    given = AttentionExplorer(reader, questions[0], corpus, table, gold={questions[0].id: {ids[3]}})
    assert [passage["gold"] for passage in given._view.page["passages"]] == [False, False, False, True, False]
    found = AttentionExplorer(reader, questions[0], corpus, table)._view.page["passages"]
    wanted = [kit.metrics.has_answer(corpus[i].text, questions[0].answers) for i in ids]
    assert [passage["gold"] for passage in found] == wanted and any(wanted)


def test_the_highest_of_the_table_are_read(reader, example):
    questions, corpus, table = example
    explorer = AttentionExplorer(reader, questions[0], corpus, table, n_context=2)
    assert explorer.passage_scores().passages_of(questions[0].id) == table.passages_of(questions[0].id)[:2]


def test_mistakes_are_named(reader, example):
    questions, corpus, table = example
    with pytest.raises(KitError, match="AttentionExplorer: wanted a question"):
        AttentionExplorer(reader, [], corpus, table)
    with pytest.raises(KitError, match="wanted a question, or several, given str"):
        AttentionExplorer(reader, "what", corpus, table)
    with pytest.raises(KitError, match="others\\['x'\\]: wanted a ScoreTable"):
        AttentionExplorer(reader, questions, corpus, table, others={"x": [1.0]})
    with pytest.raises(KitError, match="passages that are in the corpus"):
        AttentionExplorer(reader, questions, kit.data.Corpus(), table)
    with pytest.raises(KitError, match="a question that it holds"):
        AttentionExplorer(reader, Question("new", "what"), corpus, table)
    empty = ScoreTable("none", ["q"], [[""]], [[np.nan]])
    with pytest.raises(KitError, match="question 'q': wanted at least one passage"):
        AttentionExplorer(reader, Question("q", "what"), corpus, empty)
    with pytest.raises(KitError, match="a reader with a tokenizer"):
        AttentionExplorer(kit.FiDReader(reader.t5), questions, corpus, table)


def test_the_still_picture_needs_no_script(explorer):
    html = explorer.still()
    assert "<script" not in html and html.count("<svg") == 2 and "kit-tokens" in html
    bundle = explorer._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in bundle and "<svg" in bundle["text/html"]
    explorer.selection = "kind=probabilities layer=0 answer=all"
    assert "kind=probabilities" in explorer.still()


def test_an_exported_page_is_one_file_with_every_passage(explorer, tmp_path):
    path = explorer.export_html(tmp_path / "attention.html")
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 1_000_000
    assert not re.search(r'(src|href)="?(https?:)?//', text)
    data = gzip.decompress(base64.b64decode(re.search(r'getElementById\("attention"\), "([^"]+)"', text)[1]))
    page = json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])
    keys = {key for key, _ in page["parts"]}
    passages = range(len(page["passages"]))
    default = replace(explorer.choice)
    assert {key_of(piece, default, 0, p) for piece in ("row", "map", "text") for p in passages} <= keys
    assert key_of("row", replace(default, kind="probabilities", layer=1, head=1, answer=1), 0) in keys
    sizes = sum(size for _, size in page["parts"])
    assert 4 + int.from_bytes(data[:4], "little") + sizes == len(data)


def test_the_modules_of_the_page_are_small_and_fetch_nothing():
    for path in sorted(attention_page.JS.glob("attention_*.js")):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 130 and "http" not in text and "fetch(" not in text and text.startswith("//")
        for body in re.findall(r"^(?:async )?function .*?^}", text, re.M | re.S):
            assert len(body.splitlines()) <= 40, (path.name, body.splitlines()[0])


@pytest.fixture(scope="module")
def large() -> Look:
    """100 passages x 250 tokens x 24 layers x 16 heads, four answer tokens, in float16."""
    torch.manual_seed(0)
    cells = torch.randn(1, 24, 16, 100, 250).half().expand(4, -1, -1, -1, -1)
    mask = torch.ones(100, 250, dtype=torch.bool)
    vocabulary = [f"word{number}" for number in range(4000)]
    places = torch.randint(4000, (100, 250)).tolist()
    tokens = tuple(tuple(vocabulary[place] for place in row) for row in places)
    words = ("a", "b", "c", "</s>")
    answered = Answered("a b c", words, torch.arange(4), cells, torch.zeros(4, 24, 16))
    passages = tuple(Passage(f"{number}0123456", f"The title of passage {number}", "text") for number in range(100))
    lengths = torch.ones(24, 16, 100, 250, dtype=torch.float16)
    return Look(Question("q", "what is it", ("yes",)), passages, tokens, mask, 8, lengths, {"generated": answered})


def test_a_large_reader_stays_within_the_budget(large, monkeypatch):
    monkeypatch.setattr(attention_explorer, "look_at", lambda reader, question, passages: large)
    corpus = kit.data.Corpus(large.passages)
    table = ScoreTable("bm25", ["q"], [list(corpus)], np.arange(100.0)[None, ::-1])
    explorer = AttentionExplorer(None, large.question, corpus, table, others={"BM25": table, "student": table})
    view = explorer._view
    pieces = len(json.dumps(view.page).encode()) + len(view.data) + len(json.dumps(view.choice))
    script = len(view._esm.encode()) + len(view._css.encode())
    print(f"up front: {pieces} bytes of data, {script} of script and style")
    assert pieces + script < 400_000
    first = {key for key, _ in view.page["parts"]}
    assert {key_of("map", explorer.choice, 0, passage) for passage in range(100)} <= first  # 77 kB as float16
    for choice in (
        replace(explorer.choice, layer=3, head=2),
        replace(explorer.choice, kind="probabilities", answer=1),
        replace(explorer.choice, aggregation="max_heads", passage=large.passages[50].id),
    ):
        wanted = [key_of("row", choice, 0)]
        wanted += [key_of(piece, choice, 0, passage) for passage in range(60) for piece in ("map", "text")]
        parts, data = explorer.pieces(wanted)
        assert len(parts) > 3 and len(data) + len(json.dumps(parts)) <= 25_000


def test_shares_tell_small_probabilities_apart():
    values = np.array([0.0, 1e-4, 1e-3, 1.0])
    assert shares(values, 0.0, 1.0, "probabilities").tolist() == [0, 3, 8, 255]
    assert shares(np.array([-2.0, 0.0, 2.0]), -2.0, 2.0, "logits").tolist() == [0, 128, 255]
    assert shares(np.array([1.0, np.nan]), 1.0, 1.0, "logits").tolist() == [0, 0]


def test_a_first_view_holds_all_that_fits(explorer):
    look = explorer._look(0)
    keys = first_pieces(look, explorer.choice, 0)
    assert len(keys) == 1 + 2 * len(look.passages) == len(set(keys))
    parts, data = packed(keys, look)
    assert sum(size for _, size in parts) == len(data)


def test_looking_leaves_the_reader_as_it_was(reader, example):
    questions, corpus, table = example
    reader.train()
    look_at(reader, questions[0], [corpus[i] for i in table.passages_of(questions[0].id)])
    assert reader.training
    assert not any(module._forward_hooks for module in reader.modules())
    reader.eval()


def test_closing_closes_the_view(explorer):
    explorer.close()
    assert explorer._view.comm is None
