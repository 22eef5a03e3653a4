"""Two processes of `torchrun` on a CPU: the files and figures of one, for score, evaluate and embed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kit.data import save_examples
from kit.index.vectors import read_vectors
from kit.processes import in_every_process, this_process
from kit.retrieve import BM25
from kit.types import KitError

COMMANDS = """
import sys
from pathlib import Path

import kit.teachers.files
from kit.cli import app
from kit.cli.running import run

kit.teachers.files.CELLS_AT_ONCE = 10  # several parts, the last turn of which is not full
folder, out = map(Path, sys.argv[1:])
common = ["--device", "cpu", "--dtype", "float32"]
examples, reader, encoder = (str(folder / name) for name in ("examples.jsonl", "reader", "encoder"))
commands = [
    ["reader", "score", examples, "--model", reader, "--out", str(out / "scored.jsonl"), *common],
    ["reader", "evaluate", examples, "--model", reader, "--batch", "2", "--max-answer", "5",
     "--predictions", str(out / "answers.jsonl"), "--scores", str(out / "read.jsonl"), *common],
    ["retriever", "embed", str(folder / "passages.jsonl"), "--model", encoder, "--out", str(out / "vectors"),
     "--shard", "9", *common],
]
sys.exit(max(run(app, command) for command in commands))
"""


@pytest.fixture
def outputs(tmp_path, small_reader, small_encoder, world, corpus):
    """The folder of what one process wrote and printed, and that of two."""
    questions = world.questions["test"][:7]
    save_examples(tmp_path / "examples.jsonl", questions, corpus, BM25(corpus).retrieve(questions, 4))
    lines = (f'{{"id": "{one.id}", "title": "{one.title}", "text": "words {one.id}"}}\n' for one in corpus.values())
    (tmp_path / "passages.jsonl").write_text("".join(list(lines)[:25]), encoding="utf-8")
    small_reader.save_pretrained(tmp_path / "reader")
    small_encoder.save_pretrained(tmp_path / "encoder")
    (tmp_path / "commands.py").write_text(COMMANDS, encoding="utf-8")
    launches = {"one": [sys.executable], "two": [sys.executable, "-m", "torch.distributed.run", "--standalone",
                                                 "--nproc-per-node", "2"]}  # fmt: skip
    for name, launch in launches.items():
        (tmp_path / name).mkdir()
        command = [*launch, str(tmp_path / "commands.py"), str(tmp_path), str(tmp_path / name)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        ran = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert ran.returncode == 0, ran.stderr
        (tmp_path / name / "printed.txt").write_text(ran.stdout.replace(f"/{name}/", "/"), encoding="utf-8")
    return tmp_path / "one", tmp_path / "two"


def test_two_processes_write_and_print_what_one_does(outputs):
    one, two = outputs
    for name in ("scored.jsonl", "answers.jsonl", "read.jsonl", "printed.txt"):
        assert (two / name).read_text(encoding="utf-8") == (one / name).read_text(encoding="utf-8") != "", name
    assert sorted(path.name for path in two.iterdir()) == sorted(path.name for path in one.iterdir())
    vectors = [read_vectors(folder / "vectors", verify=True) for folder in outputs]
    assert vectors[0].ids.to_pylist() == vectors[1].ids.to_pylist() and len(vectors[0]) == 25
    np.testing.assert_array_equal(vectors[0].to_array(), vectors[1].to_array())


def test_alone_there_is_one_process():
    assert this_process() == (0, 1) and in_every_process(lambda: 3) == [3]
    with pytest.raises(KitError):
        in_every_process(lambda: read_vectors(Path("nowhere")))
