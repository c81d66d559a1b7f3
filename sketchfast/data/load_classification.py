"""load_classification: from a data set on disk, or the synthetic world, to a ClassificationSplit."""

from __future__ import annotations

import os
from typing import Any

from sketchfast.data.classification import ClassificationSplit

CLASSIFICATION_DATA_SETS = ("synthetic",)


def load_classification(
    dataset: str,
    root: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    split_file: str | os.PathLike[str] | None = None,
    **options: Any,
) -> ClassificationSplit:
    from sketchfast.data import synthetic

    if dataset != "synthetic" or split_file is not None:
        raise ValueError("not yet")
    return synthetic.classification(seed, **{k: v for k, v in options.items() if v is not None})
