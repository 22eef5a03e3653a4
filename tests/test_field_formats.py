"""Files as the field writes them: read alike by every entry, or refused by name; what is strange gives a warning."""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from kit.data import load_examples, load_passages, load_questions, read_qrels, read_run, validate
from kit.data.records import LONGEST_LINE, DataWarning
from kit.types import KitError

OSLO = {"title": "Oslo", "text": "Oslo is the capital of Norway."}
BERGEN = {"title": "Bergen", "text": "A city on the coast."}
ASKED = {"question": "what is the capital of norway", "answers": ["Oslo"]}


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("topics.tsv", "1\twhat is\n2\twho was", [("1", "what is", ()), ("2", "who was", ())]),
        ("header.tsv", "QID\tQuery\n1\twhat is\n", [("1", "what is", ())]),
        ("three.tsv", "1\twhat is\t['Oslo']\n", [("1", "what is", ("Oslo",))]),
        ("dpr.tsv", "what is\t['Oslo', \"O'Neil\"]\nwho was\t[]\n",
         [("0", "what is", ("Oslo", "O'Neil")), ("1", "who was", ())]),
        ("quiz.csv", "query,answer\nwho wrote Faust,Goethe\n", [("0", "who wrote Faust", ("Goethe",))]),
        ("bom.csv", "\ufeffquestion;answers\nwho wrote Faust;Goethe\n", [("0", "who wrote Faust", ("Goethe",))]),
        ("sep.csv", "sep=;\nAnswers;Question;ID\nA|B;who, when;7\n", [("7", "who, when", ("A", "B"))]),
        ("tab.csv", "question\tanswers\r\nwho is\tAnn\r\n", [("0", "who is", ("Ann",))]),
        ("quoted.csv", 'question,answers\n"who, ""x"" or y","a"\n', [("0", 'who, "x" or y', ("a",))]),
        ("bare.csv", "who wrote Faust,Goethe\nwho wrote Emma,Austen\n",
         [("0", "who wrote Faust", ("Goethe",)), ("1", "who wrote Emma", ("Austen",))]),
        ("lines.txt", "who was it\nwhere, and when\n", [("0", "who was it", ()), ("1", "where, and when", ())]),
        ("spaced.csv", "Question Text,Answer,\nwho is,Ann,\n", [("0", "who is", ("Ann",))]),
        ("line\u2028.tsv", "1\ta\u2028b\x85c d\n", [("1", "a\u2028b\x85c d", ())]),
    ],
)  # fmt: skip
def test_tables_of_questions(tmp_path, name, content, wanted):
    (tmp_path / name).write_bytes(content.encode())
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        assert [(one.id, one.text, one.answers) for one in load_questions(tmp_path / name)] == wanted


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "frage,antwort\nwer schrieb Faust,Goethe\n", "names a column question.* given frage, antwort"),
        ("b.csv", "question,answers\n", "questions, given a header alone"),
        ("c.csv", "", "questions, given an empty file"),
        ("d.csv", "question,query\nwho is,x\n", "one column of question"),
        ("e.csv", "question,id\nwho is,1\nwho was,1\n", ":3: wanted an id other than that of the question on line 2"),
        ("f.csv", "question,answers\nwho is,[Ann\n", "answers parted by"),
        ("g.tsv", "1\twho is\t2\t3\t4\n", "one to three columns"),
        ("h.csv", "question,answers\n ,x\n", "a question, given an empty cell"),
        ("i.tsv", "1\twho is\r2\twho was\r", "given .r alone"),
        ("j.csv", "question|answers\nwho is|Ann\n", "parted by a comma"),
        ("k.csv", b"\xff\xfeq\0", "text in UTF-8 .*, given UTF-16"),
    ],
)  # fmt: skip
def test_tables_that_are_not_understood_are_refused_by_name(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(KitError, match=message):
        load_questions(tmp_path / name)


def test_what_is_strange_in_a_table_is_a_warning(tmp_path):
    (tmp_path / "a.tsv").write_text('1\t"who is\n2\twho was "x"\n')
    with pytest.warns(DataWarning, match=r"a\.tsv:1: a cell that begins with a quote which does not close"):
        assert [one.text for one in load_questions(tmp_path / "a.tsv")] == ['"who is', 'who was "x"']
    (tmp_path / "b.csv").write_text("question,level,answers\nwho is,3,Ann\n")
    with pytest.warns(DataWarning, match="columns passed over: level"):
        assert load_questions(tmp_path / "b.csv")[0].answers == ("Ann",)
    (tmp_path / "c.csv").write_text('question,answers\n"who is,Ann\nwho was",Bob\n')
    with pytest.warns(DataWarning, match="a line end inside a cell"):
        load_questions(tmp_path / "c.csv")


@pytest.mark.parametrize(
    ("extra", "ids"),
    [
        ({"ctxs": [{"id": "1", **OSLO}, {"id": "2", **BERGEN}]}, ["1", "2"]),
        ({"passages": [{"id": 1, **OSLO}, {"id": 2, **BERGEN}]}, ["1", "2"]),  # Atlas
        ({"ctxs": [OSLO["text"], BERGEN["text"]]}, None),
        ({"positive_ctxs": [{"passage_id": "1", **OSLO, "score": 1000}], "negative_ctxs": [],
          "hard_negative_ctxs": [{"psg_id": "2", **BERGEN, "score": 14.0}, {"psg_id": "1", **OSLO}]}, ["1", "2"]),
    ],
)  # fmt: skip
def test_passages_of_examples_under_the_keys_of_the_field(tmp_path, extra, ids):
    questions, corpus, table = load_examples(write(tmp_path / "e.jsonl", {**ASKED, **extra}))
    assert questions[0].answers == ("Oslo",) and [one.text for one in corpus.values()] == [OSLO["text"], BERGEN["text"]]
    assert ids is None or list(corpus) == ids
    assert np.isnan(table.values).all()
    (tmp_path / "e.json").write_text(json.dumps([{**ASKED, **extra}], indent=4))  # DPR's files are lists
    assert list(load_examples(tmp_path / "e.json")[1]) == list(corpus)


def test_squad_and_beir_and_answers_of_other_shapes(tmp_path):
    qas = [{"id": "x", "question": "which capital", "answers": [{"text": "Oslo", "answer_start": 0}]}]
    squad = {"version": "1.1", "data": [{"title": "Oslo_city", "paragraphs": [{"context": OSLO["text"], "qas": qas}]}]}
    for indent in (None, 2):
        (tmp_path / "squad.json").write_text(json.dumps(squad, indent=indent))
        questions, corpus, _ = load_examples(tmp_path / "squad.json")
        assert (questions[0].id, questions[0].answers) == ("x", ("Oslo",))
        assert [(one.title, one.text) for one in corpus.values()] == [("Oslo city", OSLO["text"])]
    queries = write(tmp_path / "queries.jsonl", {"_id": "7", "text": "which capital", "metadata": {}})
    assert [(one.id, one.text) for one in load_questions(queries)] == [("7", "which capital")]
    for answers in ("Oslo", [["Oslo"]], [{"text": "Oslo"}], ["Oslo", "", "\u200b"]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            questions = load_questions(write(tmp_path / "a.jsonl", {"question": "?", "answers": answers}))
        assert questions[0].answers == ("Oslo",)


def test_blank_answers_are_dropped_alike_and_counted_once(tmp_path):
    path = write(tmp_path / "e.jsonl", {**ASKED, "answers": ["Oslo", ""]}, {**ASKED, "answers": [" "], "target": ""})
    with pytest.warns(DataWarning, match=r"e\.jsonl:1: blank answer \(it is passed over\) \(2 times in the file\)"):
        questions = load_questions(path)
    assert [(one.answers, one.target) for one in questions] == [(("Oslo",), None), ((), None)]
    report = validate(path)
    assert report.with_answers == 1 and report.warnings["blank answer (it is passed over)"] == (2, f"{path}:1")


def test_passages_nobody_can_find_are_refused_by_name(tmp_path):
    with pytest.raises(KitError, match=r"wanted passages in ctxs, passages.* given the key 'documents'"):
        load_examples(write(tmp_path / "e.jsonl", {**ASKED, "documents": [OSLO]}))
    with pytest.raises(KitError, match="passages under one key, given ctxs and passages"):
        load_examples(write(tmp_path / "e.jsonl", {**ASKED, "ctxs": [OSLO], "passages": [OSLO]}))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("PID\tText\tTitle\n1\ta b\tT\n", ("1", "T", "a b")),
        ("docid\ttitle\ttext\n1\tT\ta b\n", ("1", "T", "a b")),
        ("text\tid\na b\t1\n", ("1", "", "a b")),
        ("1\ta b\n2\tc\n", ("1", "", "a b")),  # MS MARCO's collection
        ("1\ta b\tT\n", ("1", "T", "a b")),
        ("id\turl\ttext\n1\thttp://x\ta b\n", ("1", "", "a b")),
        ("Doc ID\tPassage Text\tTitle\r\n\r\n1\ta b\tT\r\n\r\n", ("1", "T", "a b")),
        ("\ufeff\n1\ta b\tT\n", ("1", "T", "a b")),
    ],
)
def test_passages_under_any_header(tmp_path, content, wanted):
    (tmp_path / "p.tsv").write_bytes(content.encode())
    passage = load_passages(tmp_path / "p.tsv")["1"]
    assert (passage.id, passage.title, passage.text) == wanted


