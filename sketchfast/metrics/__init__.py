"""How results are scored: retrieval under four named protocols, recognition, part masks, bootstrap intervals, chance."""

from sketchfast.metrics.bootstrap import bootstrap_interval
from sketchfast.metrics.chance import chance_level
from sketchfast.metrics.classification import (
    ClassificationScores,
    accuracy_difference,
    evaluate_classification,
)
from sketchfast.metrics.parsing import ParsingScores, confusion, evaluate_parsing, sketch_iou
from sketchfast.metrics.retrieval import (
    PROTOCOLS,
    Protocol,
    RetrievalResult,
    evaluate_retrieval,
    evaluate_scores,
    topk,
)

__all__ = [
    "PROTOCOLS",
    "ClassificationScores",
    "ParsingScores",
    "Protocol",
    "RetrievalResult",
    "accuracy_difference",
    "bootstrap_interval",
    "chance_level",
    "confusion",
    "evaluate_classification",
    "evaluate_parsing",
    "evaluate_retrieval",
    "evaluate_scores",
    "sketch_iou",
    "topk",
]
