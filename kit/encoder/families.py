"""What tells one family of bi-encoders from another: pooling, scale, towers, how texts are written, and its marks.

Knows no weights. Source: FiD-KD (Izacard & Grave 2021, section 3) and its released code; DPR (Karpukhin et al. 2020,
section 4) and RDR; BERT_Dot (Hofstaetter et al. 2020) and its model card; Contriever; sentence-transformers' files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from kit import text
from kit.checkpoints.weights import read_config
from kit.files import read_json
from kit.types import KitError, Passage

MANIFEST = "kit_encoder.json"
POOLINGS = ("mean", "cls")
TEMPLATES = ("fid-kd", "dpr", "text", "title-text")


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

    def __post_init__(self) -> None:
        for field, allowed in (("pooling", POOLINGS), ("template", TEMPLATES)):
            if getattr(self, field) not in allowed:
                raise KitError(f"family {self.name!r}, {field}", " or ".join(allowed), repr(getattr(self, field)))
        for field in ("question_length", "passage_length"):
            if getattr(self, field) < 3:
                raise KitError(f"family {self.name!r}, {field}", "at least 3 tokens", getattr(self, field))
        if self.dimension is not None and self.dimension < 1:
            raise KitError(f"family {self.name!r}, dimension", "at least 1, or None", self.dimension)

    def write_question(self, question: str) -> str:
        """A question as the encoder sees it.

        >>> FAMILIES["fid-kd"].write_question("where is the Louvre")
        'question: where is the Louvre'
        """
        return text.reader_question(question) if self.template == "fid-kd" else question

    def write_passage(self, passage: Passage) -> str | tuple[str, str]:
        """A passage as the encoder sees it; DPR's is a pair, for the tokenizer to put [SEP] between.

        >>> louvre = Passage("1", "Louvre", "In Paris.")
        >>> [FAMILIES[name].write_passage(louvre) for name in ("fid-kd", "dpr", "bert-dot", "contriever")]
        ['title: Louvre context: In Paris.', ('Louvre', 'In Paris.'), 'In Paris.', 'Louvre In Paris.']
        """
        if self.template == "fid-kd":
            return text.reader_passage(passage)
        if self.template == "dpr" and passage.title:
            return passage.title, passage.text
        if self.template == "title-text":
            return f"{passage.title} {passage.text}".strip()
        return passage.text

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON's types."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any], where: str) -> Family:
        """The family that `to_json` wrote; `KitError` where a field is unknown or missing."""
        names = {field.name for field in fields(cls)}
        if set(given) != names:
            raise KitError(where, f"the fields {sorted(names)}", sorted(given))
        return cls(**given)


FAMILIES: dict[str, Family] = {
    "fid-kd": Family("fid-kd", scaled=True, template="fid-kd", question_length=40, passage_length=200),
    "dpr": Family("dpr", "cls", two_towers=True, template="dpr", question_length=256, passage_length=256),
    "bert-dot": Family("bert-dot", "cls", question_length=30, passage_length=200),
    "contriever": Family("contriever", template="title-text", question_length=512, passage_length=512),
}


def family_named(family: str | Family) -> Family:
    """The family itself, or the one of this name in `FAMILIES`."""
    if isinstance(family, Family):
        return family
    if family not in FAMILIES:
        raise KitError("family", f"one of {', '.join(FAMILIES)}, or a Family", repr(family))
    return FAMILIES[family]


def detect_family(directory: str | Path) -> Family:
    """The family of a checkpoint folder, by the marks that its makers left in its files.

    kit_encoder.json: the kit. `indexing_dimension`: FiD's Retriever. model_type dpr: DPR or RDR. modules.json:
    sentence-transformers. Architecture Contriever. Else a DistilBERT is taken for Margin-MSE's student (BERT_Dot) and
    a BERT for FiD-KD's, which begins from one; `DualEncoder.from_pretrained(..., family=...)` says otherwise.
    """
    directory = Path(directory)
    if (directory / MANIFEST).exists():
        return Family.from_json(read_json(directory / MANIFEST)["family"], str(directory / MANIFEST))
    config = read_config(directory)
    kind, architecture = config.get("model_type"), (config.get("architectures") or ["?"])[0]
    if "indexing_dimension" in config:
        return _fid_retriever(config, str(directory))
    if kind == "dpr" and architecture != "DPRReader":
        return FAMILIES["dpr"]
    if (directory / "modules.json").exists():
        return _sentence_transformer(directory)
    if architecture.lower() == "contriever":
        return FAMILIES["contriever"]
    if architecture.endswith("ForSequenceClassification") or kind in ("dpr", "BERT_Cat", "ColBERT"):
        raise KitError(str(directory), "a bi-encoder (question and passage apart)", architecture)
    return FAMILIES["bert-dot"] if kind == "distilbert" else FAMILIES["fid-kd"]


def _fid_retriever(config: Mapping[str, Any], where: str) -> Family:
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


def _sentence_transformer(directory: Path) -> Family:
    """Transformer, Pooling by mean or first token, and perhaps Normalize: nothing else is read."""
    modules = [module["type"].rpartition(".")[2] for module in read_json(directory / "modules.json")]
    if modules not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise KitError(str(directory / "modules.json"), "Transformer, Pooling and at most Normalize", modules)
    path = directory / read_json(directory / "modules.json")[1]["path"] / "config.json"
    pooling = read_json(path)
    on = [name for name, value in pooling.items() if name.startswith("pooling_mode_") and value is True]
    on = on or [f"pooling_mode_{pooling.get('pooling_mode')}"]
    names = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    names |= {"pooling_mode_mean": "mean", "pooling_mode_cls": "cls"}
    if len(on) != 1 or on[0] not in names:
        raise KitError(str(path), "pooling by mean or by the first token", on)
    length = 512
    if (directory / "sentence_bert_config.json").exists():
        length = read_json(directory / "sentence_bert_config.json").get("max_seq_length") or length
    return Family(
        "sentence-transformers",
        pooling=names[on[0]],
        normalized="Normalize" in modules,
        template="title-text",
        question_length=length,
        passage_length=length,
    )
