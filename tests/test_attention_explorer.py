"""The attention explorer without a browser: its numbers are the kit's own scores, its state, what it gives the page."""

from __future__ import annotations

import gzip
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from t5_start import initial_t5

import kit
from kit.attention import AGGREGATIONS
from kit.attention.capture import AttentionRecord
from kit.attention.views import head_scores, passage_scores, passage_weights, token_weights
from kit.reader import question_attention as reading
from kit.reader.inputs import count_question_tokens
from kit.reader.question_attention import AnswerAttention, QuestionAttention, question_attention
from kit.toy.vocabulary import t5_tokenizer
from kit.types import KitError, Passage, Question, ScoreTable
from kit.widgets import attention_data, attention_explorer
from kit.widgets.attention_data import SHADES, label_of
from kit.widgets.attention_explorer import VIEW, AttentionExplorer
from kit.widgets.packed import packed

ODD = "p 1%=é:(x)'"


@pytest.fixture(scope="module", autouse=True)
def short_answers() -> Iterator[None]:
    """A reader that has learnt nothing would never end its answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "MOST_ANSWER_TOKENS", 4)
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


def request_of(explorer: AttentionExplorer, **changes) -> dict:
    return {**{name: explorer.state[name] for name in VIEW}, **changes}


def expected(reader, attended: QuestionAttention, answer: AnswerAttention, aggregation) -> torch.Tensor:
    """The scores by `kit.cross_attention_scores`, for the same labels."""
    ids, mask = reader.tokenize([attended.question.text], [list(attended.passages)])
    lengths = count_question_tokens(reader.tokenizer, [attended.question.text])
    return kit.cross_attention_scores(
        reader, ids, mask, labels=answer.record.labels, question_lengths=lengths, aggregation=aggregation
    )[0]


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_bars_are_the_kits_own_scores(reader, explorer, name):
    attended = explorer._attention(explorer.state["question"])
    for said, answer in attended.answers.items():
        explorer.set(aggregation=name, said=said)
        wanted = expected(reader, attended, answer, name)
        torch.testing.assert_close(torch.tensor(explorer.passage_scores().values[0]), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["logits", "probabilities", "value_norms"])
@pytest.mark.parametrize("name", ["fid_kd", "max_tokens", "max_heads", "atlas_probswoquery"])
def test_a_cell_of_the_map_is_the_score_of_that_layer_and_head(reader, explorer, name, kind):
    attended = explorer._attention(explorer.state["question"])
    answer, length = attended.answers["generated"], attended.question_length
    chosen = replace(AGGREGATIONS[name], kind=kind, answer="first")
    cells = torch.stack([head_scores(answer.record, chosen, passage, length)[0] for passage in range(5)])  # (k, n, h)
    for layer, head in itertools.product(*map(range, cells.shape[1:])):
        wanted = expected(reader, attended, answer, replace(chosen, layers=(layer,), heads=(head,)))
        torch.testing.assert_close(cells[:, layer, head], wanted, rtol=1e-4, atol=1e-5)


def test_hand_worked_numbers_and_a_passage_without_tokens():
    logits = torch.zeros(1, 1, 2, 1, 3, 2)
    logits[0, 0, 0, 0] = torch.tensor([[1.0, 3.0], [5.0, 9.0], [0.0, 0.0]])
    logits[0, 0, 1, 0] = torch.tensor([[3.0, 5.0], [1.0, 9.0], [0.0, 0.0]])
    mask = torch.tensor([[True, True], [True, False], [False, False]])
    record = AttentionRecord(logits.masked_fill(~mask, -torch.inf), torch.ones(1, 1, 2, 3, 2), mask[None], None)
    for heads, wanted in ((None, [3.0, 3.0, -np.inf]), ((0,), [2.0, 5.0, -np.inf])):  # (2+4)/2, (5+1)/2; 2, 5
        chosen = replace(AGGREGATIONS["fid_kd"], heads=heads)
        scores = passage_scores(record, chosen, token_weights(record, chosen), 0)
        np.testing.assert_allclose(scores, [wanted], rtol=1e-6)
    assert head_scores(record, AGGREGATIONS["fid_kd"], 0, 0).tolist() == [[[2.0, 4.0]]]
    assert torch.isneginf(head_scores(record, AGGREGATIONS["fid_kd"], 2, 0)).all()
    assert passage_weights(record, AGGREGATIONS["fid_kd"], 2).shape == (1, 0)


def test_shares_of_attention_are_shown_first_and_add_up_to_one_for_every_head(explorer):
    state = explorer.state
    assert (state["aggregation"], state["kind"], state["answer"]) == ("attention_share", "probabilities", 0)
    assert explorer.passage_scores().values.sum() == pytest.approx(1.0, abs=1e-5)
    cells = [explorer.answer("passage", request_of(explorer, passage=passage))["map"] for passage in range(5)]
    np.testing.assert_allclose(np.sum(cells, axis=0), 1.0, rtol=1e-5)


def test_all_answer_tokens_are_the_mean_of_each(explorer):
    attended = explorer._attention(explorer.state["question"])
    each = []
    for answer in range(len(attended.answers["generated"].tokens)):
        explorer.set(answer=answer)
        each.append(explorer.passage_scores().values[0])
    assert len(each) > 1
    explorer.set(answer=None)
    np.testing.assert_allclose(explorer.passage_scores().values[0], np.mean(each, 0), rtol=1e-5)


def test_a_view_holds_scores_and_shades_of_all_tokens_and_a_passage_its_own(explorer):
    attended = explorer._attention(explorer.state["question"])
    record, length = attended.answers["generated"].record, len(attended.tokens[2])
    request = request_of(explorer, answer=1, head=0)
    view, passage = explorer.answer("view", request), explorer.answer("passage", {**request, "passage": 2})
    weights = token_weights(record, attention_data.aggregation_of(request))[1]
    decoded = view["low"] + (view["high"] - view["low"]) * (view["weights"] / SHADES) ** 2
    wanted = weights[record.mask[0]].numpy()
    assert np.abs(decoded - wanted).max() < 0.02 * wanted.max()
    np.testing.assert_allclose(passage["tokens"][1], weights[2, :length], rtol=1e-5)
    assert view["scores"].shape == (len(attended.answers["generated"].tokens), 5)


def test_facts_name_tokens_gold_passages_and_other_tables(reader, example):
    questions, corpus, table = example
    ids = table.passages_of(questions[0].id)
    student = ScoreTable("student", [questions[0].id], [ids[:2]], [[0.25, 0.5]])
    explorer = AttentionExplorer(reader, questions[0], corpus, table, others={"student": student, "BM25": table})
    facts = explorer.answer("question", {"question": questions[0].id})
    words = iter(facts["tokens"])
    assert [[facts["words"][next(words)] for _ in range(length)] for length in facts["lengths"]] == [
        list(tokens) for tokens in explorer._attention(questions[0].id).tokens
    ]
    assert facts["words"][:2] == ["question", ":"]
    np.testing.assert_array_equal(facts["others"][0]["values"], [0.25, 0.5, np.nan, np.nan, np.nan])
    wanted = [kit.metrics.has_answer(corpus[i].text, questions[0].answers) for i in ids]
    assert [passage["gold"] for passage in facts["passages"]] == wanted and any(wanted)
    explorer.set(order="student")
    given = AttentionExplorer(reader, questions[0], corpus, table, gold={questions[0].id: {ids[3]}})
    passages = given.answer("question", {"question": questions[0].id})["passages"]
    assert [passage["gold"] for passage in passages] == [False, False, False, True, False]


def test_an_aggregation_brings_its_kind_and_answer_and_a_question_no_passage(explorer, example):
    explorer.set(aggregation="adist", passage=ODD, token=3, layer=1)
    assert (explorer.state["kind"], explorer.state["answer"]) == ("value_norms", None)
    explorer.set(question=example[0][1].id)
    assert (explorer.state["passage"], explorer.state["token"], explorer.state["layer"]) == (None, None, 1)
    assert explorer.passage_scores().values.shape == (1, 3)  # missing passages are left out
    assert label_of("attention_share") == "share of attention" and label_of("atlas_scoresavg") == "Atlas, logits: mean"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"passage": "nowhere"}, "passage: wanted the id of one that was read"),
        ({"layer": 2}, "layer: wanted one of None, 0, 1"),
        ({"head": "x"}, "head: wanted one of"),
        ({"answer": 99}, "answer: wanted one of"),
        ({"token": -1}, "token: wanted the number of a passage's token"),
        ({"aggregation": "best"}, "aggregation: wanted one of 'attention_share'"),
        ({"kind": "weights"}, "kind: wanted one of"),
        ({"said": "guessed"}, "said: wanted one of"),
        ({"order": "random"}, "order: wanted one of 'reader', 'retrieved', 'bm25'"),
        ({"question": "q99"}, "question: wanted one of"),
        ({"colour": "red"}, "AttentionExplorer.set: wanted one of question"),
    ],
)
def test_a_wrong_state_is_refused_and_changes_nothing(explorer, change, said):
    before = explorer.state
    with pytest.raises(KitError, match=re.escape(said)):
        explorer.set(**change)
    assert explorer.state == before


def test_the_first_view_comes_with_the_data_and_a_large_readers_too(explorer, reader, example, monkeypatch):
    assert b'"answers":[["question",{"question":' in gzip.decompress(explorer._data)
    monkeypatch.setattr(attention_data, "WHOLE", 0)
    large = gzip.decompress(AttentionExplorer(reader, *example)._data)
    assert b'["view",{"question":' in large and b'["passage",{"question":' in large


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


def test_without_script_the_passages_stand_in_a_table(explorer):
    bundle, _ = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle and "<script" not in bundle["text/html"]
    assert bundle["text/html"].count("<tr>") == 6 and "★ Odd" in bundle["text/html"]


def test_an_exported_page_holds_all_questions_or_as_many_as_fit(explorer, example, tmp_path, monkeypatch):
    text = explorer.export_html(tmp_path / "attention.html").read_text(encoding="utf-8")
    assert len(text) < 1_000_000 and not re.search(r'(src|href)="?(https?:)?//', text)
    both = [("question", {"question": question.id}) for question in example[0]]
    assert list(explorer.exported_requests()) == both
    first = len(packed(explorer.answer(*both[0])))
    monkeypatch.setattr(attention_explorer, "EXPORTED", first + 10)
    requests = list(explorer.exported_requests())
    assert requests == both[:1]
    assert [i for _, i in explorer.exported_controls(requests)[0].pairs] == [example[0][0].id]


def test_reading_leaves_the_reader_as_it_was(reader, example):
    questions, corpus, table = example
    reader.train()
    question_attention(reader, questions[0], [corpus[i] for i in table.passages_of(questions[0].id)])
    assert reader.training
    assert not any(module._forward_hooks for module in reader.modules())
    reader.eval()


def large_attention(passages: int, layers: int, heads: int) -> QuestionAttention:
    """A reader's attention to passages of 250 tokens before three answer tokens: drawn numbers."""
    torch.manual_seed(0)
    logits = torch.randn(layers, 1, heads, 1, passages, 250).expand(-1, -1, -1, 3, -1, -1)
    words = [f"word{n}" for n in range(3000)]
    tokens = tuple(tuple(words[place] for place in row) for row in torch.randint(3000, (passages, 250)).tolist())
    mask, lengths = torch.ones(1, passages, 250, dtype=torch.bool), torch.ones(layers, 1, heads, passages, 250)
    answer = AnswerAttention("a b", ("a", "b", "</s>"), AttentionRecord(logits, lengths, mask, torch.arange(3)[None]))
    texts = tuple(Passage(f"{n}0123456", f"The title of passage {n}", "text") for n in range(passages))
    return QuestionAttention(Question("q", "what is it", ("yes",)), texts, tokens, 8, {"generated": answer})


