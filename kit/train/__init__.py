"""Training: readers on answers, retrievers on a teacher's scores or on labels; one loop for all, resumable."""

from kit.train.contrastive import InBatch, train_in_batch
from kit.train.fit import Optimisation, Training
from kit.train.stages import DISTILLATION, READER_TRAINING, Distillation, ReaderTraining, distil, train_reader
from kit.train.topic_batches import TopicBalanced, train_topic_balanced

__all__ = [
    "DISTILLATION",
    "READER_TRAINING",
    "Distillation",
    "InBatch",
    "Optimisation",
    "ReaderTraining",
    "TopicBalanced",
    "Training",
    "distil",
    "train_in_batch",
    "train_reader",
    "train_topic_balanced",
]
