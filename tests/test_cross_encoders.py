"""Cross-encoders and DPR's extractive reader as teachers: slow loops, one pair at a time, and transformers' own DPR."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import nn

from kit.checkpoints import load_cross_encoder, load_tokenizer
from kit.losses import kl
from kit.teachers import CrossEncoder, ExtractiveReader
from kit.teachers.extractive_reader import best_span
from kit.types import KitError, Passage, Question, ScoreTable

GOLDEN = Path(__file__).parent / "golden"
VOCABULARY = GOLDEN / "retriever" / "tokenization" / "vocab.txt"
SIZES = {"vocab_size": 120, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 24, "max_position_embeddings": 64}
NAN = float("nan")
CORPUS = {
    "1": Passage("1", "The River", "the Old film of the (king)"),
    "2": Passage("2", "", "a city in the river"),
    "3": Passage("3", "Film", "who is the king of the City? the old king, is in the river of a film " * 2),
    "4": Passage("4", "The King", ""),
}
A, B, C = Question("a", "who is the king"), Question("b", "when"), Question("c", "where is the river of the city")
TABLE = ScoreTable(
    "bm25",
    ["c", "b", "a"],
    [["1", "2", "3"], ["", "", ""], ["", "3", "4"]],
    [[1.0, 3.0, 2.0], [NAN, NAN, NAN], [NAN, 1.0, NAN]],
)


def widened(model, seed=0):
    torch.manual_seed(seed)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.2)
    return model.eval()


def saved(folder, model):
    model.save_pretrained(folder)
    shutil.copy(VOCABULARY, folder)
    return folder


@pytest.fixture(scope="module")
def bert_cat(tmp_path_factory):
    """A BERT_Cat as matchmaker saves it, with a tokenizer beside it."""
    folder = tmp_path_factory.mktemp("bert-cat")
    sizes = {**SIZES, "hidden_size": 128}
    body, head = widened(transformers.BertModel(transformers.BertConfig(**sizes))), widened(nn.Linear(128, 1))
    head.weight.data *= 50  # scores that differ by far more than rounding
    state = {f"bert_model.{name}": weight for name, weight in body.state_dict().items()}
    state |= {f"_classification_layer.{name}": weight.detach() for name, weight in head.state_dict().items()}
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps({"architectures": ["BERT_Cat"], "model_type": "BERT_Cat"}))
    shutil.copy(VOCABULARY, folder)
    return folder


@pytest.fixture(scope="module")
def dpr(tmp_path_factory):
    model = widened(transformers.DPRReader(transformers.DPRConfig(**SIZES)))
    return saved(tmp_path_factory.mktemp("dpr-reader"), model)


def pair_score(scorer, words, question, passage):
    """[CLS] question [SEP] passage [SEP] by hand, one pair, no padding."""
    first, second = (words(text, add_special_tokens=False)["input_ids"] for text in (question, passage))
    ids = torch.tensor([[2, *first, 3, *second, 3]])
    types = torch.tensor([[0] * (len(first) + 2) + [1] * (len(second) + 1)])
    with torch.no_grad():
        return scorer(ids, torch.ones_like(ids), types).item()


def assert_cells(scores, wanted):
    assert scores.question_ids.tolist() == ["a", "b", "c"]
    assert scores.passage_ids.tolist() == [["", "3", "4"], ["", "", ""], ["1", "2", "3"]]
    np.testing.assert_allclose(scores.values, wanted, atol=1e-4)


# Cross-encoders


def test_bert_cat_scores_each_pair_as_if_alone(bert_cat):
    scorer, words = load_cross_encoder(bert_cat), load_tokenizer(bert_cat)
    texts = {i: f"{p.title} {p.text}".strip() for i, p in CORPUS.items()}
    rows = {q.id: [pair_score(scorer, words, q.text, texts[i]) for i in TABLE.passages_of(q.id)] for q in (A, C)}
    for batch_size in (1, 2, 64):
        teacher = CrossEncoder.from_pretrained(bert_cat, device="cpu", batch_size=batch_size, max_tokens=64)
        scores = teacher.score([A, B, C], CORPUS, TABLE)
        assert_cells(scores, [[NAN, *rows["a"]], [NAN] * 3, rows["c"]])
    assert scores.name == "cross_encoder" and abs(scores.values[scores.mask]).max() > 1, "raw, not in 0 ... 1"
    best = CrossEncoder(scorer, words, max_tokens=64, n_context=1).score([A, B, C], CORPUS, TABLE)
    assert_cells(best, [[NAN, rows["a"][0], NAN], [NAN] * 3, [NAN, rows["c"][1], NAN]])


def test_titles_and_length(bert_cat):
    scorer, words = load_cross_encoder(bert_cat), load_tokenizer(bert_cat)
    one = ScoreTable("one", ["a"], [["3"]], [[1.0]])
    untitled = CrossEncoder(scorer, words, max_tokens=64, titles=False).score([A], CORPUS, one)
    text = CORPUS["3"].text
    assert untitled.values[0, 0] == pytest.approx(pair_score(scorer, words, A.text, text), abs=1e-4)
    cut = CrossEncoder(scorer, words, max_tokens=12, titles=False).score([A], CORPUS, one)  # 4 + 3 + 5 of the passage
    wanted = pair_score(scorer, words, A.text, "who is the king of")
    assert cut.values[0, 0] == pytest.approx(wanted, abs=1e-4)


def test_a_sentence_transformers_sigmoid_is_not_applied(tmp_path):
    config = transformers.BertConfig(**SIZES, num_labels=1)
    model = widened(transformers.BertForSequenceClassification(config), seed=2)
    folder = saved(tmp_path / "minilm", model)
    entries = json.loads((folder / "config.json").read_text())
    entries["sentence_transformers"] = {"activation_fn": "torch.nn.modules.activation.Sigmoid"}
    (folder / "config.json").write_text(json.dumps(entries))
    teacher = CrossEncoder.from_pretrained(folder, device="cpu", max_tokens=64, name="minilm")
    pairs = [("who is the king", "the old film"), ("when", "a city")]
    given = teacher.tokenizer(*map(list, zip(*pairs, strict=True)), padding=True, return_tensors="pt")
    with torch.no_grad():
        wanted = model(**given).logits[:, 0]
    np.testing.assert_allclose(teacher.score_pairs(pairs), wanted, atol=1e-5)
    assert (wanted < 0).any() or (wanted > 1).any()
    assert teacher.score_pairs([]).shape == (0,) and teacher.score([], CORPUS, TABLE).name == "minilm"


class Stub(nn.Module):
    """A scorer that makes a score of the number of tokens."""

    def __init__(self, make):
        super().__init__()
        self.make, self.weight = make, nn.Parameter(torch.zeros(1))
        self.config = transformers.BertConfig(**SIZES)

    def forward(self, ids, mask, types):
        return self.make(mask.sum(1).float() - 10)


def test_squashed_scores_are_warned_about_and_broken_ones_refused():
    words = load_tokenizer(VOCABULARY.parent)
    many = {str(i): Passage(str(i), "", "king " * i) for i in range(1, 31)}
    table = ScoreTable("bm25", ["a"], [list(many)], np.zeros((1, 30)))
    squashed = CrossEncoder(Stub(torch.sigmoid), words, max_tokens=64)
    with pytest.warns(UserWarning, match="all scores of 'cross_encoder' lie from 0 to 1"):
        squashed.score([A], many, table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CrossEncoder(Stub(torch.tanh), words, max_tokens=64).score([A], many, table)
        squashed.score([A], many, table.top(5)), "too few to tell"
    with pytest.raises(KitError, match="CrossEncoder: wanted a model that gives finite scores, given inf"):
        CrossEncoder(Stub(lambda x: 1 / (x - x)[:, None].sum(1)), words, max_tokens=64).score([A], many, table)


def test_mistakes_are_named(bert_cat, dpr, tmp_path):
    words = load_tokenizer(VOCABULARY.parent)
    with pytest.raises(KitError, match="CrossEncoder: max_tokens: wanted from 1 to the model's 64, given 512"):
        CrossEncoder.from_pretrained(bert_cat, device="cpu", max_tokens=512)
    assert CrossEncoder.from_pretrained(bert_cat, device="cpu").max_tokens == 64  # as many as the model reads
    with pytest.raises(KitError, match="ExtractiveReader: batch_size: wanted at least 1, given 0"):
        ExtractiveReader.from_pretrained(dpr, device="cpu", max_tokens=64, batch_size=0)
    small = Stub(torch.tanh)
    small.config.vocab_size = 100
    with pytest.raises(KitError, match="tokenizer: wanted at most the model's 100 tokens, given one of 118"):
        CrossEncoder(small, words, max_tokens=64)
    with pytest.raises(KitError, match="score table 'bm25': wanted passages that are in the corpus, given '4'"):
        CrossEncoder(Stub(torch.tanh), words, max_tokens=64).score([A], {"3": CORPUS["3"]}, TABLE)
    (tmp_path / "bare").mkdir()
    for name in ("config.json", "pytorch_model.bin"):
        shutil.copy(bert_cat / name, tmp_path / "bare")
    with pytest.raises(KitError, match="wanted a tokenizer"):
        CrossEncoder.from_pretrained(tmp_path / "bare", device="cpu", max_tokens=64)
    given = CrossEncoder.from_pretrained(tmp_path / "bare", device="cpu", max_tokens=64, tokenizer=words)
    assert given.tokenizer is words and "Bert" not in repr(given)


# The extractive reader


def dpr_inputs(question, passage, max_tokens):
    """Ids as transformers' own DPR reader tokenizer writes them."""
    words = transformers.DPRReaderTokenizer(str(VOCABULARY))
    given = words(questions=question, titles=passage.title, texts=passage.text, max_length=max_tokens, truncation=True)
    return torch.tensor(given["input_ids"]).view(1, -1)


