"""Teachers: whatever scores (question, passages), for a student to learn from. Each gives a `ScoreTable`.

`TEACHERS` has them by name. k passages of a question; "passes" are forward passes for one question.

| name                | class               | score of a passage                                | passes               |
|---------------------|---------------------|---------------------------------------------------|----------------------|
| `fid_kd`            | `FiDAttention`      | mean cross-attention logit of the first token     | k encoder, 1 decoder |
| `adist`             | `FiDAttention`      | probability times the length of the value, >= 0   | k encoder, 1 decoder |
| `pdist`             | `PassageLikelihood` | mean log p(answer token), it alone; nats          | k encoder, k decoder |
| `answer_likelihood` | `PassageLikelihood` | log p(answer), that passage alone; nats           | k encoder, k decoder |
| `loop`              | `LeaveOneOut`       | -mean log p(answer token), all but that one; nats | k encoder, k decoder |
| `extractive_reader` | `ExtractiveReader`  | P_sel logit of DPR's reader                       | k BERT               |
| `cross_encoder`     | `CrossEncoder`      | raw score, [CLS] question [SEP] passage [SEP]     | k BERT               |
| `dual_encoder`      | `EncoderScores`     | q.p times the family's scale                      | 1 + k BERT           |

`Ensemble` takes the mean of several, `Standardised` gives each question's scores one spread (look at a table's spread
before its softmax; `kit.losses.kl(teacher_temperature=...)` divides it), `FromTable` has scores that were computed
earlier. `score_file` writes scores to a file without holding them. Knows no losses.
"""

from kit.teachers.combined import Ensemble, FromTable, Standardised
from kit.teachers.cross_encoder import CrossEncoder
from kit.teachers.encoder import EncoderScores
from kit.teachers.extractive_reader import ExtractiveReader
from kit.teachers.fid import FiDAttention, LeaveOneOut, PassageLikelihood
from kit.teachers.files import score_file
from kit.teachers.names import READER_TEACHERS, TEACHERS, load_teacher
from kit.teachers.scaling import standardised
from kit.teachers.scores import Teacher
from kit.teachers.triples import load_teacher_triples, load_triple_examples

__all__ = [
    "READER_TEACHERS",
    "TEACHERS",
    "CrossEncoder",
    "EncoderScores",
    "Ensemble",
    "ExtractiveReader",
    "FiDAttention",
    "FromTable",
    "LeaveOneOut",
    "PassageLikelihood",
    "Standardised",
    "Teacher",
    "load_teacher",
    "load_teacher_triples",
    "load_triple_examples",
    "score_file",
    "standardised",
]
