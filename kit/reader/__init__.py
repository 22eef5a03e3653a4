"""The Fusion-in-Decoder reader: each passage encoded by itself, all of a question's passages read by one decoder."""

from kit.reader.ablation import ablation_attribution, sparse_linear_fit
from kit.reader.fid import FiDReader, Reading
from kit.reader.shares import read_in_shares

__all__ = ["FiDReader", "Reading", "ablation_attribution", "read_in_shares", "sparse_linear_fit"]
