"""The command line: every example of its help runs, mistakes are one line with exit code 2, nothing half-written stays.

One tiny toy folder with random models, in which the examples of `--help` are run literally, one after the other.
"""

from __future__ import annotations

import inspect
import io
import itertools
import json
import re
import shlex
import signal
import subprocess
import sys
import tarfile
from contextlib import chdir, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from kills import killed
from pair_teachers import PairTraining, save_pair_teacher, train_pair_teacher
from t5_start import initial_t5
from test_reader import ORIGINALS, TOKENIZER
from transformers import BertConfig
from typer.main import get_command

from kit.cli import app, main
from kit.cli.options import WRITTEN
from kit.cli.start import flat
from kit.data import load_examples, load_passages, load_questions, read_run, save_passages, save_questions, write_qrels
from kit.encoder import DualEncoder
from kit.files import contents
from kit.index import VectorIndex
from kit.metrics import answer_recall, exact_match
from kit.reader import FiDReader
from kit.toy.vocabulary import bert_tokenizer, t5_tokenizer
from kit.train import Optimisation
from kit.types import KitError

FIGURES = {"reader": {"em": {"all": 0.75}}, "rounds": [{"number": 1, "em": 0.5}], "nothing": float("nan")}


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def kit(line):
    """How the command line ended, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    before = signal.getsignal(signal.SIGTERM)
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            main(shlex.split(line)[1:] if isinstance(line, str) else line)
    finally:
        signal.signal(signal.SIGTERM, before)
    return Ended(end.value.code, out.getvalue(), err.getvalue())


@cache
def commands():
    """Every command by its name, "reader train" for one in a group."""
    found = {}
    for name, command in get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        found |= {name: command} if inner is None else {f"{name} {part}": one for part, one in inner.items()}
    return found


def example(name, number=0):
    """The example in a command's help."""
    lines = [line.strip() for line in commands()[name].help.splitlines()]
    return [line for line in lines if line.startswith("kit ")][number]


@pytest.fixture(scope="module")
def place(tmp_path_factory, world):
    """A folder with toy/ (few questions and passages), texts of one's own, and models/ with two tiny models."""
    folder = tmp_path_factory.mktemp("work")
    questions = {"train": world.questions["train"][:10], "test": world.questions["test"][:6]}
    gold = {name for each in questions.values() for one in each for name in world.gold[one.id]}
    chosen = [world.passages[name] for name in sorted(gold | set(list(world.passages)[:30]))]
    save_passages(folder / "toy" / "passages.tsv", chosen)
    for split, each in questions.items():
        save_questions(folder / "toy" / f"{split}.jsonl", each)
    words = t5_tokenizer()
    FiDReader(initial_t5(words, d_model=16, layers=1), words, max_tokens=64).save_pretrained(folder / "models" / "t5")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    words = bert_tokenizer()
    config = BertConfig(vocab_size=len(words), max_position_embeddings=64, **sizes)
    DualEncoder.from_config(config, words).save_pretrained(folder / "models" / "bert")
    (folder / "notes").mkdir()
    (folder / "notes" / "the nile.txt").write_text("The Nile flows to the sea.\n" * 25)
    (folder / "quiz.csv").write_text('question,answers\nWhere does the Nile flow?,"sea|the sea"\n')
    patch = pytest.MonkeyPatch()
    patch.setattr("kit.checkpoints.downloads.DATA", folder / "models")
    with chdir(folder):
        yield folder
    patch.undo()


@pytest.fixture(scope="module")
def walk(place):
    """The main path from questions to a taught retriever, by the examples of the help: how each command ended."""
    steps = {
        "bm25": example("retriever search"),
        "bm25 test": "kit retriever search toy/test.jsonl --bm25 toy/passages.tsv --k 5 --out toy/test.bm25.jsonl",
        "reader train": f"{example('reader train')} --steps 2 --batch 2 --n-context 2 --dev toy/test.bm25.jsonl",
        "reader evaluate": f"{example('reader evaluate')} --max-answer 3 --scores toy/test.scored.jsonl",
        "reader score": example("reader score"),
        "retriever train": f"{example('retriever train')} --steps 2 --batch 2 --dev toy/train.scored.jsonl",
        "recipe dpr": f"{example('retriever train', 1)} --steps 2 --batch 4",
        "retriever embed": example("retriever embed"),
        "retriever index": example("retriever index"),
        "dense": f"{example('retriever search', 1)} --out toy/test.dense.jsonl --run toy/dense.run",
    }
    ended = {}
    for name, line in steps.items():
        ended[name] = kit(line)
        assert ended[name].code == 0, (line, ended[name])
    return ended


