"""Pre-train the toy T5 on gaps alone: `python data/make/t5.py`.

No question is read and no loss looks at attention: a passage states a fact, the prompt is a sentence with a gap, and
the decoder says what is missing. The exercises grow: recall (a random word names a random word), statements of one
sentence, several facts with look-alikes, and full passages. The next level starts where the last one is solved over ten
passages; a fifth of the batches stays recall.

Source: REALM (Guu et al. 2020) and Atlas (Izacard et al. 2022) for filling gaps over retrieved passages; Muon (Jordan
et al. 2024) for the matrices' steps.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors.torch import load_file, save_file
from t5_start import initial_t5
from torch import Tensor

from kit.attention import Aggregation, capture_cross_attention
from kit.reader import FiDReader
from kit.toy.counterfactual import Exercise, imagine
from kit.toy.entities import Entity
from kit.toy.facts import Kind, load_kinds
from kit.toy.names import make_pools
from kit.toy.passages import render_passage
from kit.toy.vocabulary import t5_tokenizer
from kit.types import Passage

LEVELS = ("recall", "statements", "facts", "passages")
SOLVED = {"recall": 0.95, "statements": 0.85, "facts": 0.85}  # exact at ten passages, from which the next level starts
COUNTS = {"recall": (2, 4, 8), "statements": (2, 4, 8), "facts": (2, 4, 8), "passages": (2, 4, 10)}
BATCH = {"recall": 256, "statements": 160, "facts": 112, "passages": 64}  # passages
LENGTHS = {"statements": (0, 0), "facts": (0, 0), "passages": (25, 60)}  # words of filler: least, most
GAP = "<extra_id_0>"
PHRASES = ("{n} is {v}", "{n} has {v}", "the {n} : {v}", "for {n} it is {v}")
LEARNING_RATE, OTHER_LEARNING_RATE, EMBEDDINGS = 2e-3, 1e-3, 8
AVERAGE = 0.997  # of the weights: what is measured and written is their moving average


class Exercises:
    """Exercises of every level."""

    def __init__(self, words: Sequence[str]) -> None:
        self.kinds, self.pools = load_kinds(), make_pools()
        self.words = [word for word in words if word.isalpha() and len(word) > 2]

    def make(self, level: str, rng: random.Random, count: int) -> Exercise:
        if level == "recall":
            return self._recall(rng, count)
        return self._imagined(level, rng, count)

    def _recall(self, rng: random.Random, count: int) -> Exercise:
        """Each passage states one random word of another: only the name says which is meant."""
        names, values = rng.sample(self.words, count), rng.sample(self.words, count)
        passages = []
        for name, value in zip(names, values, strict=True):
            filler = " ".join(rng.sample(self.words, rng.randint(0, 3)))
            title = name if rng.random() < 0.5 else filler or "a"
            text = f"{rng.choice(PHRASES).format(n=name, v=value)} {filler}".strip()
            passages.append((Passage("x", title, text), not passages))
        rng.shuffle(passages)
        return _exercise(rng.choice(PHRASES).format(n=names[0], v=GAP), passages, values[0])

    def _imagined(self, level: str, rng: random.Random, count: int) -> Exercise:
        kind = self.kinds[rng.choice(list(self.kinds))]
        target, *others = imagine(kind, self.pools, rng, max(4, count) if level == "statements" else 6)
        relation = rng.choice(list(target.facts))
        writer = Writer(kind, target, others, relation, LENGTHS[level], level != "statements", rng)
        passages = [(writer.gold(), True)]
        if count > 3 and rng.random() < 0.3:
            passages.append((writer.gold(), True))
        while len(passages) < count:
            passages.append((writer.other(), False))
        rng.shuffle(passages)
        prompt = rng.choice(kind.relations[relation].statements)
        if level != "statements" and rng.random() < 0.3:
            kept = rng.uniform(0.4, 1.0)
            prompt = " ".join(w for w in prompt.split() if "{" in w or rng.random() < kept)
        return _exercise(prompt.format(name=target.name, value=GAP), passages, target.facts[relation])


class Writer:
    """Passages beside one fact: those that state it, and those that could be mistaken for them."""

    def __init__(
        self, kind: Kind, target: Entity, others: Sequence[Entity], relation: str, words: tuple[int, int], rich: bool,
        rng: random.Random,
    ) -> None:  # fmt: skip
        self.kind, self.target, self.others, self.relation = kind, target, others, relation
        self.words, self.rich, self.rng = words, rich, rng

    def gold(self) -> Passage:
        """Under the entity's own title, or, in three of ten, in passing under another's."""
        if self.rng.random() < 0.7:
            return self._write(self.target, [self.relation, *self._extra(self.target)])
        title = self.rng.choice(self.others)
        stated = self._extra(title, self.relation if self.rng.random() < 0.5 else None)
        return self._write(title, stated, (self.target, self.relation))

    def other(self) -> Passage:
        rng, roll = self.rng, self.rng.random()
        other = rng.choice(self.others)
        unrelated = [name for name in self.target.facts if name != self.relation]
        if roll < 0.3:  # the entity's own passage, without the fact, perhaps with another's in passing
            aside = (other, self.relation) if self.rich and rng.random() < 0.5 else None
            return self._write(self.target, rng.sample(unrelated, self._size(len(unrelated))), aside)
        if roll < 0.4:  # another's passage, which states another fact of the entity in passing
            return self._write(other, self._extra(other, self.relation), (self.target, rng.choice(unrelated)))
        if roll < 0.5:  # the same words as the answer, about another
            value = {**other.facts, self.relation: self.target.facts[self.relation]}
            other = Entity(other.id, other.kind, other.name, value, real=False)
        if roll < 0.85:
            return self._write(other, [self.relation, *self._extra(other)])
        return self._write(other, rng.sample(list(other.facts), self._size(len(other.facts))))

    def _size(self, most: int) -> int:
        return min(most, self.rng.choice((1, 1, 2, 3))) if self.rich else 1

    def _extra(self, entity: Entity, also: str | None = None) -> list[str]:
        if not self.rich:
            return []
        able = [name for name in entity.facts if name not in (self.relation, also)]
        drawn = self.rng.sample(able, min(len(able), self.rng.choice((0, 1, 1, 2))))
        return [*([also] if also else []), *drawn]

    def _write(self, title: Entity, relations: list[str], aside: tuple[Entity, str] | None = None) -> Passage:
        self.rng.shuffle(relations)
        named = [entity for entity in (self.target, *self.others) if entity is not title]
        text = render_passage(
            self.kind, title, relations, named, self.rng, lookalikes=[aside] if aside else [], words=self.words
        )
        return Passage("x", title.name, text)


def _exercise(prompt: str, passages: list[tuple[Passage, bool]], answer: str) -> Exercise:
    return Exercise(f"fill: {prompt}", tuple(p for p, _ in passages), answer, tuple(gold for _, gold in passages))


def tokenize(reader: FiDReader, exercises: Sequence[Exercise]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, mask (q, k, t) and labels (q, a); a prompt stands where a reader's question does."""
    texts = [f"{e.prompt} title: {p.title} context: {p.text}" for e in exercises for p in e.passages]
    encoded = reader.tokenizer(
        texts, add_special_tokens=False, truncation=True, max_length=128, padding=True, return_tensors="pt"
    )
    shape = (len(exercises), len(exercises[0].passages), -1)
    labels = reader.tokenize_targets([exercise.answer for exercise in exercises])
    return encoded["input_ids"].view(shape), encoded["attention_mask"].bool().view(shape), labels


