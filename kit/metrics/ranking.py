"""Numbers that judge a score table: answer recall, measures with judgements (MRR, nDCG, MAP), FiD-KD's diagnostics.

Measures give one value a question, so that curves, intervals and tests (`statistics`) can be made of them; their
mean is the number that papers print. A table is ranked by its values; ties and unscored passages keep their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from kit.arguments import instance_of, list_of, whole_number
from kit.metrics.answers import answer_finder, searchable
from kit.types import KitError, Passage, Question, ScoreTable

Judgements = Mapping[str, Mapping[str, int]]  # question id -> passage id -> grade, as `kit.data.read_qrels` gives them


def answer_hits(
    table: ScoreTable, questions: Sequence[Question], corpus: Mapping[str, Passage], *, regex: bool = False
) -> Bool[np.ndarray, "q k"]:
    """Which cells of the table hold an answer in the passage's text: (q, k), rows as `questions`, columns as the table.

    Titles are not searched. Each passage is tokenised once, however many questions share it. A question without
    answers, one that the table does not hold, and a passage that the corpus does not hold are `KitError`s.
    """
    instance_of("corpus", corpus, Mapping, "passages by their ids")
    _table(table)
    for question in list_of("questions", questions, Question, "questions"):
        if not question.answers:
            raise KitError(f"question {question.id!r}", "at least one answer", "none")
    finders = [answer_finder(question.answers, regex) for question in questions]
    passage_ids = table.passage_ids[[table.row_of(question.id) for question in questions]]
    hits: np.ndarray = np.zeros(passage_ids.shape, dtype=bool)
    names, cells = np.unique(passage_ids, return_inverse=True)
    by_passage = np.argsort(cells.ravel(), kind="stable")
    groups = np.split(by_passage, np.cumsum(np.bincount(cells.ravel(), minlength=len(names)))[:-1])
    for name, group in zip(names.tolist(), groups, strict=False):
        if name:
            text = searchable(_passage(corpus, name).text, regex)
            for cell in group.tolist():
                hits.reshape(-1)[cell] = finders[cell // hits.shape[1]](text)
    return hits


def answer_ranks(
    table: ScoreTable, questions: Sequence[Question], corpus: Mapping[str, Passage], *, regex: bool = False
) -> Float[np.ndarray, " q"]:
    """The rank, from 1, of each question's first passage that holds an answer; inf where none does: (q,).

    `(ranks <= k).mean()` is the recall at k, for any k up to the table's width, and `(1 / ranks)` the reciprocal rank.
    """
    questions = list_of("questions", questions, Question, "questions")
    ranked = _ranked(_table(table).select([question.id for question in questions]))
    return _first(answer_hits(ranked, questions, corpus, regex=regex))


def answer_recall(
    table: ScoreTable,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    ks: Sequence[int] = (1, 5, 20, 100),
    *,
    regex: bool = False,
) -> dict[int, float]:
    """{k: share of questions with an answer in one of their first k passages}, also called top-k accuracy and R@k.

    A `k` beyond the table's width is a `KitError`: those passages were not retrieved.
    Source: Karpukhin et al. 2020, section 5.1; matching as in `has_answer`.

    >>> table = ScoreTable("bm25", ["q"], [["p1", "p2"]], [[1.0, 2.0]])
    >>> corpus = {"p1": Passage("p1", "France", "Paris."), "p2": Passage("p2", "Italy", "Rome.")}
    >>> answer_recall(table, [Question("q", "capital of France?", ("Paris",))], corpus, [1, 2])
    {1: 0.0, 2: 1.0}
    """
    width = _table(table).values.shape[1]
    if isinstance(ks, str | bytes) or not isinstance(ks, Iterable):
        raise KitError("answer_recall", "a list of numbers k", f"{ks!r:.60}")
    ks = [whole_number(f"score table {table.name!r}", "k", k, most=width) for k in ks]
    questions = list_of("questions", questions, Question, "questions")
    if not questions:
        raise KitError("answer_recall", "questions", "none")
    ranks = answer_ranks(table, questions, corpus, regex=regex)
    return {int(k): float((ranks <= k).mean()) for k in ks}


def judged(table: ScoreTable, judgements: Judgements) -> ScoreTable:
    """The table's rows of questions that have judgements, as trec_eval counts them (TREC DL judges 43 of 200)."""
    _judgements(judgements)
    return table.select([i for i in _table(table).question_ids.tolist() if i in judgements])


def reciprocal_rank(
    table: ScoreTable, judgements: Judgements, k: int = 10, *, relevant: int = 1
) -> Float[np.ndarray, " q"]:
    """1 / rank of each question's first passage of grade `relevant` or more among the first k, else 0: (q,).

    The mean is MRR@k. TREC DL asks for `relevant=2`. This and the measures below want judgements for every question of
    the table (see `judged`), and agree with trec_eval, which breaks ties by passage id where the kit keeps the order.

    >>> table = ScoreTable("bm25", ["q"], [["p1", "p2"]], [[1.0, 2.0]])
    >>> reciprocal_rank(table, {"q": {"p1": 1}}).tolist()
    [0.5]
    """
    return 1 / _first(_grades(table, judgements, k) >= relevant)


def recall(table: ScoreTable, judgements: Judgements, k: int = 100, *, relevant: int = 1) -> Float[np.ndarray, " q"]:
    """The share of each question's relevant passages found among the first k: (q,); 0 where none is relevant."""
    found = (_grades(table, judgements, k) >= relevant).sum(1)
    return found / np.maximum(_relevant(table, judgements, relevant), 1)