@pytest.mark.parametrize("max_tokens", [64, 20])
def test_relevance_is_dprs_on_dprs_input(dpr, max_tokens):
    model = transformers.DPRReader.from_pretrained(dpr).eval()
    rows = {}
    for question in (A, C):
        ids = [dpr_inputs(question.text, CORPUS[i], max_tokens) for i in TABLE.passages_of(question.id)]
        with torch.no_grad():
            rows[question.id] = [model(i).relevance_logits.item() for i in ids]
    for batch_size in (1, 2, 32):
        teacher = ExtractiveReader.from_pretrained(dpr, device="cpu", batch_size=batch_size, max_tokens=max_tokens)
        scores = teacher.score([A, B, C], CORPUS, TABLE)
        assert_cells(scores, [[NAN, *rows["a"]], [NAN] * 3, rows["c"]])
    assert scores.name == "extractive_reader"


def slow_answer(model, words, question, passage, longest):
    """The best span by three loops over the model's own output, as words of the text."""
    ids = dpr_inputs(question, passage, 64)
    with torch.no_grad():
        out = model(ids)
    text = words.tokenize(passage.text)
    offset = ids.shape[1] - len(text)
    best, span = -float("inf"), None
    for first in range(len(text)):
        for last in range(first, min(first + longest, len(text))):
            sum_of_logits = (out.start_logits[0, offset + first] + out.end_logits[0, offset + last]).item()
            if sum_of_logits > best:
                best, span = sum_of_logits, (first, last)
    return words.convert_tokens_to_string(text[span[0] : span[1] + 1])


