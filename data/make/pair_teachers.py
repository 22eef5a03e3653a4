"""Train the teachers in data/toy that see question and passage together, a BERT_Cat cross-encoder and DPR's extractive
reader: `python data/make/pair_teachers.py`.

Both start from the toy BERT, its layer three times over: to judge whether a question and a passage speak of one thing a
word must first look around itself. They learn from the answers of imagined encyclopaedias, as BERT_Cat learns from MS
MARCO's labels, so that they know none of the questions that they score. They are written in the layout of the released
checkpoints, so that `kit.checkpoints` loads them as it loads those.
Source: Hofstaetter et al. 2020 (RankNet on a positive and its negatives); DPR (Karpukhin et al. 2020), section 6.1.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Unpack

import numpy as np
import torch
import typer
from safetensors.torch import save_file
from tables import Threads, exit_if_interrupted, run_command
from torch import Tensor, nn
from transformers import DPRConfig, DPRReader

from kit.batches import padded
from kit.checkpoints.pairs import PairScorer
from kit.data import Corpus
from kit.encoder import DualEncoder
from kit.files import write_json, written_aside
from kit.losses import dpr_reader_loss, ranknet
from kit.retrieve import BM25
from kit.shipped import DATA
from kit.teachers import CrossEncoder, ExtractiveReader
from kit.toy.world import build_world
from kit.train import Optimisation, RunOptions
from kit.train.batches import Stream
from kit.train.contrastive import Labelled, labelled
from kit.train.fit import fit
from kit.types import KitError, Passage, Question, ScoreTable

SPANS = 10  # of an answer in its passage, at most


OPTIMISATION = Optimisation(
    steps=2500, learning_rate=5e-4, embedding_lr_multiplier=8, warmup_steps=100, save_every=250, precision="bf16"
)


@dataclass(frozen=True)
class PairTraining:
    """How a pair teacher is trained: `questions` of a batch, a passage with the answer and `negatives` beside it.

    Hard ones alone, which BM25 retrieved, are mostly about the entity in question: a teacher that reads no `others`
    (passages that answer other questions of the batch) learns to look at everything but the entity.
    """

    optimisation: Optimisation = OPTIMISATION
    questions: int = 16
    negatives: int = 4
    others: int = 2  # of the negatives

    def __post_init__(self) -> None:
        if not 0 <= self.others <= self.negatives:
            raise KitError("PairTraining, others", f"from 0 to its {self.negatives} negatives", self.others)


class PairBatch(NamedTuple):
    """Questions, each with its positive first and negatives after it, and which cells (q, k) have a passage."""

    items: list[Labelled]
    passages: list[list[Passage]]
    real: Tensor

    @property
    def pairs(self) -> list[tuple[Question, Passage]]:
        """The cells with a passage, row by row."""
        return [(item.question, one) for item, row in zip(self.items, self.passages, strict=True) for one in row]


LAYERS = 3
WORK = Path("runs/pair-teachers")
WORLDS = (101, 102, 103)  # seeds of the imagined encyclopaedias; the documentation's have small ones


def imagined_questions(
    worlds: Sequence[int] = WORLDS, *, generated: int = 1000, listed: int = 8
) -> tuple[list[Question], dict[str, Passage], ScoreTable]:
    """(questions, passages, BM25's first `listed` passages of each) of other encyclopaedias' invented entities.

    Real entities are in every encyclopaedia; no question here is about them, so no test question leaks.

    >>> questions, corpus, table = imagined_questions((101,), generated=20)
    >>> questions[0].id.startswith("101-") and set(table.passage_ids[0]) <= set(corpus)
    True
    """
    questions: list[Question] = []
    corpus: dict[str, Passage] = {}
    ids, values = [], []
    for seed in worlds:
        world = build_world(seed, generated=generated)
        own = [q for each in world.questions.values() for q in each if not world.entities[world.asks[q.id][0]].real]
        retrieved = BM25(Corpus(world.passages.values())).retrieve(own, listed)
        questions += [replace(question, id=f"{seed}-{question.id}") for question in own]
        corpus |= {f"{seed}-{name}": replace(one, id=f"{seed}-{name}") for name, one in world.passages.items()}
        names = retrieved.passage_ids.astype(str)
        ids.append(np.where(names == "", "", np.char.add(f"{seed}-", names)))
        values.append(retrieved.values)
    return questions, corpus, ScoreTable("bm25", [q.id for q in questions], np.concatenate(ids), np.concatenate(values))


def stacked(start: DualEncoder, layers: int = LAYERS) -> DualEncoder:
    """A copy of an encoder with one tower, whose layers stand in it again and again until there are `layers`."""
    taller = copy.deepcopy(start)
    blocks = taller.question_tower.encoder.layer
    own = len(blocks)
    blocks.extend(copy.deepcopy(blocks[number % own]) for number in range(layers - own))
    taller.question_tower.config.num_hidden_layers = len(blocks)
    return taller


def train_pair_teacher(
    name: str,
    start: DualEncoder,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    config: PairTraining = PairTraining(),
    **run: Unpack[RunOptions],
) -> CrossEncoder | ExtractiveReader:
    """The teacher of `KINDS[name]`, which learns to tell the passage with the answer from a question's others.

    The cross-encoder ranks it above those without (RankNet); the extractive reader chooses it, and points at the answer
    in it (DPR's loss). `run`: see `kit.train.RunOptions`.
    """
    make, loss_of_batch, _ = KINDS[name]
    teacher = make(start, config.optimisation.seed)
    teacher.model.to(start.device)
    items = labelled(questions, corpus, table, negatives=table.values.shape[1])

    def loss_of(model: nn.Module, number: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        batch = pair_batch(items, corpus, config, number, rng)
        loss, scores = loss_of_batch(teacher, batch._replace(real=batch.real.to(start.device)))
        best = scores.detach().masked_fill(~batch.real.to(scores.device), -torch.inf).argmax(1)
        return loss, {"first": float((best == 0).float().mean())}  # how often the positive scored highest

    fit(teacher.model, loss_of, config.optimisation, name=name, **run)
    return teacher


def pair_batch(
    items: Sequence[Labelled], corpus: Mapping[str, Passage], config: PairTraining, number: int, rng: random.Random
) -> PairBatch:
    """Batch `number`, its negatives drawn anew."""
    batch = Stream(items, config.questions, config.optimisation.seed).batch(number)
    rows = []
    for item in batch:
        hard = rng.sample(item.negatives, min(config.negatives - config.others, len(item.negatives)))
        others = [other.positive for other in batch if other.positive not in (item.positive, *hard)]
        rows.append([item.positive, *hard, *rng.sample(others, min(config.others, len(others)))])
    counts = torch.tensor([len(row) for row in rows])
    real = torch.arange(1 + config.negatives) < counts[:, None]  # (q, k)
    return PairBatch(batch, [[corpus[name] for name in row] for row in rows], real)


def new_cross_encoder(start: DualEncoder, seed: int) -> CrossEncoder:
    """A cross-encoder whose BERT is a copy of the start's and whose head is fresh."""
    body = copy.deepcopy(start.question_tower)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = PairScorer(body, nn.Linear(body.config.hidden_size, 1))
    return CrossEncoder(model, start.tokenizer, max_tokens=body.config.max_position_embeddings)


def cross_encoder_loss(teacher: CrossEncoder, batch: PairBatch) -> tuple[Tensor, Tensor]:
    """RankNet's loss of the positives against the others, and the scores (q, k)."""
    encoded = teacher.tokenizer(
        [question.text for question, _ in batch.pairs], [f"{one.title} {one.text}" for _, one in batch.pairs],
        truncation="longest_first", max_length=teacher.max_tokens, padding=True, return_tensors="pt",
        return_token_type_ids=True,
    ).to(batch.real.device)  # fmt: skip
    flat = teacher.model(encoded["input_ids"], encoded["attention_mask"], encoded["token_type_ids"])
    scores = _grid(flat, batch.real)  # (q, k)
    labels = torch.zeros_like(scores)
    labels[:, 0] = 1.0
    return ranknet(scores, labels, batch.real), scores


def new_extractive_reader(start: DualEncoder, seed: int) -> ExtractiveReader:
    """DPR's reader whose BERT is a copy of the start's and whose two heads are fresh."""
    sizes = start.question_tower.config.to_dict()
    shared = {name: sizes[name] for name in DPRConfig().to_dict() if name in sizes and name != "model_type"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DPRReader(DPRConfig(**shared, projection_dim=0))
    tower = model.span_predictor.encoder.bert_model
    left = tower.load_state_dict(start.question_tower.state_dict(), strict=False)
    if left.unexpected_keys or any("pooler" not in name for name in left.missing_keys):
        raise KitError("extractive reader: start", "a BERT", type(start.question_tower).__name__)
    return ExtractiveReader(model, start.tokenizer, max_tokens=model.config.max_position_embeddings)


def extractive_reader_loss(teacher: ExtractiveReader, batch: PairBatch) -> tuple[Tensor, Tensor]:
    """DPR's loss of the choice and of the spans, a question; and the relevance logits (q, k)."""
    inputs, real = teacher.inputs(batch.pairs), batch.real
    rows, mask = padded([one.ids for one in inputs], teacher.tokenizer.pad_token_id, device=real.device)  # (x, t)
    out = teacher.model(input_ids=rows, attention_mask=mask)
    cells = real[:, :, None].expand(-1, -1, rows.shape[1])  # (q, k, t)
    grids = [_grid(part, cells) for part in (out.start_logits, out.end_logits)]
    relevance = _grid(out.relevance_logits, real)  # (q, k)
    starts = torch.zeros(*real.shape, SPANS, dtype=torch.long)  # (q, k, a); only passage 0, the positive, has spans
    ends, there, first = starts.clone(), torch.zeros_like(starts, dtype=torch.bool), 0
    for row, (item, passages) in enumerate(zip(batch.items, batch.passages, strict=True)):
        for number, (begin, end) in enumerate(_spans(inputs[first], passages[0].text, item)):
            starts[row, 0, number], ends[row, 0, number], there[row, 0, number] = begin, end, True
        first += len(passages)
    labels = [part.to(real.device) for part in (starts, ends, there)]
    return dpr_reader_loss(*grids, relevance, *labels, real) / len(batch.items), relevance


def _spans(tokens: Any, text: str, item: Labelled) -> list[tuple[int, int]]:
    """First and last token, in the input, of each place where an answer's words stand in the text."""
    spans = []
    for answer in item.question.answers:
        for match in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.IGNORECASE):
            within = [number for number, (a, b) in enumerate(tokens.offsets) if a < match.end() and b > match.start()]
            if within:
                spans.append((tokens.text_starts + within[0], tokens.text_starts + within[-1]))
    return spans[:SPANS]


def _grid(values: Tensor, cells: Tensor) -> Tensor:
    """The values of the passages that are there, in their cells; 0 in the others."""
    return values.new_zeros(cells.shape).masked_scatter(cells.to(values.device), values)


# How each teacher begins, what it learns by, and where the kit keeps it.
KINDS = {
    "cross_encoder": (new_cross_encoder, cross_encoder_loss, DATA / "bert-cat"),
    "extractive_reader": (new_extractive_reader, extractive_reader_loss, DATA / "dpr-reader"),
}


def save_pair_teacher(
    teacher: CrossEncoder | ExtractiveReader, directory: str | Path, *, dtype: torch.dtype = torch.float32
) -> None:
    """Write BERT_Cat's layout (`bert_model.*`, `_classification_layer.*`) or DPRReader's, and the tokenizer."""
    model, architecture = teacher.model, "DPRReader"
    weights = model.state_dict()
    if isinstance(teacher, CrossEncoder):
        architecture = "BERT_Cat"
        places = {"body.": "bert_model.", "head.": "_classification_layer."}
        weights = {places[name[:5]] + name[5:]: weight for name, weight in weights.items()}
    teacher.tokenizer.save_pretrained(directory)
    with written_aside(Path(directory) / "model.safetensors") as aside:
        save_file({name: weight.detach().to("cpu", dtype).contiguous() for name, weight in weights.items()}, aside)
    write_json(Path(directory) / "config.json", {**model.config.to_dict(), "architectures": [architecture]})


def main(
    work: Annotated[Path, typer.Option(help="checkpoints; a run that was stopped goes on")] = WORK,
    only: Annotated[list[str] | None, typer.Option(help="cross_encoder or extractive_reader [default: both]")] = None,
    threads: Threads = 0,
) -> None:
    """Train both on imagined questions and write data/toy. Example: python data/make/pair_teachers.py --threads 2"""
    start = stacked(DualEncoder.from_pretrained(DATA / "bert", device="cpu"))
    lessons = imagined_questions()
    for name in only or list(KINDS):
        out, stop = KINDS[name][2], partial(exit_if_interrupted, work=work)
        teacher = train_pair_teacher(name, start, *lessons, folder=work / name, callback=stop)
        save_pair_teacher(teacher, out, dtype=torch.float16)
        typer.echo(f"wrote {out}")


if __name__ == "__main__":
    run_command(main)