def test_every_command_has_help_with_an_example_of_itself():
    assert len(commands()) == 17
    for name in commands():
        ended = kit(f"kit {name} --help")
        assert ended.code == 0 and example(name).startswith(f"kit {name}") and example(name) in ended.out
    for name in ("", "data ", "reader ", "retriever "):
        assert kit(f"kit {name}--help").code == 0
    assert kit("kit reader").code == 2 and "score" in kit("kit reader").err


def test_every_example_parses_against_its_command():
    lines = [(name, line.strip()) for name, one in commands().items() for line in one.help.splitlines()]
    lines = [(name, line) for name, line in lines if line.startswith("kit ")]
    assert {name for name, _ in lines} == set(commands()) and len(lines) > len(commands())
    for name, line in lines:
        words = shlex.split(line)[1 + len(name.split()) :]
        assert commands()[name].make_context(name, words).params


def test_help_and_mistakes_load_nothing_heavy():
    code = (
        "import sys\nfrom kit.cli import main\ntry:\n    main(['reader', 'train', '--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'transformers', 'pandas', 'faiss') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


def test_search_by_words_prints_the_recall_of_its_file(walk, place):
    questions, corpus, table = load_examples("toy/test.bm25.jsonl")
    assert table.values.shape == (6, 5)
    recall = answer_recall(table, questions, corpus, (1, 5))
    for k, value in recall.items():
        assert f"answer recall@{k}  {value:.3f} [" in walk["bm25 test"].out
    assert [one.id for one in questions] == [one.id for one in load_questions("toy/test.jsonl")]


def test_reader_train_leaves_a_reader_and_its_history_and_no_checkpoints(walk, place):
    assert FiDReader.from_pretrained("toy/reader", device="cpu").max_tokens == 64
    history = json.loads((place / "toy" / "reader.json").read_text())
    assert [row["step"] for row in history["losses"]] == [1, 2] and "em" in history["evaluations"][-1]
    assert not (place / "toy" / "reader.training").exists()
    assert "toy/reader (loss" in walk["reader train"].out


def test_reader_evaluate_prints_what_the_predictions_say(walk, place):
    rows = [json.loads(line) for line in (place / "toy" / "answers.jsonl").read_text().splitlines()]
    assert len(rows) == 6 and rows[0].keys() == {"id", "question", "prediction", "answers", "em"}
    assert all(row["em"] == exact_match(row["prediction"], row["answers"]) for row in rows)
    mean = sum(row["em"] for row in rows) / 6
    out = walk["reader evaluate"].out
    assert f"exact match             {mean:.3f} [" in out and "F1" in out and "answer in the passages" in out
    _, _, scored = load_examples("toy/test.scored.jsonl")
    assert scored.values.shape == (6, 5) and (scored.mask == (scored.values == scored.values)).all()


def test_reader_evaluate_compares_numbers_of_passages(walk):
    ended = kit("kit reader evaluate toy/test.bm25.jsonl --model toy/reader --n-context 1 --n-context 3 --max-answer 2")
    passages = [line.split()[0] for line in ended.out.splitlines() if "exact match" in line]
    assert ended.code == 0 and passages == ["1", "3"]
    line = "kit reader evaluate toy/test.bm25.jsonl --model toy/reader --n-context 1 --n-context 3 --scores x.jsonl"
    assert kit(line).code == 2


def test_reader_score_writes_the_teachers_scores_in_the_same_cells(walk, place):
    before, after = load_examples("toy/train.bm25.jsonl")[2], load_examples("toy/train.scored.jsonl")[2]
    assert (before.passage_ids == after.passage_ids).all()
    assert not (before.values == after.values).any() and (after.mask == (after.values == after.values)).all()
    assert walk["reader score"].out == "toy/train.scored.jsonl\n"


@pytest.mark.parametrize("teacher", ["pdist", "loop"])
def test_reader_score_with_other_teachers(walk, place, teacher):
    line = f"{SCORE} --model toy/reader --teacher {teacher} --n-context 2 --out {teacher}.jsonl"
    assert kit(line).code == 0
    values = load_examples(place / f"{teacher}.jsonl")[2].values
    assert ((values == values).sum(axis=1) <= 2).all() and (values == values).any()


def test_recipes_from_the_command_line(walk, place):
    two = DualEncoder.from_pretrained("toy/dpr", device="cpu")
    assert walk["recipe dpr"].code == 0 and two.family.two_towers
    assert not DualEncoder.from_pretrained("toy/retriever", device="cpu").family.two_towers
    line = "kit retriever train toy/train.bm25.jsonl --model toy-bert --steps 2 --batch 2 --seed 3"
    for name in ("fid-kd", "atlas-pdist", "atlas-loop", "atlas-adist", "atlas-emdr2"):
        ended = kit(f"{line} --recipe {name} --teacher toy/reader --out {name}")
        assert ended.code == 0 and (place / name / "model.safetensors").exists(), ended
    assert kit(f"{line} --recipe margin-mse --out pairs").code == 0
    first = json.loads((place / "fid-kd.json").read_text())["losses"]
    other = json.loads((place / "atlas-pdist.json").read_text())["losses"]
    assert len(first) == 2 and first[0]["loss"] != other[0]["loss"]


def test_a_loss_of_ones_own_leaves_the_recipes_temperatures(walk, place):
    line = f"{TEACH} --recipe fid-kd --steps 1 --batch 2"
    losses = {}
    for name, more in {"own": "", "as": " --temperature 1 --teacher-temperature 4", "same": " --loss kl"}.items():
        assert kit(f"{line.replace('--out new', f'--out loss-{name}')}{more}").code == 0
        losses[name] = json.loads((place / f"loss-{name}.json").read_text())["losses"][0]["loss"]
    assert losses["own"] == losses["as"] == losses["same"]
    assert kit(f"{line.replace('--out new', '--out loss-js')} --loss js").code == 0


def tokenizer_of(folder, count):
    """The golden tokenizer's first `count` tokens: it has sentinels beyond the small originals' embeddings."""
    read = {path.name: json.loads(path.read_text()) for path in TOKENIZER.glob("*.json")}
    tokens, settings = read["tokenizer.json"], read["tokenizer_config.json"]
    tokens["model"]["vocab"] = tokens["model"]["vocab"][:count]
    tokens["added_tokens"] = [token for token in tokens["added_tokens"] if token["id"] < count]
    settings["extra_special_tokens"] = [token["content"] for token in tokens["added_tokens"]]
    settings["extra_ids"] = sum("extra_id" in token["content"] for token in tokens["added_tokens"])
    folder.mkdir()
    for name, value in read.items():
        (folder / name).write_text(json.dumps(value))
    return folder


def test_an_original_release_is_read_scored_and_generated_from(walk, place):
    words = tokenizer_of(place / "words", 128)
    with tarfile.open("nq_reader_base.tar.gz", "w:gz") as tar:
        for file in ("config.json", "pytorch_model.bin"):
            tar.add(ORIGINALS[1] / file, arcname=f"nq_reader_base/{file}")
    model = f"--model nq_reader_base.tar.gz --tokenizer {words} --n-context 3"
    line = "kit reader evaluate toy/test.bm25.jsonl"
    ended = kit(f"{line} {model} --predictions said.jsonl --scores seen.jsonl --max-answer 5")
    assert ended.code == 0 and "exact match" in ended.out
    assert kit(f"{SCORE} {model} --out told.jsonl").code == 0
    reader = FiDReader.from_pretrained(ORIGINALS[1], tokenizer=words, device="cpu")
    questions, corpus, table = load_examples("toy/test.bm25.jsonl")
    reading = reader.read(questions, corpus, table, n_context=3, max_new_tokens=5)
    said = [json.loads(row)["prediction"] for row in (place / "said.jsonl").read_text().splitlines()]
    assert said == [reading.answers[question.id] for question in questions] and any(said)
    for name in ("seen", "told"):
        values = load_examples(f"{name}.jsonl")[2].values[:, :3]
        assert np.allclose(values, reading.scores.values, rtol=1e-4, equal_nan=True)


PAIRS = {"extractive_reader": ("dpr-reader", ("rdr",)), "cross_encoder": ("bert-cat", ("margin-mse", "tas-b"))}


@pytest.mark.parametrize("kind", PAIRS)
def test_pair_teachers_score_and_teach(walk, place, kind):
    folder, recipes = PAIRS[kind]
    start = DualEncoder.from_pretrained("models/bert", device="cpu")
    questions, corpus, table = load_examples("toy/train.bm25.jsonl")
    few = PairTraining(Optimisation(steps=1), questions=2, negatives=1, others=0)
    teacher = train_pair_teacher(kind, start, questions, corpus, table, few, progress=False)
    save_pair_teacher(teacher, place / "models" / folder)
    assert kit(f"{SCORE} --model toy-{folder} --teacher {kind} --out {kind}.jsonl").code == 0
    questions, corpus, table = load_examples("toy/test.bm25.jsonl")
    written = load_examples(f"{kind}.jsonl")[2].values
    assert np.allclose(written, teacher.score(questions, corpus, table).values, atol=1e-6, equal_nan=True)
    for name in recipes:
        line = example("retriever train", 2).replace("rdr", name).replace("toy-dpr-reader", f"toy-{folder}")
        assert kit(f"{line} --steps 1 --batch 2").code == 0
        assert (place / "toy" / name / "model.safetensors").exists()


def test_the_retriever_is_taught_embedded_indexed_and_searched(walk, place):
    index = VectorIndex.load("toy/index")
    encoder = DualEncoder.from_pretrained("toy/retriever", device="cpu")
    assert index.fingerprint == encoder.fingerprint and index.dimension == 16
    assert "kendall" in walk["retriever train"].out
    table, run = load_examples("toy/test.dense.jsonl")[2], read_run("toy/dense.run")
    assert table.values.shape == (6, 20) and (table.passage_ids == run.passage_ids).all()
    exact = kit("kit retriever search toy/test.jsonl --index toy/vectors --model toy/retriever --run exact.run --k 20")
    assert exact.code == 0
    assert (
        read_run("exact.run").passage_ids == run.passage_ids
    ).mean() > 0.9  # float16 on disk for both; ties may turn


def test_search_with_judgements(walk, place):
    run = read_run("toy/dense.run")
    best = {name: {ids[0]: 1} for name, ids in zip(run.question_ids, run.passage_ids, strict=True)}
    write_qrels("qrels", best)
    line = "kit retriever search toy/test.jsonl --index toy/index --model toy/retriever --k 10 --qrels qrels"
    out = kit(line).out
    assert "MRR@10     1.000 [1.000, 1.000]" in out and "MAP        1.000 [1.000, 1.000]" in out


def test_rounds(place, walk):
    line = f"{example('rounds')} --reader-steps 1 --student-steps 1 --k 6 --n-context 2 --scored 3"
    ended = kit(line)
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0].split() == ["round", "retriever", "R@1", "R@5", "EM"] and [row[0] for row in lines[1:]] == [
        "0",
        "1",
    ]


