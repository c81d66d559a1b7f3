"""Photos ranked for a sketch by a network that weighs the dimensions for each query, with torch.

The same answers as an export gives without torch (``sketchfast.retrieval.index``), and those that an export cannot give: a
network whose weights come from the word vector of the sketch's category, which has to be told.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from sketchfast.arrays import check_whole
from sketchfast.models.vtd import VTD, WordDescriber
from sketchfast.retrieval.answers import Answer, as_searched, distance_of, hits_of, rank_photos, unit_of
from sketchfast.retrieval.gallery_photos import encode_photos, files_of
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.runtime.sketch_or_photo import read_query
from sketchfast.runtime.sketches import SketchImage


class TraitSearch:
    """A trained VTD and a gallery of photos, encoded once; each query brings its own weights.

    model: a VTD, or the folder of a run or checkpoint of one. It is set to evaluation mode, on `device`.
    Raises ValueError for another kind of model, and for one that weighs dimensions but holds no describer to do it by.
    """

    def __init__(self, model: VTD | str | os.PathLike[str], device: str = "cpu") -> None:
        if isinstance(model, str | os.PathLike):
            from sketchfast.models import load_run

            where, model = f"{model} holds", load_run(Path(model), device)
        else:
            where = "model is"
        if not isinstance(model, VTD):
            raise ValueError(f"{where} a {type(model).__name__}, expected a VTD, as train/vtd.py trains them")
        if model.eta is not None and model.describer is None:
            raise ValueError(f"{where} a VTD that weighs dimensions without a describer: build it with one")
        self.model = model.to(device).eval()
        self.device = device
        self.distance = distance_of(model)
        self.paths: list[str] = []
        self.skipped: list[str] = []
        self.features = np.empty((0, 0), np.float32)

    def __len__(self) -> int:
        return len(self.paths)

    def index(
        self,
        photos: str | Path | Sequence[str | Path],
        *,
        batch_size: int = 32,
        skip_unreadable: bool = False,
        progress: bool = False,
    ) -> int:
        """Encode a gallery, in place of the one before; returns how many photos it has.

        photos: a folder, searched recursively, or a list of files. skip_unreadable: leave out files that cannot be decoded
            (`skipped` lists them) instead of stopping. Raises FileNotFoundError or ValueError, which name the file.
        """
        found = encode_photos(
            files_of(photos),
            self.model.preprocess,
            lambda batch: {"embedding": self._features(batch)},
            batch_size=batch_size,
            skip_unreadable=skip_unreadable,
            progress=progress,
        )
        self.paths, self.skipped = found.paths, found.skipped
        self.features = as_searched(found.outputs["embedding"], self.distance)
        return len(self)

    def query(
        self, sketch: str | Path, k: int = 10, *, category: str | None = None, allow_photo: bool = False
    ) -> Answer:
        """The k photos nearest to a sketch, with what their scores are in `unit`; ties go to the earlier photo.

        sketch: PNG or JPEG of any size and polarity, SVG, or QuickDraw ndjson (`file.ndjson:7` for its eighth drawing).
        category: what it shows; needed by a network that weighs by word vectors, and by no other.
        allow_photo: take any picture for a sketch, also what looks like a photo.

        Raises RuntimeError before `index`, ValueError for a k that is no whole number in 1..photos, a category that is missing,
            unknown or of no use, a blank sketch, or a photo.
        """
        if not self.paths:
            raise RuntimeError("there is no gallery yet: call index(photos) first")
        check_whole("k", k, len(self), ", the photos of the gallery")
        by_name = isinstance(self.model.describer, WordDescriber)
        if by_name != (category is not None):
            what = (
                "the name of what the sketch shows"
                if by_name
                else "None: this network reads the sketch alone"
            )
            raise ValueError(f"category: expected {what}, found {category!r}")
        drawn = read_query(sketch, allow_photo=allow_photo)
        feature = self._features(self.model.preprocess(drawn.image, sketch=True)[None])[0]
        weights = self._weights(drawn, category) if self.distance == "weighted" else None
        order, scores = rank_photos(feature, self.features, k, self.distance, weights)
        return Answer(drawn, hits_of(self.paths, order, scores), "embedding", unit_of(self.distance))

    @torch.inference_mode()
    def _features(self, batch: np.ndarray) -> np.ndarray:
        """float32 [B, D]; one network for both modalities."""
        return self.model.features(torch.from_numpy(batch).to(self.device)).float().cpu().numpy()

    @torch.inference_mode()
    def _weights(self, drawn: SketchImage, category: str | None) -> np.ndarray:
        """w = 1 + eta, float32 [samples, D]."""
        describer = self.model.describer
        if isinstance(describer, WordDescriber):
            assert category is not None
            weights = self.model.weights(describer.describe_names([category]))
        else:
            assert describer is not None
            preprocess: Preprocess = describer.preprocess
            batch = torch.from_numpy(preprocess(drawn.image, sketch=True))[None].to(self.device)
            weights = self.model.trait_weights(batch)
        return weights[0].float().cpu().numpy()
