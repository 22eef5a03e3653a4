"""What a FiD reader reads and what it learns to write, as token ids. Knows nothing of models.

Source: Izacard & Grave 2021 (FiD), section 3, and the original's data.py. The tokenizer of its time put no </s> behind
a passage; later ones do unless `add_special_tokens` is off.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from kit.batches import padded
from kit.text import reader_input, reader_question
from kit.types import KitError, Passage


def tokenize_passages(
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[str],
    passages: Sequence[Sequence[Passage]],
    *,
    max_tokens: int = 200,
) -> tuple[Int[Tensor, "q k t"], Bool[Tensor, "q k t"]]:
    """The ids (q, k, t) of "question: ... title: ... context: ..." and where they are tokens, bool (q, k, t).

    Each is cut on the right at `max_tokens` and padded to the longest; no </s>. A question with fewer passages than
    others has empty ones at the end, one with no passage at all stands by itself, as "question: ...".
    """
    if len(questions) != len(passages) or not questions:
        raise KitError(
            "tokenize", "questions, and a list of passages for each", f"{len(questions)} and {len(passages)}"
        )
    texts = [
        [reader_input(question, passage) for passage in row] or [reader_question(question)]
        for question, row in zip(questions, passages, strict=True)
    ]
    encoded = tokenizer(
        [text for row in texts for text in row],
        add_special_tokens=False,
        truncation=True,
        max_length=max_tokens,
        padding="longest",
        padding_side="right",
        return_tensors="pt",
    )
    flat_ids, flat_mask = encoded["input_ids"].long(), encoded["attention_mask"].bool()  # (x, t)
    counts = torch.tensor([len(row) for row in texts])
    there = torch.arange(int(counts.max())) < counts[:, None]  # (q, k)
    ids = flat_ids.new_full((*there.shape, flat_ids.shape[-1]), tokenizer.pad_token_id)  # (q, k, t)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    ids[there], mask[there] = flat_ids, flat_mask
    return ids, mask


def warn_of_full_windows(tokenizer: PreTrainedTokenizerBase, questions: Sequence[str], max_tokens: int) -> None:
    """One warning if questions are so long that nothing of their passages is read."""
    full = int((count_question_tokens(tokenizer, questions) >= max_tokens).sum()) if questions else 0
    if full:
        window = f"fill all {max_tokens} tokens of the reader's input, so that nothing of their passages is read"
        warnings.warn(f"{full} of {len(questions)} questions {window}", stacklevel=3)


def tokenize_targets(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, max_tokens: int | None = None
) -> Int[Tensor, "q a"]:
    """The labels (q, a) of answers: each ends in one </s>, then -100.

    `max_tokens` counts the </s>, which is never cut off (the original cuts it off with the rest).
    """
    end = tokenizer.eos_token_id
    rows = [[i for i in ids if i != end] for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]
    rows = [[*(row if max_tokens is None else row[: max_tokens - 1]), end] for row in rows]
    return padded(rows, -100)[0]


def count_question_tokens(tokenizer: PreTrainedTokenizerBase, questions: Sequence[str]) -> Int[Tensor, " q"]:
    """How many tokens (q,) at the start of each of its passages are the question's."""
    encoded = tokenizer([reader_question(question) for question in questions], add_special_tokens=False)
    return torch.tensor([len(ids) for ids in encoded["input_ids"]])
