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
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Unpack

import numpy as np
import torch
import typer
from safetensors.torch import save_file
from tables import Threads
from torch import Tensor, nn
from transformers import DPRConfig, DPRReader

from kit.batches import padded
from kit.checkpoints.pairs import PairScorer
from kit.data import Corpus
from kit.encoder import DualEncoder
from kit.files import written_aside
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


@dataclass(frozen=True)
class PairTraining:
    """How a pair teacher is trained: `questions` of a batch, a passage with the answer and `negatives` beside it.

    Hard ones alone, which BM25 retrieved, are mostly about the entity in question: a teacher that reads no `others`
    (passages that answer other questions of the batch) learns to look at everything but the entity.
    """

    optimisation: Optimisation
    questions: int = 16
    negatives: int = 4
    others: int = 2  # of the negatives

    def __post_init__(self) -> None:
        if not 0 <= self.others <= self.negatives:
            raise KitError("PairTraining, others", f"from 0 to its {self.negatives} negatives", self.others)


PAIR_TRAINING = PairTraining(
    Optimisation(
        2500, learning_rate=5e-4, embedding_lr_multiplier=8, warmup_steps=100, save_every=250, precision="bf16"
    )
)
LAYERS = 3
PAIR_TEACHERS = {"cross_encoder": DATA / "bert-cat", "extractive_reader": DATA / "dpr-reader"}  # as they ship
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


