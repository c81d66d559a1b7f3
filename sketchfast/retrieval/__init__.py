"""Codes, indexes and weighted distances. Only `weighted_search` imports torch, and nothing here imports it."""

from sketchfast.retrieval.itq import ITQ

__all__ = ["ITQ"]
