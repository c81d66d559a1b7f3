"""A small world of paper 4: photos of boxes and pictures on their walls, drawn by hand in two or three strokes."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from sketchfast.data.image_set import ImageSet
from sketchfast.data.instances import PairedSet
from sketchfast.runtime.strokes import Strokes, draw

BOXES = [(width, height) for width in (8, 16, 24) for height in (8, 16, 24)]


class Boxes(ImageSet):
    """Photo i is of a box of BOXES[i] with a lid; its sketches are the outline, the lid, and the opening of wide boxes."""

    def __init__(self, modality: str, each: int, seed: int) -> None:
        self.boxes = np.repeat(np.arange(len(BOXES)), each)
        self.random_state = seed
        ids = [f"{box}-{copy}" for box in range(len(BOXES)) for copy in range(each)]
        super().__init__(["box"], [0] * len(ids), ids, modality)

    @property
    def has_strokes(self) -> bool:
        return self.modality == "sketch"

    def strokes(self, i: int) -> Strokes:
        (width, height), random = BOXES[self.boxes[i]], np.random.default_rng([self.random_state, i])
        strokes = [
            np.array([[0, 0], [0, height], [width, height], [width, 0]]),
            np.array([[0, 0], [width, 0]]),
        ]
        if width == 24:
            strokes.append(np.array([[4, height / 2], [20, height / 2]]))
        return [(stroke + random.normal(0, 0.4, stroke.shape)).astype(np.float32) for stroke in strokes]

    def load(self, i: int) -> np.ndarray:
        if self.modality == "sketch":
            return draw(self.strokes(i), 32)
        width, height = BOXES[self.boxes[i]]
        picture = Image.new("RGB", (32, 32), (220, 225, 235))
        pen = ImageDraw.Draw(picture)
        left, top = (32 - width) // 2, (32 - height) // 2
        pen.rectangle((left, top, left + width, top + height), fill=(150, 100, 60))
        pen.rectangle((left, top, left + width, top + 3), fill=(40, 60, 120))
        pen.rectangle((0, 29, 31, 31), fill=(60, 110, 60))
        return np.array(picture)


def drawn_world(seed: int, each: int = 4) -> PairedSet:
    sketches, photos = Boxes("sketch", each, seed), Boxes("photo", 1, seed)
    return PairedSet(sketches, photos, sketches.boxes)
