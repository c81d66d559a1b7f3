"""Groups of one category with own photos first, and an order that neither processes nor restarts change."""

import numpy as np
import pytest
import torch

from sketchfast.data import PairedSet
from sketchfast.data.augmentation import Augmentation
from sketchfast.data.image_set import ImageSet
from sketchfast.data.instance_batches import InstanceBatches, augment_instances
from sketchfast.runtime.preprocess import Preprocess

SIZE = 8
PREPROCESS = Preprocess(size=SIZE)


class Numbered(ImageSet):
    """Pictures that tell which item they are; sketches have ink on the left alone."""

    def load(self, i: int) -> np.ndarray:
        picture = np.full((SIZE, SIZE, 3), 255 if self.modality == "sketch" else 128, np.uint8)
        picture[:, : SIZE // 2] = i
        return picture


def random_pairs(seed: int, classes: int = 4, most: int = 6) -> PairedSet:
    """Each class: 3..most drawn photos with 1..4 sketches each, and up to 3 photos that nobody drew."""
    random = np.random.default_rng(seed)
    labels: list[int] = []
    photo_of: list[int] = []
    for label in range(classes):
        for _ in range(random.integers(3, most + 1)):
            photo_of += [len(labels)] * int(random.integers(1, 5))
            labels.append(label)
        labels += [label] * int(random.integers(0, 4))
    names = [f"class {y}" for y in range(classes)]
    of = random.permutation(photo_of)
    photos = Numbered(names, labels, [f"p{i}" for i in range(len(labels))], "photo")
    return PairedSet(
        Numbered(names, np.array(labels)[of], [f"s{i}" for i in range(len(of))], "sketch"), photos, of
    )


def batches(source: InstanceBatches, *place: int, **options) -> list[dict[str, torch.Tensor]]:
    return list(source.epoch(*place, **options))


def most_groups(counts: np.ndarray, group: int) -> int:
    """How many groups of different photos there can be: n, if each photo, at most n times, fills n of them."""
    return max(n for n in range(counts.sum() + 1) if np.minimum(counts, n).sum() >= group * n)


@pytest.mark.parametrize(("group", "distractors"), [(2, 0), (2, 2), (3, 1), (1, 2)])
def test_groups_are_of_one_category_own_photos_first(seed: int, group: int, distractors: int) -> None:
    pairs = random_pairs(seed)
    source = InstanceBatches(pairs, PREPROCESS, 2 * group, seed, group=group, distractors=distractors)
    seen = []
    for batch in batches(source, 3):
        rows = batch["row"].numpy().reshape(-1, group)
        photos = batch["photo_row"].numpy().reshape(-1, group + distractors)
        assert len(rows) == len(photos) == 2
        np.testing.assert_array_equal(batch["label"].numpy(), pairs.sketches.labels[rows.ravel()])
        for own, shown in zip(rows, photos, strict=True):
            assert len(set(pairs.sketches.labels[own]) | set(pairs.photos.labels[shown])) == 1
            assert shown[:group].tolist() == pairs.photo_of[own].tolist()
            # Every photo of a group but the own one is another photo: each can be a negative.
            assert len(set(shown)) == group + distractors
            label = pairs.photos.labels[shown[0]]
            free = set(pairs.of_class(label)[1]) - set(pairs.drawn)
            assert len(free & set(shown[group:])) == min(len(free), distractors)
        # The pictures are those of the rows.
        assert batch["sketch"][:, 0, 0, 0].tolist() == rows.ravel().tolist()
        assert batch["photo"][:, 0, 0, 0].tolist() == photos.ravel().tolist()
        assert batch["uniforms"].shape == (rows.size + photos.size, 16)
        seen += rows.ravel().tolist()
    assert len(set(seen)) == len(seen)
    possible = sum(
        most_groups(np.unique(pairs.photo_of[pairs.of_class(y)[0]], return_counts=True)[1], group)
        for y in source.labels
    )
    assert len(seen) == possible // 2 * 2 * group


def test_the_order_follows_from_seed_and_epoch_alone(seed: int) -> None:
    pairs = random_pairs(seed, classes=5)
    source = InstanceBatches(pairs, PREPROCESS, 4, seed, distractors=1, repeats=2)
    whole = batches(source, 7)
    assert [len(source.epoch(e)) for e in range(5)] == [len(whole)] * 5
    rows = [batch["row"].tolist() for batch in whole]
    assert rows != [batch["row"].tolist() for batch in batches(source, 8)]
    assert sorted(np.bincount(np.ravel(rows)))[-1] == 2  # repeats
    other = InstanceBatches(pairs, PREPROCESS, 4, seed + 1, distractors=1, repeats=2)
    assert rows != [batch["row"].tolist() for batch in batches(other, 7)]
    fresh = InstanceBatches(pairs, PREPROCESS, 4, seed, distractors=1, repeats=2, memory=0)
    for first, second in zip(whole[2:], batches(fresh, 7, 0, 1, 2), strict=True):
        assert first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)
    for first, *parts in zip(whole, *(batches(fresh, 7, rank, 2) for rank in range(2)), strict=True):
        for key in ("sketch", "photo", "row", "photo_row", "label"):
            assert torch.equal(first[key], torch.cat([part[key] for part in parts]))
        of_sketches = torch.cat([part["uniforms"][:2] for part in parts])
        of_photos = torch.cat([part["uniforms"][2:] for part in parts])
        assert torch.equal(first["uniforms"], torch.cat([of_sketches, of_photos]))