KILLS = {
    "search": (
        "retriever search toy/test.jsonl --bm25 toy/passages.tsv --k 3 --out {0}/a.jsonl --run {0}/b.run",
        "--k 2",
    ),
    "score": ("reader score toy/test.bm25.jsonl --model toy/reader --n-context 2 --out {0}/a.jsonl", "--n-context 1"),
    "index": ("retriever index toy/vectors --out {0}/a", "--spec SQfp16"),
    "prepare": ("data prepare notes --out {0}/a.tsv --words 10", "--words 5"),
}


def tree(folder):
    return {str(one.relative_to(folder)): one.read_bytes() for one in contents(folder) if one.is_file()} | {
        f"{one.name}/{key}": value for one in contents(folder) if one.is_dir() for key, value in tree(one).items()
    }


@pytest.mark.parametrize("name", KILLS)
def test_a_command_that_is_killed_leaves_the_old_files_or_the_new_ones(place, walk, name):
    line, other = KILLS[name]
    line = f"kit {line.format(f'kills-{name}')}"
    changed = re.sub(rf"{other.split()[0]} \S+", other, line) if other.split()[0] in line else f"{line} {other}"
    folder = place / f"kills-{name}"
    folder.mkdir()
    assert kit(changed).code == 0
    new = tree(folder)
    assert kit(line).code == 0
    old = tree(folder)
    assert old.keys() == new.keys() and old != new
    moments = [*range(1, 9, 2), 10**6]

    def command():
        torch.set_num_threads(1)  # the threads of the process that was forked are not here
        kit(changed)

    codes = []
    for number in moments:
        codes.append(killed(command, number))
        after = tree(folder)
        assert after.keys() == old.keys(), "a file is missing, or half of one has a final name"
        assert all(after[key] in (old[key], new[key]) for key in after)
    assert codes[0] == 9 and codes[-1] == 0 and after == new
    assert len(list(folder.iterdir())) == len(contents(folder)), "what the dead left is taken away"


