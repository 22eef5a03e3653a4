"""What teachers of (question, passage) pairs share: a checkpoint, its checks, and batches of like length.

Pairs are sorted by length before they are run, so that little padding is computed. Dropout is off, no gradient is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor

from kit.batches import padded
from kit.checkpoints import load_tokenizer, resolve
from kit.checkpoints.own import check_vocabulary
from kit.checkpoints.towers import position_limit
from kit.device import pick_device, pick_dtype
from kit.types import KitError


@dataclass(frozen=True, eq=False)
class PairTeacher:
    """A BERT that reads question and passage together. `batch_size` pairs go together, cut at `max_tokens`.

    Of each question the `n_context` highest passages of the table are scored, all if None.
    """

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    n_context: int | None = None
    batch_size: int = 64
    max_tokens: int = 512
    load_model: ClassVar[Callable[[str | Path], Any]]

    def __post_init__(self) -> None:
        where, config = type(self).__name__, self.model.config
        if not self.tokenizer.is_fast:
            raise KitError(f"{where}: tokenizer", "a fast one, which gives its tokens' places", "a slow one")
        check_vocabulary(self.tokenizer, config.vocab_size, f"{where}: tokenizer")
        longest = position_limit(config)
        if not 1 <= self.max_tokens <= longest:
            raise KitError(f"{where}: max_tokens", f"from 1 to the model's {longest}", self.max_tokens)
        if self.batch_size < 1:
            raise KitError(f"{where}: batch_size", "at least 1", self.batch_size)

    @classmethod
    def from_pretrained(
        cls,
        name_or_dir: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        tokenizer: Any = None,
        **options: Any,
    ) -> Self:
        """The teacher of a checkpoint; `options` are the other fields.

        A folder, an archive, a name of `kit.checkpoints.RELEASES` or of the Hugging Face hub. `tokenizer`: one, or
        the folder or name of one, for checkpoints without. `dtype` auto is float32; bfloat16 has steps of 0.03 at a
        score of 5. `max_tokens` is by default the class's, or the model's own limit if that is lower.
        """
        folder = resolve(name_or_dir)
        place = pick_device(device)
        chosen = pick_dtype("float32" if dtype == "auto" else dtype, place)
        model = cls.load_model(folder).to(device=place, dtype=chosen)
        if tokenizer is None or isinstance(tokenizer, str | Path):
            tokenizer = load_tokenizer(folder if tokenizer is None else tokenizer)
        longest = min(cls.max_tokens, position_limit(model.config))
        return cls(model, tokenizer, **{"max_tokens": longest, **options})

    def batches(self, rows: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """The rows' positions, ids and mask (x, t), in batches, longest first: the first one needs the most memory."""
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        device = next(self.model.parameters()).device
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            yield batch, *padded([rows[i] for i in batch], self.tokenizer.pad_token_id, device=device)


def finite(scores: np.ndarray, where: str) -> np.ndarray:
    """The scores; raises `KitError` if one is NaN or infinite."""
    if not np.isfinite(scores).all():
        raise KitError(where, "a model that gives finite scores", scores[~np.isfinite(scores)][0])
    return scores
