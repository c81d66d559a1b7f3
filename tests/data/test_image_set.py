"""ImageSet: labels, subsets, and everything decoded once into memory."""

import numpy as np
import pytest
from PIL import Image

from sketchfast.data import FileImageSet, ImageSet
from sketchfast.data import image_set as module
from sketchfast.runtime.preprocess import Preprocess


@pytest.fixture
def photos(tmp_path, seed):
    random = np.random.default_rng(seed)
    for i in range(12):
        Image.fromarray(random.integers(0, 255, (20 + i, 30, 3), np.uint8)).save(tmp_path / f"{i}.png")
    return FileImageSet(
        tmp_path, [f"{i}.png" for i in range(12)], [i % 3 for i in range(12)], list("abc"), "photo"
    )


def test_resized_equals_one_at_a_time_and_is_kept(photos, monkeypatch):
    spec = Preprocess(size=99, resize="pad", interpolation="bicubic")
    batch = photos.resized(16, spec, progress=False, threads=3)
    expected = Preprocess(size=16, resize="pad", interpolation="bicubic")
    assert batch.dtype == np.uint8 and batch.shape == (12, 16, 16, 3)
    assert all(np.array_equal(batch[i], expected.resize_image(photos.load(i))) for i in range(12))
    monkeypatch.setattr(FileImageSet, "load", None)
    assert photos.resized(16, spec) is batch
    assert np.array_equal(photos.subset([3, 3, 1]).resized(16, spec), batch[[3, 3, 1]])


def test_subset(photos):
    part = photos.subset([5, 0, 5])
    assert (
        part.ids == ["5.png", "0.png", "5.png"]
        and part.labels.tolist() == [2, 0, 2]
        and part.names == photos.names
    )
    assert np.array_equal(part.load(1), photos.load(0)) and part.paths[0] == photos.paths[5]
    with pytest.raises(ValueError, match=r"indices must be 0\.\.11"):
        photos.subset([12])


def test_subset_of_a_set_that_is_not_files():
    class Squares(ImageSet):
        def load(self, i):
            return np.full((8, 8, 3), i, np.uint8)

    squares = Squares(["x"], [0] * 5, list("abcde"), "sketch")
    nested = squares.subset([4, 2, 1]).subset([2, 0])
    assert nested.ids == ["b", "e"] and nested.load(1)[0, 0, 0] == 4
    assert nested.resized(4, progress=False)[:, 0, 0, 0].tolist() == [1, 4]


def test_every_undecodable_file_is_named_up_to_twenty(tmp_path):
    for i in range(30):
        (tmp_path / f"bad{i:02d}.png").write_bytes(b"no picture")
    Image.new("RGB", (4, 4)).save(tmp_path / "good.png")
    ids = [f"bad{i:02d}.png" for i in range(30)] + ["good.png"]
    with pytest.raises(ValueError, match="30 of 31 photos cannot be decoded") as error:
        FileImageSet(tmp_path, ids, [0] * 31, ["x"], "photo").resized(8, progress=False)
    named = [name for name in ids if name in str(error.value)]
    assert named == ids[:20] and "and 10 more" in str(error.value)


def test_too_large_for_memory_is_said_before_work(photos, monkeypatch):
    monkeypatch.setattr(module.FileImageSet, "load", lambda self, i: pytest.fail("decoded"))
    with pytest.raises(MemoryError, match=r"12 photos of 1000000 pixels need .* GiB"):
        photos.resized(1_000_000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a"], [0, 1], ["x", "y"], "photo"), r"labels must be 0\.\.0 .* got 1 for y"),
        ((["a"], [0], ["x", "y"], "photo"), "one length, got 1 and 2"),
        ((["a"], [0], ["x"], "video"), "modality must be one of"),
    ],
)
def test_parts_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        ImageSet(*arguments)
