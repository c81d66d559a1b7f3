"""contour_points: operator contract, definition, what farthest-point sampling promises, spacing on real sketches."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from sketchfast import numpy_ops, ops, reference
from tests.ops.op_tester import Arguments, OpTester, assert_equal
from tests.ops.test_skeletonize import blobs, frames, lines, noise, real_sketches


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Euclidean, [A, 2] and [B, 2] -> [A, B]."""
    return np.linalg.norm(one[:, None].astype(float) - other, axis=-1)


def centreline(image: np.ndarray) -> np.ndarray:
    """(x, y) of its pixels in row-major order."""
    return np.argwhere(numpy_ops.skeletonize(image))[:, ::-1]


def farthest_from(pixels: np.ndarray, points: np.ndarray) -> float:
    """The largest distance of a pixel from its nearest point."""
    return float(distances(pixels, points).min(axis=1).max())


class TestContourPoints(OpTester):
    function = ops.contour_points
    operator = torch.ops.sketchfast.contour_points.default
    reference = reference.contour_points

    def sample_inputs(self, generator: torch.Generator) -> Iterator[Arguments]:
        yield torch.rand(3, 40, 70, generator=generator) > 0.4, 30
        yield torch.randint(0, 3, (33, 129), dtype=torch.uint8, generator=generator), 7
        yield torch.rand(4, 9, 5, generator=generator) > torch.tensor([0.5, 0.9, 1.0, 0.0]).view(4, 1, 1), 60
        yield torch.full((1, 1), 255, dtype=torch.uint8), 3
        yield torch.ones(0, 4, 5, dtype=torch.bool), 10

    def bad_inputs(self) -> Iterator[tuple[Arguments, type[Exception], str]]:
        good = torch.zeros(4, 5, dtype=torch.bool)
        yield (
            (good.float(), 3),
            TypeError,
            "contour_points: images must be bool or uint8, found (torch.f|F)loat",
        )
        yield (good.to(torch.int8), 3), TypeError, "images must be bool or uint8, found"
        yield (good.numpy(), 3), TypeError, "images must be a torch.Tensor, found ndarray"
        yield (good[0], 3), ValueError, r"images must have shape \[H, W\] or \[N, H, W\], found \[5\]"
        yield (good[None, None], 3), ValueError, r"found \[1, 1, 4, 5\]"
        for shape in ((0, 5), (2, 5, 0), (0, 0, 5), (1, 32768), (32768, 1)):
            pattern = rf"images must have sides of 1 to 32767 pixels, found \[{', '.join(map(str, shape))}\]"
            yield (torch.zeros(shape, dtype=torch.bool), 3), ValueError, pattern
        for wrong in (0, -1, 4097, 2**40):
            yield (good, wrong), ValueError, f"n must be an integer 1 to 4096, found {wrong}"
        for nonsense in (1.5, None, "30"):
            yield (good, nonsense), TypeError, f"n must be an integer 1 to 4096, found {nonsense!r}"

    def test_a_bool_is_no_number_of_points(self) -> None:
        for call, image in (
            (ops.contour_points, torch.ones(3, 3) > 0),
            (numpy_ops.contour_points, np.ones((3, 3), bool)),
        ):
            with pytest.raises(TypeError, match="n must be an integer 1 to 4096, found True"):
                call(image, True)  # type: ignore[arg-type]


def assert_points(images: np.ndarray, n: int) -> None:
    """Torch face = numpy face = definition, for one batch."""
    found = ops.contour_points(torch.from_numpy(images), n)
    assert_equal(found, reference.contour_points(torch.from_numpy(images), n))
    assert_equal(found, tuple(map(torch.from_numpy, numpy_ops.contour_points(images, n))))


def test_drawings_equal_the_definition(seed: int) -> None:
    """Noise, blobs, lines, all ink and single pixels; widths around those of words and vectors, up to eight blocks."""
    random = np.random.default_rng(seed)
    for height, width in ((1, 1), (1, 300), (300, 1), (20, 63), (31, 64), (17, 65), (24, 128), (20, 200)):
        for kind in (noise, blobs, lines, frames):
            assert_points(kind(random, 4, height, width), int(random.integers(1, 70)))


def test_many_points(seed: int) -> None:
    random = np.random.default_rng(seed)
    assert_points(noise(random, 3, 30, 50), 4096)
    assert_points(lines(random, 2, 40, 50), 1000)


def test_longest_sides(seed: int) -> None:
    """Squared distances up to 32766^2, of 30 points and of two pixels at the ends."""
    random = np.random.default_rng(seed)
    line = random.random((1, 32767)) < 0.03
    ends = np.zeros((1, 32767), bool)
    ends[0, [0, -1]] = True
    for image in (line, line.T, ends, ends.T):
        assert_points(image, 30)
    points, _ = numpy_ops.contour_points(ends, 3)
    np.testing.assert_array_equal(points, [[0, 0], [32766, 0], [0, 0]])


