"""The one preprocessing specification, run by the same code in training, in export and in serving.

An image enters as uint8 [H, W, 3] and leaves as float32 [3, S, S]: resized, then (value / 255 - mean) / std.
The resize is Pillow's, which widens its filter when it shrinks an image: thin strokes fade to grey instead of
breaking into dots, as they would under an unfiltered bilinear resize. Normalising is a table look-up (256
values a channel, computed in float64), so that the result is the same bit for bit on every machine.

With ``homogeneous`` a sketch is reduced to its centrelines, one pixel wide at the network's size (the homogeneous
transformation of paper 1, section IV-D); photos stay as they are.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

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
# Below this grey level a pixel is ink before thinning. Well above the middle: a thin line that was resized or drawn
# with soft edges is grey throughout, and at 128 falls apart into dots.
_INK_BELOW = 208
# Keys that manifests and checkpoints written before them lack, with the value those were made with.
_ADDED = {"homogeneous": False}


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
    """

    size: int = 224
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    resize: str = "stretch"
    interpolation: str = "bilinear"
    homogeneous: bool = False

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

    def resize_image(self, image: np.ndarray, *, sketch: bool | None = None) -> np.ndarray:
        """uint8 [H, W, 3] -> uint8 [S, S, 3], a new array. TypeError or ValueError for any other input.

        sketch: whether it is a sketch (black ink on white) or a photo; must be said where `homogeneous` tells them apart.
        """
        _check_image(image, "image")
        if image.ndim != 3 or 0 in image.shape:
            raise ValueError(f"image must have the shape [H, W, 3] with H, W >= 1, got {list(image.shape)}")
        if self.homogeneous and sketch is None:
            raise ValueError("sketch must be True or False with homogeneous preprocessing, got None")
        resized = self._centrelines if self.homogeneous and sketch else self._resized
        height, width = image.shape[:2]
        if self.resize == "stretch" or height == width:
            return resized(image, self.size, self.size)
        scale = self.size / max(height, width)
        new_width, new_height = (max(1, min(self.size, round(side * scale))) for side in (width, height))
        square = np.full((self.size, self.size, 3), 255, np.uint8)
        top, left = (self.size - new_height) // 2, (self.size - new_width) // 2
        square[top : top + new_height, left : left + new_width] = resized(image, new_height, new_width)
        return square

    def _resized(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        if image.shape[:2] == (height, width):
            return image.copy()
        picture = Image.fromarray(np.ascontiguousarray(image))
        return np.array(picture.resize((width, height), _INTERPOLATIONS[self.interpolation]))

    def _centrelines(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        from sketchfast.numpy_ops import homogeneous_transform  # the native code, which photos can do without

        image = self._resized(image, max(height, image.shape[0]), max(width, image.shape[1]))
        grey = np.array(Image.fromarray(np.ascontiguousarray(image)).convert("L"))
        lines = homogeneous_transform(grey, _INK_BELOW, threads=1)
        if lines.shape != (height, width):
            # Neighbours land on neighbours or on one pixel: a line that was connected stays so.
            rows, columns = np.nonzero(lines == 0)
            shrunk = np.full((height, width), 255, np.uint8)
            shrunk[rows * height // lines.shape[0], columns * width // lines.shape[1]] = 0
            lines = homogeneous_transform(shrunk, _INK_BELOW, threads=1)
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