class Muon:
    """Muon in float32, matrices of one shape together: torch's own computes in bfloat16, 40 times slower on a CPU.

    The step of a matrix is its momentum made orthogonal (Newton-Schulz), as large as AdamW's would be.
    """

    def __init__(self, matrices: Sequence[Tensor], momentum: float = 0.95, weight_decay: float = 0.01) -> None:
        self.momentum, self.weight_decay = momentum, weight_decay
        shapes: dict[tuple[int, ...], list[Tensor]] = {}
        for matrix in matrices:
            shapes.setdefault(tuple(matrix.shape), []).append(matrix)
        self.groups = list(shapes.values())
        self.buffers = [torch.zeros(len(group), *group[0].shape) for group in self.groups]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        for group, buffer in zip(self.groups, self.buffers, strict=True):
            grads = torch.stack([matrix.grad for matrix in group])
            buffer.lerp_(grads, 1 - self.momentum)
            steps = _orthogonal(grads.lerp_(buffer, self.momentum))
            size = rate * 0.2 * max(group[0].shape) ** 0.5
            for matrix, step in zip(group, steps, strict=True):
                matrix.mul_(1 - rate * self.weight_decay).sub_(step, alpha=size)


def _orthogonal(matrices: Tensor, iterations: int = 5) -> Tensor:
    """The nearest orthogonal matrices (n, a, b), roughly."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for _ in range(iterations):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x


class Run:
    """The training's state: weights, their average, the optimisers' moments, the level; kept in a folder."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed, self.step, self.level = folder, seed, 0, 0
        tokenizer = t5_tokenizer()
        self.reader = FiDReader(initial_t5(tokenizer, seed=seed), tokenizer, max_tokens=128)
        t5 = self.reader.t5
        embeddings = {id(m.weight) for m in t5.modules() if isinstance(m, torch.nn.Embedding)}
        weights = list(t5.parameters())
        words = [p for p in weights if id(p) in embeddings and len(p) > 64]
        matrices = [p for p in weights if id(p) not in embeddings and p.ndim == 2]
        others = {id(p) for p in (*words, *matrices)}
        self.muon = Muon(matrices)
        groups = [
            {"params": words, "lr": OTHER_LEARNING_RATE * EMBEDDINGS, "scale": EMBEDDINGS},
            {"params": [p for p in weights if id(p) not in others], "lr": OTHER_LEARNING_RATE, "scale": 1},
        ]
        self.adamw = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
        self.average = [p.detach().clone() for p in weights]
        if (folder / "state.json").exists():
            self._load()

    def update(self, factor: float) -> None:
        torch.nn.utils.clip_grad_norm_(self.reader.t5.parameters(), 1.0)
        self.muon.step(LEARNING_RATE * factor)
        for group in self.adamw.param_groups:
            group["lr"] = OTHER_LEARNING_RATE * group["scale"] * factor
        self.adamw.step()
        self.reader.t5.zero_grad()
        self.step += 1
        with torch.no_grad():
            share = min(AVERAGE, self.step / (self.step + 10))
            torch._foreach_lerp_(self.average, list(self.reader.t5.parameters()), 1 - share)

    def averaged(self) -> FiDReader:
        """A reader with the averaged weights."""
        reader = FiDReader(initial_t5(self.reader.tokenizer), self.reader.tokenizer, max_tokens=128)
        with torch.no_grad():
            for to, value in zip(reader.t5.parameters(), self.average, strict=True):
                to.copy_(value)
        return reader.eval()

    def _tensors(self) -> dict[str, Tensor]:
        state = {f"weight.{n}": p.detach() for n, p in enumerate(self.reader.t5.parameters())}
        state |= {f"average.{n}": p for n, p in enumerate(self.average)}
        state |= {f"muon.{n}": p for n, p in enumerate(self.muon.buffers)}
        for number, moments in self.adamw.state_dict()["state"].items():
            state |= {f"adamw.{number}.{name}": value for name, value in moments.items()}
        return state

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        save_file({n: v.contiguous() for n, v in self._tensors().items()}, self.folder / "state.aside")
        (self.folder / "state.aside").replace(self.folder / "state.safetensors")
        (self.folder / "state.json").write_text(json.dumps({"step": self.step, "level": self.level}), encoding="utf-8")

    def _load(self) -> None:
        told = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        self.step, self.level = told["step"], told["level"]
        state = load_file(self.folder / "state.safetensors")
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            if key.startswith("adamw."):
                _, number, name = key.split(".")
                moments.setdefault(int(number), {})[name] = value
        self.adamw.load_state_dict({"state": moments, "param_groups": self.adamw.state_dict()["param_groups"]})
        with torch.no_grad():
            for number, weight in enumerate(self.reader.t5.parameters()):
                weight.copy_(state[f"weight.{number}"])
                self.average[number].copy_(state[f"average.{number}"])
            for number, buffer in enumerate(self.muon.buffers):
                buffer.copy_(state[f"muon.{number}"])