def test_ties_go_to_the_first_in_row_major_order() -> None:
    image = np.zeros((9, 9), bool)
    image[4, 0] = image[0, 4] = image[8, 4] = image[4, 8] = True
    points, valid = numpy_ops.contour_points(image, 6)
    assert valid
    np.testing.assert_array_equal(points, [[4, 0], [4, 8], [0, 4], [8, 4], [4, 0], [4, 8]])


def test_blank_images_get_their_centre() -> None:
    images = np.zeros((3, 6, 9), np.uint8)
    images[1, 5, 0] = 200
    points, valid = numpy_ops.contour_points(images, 2)
    np.testing.assert_array_equal(valid, [False, True, False])
    np.testing.assert_array_equal(points, [[[4, 3]] * 2, [[0, 5]] * 2, [[4, 3]] * 2])


def test_properties(seed: int) -> None:
    """On the centreline, from its topmost leftmost pixel, all different, a prefix for every n, again from the first."""
    random = np.random.default_rng(seed)
    for kind in (noise, blobs, lines):
        for image in kind(random, 6, int(random.integers(1, 60)), int(random.integers(1, 140))):
            pixels = centreline(image)
            points, valid = numpy_ops.contour_points(image, 200)
            assert valid == (len(pixels) > 0)
            if not valid:
                continue
            np.testing.assert_array_equal(points[0], pixels[0])
            distinct = points[: min(200, len(pixels))]
            assert len(set(map(tuple, distinct))) == len(distinct)
            assert set(map(tuple, distinct)) <= set(map(tuple, pixels))
            np.testing.assert_array_equal(points, distinct[np.arange(200) % len(pixels)])
            for n in random.integers(1, 200, 5):
                np.testing.assert_array_equal(numpy_ops.contour_points(image, int(n))[0], points[:n])


def test_at_most_twice_the_best_choice(seed: int) -> None:
    """No pixel is farther from its nearest point than twice what the best of all choices of n pixels achieves."""
    random = np.random.default_rng(seed)
    checked = 0
    for image in noise(random, 200, 6, 7) & (random.random((200, 6, 7)) < 0.4):
        pixels = centreline(image)
        if not 2 <= len(pixels) <= 12:
            continue
        between = distances(pixels, pixels)
        for n in (1, 2, 3, 4):
            best = min(
                between[list(chosen)].min(axis=0).max()
                for chosen in combinations(range(len(pixels)), min(n, len(pixels)))
            )
            points, _ = numpy_ops.contour_points(image, n)
            assert farthest_from(pixels, points) <= 2 * best + 1e-9, f"n={n}\n{image.astype(int)}"
            checked += 1
    assert checked >= 100


def test_real_sketches_are_covered_evenly(seed: int, data_root: Path) -> None:
    """Against as many pixels of the same centreline at random: farther apart, more evenly, and nothing is far from a point."""
    random = np.random.default_rng(seed)
    ours, drawn = [], []
    for images in real_sketches(data_root, seed % 1000).values():
        assert_points(images[:1], 30)
        for image in images:
            pixels = centreline(image)
            if len(pixels) < 90:
                continue
            some = pixels[random.choice(len(pixels), 30, replace=False)]
            for found, points in ((ours, numpy_ops.contour_points(image, 30)[0]), (drawn, some)):
                between = distances(points, points) + np.diag(np.full(30, np.inf))
                gaps = between.min(axis=1)
                found.append((gaps.min(), gaps.std() / gaps.mean(), farthest_from(pixels, points)))
    assert len(ours) >= 10, f"no drawings under {data_root}"
    (gap, uneven, far), (random_gap, random_uneven, random_far) = np.transpose(ours), np.transpose(drawn)
    assert (gap > random_gap).all() and gap.mean() > 3 * random_gap.mean()
    assert (gap >= far).all()  # of any farthest-point sampling
    assert uneven.mean() < 0.5 * random_uneven.mean()
    assert (far < random_far).mean() > 0.9 and far.mean() < 0.7 * random_far.mean()


def test_meta_tensors_have_meta_results() -> None:
    for shape in ((4, 5), (2, 4, 5)):
        points, valid = ops.contour_points(torch.zeros(shape, dtype=torch.uint8, device="meta"), 3)
        assert points.is_meta and points.shape == (*shape[:-2], 3, 2) and points.dtype == torch.int32
        assert valid.is_meta and valid.shape == shape[:-2] and valid.dtype == torch.bool
