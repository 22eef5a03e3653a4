"""Pre-train the toy T5 on gaps alone: `python data/make/t5.py`.

No question is read and no loss looks at attention: a passage states a fact, the prompt is a sentence with a gap, and
the decoder says what is missing. The exercises grow: recall (a random word names a random word), statements of one
sentence, pairs of sentences about two entities, several facts with look-alikes, and full passages. The next level
starts where the last one is solved over ten passages; recall is never given up.

Source: REALM (Guu et al. 2020) and Atlas (Izacard et al. 2022) for filling gaps over retrieved passages; Muon (Jordan
et al. 2024) for the matrices' steps.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from muon import Muon
from safetensors.torch import load_file, save_file
from t5_exercises import LEVELS, Exercises
from t5_start import initial_t5
from tables import Threads
from torch import Tensor

from kit.attention import Aggregation, capture_cross_attention
from kit.files import read_json, write_json, written_aside
from kit.reader import FiDReader
from kit.toy.counterfactual import Exercise
from kit.toy.vocabulary import t5_tokenizer

SOLVED = {"recall": 0.95, "statements": 0.85, "pairs": 0.85, "facts": 0.85}  # exact at ten passages: the next level
COUNTS = dict.fromkeys(LEVELS, (2, 4, 8)) | {"pairs": (1, 2, 4, 8), "passages": (2, 4, 10)}
BATCH = {"recall": 256, "statements": 160, "pairs": 112, "facts": 112, "passages": 64}  # passages
MIXTURES = {  # shares of the batches at a level; recall is never given up
    "recall": {"recall": 1.0},
    "statements": {"recall": 0.2, "statements": 0.8},
    "pairs": {"recall": 0.15, "statements": 0.15, "pairs": 0.7},
    "facts": {"recall": 0.15, "pairs": 0.2, "facts": 0.65},
    "passages": {"recall": 0.2, "statements": 0.05, "facts": 0.15, "passages": 0.6},
}
LEARNING_RATE, OTHER_LEARNING_RATE, EMBEDDINGS = 2e-3, 1e-3, 8
HELD_OUT = 80  # exercises
AVERAGE = 0.997  # of the weights: what is measured and written is their moving average


def tokenize(reader: FiDReader, exercises: Sequence[Exercise]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, mask (q, k, t) and labels (q, a); a prompt stands where a reader's question does."""
    texts = [f"{e.prompt} title: {p.title} context: {p.text}" for e in exercises for p in e.passages]
    encoded = reader.tokenizer(
        texts, add_special_tokens=False, truncation=True, max_length=128, padding=True, return_tensors="pt"
    )
    shape = (len(exercises), len(exercises[0].passages), -1)
    labels = reader.tokenize_targets([exercise.answer for exercise in exercises])
    return encoded["input_ids"].view(shape), encoded["attention_mask"].bool().view(shape), labels


