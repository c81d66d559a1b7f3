"""sketchify, and Pascal-Part through it: small MATLAB files made here."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from sketchfast.data import load_parts
from sketchfast.data.check import check
from sketchfast.data.part_tables import PARTS
from sketchfast.data.pascal_part import PascalPartSet, load_pascal_part, read_objects
from sketchfast.data.sketchify import part_contours, sketchify
from sketchfast.data.synthetic import instance


def test_contours_are_the_object_side_of_every_boundary() -> None:
    labels = np.zeros((8, 9), np.uint8)
    labels[1:7, 2:8] = 1
    labels[3:7, 4:6] = 2
    expected = np.zeros((8, 9), bool)
    expected[1:7, 2:8] = True
    expected[2:6, 3:7] = False
    expected[3:7, 4:6] = True  # two pixels wide: all boundary
    assert np.array_equal(part_contours(labels), expected)
    assert np.array_equal(
        part_contours(np.ones((3, 3), np.uint8)), np.pad([[False]], 1, constant_values=True)
    )


def test_edges_come_from_inside_the_object_only() -> None:
    photo = np.full((80, 80, 3), 200, np.uint8)
    photo[:, :20] = 0  # an edge of the background
    photo[30:50, 40:60] = 20  # an edge of the object
    parts = np.zeros((80, 80), np.uint8)
    parts[15:70, 25:75] = 2
    sketch = sketchify(photo, parts)
    assert sketch.dtype == np.uint8 and set(np.unique(sketch)) == {0, 255}
    ink = sketch == 0
    assert not (ink & (parts == 0)).any()
    assert (ink[parts == 2] >= part_contours(parts)[parts == 2]).all()
    inner = ink & ~part_contours(parts)
    y, x = np.nonzero(inner)
    assert len(y) > 50 and y.min() >= 27 and y.max() <= 53 and x.min() >= 37 and x.max() <= 63
    grey = sketchify(photo[..., 0], parts)
    assert (grey != sketch).mean() < 0.01


def test_ignored_and_empty_masks() -> None:
    photo = np.random.default_rng(0).integers(0, 255, (30, 40), np.uint8)
    assert (sketchify(photo, np.zeros((30, 40), np.uint8)) == 255).all()
    assert (sketchify(photo, np.full((30, 40), 255, np.uint8)) == 255).all()


def test_a_synthetic_photo_gives_a_sketch_with_its_outline(seed: int) -> None:
    thing = instance("dog", 1, seed)
    parts = thing.part_mask(160)
    ink = sketchify(thing.photo(160), parts) == 0
    assert part_contours(parts).sum() <= ink.sum() < 0.5 * (parts > 0).sum()


def test_bad_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, parts = np.zeros((6, 5, 3), np.uint8), np.ones((6, 5), np.uint8)
    with pytest.raises(TypeError, match="parts must be a numpy array of uint8, got int64"):
        sketchify(photo, parts.astype(np.int64))
    with pytest.raises(ValueError, match="parts must have the photo's 5 x 6 pixels, got 6 x 5"):
        sketchify(photo, parts.T.copy())
    with pytest.raises(
        ValueError, match=r"photo must have the shape \[H, W\] or \[H, W, 3\], got \[6, 5, 4\]"
    ):
        sketchify(np.zeros((6, 5, 4), np.uint8), parts)
    with pytest.raises(ValueError, match="expected sigma >= 0 and 0 <= low <= high <= 1"):
        sketchify(photo, parts, low=0.5, high=0.1)
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(ImportError, match=r"pip install sketchfast\[train\]"):
        sketchify(photo, parts)


def _box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros((60, 80), np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def _write(root: Path, image: str, objects: list[dict], shape: tuple[int, int] = (60, 80)) -> None:
    (root / "Annotations_Part").mkdir(parents=True, exist_ok=True)
    (root / "JPEGImages").mkdir(exist_ok=True)
    rows = []
    for one in objects:
        parts = np.empty((1, len(one["parts"])), dtype=[("part_name", "O"), ("mask", "O")])
        for k, (name, mask) in enumerate(one["parts"]):
            parts[0, k] = (name, mask)
        rows.append((one["class"], 1.0, one["mask"], parts if one["parts"] else np.zeros((0, 0))))
    dtype = [("class", "O"), ("class_ind", "O"), ("mask", "O"), ("parts", "O")]
    anno = np.empty((1, 1), dtype=[("imname", "O"), ("objects", "O")])
    anno[0, 0] = (image, np.array([rows], dtype=dtype))
    savemat(root / "Annotations_Part" / f"{image}.mat", {"anno": anno})
    noise = np.random.default_rng(1).integers(0, 255, (*shape, 3), np.uint8)
    Image.fromarray(noise).save(root / "JPEGImages" / f"{image}.jpg")


@pytest.fixture
def pascal(tmp_path: Path) -> Path:
    root = tmp_path / "VOC2010"
    bicycle = {
        "class": "bicycle",
        "mask": _box(10, 10, 50, 70),
        "parts": [("fwheel", _box(30, 10, 50, 30)), ("saddle", _box(12, 40, 16, 50))],
    }
    person = {"class": "person", "mask": _box(5, 30, 20, 60), "parts": [("hair", _box(5, 30, 8, 60))]}
    horse = {
        "class": "horse",
        "mask": _box(10, 10, 50, 70),
        "parts": [
            ("leye", _box(12, 12, 14, 14)),
            ("head", _box(10, 10, 30, 30)),
            ("lfho", _box(45, 15, 50, 20)),
        ],
    }
    plane = {"class": "aeroplane", "mask": _box(20, 5, 40, 75), "parts": [("lwing", _box(25, 30, 40, 40))]}
    bare = {"class": "dog", "mask": _box(20, 5, 50, 75), "parts": []}
    _write(root, "2008_000001", [bicycle, person])
    _write(root, "2008_000002", [horse, bare])
    _write(root, "2008_000003", [plane])
    return tmp_path


def test_pascal_part_objects_become_pairs(pascal: Path) -> None:
    split = load_parts("pascal-part", pascal, min_pixels=100, test_share=0.34)
    assert len(split.train) + len(split.test) == 3 and len(split.test) == 1
    assert "left out: 1 objects" in split.summary()
    everything = PascalPartSet(
        "all", pascal / "VOC2010", [1, 8, 0], [("2008_000001", 1), ("2008_000002", 1), ("2008_000003", 1)]
    )
    image, mask = everything.load(0)
    names = PARTS["bicycle"]
    # The person in front hides the saddle; the frame, which is no part in Pascal-Part, is body; the crop has a margin.
    assert set(np.unique(mask)) == {0, names.index("wheel") + 1, names.index("body") + 1}
    assert image.shape == mask.shape == (48, 68)
    assert ((image == 0) <= (mask > 0)).all()
    horse = everything.load(1)[1]
    # The dog in front leaves the upper part, with the head; the hooves are hidden.
    assert set(np.unique(horse)) == {0, 1, 2} and horse.shape[0] < 20
    photo, plane = everything.read_photo_and_mask(2)
    assert photo.shape[:2] == plane.shape and set(np.unique(plane)) == {0, 1, 5}


def test_pascal_part_trouble_is_named(pascal: Path) -> None:
    root = pascal / "VOC2010"
    assert check("Pascal-Part", pascal, progress=False).ok
    (root / "Annotations_Part" / "2008_000009.mat").write_bytes(b"no matlab file at all")
    with pytest.raises(ValueError, match=r"2008_000009.mat: expected a MATLAB file with anno.objects"):
        read_objects(root / "Annotations_Part" / "2008_000009.mat")
    _write(
        root,
        "2008_000004",
        [{"class": "cat", "mask": _box(9, 9, 40, 60), "parts": [("lhorn", _box(9, 9, 20, 20))]}],
    )
    _write(root, "2008_000005", [{"class": "cat", "mask": _box(9, 9, 40, 60), "parts": []}], shape=(50, 80))
    (root / "JPEGImages" / "2008_000003.jpg").unlink()
    text = str(check("pascal_part", pascal, progress=False))
    assert "missing photo: annotated, but not in JPEGImages: 2008_000003.jpg, 2008_000009.jpg" in text
    assert "found 'lhorn'" in text and "expected a MATLAB file" in text
    assert "2008_000005.mat: masks must have the photo's 80 x 50 pixels, found 80 x 60" in text
    with pytest.raises(FileNotFoundError, match="holds no Annotations_Part/ beside JPEGImages/"):
        load_pascal_part(root / "JPEGImages")
    with pytest.raises(ValueError, match="test_share must lie between 0 and 1"):
        load_pascal_part(root, test_share=1.0)