@pytest.mark.parametrize(("passages", "layers", "heads"), [(5, 2, 4), (100, 24, 16)])
def test_a_click_is_25_kb_at_most_and_the_first_view_400(monkeypatch, passages, layers, heads):
    attended = large_attention(passages, layers, heads)
    monkeypatch.setattr(attention_explorer, "question_attention", lambda reader, question, passages: attended)
    corpus = kit.data.Corpus(attended.passages)
    table = ScoreTable("bm25", ["q"], [list(corpus)], np.arange(float(passages))[None, ::-1])
    explorer = AttentionExplorer(None, attended.question, corpus, table, others={"BM25": table, "student": table})
    facts = explorer.answer("question", {"question": "q"})
    whole = facts["value_lengths"] is not None
    first = len(packed(facts)) + len(explorer._esm.encode()) + len(explorer._css.encode())
    took = {}
    for change in ({}, {"layer": 1, "head": 2}, {"kind": "logits"}, {"answer": 1}, {"aggregation": "max_heads"}):
        request = request_of(explorer, **change)
        asked = [("view", request), ("passage", {**request, "passage": passages - 1})]
        took[str(change)] = 0 if whole else sum(len(packed(explorer.answer(*one))) for one in asked)
    print(f"{passages} passages: first {first} bytes, clicks {took}")
    assert first + took["{}"] < 400_000 and max(took.values()) <= 25_000
    assert whole == (passages == 5)
