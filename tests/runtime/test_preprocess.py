"""Preprocess: exact arithmetic, antialiased resizing, and a dictionary that cannot drift."""

import numpy as np
import pytest

from sketchfast.runtime.preprocess import Preprocess


@pytest.fixture
def image(seed):
    random = np.random.default_rng(seed)
    height, width = random.integers(5, 90, 2)
    return random.integers(0, 256, (height, width, 3), np.uint8)


def test_normalize_is_the_formula_in_float64(image):
    spec = Preprocess(size=32)
    batch = np.stack([spec.resize_image(image), 255 - spec.resize_image(image)])
    expected = (batch / 255.0 - np.array(spec.mean)) / np.array(spec.std)
    result = spec.normalize(batch)
    assert result.dtype == np.float32 and result.shape == (2, 3, 32, 32) and result.flags.c_contiguous
    assert np.array_equal(result, expected.transpose(0, 3, 1, 2).astype(np.float32))
    assert np.array_equal(spec(image), result[0])


def test_box_resize_is_the_mean_of_areas(seed):
    image = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)
    result = Preprocess(size=16, interpolation="box").resize_image(image)
    expected = image.reshape(16, 3, 16, 4, 3).astype(np.float64).mean(axis=(1, 3))
    assert np.abs(result - expected).max() <= 0.51 + 0.5  # two passes, each rounded


def test_thin_strokes_keep_their_ink():
    """A stroke of one pixel in 1,024, shrunk 16 times, keeps its mean ink; unfiltered sampling mostly loses it."""
    image = np.full((1024, 1024, 3), 255, np.uint8)
    image[:, 100:101] = 0
    image[333:334, :] = 0
    result = Preprocess(size=64).resize_image(image)
    assert abs((255.0 - result).mean() - (255.0 - image).mean()) < 0.05
    assert (result[:, 5:8].min(axis=1) < 255).all()


def test_same_size_is_a_copy(image):
    square = image[:5, :5]
    result = Preprocess(size=5).resize_image(square)
    assert np.array_equal(result, square)
    result[:] = 0
    assert square.any()


@pytest.mark.parametrize(("height", "width"), [(40, 10), (10, 40), (1, 500), (33, 33)])
def test_pad_keeps_the_aspect_ratio_on_white(height, width):
    result = Preprocess(size=20, resize="pad").resize_image(np.zeros((height, width, 3), np.uint8))
    ink = np.argwhere(result[:, :, 0] == 0)
    low, high = ink.min(0), ink.max(0) + 1
    scale = 20 / max(height, width)
    assert tuple(high - low) == (max(1, round(height * scale)), max(1, round(width * scale)))
    assert (np.abs((low + high) / 2 - 10) <= 0.5).all() and set(np.unique(result)) <= {0, 255}


def test_dictionary_round_trip_and_drift():
    spec = Preprocess(size=96, mean=(0.5, 0.4, 0.3), std=(1, 2, 3), resize="pad", interpolation="lanczos")
    fields = spec.to_dict()
    assert Preprocess.from_dict(fields) == spec and fields["mean"] == [0.5, 0.4, 0.3]
    with pytest.raises(ValueError, match=r"missing \['std'\], unknown \['stdev'\]"):
        Preprocess.from_dict({("stdev" if key == "std" else key): value for key, value in fields.items()})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 0),
        ("size", 2.5),
        ("size", True),
        ("mean", (0.5, 0.5)),
        ("mean", (0.5, 0.5, float("nan"))),
        ("std", (1, 0, 1)),
        ("resize", "crop"),
        ("interpolation", "area"),
    ],
)
def test_bad_fields_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        Preprocess(**{field: value})


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.zeros((4, 4, 3), np.float32), TypeError),
        ([[0]], TypeError),
        (np.zeros((4, 4), np.uint8), ValueError),
        (np.zeros((4, 4, 4), np.uint8), ValueError),
        (np.zeros((0, 4, 3), np.uint8), ValueError),
        (np.zeros((2, 4, 4, 3), np.uint8), ValueError),
    ],
)
def test_bad_images_are_named(image, error):
    with pytest.raises(error, match="image must"):
        Preprocess().resize_image(image)
