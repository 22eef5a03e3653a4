"""Training: readers on answers, retrievers on a teacher's scores or on labels; one loop for all, resumable."""

from kit.optimisation import Optimisation
from kit.train.checkpoints import clear_checkpoints
from kit.train.contrastive import InBatch, train_in_batch
from kit.train.distillation import DISTILLATION, Distillation, distil
from kit.train.evaluations import agreement_of, exact_match_of
from kit.train.fit import RunOptions, TrainingHistory
from kit.train.inverse_cloze import train_inverse_cloze
from kit.train.reader import READER_TRAINING, ReaderTraining, train_reader
from kit.train.topic_batches import TopicBalanced, train_topic_balanced

__all__ = [
    "DISTILLATION",
    "READER_TRAINING",
    "Distillation",
    "InBatch",
    "Optimisation",
    "ReaderTraining",
    "RunOptions",
    "TopicBalanced",
    "TrainingHistory",
    "agreement_of",
    "clear_checkpoints",
    "distil",
    "exact_match_of",
    "train_in_batch",
    "train_inverse_cloze",
    "train_reader",
    "train_topic_balanced",
]