def test_rounds_that_are_killed_go_on_to_the_same_numbers(place, walk):
    line = f"{example('rounds')} --reader-steps 1 --student-steps 1 --k 6 --n-context 2 --scored 3"
    whole = kit(line.replace("toy/rounds", "toy/whole"))
    line = line.replace("toy/rounds", "toy/killed")
    codes = [killed(lambda: (torch.set_num_threads(1), kit(line)), number) for number in (5, 40, 90)]
    assert codes == [9, 9, 9]
    assert kit(line).out == whole.out


def test_data_toy(place):
    assert kit("kit data toy small --made 3 --seed 1").code == 0
    assert len(load_questions("small/train.jsonl")) > 100 and (place / "small" / "passages.tsv").exists()
    again = "kit data toy small --made 3 --seed 2"
    assert kit(again).code == 0 and kit("kit data toy notes --made 3").code == 2
    (place / "small" / "passages.tsv").write_text("id\ttext\ttitle\n1\tmy own work\t\n")
    ended = kit(again)
    assert ended.code == 2 and "small/passages.tsv: wanted a name that is free for toy data" in ended.err
    assert "my own work" in (place / "small" / "passages.tsv").read_text()


def test_data_prepare(place):
    ended = kit(example("data prepare"))
    assert ended.code == 0, ended.err
    rows = (place / "mine" / "passages.tsv").read_text().splitlines()
    assert rows[0] == "id\ttext\ttitle" and [row.split("\t")[0] for row in rows[1:]] == ["the_nile-0", "the_nile-1"]
    assert rows[1].endswith("\tthe nile") and len(rows[1].split("\t")[1].split()) == 100
    assert load_questions("mine/quiz.jsonl")[0].answers == ("sea", "the sea")
    assert "2 passages" in ended.out and "1 questions, 1 with answers" in ended.out


