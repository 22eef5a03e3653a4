"""The files of a bi-encoder: each released family put into a `DualEncoder`, and the kit's own checkpoint.

Every weight comes from the files, or a `KitError` names it. Knows nothing of how vectors are computed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from kit.checkpoints import RELEASES, load_tokenizer, resolve
from kit.checkpoints.downloads import names_of_pair
from kit.checkpoints.own import own_tokenizer, save_checkpoint
from kit.checkpoints.towers import TOWER_PREFIX, fill_tower, tower_config
from kit.checkpoints.weights import fill_strictly, read_config, weight_shapes
from kit.encoder.families import FAMILIES, Family, family_named, fid_retriever_family
from kit.encoder.sentence_transformer import MODULES, sentence_transformer_family
from kit.files import read_json
from kit.types import KitError

if TYPE_CHECKING:
    from kit.encoder.dual import DualEncoder

MANIFEST = "kit_encoder.json"
FID_TOKENIZER = "google-bert/bert-base-uncased"  # what FiD's scripts load: its archives hold no tokenizer
FID_KEYS = {r"^model\.": "question_tower.", r"^proj\.": "projection."}
# FiD's training script puts a projection into every model, also where the configuration does not use it.
FID_UNUSED = (r"^question_tower\.pooler\.dense\.", r"^(projection|norm)\.")
SHARED_KEYS = {r"^(embeddings|encoder|transformer)\.": r"question_tower.\1."}  # a kit checkpoint's one tower is bare
DPR_KEYS = {r"^(question|ctx)_encoder\.bert_model\.": ""}
TOWER_OF_DPR = {"question_encoder": "DPRQuestionEncoder", "ctx_encoder": "DPRContextEncoder"}


@dataclass(frozen=True)
class Source:
    """The files of an encoder: for each of its towers a folder and a configuration, and how the encoder is used."""

    folders: tuple[Path, ...]
    configs: tuple[Any, ...]
    family: Family
    tokenizer: Any


def find(
    name_or_dir: str | Path,
    *,
    family: str | Family | None = None,
    passage_tower: str | Path | None = None,
    tokenizer: Any = None,
) -> Source:
    """The files of a checkpoint, fetched if needed; the arguments are those of `DualEncoder.from_pretrained`.

    Warns if the files do not name the family and one is assumed.
    """
    if passage_tower is None and (pair := names_of_pair(name_or_dir)) is not None:
        name_or_dir, passage_tower = pair
    folder = resolve(name_or_dir)
    config = read_config(folder)
    chosen, assumed = (family_named(family), "") if family is not None else _family_of(name_or_dir, folder)
    folders: tuple[Path, ...]
    if config.get("model_type") == "dpr":
        folders = _dpr_folders(folder, name_or_dir, passage_tower)
    elif passage_tower is not None:
        raise KitError("passage_tower", "a DPR or RDR pair (model_type dpr)", repr(config.get("model_type")))
    else:
        folders = (folder,) * (1 + chosen.two_towers)
    if (folder / MANIFEST).exists() and family is not None:
        own = detect_family(folder)[0]
        if (own.two_towers, own.dimension) != (chosen.two_towers, chosen.dimension):
            raise KitError(str(folder), f"family {own.name!r}, whose weights these are", repr(chosen.name))
    configs = tuple(tower_config(read_config(each), each / "config.json") for each in folders)
    if assumed:
        warnings.warn(f"{name_or_dir}: {assumed}; family= (--family) says otherwise", stacklevel=3)
    if tokenizer is None:
        tokenizer = own_tokenizer(folder, MANIFEST, FID_TOKENIZER if "indexing_dimension" in config else None)
    elif isinstance(tokenizer, str | Path):
        tokenizer = load_tokenizer(tokenizer)
    return Source(folders, configs, chosen, tokenizer)


def _family_of(name: str | Path, folder: Path) -> tuple[Family, str]:
    """The family of a checkpoint, and what was assumed for it; that of a released one is stated with its address."""
    stated = {key: one.family for release, one in RELEASES.items() if one.family for key in (release, one.address)}
    return (FAMILIES[stated[str(name)]], "") if str(name) in stated else detect_family(folder)


def detect_family(folder: Path) -> tuple[Family, str]:
    """The family of a checkpoint folder by the marks that its makers left, and what was assumed ("" if nothing).

    kit_encoder.json: the kit. `indexing_dimension`: FiD's Retriever. model_type dpr: DPR or RDR. modules.json:
    sentence-transformers. Architecture Contriever. Else a DistilBERT is taken for Margin-MSE's student (BERT_Dot) and
    any other for FiD-KD's, which begins from one.
    """
    if (folder / MANIFEST).exists():
        where = folder / MANIFEST
        return Family.from_json(read_json(where, dict).get("family"), str(where)), ""
    config = read_config(folder)
    kind, architecture = config.get("model_type"), str((config.get("architectures") or ["?"])[0])
    if "indexing_dimension" in config:
        return fid_retriever_family(config, str(folder)), ""
    if kind == "dpr" and architecture != "DPRReader":
        return FAMILIES["dpr"], ""
    if (folder / MODULES).exists():
        return sentence_transformer_family(folder)
    if architecture.lower() == "contriever":
        return FAMILIES["contriever"], ""
    if architecture.endswith("ForSequenceClassification") or kind in ("dpr", "BERT_Cat", "ColBERT"):
        raise KitError(str(folder), "a bi-encoder (question and passage apart)", architecture)
    if kind == "distilbert":
        return FAMILIES["bert-dot"], "its files name no family: taken for bert-dot (first token, dot product)"
    return FAMILIES["fid-kd"], "its files name no family: taken for fid-kd (mean of the tokens, 'question: ' before)"


def fill(encoder: DualEncoder, source: Source) -> None:
    """Set every weight of an encoder, whose towers follow the source's configurations, from its files."""
    folder = source.folders[0]
    if (folder / MANIFEST).exists():
        fill_strictly(encoder, folder, key_mapping=SHARED_KEYS)
    elif "indexing_dimension" in read_config(folder):
        unused = FID_UNUSED if source.family.dimension is None else FID_UNUSED[:1]
        fill_strictly(encoder, folder, key_mapping=FID_KEYS, ignore=unused)
    else:
        for tower, own in zip(encoder.towers, source.folders, strict=True):
            fill_tower(tower, own, key_mapping=DPR_KEYS | TOWER_PREFIX)