class Run:
    """The training's state: weights, their average, the optimisers' moments, the level; kept in a folder."""

    def __init__(self, folder: Path, seed: int, start: Path | None = None) -> None:
        self.folder, self.seed, self.step, self.level = folder, seed, 0, 0
        tokenizer = t5_tokenizer()
        t5 = initial_t5(tokenizer, seed=seed)
        if start is not None:
            begun = FiDReader.from_pretrained(start, device="cpu")
            t5, tokenizer = begun.t5, begun.tokenizer
            kept = read_json(start / "pretraining.json", dict)
            self.step, self.level = kept["step"], LEVELS.index(kept["level"])
        self.moments_from = self.step  # where the optimisers' moments begin
        self.reader = FiDReader(t5, tokenizer, max_tokens=128)
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

    def learn(self, exercises: Exercises, factor: float = 1.0) -> tuple[str, int, float]:
        """One step on a batch of its level's mixture; the batch's level, its passages an exercise, its loss."""
        rng = random.Random(f"{self.seed}-{self.step}")
        mixture = MIXTURES[LEVELS[self.level]]
        name = rng.choices(list(mixture), list(mixture.values()))[0]
        count = rng.choice((2, 2, 4) if self.step < 600 and self.level == 0 else COUNTS[name])
        batch = [exercises.make(name, rng, count) for _ in range(BATCH[name] // count)]
        loss = self.reader(*tokenize(self.reader, batch)).loss
        loss.backward()
        self._update(factor)
        return name, count, loss.item()

    def _update(self, factor: float) -> None:
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

    def write(self, folder: Path) -> None:
        """The averaged weights in half precision, and where the run stands, for `start`."""
        half = self.averaged()
        half.t5.half()
        half.save_pretrained(folder)
        write_json(folder / "pretraining.json", {"step": self.step, "level": LEVELS[self.level]})

    def _tensors(self) -> dict[str, Tensor]:
        state = {f"weight.{n}": p.detach() for n, p in enumerate(self.reader.t5.parameters())}
        state |= {f"average.{n}": p for n, p in enumerate(self.average)}
        state |= {f"muon.{n}": p for n, p in enumerate(self.muon.buffers)}
        for number, moments in self.adamw.state_dict()["state"].items():
            state |= {f"adamw.{number}.{name}": value for name, value in moments.items()}
        return state

    def save(self) -> None:
        with written_aside(self.folder / "state.safetensors") as aside:
            save_file({n: v.contiguous() for n, v in self._tensors().items()}, aside)
        kept = {"step": self.step, "level": self.level, "moments_from": self.moments_from}
        write_json(self.folder / "state.json", kept)

    def _load(self) -> None:
        kept = read_json(self.folder / "state.json", dict)
        self.step, self.level, self.moments_from = kept["step"], kept["level"], kept["moments_from"]
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
        drawn = [exercises.make(level, rng, count) for _ in range(HELD_OUT)]
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
        figures[count] = [round(loss, 2), *(round(n / HELD_OUT, 2) for n in (exact, attention, probability))]
    return figures


def main(
    work: Annotated[Path, typer.Option(help="checkpoints; a run that was stopped goes on")] = Path("runs/toy-t5"),
    minutes: Annotated[float, typer.Option(help="stop after so many minutes")] = 60.0,
    fall: Annotated[float, typer.Option(help="the learning rate falls to nothing in the last so many minutes")] = 0.0,
    rate: Annotated[float, typer.Option(help="times the learning rates")] = 1.0,
    start: Annotated[Path | None, typer.Option(help="weights to begin with, written by --out")] = None,
    out: Annotated[Path | None, typer.Option(help="in the end, averaged weights in half precision")] = None,
    threads: Threads = 0,
    seed: int = 0,
) -> None:
    """Pre-train the toy T5. Example: python data/make/t5.py --minutes 60"""
    run = Run(work, seed, start)
    words = list(run.reader.tokenizer.get_vocab())
    exercises, held_out = Exercises(words), Exercises(words, dropped=0.0)
    began, cpu, kept, losses = time.time(), time.process_time(), time.time(), {}
    first, stopped = run.moments_from, []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    while (left := 60 * minutes - (time.time() - began)) > 0 and not stopped:
        factor = rate * min(1.0, (run.step - first + 1) / 100) * (min(1.0, 0.03 + left / (60 * fall)) if fall else 1.0)
        name, count, loss = run.learn(exercises, factor)
        key = f"{name} {count}"
        losses[key] = 0.95 * losses.get(key, loss) + 0.05 * loss
        if run.step % 50 == 0:
            means = {key: round(value, 2) for key, value in sorted(losses.items())}
            spent = f"{time.time() - began:.0f}s cpu {time.process_time() - cpu:.0f}s"
            print(run.step, spent, f"rate {factor:.2f}", means, flush=True)
        if run.step % 250 == 0:
            reader = run.averaged()
            reader.save_pretrained(work / "averaged")
            level = LEVELS[run.level]
            figures = {part: measure(reader, held_out, part) for part in dict.fromkeys((level, "passages"))}
            print("  held out (loss, exact, gold by attention, by probability):", figures, flush=True)
            if figures[level][10][1] >= SOLVED.get(level, 2.0):
                run.level += 1
                print("  next level:", LEVELS[run.level], flush=True)
        if time.time() - kept > 180:
            run.save()
            kept = time.time()
    run.save()
    run.averaged().save_pretrained(work / "averaged")
    if out is not None:
        run.write(out)


if __name__ == "__main__":
    typer.run(main)