def test_data_prepare_reads_json_lines_and_refuses_one_id_twice(place):
    (place / "texts.jsonl").write_text('{"id": 7, "title": "A", "text": "one two three"}\n\n{"text": "four"}\n')
    assert kit("kit data prepare texts.jsonl --out cut.jsonl --words 2").code == 0
    ids = [json.loads(line)["id"] for line in (place / "cut.jsonl").read_text().splitlines()]
    assert ids == ["7-0", "7-1", "texts:3-0"]
    (place / "texts.jsonl").write_text('{"id": 7, "text": "one"}\n{"id": "7", "text": "two"}\n')
    ended = kit("kit data prepare texts.jsonl --out other/cut.tsv")
    assert ended.code == 2 and "texts.jsonl:2: wanted an id other than that of texts.jsonl:1, given '7'" in ended.err
    assert not (place / "other").exists()


def test_question_tables(place):
    (place / "dpr.tsv").write_text("who?\t['Ann', \"O'Neil\"]\nwhere\t[]\n")
    assert [one.answers for one in load_questions(place / "dpr.tsv")] == [("Ann", "O'Neil"), ()]
    (place / "named.csv").write_text("id,answer,question\nx,Ann,who?\nx,Bob,\n")
    with pytest.raises(KitError, match=r"named\.csv:3: wanted a question, given an empty cell"):
        load_questions(place / "named.csv")
    (place / "named.csv").write_text("question,answers\nwho, or what?,Ann\n")
    with pytest.raises(KitError, match=r"named\.csv:2: wanted 2 columns"):
        load_questions(place / "named.csv")


def test_data_validate(place, walk):
    ended = kit(example("data validate"))
    assert ended.code == 0 and "6 questions" in ended.out
    (place / "two.jsonl").write_text('{"question": "a"}\n{"question": 1}\nno\n')
    ended = kit("kit data validate toy/test.jsonl two.jsonl")
    assert ended.code == 2 and "two.jsonl:2" in ended.out and "two.jsonl:3" in ended.out
    assert ended.err == "kit: error: kit data validate: wanted files without errors, given 2 in the report above\n"


def test_data_download_lists_and_refuses(place):
    ended = kit(example("data download"))
    assert ended.code == 0 and "nq_reader_base" in ended.out
    names = "nq, triviaqa, wikipedia, nq_reader_base"
    assert kit("kit data download").err.startswith(f"kit: error: NAME: wanted one of {names}")


def test_quickstart(place, monkeypatch):
    asked = {}

    def run_quickstart(folder, *, seed, log, progress):
        print("a library that prints")
        asked.update(folder=str(folder), seed=seed)
        log("reading")
        (folder / "report.html").parent.mkdir(parents=True, exist_ok=True)
        (folder / "report.html").touch()
        return FIGURES

    monkeypatch.setattr("kit.quickstart.run_quickstart", run_quickstart)
    ended = kit(f"{example('quickstart')} --seed 3 --json")
    told = json.loads(ended.out)
    assert asked == {"folder": "runs/quickstart", "seed": 3} and "reading" in ended.err and "prints" in ended.err
    assert told["reader"] == {"em": {"all": 0.75}} and told["nothing"] is None
    assert told["report"] == "runs/quickstart/report.html"
    ended = kit(example("quickstart"))
    assert "reader em all  0.750" in ended.out and ended.out.endswith("report: runs/quickstart/report.html\n")
    assert ("rounds 1 em", "0.500") in flat(FIGURES)


def test_quickstart_refuses_a_folder_of_another_origin(place):
    (place / "thesis").mkdir()
    for name in ("figures.json", "passages.tsv", "thesis.tex"):
        (place / "thesis" / name).write_text("years of work")
    ended = kit("kit quickstart --folder thesis")
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert ended.err.startswith("kit: error: thesis: wanted a new or empty folder, or one with the run.json")
    assert {path.read_text() for path in (place / "thesis").iterdir()} == {"years of work"}


def test_lab(place, monkeypatch):
    started = []

    class Server:
        def __init__(self, command):
            started.append(command)

        def wait(self):
            return 3

    monkeypatch.setattr("kit.course.lab.subprocess.Popen", Server)
    ended = kit(example("lab"))
    assert ended.code == 3 and started[0][1:] == ["-m", "jupyterlab", "kit-course", "--no-browser", "--port", "8899"]
    assert "kit-course: new: " in ended.err and (place / "kit-course" / "checks" / "compare.py").exists()
    (place / "kit-course" / "00_start_here.ipynb").write_text("my own work")
    ended = kit(example("lab", 1))
    assert ended.code == 3 and started[1][3:] == ["kit-course", "--allow-root"]
    assert "kit-course: kept: 00_start_here.ipynb" in ended.err
    assert (place / "kit-course" / "00_start_here.ipynb").read_text() == "my own work"
    monkeypatch.setattr("kit.course.lab.find_spec", lambda name: None)
    assert "kit lab: wanted JupyterLab (pip install jupyterlab)" in kit("kit lab").err


