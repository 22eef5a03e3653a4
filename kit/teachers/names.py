"""The teachers by name: one name for each, in code, recipes, commands and docs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from kit.arguments import one_of
from kit.encoder import DualEncoder
from kit.reader import FiDReader
from kit.teachers.cross_encoder import CrossEncoder
from kit.teachers.encoder import EncoderScores
from kit.teachers.extractive_reader import ExtractiveReader
from kit.teachers.fid import FiDAttention, LeaveOneOut, PassageLikelihood
from kit.teachers.scores import Teacher

READER_TEACHERS: dict[str, Callable[..., Teacher]] = {  # of a `FiDReader`
    "fid_kd": FiDAttention,
    "adist": partial(FiDAttention, aggregation="adist"),
    "pdist": PassageLikelihood,
    "loop": LeaveOneOut,
    "answer_likelihood": partial(PassageLikelihood, over_answer="sum"),
}
PAIR_TEACHERS: dict[str, type[CrossEncoder] | type[ExtractiveReader]] = {  # of a BERT and its tokenizer
    "extractive_reader": ExtractiveReader,
    "cross_encoder": CrossEncoder,
}
TEACHERS: dict[str, Callable[..., Teacher]] = {**READER_TEACHERS, **PAIR_TEACHERS, "dual_encoder": EncoderScores}


def load_teacher(
    name: str,
    name_or_dir: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    tokenizer: Any = None,
    **options: Any,
) -> Teacher:
    """The teacher `TEACHERS[name]` with the model of a checkpoint; `options` are the teacher's other fields.

    The checkpoint is a FiD reader's, a cross-encoder's, an extractive reader's or a dual encoder's, by the name.
    """
    one_of("teacher", name, TEACHERS)
    source = {"device": device, "dtype": dtype, "tokenizer": tokenizer}
    if name in PAIR_TEACHERS:
        return PAIR_TEACHERS[name].from_pretrained(name_or_dir, **source, **options)
    kind = FiDReader if name in READER_TEACHERS else DualEncoder
    return TEACHERS[name](kind.from_pretrained(name_or_dir, **source), **options)
