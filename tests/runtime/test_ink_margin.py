"""Cropping to the ink: where it lands, what stays as it is, and the way back to the picture's own pixels."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sketchfast.data.image_set import FileImageSet
from sketchfast.runtime.preprocess import INK_BELOW, Preprocess


def box_of(image, below=INK_BELOW):
    ys, xs = np.nonzero(image[:, :, 0] < below)
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])


def scribble(seed, canvas=(300, 420)):
    """Ink somewhere on a sheet, 40 to 200 pixels a side."""
    random = np.random.default_rng(seed)
    height, width = random.integers(40, 201, 2)
    top, left = (int(random.integers(0, room + 1)) for room in (canvas[0] - height, canvas[1] - width))
    image = np.full((*canvas, 3), 255, np.uint8)
    points = [(left, top), (left + width - 1, top + height - 1), (left, top + height - 1)]
    points += [(int(x) + left, int(y) + top) for x, y in random.integers(0, (width, height), (4, 2))]
    picture = Image.fromarray(image)
    ImageDraw.Draw(picture).line(points, fill=(0, 0, 0), width=1)
    return np.array(picture)


@pytest.mark.parametrize("resize", ["stretch", "pad"])
@pytest.mark.parametrize("margin", [0.0, 0.1, 0.25])
def test_the_longer_side_of_the_ink_fills_its_share_and_is_centred(seed, margin, resize):
    size, image = 128, scribble(seed)
    left, top, right, bottom = box_of(image)
    spec = Preprocess(size=size, resize=resize, ink_margin=margin, interpolation="box")
    result = spec.resize_image(image, sketch=True)
    found = (spec.to_image_pixels(np.array([[0.0, 0], [size - 1, size - 1]]), image) + 0.5).ravel()
    sides = np.array([right - left, bottom - top])
    scale = (size - 1) / (found[2:] - found[:2])
    assert np.abs(scale / scale.max() - 1).max() < 0.06  # the aspect is kept but for rounding to whole pixels
    share = (sides * scale).max() / size
    assert abs(share - min(1 - 2 * margin, sides.max() / (sides.max() + 4))) < 0.02
    low, high = box_of(result, 250).reshape(2, 2)
    assert (np.abs((low + high) / 2 - size / 2) <= 1.0).all()
    assert np.array_equal(spec(image, sketch=True), spec.normalize(result))


def test_the_place_on_the_sheet_and_its_scale_no_longer_matter(seed):
    image = scribble(seed)
    x0, y0, x1, y1 = box_of(image)
    ink = image[y0:y1, x0:x1]
    spec = Preprocess(size=64, ink_margin=0.1)
    expected = spec.resize_image(image, sketch=True)
    corner = np.full((700, 500, 3), 255, np.uint8)
    corner[: y1 - y0, 500 - (x1 - x0) :] = ink
    assert np.array_equal(spec.resize_image(corner, sketch=True), expected)
    assert np.array_equal(spec.resize_image(ink.copy(), sketch=True), expected)
    large = np.repeat(np.repeat(image, 3, axis=0), 3, axis=1)
    found = spec.resize_image(large, sketch=True)
    assert np.abs(box_of(found, 250) - box_of(expected, 250)).max() <= 2


@pytest.mark.parametrize(
    "how", [{}, {"resize": "pad"}, {"ink_margin": 0.12}, {"ink_margin": 0.1, "homogeneous": True}]
)
def test_points_go_back_to_the_image(seed, how):
    """A dot is found where it was drawn, to within a pixel of the network's input."""
    random = np.random.default_rng(seed)
    image = np.full((200, 330, 3), 255, np.uint8)
    spots = np.stack([random.integers(20, 310, 3), random.integers(20, 180, 3)], 1)
    for x, y in spots:
        image[y - 6 : y + 7, x - 6 : x + 7] = 0
    spec = Preprocess(size=160, **how)
    result = spec.resize_image(image, sketch=True)[:, :, 0]
    ys, xs = np.nonzero(result < 128)
    back = spec.to_image_pixels(np.stack([xs, ys], 1)[None], image, sketch=True)[0]
    assert back.shape == (len(xs), 2) and back.dtype == np.float64
    pixel = np.abs(
        spec.to_image_pixels(np.array([1.0, 1]), image) - spec.to_image_pixels(np.array([0.0, 0]), image)
    )
    inside = (np.abs(back[:, None] - spots[None]) <= 6.5 + pixel).all(2)
    assert inside.any(1).all() and inside.any(0).all()


def test_photos_and_blank_sketches_are_as_before(seed):
    image = np.random.default_rng(seed).integers(0, 256, (50, 40, 3), np.uint8)
    plain, cropped = Preprocess(size=32), Preprocess(size=32, ink_margin=0.1)
    assert np.array_equal(cropped.resize_image(image, sketch=False), plain.resize_image(image))
    faint = np.full((50, 40, 3), INK_BELOW, np.uint8)
    assert np.array_equal(cropped.resize_image(faint, sketch=True), plain.resize_image(faint))
    corners = np.array([[-0.5, -0.5], [31.5, 31.5]])
    assert np.allclose(cropped.to_image_pixels(corners, faint), [[-0.5, -0.5], [39.5, 49.5]])


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (500, 2), (16, 16), (1, 2_000_000)])
def test_full_and_tiny_sketches(shape):
    for homogeneous in (False, True):
        spec = Preprocess(size=16, ink_margin=0.1, homogeneous=homogeneous and max(shape) < 1000)
        result = spec.resize_image(np.zeros((*shape, 3), np.uint8), sketch=True)
        assert result.shape == (16, 16, 3) and result.min() < 255 and result.max() == 255


def test_bad_values_are_named():
    for value in (-0.1, 0.5, float("nan"), True, "0.1"):
        with pytest.raises(ValueError, match="ink_margin must be None or a number"):
            Preprocess(ink_margin=value)
    spec, image = Preprocess(size=8, ink_margin=0.1), np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="sketch must be True or False with ink_margin preprocessing"):
        spec.resize_image(image)
    with pytest.raises(ValueError, match=r"points must have the shape \[\.\.\., 2\]"):
        spec.to_image_pixels(np.zeros((2, 3)), image)


def test_dictionary_and_files_from_before_the_key():
    spec = Preprocess(size=96, ink_margin=0.1)
    fields = json.loads(json.dumps(spec.to_dict()))
    assert Preprocess.from_dict(fields) == spec and fields["ink_margin"] == 0.1
    assert Preprocess.from_dict(json.loads(json.dumps(Preprocess(96).to_dict()))) == Preprocess(96)
    del fields["ink_margin"], fields["homogeneous"]
    assert Preprocess.from_dict(fields) == Preprocess(size=96)


def test_image_sets_keep_both(tmp_path, seed):
    Image.fromarray(scribble(seed)).save(tmp_path / "a.png")
    images = FileImageSet(tmp_path, ["a.png"], [0], ["a"], "sketch")
    plain, cropped = Preprocess(size=48), Preprocess(size=48, ink_margin=0.1)
    for spec in (plain, cropped):
        expected = spec.resize_image(images.load(0), sketch=True)
        assert np.array_equal(images.resized(48, spec, progress=False)[0], expected)
    other_mean = Preprocess(size=48, mean=(0.5,) * 3)
    assert images.resized(48, other_mean) is images.resized(48, plain)
