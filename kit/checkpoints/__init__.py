"""Checkpoints on disk: downloads, the released families' key maps, loaders that take every weight or fail."""

from kit.checkpoints.downloads import RELEASES, resolve
from kit.checkpoints.own import load_tokenizer
from kit.checkpoints.pairs import load_cross_encoder, load_extractive_reader

__all__ = ["RELEASES", "load_cross_encoder", "load_extractive_reader", "load_tokenizer", "resolve"]
