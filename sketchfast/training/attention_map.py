"""Where a retrieval network looks when a descriptor weighs its features: Pang et al., CVPR 2019, figure 3.

psi = w F (eq. 8). With features of sketch s and photo p+ the match is the scalar product of the weighted features,

    psi(s) . psi(p+) = sum_d w_d^2 F(s)_d F(p+)_d,

and the dimension that "contributes the most to successful matching" is the d with the largest term (D), under the sample of
eta by which s and p+ are nearest, the one that counts in a search. Grad-CAM (Selvaraju et al., ICCV 2017) of it on each image,
A the backbone's last feature map:

    alpha_c = mean over places of  d |psi_d| / d A_c,      map = max(0, sum_c alpha_c A_c)

The weights multiply each dimension by a number, so the map of a fixed dimension is the same under every descriptor but for a
factor; what a descriptor changes is which dimension counts most. So the dimension is chosen anew under each descriptor (D).
Where all weights are close to 1, as with eta of length 1 over many dimensions, even that can be the same under most; the note
of the section counts how often.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sketchfast.training.landmark_pictures import heat_picture
from sketchfast.training.report_sections import PictureRow, PictureRowsSection

if TYPE_CHECKING:
    from sketchfast.data.instances import PairedSet
    from sketchfast.models.vtd import VTD

# Grey levels of a photo under its map: light, or the colours of the map would drown in its shadows.
_DARKEST = 100
_PIXELS = 240  # of the images under the maps


@dataclass(frozen=True)
class AttentionMap:
    """Of a sketch and its photo under one descriptor. dimension: d. share: of its term in the sum of all positive terms
    w^2 F F.

    sketch, photo: float32 [h, w], the places of the last feature map, 0..1, 1 where the map is largest.
    """

    dimension: int
    share: float
    sketch: np.ndarray
    photo: np.ndarray


def attention_maps(model: VTD, sketch: Tensor, photo: Tensor, descriptors: Tensor) -> list[AttentionMap]:
    """The maps of a sketch and its photo under each of T descriptors. The model is put into evaluation mode.

    sketch, photo: [3, S, S] as the model's encoders take them. descriptors: [T, M].
    Raises RuntimeError for a model without weights of dimensions, ValueError for a backbone whose last map has no places.
    """
    model.eval()
    with torch.no_grad():
        maps = model.backbone.feature_map(torch.stack([sketch, photo]))
        if maps.ndim != 4:
            raise ValueError(
                f"the backbone's last feature map must be [B, C, h, w] to show places on it, got {list(maps.shape)}"
            )
        weights = model.weights(descriptors)
    maps.requires_grad_()
    features = model.features_of_map(maps)
    of_sketch, of_photo = features.detach()
    found = []
    for samples in weights:
        sample, dimension, share = matched_dimension(of_sketch, of_photo, samples)
        psi = features[:, dimension] * samples[sample, dimension]
        (gradient,) = torch.autograd.grad(psi.abs().sum(), maps, retain_graph=True)
        cam = (gradient.mean(dim=(2, 3), keepdim=True) * maps.detach()).sum(dim=1).relu()
        cam = cam / cam.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(cam.dtype).tiny)
        on_sketch, on_photo = cam.float().cpu().numpy()
        found.append(AttentionMap(dimension, share, on_sketch, on_photo))
    return found


def matched_dimension(sketch: Tensor, photo: Tensor, weights: Tensor) -> tuple[int, int, float]:
    """(sample, d, share): the sample by which they are nearest, the dimension that adds most to the match, and how much.

    sketch, photo: F [D]; weights: w [samples, D]. share: of the term d in the sum of the positive terms, 0 without one.
    """
    squared = weights.double().square()
    sketch, photo = sketch.double(), photo.double()
    sample = int((squared * (sketch - photo).square()).sum(dim=1).argmin())
    terms = squared[sample] * sketch * photo
    dimension = int(terms.argmax())
    positive = terms.clamp_min(0).sum()
    share = float(terms[dimension] / positive) if positive > 0 else 0.0
    return sample, dimension, share


def attention_rows(
    model: VTD,
    pairs: PairedSet,
    rows: Sequence[int] | np.ndarray,
    own: Sequence[int] | np.ndarray,
    descriptors: Tensor,
    names: Sequence[str],
    title: str = "Attention under matching and mismatching descriptors",
) -> PictureRowsSection:
    """Figure 3: a row for each sketch and one for its photo, a column for each descriptor; the right one is framed.

    rows [B]: positions of the sketches in `pairs`. descriptors [T, M]: those of the columns, names [T]: their headings.
    own [B]: for each sketch the column of its own descriptor, or -1 where none of the columns is.
    Raises ValueError naming the argument when lengths do not fit, and as `attention_maps` does.
    """
    if len(own) != len(rows):
        raise ValueError(f"own must have one column a sketch, got {len(own)} for {len(rows)} sketches")
    if len(names) != len(descriptors):
        raise ValueError(f"names must be one a descriptor, got {len(names)} for {len(descriptors)}")
    device = next(model.parameters()).device
    larger = dataclasses.replace(model.preprocess, size=_PIXELS)
    shown, same, others = [], 0, 0
    for row, column in zip(map(int, rows), map(int, own)):
        p = int(pairs.photo_of[row])
        sketch, photo = pairs.sketches.load(row), pairs.photos.load(p)
        on_sketch, on_photo = (
            torch.from_numpy(model.preprocess(image, sketch=drawn)).to(device)
            for image, drawn in ((sketch, True), (photo, False))
        )
        found = attention_maps(model, on_sketch, on_photo, descriptors.to(device))
        if column >= 0:
            same += sum(one.dimension == found[column].dimension for one in found) - 1
            others += len(found) - 1
        framed = [column] if column >= 0 else []
        ink, light = (
            _grey(larger.resize_image(image, sketch=drawn))
            for image, drawn in ((sketch, True), (photo, False))
        )
        light = np.rint(_DARKEST + light * ((255 - _DARKEST) / 255)).astype(np.uint8)
        captions = [f"dimension {one.dimension}, {one.share:.1%} of the match" for one in found]
        category = pairs.names[pairs.sketches.labels[row]]
        on_sketches = [heat_picture(ink, one.sketch) for one in found]
        on_photos = [heat_picture(light, one.photo) for one in found]
        shown += [
            PictureRow(f"{category}\n{pairs.sketches.ids[row]}", on_sketches, (), captions, framed),
            PictureRow("its photo", on_photos, framed=framed),
        ]
    note = (
        "Grad-CAM of the dimension of psi that adds most to the match of sketch and photo under the descriptor of the column, "
        "on the backbone's last feature map. Each map is shown relative to its own largest value. Framed: the sketch's own "
        "descriptor."
    )
    if others:
        note += f" The dimension is that of the own descriptor under {same} of {others} mismatching ones."
    return PictureRowsSection(title, list(names), shown, note)


def _grey(image: np.ndarray) -> np.ndarray:
    return np.rint(image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
