"""Sketches with their own photos: what a PairedSet keeps and refuses, and what an InstanceSplit promises."""

import re

import numpy as np
import pytest

from sketchfast.data import InstanceSplit, PairedSet
from sketchfast.data.image_set import ImageSet

NAMES = ["cat", "dog"]


def image_set(labels: list[int], modality: str, names: list[str] = NAMES, tag: str = "") -> ImageSet:
    return ImageSet(names, labels, [f"{tag}{modality}{i}" for i in range(len(labels))], modality)


def random_pairs(seed: int, names: list[str] = NAMES, tag: str = "") -> PairedSet:
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(len(names)), 6))
    of = np.concatenate([random.permutation(np.flatnonzero(labels == y))[:4] for y in range(len(names))])
    photo_of = random.permutation(np.concatenate([of, random.choice(of, 5)]))
    sketches = image_set(labels[photo_of].tolist(), "sketch", names, tag)
    return PairedSet(sketches, image_set(labels.tolist(), "photo", names, tag), photo_of)


def owners(pairs: PairedSet) -> dict[str, str]:
    """Sketch id -> id of its photo."""
    return {pairs.sketches.ids[i]: pairs.photos.ids[p] for i, p in enumerate(pairs.photo_of)}


def test_selections_keep_each_sketch_with_its_photo(seed: int) -> None:
    pairs = random_pairs(seed)
    whole = owners(pairs)
    rows = np.random.default_rng(seed).permutation(len(pairs))[:5]
    some = pairs.subset(rows)
    assert owners(some) == {pairs.sketches.ids[i]: whole[pairs.sketches.ids[i]] for i in rows}
    assert some.photos is pairs.photos
    photos = np.random.default_rng(seed + 1).permutation(len(pairs.photos))[:7]
    few = pairs.of_photos(photos)
    kept = {pairs.photos.ids[p] for p in photos}
    assert few.photos.ids == [pairs.photos.ids[p] for p in photos]
    assert owners(few) == {sketch: photo for sketch, photo in whole.items() if photo in kept}
    dogs = pairs.of_classes([1])
    assert dogs.names == NAMES and set(dogs.photos.labels) == {1} and len(dogs.photos) == 6
    assert owners(dogs) == {s: p for s, p in whole.items() if p in dogs.photos.ids}
    sketches, gallery = pairs.of_class(1)
    assert [pairs.sketches.ids[i] for i in sketches] == dogs.sketches.ids
    assert [pairs.photos.ids[i] for i in gallery] == dogs.photos.ids
    assert {pairs.photos.ids[i] for i in pairs.drawn} == set(whole.values())


def test_joined_sets_unite_their_names(seed: int) -> None:
    one, other = random_pairs(seed), random_pairs(seed + 1, ["dog", "cow"], "more ")
    both = one.joined(other)
    assert both.names == ["cat", "dog", "cow"]
    assert owners(both) == owners(one) | owners(other)
    for part in (one, other):
        for images in (part.sketches, part.photos):
            united = both.sketches if images.modality == "sketch" else both.photos
            for item, label in zip(images.ids, images.labels, strict=True):
                assert both.names[united.labels[united.ids.index(item)]] == images.names[label]


@pytest.mark.parametrize(
    ("sketches", "photos", "photo_of", "message"),
    [
        ([0, 1], [0, 1], [0], "one entry a sketch, got 1 for 2"),
        ([0, 1], [0, 0], [0, 1], "1 classes have sketches, but no photo to search: dog"),
        ([0, 1], [0, 1], [0, 2], "0..1 for 2 photos, got 2 for sketch sketch1"),
        ([0, 1], [0, 1], [0, -1], "got -1 for sketch sketch1"),
        ([0, 1], [0, 1], [1, 1], "sketch0 is 'cat', photo1 is 'dog'"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(sketches, photos, photo_of, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        PairedSet(image_set(sketches, "sketch"), image_set(photos, "photo"), photo_of)


def test_positions_that_are_no_whole_numbers_are_refused() -> None:
    with pytest.raises(TypeError, match="photo_of must be whole numbers, positions in photos, got float64"):
        PairedSet(image_set([0, 1], "sketch"), image_set([0, 1], "photo"), np.array([0.0, 1.9]))


def test_other_names_modalities_and_repeated_photos_are_refused() -> None:
    photos = image_set([0, 1], "photo")
    with pytest.raises(ValueError, match="same class names"):
        PairedSet(image_set([0], "sketch", ["cat", "cow"]), photos, [0])
    with pytest.raises(ValueError, match="photo side must be photo images"):
        PairedSet(image_set([0], "sketch"), image_set([0], "sketch"), [0])
    with pytest.raises(ValueError, match="one twice"):
        PairedSet(image_set([0], "sketch"), photos, [0]).of_photos([1, 1])


def test_a_split_keeps_seen_and_unseen_apart(seed: int) -> None:
    train, test = random_pairs(seed), random_pairs(seed, ["cow", "pig"], "test ")
    split = InstanceSplit("a task", "folder", train, test)
    assert (split.seen_names, split.unseen_names) == (["cat", "dog"], ["cow", "pig"])
    assert "2 seen and 2 unseen classes" in split.summary() and "held out" not in split.summary()
    both = random_pairs(seed, ["dog", "cow"], "test ")
    with pytest.raises(ValueError, match="1 classes are both seen and unseen: dog"):
        InstanceSplit("a task", "folder", train, both)
    InstanceSplit("a task", "folder", train, both, shared_classes=True)
    with pytest.raises(ValueError, match="in train and in test"):
        InstanceSplit("a task", "folder", train, random_pairs(seed, ["cow", "pig"]))
    with pytest.raises(ValueError, match="held_out must have the class names"):
        InstanceSplit("a task", "folder", train, test, held_out=random_pairs(seed, ["cat"], "held "))
    with pytest.raises(ValueError, match="train has no sketches"):
        InstanceSplit("a task", "folder", train.subset([]), test)
    with pytest.raises(ValueError, match="1 unseen classes have no sketch to search with: pig"):
        InstanceSplit("a task", "folder", train, test.subset(test.of_class(0)[0]))


def test_target_half_is_half_of_the_photos_of_each_class_with_all_their_sketches(seed: int) -> None:
    test = random_pairs(seed, ["cow", "pig"], "test ")
    split = InstanceSplit("a task", "folder", random_pairs(seed), test)
    half = split.target_half(seed)
    for drawn in (True, False):  # each kind is halved, the smaller half of an odd number
        of_kind = [np.isin(np.arange(len(pairs.photos)), pairs.drawn) == drawn for pairs in (test, half)]
        there, taken = (
            np.bincount(pairs.photos.labels[kind], minlength=2) for pairs, kind in zip((test, half), of_kind)
        )
        assert taken.tolist() == (there // 2).tolist()
    assert owners(half) == {s: p for s, p in owners(test).items() if p in half.photos.ids}
    assert split.target_half(seed).photos.ids == half.photos.ids
    assert len({tuple(split.target_half(i).photos.ids) for i in range(20)}) > 1
