"""Batches of photos with their sketches: every one once an epoch, its own sketches beside it, the same for any processes."""

import numpy as np
import pytest
import torch

from sketchfast.data.image_set import ImageSet
from sketchfast.data.instances import PairedSet
from sketchfast.data.picture_pairs import PicturePairs, picture_inputs
from sketchfast.runtime.preprocess import Preprocess

PHOTO_OF = np.array([3, 0, 1, 3, 0, 3, 4])  # nobody drew photo 2


class Numbers(ImageSet):
    """Picture i is of the level 10 i, and of 10 i + 1 in its left half."""

    def __init__(self, modality: str, count: int) -> None:
        super().__init__(["thing"], [0] * count, [str(i) for i in range(count)], modality)

    def load(self, i: int) -> np.ndarray:
        picture = np.full((8, 8, 3), 10 * i, np.uint8)
        picture[:, :4] += 1
        return picture


def source(seed: int = 0, batch_size: int = 2, **options: bool) -> PicturePairs:
    pairs = PairedSet(Numbers("sketch", 7), Numbers("photo", 5), PHOTO_OF)
    return PicturePairs(pairs, Preprocess(8), batch_size, seed, **options)


def served(batches: object) -> list[tuple[int, list[int], bool]]:
    """(photo, its sketches, mirrored) in the order served."""
    found = []
    for batch in batches:  # type: ignore[attr-defined]
        photos, sketches = picture_inputs(batch)
        assert photos.shape[1:] == (3, 8, 8) and sketches.shape[1:] == (1, 8, 8)
        levels = [(values[:, 0] + 1) * 127.5 for values in (photos, sketches)]
        # Whichever side is brighter by one was on the left.
        left = [[bool(picture[0, 0] > picture[0, -1]) for picture in side] for side in levels]
        number = [[int((picture.min() / 10).round()) for picture in side] for side in levels]
        for i, photo in enumerate(number[0]):
            mine = [k for k in range(len(number[1])) if batch["owner"][k] == i]
            assert {left[1][k] for k in mine} == {left[0][i]} == {not batch["mirrored"][i]}
            found.append((photo, [number[1][k] for k in mine], bool(batch["mirrored"][i])))
    return found


def test_every_sketch_once_with_its_photo(seed: int) -> None:
    found = served(source(seed, 1).epoch(0))
    assert sorted(sketches[0] for _, sketches, _ in found) == list(range(7))
    assert all(photo == PHOTO_OF[sketches[0]] and len(sketches) == 1 for photo, sketches, _ in found)
    together = served(source(seed, 1, together=True).epoch(0))
    assert {photo: sketches for photo, sketches, _ in together} == {0: [1, 4], 1: [2], 3: [0, 3, 5], 4: [6]}
    assert not any(mirrored for _, _, mirrored in served(source(seed, 1, flip=False).epoch(0)))
    assert {mirrored for epoch in range(9) for _, _, mirrored in served(source(seed, 1).epoch(epoch))} == {
        False,
        True,
    }


@pytest.mark.parametrize("together", [False, True])
def test_batches_depend_on_seed_and_epoch_alone(together: bool, seed: int) -> None:
    pairs = source(seed, together=together)
    whole = served(pairs.epoch(2))
    assert served(source(seed, together=together).epoch(2)) == whole
    assert served(pairs.epoch(2, start_step=1)) == whole[2:]
    ranks = [served(pairs.epoch(2, rank, 2)) for rank in range(2)]
    assert [item for step in zip(*ranks, strict=True) for item in step] == whole
    assert len(pairs.epoch(2)) == (2 if together else 3) and len(pairs.epoch(2, start_step=9)) == 0
    taken = pairs.take(np.array([1]))
    assert not taken["mirrored"].any() and torch.equal(taken["owner"], torch.zeros_like(taken["owner"]))


def test_errors_name_the_argument() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        source(batch_size=0)
    with pytest.raises(ValueError, match="batch_size is 8, but there are only 7 sketches"):
        source(batch_size=8)
    with pytest.raises(ValueError, match="batch_size is 5, but there are only 4 drawn photos"):
        source(batch_size=5, together=True)
    with pytest.raises(ValueError, match="batch_size=2 does not divide over 3 processes"):
        source().epoch(0, 0, 3)