def average_precision(
    table: ScoreTable, judgements: Judgements, k: int | None = None, *, relevant: int = 1
) -> Float[np.ndarray, " q"]:
    """The mean, over a question's relevant passages, of the precision at each (0 for one not among the first k): (q,).

    The mean is MAP; k None takes the whole table.

    >>> table = ScoreTable("bm25", ["q"], [["p1", "p2", "p3"]], [[3.0, 2.0, 1.0]])
    >>> average_precision(table, {"q": {"p1": 1, "p3": 1}}).tolist()  # (1/1 + 2/3) / 2
    [0.8333333333333333]
    """
    hits = _grades(table, judgements, k) >= relevant
    precision = hits.cumsum(1) / np.arange(1, hits.shape[1] + 1)
    return (precision * hits).sum(1) / np.maximum(_relevant(table, judgements, relevant), 1)


def ndcg(table: ScoreTable, judgements: Judgements, k: int = 10) -> Float[np.ndarray, " q"]:
    """Discounted gain of the first k over that of the best order of the judged passages: (q,), 0 to 1.

    The gain is the grade itself, as in trec_eval and matchmaker (some papers take 2^grade - 1); a grade below 0 gains
    nothing. Source: Järvelin & Kekäläinen 2002; discount log2(1 + rank).

    >>> table = ScoreTable("bm25", ["q"], [["p1", "p2"]], [[2.0, 1.0]])
    >>> ndcg(table, {"q": {"p1": 0, "p2": 3}}).round(4).tolist()  # (3 / log2 3) / 3
    [0.6309]
    """
    gains = np.maximum(_grades(table, judgements, k), 0)
    _judgements(judgements)
    best = [
        sorted((g for g in _of(judgements, i).values() if g > 0), reverse=True)[:k] for i in table.question_ids.tolist()
    ]
    ideal = np.array([(row / np.log2(np.arange(2, len(row) + 2))).sum() if row else 0.0 for row in best])
    gained = (gains / np.log2(np.arange(2, gains.shape[1] + 2))).sum(1)
    return np.divide(gained, ideal, out=np.zeros(len(gained)), where=ideal > 0)


def inversions(scores: ArrayLike) -> int:
    """The number of pairs that the scores put in the wrong order; the passages stand in the teacher's order.

    A tie is no inversion; here and below `scores` is (k,), tensors too. Source: released FiD code, src/evaluation.py.

    >>> inversions([3.0, 1.0, 2.0])
    1
    """
    values = _vector(scores)
    return int(np.triu(values[:, None] < values[None, :]).sum())


def top_overlap(scores: ArrayLike, k: int) -> float:
    """The share of the teacher's first k passages among the k of highest score; the passages stand in its order.

    >>> top_overlap([1.0, 3.0, 2.0], 2)
    0.5
    """
    return float((_order(scores, k)[:k] < k).mean())


def cover_depth(scores: ArrayLike, k: int) -> int:
    """How deep in the scores' order the last of the teacher's first k passages stands: k to the number of passages.

    >>> cover_depth([1.0, 3.0, 2.0], 1)
    3
    """
    return int(np.flatnonzero(_order(scores, k) < k).max()) + 1


def _vector(scores: object) -> np.ndarray:
    try:
        values = np.asarray(scores, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise KitError("scores", "one question's scores, a number for each passage", f"{scores!r:.60}") from None
    if values.ndim != 1 or np.isnan(values).any():
        given = f"shape {values.shape}" if values.ndim != 1 else "NaN among them"
        raise KitError("scores", "one question's scores, a number for each passage", given)
    return values


def _order(scores: object, k: int) -> np.ndarray:
    values = _vector(scores)
    k = whole_number("scores", "k", k, most=len(values))
    return np.argsort(-values, kind="stable")


def _passage(corpus: Mapping[str, Passage], passage_id: str) -> Passage:
    try:
        return instance_of("corpus", corpus[passage_id], Passage, "passages")
    except KeyError:
        raise KitError("corpus", "the passages of the table", f"no passage {passage_id!r}") from None


def _table(table: object) -> ScoreTable:
    return instance_of("table", table, ScoreTable, "a score table")


def _judgements(judgements: object) -> Judgements:
    return instance_of("judgements", judgements, Mapping, "{question id: {passage id: grade}}")


def _ranked(table: ScoreTable, k: int | None = None) -> ScoreTable:
    return _table(table).top(max(table.values.shape[1], 1) if k is None else k)


def _first(hits: Bool[np.ndarray, "q k"]) -> Float[np.ndarray, " q"]:
    return np.where(hits, np.arange(1, hits.shape[1] + 1), np.inf).min(axis=1, initial=np.inf)


def _grades(table: ScoreTable, judgements: Judgements, k: int | None) -> Int[np.ndarray, "q k"]:
    """The grades of the first k passages, highest score first; the lowest integer where there is no judgement."""
    ranked, none = _ranked(table, k), np.iinfo(np.int64).min
    rows = [[_of(judgements, q).get(p, none) for p in ids] for q, ids in _rows(ranked)]
    return np.array(rows, dtype=np.int64).reshape(ranked.values.shape)


def _relevant(table: ScoreTable, judgements: Judgements, relevant: int) -> Int[np.ndarray, " q"]:
    counts = [sum(g >= relevant for g in _of(judgements, q).values()) for q in table.question_ids.tolist()]
    return np.array(counts, dtype=np.int64)


def _rows(table: ScoreTable) -> zip[tuple[str, list[str]]]:
    return zip(table.question_ids.tolist(), table.passage_ids.tolist(), strict=True)


def _of(judgements: Judgements, question_id: str) -> Mapping[str, int]:
    if question_id not in _judgements(judgements):
        raise KitError(f"question {question_id!r}", "judgements (`judged` keeps the questions that have some)", "none")
    return judgements[question_id]
