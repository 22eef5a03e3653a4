"""The reader's speed beside a plain implementation of the same: `python tests/benchmarks/reader_speed.py`.

To be run by hand on a quiet machine; nothing is asserted, for times are no test. The plain one is how FiD is written
over transformers: all passages padded to 200 tokens, T5's own forward, `generate` with 8 steps, scores from the first
decoder step with its keys. T5-small's sizes, random weights, passages of 90 to 180 tokens, CPU seconds of one thread;
the two take turns. The numbers that both compute are compared first. docs/speed.md has the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Annotated

import torch
import typer
from torch import Tensor, nn
from transformers import T5Config, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from kit.attention import cross_attention_scores
from kit.bench import describe_machine
from kit.reader import FiDReader

SIZES = {"vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8}
WIDTH, STEPS, ANSWER_TOKENS = 200, 8, 8


def plain_encode(t5: T5ForConditionalGeneration, ids: Tensor, mask: Tensor) -> Tensor:
    """The states (1, k*t, d) of the passages, padding and all."""
    states = t5.encoder(input_ids=ids[0], attention_mask=mask[0].long()).last_hidden_state
    return states.view(1, -1, states.shape[-1])


def plain_scores(t5: T5ForConditionalGeneration, ids: Tensor, mask: Tensor) -> Tensor:
    """FiD-KD's scores (1, k): mean logits of the first decoder step over layers, heads and tokens."""
    kept: dict[tuple[int, str], Tensor] = {}

    def keeper(layer: int, name: str) -> Callable[..., None]:
        return lambda _module, _given, output: kept.update({(layer, name): output.unflatten(-1, (8, -1))})

    handles = [
        getattr(block.layer[1].EncDecAttention, name).register_forward_hook(keeper(number, name))
        for number, block in enumerate(t5.decoder.block)
        for name in "qk"
    ]
    try:
        states = BaseModelOutput(plain_encode(t5, ids, mask))
        t5(
            encoder_outputs=states,
            attention_mask=mask.flatten(1),
            decoder_input_ids=torch.zeros(1, 1, dtype=torch.long),
        )
    finally:
        for handle in handles:
            handle.remove()
    layers = [torch.einsum("xhe,xshe->xhs", kept[n, "q"][:, 0], kept[n, "k"]).mean(1) for n in range(len(kept) // 2)]
    logits = torch.stack(layers).mean(0).view(mask.shape)  # (1, k, t)
    return (logits * mask).sum(-1) / mask.sum(-1)


def plain_answers(t5: T5ForConditionalGeneration, ids: Tensor, mask: Tensor) -> Tensor:
    """Greedy answer ids (1, 1 + 8)."""
    states = BaseModelOutput(plain_encode(t5, ids, mask))
    options = {"max_new_tokens": STEPS, "min_new_tokens": STEPS, "do_sample": False}
    return t5.generate(encoder_outputs=states, attention_mask=mask.flatten(1), **options)


def plain_loss(t5: T5ForConditionalGeneration, ids: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
    """The loss of an answer."""
    states = BaseModelOutput(plain_encode(t5, ids, mask))
    return t5(encoder_outputs=states, attention_mask=mask.flatten(1), labels=labels).loss


def passages(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random ids and mask (1, k, 200) of passages of 90 to 180 tokens."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(90, 181, (count, 1), generator=generator)
    mask = torch.arange(WIDTH) < lengths  # (k, t)
    ids = torch.randint(3, SIZES["vocab_size"], mask.shape, generator=generator) * mask
    return ids[None], mask[None]


def training_step(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """One step of AdamW on `loss`."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def step() -> None:
        model.train()
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()
        model.eval()

    return step


def cpu_seconds(works: dict[str, Callable[[], object]], turns: int) -> dict[str, list[float]]:
    """CPU seconds of each of `works`, which take turns; a first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            if turn:
                times[name].append(time.process_time() - start)
    return times


def random_t5(dtype: torch.dtype = torch.float32) -> T5ForConditionalGeneration:
    """A T5-small with random weights; dropout as T5's."""
    torch.manual_seed(0)
    return T5ForConditionalGeneration(T5Config(**SIZES, decoder_start_token_id=0)).eval().to(dtype)


@torch.no_grad()
def compare(t5: T5ForConditionalGeneration, reader: FiDReader, count: int) -> None:
    """Print how far the two are apart, and stop if it is more than rounding."""
    ids, mask = passages(count)
    one, other = plain_scores(t5, ids, mask), cross_attention_scores(reader, ids, mask)
    difference = float(((one - other).abs() / one.abs().clamp(min=1)).max())
    same = torch.equal(plain_answers(t5, ids, mask), reader.generate(ids, mask, max_new_tokens=8, min_new_tokens=8))
    print(f"{count} passages: scores differ by {difference:.1e} at most, the same answer: {same}")
    if difference > 1e-3 or not same:
        raise SystemExit("the two compute different numbers")


def main(
    turns: Annotated[int, typer.Option(help="measurements of each")] = 5,
    many: Annotated[int, typer.Option(help="passages of the large input")] = 100,
    only: Annotated[str, typer.Option(help="lines that hold this word")] = "",
) -> None:
    """Print the table of docs/speed.md: minimum, median and maximum of CPU seconds, and the ratios of the medians."""
    torch.set_num_threads(1)
    t5, trained = random_t5(), random_t5()
    reader, other = FiDReader(t5), FiDReader(random_t5())
    print(describe_machine(torch.device("cpu")))
    compare(t5, reader, 10)
    few, lot = passages(10), passages(many)
    labels = torch.randint(3, 1000, (1, ANSWER_TOKENS))
    pairs = {
        f"scores, {many} passages": (lambda: plain_scores(t5, *lot), lambda: cross_attention_scores(reader, *lot)),
        "scores, 10 passages": (lambda: plain_scores(t5, *few), lambda: cross_attention_scores(reader, *few)),
        f"answers, {many} passages": (
            lambda: plain_answers(t5, *lot),
            lambda: reader.generate(*lot, max_new_tokens=STEPS, min_new_tokens=STEPS),
        ),
        "training step, 10 passages": (
            training_step(trained, lambda: plain_loss(trained, *few, labels)),
            training_step(other, lambda: other(*few, labels).loss),
        ),
    }
    print("| work | plain | kit | ratio of medians |\n|---|---|---|---|")
    for name, (plain, kit) in pairs.items():
        if only not in name:
            continue
        with torch.set_grad_enabled("training" in name):
            times = cpu_seconds({"plain": plain, "kit": kit}, turns)
        cells = [" / ".join(f"{f(column):.2f}" for f in (min, median, max)) for column in times.values()]
        print(f"| {name} | {cells[0]} | {cells[1]} | {median(times['plain']) / median(times['kit']):.2f} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