READ, SCORE = "kit reader evaluate toy/test.bm25.jsonl --model toy-t5", "kit reader score toy/test.bm25.jsonl"
TRAIN = "kit reader train toy/train.bm25.jsonl --model toy-t5 --out"
TEACH = "kit retriever train toy/train.scored.jsonl --model toy-bert --out new"
EMBED = "kit retriever embed toy/passages.tsv --model toy-bert --out new"
SEARCH = "kit retriever search toy/test.jsonl"
ROUNDS = "kit rounds new --train toy/train.jsonl --test toy/test.jsonl --passages toy/passages.tsv"
NO_FILE = "none.jsonl: wanted a file that can be read, given No such file"
BROKEN = "broken.jsonl:2: wanted one whole JSON object a line"
MISTAKES = {
    "kit reader evaluate none.jsonl --model toy-t5": NO_FILE,
    "kit reader score none.jsonl --model toy-t5 --out new.jsonl": NO_FILE,
    "kit reader score broken.jsonl --model toy-t5 --out new.jsonl": BROKEN,
    "kit reader train broken.jsonl --model toy-t5 --out new": BROKEN,
    f"{TRAIN} notes": "notes: wanted a new folder, or one with",
    f"{TRAIN} new --scale huge": "--scale: wanted one of toy, full",
    f"{TRAIN} new --model ./none": "./none: wanted a checkpoint folder",
    f"{TRAIN} new --model nq_retriever": "nq_retriever: wanted a reader",
    f"{TRAIN} new --precision fp8": "--precision: wanted one of no, bf16",
    f"{READ} --device gpu": "device: wanted auto, cpu, cuda or cuda:<n>",
    f"{READ} --dtype float16": "dtype: wanted one of auto, float32, bfloat16",
    f"{READ} --predictions new.txt": "new.txt: wanted a name that ends in",
    f"{SCORE} --model toy-t5 --teacher bm25 --out new.jsonl": "--teacher: wanted one of",
    f"{SCORE} --model toy-t5 --teacher pdist --aggregation adist --out new.jsonl": "--aggregation: wanted the teacher",
    f"{SCORE} --model toy-t5 --out toy/test.bm25.jsonl": "wanted another file than those that are read",
    f"{SCORE} --model toy-t5 --aggregation sum --out new.jsonl": "--aggregation: wanted one of",
    f"{TEACH} --loss huber": "--loss: wanted one of kl,",
    f"{TEACH} --loss mse --temperature 2": "--temperature: wanted a loss with a temperature",
    f"{TEACH} --family t5": "--family: wanted one of",
    f"{TEACH} --recipe kd": "--recipe: wanted one of fid-kd, rdr, margin-mse",
    f"{TEACH} --scale published": "--scale: wanted one of toy, full",
    f"{TEACH} --recipe dpr --teacher toy/reader": "--teacher: wanted none: dpr learns from answers",
    f"{TEACH} --recipe dpr --loss kl": "--loss: wanted none: dpr has its own loss",
    f"{TEACH} --recipe tas-b": "--teacher: wanted a checkpoint: tas-b scores",
    f"{TEACH} --recipe margin-mse --n-context 4": "--n-context: wanted none: batches of margin-mse",
    TEACH.replace("scored", "nothing"): "toy/train.nothing.jsonl: wanted a file that can be read",
    TEACH.replace(".scored", ""): "distil: wanted questions with at least two",
    f"{EMBED} --part 2/2": "--part: wanted i/n",
    f"{EMBED} --vectors int8": "--vectors: wanted one of float16, float32",
    "kit retriever index toy/vectors --out new --spec Flt": "--spec Flt: wanted a factory string of FAISS",
    "kit retriever index toy --out new": "toy: wanted finished vectors",
    f"{SEARCH} --out new.jsonl": "--index, --bm25: wanted one of the two, given neither",
    f"{SEARCH} --index toy/index": "--model: wanted the encoder",
    f"{SEARCH} --index toy/index --model toy/reader --out new.jsonl": "--passages: wanted",
    f"{SEARCH} --index toy/index --model toy-bert": "DenseRetriever: wanted vectors of this",
    f"{SEARCH} --bm25 toy/passages.tsv --k many": "Invalid value for '--k'",
    f"{SEARCH} --bm25 toy/passages.tsv --top 3": "No such option: --top",
    f"{ROUNDS} --loss no": "--loss: wanted one of kl,",
    "kit data prepare quiz.csv --out new.tsv": "quiz.csv: wanted a file that ends in .txt",
    "kit data prepare notes --out new.txt": "new.txt: wanted a name that ends in",
    "kit data prepare notes --questions toy/test.jsonl --out toy/new.tsv": "toy/test.jsonl: wanted another file",
    "kit bench --size huge": "--size: wanted one of tiny, small, base, large",
    "kit reader train": "Missing argument",
    "kit read": "No such command 'read'",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line_with_exit_code_2_and_leaves_nothing(place, walk, line):
    (place / "broken.jsonl").write_text('{"question": "a", "answers": ["b"], "ctxs": []}\n{"question": \n')
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}
    ended = kit(line)
    assert ended.code == 2 and ended.out == ""
    assert ended.err.startswith("kit: error: ") and ended.err.count("\n") == 1 and MISTAKES[line] in ended.err
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()} == before
    assert not [path for path in place.iterdir() if path.name.startswith("new")]