def test_an_epoch_of_some_classes(seed: int) -> None:
    source = InstanceBatches(random_pairs(seed, classes=5), PREPROCESS, 2, seed)
    some = batches(source, 1, classes=[1, 3])
    assert {label for batch in some for label in batch["label"].tolist()} == {1, 3}
    assert [b["row"].tolist() for b in some] == [
        b["row"].tolist() for b in batches(source, 1, classes=[3, 1])
    ]
    with pytest.raises(ValueError, match=r"classes must be among the labels that are trained on, got \[5\]"):
        source.epoch(0, classes=[1, 5])


def test_categories_too_small_for_a_group_are_left_out_and_named() -> None:
    names = ["one", "two", "three"]
    photos = Numbered(names, [0, 0, 1, 1, 1, 2, 2, 2], list("abcdefgh"), "photo")
    of = np.array([0, 0, 0, 2, 3, 3, 5, 6, 7])
    pairs = PairedSet(Numbered(names, photos.labels[of], list("ijklmnopq"), "sketch"), photos, of)
    source = InstanceBatches(pairs, PREPROCESS, 2)
    assert source.left_out == ["one"] and source.labels.tolist() == [1, 2]
    assert "1 of 3 categories are not trained on" in source.notes[0] and source.notes[0].endswith(
        "in all: one"
    )
    assert InstanceBatches(pairs, PREPROCESS, 3, group=3).left_out == ["one", "two"]
    assert InstanceBatches(pairs, PREPROCESS, 2, group=1, distractors=1).notes == []
    with pytest.raises(
        ValueError, match="no category has 4 drawn photos and 4 in all; the largest has 3 drawn and 3"
    ):
        InstanceBatches(pairs, PREPROCESS, 4, group=4)
    with pytest.raises(ValueError, match="no category has 2 drawn photos and 4 in all"):
        InstanceBatches(pairs, PREPROCESS, 2, distractors=2)
    with pytest.raises(ValueError, match="batch_size is 8, but an epoch has only 2 groups of 2"):
        InstanceBatches(pairs, PREPROCESS, 8)
    with pytest.raises(ValueError, match="batch_size=3 sketches do not divide into groups of 2"):
        InstanceBatches(pairs, PREPROCESS, 3)
    with pytest.raises(ValueError, match="group=1 without distractors"):
        InstanceBatches(pairs, PREPROCESS, 2, group=1)
    with pytest.raises(
        ValueError, match="batch_size=4 sketches in groups of 2 do not divide over 4 processes"
    ):
        InstanceBatches(pairs, PREPROCESS, 4).epoch(0, 0, 4)


def test_a_group_is_mirrored_as_a_whole(seed: int) -> None:
    """Nothing but mirroring: every picture is itself or its mirror image, as its group is."""
    source = InstanceBatches(random_pairs(seed, classes=12), PREPROCESS, 16, seed, distractors=1)
    how = Augmentation(scale=(1.0, 1.0), rotation=0.0, shift=0.0)
    batch = batches(source, 0)[0]
    plain = augment_instances(batch, Augmentation(chance=0.0), PREPROCESS, 2)
    sketches, photos, mirrored = augment_instances(batch, how, PREPROCESS, 2)
    assert not plain[2].any() and mirrored.shape == (16,)
    assert torch.equal(mirrored[0::2], mirrored[1::2])
    assert torch.equal(mirrored[0::2], batch["uniforms"][:16:2, 0] < 0.5)
    for images, before, each in ((sketches, plain[0], 2), (photos, plain[1], 3)):
        flipped = mirrored[::2].repeat_interleave(each)[:, None, None, None]
        torch.testing.assert_close(images, torch.where(flipped, before.flip(3), before), atol=1e-5, rtol=1e-5)
    assert not augment_instances(batch, Augmentation(flip=False), PREPROCESS, 2)[2].any()


@pytest.mark.parametrize("together", [True, False])
def test_own_photos_move_with_their_sketch_where_asked(seed: int, together: bool) -> None:
    """Photos with the sketches' pixels: the own one equals its sketch after moving alike, a distractor does not."""
    source = InstanceBatches(random_pairs(seed, classes=12), PREPROCESS, 16, seed, distractors=1)
    batch = batches(source, 0)[0]
    ramp = torch.arange(SIZE * SIZE).reshape(1, SIZE, SIZE, 1).expand(-1, -1, -1, 3).to(torch.uint8)
    batch["sketch"], batch["photo"] = ramp.expand(16, -1, -1, -1), ramp.expand(24, -1, -1, -1)
    how = Augmentation(chance=1.0, scale=(0.5, 0.7), rotation=40.0, shift=0.0, pair_together=together)
    sketches, photos, _ = augment_instances(batch, how, PREPROCESS, 2)
    photos = photos.unflatten(0, (8, 3))
    middle = slice(
        SIZE // 2 - 1, SIZE // 2 + 1
    )  # within what shrinking leaves, where padding does not matter
    apart = (sketches.unflatten(0, (8, 2)) - photos[:, :2])[..., middle, middle].abs().amax(dim=(2, 3, 4))
    assert (apart < 1e-5).all() if together else (apart > 1e-3).any()
    assert ((photos[:, 0] - photos[:, 2])[..., middle, middle].abs().amax(dim=(1, 2, 3)) > 1e-4).any()