@pytest.mark.parametrize("longest", [1, 3, 10])
def test_answers_are_the_best_spans_of_the_best_passage(dpr, longest):
    reader = ExtractiveReader.from_pretrained(dpr, device="cpu", max_tokens=64)
    corpus = {i: Passage(i, CORPUS[i].title, CORPUS[i].text.replace("?", "").replace(",", "")) for i in "123"}
    table = ScoreTable("bm25", ["a", "c"], [["1", "2", "3"]] * 2, [[1.0, 2.0, 3.0]] * 2)
    reading = reader.read([A, C], corpus, table, answer_tokens=longest)
    for row, question in enumerate((A, C)):
        best = corpus[reading.scores.passage_ids[row, reading.scores.values[row].argmax()]]
        wanted = slow_answer(reader.model, reader.tokenizer, question.text, best, longest)
        answer = reading.answers[question.id]
        assert answer.lower().replace("(", "( ").replace(")", " )") == wanted
        assert answer in best.text, "copied from the text, capitals and all"
    np.testing.assert_array_equal(reading.scores.values, reader.score([A, C], corpus, table).values)


def test_questions_without_a_text_to_read(dpr):
    reader = ExtractiveReader.from_pretrained(dpr, device="cpu", max_tokens=64)
    table = ScoreTable("bm25", ["a", "b"], [["4", ""], ["", ""]], [[1.0, NAN], [NAN, NAN]])
    reading = reader.read([A, B], CORPUS, table)
    assert reading.answers == {"a": "", "b": ""} and np.isfinite(reading.scores.values[0, 0])
    both = reader.read([A], CORPUS, ScoreTable("bm25", ["a"], [["4", "2"]], [[2.0, 1.0]]))
    assert both.answers["a"], "an empty passage is passed over, whatever its relevance"
    fewer = reader.read([C], CORPUS, TABLE, n_context=1)
    assert (
        np.isfinite(fewer.scores.values).tolist() == [[False, True, False]] and fewer.answers["c"] in CORPUS["2"].text
    )