def test_an_error_of_the_kit_itself_keeps_its_traceback(place, monkeypatch):
    monkeypatch.setattr("kit.data.validate", lambda path, regex: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["data", "validate", "toy/test.jsonl"])


def test_ctrl_c_is_one_line_and_130(place, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("kit.data.validate", interrupted)
    assert kit("kit data validate toy/test.jsonl") == Ended(130, "", "kit: stopped\n")


def test_a_training_that_is_stopped_goes_on(place, walk, monkeypatch):
    from kit.train.batches import Stream

    line = "kit reader train toy/train.bm25.jsonl --model toy-t5 --out again --batch 2 --n-context 2 --steps 3"
    batch = Stream.batch

    def stopped(stream, number):
        if number == 2:
            raise KeyboardInterrupt
        return batch(stream, number)

    monkeypatch.setattr(Stream, "batch", stopped)
    ended = kit(f"{line} --save-every 1")
    assert ended.code == 130 and not (place / "again").exists()
    told = "kit: stopped: at step 2; the same command goes on from the last checkpoint in again.training"
    assert ended.err.splitlines()[-1] == told
    monkeypatch.setattr(Stream, "batch", batch)
    assert kit(f"{line} --save-every 1").code == 0
    history = json.loads((place / "again.json").read_text())["losses"]
    assert [row["step"] for row in history] == [1, 2, 3] and (place / "again" / "model.safetensors").exists()
    assert not (place / "again.training").exists()


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("retriever search toy/test.jsonl --bm25 toy/passages.tsv --out toy/test.jsonl", "toy/test.jsonl"),
        ("retriever search toy/test.jsonl --bm25 toy/passages.tsv --run toy/passages.tsv", "toy/passages.tsv"),
        ("retriever search toy/test.jsonl --bm25 toy/passages.tsv --run x.jsonl --out x.jsonl", "x.jsonl"),
        ("reader evaluate toy/test.bm25.jsonl --model toy-t5 --scores toy/test.bm25.jsonl", "toy/test.bm25.jsonl"),
        ("reader evaluate toy/test.bm25.jsonl --model toy-t5 --predictions toy/test.bm25.jsonl", "toy/test.bm25.jsonl"),
        ("reader score toy/test.bm25.jsonl --model toy-t5 --out toy/test.bm25.jsonl", "toy/test.bm25.jsonl"),
        ("data prepare cut.jsonl --out cut.jsonl", "cut.jsonl"),
        ("data prepare notes --out notes/the.jsonl", "notes/the.jsonl"),
    ],
)
def test_no_command_writes_over_what_it_reads(place, walk, line, file):
    (place / "cut.jsonl").write_text('{"text": "one two"}\n')
    (place / "notes" / "the.jsonl").write_text('{"text": "one two"}\n')
    before = (place / file).read_bytes() if (place / file).exists() else None
    ended = kit(f"kit {line}")
    assert ended.code == 2 and ended.err.startswith(f"kit: error: {file}: wanted a"), ended
    assert before is None or (place / file).read_bytes() == before
    (place / "notes" / "the.jsonl").unlink()


def functions():
    """The function of every command, by its name."""
    for group in [*app.registered_groups, app]:
        inner = getattr(group, "typer_instance", group)
        before = f"{group.name} " if inner is not group else ""
        yield from ((f"{before}{one.callback.__name__}", one.callback) for one in inner.registered_commands)


