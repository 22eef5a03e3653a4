"""The ratios of `kit bench` where they should grow and where they should vanish: `python tests/benchmarks/ratios.py`.

To be run by hand on a quiet machine; nothing is asserted, for times are no test. Each line is measured in turns with
the plain way beside it. With `--size base` it takes minutes on a CPU.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
import typer

from kit.attention import cross_attention_scores
from kit.bench import SIZES, describe_machine, measure_search
from kit.bench.measures import draw_lengths, draw_tokens, random_reader, seconds_of
from kit.device import pick_device


def padding(size: str, device: torch.device, passages: int) -> None:
    """Encoding passages of like length together against padding all: nothing to win where all are alike."""
    reader = random_reader(SIZES[size], device, seed=0)
    for spread in (0.0, 15.0, 30.0, 60.0):
        lengths = draw_lengths(passages, seed=0, spread=spread)
        ids, mask = draw_tokens(lengths, SIZES[size].vocabulary, seed=0)
        ids, mask = ids[None].to(device), mask[None].to(device)
        with torch.no_grad():
            ours, plain = seconds_of(
                lambda: reader.encode(ids, mask),  # noqa: B023
                lambda: reader.t5.encoder(input_ids=ids[0], attention_mask=mask[0]),  # noqa: B023
                device=device,
            )
        share = 1 - lengths.sum().item() / mask.numel()
        print(f"padding  spread {spread:4.0f}, {share:5.1%} of the tokens padding: {plain / ours:5.2f} times")


def scoring(size: str, device: torch.device, passages: int) -> None:
    """Scores from one decoder step against those after a whole answer: the longer the answer, the more is won."""
    reader = random_reader(SIZES[size], device, seed=0)
    ids, mask = draw_tokens(draw_lengths(passages, seed=0), SIZES[size].vocabulary, seed=0)
    ids, mask = ids[None].to(device), mask[None].to(device)
    for tokens in (2, 5, 20, 50):
        ours, plain = seconds_of(
            lambda: cross_attention_scores(reader, ids, mask),
            lambda: reader.generate(ids, mask, max_new_tokens=tokens, min_new_tokens=tokens),  # noqa: B023
            device=device,
        )
        print(f"scoring  answers of {tokens:2} tokens: {plain / ours:5.2f} times")


def searching(size: str) -> None:
    """Exact search, shard by shard from the disk, against FAISS Flat in memory (without its building)."""
    for vectors in (10_000, 50_000, 200_000):
        for questions in (1, 64):
            found = measure_search(replace(SIZES[size], vectors=vectors), seed=0, questions=questions)
            times = {one.name: one.value for one in found}
            streamed, flat = times["search: exact, streamed"], times["search: FAISS Flat"]
            print(f"search   {vectors:7,} vectors, {questions:2} questions: {flat / streamed:5.2f} times")


def main(
    size: Annotated[str, typer.Option(help=", ".join(SIZES))] = "small",
    passages: Annotated[int, typer.Option(help="of a question")] = 20,
    device: str = "auto",
) -> None:
    """Print the ratios."""
    place = pick_device(device)
    print(describe_machine(place))
    padding(size, place, passages)
    scoring(size, place, passages)
    searching(size)


if __name__ == "__main__":
    typer.run(main)
