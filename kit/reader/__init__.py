"""The Fusion-in-Decoder reader: each passage encoded by itself, all of a question's passages read by one decoder."""

from kit.reader.fid import FiDReader, Reading
from kit.reader.shares import read_in_shares

__all__ = ["FiDReader", "Reading", "read_in_shares"]
