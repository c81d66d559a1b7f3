"""Losses and layers of the papers."""

from sketchfast.nn.attention import SpatialAttention
from sketchfast.nn.discrimination import DiscriminationTerms, discrimination_loss
from sketchfast.nn.semantic_metric import METRIC_VARIANTS, SemanticMetric, hardest_example_loss
from sketchfast.nn.soft_weight_sharing import soft_weight_sharing_loss, weight_pairs

__all__ = [
    "METRIC_VARIANTS",
    "DiscriminationTerms",
    "SemanticMetric",
    "SpatialAttention",
    "discrimination_loss",
    "hardest_example_loss",
    "soft_weight_sharing_loss",
    "weight_pairs",
]
