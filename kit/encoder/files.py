"""The files of a bi-encoder: each released family put into a `DualEncoder`, and the kit's own checkpoint.

Every weight comes from the files, or a `KitError` names it. Knows nothing of how vectors are made.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file
from torch import nn

from kit.checkpoints import RELEASES, load_tokenizer, resolve
from kit.checkpoints.layouts import build_tower, load_tower, tower_config
from kit.checkpoints.weights import fill_strictly, read_config, weight_shapes
from kit.encoder.families import MANIFEST, Family, detect_family, family_named
from kit.files import folder_aside, read_json, write_json
from kit.types import KitError

if TYPE_CHECKING:
    from kit.encoder.dual import DualEncoder

FID_TOKENIZER = "google-bert/bert-base-uncased"  # what FiD's scripts load: its archives hold no tokenizer
FID_KEYS = {r"^model\.": "question_tower.", r"^proj\.": "projection."}
# FiD's training script puts a projection into every model, also where the configuration does not use it.
FID_UNUSED = (r"^question_tower\.pooler\.dense\.", r"^(projection|norm)\.")
SHARED_KEYS = {r"^(embeddings|encoder|transformer)\.": r"question_tower.\1."}  # a kit checkpoint's one tower is bare
TOWER_OF_DPR = {"question_encoder": "DPRQuestionEncoder", "ctx_encoder": "DPRContextEncoder"}


def load(
    encoder_class: type[DualEncoder],
    name_or_dir: str | Path,
    *,
    family: str | Family | None = None,
    passage_tower: str | Path | None = None,
    tokenizer: Any = None,
) -> DualEncoder:
    """The encoder of a checkpoint, on the CPU in float32; the arguments are those of `DualEncoder.from_pretrained`."""
    if passage_tower is None and names_of_pair(name_or_dir) is not None:
        name_or_dir, passage_tower = names_of_pair(name_or_dir)
    folder = resolve(name_or_dir)
    chosen = detect_family(folder) if family is None else family_named(family)
    config = read_config(folder)
    size = tower_config(config, folder / "config.json")
    if tokenizer is None:
        tokenizer = _own_tokenizer(folder, config)
    elif isinstance(tokenizer, str | Path):
        tokenizer = load_tokenizer(tokenizer)
    if config.get("model_type") == "dpr":
        towers = _dpr_pair(folder, name_or_dir, passage_tower)
        return encoder_class(*towers, family=chosen, tokenizer=tokenizer)
    if passage_tower is not None:
        raise KitError("passage_tower", "a DPR or RDR pair (model_type dpr)", repr(config.get("model_type")))
    if (folder / MANIFEST).exists() or "indexing_dimension" in config:
        towers = [build_tower(copy.deepcopy(size)) for _ in range(1 + chosen.two_towers)]
        encoder = encoder_class(*towers, family=chosen, tokenizer=tokenizer)
        _fill(encoder, folder)
        return encoder
    tower = load_tower(folder, size)
    towers = [tower, copy.deepcopy(tower)] if chosen.two_towers else [tower]
    return encoder_class(*towers, family=chosen, tokenizer=tokenizer)


def _fill(encoder: DualEncoder, folder: Path) -> None:
    if (folder / MANIFEST).exists():
        fill_strictly(encoder, folder, key_mapping=SHARED_KEYS)
    else:
        unused = FID_UNUSED if encoder.family.dimension is None else FID_UNUSED[:1]
        fill_strictly(encoder, folder, key_mapping=FID_KEYS, ignore=unused)


def names_of_pair(name_or_dir: str | Path) -> tuple[str, str] | None:
    """The question tower's and the passage tower's name, when one of the two follows the rule of DPR's and RDR's names.

    >>> names_of_pair("soheeyang/rdr-ctx_encoder-single-nq-base")
    ('soheeyang/rdr-question_encoder-single-nq-base', 'soheeyang/rdr-ctx_encoder-single-nq-base')
    >>> names_of_pair("bert-base-uncased") is None
    True
    """
    name = str(name_or_dir)
    name = RELEASES[name].address if name in RELEASES and not RELEASES[name].is_archive else name
    before, slash, last = name.rpartition("/")
    if "question_encoder" not in last and "ctx_encoder" not in last:
        return None
    question = last.replace("ctx_encoder", "question_encoder")
    return before + slash + question, before + slash + question.replace("question_encoder", "ctx_encoder")


def _dpr_pair(folder: Path, name: str | Path, passage_tower: str | Path | None) -> list[nn.Module]:
    if passage_tower is None:
        wanted = "a name with question_encoder or ctx_encoder in it, or passage_tower="
        raise KitError(str(name), f"both towers of a DPR pair ({wanted})", "one")
    towers = [_dpr_tower(folder, "question_encoder"), _dpr_tower(resolve(passage_tower), "ctx_encoder")]
    sizes = [(tower.config.vocab_size, tower.config.hidden_size) for tower in towers]
    if sizes[0] != sizes[1]:
        raise KitError(str(passage_tower), f"a tower as the question's, vocabulary and size {sizes[0]}", sizes[1])
    return towers


def _dpr_tower(folder: Path, prefix: str) -> nn.Module:
    """One tower of exactly this class: AutoModel would make a random question tower of a passage tower's file."""
    config = read_config(folder)
    found = {name.partition(".")[0] for name in weight_shapes(folder)}
    if prefix not in found:
        given = f"weights of {', '.join(TOWER_OF_DPR.get(name, name) for name in sorted(found))}"
        raise KitError(str(folder), f"a {TOWER_OF_DPR[prefix]}", given)
    if config.get("projection_dim"):
        raise KitError(
            f"{folder}/config.json", "projection_dim 0, as all released pairs have", config["projection_dim"]
        )
    return load_tower(folder, tower_config(config, folder), key_mapping={rf"^{prefix}\.bert_model\.": ""})


def _own_tokenizer(folder: Path, config: dict[str, Any]) -> Any:
    if any((folder / name).exists() for name in ("tokenizer.json", "vocab.txt", "spiece.model")):
        return load_tokenizer(folder)
    if (folder / MANIFEST).exists():
        return read_json(folder / MANIFEST, dict).get("tokenizer")
    return FID_TOKENIZER if "indexing_dimension" in config else None


def save(encoder: DualEncoder, directory: str | Path) -> None:
    """Write a kit checkpoint into `directory`, which appears whole or not at all.

    A folder that is there already is replaced if it holds nothing but an earlier checkpoint of an encoder.
    """
    with folder_aside(directory, MANIFEST) as new:
        _write(encoder, new)


def _write(encoder: DualEncoder, new: Path) -> None:
    state = {name: weight.detach().cpu().contiguous() for name, weight in encoder.state_dict().items()}
    if not encoder.family.two_towers:
        state = {name.removeprefix("question_tower."): weight for name, weight in state.items()}
    save_file(state, new / "model.safetensors", metadata={"format": "pt"})
    encoder.question_tower.config.save_pretrained(new)
    tokenizer = encoder._tokenizer
    if tokenizer is not None and not isinstance(tokenizer, str):
        tokenizer.save_pretrained(new)
    manifest = {
        "format": "kit.DualEncoder",
        "version": 1,
        "family": encoder.family.to_json(),
        "tokenizer": tokenizer if isinstance(tokenizer, str) else None,
    }
    write_json(new / MANIFEST, manifest)