def _dpr_folders(folder: Path, name: str | Path, passage_tower: str | Path | None) -> tuple[Path, Path]:
    """The folders of a pair, each with the weights of its side: AutoModel would make random ones of the other's."""
    if passage_tower is None:
        wanted = "a name with question_encoder or ctx_encoder in it, or passage_tower="
        raise KitError(str(name), f"both towers of a DPR pair ({wanted})", "one")
    folders = folder, resolve(passage_tower)
    for each, prefix in zip(folders, TOWER_OF_DPR, strict=True):
        sides = {name.partition(".")[0] for name in weight_shapes(each)}
        if prefix not in sides:
            given = f"weights of {', '.join(TOWER_OF_DPR.get(name, name) for name in sorted(sides))}"
            raise KitError(str(each), f"a {TOWER_OF_DPR[prefix]}", given)
        if projected := read_config(each).get("projection_dim"):
            raise KitError(f"{each}/config.json", "projection_dim 0, as all released pairs have", projected)
    sizes = [tuple(read_config(each).get(name) for name in ("vocab_size", "hidden_size")) for each in folders]
    if sizes[0] != sizes[1]:
        raise KitError(str(passage_tower), f"a tower as the question's, vocabulary and size {sizes[0]}", sizes[1])
    return folders


def save(directory: str | Path, state: Mapping[str, Tensor], config: Any, family: Family, tokenizer: Any) -> None:
    """Write a kit checkpoint into `directory`, which appears whole or not at all."""
    if not family.two_towers:
        state = {name.removeprefix("question_tower."): weight for name, weight in state.items()}
    entries = {"format": "kit.DualEncoder", "version": 1, "family": family.to_json()}
    save_checkpoint(directory, MANIFEST, state, config.to_diff_dict(), tokenizer, entries)