def measure(reader: FiDReader, exercises: Exercises, level: str, counts: Sequence[int] = (1, 4, 10)) -> dict:
    """Of held-out exercises, by passages: loss, share of exact answers, share with a gold passage on top."""
    figures = {}
    for count in counts:
        rng = random.Random(f"held-out-{level}-{count}")
        drawn = [exercises.make(level, rng, count) for _ in range(100)]
        loss, exact, attention, probability = 0.0, 0, 0, 0
        for start in range(0, len(drawn), 20):
            part = drawn[start : start + 20]
            ids, mask, labels = tokenize(reader, part)
            gold = torch.tensor([exercise.gold for exercise in part])
            captured = capture_cross_attention(reader, ids, mask)
            with torch.no_grad():
                out = reader(ids, mask, labels)
            loss += float(out.loss) * len(part) / len(drawn)
            exact += int(((out.logits.argmax(-1) == labels) | (labels == -100)).all(-1).sum())
            rows = torch.arange(len(part))
            attention += int(gold[rows, captured.scores("fid_kd").argmax(-1)].sum())
            summed = captured.scores(Aggregation("probabilities", over_tokens="sum"))
            probability += int(gold[rows, summed.argmax(-1)].sum())
        figures[count] = [round(loss, 2), exact / 100, attention / 100, probability / 100]
    return figures


