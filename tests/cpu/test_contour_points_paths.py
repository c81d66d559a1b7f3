"""Every path of contour_points against the definition: words, blocks, threads, layouts, and the numpy face's errors."""

import numpy as np
import pytest
import torch

from sketchfast import numpy_ops, reference
from tests.cpu.test_skeletonize_paths import shapes

PATHS = [*numpy_ops.skeletonize_paths(), "auto"]


def one_after_another(image: np.ndarray, n: int) -> np.ndarray:
    """Farthest points of a long centreline, for which the definition's matrix would be too large."""
    pixels = np.argwhere(numpy_ops.skeletonize(image))[:, ::-1]
    nearest = np.full(len(pixels), np.inf)
    chosen = [0]
    for _ in range(1, n):
        nearest = np.minimum(nearest, ((pixels - pixels[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(np.argmax(nearest)))  # numpy's gives the first
    return pixels[chosen]


def assert_paths(images: np.ndarray, n: int) -> None:
    points, valid = reference.contour_points(torch.from_numpy(images), n)
    for path in PATHS:
        found, good = numpy_ops.contour_points(images, n, path=path)
        where = f"{path}, {images.shape}, n={n}"
        assert found.dtype == np.int32 and good.dtype == np.bool_
        np.testing.assert_array_equal(found, points.numpy(), err_msg=where)
        np.testing.assert_array_equal(good, valid.numpy(), err_msg=where)


def test_paths_equal_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    for width in (1, 2, 31, 62, 63, 64, 65, 66, 100, 127, 128, 129, 192, 255, 256, 257, 300):
        images = shapes(random, 3, int(random.choice([1, 2, 20, 64, 65])), width)
        assert_paths(images, int(random.integers(1, 100)))


def test_number_of_pixels_around_whole_blocks() -> None:
    """Pixels with a gap between them stay as they are; blocks hold 256."""
    for count in (1, 2, 7, 8, 9, 255, 256, 257, 511, 512, 513):
        image = np.zeros((12, 100), bool)
        rows, columns = np.divmod(np.arange(count), 50)
        image[rows % 6 * 2, columns * 2 + rows // 6] = True
        for n in (1, 3, count, count + 1, 4096):
            assert_paths(image, min(n, 4096))


def test_long_centrelines(seed: int) -> None:
    """Many blocks, most of which a new point leaves alone."""
    random = np.random.default_rng(seed)
    image = shapes(random, 1, 900, 1100)[0] | (random.random((900, 1100)) < 0.01)
    wanted = one_after_another(image, 300)
    for path in PATHS:
        np.testing.assert_array_equal(
            numpy_ops.contour_points(image, 300, path=path)[0], wanted, err_msg=path
        )


@pytest.mark.parametrize("path", PATHS)
def test_thread_count_and_batch_change_nothing(path: str, seed: int) -> None:
    """Enough pixels for several threads; memory is used again from image to image, blank ones between them."""
    images = shapes(np.random.default_rng(seed), 100, 120, 150)
    images[::7] = False
    points, valid = numpy_ops.contour_points(images, 40, threads=1, path=path)
    np.testing.assert_array_equal(valid, images.any(axis=(1, 2)))
    for threads in (2, 5, 0):
        again, good = numpy_ops.contour_points(images, 40, threads=threads, path=path)
        np.testing.assert_array_equal(again, points)
        np.testing.assert_array_equal(good, valid)
    for i in (0, 1, 99):
        alone, good = numpy_ops.contour_points(images[i], 40, path=path)
        assert good.shape == () and good == valid[i]
        np.testing.assert_array_equal(alone, points[i])


def test_any_layout() -> None:
    images = shapes(np.random.default_rng(0), 4, 60, 90)
    for view in (
        images[::2, 3:, ::-1],
        images.transpose(0, 2, 1),
        np.asfortranarray(images[0]),
        images[:, ::3, ::2],
    ):
        kept = view.copy()
        for found, wanted in zip(
            numpy_ops.contour_points(view, 9), numpy_ops.contour_points(kept, 9), strict=True
        ):
            np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(view, kept)


def test_no_images() -> None:
    points, valid = numpy_ops.contour_points(np.zeros((0, 4, 5), bool), 3)
    assert points.shape == (0, 3, 2) and valid.shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[1]], 3), TypeError, "images: expected a numpy array of bool or uint8, got list"),
        ((np.zeros((3, 3)), 3), TypeError, "images: expected dtype bool or uint8, got float64"),
        ((np.zeros(3, bool), 3), ValueError, r"images: expected shape \[H, W\] or \[N, H, W\], got \(3,\)"),
        (
            (np.zeros((0, 3), bool), 3),
            ValueError,
            r"images: expected sides of 1 to 32767 pixels, got \(0, 3\)",
        ),
        ((np.zeros((2, 3, 0), bool), 3), ValueError, r"images: expected sides .*got \(2, 3, 0\)"),
        ((np.zeros((1, 32768), bool), 3), ValueError, r"images: expected sides .*got \(1, 32768\)"),
        ((np.zeros((3, 3), bool), 0), ValueError, "contour_points: n must be an integer 1 to 4096, found 0"),
        ((np.zeros((3, 3), bool), 4097), ValueError, "n must be an integer 1 to 4096, found 4097"),
        (
            (np.zeros((3, 3), bool), 2**70),
            ValueError,
            "n must be an integer 1 to 4096, found 1180591620717411303424",
        ),
        ((np.zeros((3, 3), bool), 2.0), TypeError, "n must be an integer 1 to 4096, found 2.0"),
        ((np.zeros((3, 3), bool), 3, 0, "sse9"), ValueError, "path: expected 'auto', .*got 'sse9'"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[object, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        numpy_ops.contour_points(*arguments)  # type: ignore[arg-type]