def test_what_is_no_table_of_passages_is_refused_and_the_strange_is_warned_of(tmp_path):
    (tmp_path / "q.tsv").write_text("query-id\tcorpus-id\tscore\n1\t1\t1\n")
    with pytest.raises(KitError, match="a header with the columns id, text and, if there is one, title"):
        load_passages(tmp_path / "q.tsv")
    (tmp_path / "t.tsv").write_text("id\ttext\ttitle\n1\ta\tb\t\n")
    with pytest.raises(KitError, match=r":2: wanted three columns.*\(a tab at the end of the line\?\)"):
        load_passages(tmp_path / "t.tsv")
    (tmp_path / "u.tsv").write_text('id\ttext\ttitle\n1\tx\tA\n2\t"second\tB\n3\ta pipe of 12"\tC\n')
    with pytest.warns(DataWarning, match=r"u\.tsv:3: passage with a tab or line end in its text"):
        assert len(load_passages(tmp_path / "u.tsv")) == 2
    assert list(validate(tmp_path / "u.tsv").warnings) == [
        "passage with a tab or line end in its text (a quote that is never closed?)"
    ]


def test_passages_of_beir_and_pyserini(tmp_path):
    path = write(tmp_path / "p.jsonl", {"_id": "1", **OSLO, "metadata": {}}, {"id": "2", "contents": "A city."})
    assert [(one.id, one.title, one.text) for one in load_passages(path).values()] == [
        ("1", "Oslo", OSLO["text"]), ("2", "", "A city."),
    ]  # fmt: skip
    assert validate(path).kind == "passages"


