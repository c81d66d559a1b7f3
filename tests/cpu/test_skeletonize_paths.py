"""Every thinning path against the definition: column borders, skipped rows, threads, layouts, and the numpy face's errors."""

import numpy as np
import pytest
import torch

from sketchfast import numpy_ops, reference

PATHS = [*numpy_ops.skeletonize_paths(), "auto"]
METHODS = ("skel", "thin", "zhang")


def shapes(random: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    """Rectangles, holes and noise: thick parts that take many iterations beside parts that are finished at once."""
    images = np.zeros((count, height, width), bool)
    for image in images:
        for ink in (True, True, False, True):
            for _ in range(3):
                y, x = random.integers(0, height), random.integers(0, width)
                h, w = random.integers(1, [height // 2 + 2, width // 2 + 2])
                image[y : y + h, x : x + w] = ink
        image ^= random.random(image.shape) < random.choice([0, 0.001, 0.02])
    return images


def expected(images: np.ndarray, method: str, max_iter: int | None = None) -> np.ndarray:
    return reference.skeletonize(torch.from_numpy(images), method, max_iter).numpy()


def assert_paths(images: np.ndarray, method: str, max_iter: int | None = None) -> None:
    wanted = expected(images, method, max_iter)
    for path in PATHS:
        found = numpy_ops.skeletonize(images, method, max_iter, path=path)
        np.testing.assert_array_equal(found, wanted, err_msg=f"{path}, {method}, {images.shape}, {max_iter}")


@pytest.mark.parametrize("method", METHODS)
def test_paths_equal_the_definition(method: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    for width in (1, 2, 46, 48, 50, 64, 96, 100, 144, 190, 192, 194, 240, 256, 384, 386, 500, 768, 800):
        images = shapes(random, 3, int(random.choice([1, 2, 20, 64, 65, 90])), width)
        assert_paths(images, method, random.choice([None, None, 1, 2, 4]))


@pytest.mark.parametrize("method", METHODS)
def test_far_apart_rows_that_change_for_long(method: str, seed: int) -> None:
    """Rows are swept in runs around what changed: squares of many sizes, at every distance from each other."""
    random = np.random.default_rng(seed)
    image = np.zeros((600, 210), bool)
    row = 0
    while row < 590:
        side = int(random.integers(1, 30))
        column = int(random.integers(0, 200))
        image[row : row + side, column : column + side] = True
        row += side + int(random.integers(1, 60))
    assert_paths(image, method)


@pytest.mark.parametrize("method", METHODS)
def test_changes_that_run_through_borrowed_pixels(method: str) -> None:
    """Slanted bars that cross the borders of lanes and vectors at every phase."""
    y, x = np.mgrid[:70, :420]
    bars = ((0.5, 10), (-1, 50), (2, 71), (7, 12))
    assert_paths(np.stack([np.abs(x - slope * y - offset) % 67 < 20 for slope, offset in bars]), method)


@pytest.mark.parametrize("path", PATHS)
def test_thread_count_and_batch_change_nothing(path: str, seed: int) -> None:
    """Enough pixels for several threads; memory is used again from image to image."""
    images = shapes(np.random.default_rng(seed), 150, 120, 150)
    gray = np.where(images, 10, 240).astype(np.uint8)
    first = numpy_ops.skeletonize(images, threads=1, path=path)
    np.testing.assert_array_equal(first[::50], expected(images[::50], "skel"))
    for threads in (2, 5, 0):
        np.testing.assert_array_equal(numpy_ops.skeletonize(images, threads=threads, path=path), first)
        transformed = numpy_ops.homogeneous_transform(gray, threads=threads, path=path)
        np.testing.assert_array_equal(transformed, np.where(first, 0, 255))
    for i in (0, 1, 149):
        np.testing.assert_array_equal(numpy_ops.skeletonize(images[i], path=path), first[i])


def test_bytes_and_thresholds(seed: int) -> None:
    random = np.random.default_rng(seed)
    for width in (1, 31, 64, 100, 128, 257):
        gray = random.integers(0, 256, (2, 9, width), dtype=np.uint8)
        given = torch.from_numpy(gray)
        for threshold in (0, 1, 2, 127, 128, 129, 254, 255, 256):
            wanted = reference.homogeneous_transform(given, threshold).numpy()
            for path in PATHS:
                found = numpy_ops.homogeneous_transform(gray, threshold, path=path)
                np.testing.assert_array_equal(found, wanted, err_msg=f"{path}, width {width}, {threshold}")
        sparse = np.where(gray < 128, gray, 0)
        wanted = expected(sparse != 0, "skel")
        for path in PATHS:
            np.testing.assert_array_equal(numpy_ops.skeletonize(sparse, path=path), wanted, err_msg=path)


def test_any_layout() -> None:
    images = shapes(np.random.default_rng(0), 4, 60, 90)
    for view in (
        images[::2, 3:, ::-1],
        images.transpose(0, 2, 1),
        np.asfortranarray(images[0]),
        images[:, ::3, ::2],
    ):
        kept = view.copy()
        np.testing.assert_array_equal(numpy_ops.skeletonize(view), expected(kept, "skel"))
        np.testing.assert_array_equal(view, kept)


def test_max_iter_beyond_64_bits_is_no_limit() -> None:
    image = shapes(np.random.default_rng(0), 1, 40, 50)[0]
    found = numpy_ops.skeletonize(image, max_iter=2**70)
    np.testing.assert_array_equal(found, numpy_ops.skeletonize(image))


@pytest.mark.parametrize("shape", [(0, 5, 5), (3, 0, 5), (3, 5, 0), (0, 5), (5, 0), (0, 0, 0)])
def test_empty_images(shape: tuple[int, ...]) -> None:
    found = numpy_ops.skeletonize(np.zeros(shape, bool))
    assert found.shape == shape and found.dtype == np.bool_
    found = numpy_ops.homogeneous_transform(np.zeros(shape, np.uint8))
    assert found.shape == shape and found.dtype == np.uint8


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[1]],), TypeError, "images: expected a numpy array of bool or uint8, got list"),
        ((np.zeros((3, 3)),), TypeError, "images: expected dtype bool or uint8, got float64"),
        ((np.zeros((3, 3), np.int8),), TypeError, "images: expected dtype bool or uint8, got int8"),
        ((np.zeros(3, bool),), ValueError, r"images: expected shape \[H, W\] or \[N, H, W\], got \(3,\)"),
        ((np.zeros((1, 1, 3, 3), bool),), ValueError, r"images: .*got \(1, 1, 3, 3\)"),
        (
            (np.zeros((3, 3), bool), "lee"),
            ValueError,
            "method: expected 'skel', 'thin' or 'zhang', got 'lee'",
        ),
        ((np.zeros((3, 3), bool), "skel", 0), ValueError, "max_iter must be an integer .*, found 0"),
        ((np.zeros((3, 3), bool), "skel", -1), ValueError, "max_iter must be an integer .*, found -1"),
        ((np.zeros((3, 3), bool), "skel", 1.5), TypeError, "max_iter must be an integer .*, found 1.5"),
        ((np.zeros((3, 3), bool), "skel", 1, 0, "sse9"), ValueError, "path: expected 'auto', .*got 'sse9'"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[object, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        numpy_ops.skeletonize(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.zeros((3, 3), bool),), TypeError, "images: expected dtype uint8, got bool"),
        ((np.zeros((3, 3)),), TypeError, "images: expected dtype uint8, got float64"),
        ((np.zeros((3, 3), np.uint8), -1), ValueError, "threshold must be an integer 0 to 256, found -1"),
        ((np.zeros((3, 3), np.uint8), 257), ValueError, "threshold must be an integer 0 to 256, found 257"),
        ((np.zeros((3, 3), np.uint8), 128.5), TypeError, "threshold must be .* 0 to 256, found 128.5"),
        ((np.zeros((3, 3), np.uint8), None), TypeError, "threshold must be .* 0 to 256, found None"),
        ((np.zeros((3, 3), np.uint8), "128"), TypeError, "threshold must be .* 0 to 256, found '128'"),
    ],
)
def test_bad_arguments_of_the_transform_are_named(
    arguments: tuple[object, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        numpy_ops.homogeneous_transform(*arguments)  # type: ignore[arg-type]
