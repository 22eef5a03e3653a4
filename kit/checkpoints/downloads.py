"""From a name to a folder: the toy models, the released checkpoints, archives, the hub.

Everything that loads a checkpoint asks `resolve`. Knows nothing about what a checkpoint holds (`kit.checkpoints`).
Source of the addresses: FiD's get-model.sh and the pages of the authors on the Hugging Face hub.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kit.arguments import one_of
from kit.checkpoints.fetching import checkpoint_folder, download_file, unpack, writable
from kit.files import restored
from kit.shipped import DATA
from kit.types import KitError

FID_HOST = "https://dl.fbaipublicfiles.com/FiD/pretrained_models"
TOYS = {"toy-t5": "t5", "toy-bert": "bert", "toy-bert-cat": "bert-cat", "toy-dpr-reader": "dpr-reader"}  # in DATA


@dataclass(frozen=True)
class Release:
    """A released checkpoint: an archive at `address` (http...), or a repository of the Hugging Face hub."""

    address: str
    kind: str  # reader, encoder, cross-encoder, extractive-reader
    note: str
    sha256: str | None = None  # none of the authors published one
    family: str | None = None  # of an encoder whose files do not name it

    @property
    def is_archive(self) -> bool:
        """Whether it is a tar archive and not a repository of the hub."""
        return self.address.startswith("http")


def _fid(name: str, kind: str, note: str) -> Release:
    return Release(f"{FID_HOST}/{name}.tar.gz", kind, note)


RELEASES: dict[str, Release] = {
    "nq_reader_base": _fid("nq_reader_base", "reader", "FiD, Natural Questions, T5-base: EM 49.2 dev / 50.1 test"),
    "nq_reader_large": _fid("nq_reader_large", "reader", "FiD, Natural Questions, T5-large: 52.7 / 54.4"),
    "tqa_reader_base": _fid("tqa_reader_base", "reader", "FiD, TriviaQA, T5-base: 68.7 / 69.3"),
    "tqa_reader_large": _fid("tqa_reader_large", "reader", "FiD, TriviaQA, T5-large: 72.5 / 72.5"),
    "nq_retriever": _fid("nq_retriever", "encoder", "FiD-KD, Natural Questions: R@20 84.3, R@100 89.3 test"),
    "tqa_retriever": _fid("tqa_retriever", "encoder", "FiD-KD, TriviaQA: R@20 83.6, R@100 87.7 test"),
    "rdr-nq": Release("soheeyang/rdr-question_encoder-single-nq-base", "encoder", "RDR pair, NQ: R@1 54.3, R@20 82.8"),
    "rdr-trivia": Release("soheeyang/rdr-question_encoder-single-trivia-base", "encoder", "RDR pair: R@1 62.6"),
    "dpr-nq": Release("facebook/dpr-question_encoder-single-nq-base", "encoder", "DPR pair, NQ: R@1 45.9, R@20 80.0"),
    "dpr-trivia": Release("soheeyang/dpr-question_encoder-single-trivia-base", "encoder", "DPR pair, TriviaQA"),
    "dpr-reader-nq": Release("facebook/dpr-reader-single-nq-base", "extractive-reader", "DPR's reader: RDR's teacher"),
    "distilbert-dot": Release(
        "sebastian-hofstaetter/distilbert-dot-margin_mse-T2-msmarco",
        "encoder",
        "Margin-MSE student: MRR@10 .323 dev",
        family="bert-dot",
    ),
    "distilbert-dot-tas-b": Release(
        "sebastian-hofstaetter/distilbert-dot-tas_b-b256-msmarco",
        "encoder",
        "TAS-B student: MRR@10 .344 dev",
        family="bert-dot",
    ),
    "distilbert-cat": Release(
        "sebastian-hofstaetter/distilbert-cat-margin_mse-T2-msmarco", "cross-encoder", "BERT_Cat with DistilBERT"
    ),
    "minilm-cat": Release("cross-encoder/ms-marco-MiniLM-L6-v2", "cross-encoder", "a small teacher, MS MARCO"),
    "contriever": Release("facebook/contriever", "encoder", "unsupervised, masked mean"),
}


def download(name: str, directory: str | Path, *, say: Callable[[str], None] = print) -> Path:
    """The folder of a released checkpoint, `directory/name`, fetched when it is not there; a stopped download goes on.

    `name` is one of `RELEASES`. What will be written, and the disk it takes, is printed before anything is fetched.
    """
    release, target = RELEASES[one_of("download", name, RELEASES)], Path(directory) / name
    if not release.is_archive:
        return fetch_from_hub(release.address, target, say=say)
    if target.is_dir():
        return checkpoint_folder(target)
    from huggingface_hub.utils import WeakFileLock

    lock = WeakFileLock(Path(directory) / f".{name}.lock")  # processes of one training ask for it together
    with writable(Path(directory)), lock:
        if target.is_dir():
            return checkpoint_folder(target)
        archive = Path(directory) / f"{name}.tar.gz"
        download_file(release.address, archive, sha256=release.sha256, say=say)
        folder = unpack(archive)
        archive.unlink()
    return folder


def fetch_from_hub(
    name: str, target: str | Path | None = None, *, weights: bool = True, say: Callable[[str], None] = print
) -> Path:
    """The local folder of a repository of the Hugging Face hub: `target`, or the hub's own cache without one.

    Only configuration, tokenizer and PyTorch weights are fetched: safetensors, or the .bin where there are none; no
    weights at all if `weights` is off. Without a network what the cache holds is taken.
    """
    from huggingface_hub import snapshot_download

    small = ["*.json", "*.txt", "*.model"]
    try:
        for pattern in ("model*.safetensors", "pytorch_model*.bin") if weights else (None,):
            patterns = small if pattern is None else [*small, pattern]
            folder = Path(snapshot_download(name, allow_patterns=patterns, local_dir=target))
            if pattern is None or list(folder.glob(pattern)):
                break
    except Exception as error:  # the hub's client raises OSError, ValueError and its HTTP library's errors
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        raise KitError(repr(name), "a folder, a .tar.gz, or a model that the hub can send", reason) from None
    say(f"{name}: in {folder}")
    return folder


def resolve(name_or_dir: str | Path, *, weights: bool = True, cache: str | Path | None = None) -> Path:
    """The local folder of a checkpoint: a folder, a `.tar.gz`, a name of `TOYS` or `RELEASES`, or one on the hub.

    Archives of `RELEASES` are kept in `cache` (default: the environment's KIT_CACHE, or ~/.cache/kit). With `weights`
    off, for a tokenizer's sake, the folder needs no config.json, and of a repository the small files are fetched.
    """
    name, path = str(name_or_dir), Path(name_or_dir).expanduser()
    if restored(path).is_dir():
        if weights and not (path / "config.json").exists():
            raise KitError(str(path), "a checkpoint folder with a config.json", sorted(p.name for p in path.iterdir()))
        return path
    if path.name.endswith((".tar.gz", ".tgz", ".tar")):
        if not path.exists():
            raise KitError(str(path), "an archive that exists", "no such file")
        return unpack(path)
    if path.is_file():
        raise KitError(str(path), "a checkpoint folder or its archive (.tar.gz)", "another file")
    if name in TOYS:
        if not (DATA / TOYS[name]).is_dir():
            raise KitError(
                name, f"the toy model in {DATA / TOYS[name]} (a whole checkout, or an installed kit)", "none"
            )
        return DATA / TOYS[name]
    if name in RELEASES and RELEASES[name].is_archive:
        return download(name, cache or os.environ.get("KIT_CACHE") or Path.home() / ".cache" / "kit", say=_say_aside)
    if name in RELEASES:
        return fetch_from_hub(RELEASES[name].address, weights=weights, say=_silent)
    local = path.is_absolute() or name.startswith((".", "~")) or name.count("/") != ("/" in name.strip("/"))
    if local or "\\" in name or ("/" in name and path.parent.is_dir()):
        raise KitError(name, "a checkpoint folder, archive, or a model's name", "no such folder")
    return fetch_from_hub(name, weights=weights, say=_silent)


def _say_aside(line: str) -> None:
    print(line, file=sys.stderr)  # a command's output stays its own


def _silent(line: str) -> None:
    """Nothing: the hub's client shows its own progress."""


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


def fetch_checkpoint(name: str, out: str | Path | None = None, *, say: Callable[[str], None] = print) -> list[Path]:
    """The folders of a released checkpoint, or of one on the hub, fetched if needed: two for a DPR or RDR pair.

    They are in `out` or, without it, where everything that loads a checkpoint by its name finds them.
    """
    if (pair := names_of_pair(name)) is not None:
        places = [None if out is None else Path(out) / tower.rpartition("/")[2] for tower in pair]
        return [fetch_from_hub(tower, place, say=say) for tower, place in zip(pair, places, strict=True)]
    if out is None:
        return [resolve(name)]
    if name in RELEASES:
        return [download(name, out, say=say)]
    return [fetch_from_hub(name, Path(out) / name.rpartition("/")[2], say=say)]
