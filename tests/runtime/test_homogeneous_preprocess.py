"""Homogeneous preprocessing: centrelines at the network's size, for sketches alone, and old files as they were."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from sketchfast import numpy_ops
from sketchfast.data.image_set import FileImageSet
from sketchfast.data.pixels import Pixels
from sketchfast.runtime.preprocess import Preprocess


def zigzag(seed, width, side=512):
    """One connected line of any width, with soft edges."""
    random = np.random.default_rng(seed)
    points = np.stack([np.linspace(60, side - 60, 6), random.integers(60, side - 60, 6)], 1) * 2
    picture = Image.new("L", (2 * side, 2 * side), 255)
    ImageDraw.Draw(picture).line(points.ravel().tolist(), fill=0, width=2 * width, joint="curve")
    return np.repeat(np.array(picture.reduce(2))[:, :, None], 3, axis=2)


@pytest.mark.parametrize("resize", ["stretch", "pad"])
@pytest.mark.parametrize("size", [64, 224, 700])
def test_lines_are_one_pixel_wide_and_whole(seed, size, resize):
    spec = Preprocess(size=size, homogeneous=True, resize=resize)
    image = zigzag(seed, width=1 + seed % 9)[:, : 512 - 100 * (resize == "pad")]
    result = spec.resize_image(image, sketch=True)
    assert result.shape == (size, size, 3) and set(np.unique(result)) == {0, 255}
    ink = result[:, :, 0] == 0
    assert ndimage.label(ink, np.ones((3, 3)))[1] == ndimage.label(image[:, :, 0] < 208, np.ones((3, 3)))[1]
    assert np.array_equal(
        numpy_ops.homogeneous_transform(result[:, :, 0].copy()) == 0, ink
    )  # nothing left to thin
    assert np.array_equal(spec(image, sketch=True), spec.normalize(result))


def test_stroke_width_no_longer_matters(seed):
    thin, thick = zigzag(seed, 2), zigzag(seed, 14)
    plain, lines = Preprocess(size=128), Preprocess(size=128, homogeneous=True)
    ink = [
        (255.0 - spec.resize_image(image, sketch=True)).sum()
        for spec in (plain, lines)
        for image in (thin, thick)
    ]
    assert ink[1] > 3 * ink[0] and ink[3] < 1.3 * ink[2]


def test_photos_and_plain_preprocessing_are_as_before(seed):
    image = np.random.default_rng(seed).integers(0, 256, (50, 40, 3), np.uint8)
    plain, lines = Preprocess(size=32), Preprocess(size=32, homogeneous=True)
    for result in (lines.resize_image(image, sketch=False), plain.resize_image(image, sketch=True)):
        assert np.array_equal(result, plain.resize_image(image))
    with pytest.raises(ValueError, match="sketch must be True or False with homogeneous"):
        lines.resize_image(image)
    with pytest.raises(ValueError, match="homogeneous must be True or False, got 1"):
        Preprocess(homogeneous=1)


@pytest.mark.parametrize(("value", "inked"), [(255, 0), (0, 1)])
def test_blank_full_and_tiny_sketches(value, inked):
    spec = Preprocess(size=16, homogeneous=True)
    for shape in ((1, 1), (1, 40), (300, 2), (16, 16)):
        result = spec.resize_image(np.full((*shape, 3), value, np.uint8), sketch=True)
        assert (result == 0).any() == inked and (result == 255).any()


def test_dictionary_and_files_from_before_the_key():
    spec = Preprocess(size=96, homogeneous=True)
    fields = json.loads(json.dumps(spec.to_dict()))
    assert Preprocess.from_dict(fields) == spec and fields["homogeneous"] is True
    del fields["homogeneous"]
    assert Preprocess.from_dict(fields) == Preprocess(size=96)


def test_image_sets_thin_sketches_only(tmp_path, seed):
    names = [f"{i}.png" for i in range(4)]
    for i, name in enumerate(names):
        Image.fromarray(zigzag(seed + i, 5, side=128)).save(tmp_path / name)
    for modality in ("sketch", "photo"):
        images = FileImageSet(tmp_path, names, [0, 0, 1, 1], ["a", "b"], modality)
        plain, lines = Preprocess(size=48), Preprocess(size=48, homogeneous=True)
        kept, decoded = Pixels(images, lines), Pixels(images, lines, memory=0)
        order = np.array([2, 0, 2])
        want = np.stack([lines.resize_image(images.load(i), sketch=modality == "sketch") for i in order])
        assert np.array_equal(kept.take(order), want) and np.array_equal(decoded.take(order), want)
        same = np.array_equal(Pixels(images, plain).take(order), want)  # another key of the same set's memory
        assert same == (modality == "photo")
        assert np.array_equal(images.subset(order).resized(48, lines, progress=False), want)