def test_spans_are_widened_to_whole_words(dpr):
    """ "zebras" is z ##e ##b ##r ##a ##s: a span that begins or ends inside it takes it whole."""
    reader = ExtractiveReader.from_pretrained(dpr, device="cpu", max_tokens=64)
    corpus = {"1": Passage("1", "", "Zebras, giraffes & Okapis!")}
    table = ScoreTable("one", ["a"], [["1"]], [[1.0]])
    for seed in range(8):
        widened(reader.model, seed)
        answer = reader.read([A], corpus, table, answer_tokens=4).answers["a"]
        assert answer in corpus["1"].text
        assert set(answer.strip("&,! ").replace(",", " ").replace("!", "").split()) <= {
            "Zebras",
            "giraffes",
            "&",
            "Okapis",
        }


def test_best_span_has_both_ends():
    with pytest.raises(KitError, match="answer_tokens: wanted at least 1, given 0"):
        best_span(torch.zeros(3), torch.zeros(3), longest=0)
    assert best_span(torch.tensor([0.0, 9.0]), torch.tensor([9.0, 0.0])) == (0, 0), "never backwards"


def test_relevance_logits_teach_as_recorded(dpr, monkeypatch):
    """DPR's recorded logits through the teacher: their softmax is P_sel, and RDR's KL is 0 at the teacher's own."""
    logits = load_file(GOLDEN / "losses/dpr.safetensors")["relevance_logits"]  # (3, 4)
    reader = ExtractiveReader.from_pretrained(dpr, device="cpu", max_tokens=64)
    corpus = {str(i): Passage(str(i), "", "king " * (i + 1)) for i in range(12)}
    table = ScoreTable("bm25", list("abc"), np.arange(12).reshape(3, 4).astype(str), np.zeros((3, 4)))

    class Out:
        def __init__(self, rows, t):
            self.relevance_logits, self.start_logits = logits.flatten()[rows], torch.zeros(len(rows), t)
            self.end_logits = self.start_logits

    class Recorded(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.config = nn.Parameter(torch.zeros(1)), reader.model.config

        def forward(self, input_ids, attention_mask):
            king = reader.tokenizer.convert_tokens_to_ids("king")
            return Out((input_ids == king).sum(1) - 1, input_ids.shape[1])

    teacher = ExtractiveReader(Recorded(), reader.tokenizer, max_tokens=64, batch_size=5)
    scores = teacher.score([Question(i, "when") for i in "abc"], corpus, table)
    torch.testing.assert_close(torch.tensor(scores.values), logits)
    assert kl(logits + 3, torch.tensor(scores.values)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("entries", [{"hidden_act": 3}, {"hidden_size": None}, {"chunk_size_feed_forward": None}])
def test_nonsense_in_a_configuration_is_one_line(tmp_path, entries):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.BertConfig(vocab_size=200, num_labels=1, **sizes)
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    entries = json.loads((tmp_path / "config.json").read_text()) | entries
    (tmp_path / "config.json").write_text(json.dumps(entries))
    with pytest.raises(KitError, match=r"config\.json: wanted (the entries of a BertConfig|chunk)") as error:
        CrossEncoder.from_pretrained(tmp_path, device="cpu", tokenizer=load_tokenizer(VOCABULARY.parent))
    assert "\n" not in str(error.value)


def test_roberta_and_its_kin_read_two_tokens_fewer_than_they_have_positions(tmp_path):
    """An XLM-R of 30 positions and a long passage: cut at 28, and transformers' own logit."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.XLMRobertaConfig(
        vocab_size=200, max_position_embeddings=30, num_labels=1, type_vocab_size=1, **sizes
    )
    model = transformers.XLMRobertaForSequenceClassification(config).eval()
    torch.manual_seed(0)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(tmp_path)
    teacher = CrossEncoder.from_pretrained(tmp_path, device="cpu", tokenizer=load_tokenizer(VOCABULARY.parent))
    assert teacher.max_tokens == 28
    long = "the king is old " * 20
    ids = teacher.tokenizer(["who"], [long], truncation="longest_first", max_length=28, return_tensors="pt")[
        "input_ids"
    ]
    with torch.no_grad():
        wanted = model(input_ids=ids).logits[0, 0].item()
    assert teacher.score_pairs([("who", long)])[0] == pytest.approx(wanted, abs=1e-5)