def test_no_output_of_any_command_is_one_of_its_inputs(place):
    """Each output with each input that is a path, and the same for the history and the checkpoints of a training."""
    file = place / "taken.jsonl"
    tried = set()
    for name, function in functions():
        parameters = inspect.signature(function, eval_str=True).parameters
        paths = {one for one in parameters if "Path" in str(parameters[one].annotation)}
        outputs = [one for one in paths if one in WRITTEN]
        needed = dict.fromkeys(one for one in parameters if parameters[one].default is inspect.Parameter.empty)
        for output, source in itertools.product(outputs, sorted({*parameters} & {"model"} | paths - set(outputs))):
            for target in [file, place / "taken"] if output == "out" and "work" in paths else [file]:
                taken = file if target == file else place / "taken.json"
                taken.write_text("mine")
                value = [taken] if "list" in str(parameters[source].annotation) else taken
                given = needed | dict.fromkeys(paths) | {"out": Path("new")} | {source: value, output: target}
                given = {one: value for one, value in given.items() if one in parameters}
                with pytest.raises(KitError, match="wanted another file than those that are read"):
                    function(**given)
                assert taken.read_text() == "mine"
                tried.add((name, output))
    assert len(tried) >= 12 and {name for name, _ in tried} >= {"retriever search", "rounds", "course", "data prepare"}


def test_judgements_that_do_not_meet_the_passages_are_an_error_and_others_are_counted(place, walk):
    question, passage = load_questions("toy/test.jsonl")[0], next(iter(load_passages("toy/passages.tsv")))
    line = "kit retriever search toy/test.jsonl --bm25 toy/passages.tsv --k 5 --qrels q.txt"
    (place / "q.txt").write_text(f"{question.id} 0 {passage} 1\n{question.id} 0 other 1\nx 0 y 1\n")
    ended = kit(line)
    assert ended.code == 0 and "judged 1 of 6 questions, 1 of 2 judged passages in the corpus" in ended.out
    (place / "q.txt").write_text(f"{question.id} 0 D1 1\n")
    ended = kit(line)
    assert ended.code == 2 and "wanted judged passages in the corpus, given none of 1" in ended.err


def test_a_search_that_finds_nothing_says_so(place):
    (place / "zh.jsonl").write_text('{"question": "\u632a\u5a01", "answers": ["x"]}\n', encoding="utf-8")
    ended = kit("kit retriever search zh.jsonl --bm25 toy/passages.tsv --k 5")
    assert ended.code == 0 and "kit: warning: nothing was found for any question" in ended.err


def test_questions_without_passages_are_an_error_unless_closed_book_is_asked_for(place, walk):
    ended = kit("kit reader evaluate toy/test.jsonl --model toy-t5 --max-answer 2")
    assert ended.code == 2 and "given 6 questions and no passage" in ended.err
    assert kit("kit reader train toy/train.jsonl --model toy-t5 --out no --steps 1").code == 2
    assert kit("kit reader evaluate toy/test.jsonl --model toy-t5 --max-answer 2 --closed-book").code == 0


def test_patterns_are_matched_by_exact_match_too(place, walk):
    record = {"question": "which year?", "answers": [".*"], "ctxs": [{"id": "a", "text": "It sank in 1912."}]}
    (place / "regex.jsonl").write_text(json.dumps(record) + "\n")
    line = "kit reader evaluate regex.jsonl --model toy-t5 --max-answer 2"
    exact = [
        next(row for row in kit(one).out.splitlines() if "exact match" in row) for one in (line, f"{line} --regex")
    ]
    assert "0.000" in exact[0] and "1.000" in exact[1]


def test_what_is_strange_in_a_file_is_one_line(place):
    (place / "blank.jsonl").write_text('{"question": "a", "answers": ["x", ""]}\n')
    ended = kit("kit retriever search blank.jsonl --bm25 toy/passages.tsv --k 5")
    assert "kit: warning: blank.jsonl:1: blank answer (it is passed over)\n" in ended.err


def test_a_teachers_triples_train_a_student_from_the_command_line(place, monkeypatch):
    folder = place / "triples"
    folder.mkdir()
    rows = ["11.2\t2.1\t1\ta\tb", "10.1\t3.3\t2\tb\tc", "9.9\t-1.0\t3\tc\ta"]
    (folder / "kd.tsv").write_text("\n".join(rows) + "\n")
    (folder / "q.tsv").write_text("1\twhat is a\n2\twhat is b\n3\twhat is c\n")
    (folder / "p.tsv").write_text("a\tthe first\nb\tthe second\nc\tthe third\n")
    line = example("retriever train", 3).replace("toy-bert", str(place / "models" / "bert"))
    monkeypatch.chdir(folder)
    ended = kit(f"{line} --steps 2 --batch 2 --family bert-dot")
    assert ended.code == 0, ended.err
    assert (folder / "kd" / "kit_encoder.json").exists()
    ended = kit("kit retriever train kd.tsv --model x --out y --recipe margin-mse")
    assert ended.code == 2 and "--questions, --passages: wanted both with a teacher's triples" in ended.err
    (folder / "p.tsv").write_text("a\tthe first\n")
    ended = kit(f"{line} --steps 2")
    assert ended.code == 2 and "wanted all passages of the triples, given no passage" in ended.err
