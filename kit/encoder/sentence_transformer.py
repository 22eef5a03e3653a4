"""The family of a sentence-transformers bi-encoder: every setting in its files that changes a vector or a score.

Each is applied, or refused by its name. Knows no weights. Source: sentence-transformers' models and its `encode_query`
and `encode_document`, which take the prompts named query, and document, passage or corpus, before the default one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.checkpoints.weights import read_config
from kit.encoder.families import Family
from kit.files import read_json
from kit.types import KitError

MODULES = "modules.json"
POOLINGS = {"mean_tokens": "mean", "cls_token": "cls", "mean": "mean", "cls": "cls"}
PROMPTS = {"question": ("query",), "passage": ("document", "passage", "corpus")}


def sentence_transformer_family(folder: Path) -> tuple[Family, str]:
    """The family of such a folder, and what was assumed for it ("" if nothing).

    Transformer, Pooling by mean or first token, and perhaps Normalize. A title goes before its text.
    """
    modules = read_json(folder / MODULES, list)
    kinds = [str(each.get("type")) if isinstance(each, dict) else repr(each) for each in modules]
    names = [kind.rpartition(".")[2] for kind in kinds if kind.startswith("sentence_transformers.")]
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]) or len(names) < len(kinds):
        raise KitError(str(folder / MODULES), "Transformer, Pooling and at most Normalize", kinds)
    pooling, with_prompt = _pooling(folder / str(modules[1].get("path")) / "config.json")
    length, lower_case = _transformer(folder)
    path = folder / "config_sentence_transformers.json"
    settings = read_json(path, dict) if path.exists() else {}
    for name, only in {"truncate_dim": (None,), "model_type": (None, "SentenceTransformer")}.items():
        if settings.get(name) not in only:
            raise KitError(str(path), f"{name} {only[-1]!r}", repr(settings[name]))
    prompts = _prompts(settings, path)
    if any(prompts.values()) and not with_prompt:
        raise KitError(str(folder), "prompts that are pooled with the text (include_prompt)", "include_prompt false")
    similarity, normalized = settings.get("similarity_fn_name"), "Normalize" in names
    if similarity not in (None, "cosine", "dot", "dot_score"):
        raise KitError(str(path), "similarity_fn_name cosine or dot", repr(similarity))
    assumed = "" if similarity or normalized else "its files name no similarity: the dot product is taken"
    family = Family(
        "sentence-transformers",
        pooling=pooling,
        normalized=normalized or similarity == "cosine",
        template="title-text",
        question_length=length,
        passage_length=length,
        question_prompt=prompts["question"],
        passage_prompt=prompts["passage"],
        lower_case=lower_case,
    )
    return family, assumed


def _pooling(path: Path) -> tuple[str, bool]:
    """The pooling, and whether a prompt's tokens are pooled too."""
    settings = read_json(path, dict)
    on = [name.removeprefix("pooling_mode_") for name, value in settings.items() if value is True]
    on = [name for name in on if f"pooling_mode_{name}" in settings] or [str(settings.get("pooling_mode"))]
    if len(on) != 1 or on[0] not in POOLINGS:
        raise KitError(str(path), "pooling by mean or by the first token", ", ".join(on))
    return POOLINGS[on[0]], settings.get("include_prompt") is not False


def _transformer(folder: Path) -> tuple[int, bool]:
    """The tokens that a text is cut at, and whether texts are lower-cased before the tokenizer has them."""
    length, lower_case = None, False
    for path in folder.glob("sentence_*_config.json"):
        settings = read_json(path, dict)
        for name in ("model_args", "tokenizer_args", "config_args", "model_kwargs", "processor_kwargs"):
            if settings.get(name):
                raise KitError(str(path), f"no {name}", repr(settings[name]))
        length, lower_case = settings.get("max_seq_length"), settings.get("do_lower_case") or False
    if length is None:
        path = folder / "tokenizer_config.json"
        limits = [(read_json(path, dict) if path.exists() else {}).get("model_max_length"), _positions(folder)]
        length = min(int(limit) for limit in limits if isinstance(limit, int | float))
    return length, lower_case


def _positions(folder: Path) -> int:
    return read_config(folder).get("max_position_embeddings") or 512


def _prompts(settings: Mapping[str, Any], path: Path) -> dict[str, str]:
    """What is put before each side's texts."""
    prompts = settings.get("prompts") or {}
    default = settings.get("default_prompt_name")
    texts = isinstance(prompts, dict) and all(isinstance(text, str) for text in prompts.values())
    if not texts or (default is not None and default not in prompts):
        raise KitError(str(path), "prompts, texts by their names, and one of the names as the default", repr(settings))
    chosen = {
        side: next((prompts[name] for name in names if name in prompts), prompts.get(default, ""))
        for side, names in PROMPTS.items()
    }
    if any(prompts.values()) and default is None and "query" not in prompts and not any(chosen.values()):
        raise KitError(str(path), "a prompt named query, document or passage (or family=)", ", ".join(prompts))
    return chosen