def main(
    work: Annotated[Path, typer.Option(help="checkpoints; a run that was stopped goes on")] = Path("runs/toy-t5"),
    minutes: Annotated[float, typer.Option(help="stop after so many minutes")] = 60.0,
    level: Annotated[str, typer.Option(help="go on at this level [default: where it was]")] = "",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's choice")] = 0,
    seed: int = 0,
) -> None:
    """Pre-train the toy T5. Example: python data/make/t5.py --minutes 60"""
    if threads:
        torch.set_num_threads(threads)
    run = Run(work, seed)
    if level:
        run.level = LEVELS.index(level)
    exercises = Exercises(list(run.reader.tokenizer.get_vocab()))
    began, cpu, kept, losses = time.time(), time.process_time(), time.time(), {}
    while time.time() - began < 60 * minutes:
        rng = random.Random(f"{seed}-{run.step}")
        name = LEVELS[run.level]
        roll = rng.random()
        if roll < 0.2:
            name = "recall"
        elif roll < 0.35 and run.level > 1:
            name = LEVELS[rng.randrange(1, run.level)]
        count = rng.choice((2, 2, 4) if run.step < 600 and run.level == 0 else COUNTS[name])
        batch = [exercises.make(name, rng, count) for _ in range(BATCH[name] // count)]
        ids, mask, labels = tokenize(run.reader, batch)
        loss = run.reader(ids, mask, labels).loss
        loss.backward()
        run.update(min(1.0, (run.step + 1) / 100))
        key = f"{name} {count}"
        losses[key] = 0.95 * losses.get(key, loss.item()) + 0.05 * loss.item()
        if run.step % 50 == 0:
            shown = {key: round(value, 2) for key, value in sorted(losses.items())}
            print(run.step, f"{time.time() - began:.0f}s cpu {time.process_time() - cpu:.0f}s", shown, flush=True)
        if run.step % 250 == 0:
            reader = run.averaged()
            figures = {part: measure(reader, exercises, part) for part in {LEVELS[run.level], "passages"}}
            print("  held out (loss, exact, gold by attention, by probability):", figures, flush=True)
            if figures[LEVELS[run.level]][10][1] >= SOLVED.get(LEVELS[run.level], 2.0):
                run.level += 1
                print("  next level:", LEVELS[run.level], flush=True)
            reader.save_pretrained(work / "averaged")
        if time.time() - kept > 180:
            run.save()
            kept = time.time()
    run.save()
    run.averaged().save_pretrained(work / "averaged")


if __name__ == "__main__":
    typer.run(main)
