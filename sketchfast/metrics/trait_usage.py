"""How sketches spread over trait descriptors, and how categories share them: Pang et al., CVPR 2019, section 4.3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class TraitUsage:
    """counts: int64 [C, K], sketches of category c with descriptor i. names: of the categories."""

    counts: NDArray[np.int64]
    names: tuple[str, ...]

    @classmethod
    def of(
        cls, assignments: ArrayLike, labels: ArrayLike, names: Sequence[str], descriptors: int
    ) -> TraitUsage:
        """From the descriptor [N], 0..K-1, and the category [N] of each sketch; descriptors: K.

        Raises ValueError naming the argument for K < 2, no sketch, lengths that differ, and numbers out of range.
        """
        if descriptors < 2:
            raise ValueError(f"descriptors: expected at least 2; found {descriptors}")
        given = {"assignments": (assignments, descriptors), "labels": (labels, len(names))}
        checked = {}
        for name, (values, end) in given.items():
            array = np.asarray(values)
            if array.ndim != 1 or not len(array) or not np.issubdtype(array.dtype, np.integer):
                raise ValueError(
                    f"{name}: expected a whole number for each of one sketch or more; found {array.dtype} {array.shape}"
                )
            if array.min() < 0 or array.max() >= end:
                raise ValueError(f"{name}: expected 0 to {end - 1}; found {array.min()} to {array.max()}")
            checked[name] = array.astype(np.int64)
        of_descriptor, of_category = checked["assignments"], checked["labels"]
        if len(of_descriptor) != len(of_category):
            raise ValueError(f"labels: expected {len(of_descriptor)}, one a sketch; found {len(of_category)}")
        cells = np.bincount(of_category * descriptors + of_descriptor, minlength=len(names) * descriptors)
        return cls(cells.reshape(len(names), descriptors), tuple(names))

    @property
    def share_used(self) -> float:
        """Share of the K descriptors that some sketch has."""
        return float(self.counts.any(axis=0).mean())

    @property
    def per_category(self) -> NDArray[np.int64]:
        """Number of different descriptors among a category's sketches, [C]; 0 for a category without sketches.

        The paper's 138 +- 30 of 300 are its mean and standard deviation over the training categories of Sketchy.
        """
        return (self.counts > 0).sum(axis=1)

    def visual_similarity(self) -> NDArray[np.float64]:
        """Cosine of the histograms of two categories, [C, C] ("Vis-Sim" of figure 4); 0 for a category without sketches."""
        lengths = np.linalg.norm(self.counts, axis=1, keepdims=True)
        unit = self.counts / np.where(lengths > 0, lengths, 1)
        similarity: NDArray[np.float64] = unit @ unit.T
        return similarity

    def top_categories(self, descriptor: int, most: int = 10) -> list[tuple[str, int]]:
        """(category, its sketches with this descriptor), most first, at most `most` and only those that have some (figure 1)."""
        if not 0 <= descriptor < self.counts.shape[1]:
            raise ValueError(f"descriptor: expected 0 to {self.counts.shape[1] - 1}; found {descriptor}")
        column = self.counts[:, descriptor]
        order = np.argsort(-column, kind="stable")[:most]
        return [(self.names[c], int(column[c])) for c in order if column[c]]

    def to_dict(self) -> dict[str, Any]:
        """The summary, JSON-able; mean and standard deviation are over the categories that have sketches."""
        there = self.per_category[self.counts.any(axis=1)]
        return {
            "descriptors": self.counts.shape[1],
            "share_used": self.share_used,
            "per_category_mean": float(there.mean()),
            "per_category_std": float(there.std()),
            "sketches": int(self.counts.sum()),
        }
