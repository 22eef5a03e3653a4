"""What a reader's decoder looks at: its cross-attention, captured, and aggregated into passage scores."""

from kit.attention.aggregation import AGGREGATIONS, Aggregation, named_aggregation
from kit.attention.capture import capture_cross_attention, cross_attention_scores

__all__ = ["AGGREGATIONS", "Aggregation", "capture_cross_attention", "cross_attention_scores", "named_aggregation"]
