"""Edge maps of photos: thin lines where the photo has edges, precomputed maps in either polarity, and their place in splits."""

import numpy as np
import pytest
from PIL import Image

from sketchfast.data import FileImageSet, load_classification
from sketchfast.data.edge_maps import EdgeMaps, canny_map


def disc(side=96, ground=90, level=190, noise=0, seed=0):
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    grey = np.where(np.hypot(x, y) < side * 0.3, float(level), float(ground))
    grey += np.random.default_rng(seed).normal(0, noise, grey.shape) if noise else 0
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("side", [64, 96, 256, 400])
def test_a_disc_becomes_its_thin_outline(seed, side):
    image = canny_map(disc(side, noise=2, seed=seed))
    assert image.shape == (side, side, 3) and set(np.unique(image)) == {0, 255}
    ys, xs = np.nonzero(image[:, :, 0] == 0)
    distance = np.hypot(ys - (side - 1) / 2, xs - (side - 1) / 2) - side * 0.3
    assert np.abs(distance).max() < 2.5 and 0.8 < len(ys) / (2 * np.pi * side * 0.3) < 1.3
    ink = image[:, :, 0] == 0
    blocks = ink[1:, 1:] & ink[1:, :-1] & ink[:-1, 1:] & ink[:-1, :-1]
    assert blocks.sum() <= 0.05 * ink.sum()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (40, 2), (64, 48)])
def test_photos_without_edges_are_blank(seed, shape):
    for level in (0, 127, 255):
        assert canny_map(np.full((*shape, 3), level, np.uint8)).min() == 255
    shading = np.linspace(100, 110, shape[1])[None, :, None].repeat(shape[0], 0).repeat(3, 2)
    assert canny_map(shading.astype(np.uint8)).min() == 255
    with pytest.raises(ValueError, match=r"photo must be uint8 \[H, W, 3\]"):
        canny_map(np.zeros(shape, np.uint8))


@pytest.fixture
def photos(tmp_path, seed):
    (tmp_path / "photo/Alarm clock").mkdir(parents=True)
    for k in range(4):
        Image.fromarray(disc(64, noise=3, seed=seed + k)).save(tmp_path / f"photo/Alarm clock/p{k}.jpg")
    return FileImageSet(
        tmp_path, [f"photo/Alarm clock/p{k}.jpg" for k in range(4)], [0] * 4, ["Alarm clock"], "photo"
    )


def test_they_stand_for_the_photos_as_sketches(photos):
    maps = EdgeMaps(photos)
    assert maps.modality == "sketch" and maps.ids == photos.ids and maps.names == photos.names
    assert np.array_equal(maps.load(2), canny_map(photos.load(2)))
    assert np.array_equal(maps.subset([3, 0]).load(0), maps.load(3))
    with pytest.raises(ValueError, match="photos must be a set of photos"):
        EdgeMaps(maps)
    with pytest.raises(ValueError, match="sigma must be"):
        EdgeMaps(photos, sigma=0)


@pytest.mark.parametrize("inverted", [False, True])
def test_maps_from_a_folder_become_dark_on_light(photos, tmp_path, inverted):
    place = tmp_path / "hed/alarm_clock"
    place.mkdir(parents=True)
    line = np.full((40, 50), 255, np.uint8)
    line[20, 5:45] = 0
    for k in range(4):
        Image.fromarray(255 - line if inverted else line).save(place / f"p{k}.png")
    maps = EdgeMaps(photos, tmp_path / "hed")
    assert np.array_equal(maps.load(1)[:, :, 0], line)
    (place / "p2.png").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"lacks the edge maps of 1 of 4 photos, e\.g\. of photo/Alarm clock/p2"
    ):
        EdgeMaps(photos, tmp_path / "hed")
    place.rename(tmp_path / "hed/other")
    with pytest.raises(FileNotFoundError, match="folder of edge maps for 1 of 1 classes: Alarm clock"):
        EdgeMaps(photos, tmp_path / "hed")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        EdgeMaps(photos, tmp_path / "none")


def test_sketchy_trains_on_photos_that_no_test_sketch_was_drawn_from(tmp_path, seed):
    for name in ("cat", "dog"):
        for what in ("sketch", "photo"):
            (tmp_path / what / name).mkdir(parents=True)
        for k in range(8):
            Image.fromarray(disc(48, noise=3, seed=seed + k)).save(tmp_path / f"photo/{name}/n0_{k}.jpg")
            Image.fromarray(disc(48, ground=255, level=0)).save(tmp_path / f"sketch/{name}/n0_{k}-2.png")
    options = {"query_per_class": 2, "validation_per_class": 1}
    split = load_classification("sketchy", tmp_path, seed=seed, photos="canny", **options)
    held = {
        item.split("-")[0].split("/", 1)[1] for part in (split.validation, split.test) for item in part.ids
    }
    trained = {item.removesuffix(".jpg").split("/", 1)[1] for item in split.train_photos.ids}
    assert len(held) == 6 and len(split.photos) == 16 and len(trained) == 10 and not held & trained
    split.save(tmp_path / "split.json")
    again = load_classification("sketchy", tmp_path, split_file=tmp_path / "split.json", photos="canny")
    assert again.to_dict()["parts"] == split.to_dict()["parts"] and len(again.notes) == len(split.notes) + 1
    assert load_classification("sketchy", tmp_path, split_file=tmp_path / "split.json").photos is None
