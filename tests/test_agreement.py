"""Agreement of two tables: by hand, against scipy, and under what must not matter."""

import numpy as np
import pytest
from scipy import stats

from kit.metrics import agreement
from kit.metrics.table_agreement import entropy
from kit.types import KitError, ScoreTable

NAN = float("nan")


def tables(values_a, values_b):
    ids = [[f"p{k}" for k in range(np.shape(values_a)[1])]] * len(values_a)
    questions = [f"q{q}" for q in range(len(values_a))]
    return ScoreTable("a", questions, ids, values_a), ScoreTable("b", questions, ids, values_b)


def test_by_hand():
    result = agreement(*tables([[4.0, 3.0, 2.0, 1.0]], [[4.0, 3.0, 1.0, 2.0]]), k=3)
    assert result.kendall[0] == pytest.approx(4 / 6)  # five pairs agree, one does not
    assert result.spearman[0] == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert result.overlap[0] == pytest.approx(2 / 3)
    assert result.means["kendall"] == pytest.approx(4 / 6)
    assert "kendall 0.667" in repr(result)


def test_rank_correlations_equal_scipys_with_ties_and_infinities():
    draw = np.random.default_rng(0)
    a, b = draw.integers(0, 6, (2, 50, 9)).astype(float)
    b[::7, 0] = -np.inf
    result = agreement(*tables(a, b))
    with np.errstate(invalid="ignore"):
        kendall = [stats.kendalltau(x, y).statistic for x, y in zip(a, b, strict=True)]
        spearman = [stats.spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(result.kendall, kendall, atol=1e-12)
    np.testing.assert_allclose(result.spearman, spearman, atol=1e-12)


def test_entropy_equals_scipys_and_shares_of_nothing_count_nothing():
    scores = np.random.default_rng(1).normal(size=20)
    assert entropy(scores) == pytest.approx(stats.entropy(np.exp(scores)))
    assert entropy(scores + 1000) == pytest.approx(entropy(scores))
    assert entropy([*scores, -np.inf]) == pytest.approx(entropy(scores))
    assert entropy([3.0, 3.0, 3.0, 3.0]) == pytest.approx(np.log(4))
    assert entropy([1000.0, 0.0]) == 0
    assert np.isnan(entropy([-np.inf]))


def test_only_cells_that_both_score_count_in_whatever_order():
    a = ScoreTable("a", ["q", "r"], [["x", "y", "z", "w"], ["x", "y", "", ""]], [[4, 3, 2, NAN], [1, 2, NAN, NAN]])
    b = ScoreTable(
        "b", ["r", "q", "s"], [["y", "x", "v"], ["z", "x", "w"], ["x", "y", "z"]], [[9, 8, 7], [5, 6, 7], [1, 2, 3]]
    )
    result = agreement(a, b, k=2)
    assert result.question_ids.tolist() == ["q", "r"]
    assert result.kendall.tolist() == pytest.approx([1, 1])  # q: x and z; r: y and x
    assert result.overlap.tolist() == [1, 1]
    np.testing.assert_allclose(result.entropy_a, [entropy([4, 2]), entropy([1, 2])])


def test_questions_that_do_not_tell_are_left_out_of_the_means():
    result = agreement(*tables([[1, 1], [2, 1], [NAN, 1]], [[1, 2], [2, 1], [2, NAN]]))
    np.testing.assert_array_equal(result.kendall, [NAN, 1, NAN])
    np.testing.assert_array_equal(result.overlap, [1, 1, NAN])
    assert result.means["kendall"] == 1


def test_mistakes_are_named():
    a, b = tables([[1.0]], [[2.0]])
    with pytest.raises(KitError, match="wanted k of at least 1, given 0"):
        agreement(a, b, k=0)
    with pytest.raises(KitError, match="score table 'b': wanted a question that it holds, given 'q0'"):
        agreement(a, ScoreTable("b", ["other"], [["p0"]], [[1.0]]))
