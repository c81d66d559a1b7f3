"""Batches for paper 4: complete epochs, the same whatever the processes or restarts, mirrored together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sketchfast.data import PairedSet
from sketchfast.data.augmentation import Augmentation
from sketchfast.data.image_set import ImageSet
from sketchfast.data.photo_batches import (
    JointBatches,
    PhotoBatches,
    StrokeBatches,
    augment_labelled,
    augment_photos,
    augment_strokes,
)
from sketchfast.data.qmul_strokes import StrokeSketches
from sketchfast.data.stroke_sets import SketchSequences
from sketchfast.runtime.preprocess import Preprocess

SIZE = 8
PREPROCESS = Preprocess(size=SIZE)
PLAIN = Augmentation(chance=0.0)
MIRROR = Augmentation(chance=0.5, scale=(1.0, 1.0), rotation=0.0, shift=0.0)


class Numbered(ImageSet):
    """Pictures whose left half tells which item they are."""

    def load(self, i: int) -> np.ndarray:
        picture = np.full((SIZE, SIZE, 3), 255, np.uint8)
        picture[:, : SIZE // 2] = i
        return picture


def numbered(count: int, modality: str = "photo") -> Numbered:
    return Numbered(["shoe"], [0] * count, [f"{modality}{i}" for i in range(count)], modality)


def random_pairs(seed: int, photos: int = 9) -> tuple[PairedSet, SketchSequences]:
    """1 to 4 sketches a photo; sketch i starts at the left, by a different share of its width for each."""
    random = np.random.default_rng(seed)
    photo_of = random.permutation(np.repeat(np.arange(photos), random.integers(1, 5, photos)))
    drawings = []
    for _ in photo_of:
        x = np.concatenate([[0], random.uniform(10, 200, 3), [256]])
        drawings.append(np.column_stack([x, random.uniform(0, 256, 5), [0, 1, 0, 0, 1]]).astype(np.float32))
    ids = [f"sketch{i}" for i in range(len(photo_of))]
    strokes = StrokeSketches(drawings, ids, [0] * len(ids), ["shoe"])
    sequences = SketchSequences(strokes, max_points=8, progress=False)
    return PairedSet(numbered(len(ids), "sketch"), numbered(photos), photo_of), sequences


def sources(seed: int) -> dict:
    pairs, sequences = random_pairs(seed, photos=14)
    return {
        "photos": PhotoBatches(numbered(13), PREPROCESS, 4, seed, repeats=2),
        "strokes": StrokeBatches(sequences, pairs.photos, pairs.photo_of, PREPROCESS, 4, seed),
        "strokes alone": StrokeBatches(sequences, batch_size=4, seed=seed),
        "joint": JointBatches(pairs, numbered(21), PREPROCESS, 7, 4, seed, sequences),
    }


def leaves(batch: dict) -> dict[str, torch.Tensor]:
    flat = {}
    for name, value in batch.items():
        below = leaves(value) if isinstance(value, dict) else {"": value}
        flat |= {f"{name}/{key}": item for key, item in below.items()}
    return flat


def same(one: dict, other: dict) -> bool:
    one, other = leaves(one), leaves(other)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("kind", ["photos", "strokes", "strokes alone", "joint"])
def test_batches_depend_on_neither_processes_nor_restarts(seed: int, kind: str) -> None:
    source, again = sources(seed)[kind], sources(seed)[kind]
    whole = list(source.epoch(3))
    assert len(whole) == len(source.epoch(3)) >= 3
    resumed = again.epoch(3, start_step=2)
    assert len(resumed) == len(whole) - 2
    assert all(same(a, b) for a, b in zip(whole[2:], resumed, strict=True))
    halves = [list(again.epoch(3, rank, 2)) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        parts = [leaves(half[step]) for half in halves]
        for name, value in leaves(batch).items():
            torch.testing.assert_close(torch.cat([part[name] for part in parts]), value, rtol=0, atol=0)
    assert not same(whole[0], next(iter(source.epoch(4))))
    with pytest.raises(ValueError, match="batch_size=4 does not divide over 3 processes"):
        source.epoch(0, 0, 3)


def test_an_epoch_has_every_photo(seed: int) -> None:
    source = PhotoBatches(numbered(12), PREPROCESS, 4, seed)
    batches = list(source.epoch(1))
    assert sorted(torch.cat([batch["row"] for batch in batches]).tolist()) == list(range(12))
    for batch in batches:
        assert batch["photo"][:, 0, 0, 0].tolist() == batch["row"].tolist()
        assert augment_photos(batch, PLAIN, PREPROCESS).shape == (4, 3, SIZE, SIZE)


def test_sequences_come_with_their_photos_and_are_mirrored_with_them(seed: int) -> None:
    pairs, sequences = random_pairs(seed, photos=30)
    source = StrokeBatches(sequences, pairs.photos, pairs.photo_of, PREPROCESS, 16, seed)
    turned = 0
    for batch in source.epoch(0):
        rows = batch["row"].numpy()
        np.testing.assert_array_equal(batch["photo_row"], pairs.photo_of[rows])
        np.testing.assert_array_equal(batch["photo"][:, 0, 0, 0], pairs.photo_of[rows])
        np.testing.assert_array_equal(batch["stroke5"], sequences.stroke5[rows])
        photos, stroke5 = augment_strokes(batch, MIRROR, PREPROCESS)
        assert photos is not None
        # White is on the right of every photo as it was taken; every sketch starts left of its middle.
        flipped = photos[:, 0, 4, 0] > photos[:, 0, 4, -1]
        sign = 1 - 2 * flipped.float()
        torch.testing.assert_close(stroke5[..., 0], batch["stroke5"][..., 0] * sign[:, None])
        torch.testing.assert_close(stroke5[..., 1:], batch["stroke5"][..., 1:])
        assert (stroke5[:, 0, 0].sign() == -sign).all()
        turned += int(flipped.sum())
    assert 0 < turned < len(sequences)
    alone = next(iter(StrokeBatches(sequences, batch_size=4).epoch(0)))
    assert "photo" not in alone and augment_strokes(alone, MIRROR, None)[0] is None


def test_joint_batches(seed: int) -> None:
    pairs, sequences = random_pairs(seed)
    source = JointBatches(pairs, numbered(21), PREPROCESS, 12, 4, seed, sequences)
    labelled, unlabelled, sketches, flips = [], [], [], []
    for batch in source.epoch(2):
        own, other = batch["labelled"], batch["unlabelled"]
        rows = own["row"].numpy()
        np.testing.assert_array_equal(own["photo_row"], pairs.photo_of[rows])
        np.testing.assert_array_equal(own["sketch"][:, 0, 0, 0], rows)
        np.testing.assert_array_equal(own["photo"][:, 0, 0, 0], own["photo_row"])
        np.testing.assert_array_equal(other["photo"][:, 0, 0, 0], other["photo_row"])
        np.testing.assert_array_equal(own["stroke5"], sequences.stroke5[rows])
        assert len(set(own["photo_row"].tolist())) == len(set(other["photo_row"].tolist())) == 4
        labelled += own["photo_row"].tolist()
        unlabelled += other["photo_row"].tolist()
        sketches += rows.tolist()
        # All of a batch faces one way.
        images, photos, stroke5 = augment_labelled(own, MIRROR, PREPROCESS)
        assert stroke5 is not None
        right = [
            part[:, 0, 4, -1] > part[:, 0, 4, 0]
            for part in (photos, augment_photos(other, MIRROR, PREPROCESS))
        ]
        starts = stroke5[:, 0, 0] < 0
        assert len({*torch.cat([*right, starts]).tolist()}) == 1 and images.shape == photos.shape
        flips.append(bool(starts[0]))
    # Two batches go through 8 of 9 labelled photos, five through 20 of 21 unlabelled ones.
    assert all(len(set(labelled[i : i + 8])) == 8 for i in range(0, len(labelled), 8))
    assert all(len(set(unlabelled[i : i + 20])) == 20 for i in range(0, 40, 20))
    assert len(flips) == 12 and set(sketches) <= set(range(len(pairs)))


def test_fewer_labelled_photos_than_a_batch(seed: int) -> None:
    pairs, _ = random_pairs(seed, photos=3)
    batches = list(JointBatches(pairs, numbered(21), PREPROCESS, 6, 4, seed).epoch(0))
    rows = torch.cat([batch["labelled"]["photo_row"] for batch in batches]).reshape(-1, 3)
    assert [sorted(turn.tolist()) for turn in rows] == [[0, 1, 2]] * 8
    assert "stroke5" not in batches[0]["labelled"]


def test_what_does_not_fit_is_named(seed: int) -> None:
    pairs, sequences = random_pairs(seed)
    with pytest.raises(ValueError, match="batch_size is 4, but there are only 3 photos"):
        PhotoBatches(numbered(3), PREPROCESS, 4)
    with pytest.raises(ValueError, match="photos, photo_of and preprocess go together"):
        StrokeBatches(sequences, pairs.photos, batch_size=4)
    with pytest.raises(ValueError, match=r"photo_of must be 0..8, got 0..9"):
        StrokeBatches(sequences, pairs.photos, np.r_[9, np.zeros(len(sequences) - 1, int)], PREPROCESS, 4)
    with pytest.raises(ValueError, match="photo_of must be whole numbers, one for each of"):
        StrokeBatches(sequences, pairs.photos, pairs.photo_of[1:], PREPROCESS, 4)
    with pytest.raises(ValueError, match="sequences must be those of the pairs'"):
        JointBatches(pairs, numbered(9), PREPROCESS, 2, 4, sequences=sequences.subset([0, 1]))
    with pytest.raises(ValueError, match="unlabelled must be at least two photos, got 0"):
        JointBatches(pairs, numbered(0), PREPROCESS, 2, 4)
    with pytest.raises(ValueError, match="at least two photos with sketches, found 1"):
        JointBatches(pairs.of_photos([0]), numbered(9), PREPROCESS, 2, 4)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        JointBatches(pairs, numbered(9), PREPROCESS, 0, 4)
