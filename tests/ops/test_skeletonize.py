"""skeletonize and homogeneous_transform: operator contract, 2,100 images against definition and scikit-image, real sketches."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.measure import euler_number, label
from skimage.morphology import skeletonize as skimage_zhang
from skimage.morphology import thin as skimage_thin
from torch import Tensor

from sketchfast import numpy_ops, ops, reference
from sketchfast.runtime.strokes import draw, read_ndjson
from tests.ops.op_tester import Arguments, OpTester

METHODS = ("skel", "thin", "zhang")
OF_SKIMAGE = {"thin": skimage_thin, "zhang": skimage_zhang}


def noise(random: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    """Each image with a density of its own, 0 and 1 included."""
    density = np.linspace(0, 1, count)[:, None, None] if count > 1 else random.random()
    return random.random((count, height, width)) < density


def blobs(random: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    smooth = gaussian_filter(random.random((count, height, width)), (0, *random.uniform(0.5, 5, 2)))
    return smooth > np.quantile(smooth, random.uniform(0.2, 0.8))


def lines(random: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    """Straight lines of any thickness, some of them along the border."""
    y, x = np.mgrid[:height, :width]
    images = np.zeros((count, height, width), bool)
    for image in images:
        for _ in range(random.integers(1, 5)):
            angle = random.choice([0, np.pi / 2, np.pi / 4, random.uniform(0, np.pi)])
            through = random.integers(0, height), random.integers(0, width)
            away = (y - through[0]) * np.cos(angle) - (x - through[1]) * np.sin(angle)
            image |= np.abs(away) <= random.uniform(0.3, min(12, 1 + height / 4))
    return images


def frames(random: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    """All ink, one pixel of ground, one pixel of ink (corners and borders first), rectangles of ink."""
    images = np.zeros((count, height, width), bool)
    places = [
        (0, 0),
        (0, width - 1),
        (height - 1, 0),
        (height - 1, width - 1),
        (0, width // 2),
        (height // 2, 0),
    ]
    for i, image in enumerate(images):
        y, x = places[i % len(places)] if i < 12 else (random.integers(height), random.integers(width))
        if i == 0:
            image[:] = True
        elif i % 3 == 0:
            image[:] = True
            image[y, x] = False
        elif i % 3 == 1:
            image[y, x] = True
        else:
            image[y : y + random.integers(1, height + 1), x : x + random.integers(1, width + 1)] = True
    return images


KINDS = (noise, blobs, lines, frames)


def assert_skeletons(
    images: np.ndarray, method: str, max_iter: int | None = None, skimage: bool = True
) -> None:
    """Torch face = numpy face = definition = scikit-image, for one batch."""
    given = torch.from_numpy(images)
    found = ops.skeletonize(given, method, max_iter).numpy()
    where = f"{method}, {images.shape}, max_iter={max_iter}"
    np.testing.assert_array_equal(
        found, reference.skeletonize(given, method, max_iter).numpy(), err_msg=where
    )
    np.testing.assert_array_equal(found, numpy_ops.skeletonize(images, method, max_iter), err_msg=where)
    if skimage and method in OF_SKIMAGE and (max_iter is None or method == "thin"):
        for image, skeleton in zip(images, found, strict=True):
            options = {} if max_iter is None else {"max_num_iter": max_iter}
            np.testing.assert_array_equal(skeleton, OF_SKIMAGE[method](image, **options), err_msg=where)


class TestSkeletonize(OpTester):
    function = ops.skeletonize
    operator = torch.ops.sketchfast.skeletonize.default
    reference = reference.skeletonize

    def sample_inputs(self, generator: torch.Generator) -> Iterator[Arguments]:
        yield torch.rand(3, 40, 70, generator=generator) > 0.4, "skel", 1000
        yield torch.randint(0, 3, (33, 129), dtype=torch.uint8, generator=generator), "thin", 2
        yield torch.rand(2, 65, 31, generator=generator) > 0.2, "zhang", 1
        yield torch.full((1, 5, 400), 255, dtype=torch.uint8), "skel", 3
        for shape in ((0, 4, 5), (2, 0, 5), (7, 0), (1, 1)):
            yield torch.ones(shape, dtype=torch.bool), "thin", 10

    def bad_inputs(self) -> Iterator[tuple[Arguments, type[Exception], str]]:
        good = torch.zeros(4, 5, dtype=torch.bool)
        yield (good.float(),), TypeError, "skeletonize: images must be bool or uint8, found torch.float32"
        yield (good.long(),), TypeError, "images must be bool or uint8, found torch.int64"
        yield (good.numpy(),), TypeError, "images must be a torch.Tensor, found ndarray"
        yield (good[0],), ValueError, r"images must have shape \[H, W\] or \[N, H, W\], found \[5\]"
        yield (good[None, None],), ValueError, r"found \[1, 1, 4, 5\]"
        yield (good, "lee"), ValueError, "method must be 'skel', 'thin' or 'zhang', found 'lee'"
        yield (good, "skel", 0), ValueError, "max_iter must be an integer of at least 1, or None .*, found 0"
        yield (
            (good, "skel", -1),
            ValueError,
            "max_iter must be an integer of at least 1, or None .*, found -1",
        )
        yield (good, "skel", 1.5), TypeError, "max_iter must be an integer .*, found 1.5"

    def test_operator_itself_refuses_bad_input(self) -> None:
        good = torch.zeros(4, 5, dtype=torch.bool)
        for arguments, pattern in (
            ((good.float(), "skel", 1), "images must be bool or uint8, found Float"),
            ((good[0], "skel", 1), r"images must have shape \[H, W\] or \[N, H, W\], found \[5\]"),
            ((good, "lee", 1), "method must be .*, found 'lee'"),
            ((good, "skel", 0), "max_iter must be at least 1, or -1 .*, found 0"),
        ):
            with pytest.raises(RuntimeError, match=pattern):
                self.operator(*arguments)


class TestHomogeneousTransform(OpTester):
    function = ops.homogeneous_transform
    operator = torch.ops.sketchfast.homogeneous_transform.default
    reference = reference.homogeneous_transform

    def sample_inputs(self, generator: torch.Generator) -> Iterator[Arguments]:
        gray = torch.randint(0, 256, (3, 37, 131), dtype=torch.uint8, generator=generator)
        for threshold in (0, 128, 256):
            yield gray, threshold
        yield gray[0], 200
        for shape in ((0, 4, 5), (4, 0)):
            yield torch.zeros(shape, dtype=torch.uint8), 128

    def bad_inputs(self) -> Iterator[tuple[Arguments, type[Exception], str]]:
        good = torch.zeros(4, 5, dtype=torch.uint8)
        yield (good.float(), 128), TypeError, "homogeneous_transform: images must be "
        yield (good.bool(), 128), TypeError, "images must be "
        yield (good.numpy(), 128), TypeError, "images must be a torch.Tensor, found ndarray"
        yield (good[0], 128), ValueError, r"images must have shape \[H, W\] or \[N, H, W\], found \[5\]"
        yield (good, -1), ValueError, "threshold must be (an integer )?0 to 256, found -1"
        yield (good, 257), ValueError, "threshold must be (an integer )?0 to 256, found 257"
        for wrong in (128.5, None, "128"):
            yield (good, wrong), TypeError, f"threshold must be an integer 0 to 256, found {wrong!r}"

    def test_every_gray_value_and_threshold(self) -> None:
        """Single pixels stay single: the result tells what counts as ink."""
        gray = torch.full((1, 511), 255, dtype=torch.uint8)
        gray[0, ::2] = torch.arange(256, dtype=torch.uint8)
        for threshold in range(256):  # at 256 the ground between them is ink, too
            found = ops.homogeneous_transform(gray, threshold)
            assert torch.equal(found == 0, gray.int() < threshold)
            assert torch.equal(
                torch.from_numpy(numpy_ops.homogeneous_transform(gray.numpy(), threshold)), found
            )


def test_check_values() -> None:
    image = np.random.RandomState(5489).rand(400).reshape(20, 20, order="F") > 0.5
    counts = {method: int(numpy_ops.skeletonize(image, method).sum()) for method in METHODS}
    assert counts == {"skel": 158, "thin": 147, "zhang": int(skimage_zhang(image).sum())}


@pytest.mark.parametrize("method", METHODS)
def test_seven_hundred_images_equal_definition_and_skimage(method: str, seed: int) -> None:
    """Noise of every density, blobs, lines, single pixels, all ink; widths around the borders of words, lanes and vectors."""
    random = np.random.default_rng(seed)
    sizes = [(1, 1), (1, 70), (70, 1), (2, 2), (3, 300), (64, 3)]
    sizes += [
        (int(random.integers(1, 40)), w) for w in (47, 48, 49, 63, 64, 65, 95, 97, 127, 128, 129, 191, 193)
    ]
    sizes += [(int(random.integers(1, 24)), w) for w in (255, 257, 383, 385, 511, 512, 513)]
    total = 0
    for height, width in sizes:
        for kind in KINDS:
            images = kind(random, 7, height, width)
            assert_skeletons(images, method)
            total += len(images)
    assert total >= 700  # by each method


@pytest.mark.parametrize("method", METHODS)
def test_max_iter(method: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    for max_iter in (1, 2, 3, 5, 8, 13, 1000):
        for kind in KINDS:
            assert_skeletons(kind(random, 3, 45, 130), method, max_iter)


@pytest.mark.parametrize("method", METHODS)
def test_large_image(method: str, seed: int) -> None:
    """Thin lines and noise on 2,000 x 3,001 pixels: many columns of vectors, borders, rows that are finished at once."""
    random = np.random.default_rng(seed)
    image = random.random((2000, 3001)) < 0.02
    y, x = np.mgrid[:2000, :3001]
    for slope in (-3, -1, 0.3, 2):
        image |= np.abs(x - slope * y - random.integers(0, 3001)) < random.uniform(1, 4)
    image[:2] = image[:, -1] = True
    found = numpy_ops.skeletonize(image, method)
    if method == "skel":
        np.testing.assert_array_equal(found, reference.skeletonize(torch.from_numpy(image), method).numpy())
    else:
        np.testing.assert_array_equal(found, OF_SKIMAGE[method](image))


@cache
def real_sketches(root: Path, seed: int) -> dict[str, np.ndarray]:
    """Ink of a random draw of real data, by source; SketchParse gives outlines of masks."""
    random = np.random.default_rng(seed)

    def some(pattern: str, count: int) -> list[Path]:
        paths = sorted(root.glob(pattern))
        return [paths[i] for i in random.choice(len(paths), min(count, len(paths)), replace=False)]

    def gray(path: Path) -> np.ndarray:
        return np.asarray(Image.open(path).convert("L"))

    found: dict[str, Any] = {
        "Sketchy": [gray(p) < 128 for p in some("Sketchy/256x256/sketch/*/*/*.png", 10)],
        "SketchParse": [],
        "SPG": [],
        "QuickDraw": [],
    }
    for path in some("SketchParse/test_GT/*/*.png", 3):
        mask = np.asarray(Image.open(path))
        found["SketchParse"] += [mask > 0, np.pad(np.diff(mask.astype(int), axis=1) != 0, ((0, 0), (0, 1)))]
    for source, pattern in (("SPG", "SPG/*_raw.ndjson"), ("QuickDraw", "QuickDraw/*.ndjson")):
        for path in some(pattern, 6):
            strokes = read_ndjson(path, int(random.integers(0, 20)))
            found[source].append(draw(strokes, 200)[..., 0] < 128)
    return {source: np.stack(images) for source, images in found.items() if images}


@pytest.mark.parametrize("method", METHODS)
def test_real_sketches(method: str, seed: int, data_root: Path) -> None:
    sketches = real_sketches(data_root, seed % 1000)
    assert sketches, f"no drawings under {data_root}"
    for images in sketches.values():
        found = ops.skeletonize(torch.from_numpy(images), method).numpy()
        if method == "skel":
            wanted = reference.skeletonize(torch.from_numpy(images)).numpy()
        else:
            wanted = np.stack([OF_SKIMAGE[method](image) for image in images])
        np.testing.assert_array_equal(found, wanted)


def components(image: np.ndarray) -> int:
    return int(label(image, connectivity=2, return_num=True)[1])


@pytest.mark.parametrize("method", METHODS)
def test_properties(method: str, seed: int) -> None:
    """Thinning adds nothing, keeps components and Euler number, and thinning again changes nothing."""
    random = np.random.default_rng(seed)
    for kind in KINDS:
        images = kind(random, 30, int(random.integers(1, 60)), int(random.integers(1, 140)))
        skeletons = numpy_ops.skeletonize(images, method)
        assert not (skeletons & ~images).any()
        np.testing.assert_array_equal(numpy_ops.skeletonize(skeletons, method), skeletons)
        for image, skeleton in zip(images, skeletons, strict=True):
            assert components(image) == components(skeleton)
            assert euler_number(image, connectivity=2) == euler_number(skeleton, connectivity=2)


def test_any_non_zero_byte_is_stroke(seed: int) -> None:
    values = torch.randint(
        0, 256, (3, 50, 70), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )
    values[torch.rand(values.shape, generator=torch.Generator().manual_seed(seed)) < 0.5] = 0
    for method in METHODS:
        found = ops.skeletonize(values, method)
        assert torch.equal(found, ops.skeletonize(values != 0, method))
        assert torch.equal(found[1], ops.skeletonize(values[1], method))


def test_meta_tensors_have_meta_results() -> None:
    images = torch.zeros(2, 4, 5, dtype=torch.uint8, device="meta")
    for found, dtype in (
        (ops.skeletonize(images, max_iter=2**70), torch.bool),
        (ops.homogeneous_transform(images), torch.uint8),
    ):
        assert found.is_meta and found.shape == images.shape and found.dtype == dtype


def test_without_max_iter_it_compiles() -> None:
    compiled = torch.compile(ops.skeletonize, fullgraph=True, backend="aot_eager")
    image: Tensor = torch.rand(20, 30) > 0.5
    assert torch.equal(compiled(image), ops.skeletonize(image))