@pytest.mark.parametrize(
    "content",
    [
        "1 0 a 1.0\n2 0 b 2\n",
        "query-id\tcorpus-id\tscore\n1\ta\t1\n2\tb\t2\n",
        "# judged by us\n1 0 a 1\n2 0 b +2\n",
        "\ufeffScore\tCorpus-ID\tQuery-ID\r\n1\ta\t1\r\n2\tb\t2\r\n",
        "qid iter docid rel\n1 0 a 1\n2 0 b 2\n",
    ],
)
def test_judgements(tmp_path, content):
    (tmp_path / "qrels").write_bytes(content.encode())
    assert read_qrels(tmp_path / "qrels") == {"1": {"a": 1}, "2": {"b": 2}}


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("qa.tsv", "what is\t['Oslo']\nwho was\t['Ann']\n", "examples"),
        ("named.tsv", "QID\tQuery\n1\twhat is\n2\twho was\n", "examples"),
        ("quiz.csv", "question;answers\nwhat is;Oslo\nwho was;Ann\n", "examples"),
        ("collection.tsv", "1\tOslo is big.\n2\tAnn was tall.\n", "passages"),
    ],
)
def test_a_table_is_validated_as_what_it_holds(tmp_path, name, content, kind):
    (tmp_path / name).write_text(content)
    report = validate(tmp_path / name)
    assert report.kind == kind and report.ok and {"examples": report.questions, "passages": report.passages}[kind] == 2


def test_passages_in_utf_16_are_one_line(tmp_path):
    (tmp_path / "p.tsv").write_bytes("id\ttext\n1\ta b\n".encode("utf-16"))
    with pytest.raises(KitError, match=r"p\.tsv: wanted text in UTF-8, given UTF-16"):
        load_passages(tmp_path / "p.tsv")


def test_judgements_that_come_again(tmp_path):
    (tmp_path / "qrels").write_text("1 0 a 1\n1 0 a 1.0\n")
    with pytest.warns(DataWarning, match="qrels:2: a judgement that comes again"):
        assert read_qrels(tmp_path / "qrels") == {"1": {"a": 1}}


def test_both_formats_that_pyserini_writes_rank_alike(tmp_path):
    (tmp_path / "a.trec").write_text("1 Q0 x 1 9.5 Anserini\n1 Q0 y 2 8.1 Anserini\n")
    (tmp_path / "a.msmarco").write_text("1\tx\t1\n1\ty\t2\n")
    trec, marco = read_run(tmp_path / "a.trec"), read_run(tmp_path / "a.msmarco")
    assert trec.top(2).passage_ids.tolist() == marco.top(2).passage_ids.tolist() == [["x", "y"]]
    assert marco.values.tolist() == [[1.0, 0.5]] and marco.name == "a"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("utf16.jsonl", '{"question": "?"}'.encode("utf-16"), "text in UTF-8, given UTF-16"),
        ("not.jsonl.gz", b'{"question": "?"}', "a gzip file, given one that is not packed"),
        ("concat.json", b'{\n"question": "?"\n}\n{\n"question": "!"\n}\n', "several objects, each over many lines"),
        ("deep.json", b"[" * 100_000, "a JSON list"),
        ("deep.jsonl", b'{"a":' * 100_000, "concat|line|whole"),
        ("empty.jsonl", b"", "wanted examples, given none"),
        ("long.jsonl", b'{"question": "' + b"x" * LONGEST_LINE + b'"}', "lines of at most"),
        ("bomb.jsonl.gz", gzip.compress(b" " * 40_000_000, mtime=0), "unpacks to 300 times its size at most"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(KitError, match=message) as error:
        load_examples(tmp_path / name)
    assert "\n" not in str(error.value)
    assert len(validate(tmp_path / name).errors) == 1 if name == "concat.json" else True
