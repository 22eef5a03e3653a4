"""Times of an encoder and a reader, each beside a plain implementation, and their share of the matmul peak.

Plain is what one writes first: all passages padded to FiD's 200 tokens, float32, transformers' `generate`. The share
counts the operations that valid tokens need; what padding, masks and copies cost lowers it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.functional import pad
from transformers.modeling_outputs import BaseModelOutput

from kit.bench.measures import (
    ANSWER_TOKENS,
    LENGTHS,
    Measure,
    Size,
    draw_lengths,
    draw_tokens,
    matmul,
    random_encoder,
    random_reader,
    seconds_of,
)
from kit.reader import FiDReader

TOGETHER = 16  # passages of a plain encoder's batch


def stack_work(size: Size, lengths: Int[Tensor, " x"]) -> float:
    """Operations of one pass of texts of these lengths through the layers of an encoder.

    >>> stack_work(Size(2, 4, 1, 1, 9, passages=1, vectors=1, seconds=0.0), torch.tensor([10]))
    1440.0
    """
    tokens, d = lengths.double(), size.d_model
    per_layer = 2 * tokens * (4 * d * d + 2 * d * size.d_ff) + 4 * tokens**2 * d  # projections, attention
    return float(size.layers * per_layer.sum())


def widened(ids: Int[Tensor, "x t"], mask: Bool[Tensor, "x t"]) -> tuple[Int[Tensor, "x t"], Bool[Tensor, "x t"]]:
    """Ids and mask padded to FiD's 200 tokens."""
    missing = (0, LENGTHS[2] - ids.shape[1])
    return pad(ids, missing), pad(mask, missing)


def share_of_peak(name: str, work: float, seconds: float, peak: float) -> Measure:
    """The share of the matmul peak at which the needed operations were done."""
    return Measure(name, work / seconds / peak, "of peak", f"{work / 1e9:,.3g} GFLOP needed")


def measure_encoder(size: Size, device: torch.device, seed: int) -> list[Measure]:
    """Passages and tokens a second of an encoder, against batches that are all padded to 200 tokens; float32."""
    encoder = random_encoder(size, device, seed)
    lengths = draw_lengths(size.passages, seed)
    ids, mask = (part.to(device) for part in draw_tokens(lengths, size.vocabulary, seed))
    wide_ids, wide_mask = widened(ids, mask)

    def plain() -> None:
        for rows in torch.arange(len(ids), device=device).split(TOGETHER):
            held = wide_mask[rows]
            states = encoder.question_tower(input_ids=wide_ids[rows], attention_mask=held.long()).last_hidden_state
            (states * held[:, :, None]).sum(1).div(held.sum(1, keepdim=True))

    with torch.inference_mode():
        product, operations = matmul(device, torch.float32)
        works = lambda: encoder.embed(ids, mask, side="passage", batch_size=TOGETHER), plain, product
        ours, others, multiplied = seconds_of(*works, device=device, least=size.seconds)
    peak, tokens = operations / multiplied, int(lengths.sum())
    return [
        Measure("matmul peak, float32", peak / 1e9, "GFLOP/s", "the product of two large matrices"),
        Measure("embedding passages", size.passages / ours, "passages/s", "float32, already tokenized"),
        Measure("embedding tokens", tokens / ours, "tokens/s", f"{tokens / size.passages:.0f} tokens a passage"),
        Measure("embedding", others / ours, "times", f"float32, all padded to {LENGTHS[2]} tokens"),
        share_of_peak("embedding", stack_work(size, lengths), ours, peak),
    ]


