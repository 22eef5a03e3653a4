"""One question read with any passages: the answer, each passage's attention score, and what is lost without it.

Pure: a reader and passages in, a frozen result out. Passages are encoded once, for all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from kit.attention import named_aggregation
from kit.device import evaluation
from kit.metrics import agreement
from kit.reader.answer_likelihood import likelihood_without_each, log_likelihood
from kit.reader.decoding import Decoding
from kit.reader.fid import FiDReader
from kit.reader.inputs import count_question_tokens
from kit.types import KitError, Passage, ScoreTable

NEEDED = 0.1  # nats: below this the answer is at most a tenth less likely without a passage


@dataclass(frozen=True, eq=False)
class PassageReading:
    """What a reader said to a question with these passages, and what it owes to each of them."""

    question: str
    passages: tuple[Passage, ...]
    answer: str
    attention: Float[np.ndarray, " k"] = field(repr=False)
    log_likelihood: float  # of its own answer with all the passages, </s> included, in nats
    without: Float[np.ndarray, " k"] = field(repr=False)  # the same without that passage; NaN: not known

    @property
    def effect(self) -> Float[np.ndarray, " k"]:
        """The leave-one-out effect (k,) in nats: how much of its answer's log-likelihood is lost without a passage.

        At 0 the passage changes nothing, at 0.7 the answer is half as likely without it, below 0 more likely.
        """
        return self.log_likelihood - self.without

    @property
    def ids(self) -> tuple[str, ...]:
        """The passages' ids, in their order."""
        return tuple(passage.id for passage in self.passages)


@dataclass(frozen=True)
class Truth:
    """How far attention tells what the answer depends on."""

    attention_first: int  # the place of the passage with the highest attention
    effect_first: int | None  # of the one whose loss costs the answer most; None: no single one is needed
    spearman: float  # of attention and effect over the passages; NaN where there is nothing to rank


def read_passages(
    reader: FiDReader,
    question: str,
    passages: Sequence[Passage],
    *,
    aggregation: str = "fid_kd",
    max_new_tokens: int = 50,
    leave_one_out: bool = True,
) -> PassageReading:
    """The reading of `question` with `passages` (k) in this order; no passages: the question is read by itself.

    `aggregation` is one over the first answer token. The leave-one-out effect is about the answer that was just given:
    `kit.teachers.LeaveOneOut` with that answer as target, whose score is `-without` divided by the answer's tokens. It
    takes k decoder passes, which `leave_one_out=False` saves (`without` is NaN then, as it is for an only passage).
    Raises `KitError` for an empty question, or one passage twice.
    """
    passages = tuple(passages)
    _check(reader, question, passages)
    tokens, mask = reader.tokenize([question], [passages])
    tokenizer, chosen = reader.require_tokenizer("read_passages"), named_aggregation(aggregation)
    lengths = None if chosen.question else count_question_tokens(tokenizer, [question])
    with evaluation(reader.t5):
        states = reader.encode(tokens, mask)
        ids, scores = reader.answers_and_scores(
            states, max_new_tokens=max_new_tokens, aggregation=chosen, question_lengths=lengths
        )
        answer = tokenizer.batch_decode(ids, skip_special_tokens=True)[0].strip()
        labels = reader.tokenize_targets([answer]).to(reader.device)
        of_answer = float(log_likelihood(Decoding(reader.t5, states), labels).sum())
    attention = scores[0, : len(passages)].float().cpu().numpy()  # (k,)
    without = np.full(len(passages), np.nan, dtype=np.float32)
    if leave_one_out and passages:
        without = likelihood_without_each(reader.t5, states, labels).sum(-1)[0].float().cpu().numpy()  # (k,)
    return PassageReading(question, passages, answer, attention, of_answer, without)


def truth_of_attention(reading: PassageReading) -> Truth | None:
    """How well the order by attention is the order by leave-one-out effect; None if effects were not computed.

    A single passage is needed if the answer loses 0.1 nats without it: where two passages say the same, none is.
    """
    if not len(reading.effect) or np.isnan(reading.effect).any():
        return None
    attention, effect = (
        ScoreTable.from_rows(name, {"question": list(zip(reading.ids, values.tolist(), strict=True))})
        for name, values in (("attention", reading.attention), ("effect", reading.effect))
    )
    spearman = float(agreement(attention, effect).spearman[0])
    most = int(reading.effect.argmax())
    return Truth(int(reading.attention.argmax()), most if reading.effect[most] >= NEEDED else None, spearman)


def check_reader(reader: object) -> None:
    """Raises `KitError` for what cannot read as a `kit.FiDReader` does."""
    if not all(hasattr(reader, name) for name in ("t5", "encode", "generate_from", "tokenize")):
        raise KitError("reader", "a kit.FiDReader", type(reader).__name__)


def _check(reader: FiDReader, question: str, passages: Sequence[Passage]) -> None:
    check_reader(reader)
    if not isinstance(question, str) or not question.strip():
        raise KitError("question", "a question with words", repr(question))
    for number, passage in enumerate(passages):
        if not isinstance(passage, Passage):
            raise KitError(f"passage {number}", "a kit.Passage", type(passage).__name__)
    ids = [passage.id for passage in passages]
    if len(set(ids)) < len(ids):
        raise KitError("passages", "each passage once", f"{next(i for i in ids if ids.count(i) > 1)!r} twice")
