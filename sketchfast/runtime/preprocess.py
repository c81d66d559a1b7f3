"""The one preprocessing specification, run by the same code in training, in export and in serving.

An image enters as uint8 [H, W, 3] and leaves as float32 [3, S, S]: resized, then (value / 255 - mean) / std.
The resize is Pillow's, which widens its filter when it shrinks an image: thin strokes fade to grey instead of
breaking into dots, as they would under an unfiltered bilinear resize. Normalising is a table look-up (256
values a channel, computed in float64), so that the result is the same bit for bit on every machine.

With ``homogeneous`` a sketch is reduced to its centrelines, one pixel wide at the network's size (the homogeneous
transformation of paper 1, section IV-D); photos stay as they are. With ``ink_margin`` a sketch is cropped to its ink and
scaled to fill the square (paper 2, section IV-B: "cropped with the object centered [...] with roughly the same scale").
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_RESIZES = ("stretch", "pad")
#: Below this grey level a pixel is ink before thinning, in cropping to the ink, and for landmarks. Well above the middle:
#: a thin line that was resized or drawn with soft edges is grey throughout, and at 128 falls apart into dots.
INK_BELOW = 208
# The soft edge of a line reaches about this many pixels past its ink; cropping keeps it.
_SOFT_EDGE = 2
# Keys that manifests and checkpoints written before them lack, with the value those were made with.
_ADDED: dict[str, Any] = {"homogeneous": False, "ink_margin": None}


class _Placement(NamedTuple):
    """Which part of an image goes where in the square: (left, top, width, height) each, whole pixels of its own side.

    The part may reach past the image, which is white there.
    """

    part: tuple[int, int, int, int]
    place: tuple[int, int, int, int]


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes a network's input.

    size: side S of the square input, pixels.
    mean, std: per RGB channel, for values in 0..1.
    resize: "stretch" scales both sides to S; "pad" keeps the aspect ratio and centres the image on a white
        square (white is the ground of a sketch).
    interpolation: "nearest", "box", "bilinear", "bicubic" or "lanczos"; all but "nearest" are antialiased.
    homogeneous: sketches become black centrelines of one pixel on white. They are thinned before they are shrunk, and
        again after it (D): a line then neither fades nor runs into its neighbour. `sketch` has to be given to each call.
    ink_margin: None, or the share of the square, 0 or more and below 0.5, that stays white on each side of a sketch. The sketch
        is cropped to its ink (grey levels below INK_BELOW), scaled with its aspect kept (whatever `resize` says) and
        centred, so that the longer side of the ink fills 1 - 2 ink_margin (at 0, less two pixels of soft edge on each side).
        A blank sketch is resized as a photo is. `sketch` has to be given to each call.
    """

    size: int = 224
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    resize: str = "stretch"
    interpolation: str = "bilinear"
    homogeneous: bool = False
    ink_margin: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"size must be a positive whole number of pixels, got {self.size!r}")
        for name in ("mean", "std"):
            values = tuple(float(value) for value in getattr(self, name))
            if len(values) != 3 or not np.isfinite(values).all():
                raise ValueError(
                    f"{name} must be three finite numbers (R, G, B), got {getattr(self, name)!r}"
                )
            object.__setattr__(self, name, values)
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std!r}")
        if self.resize not in _RESIZES:
            raise ValueError(f"resize must be one of {_RESIZES}, got {self.resize!r}")
        if self.interpolation not in _INTERPOLATIONS:
            raise ValueError(
                f"interpolation must be one of {tuple(_INTERPOLATIONS)}, got {self.interpolation!r}"
            )
        if not isinstance(self.homogeneous, bool):
            raise ValueError(f"homogeneous must be True or False, got {self.homogeneous!r}")
        margin = self.ink_margin
        if margin is not None:
            if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin < 0.5:
                raise ValueError(f"ink_margin must be None or a number from 0 to below 0.5, got {margin!r}")
            object.__setattr__(self, "ink_margin", float(margin))

    def resize_image(self, image: np.ndarray, *, sketch: bool | None = None) -> np.ndarray:
        """uint8 [H, W, 3] -> uint8 [S, S, 3], a new array. TypeError or ValueError for any other input.

        sketch: whether it is a sketch (black ink on white) or a photo; must be said where `homogeneous` or `ink_margin` tell
            them apart.
        """
        part, (left, top, width, height) = self._place(image, sketch)
        cut = _cut(image, part)
        pixels = (self._centrelines if self.homogeneous and sketch else self._resized)(cut, height, width)
        if (height, width) == (self.size, self.size):
            return pixels
        square = np.full((self.size, self.size, 3), 255, np.uint8)
        square[top : top + height, left : left + width] = pixels
        return square

    def to_image_pixels(self, points: np.ndarray, image: np.ndarray, sketch: bool = True) -> np.ndarray:
        """Points (x, y) in pixels of the network's input -> the same points in pixels of `image`, float64 [..., 2].

        points: [..., 2], pixel centres at whole numbers. image: uint8 [H, W, 3], what `resize_image` was given. Points on
        what was added in white lie outside the image. TypeError or ValueError for other input.
        """
        points = np.asarray(points, np.float64)
        if points.shape[-1:] != (2,):
            raise ValueError(f"points must have the shape [..., 2] (x, y), got {list(points.shape)}")
        part, place = (np.array(box, np.float64) for box in self._place(image, sketch))
        result: np.ndarray = (points + 0.5 - place[:2]) * part[2:] / place[2:] + part[:2] - 0.5
        return result

    def _place(self, image: np.ndarray, sketch: bool | None) -> _Placement:
        _check_image(image, "image")
        if image.ndim != 3 or 0 in image.shape:
            raise ValueError(f"image must have the shape [H, W, 3] with H, W >= 1, got {list(image.shape)}")
        if sketch is None and (self.homogeneous or self.ink_margin is not None):
            which = "homogeneous" if self.homogeneous else "ink_margin"
            raise ValueError(f"sketch must be True or False with {which} preprocessing, got None")
        height, width = image.shape[:2]
        if sketch and self.ink_margin is not None and (ink := _ink_box(image)) is not None:
            left, top, width, height = ink
            longer = max(width, height)
            scale = min(self.size * (1 - 2 * self.ink_margin) / longer, self.size / (longer + 2 * _SOFT_EDGE))
            edge = 2 * _SOFT_EDGE
            return self._centred((left - _SOFT_EDGE, top - _SOFT_EDGE, width + edge, height + edge), scale)
        if self.resize == "stretch" or height == width:
            return _Placement((0, 0, width, height), (0, 0, self.size, self.size))
        return self._centred((0, 0, width, height), self.size / max(height, width))

    def _centred(self, part: tuple[int, int, int, int], scale: float) -> _Placement:
        width, height = (max(1, min(self.size, round(side * scale))) for side in part[2:])
        return _Placement(part, ((self.size - width) // 2, (self.size - height) // 2, width, height))

    def _resized(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        if image.shape[:2] == (height, width):
            return image.copy()
        picture = Image.fromarray(np.ascontiguousarray(image))
        return np.array(picture.resize((width, height), _INTERPOLATIONS[self.interpolation]))

    def _centrelines(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        from sketchfast.numpy_ops import homogeneous_transform  # the native code, which photos can do without

        image = self._resized(image, max(height, image.shape[0]), max(width, image.shape[1]))
        grey = _grey(image)
        lines = homogeneous_transform(grey, INK_BELOW, threads=1)
        if lines.shape != (height, width):
            # Neighbours land on neighbours or on one pixel: a line that was connected stays so.
            rows, columns = np.nonzero(lines == 0)
            shrunk = np.full((height, width), 255, np.uint8)
            shrunk[rows * height // lines.shape[0], columns * width // lines.shape[1]] = 0
            lines = homogeneous_transform(shrunk, INK_BELOW, threads=1)
        return np.repeat(lines[:, :, None], 3, axis=2)

    def normalize(self, images: np.ndarray) -> np.ndarray:
        """uint8 [..., H, W, 3] -> float32 [..., 3, H, W]."""
        _check_image(images, "images")
        levels = np.arange(256, dtype=np.float64) / 255.0
        result = np.empty((*images.shape[:-3], 3, *images.shape[-3:-1]), np.float32)
        for channel in range(3):
            table = ((levels - self.mean[channel]) / self.std[channel]).astype(np.float32)
            result[..., channel, :, :] = table[images[..., channel]]
        return result

    def __call__(self, image: np.ndarray, *, sketch: bool | None = None) -> np.ndarray:
        """uint8 [H, W, 3] -> float32 [3, S, S]; `sketch` as in `resize_image`."""
        return self.normalize(self.resize_image(image, sketch=sketch))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` gives an equal object back."""
        fields = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Preprocess:
        """ValueError when a key is missing or unknown: a default filled in silently would be a drift.

        Files from before a key was added mean the value that they were made with.
        """
        fields = {**_ADDED, **fields}
        known = {field.name for field in dataclasses.fields(cls)}
        if set(fields) != known:
            missing, unknown = sorted(known - set(fields)), sorted(set(fields) - known)
            raise ValueError(
                f"preprocess needs exactly the keys {sorted(known)}; missing {missing}, unknown {unknown}"
            )
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        return cls(**values)


def _check_image(image: np.ndarray, name: str) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"{name} must be a numpy array of uint8, got {found}")
    if image.ndim < 3 or image.shape[-1] != 3:
        raise ValueError(f"{name} must have the shape [..., H, W, 3], got {list(image.shape)}")


def _grey(image: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(np.ascontiguousarray(image)).convert("L"))


def _ink_box(image: np.ndarray) -> tuple[int, int, int, int] | None:
    """(left, top, width, height) of the pixels below INK_BELOW; None where there are none."""
    ink = _grey(image) < INK_BELOW
    columns, rows = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
    if not len(rows):
        return None
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top


def _cut(image: np.ndarray, part: tuple[int, int, int, int]) -> np.ndarray:
    """The part (left, top, width, height) of an image; white where it reaches past it."""
    left, top, width, height = part
    rows, columns = image.shape[:2]
    if left >= 0 and top >= 0 and left + width <= columns and top + height <= rows:
        return image[top : top + height, left : left + width]
    result = np.full((height, width, 3), 255, np.uint8)
    inside = image[max(top, 0) : top + height, max(left, 0) : left + width]
    y, x = max(-top, 0), max(-left, 0)
    result[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return result
