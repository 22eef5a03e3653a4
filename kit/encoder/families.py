"""How families of bi-encoders differ: pooling, scale, towers, how texts are written, and its marks.

Knows no weights. Source: FiD-KD (Izacard & Grave 2021, section 3) and its released code; DPR (Karpukhin et al. 2020,
section 4) and RDR; BERT_Dot (Hofstaetter et al. 2020) and its model card; Contriever; sentence-transformers' files.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from kit import text
from kit.arguments import named, one_of
from kit.types import KitError, Passage

POOLINGS = ("mean", "cls")
TEMPLATES = ("fid-kd", "dpr", "text", "title-text")
LATER = {"question_prompt", "passage_prompt", "lower_case"}  # fields that earlier checkpoints of the kit do not have


@dataclass(frozen=True)
class Family:
    """How a bi-encoder makes a vector of a text, and a score of two vectors."""

    name: str
    pooling: str = "mean"  # mean over tokens, or the first token (cls)
    scaled: bool = False  # the score is q.p / sqrt(d), else q.p
    two_towers: bool = False  # a question encoder and a passage encoder, else one for both
    dimension: int | None = None  # of Linear + LayerNorm on every token before pooling; None: without them
    question_mask: bool = True  # off: padding is attended to and pooled, as FiD's apply_question_mask=False
    passage_mask: bool = True
    normalized: bool = False  # vectors of length 1, so that q.p is the cosine
    template: str = "text"
    question_length: int = 64  # tokens; longer texts are cut at the end
    passage_length: int = 256
    question_prompt: str = ""  # stands before each text
    passage_prompt: str = ""
    lower_case: bool = False  # before the tokenizer has the text

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), type(field.default)
            if type(value) is not kind and field.name not in ("name", "dimension"):
                raise KitError(f"family {self.name!r}, {field.name}", kind.__name__, repr(value))
        for name, allowed in (("pooling", POOLINGS), ("template", TEMPLATES)):
            one_of(f"family {self.name!r}, {name}", getattr(self, name), allowed)
        for name in ("question_length", "passage_length"):
            if getattr(self, name) < 3:
                raise KitError(f"family {self.name!r}, {name}", "at least 3 tokens", getattr(self, name))
        if self.dimension is not None and (type(self.dimension) is not int or self.dimension < 1):
            raise KitError(f"family {self.name!r}, dimension", "at least 1, or None", self.dimension)

    def write_question(self, question: str) -> str:
        """A question as the encoder sees it.

        >>> FAMILIES["fid-kd"].write_question("where is the Louvre")
        'question: where is the Louvre'
        """
        written = text.reader_question(question) if self.template == "fid-kd" else question
        return self._prompted(written, self.question_prompt)

    def write_passage(self, passage: Passage) -> str | tuple[str, str]:
        """A passage as the encoder sees it; DPR's is a pair, for the tokenizer to put [SEP] between.

        >>> louvre = Passage("1", "Louvre", "In Paris.")
        >>> [FAMILIES[name].write_passage(louvre) for name in ("fid-kd", "dpr", "bert-dot", "contriever")]
        ['title: Louvre context: In Paris.', ('Louvre', 'In Paris.'), 'In Paris.', 'Louvre In Paris.']
        """
        if self.template == "dpr" and passage.title:
            return self._prompted(passage.title, self.passage_prompt), self._prompted(passage.text, "")
        written = passage.text
        if self.template == "fid-kd":
            written = text.reader_passage(passage)
        if self.template == "title-text":
            written = f"{passage.title} {passage.text}".strip()
        return self._prompted(written, self.passage_prompt)

    def _prompted(self, written: str, prompt: str) -> str:
        return (prompt + written).lower() if self.lower_case else prompt + written

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON's types; those that came later only where they are not their defaults."""
        return {name: value for name, value in asdict(self).items() if name not in LATER or value}

    @classmethod
    def from_json(cls, entries: Any, where: str) -> Family:
        """The family that `to_json` wrote; raises `KitError` if a field is unknown or missing."""
        names = {field.name for field in fields(cls)}
        if not isinstance(entries, dict) or not names - LATER <= set(entries) <= names:
            raise KitError(where, f"the fields {sorted(names - LATER)}", reprlib.repr(entries))
        return cls(**entries)


FAMILIES: dict[str, Family] = {
    "fid-kd": Family("fid-kd", scaled=True, template="fid-kd", question_length=40, passage_length=200),
    "dpr": Family("dpr", "cls", two_towers=True, template="dpr", question_length=256, passage_length=256),
    "bert-dot": Family("bert-dot", "cls", question_length=30, passage_length=200),
    "contriever": Family("contriever", template="title-text", question_length=512, passage_length=512),
}


def family_named(family: str | Family) -> Family:
    """The family itself, or the one of this name in `FAMILIES`."""
    return named("family", family, FAMILIES, Family)


def fid_retriever_family(config: Mapping[str, Any], where: str) -> Family:
    try:
        return replace(
            FAMILIES["fid-kd"],
            pooling="cls" if config["extract_cls"] else "mean",
            dimension=config["indexing_dimension"] if config["projection"] else None,
            question_mask=config["apply_question_mask"],
            passage_mask=config["apply_passage_mask"],
            question_length=config.get("question_maxlength", 40),
            passage_length=config.get("passage_maxlength", 200),
        )
    except KeyError as error:
        raise KitError(f"{where}/config.json", f"{error} of a FiD retriever", "none") from None