def measure_reader(size: Size, n_context: int, device: torch.device, seed: int) -> list[Measure]:
    """Seconds of a reader for a question: training, reading, scoring; against padding and generating in float32.

    On a GPU that computes in bfloat16 the reader does, as it is loaded there; the plain one stays in float32.
    """
    from kit.attention import cross_attention_scores

    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    dtype = torch.bfloat16 if native else torch.float32
    plain, reader = (random_reader(size, device, seed) for _ in range(2))
    lengths = draw_lengths(n_context, seed)
    ids, mask = draw_tokens(lengths, size.vocabulary, seed)
    wide_ids, wide_mask = (part[None].to(device) for part in widened(ids, mask))  # (1, k, 200)
    ids, mask = ids[None].to(device), mask[None].to(device)  # (1, k, t)
    product, operations = matmul(device, dtype)
    steps = _training_steps(reader, plain, (ids, mask), (wide_ids, wide_mask))
    trained, trained_plainly, multiplied = seconds_of(*steps, product, device=device, least=size.seconds)
    training_peak = operations / multiplied
    reader, plain = reader.to(dtype).eval(), plain.eval()

    def generate() -> Tensor:
        states = plain.t5.encoder(input_ids=wide_ids[0], attention_mask=wide_mask[0]).last_hidden_state  # (k, t, d)
        joined = BaseModelOutput(last_hidden_state=states.flatten(0, 1)[None])
        held = wide_mask.flatten(1).long()
        return plain.t5.generate(encoder_outputs=joined, attention_mask=held, max_new_tokens=ANSWER_TOKENS)

    with torch.no_grad():
        works = (
            lambda: cross_attention_scores(reader, ids, mask),
            lambda: reader.generate(ids, mask, max_new_tokens=ANSWER_TOKENS),
            generate,
            product,
        )
        scored, read, generated, multiplied = seconds_of(*works, device=device, least=size.seconds)
    peak, precision = operations / multiplied, str(dtype).removeprefix("torch.")
    encoding = stack_work(size, lengths)
    keys_and_values = 4.0 * size.layers * int(lengths.sum()) * size.d_model**2
    note = f"{n_context} passages, {precision}"
    against = f"padded to {LENGTHS[2]}, float32, transformers' generate, {ANSWER_TOKENS} steps"
    measures = [
        Measure("reader: train step", trained, "s/question", f"{n_context} passages, forward, backward and AdamW"),
        Measure("reader: read", read, "s/question", f"{note}, {ANSWER_TOKENS} steps at most"),
        Measure("reader: score", scored, "s/question", f"{note}, attention of one decoder step"),
        Measure("reader: score", generated / scored, "times", against),
        Measure("reader: read", generated / read, "times", against),
        Measure("reader: train step", trained_plainly / trained, "times", f"padded to {LENGTHS[2]}, float32"),
        share_of_peak("reader: score", encoding, scored, peak),
        share_of_peak("reader: read", encoding + keys_and_values, read, peak),
        share_of_peak("reader: train step", 3 * (encoding + keys_and_values), trained, training_peak),
    ]
    if dtype != torch.float32:
        measures.insert(0, Measure(f"matmul peak, {precision}", peak / 1e9, "GFLOP/s", "of the reader's shares"))
    return measures


def _training_steps(
    reader: FiDReader, plain: FiDReader, own: tuple[Tensor, Tensor], wide: tuple[Tensor, Tensor]
) -> tuple[Callable[[], None], Callable[[], None]]:
    """A training step with one question, of the reader (bfloat16 where a GPU has it) and of the plain one."""
    labels = torch.randint(3, int(own[0].max()), (1, ANSWER_TOKENS), generator=torch.Generator().manual_seed(0))
    labels, mixed = labels.to(own[0].device), own[0].device.type == "cuda"
    optimizers = [torch.optim.AdamW(one.train().parameters(), fused=True) for one in (reader, plain)]

    def optimise(number: int, loss: Tensor) -> None:
        loss.backward()
        optimizers[number].step()
        optimizers[number].zero_grad()

    def step() -> None:
        with torch.autocast(labels.device.type, torch.bfloat16, enabled=mixed):
            loss = reader(*own, labels).loss
        optimise(0, loss)

    def plain_step() -> None:
        states = plain.t5.encoder(input_ids=wide[0][0], attention_mask=wide[1][0]).last_hidden_state
        joined = BaseModelOutput(last_hidden_state=states.flatten(0, 1)[None])
        held = wide[1].flatten(1).long()
        optimise(1, plain.t5(encoder_outputs=joined, attention_mask=held, labels=labels).loss)

    return step, plain_step
