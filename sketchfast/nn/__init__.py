"""Losses and layers of the papers."""

from sketchfast.nn.attention import SpatialAttention
from sketchfast.nn.discrimination import DiscriminationTerms, discrimination_loss
from sketchfast.nn.diversity import filter_diversity, response_diversity
from sketchfast.nn.dynamic_weights import DynamicWeights, gaussian_kl, group_triplet_loss
from sketchfast.nn.photo_attention import AttendedPhoto, PhotoAttention
from sketchfast.nn.reinforce import MovingAverageBaseline, reinforce_loss
from sketchfast.nn.semantic_metric import METRIC_VARIANTS, SemanticMetric, hardest_example_loss
from sketchfast.nn.semi_supervised import (
    RetrievalTerms,
    absolute_teacher,
    discriminator_loss,
    in_batch_negatives,
    in_batch_triplet_losses,
    relative_teacher,
    retrieval_loss,
    reward,
    triplet_losses,
)
from sketchfast.nn.sketch_mixture import SketchMixture, stroke_nll
from sketchfast.nn.soft_weight_sharing import soft_weight_sharing_loss, weight_pairs
from sketchfast.nn.soft_weighted_loss import SoftWeightedLoss
from sketchfast.ops import median_frequency_weights

__all__ = [
    "METRIC_VARIANTS",
    "AttendedPhoto",
    "DiscriminationTerms",
    "DynamicWeights",
    "MovingAverageBaseline",
    "PhotoAttention",
    "RetrievalTerms",
    "SemanticMetric",
    "SketchMixture",
    "SoftWeightedLoss",
    "SpatialAttention",
    "absolute_teacher",
    "discrimination_loss",
    "discriminator_loss",
    "filter_diversity",
    "gaussian_kl",
    "group_triplet_loss",
    "hardest_example_loss",
    "in_batch_negatives",
    "in_batch_triplet_losses",
    "median_frequency_weights",
    "reinforce_loss",
    "relative_teacher",
    "response_diversity",
    "retrieval_loss",
    "reward",
    "soft_weight_sharing_loss",
    "stroke_nll",
    "triplet_losses",
    "weight_pairs",
]
