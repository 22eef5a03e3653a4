"""Passages files against Python's csv reader, the corpus over a file against one in memory, and cutting."""

import csv
import gzip
import io
import pickle
import random

import pytest

from kit.data import Corpus, cut_passages, load_passages, save_passages
from kit.types import KitError, Passage

PASSAGES = [
    Passage("10", "Aaron", 'Aaron (or "Ahärôn") is a prophet.'),
    Passage("9", "", ' "quoted"\ttab\nnew line '),
    Passage("nine", '"', ""),
]


def psgs_w100(rows, **options):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter="\t", **options).writerows(rows)
    return text.getvalue()


@pytest.mark.parametrize("name", ["p.tsv", "p.jsonl", "p.tsv.gz", "p.jsonl.gz"])
def test_what_is_saved_is_loaded(tmp_path, name):
    save_passages(tmp_path / name, PASSAGES)
    corpus = load_passages(tmp_path / name)
    assert list(corpus.values()) == PASSAGES
    assert list(corpus) == ["10", "9", "nine"]
    assert dict(corpus) == dict(Corpus(PASSAGES)) == dict(corpus.items())
    save_passages(tmp_path / f"again-{name}", corpus)
    assert (tmp_path / f"again-{name}").read_bytes() == (tmp_path / name).read_bytes()


def test_tsv_reads_as_the_csv_module_reads_it(tmp_path):
    draw = random.Random(0)
    for trial in range(300):
        words = [["".join(draw.choices('ab"\t\né ', k=draw.randrange(8))) for _ in range(2)] for _ in range(4)]
        rows = [["id", "text", "title"]] * (trial % 2) + [[str(i), *pair] for i, pair in enumerate(words)]
        text = psgs_w100(rows, lineterminator=draw.choice(["\n", "\r\n"]), quoting=draw.choice([0, 1]))
        (tmp_path / "p.tsv").write_bytes(text.encode())
        corpus = load_passages(tmp_path / "p.tsv")
        assert [[p.id, p.text, p.title] for p in corpus.values()] == [[str(i), *pair] for i, pair in enumerate(words)]