def train_cross_encoder(
    start: DualEncoder,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    config: PairTraining = PAIR_TRAINING,
    **options: Unpack[RunOptions],
) -> CrossEncoder:
    """A cross-encoder that ranks a question's passages with the answer above those without (RankNet)."""
    body = copy.deepcopy(start.question_tower)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.optimisation.seed)
        model = PairScorer(body, nn.Linear(body.config.hidden_size, 1)).to(start.device)
    teacher = CrossEncoder(model, start.tokenizer, max_tokens=body.config.max_position_embeddings)
    items = labelled(questions, corpus, table, negatives=table.values.shape[1])

    def loss_of(model: nn.Module, number: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        batch, passages, real = _batch(items, corpus, config, number, rng)
        texts = [item.question.text for item, row in zip(batch, passages, strict=True) for _ in row]
        read = [f"{passage.title} {passage.text}" for row in passages for passage in row]
        encoded = start.tokenizer(
            texts, read, truncation="longest_first", max_length=teacher.max_tokens, padding=True, return_tensors="pt",
            return_token_type_ids=True,
        ).to(start.device)  # fmt: skip
        real = real.to(start.device)
        flat = model(encoded["input_ids"], encoded["attention_mask"], encoded["token_type_ids"])
        scores = _grid(flat, real)  # (q, k)
        labels = torch.zeros_like(scores)
        labels[:, 0] = 1.0
        return ranknet(scores, labels, real), {"first": _first(scores, real)}

    fit(model, loss_of, config.optimisation, name="cross-encoder", **options)
    return teacher


def train_extractive_reader(
    start: DualEncoder,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    config: PairTraining = PAIR_TRAINING,
    **options: Unpack[RunOptions],
) -> ExtractiveReader:
    """DPR's extractive reader, trained to choose the passage with the answer and to point at the answer in it."""
    model = _reader_from(start, config.optimisation.seed)
    teacher = ExtractiveReader(model, start.tokenizer, max_tokens=model.config.max_position_embeddings)
    items = labelled(questions, corpus, table, negatives=table.values.shape[1])

    def loss_of(model: nn.Module, number: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        batch, passages, real = _batch(items, corpus, config, number, rng)
        inputs = teacher.inputs([(item.question, p) for item, row in zip(batch, passages, strict=True) for p in row])
        rows, mask = padded([one.ids for one in inputs], start.tokenizer.pad_token_id, device=start.device)  # (x, t)
        out = model(input_ids=rows, attention_mask=mask)
        cells = real[:, :, None].expand(-1, -1, rows.shape[1])  # (q, k, t)
        grids = [_grid(part, cells) for part in (out.start_logits, out.end_logits)]
        relevance = _grid(out.relevance_logits, real)  # (q, k)
        firsts = torch.cat([torch.zeros(1, dtype=torch.long), real.sum(1).cumsum(0)[:-1]]).tolist()
        spans = [_spans(inputs[at], row[0].text, item) for at, row, item in zip(firsts, passages, batch, strict=True)]
        labels = [part.to(start.device) for part in (*_span_grids(spans, real.shape[1]), real)]
        loss = dpr_reader_loss(*grids, relevance, *labels) / len(batch)
        return loss, {"first": _first(relevance, labels[-1])}

    fit(model, loss_of, config.optimisation, name="extractive reader", **options)
    return teacher


def _reader_from(start: DualEncoder, seed: int) -> DPRReader:
    """A reader whose BERT is the start's and whose two heads are fresh."""
    sizes = start.question_tower.config.to_dict()
    shared = {name: sizes[name] for name in DPRConfig().to_dict() if name in sizes and name != "model_type"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DPRReader(DPRConfig(**shared, projection_dim=0))
    tower = model.span_predictor.encoder.bert_model
    left = tower.load_state_dict(start.question_tower.state_dict(), strict=False)
    if left.unexpected_keys or any("pooler" not in name for name in left.missing_keys):
        raise KitError("extractive reader: start", "a BERT", type(start.question_tower).__name__)
    return model.to(start.device)


def save_cross_encoder(teacher: CrossEncoder, directory: str | Path, *, dtype: torch.dtype = torch.float32) -> None:
    """Write BERT_Cat's layout: `bert_model.*`, `_classification_layer.*`, config.json and the tokenizer."""
    body = {f"bert_model.{name}": weight for name, weight in teacher.model.body.state_dict().items()}
    head = {f"_classification_layer.{name}": weight for name, weight in teacher.model.head.state_dict().items()}
    config = {**teacher.model.body.config.to_dict(), "architectures": ["BERT_Cat"]}
    _write(Path(directory), {**body, **head}, config, teacher.tokenizer, dtype)


def save_extractive_reader(
    teacher: ExtractiveReader, directory: str | Path, *, dtype: torch.dtype = torch.float32
) -> None:
    """Write DPRReader's layout, config.json and the tokenizer."""
    config = {**teacher.model.config.to_dict(), "architectures": ["DPRReader"]}
    _write(Path(directory), teacher.model.state_dict(), config, teacher.tokenizer, dtype)


def _write(
    directory: Path, weights: Mapping[str, Tensor], config: Mapping[str, Any], tokenizer: Any, dtype: torch.dtype
) -> None:
    tokenizer.save_pretrained(directory)
    with written_aside(directory / "model.safetensors") as aside:
        save_file({name: weight.detach().to("cpu", dtype).contiguous() for name, weight in weights.items()}, aside)
    with written_aside(directory / "config.json") as aside:
        aside.write_text(json.dumps(config, indent=2, default=str), encoding="utf-8")


def _batch(
    items: Sequence[Labelled], corpus: Mapping[str, Passage], config: PairTraining, number: int, rng: random.Random
) -> tuple[list[Labelled], list[list[Passage]], Tensor]:
    """Questions, each with its positive first and negatives drawn anew, and which cells (q, k) have a passage."""
    batch = Stream(items, config.questions, config.optimisation.seed).batch(number)
    rows = []
    for item in batch:
        hard = rng.sample(item.negatives, min(config.negatives - config.others, len(item.negatives)))
        others = [other.positive for other in batch if other.positive not in (item.positive, *hard)]
        rows.append([item.positive, *hard, *rng.sample(others, min(config.others, len(others)))])
    counts = torch.tensor([len(row) for row in rows])
    real = torch.arange(1 + config.negatives) < counts[:, None]  # (q, k)
    return batch, [[corpus[name] for name in row] for row in rows], real


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


def _span_grids(spans: Sequence[Sequence[tuple[int, int]]], k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Starts, ends and which of them are there (q, k, a); only passage 0, the positive, has spans."""
    starts = torch.zeros(len(spans), k, SPANS, dtype=torch.long)
    ends, there = starts.clone(), torch.zeros(len(spans), k, SPANS, dtype=torch.bool)
    for row, own in enumerate(spans):
        for number, (first, last) in enumerate(own):
            starts[row, 0, number], ends[row, 0, number], there[row, 0, number] = first, last, True
    return starts, ends, there


def _first(scores: Tensor, real: Tensor) -> float:
    """The share of questions whose positive scored highest."""
    return float((scores.detach().masked_fill(~real, -torch.inf).argmax(1) == 0).float().mean())


def main(
    work: Annotated[Path, typer.Option(help="checkpoints; a stopped run goes on")] = Path("runs/pair-teachers"),
    only: Annotated[list[str] | None, typer.Option(help="cross_encoder or extractive_reader [default: both]")] = None,
    threads: Threads = 0,
) -> None:
    """Train both on imagined questions and write data/toy. Example: python data/make/pair_teachers.py --threads 2"""
    start = stacked(DualEncoder.from_pretrained(DATA / "bert", device="cpu"))
    examples = imagined_questions()
    learn = {"cross_encoder": train_cross_encoder, "extractive_reader": train_extractive_reader}
    save = {"cross_encoder": save_cross_encoder, "extractive_reader": save_extractive_reader}
    for name in only or list(PAIR_TEACHERS):
        save[name](learn[name](start, *examples, folder=work / name), PAIR_TEACHERS[name], dtype=torch.float16)
        typer.echo(f"wrote {PAIR_TEACHERS[name]}")


if __name__ == "__main__":
    typer.run(main)
