"""How results are scored: retrieval under four named protocols, bootstrap intervals, chance."""

from sketchfast.metrics.bootstrap import bootstrap_interval
from sketchfast.metrics.chance import chance_level
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
    "Protocol",
    "RetrievalResult",
    "bootstrap_interval",
    "chance_level",
    "evaluate_retrieval",
    "evaluate_scores",
    "topk",
]
