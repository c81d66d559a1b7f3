"""Random stroke sequences, and pictures of them by scikit-image's lines: independent of the kernels and of the definition."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from skimage.draw import line
from torch import Tensor

from sketchfast import numpy_ops, ops, reference


@dataclass
class Sequences:
    points: np.ndarray  # float32 [N, T, 2]
    pen: np.ndarray  # uint8 [N, T]
    size: tuple[int, int]
    thickness: int = 1
    antialias: bool = False
    lengths: np.ndarray | None = None
    fit: float | None = None

    def __str__(self) -> str:
        lengths = None if self.lengths is None else self.lengths.tolist()
        return (
            f"{self.points.shape} on {self.size}, thickness {self.thickness}, antialias {self.antialias}, "
            f"lengths {lengths}, fit {self.fit}\n{self.points.tolist()}\n{self.pen.tolist()}"
        )

    def settings(self) -> tuple[tuple[int, int], int, bool]:
        return self.size, self.thickness, self.antialias

    def tensors(self, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor | None]:
        lengths = None if self.lengths is None else torch.from_numpy(self.lengths).to(device)
        return torch.from_numpy(self.points).to(device), torch.from_numpy(self.pen).to(device), lengths

    def by_torch(self, device: str = "cpu") -> np.ndarray:
        points, pen, lengths = self.tensors(device)
        return ops.rasterize(points, pen, *self.settings(), lengths=lengths, fit=self.fit).cpu().numpy()

    def by_numpy(self, path: str = "auto", threads: int = 1) -> np.ndarray:
        keywords = {"lengths": self.lengths, "fit": self.fit, "path": path, "threads": threads}
        return numpy_ops.rasterize(self.points, self.pen, *self.settings(), **keywords)

    def by_definition(self) -> np.ndarray:
        points, pen, lengths = self.tensors()
        return reference.rasterize(points, pen, *self.settings(), lengths=lengths, fit=self.fit).numpy()

    def by_skimage(self) -> np.ndarray:
        """Whole lines on paper large enough for them, the disc shift by shift, then the canvas cut out. Without a fit."""
        height, width = self.size
        pictures = np.full((len(self.points), height, width), 255, np.uint8)
        lengths = [self.points.shape[1]] * len(self.points) if self.lengths is None else self.lengths
        for picture, points, pen, length in zip(pictures, self.points, self.pen, lengths, strict=True):
            if length == 0:
                continue
            pixels = np.floor(points[:length].astype(np.float64) + 0.5).astype(int)
            far = 40 + np.abs(pixels).max() + max(height, width)
            marks = np.zeros((2 * far, 2 * far), bool)
            for i, (x, y) in enumerate(pixels + far):
                marks[y, x] = True
                if i + 1 < length and not pen[i]:
                    marks[line(y, x, *(pixels[i + 1] + far)[::-1])] = True
            for dx, dy in disc(self.thickness):
                top, left = far - dy, far - dx
                picture[marks[top : top + height, left : left + width]] = 0
        return pictures

    def one(self, i: int) -> "Sequences":
        lengths = None if self.lengths is None else self.lengths[i : i + 1]
        return replace(self, points=self.points[i : i + 1], pen=self.pen[i : i + 1], lengths=lengths)


def disc(thickness: int) -> list[tuple[int, int]]:
    """(x, y) of the pixels whose centres are within the radius of the origin, or of (1/2, 1/2) for an even diameter."""
    centre = 0.0 if thickness % 2 else 0.5
    some = range(-thickness, thickness + 1)
    return [(x, y) for x in some for y in some if np.hypot(x - centre, y - centre) <= thickness / 2 + 1e-9]


def random_sequences(random: np.random.Generator, count: int, **settings: object) -> Sequences:
    """Inside the canvas, across its border and far beyond; halves and wholes; dots, empty sequences, repeated points."""
    height, width = (int(random.choice([1, 2, 9, 32, int(random.integers(1, 70))])) for _ in range(2))
    length = int(random.choice([0, 1, 2, 3, 8]))
    spread = random.choice([0.9, 1.5, 4.0], (count, 1, 1))
    points = (random.random((count, length, 2)) - 0.5) * spread * [width, height] + [width / 2, height / 2]
    if random.random() < 0.4:
        points = np.round(2 * points) / 2
    if length > 1 and random.random() < 0.3:
        points[:, 1] = points[:, 0]
    pen = (random.random((count, length)) < random.choice([0, 0.3, 1])).astype(np.uint8)
    lengths = None if random.random() < 0.3 else random.integers(0, length + 1, count)
    thickness = int(random.integers(1, 8))
    drawn = Sequences(points.astype(np.float32), pen, (height, width), thickness, lengths=lengths)
    return replace(drawn, **settings)  # type: ignore[arg-type]


def assert_same(found: np.ndarray, wanted: np.ndarray, drawn: Sequences, where: str = "") -> None:
    """Equal bits; with antialiasing at most one level apart."""
    assert found.dtype == np.uint8 and found.shape == wanted.shape, f"{where} {drawn}"
    apart = np.abs(found.astype(int) - wanted).max(initial=0)
    assert apart <= int(drawn.antialias), f"{where}: {apart} levels apart, {drawn}"
