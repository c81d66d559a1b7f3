"""Codes and indexes. Nothing here imports torch."""

from sketchfast.retrieval.itq import ITQ

__all__ = ["ITQ"]
