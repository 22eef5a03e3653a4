"""Losses that teach a student's scores from a teacher's, and `LOSSES`, the table of them. Knows no models, no files."""

from kit.losses.distillation import LOSSES, dpr_reader_loss, emdr2, in_batch_nll, js, kl, listnet, mse, reverse_kl
from kit.losses.gradients import descend, gradient
from kit.losses.ranking import margin_mse, max_margin, ranknet, ranknet_weighted

__all__ = [
    "LOSSES",
    "descend",
    "dpr_reader_loss",
    "emdr2",
    "gradient",
    "in_batch_nll",
    "js",
    "kl",
    "listnet",
    "margin_mse",
    "max_margin",
    "mse",
    "ranknet",
    "ranknet_weighted",
    "reverse_kl",
]