def test_the_csv_module_reads_what_is_saved(tmp_path):
    odd = [*PASSAGES, Passage("x", "a\rb", "\r\n")]
    save_passages(tmp_path / "p.tsv", odd)
    with open(tmp_path / "p.tsv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert rows == [["id", "text", "title"]] + [[p.id, p.text, p.title] for p in odd]


def test_a_corpus_over_a_file_finds_every_id_and_no_other(tmp_path):
    draw = random.Random(1)
    ids = draw.sample([str(i) for i in range(5000)] + [f"Zürich-{i}" for i in range(500)], 2000)
    save_passages(tmp_path / "p.tsv", [Passage(i, f"title {i}", f"text {i}") for i in ids])
    corpus = load_passages(tmp_path / "p.tsv")
    assert len(corpus) == 2000
    assert list(corpus) == ids
    assert all(corpus[i] == Passage(i, f"title {i}", f"text {i}") for i in ids)
    for missing in ("", "x", "5001", ids[0] + "0" * 50, 7, None, "\ud800"):
        assert missing not in corpus
    with pytest.raises(KeyError):
        corpus["x"]


@pytest.mark.parametrize("span", [(0, None), (2, None), (1, 2), (0, 99), (-1, None), (3, 3)])
def test_a_span_of_passages(tmp_path, span):
    save_passages(tmp_path / "p.jsonl", PASSAGES)
    for corpus in (Corpus(PASSAGES), load_passages(tmp_path / "p.jsonl")):
        assert list(corpus.passages(*span)) == PASSAGES[slice(*span)]


def test_a_corpus_over_a_file_goes_to_another_process(tmp_path):
    save_passages(tmp_path / "p.tsv", PASSAGES)
    assert list(pickle.loads(pickle.dumps(load_passages(tmp_path / "p.tsv"))).values()) == PASSAGES


def test_an_uncompressed_file_is_mapped_not_read(tmp_path):
    save_passages(tmp_path / "p.tsv", PASSAGES)
    assert type(load_passages(tmp_path / "p.tsv")._data).__name__ == "mmap"


def test_jsonl_ids_may_be_numbers_and_titles_missing(tmp_path):
    (tmp_path / "p.jsonl").write_text('\n{"id": 7, "text": "x", "more": 1}\n\n{"id": "8", "text": "", "title": null}')
    assert list(load_passages(tmp_path / "p.jsonl").values()) == [Passage("7", "", "x"), Passage("8", "", "")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.tsv", "query-id\tcorpus-id\tscore\n1\ta\tb\n", ":1: wanted a header with the columns id, text"),
        ("p.tsv", "id\ttext\ttitle\n1\ta\tb\n2\tc\n3\td\te\n", ":3: wanted three columns"),
        ("p.tsv", "1\ta\tb\tc\n", ":1: wanted three columns"),
        (
            "p.tsv",
            'id\ttext\ttitle\n1\t"a "b" c"\tt\n',
            ":2: wanted three columns id, text, title; quotes at both ends",
        ),
        ("p.tsv", '1\t"open\tt\n2\tb\tt\n', ":1: wanted three columns id, text, title; quotes at both ends"),
        ("p.tsv", "1\ta\tb\n\ta\tb\n", ":2: wanted an id"),
        ("p.tsv", '1\t"a\n\n"\tb\n5\ta\tb\n1\tc\td\n', ":5: wanted an id that no other passage has, given '1'"),
        ("p.tsv", "", ": wanted passages, given none"),
        ("p.tsv", "id\ttext\ttitle\n", ": wanted passages, given none"),
        (
            "p.jsonl",
            '{"id": "1", "text": "a"}\n{"id": "2"}\n',
            ":2: wanted a passage with 'text', given the keys ['id']",
        ),
        (
            "p.jsonl",
            '{"id": "1", "text": "a"}\n{"id": "1", "text": "b"}\n',
            ":2: wanted an id that no other passage has",
        ),
        ("p.jsonl", '{"id": "1", "text": "a"}\n{"id": 2.5, "text": "b"}\n', ":2: wanted a string in 'id', given 2.5"),
        ("p.jsonl", '{"id": "1", "text": "a"\n', ":1: wanted one whole JSON object a line"),
        ("p.jsonl", "7\n", ":1: wanted a JSON object, given 7"),
        ("p.csv", "1,a,b\n", ": wanted a name that ends in .jsonl or .tsv (and .gz), given 'p.csv'"),
    ],
)
def test_errors_name_file_and_line(tmp_path, name, content, message):
    for path in (tmp_path / name, tmp_path / f"{name}.gz"):
        path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
        wanted = message.replace("'p.csv'", repr(path.name))
        with pytest.raises(KitError) as error:
            load_passages(path)
        assert str(error.value).startswith(f"{path}{wanted}")


def test_broken_utf8_is_found_when_the_row_is_read(tmp_path):
    (tmp_path / "p.tsv").write_bytes(b"1\ta\tb\n2\t\xff\tb\n")
    corpus = load_passages(tmp_path / "p.tsv")
    assert corpus["1"].text == "a"
    with pytest.raises(KitError, match=r"p\.tsv:2: wanted text in UTF-8"):
        corpus["2"]


def test_a_file_that_is_not_tsv_is_refused_at_once(tmp_path):
    (tmp_path / "p.tsv").write_text("no tabs in here " * 200_000)  # a search from every character would take hours
    with pytest.raises(KitError, match=r":1: wanted three columns"):
        load_passages(tmp_path / "p.tsv")


def test_one_id_twice_is_refused_in_memory_too():
    with pytest.raises(KitError, match="'10' twice"):
        Corpus([*PASSAGES, PASSAGES[0]])


def test_cutting_keeps_every_word_once_and_in_order():
    draw = random.Random(2)
    texts = [" \n".join(draw.choices(["a", "b,", "é"], k=count)) for count in (0, 1, 99, 100, 101, 250)]
    documents = [Passage(f"d{i}", f"t{i}", text) for i, text in enumerate(texts)]
    blocks = list(cut_passages(documents))
    for document in documents:
        mine = [block for block in blocks if block.title == document.title]
        assert " ".join(block.text for block in mine).split() == document.text.split()
        assert [len(block.text.split()) for block in mine[:-1]] == [100] * len(mine[:-1])
        assert [block.id for block in mine] == [f"{document.id}-{n}" for n in range(len(mine))]
    assert [len(list(cut_passages([d]))) for d in documents] == [0, 1, 1, 1, 2, 3]
    with pytest.raises(KitError, match="words of at least 1, given 0"):
        list(cut_passages(documents, words=0))
