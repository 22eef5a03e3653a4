"""JSON records: both layouts, gzip, cuts anywhere, errors that name the line, files that appear whole or not at all."""

import gzip
import json

import pytest

from kit.data import json_lists
from kit.data.records import file_format, read_records, writing, writing_records
from kit.types import KitError

RECORDS = [{"a": 1, "text": 'say "[{,}]" \\ é 日本'}, {}, {"b": [1, {"c": None}], "d": "x" * 50, "e": -1.5e-7}]


@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.json.gz", "x.jsonl.gz"])
@pytest.mark.parametrize("rows", [RECORDS, RECORDS[:1], []], ids=["three", "one", "none"])
def test_what_is_written_is_read(tmp_path, name, rows):
    with writing_records(tmp_path / name) as write:
        for row in rows:
            write(row)
    assert [record for _, record in read_records(tmp_path / name)] == rows
    opened = gzip.open if name.endswith("gz") else open
    with opened(tmp_path / name, "rt", encoding="utf-8") as file:
        text = file.read()
    assert ([json.loads(line) for line in text.splitlines()] if "jsonl" in name else json.loads(text)) == rows


@pytest.mark.parametrize(
    "layout", [{}, {"indent": 4}, {"separators": (",", ":")}, {"indent": 40, "ensure_ascii": True}]
)
def test_a_list_may_be_cut_at_any_character(tmp_path, monkeypatch, layout):
    (tmp_path / "x.json").write_text(json.dumps(RECORDS, **layout), encoding="utf-8")
    for piece in (1, 2, 3, 7, 64):
        monkeypatch.setattr(json_lists, "PIECE", piece)
        assert [record for _, record in read_records(tmp_path / "x.json")] == RECORDS


def test_the_first_character_tells_the_layout(tmp_path):
    (tmp_path / "lines.json").write_text('{"a": 1}\n\n  \n{"a": 2}', encoding="utf-8")
    assert list(read_records(tmp_path / "lines.json")) == [(1, {"a": 1}), (4, {"a": 2})]
    (tmp_path / "list.jsonl").write_text('\ufeff \n [{"a": 1},\n\n{"a": 2}]\n', encoding="utf-8")
    assert list(read_records(tmp_path / "list.jsonl")) == [(2, {"a": 1}), (4, {"a": 2})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": \n{"a": 3}', ":2: wanted one whole JSON object a line, given Expecting value"),
        ('{"a": 1}\n[1]\n', ":2: wanted a JSON object, given list"),
        ('{"a": "\\ud800"}', ":1: wanted text in UTF-8, of whole characters"),
        ('[{"a": 1},\n {"a": }]', ":2: wanted a JSON list of objects, given Expecting value"),
        ('[{"a": 1}\n {"a": 2}]', ":2: wanted , or ] of a JSON list, given '{'"),
        ('[{"a": 1},\n {"a": 2}', ":2: wanted , or ] of a JSON list, given ''"),
        ('[{"a": 1}]\n\n{}', ":3: wanted nothing after the JSON list, given '{'"),
        ('[{"a": 1},\n 7]', ":2: wanted a JSON object, given int 7"),
        ('[{"a": "\\uD800"}]', ":1: wanted text of whole characters"),
    ],
)
def test_errors_name_file_and_line(tmp_path, text, message):
    path = tmp_path / "x.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(KitError) as error:
        list(read_records(path))
    assert str(error.value).startswith(f"{path}{message}")


def test_reading_goes_on_after_a_broken_line_where_errors_are_gathered(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b'{"a": 1}\n{"a"\n{"a": "\xff"}\n{"a": 4}\n')
    errors = []
    assert [line for line, _ in read_records(tmp_path / "x.jsonl", errors.append)] == [1, 4]
    assert [error.where[-2:] for error in errors] == [":2", ":3"]


@pytest.mark.parametrize("content", [b"not gzip", gzip.compress(b'{"a": 1}\n' * 999)[:-9]], ids=["no gzip", "cut"])
def test_a_broken_gzip_file_is_the_users_mistake(tmp_path, content):
    (tmp_path / "x.jsonl.gz").write_bytes(content)
    with pytest.raises(KitError, match=r"x\.jsonl\.gz: wanted a (whole )?gzip file"):
        list(read_records(tmp_path / "x.jsonl.gz"))


def test_a_missing_file_and_another_ending_are_the_users_mistakes(tmp_path):
    with pytest.raises(KitError, match="wanted a file that can be read, given No such file"):
        list(read_records(tmp_path / "x.json"))
    with pytest.raises(KitError, match=r"wanted a name that ends in \.json or \.jsonl"):
        file_format("x.csv.gz", (".jsonl", ".json"))


def test_a_stopped_writer_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    with writing_records(path) as write:
        write({"a": 1})
    with pytest.raises(RuntimeError), writing_records(path) as write:
        write({"a": 2})
        raise RuntimeError
    assert list(read_records(path)) == [(1, {"a": 1})]
    assert [file.name for file in tmp_path.iterdir()] == ["x.jsonl.gz"]


def test_the_same_text_gives_the_same_bytes(tmp_path):
    for name in ("a.gz", "b.gz"):
        with writing(tmp_path / name) as text:
            text.write("Bogotá\n")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert (tmp_path / "a.gz").read_bytes()[4:8] == bytes(4)  # the time
