"""From a sketch file's pixels to the network's input, in training, evaluation and serving alike, and augmentation.

Network resolution, with the homogeneous transformation (D): the centreline is taken at the picture's own resolution,
moved to the network's S x S as line segments (see `centreline`) and thinned there, so that strokes neither fade nor
merge, whatever the size of the file. Without it: the antialiased bilinear resize of `Preprocess`.
Pictures that are not square are stretched (D), as the 321 x 321 files of SketchParse were.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sketchfast.data import centreline

PAPER_SIZE = 321
PAPER_ROTATIONS = (0, 10, -10, 20, -20, 30, -30)

_BEND_FREQUENCY = 3.0  # radians a side; about half a wave: limbs bend, lines do not ripple


def prepare(
    image: np.ndarray,
    size: int,
    homogeneous: bool = True,
    threshold: int = 128,
    adaptive_threshold: bool = False,
) -> np.ndarray:
    """A sketch uint8 [H, W] or [H, W, 3], ink dark on white, as the network sees it: uint8 [size, size].

    homogeneous: centrelines 0 on 255, of the pixels below threshold; otherwise grey levels as they are.
    adaptive_threshold: raise it for pictures of fainter lines, see `centreline.ink`; Algorithm 1 does not.
    Raises TypeError or ValueError for any other input. A sketch without ink gives a white image.
    """
    grey = _grey(image)
    return _place(
        grey,
        _Geometry(grey.shape[1], grey.shape[0], size, Variant()),
        homogeneous,
        threshold,
        adaptive_threshold,
    )


def prepare_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """A mask uint8 [H, W] at network size, nearest: uint8 [size, size]."""
    return resize_mask(mask, size, size)


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 [H, W] -> uint8 [height, width]: the id at the pixel whose centre is nearest."""
    if mask.shape == (height, width):
        return mask.copy()
    y = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(np.int64)
    x = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(np.int64)
    return mask[y[:, None], x]


@dataclass(frozen=True)
class Variant:
    """One draw of the augmentation. rotation: degrees, counter-clockwise. erase: (top, left) of the square, in pixels.

    scale: of the drawing. shift: (x, y) as shares of the side. bend: four phases and an amplitude as a share of the side.
    """

    rotation: float = 0.0
    mirror: bool = False
    erase: tuple[int, int] | None = None
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    bend: tuple[float, float, float, float, float] | None = None


