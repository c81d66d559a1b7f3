"""Losses and layers of the papers."""

from sketchfast.nn.attention import SpatialAttention
from sketchfast.nn.discrimination import DiscriminationTerms, discrimination_loss
from sketchfast.nn.diversity import filter_diversity, response_diversity
from sketchfast.nn.dynamic_weights import DynamicWeights, gaussian_kl, group_triplet_loss
from sketchfast.nn.semantic_metric import METRIC_VARIANTS, SemanticMetric, hardest_example_loss
from sketchfast.nn.soft_weight_sharing import soft_weight_sharing_loss, weight_pairs
from sketchfast.nn.soft_weighted_loss import SoftWeightedLoss
from sketchfast.ops import median_frequency_weights

__all__ = [
    "METRIC_VARIANTS",
    "DiscriminationTerms",
    "DynamicWeights",
    "SemanticMetric",
    "SoftWeightedLoss",
    "SpatialAttention",
    "discrimination_loss",
    "filter_diversity",
    "gaussian_kl",
    "group_triplet_loss",
    "hardest_example_loss",
    "median_frequency_weights",
    "response_diversity",
    "soft_weight_sharing_loss",
    "weight_pairs",
]
