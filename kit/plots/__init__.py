"""Pictures of scores of passages: arrays in, a plotly figure out. No state, no files, no models."""

from kit.extras import missing_extra

try:
    from kit.plots.results import evidence_bars, exact_match_bars, recall_curves, training_curve
    from kit.plots.scores import layer_head_map, passage_bars, rank_changes, score_distributions
    from kit.plots.shading import token_shading
except ModuleNotFoundError as error:
    raise missing_extra("kit.plots", error) from None

__all__ = [
    "evidence_bars",
    "exact_match_bars",
    "layer_head_map",
    "passage_bars",
    "rank_changes",
    "recall_curves",
    "score_distributions",
    "token_shading",
    "training_curve",
]