@dataclass(frozen=True)
class PartAugmentation:
    """Rotation, mirroring and erasing of sketch and mask in step (DeepSSP, section IV-B).

    size: of the network's input S. rotations: degrees, one is drawn; mirror: with probability 1/2.
    erase: side of the erased square at 321 pixels, scaled with S; 0 = off. Half of the draws erase, as the paper's
    doubled set does.
    homogeneous, threshold, adaptive_threshold: see `prepare`.
    Order (D): resize and geometry in one step, then the transformation, then erasing.

    Ours, off by default, for training from scratch on few sketches: turn draws any angle within +-turn degrees on
    top of the rotations; scale draws a factor between 1 / (1 + scale) and 1 + scale; shift moves by up to that
    share of the side; warp bends the plane by up to that share of the side.
    """

    size: int = PAPER_SIZE
    rotations: tuple[float, ...] = PAPER_ROTATIONS
    mirror: bool = True
    erase: int = 31
    homogeneous: bool = True
    threshold: int = 128
    adaptive_threshold: bool = False
    turn: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    warp: float = 0.0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be a positive whole number of pixels, got {self.size!r}")
        if not self.rotations or not np.isfinite(self.rotations).all():
            raise ValueError(
                f"rotations must be at least one finite angle in degrees, got {self.rotations!r}"
            )
        if not 0 <= self.erase <= PAPER_SIZE:
            raise ValueError(f"erase must be 0..{PAPER_SIZE} pixels (at {PAPER_SIZE}), got {self.erase!r}")
        if not 1 <= self.threshold <= 255:
            raise ValueError(f"threshold must be 1..255, got {self.threshold!r}")
        for name, most in (("turn", 180.0), ("scale", 4.0), ("shift", 1.0), ("warp", 0.1)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be 0..{most:g}, got {getattr(self, name)!r}")

    @property
    def erased_side(self) -> int:
        """Side of the erased square at this size, in pixels; 0 = off."""
        return max(1, round(self.erase * self.size / PAPER_SIZE)) if self.erase else 0

    def draw(self, rng: np.random.Generator) -> Variant:
        """A random variant. The same numbers are taken from `rng` whatever is switched on."""
        picked, mirrored, erased = (
            int(rng.integers(len(self.rotations))),
            rng.random() < 0.5,
            rng.random() < 0.5,
        )
        corner = rng.integers(0, max(1, self.size - self.erased_side + 1), 2)
        turn, scale, x, y = rng.uniform(-1, 1, 4)
        phases = rng.uniform(0, 2 * np.pi, 4)
        amplitude = rng.random() * self.warp
        return Variant(
            rotation=float(self.rotations[picked]) + turn * self.turn,
            mirror=bool(self.mirror and mirrored),
            erase=(int(corner[0]), int(corner[1])) if erased and self.erased_side else None,
            scale=float((1 + self.scale) ** scale),
            shift=(float(x * self.shift), float(y * self.shift)),
            bend=(*phases.tolist(), amplitude) if self.warp else None,
        )

    def apply(
        self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """A random variant of sketch uint8 [H, W] and mask uint8 [H, W]: both uint8 [S, S]."""
        return self.apply_variant(image, mask, self.draw(rng))

    def segments(self, image: np.ndarray) -> np.ndarray | None:
        """What `apply_variant` needs of a sketch whatever the variant, to be kept where one sketch is varied often."""
        if not self.homogeneous:
            return None
        return centreline.segments(_grey(image), self.threshold, self.adaptive_threshold)

    def apply_variant(
        self, image: np.ndarray, mask: np.ndarray, variant: Variant, segments: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sketch and mask under one variant. What comes in from outside is white, and background in the mask.

        segments: of this image, from `segments`; found again where not given."""
        grey = _grey(image)
        if mask.shape != grey.shape or mask.dtype != np.uint8:
            raise ValueError(
                f"mask must be uint8 of the image's shape {list(grey.shape)}, got {mask.dtype} {list(mask.shape)}"
            )
        geometry = _Geometry(grey.shape[1], grey.shape[0], self.size, variant)
        sketch = _place(grey, geometry, self.homogeneous, self.threshold, self.adaptive_threshold, segments)
        if variant.erase is not None:
            top, left = variant.erase
            sketch[top : top + self.erased_side, left : left + self.erased_side] = 255
        return sketch, geometry.sample_nearest(mask, outside=0)

    def enumerate_paper(self, rng: np.random.Generator) -> list[Variant]:
        """The paper's fixed set: every rotation, plain and mirrored, each once whole and once with a random erased square."""
        result = []
        for erased in (False, True) if self.erased_side else (False,):
            for mirrored in (False, True) if self.mirror else (False,):
                for rotation in self.rotations:
                    corner = rng.integers(0, max(1, self.size - self.erased_side + 1), 2).tolist()
                    square = (int(corner[0]), int(corner[1])) if erased else None
                    result.append(Variant(float(rotation), mirrored, square))
        return result


class _Geometry:
    """The map between a picture of width x height and the network's S x S, both ways, in pixels with centres at i + 0.5."""

    def __init__(self, width: int, height: int, size: int, variant: Variant):
        self.size, self.variant = size, variant
        self.source = np.array([width, height], np.float64)
        angle = np.deg2rad(-variant.rotation)  # y points down
        c, s = np.cos(angle), np.sin(angle)
        flip = np.diag([-1.0 if variant.mirror else 1.0, 1.0])
        # On the square of side 1 about its centre: mirror, then turn and scale, then shift, then bend.
        self.matrix = variant.scale * np.array([[c, -s], [s, c]]) @ flip
        self.inverse = np.linalg.inv(self.matrix)
        self.shift = np.array(variant.shift)

    @property
    def plain(self) -> bool:
        return self.variant == Variant(erase=self.variant.erase)

    def _bend(self, unit: np.ndarray) -> np.ndarray:
        if self.variant.bend is None:
            return np.zeros_like(unit)
        a, b, c, d, amplitude = self.variant.bend
        x, y = unit[..., 0] * _BEND_FREQUENCY, unit[..., 1] * _BEND_FREQUENCY
        return (
            amplitude
            * 0.5
            * np.stack([np.sin(y + a) + np.sin(x + y + b), np.sin(x + c) + np.sin(x - y + d)], -1)
        )

    def forward(self, points: np.ndarray) -> np.ndarray:
        """Pixel (x, y) of the source, centres at whole numbers, to the same in the target."""
        unit = (points + 0.5) / self.source - 0.5
        straight = unit @ self.matrix.T + self.shift
        moved = straight
        if self.variant.bend is not None:
            # `backward` undoes moved = straight - bend(moved) exactly; six rounds leave < 0.1 pixels of 321.
            for _ in range(6):
                moved = straight - self._bend(moved)
        result: np.ndarray = (moved + 0.5) * self.size - 0.5
        return result

    def backward(self) -> np.ndarray:
        """float64 [S, S, 2]: where in the source (x, y, centres at whole numbers) each target pixel comes from."""
        axis = (np.arange(self.size) + 0.5) / self.size - 0.5
        if self.variant.bend is None:
            # Affine: a sum of a row and a column, a tenth of the work of the general case.
            along, down = (np.outer(axis - self.shift[k], self.inverse[:, k]) * self.source for k in (0, 1))
            return along[None] + (down + 0.5 * self.source - 0.5)[:, None]
        unit = np.stack(np.meshgrid(axis, axis), -1)
        unit = (unit + self._bend(unit) - self.shift) @ self.inverse.T
        result: np.ndarray = (unit + 0.5) * self.source - 0.5
        return result

    def sample_nearest(self, mask: np.ndarray, outside: int) -> np.ndarray:
        if self.plain:
            return resize_mask(mask, self.size, self.size)
        xy = np.floor(self.backward() + 0.5).astype(np.int64)
        inside = ((xy >= 0) & (xy < self.source)).all(-1)
        result = np.full((self.size, self.size), outside, np.uint8)
        result[inside] = mask[xy[..., 1][inside], xy[..., 0][inside]]
        return result

    def sample_grey(self, image: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(image)
        if image.shape != (self.size, self.size):
            # Antialiased to the target's scale first: the map itself then hardly shrinks anything.
            picture = picture.resize((self.size, self.size), Image.Resampling.BILINEAR)
        if self.plain:
            return np.array(picture)
        from scipy.ndimage import map_coordinates

        square = _Geometry(self.size, self.size, self.size, self.variant).backward()
        values = map_coordinates(
            np.asarray(picture, np.float32),
            [square[..., 1], square[..., 0]],
            order=1,
            mode="grid-constant",
            cval=255,
        )
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _place(
    image: np.ndarray,
    geometry: _Geometry,
    transform: bool,
    threshold: int,
    adaptive: bool,
    segments: np.ndarray | None = None,
) -> np.ndarray:
    if not transform:
        return geometry.sample_grey(image)
    if geometry.plain and image.shape == (geometry.size, geometry.size):
        line = centreline.centreline(image, threshold, adaptive)
    else:
        segments = centreline.segments(image, threshold, adaptive) if segments is None else segments
        line = centreline.draw_segments(segments, geometry.size, geometry.forward)
    return np.where(line, np.uint8(0), np.uint8(255))


def _grey(image: np.ndarray) -> np.ndarray:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"image must be a numpy array of uint8, got {found}")
    if image.ndim == 3 and image.shape[2] == 3:
        image = np.asarray(Image.fromarray(np.ascontiguousarray(image)).convert("L"))
    if image.ndim != 2 or 0 in image.shape:
        raise ValueError(
            f"image must have the shape [H, W] or [H, W, 3] with H, W >= 1, got {list(image.shape)}"
        )
    return np.ascontiguousarray(image)
