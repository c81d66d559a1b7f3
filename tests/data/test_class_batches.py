"""Batches of sketches: what is drawn follows from seed, epoch and position; augmentation keeps lines whole and in the frame."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation, label

from sketchfast.data.class_batches import (
    NUM_UNIFORMS,
    ClassBatches,
    SketchAugmentation,
    _ink_box,
    augment_sketches,
)
from sketchfast.data.image_set import ImageSet
from sketchfast.data.pixels import normalize
from sketchfast.runtime.preprocess import INK_BELOW, Preprocess

SIZE = 48
PLAIN = Preprocess(size=SIZE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))  # network input = grey level / 255
FITTED = Preprocess(size=SIZE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), ink_margin=0.1)
OFF = SketchAugmentation(rotation=0.0, flip=False)


class Drawings(ImageSet):
    """Random lines that hang together, each drawing in a place of its own."""

    def __init__(self, count: int, seed: int, modality: str = "sketch") -> None:
        random = np.random.default_rng(seed)
        self.pictures = []
        for _ in range(count):
            picture = Image.new("L", (200, 160), 255)
            points = random.uniform((20, 10), (180, 150), (5, 2))
            ImageDraw.Draw(picture).line([tuple(point) for point in points], fill=0, width=5, joint="curve")
            self.pictures.append(np.repeat(np.array(picture)[:, :, None], 3, axis=2))
        ids = [f"drawing {i}" for i in range(count)]
        super().__init__(["a", "b", "c"], random.integers(0, 3, count), ids, modality)

    def load(self, i: int) -> np.ndarray:
        return self.pictures[i]


def batch_of(images: np.ndarray | torch.Tensor, seed: int) -> dict[str, torch.Tensor]:
    """uint8 [B, S, S] as a batch with random numbers."""
    random = torch.Generator().manual_seed(seed)
    uniforms = torch.rand((len(images), NUM_UNIFORMS), generator=random)
    return {"image": torch.as_tensor(images), "uniforms": uniforms}


def ink_of(values: torch.Tensor) -> np.ndarray:
    """bool [B, S, S] of network input under PLAIN or FITTED."""
    return values[:, 0].numpy() < (INK_BELOW - 0.5) / 255


def test_batches_do_not_depend_on_processes_or_on_where_one_starts(seed: int) -> None:
    batches = ClassBatches(Drawings(22, seed), PLAIN, 4, seed, repeats=2)
    whole = list(batches.epoch(3))
    assert len(whole) == len(batches.epoch(3)) == 11
    halves = list(zip(batches.epoch(3, 0, 2), batches.epoch(3, 1, 2), strict=True))
    rest = list(batches.epoch(3, start_step=9))
    assert len(rest) == 2
    for name in ("image", "label", "uniforms"):
        for step, parts in enumerate(halves):
            assert torch.equal(torch.cat([part[name] for part in parts]), whole[step][name])
        assert torch.equal(rest[1][name], whole[10][name])
    assert not torch.equal(next(iter(batches.epoch(4)))["uniforms"], whole[0]["uniforms"])
    with pytest.raises(ValueError, match="3 processes"):
        batches.epoch(0, 0, 3)


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_an_epoch_takes_every_sketch_as_often_as_repeats_says(seed: int, memory: int) -> None:
    images = Drawings(15, seed)
    known = {PLAIN.resize_image(images.load(i))[..., 0].tobytes(): i for i in range(15)}
    taken = []
    for batch in ClassBatches(images, PLAIN, 5, seed, repeats=3, memory=memory).epoch(0):
        assert batch["image"].dtype == torch.uint8 and batch["label"].dtype == torch.int64
        rows = [known[row.numpy().tobytes()] for row in batch["image"]]
        assert images.labels[rows].tolist() == batch["label"].tolist()
        taken += rows
    assert np.bincount(taken).tolist() == [3] * 15


def test_without_augmentation_the_network_sees_what_it_is_served(seed: int) -> None:
    preprocess = Preprocess(size=SIZE, ink_margin=0.05)
    batch = next(iter(ClassBatches(Drawings(6, seed), preprocess, 6, seed).epoch(0)))
    result = augment_sketches(batch, OFF, preprocess)
    torch.testing.assert_close(result, normalize(batch["image"][..., None].expand(-1, -1, -1, 3), preprocess))
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_flip_rotation_shift_and_scale_by_hand(seed: int) -> None:
    random = np.random.default_rng(seed)
    images = np.where(random.random((4, SIZE, SIZE)) < 0.2, 0, 255).astype(np.uint8)
    batch = batch_of(images, seed)
    grey = torch.from_numpy(images).float() / 255

    batch["uniforms"][:, 0] = torch.tensor([0.0, 0.49, 0.5, 0.99])
    result = augment_sketches(batch, SketchAugmentation(rotation=0.0), PLAIN)[:, 0]
    torch.testing.assert_close(result, torch.cat([grey[:2].flip(2), grey[2:]]), atol=1e-4, rtol=0)

    batch["uniforms"][:, 1] = torch.tensor([0.0, 0.5, 1.0, 1.0])
    result = augment_sketches(batch, SketchAugmentation(rotation=90.0, flip=False), PLAIN)[:, 0]
    for row, turns in zip(range(4), (1, 0, -1, -1)):
        torch.testing.assert_close(result[row], torch.rot90(grey[row], turns), atol=1e-3, rtol=0)

    batch["uniforms"][:, 4], batch["uniforms"][:, 5] = 1.0, 0.0  # six pixels to the right, six up
    moved = SketchAugmentation(rotation=0.0, flip=False, shift=6 / SIZE)
    result = augment_sketches(batch, moved, PLAIN)[:, 0]
    torch.testing.assert_close(result[:, :-6, 6:], grey[:, 6:, :-6], atol=1e-3, rtol=0)
    assert (result[:, -6:] > 0.999).all() and (result[:, :, :6] > 0.999).all()  # uncovered: paper

    square = np.full((1, SIZE, SIZE), 255, np.uint8)
    square[:, 16:32, 16:32] = 0
    half = SketchAugmentation(rotation=0.0, flip=False, scale=(0.5, 0.5))
    y, x = np.nonzero(ink_of(augment_sketches(batch_of(square, seed), half, PLAIN))[0])
    assert (x.min(), x.max(), y.min(), y.max()) == (20, 27, 20, 27)


def test_box_of_the_ink_against_all_of_its_pixels(seed: int) -> None:
    random = np.random.default_rng(seed)
    images = random.uniform(0.0, 1.0, (6, 1, 20, 20)) ** 0.05
    images[4], images[5] = 1.0, 0.0
    scale_x, scale_y, angle = (
        random.uniform(-1.5, -0.5, 6),
        random.uniform(0.5, 1.5, 6),
        random.uniform(-3, 3, 6),
    )
    arguments = (torch.tensor(values, dtype=torch.float32) for values in (images, scale_x, scale_y, angle))
    low, high = _ink_box(*arguments)
    for row in range(6):
        y, x = np.nonzero(images[row, 0].astype(np.float32) < np.float32(207.5 / 255))
        if row == 4:
            assert len(x) == 0 and not low[row].any() and not high[row].any()
            continue
        corners = [np.stack([x + i, y + j]) / 10 - 1 for i in (0, 1) for j in (0, 1)]
        own = np.concatenate(corners, axis=1) * [[scale_x[row]], [scale_y[row]]]
        cos, sin = np.cos(angle[row]), np.sin(angle[row])
        turned = np.array([[cos, -sin], [sin, cos]]) @ own
        np.testing.assert_allclose(low[row], turned.min(axis=1), atol=1e-5)
        np.testing.assert_allclose(high[row], turned.max(axis=1), atol=1e-5)


def test_turned_sketches_fill_the_frame_as_test_sketches_do_and_hold_together(seed: int) -> None:
    for how in (SketchAugmentation(), SketchAugmentation(rotation=180.0, scale=(0.7, 0.7))):
        batch = next(iter(ClassBatches(Drawings(24, seed), FITTED, 24, seed).epoch(0)))
        for row, ink in enumerate(ink_of(augment_sketches(batch, how, FITTED))):
            y, x = np.nonzero(ink)
            sides = np.array([np.ptp(x), np.ptp(y)]) + 1
            centre = np.array([x.min() + x.max(), y.min() + y.max()]) / 2
            assert abs(sides.max() - 0.8 * SIZE * how.scale[0]) <= 3, row
            assert np.abs(centre - (SIZE - 1) / 2).max() <= 1.5, row
            # 200 pixels to 48 and five-pixel lines: a little above one pixel. None may fall apart.
            assert label(ink, np.ones((3, 3)))[1] == 1, row


def test_warp_moves_lines_and_no_further_than_it_says(seed: int) -> None:
    image = np.full((8, SIZE, SIZE), 255, np.uint8)
    image[:, 24], image[:, :, 10] = 0, 0
    warp = SketchAugmentation(rotation=0.0, flip=False, warp=0.08)
    for ink in ink_of(augment_sketches(batch_of(image, seed), warp, PLAIN)):
        y, x = np.nonzero(ink)
        furthest = np.minimum(np.abs(y - 24), np.abs(x - 10)).max()
        assert 1 <= furthest <= 1.3 * 0.08 * SIZE + 1.5  # cubic interpolation overshoots the lattice a little
        # In one piece, but for a pixel of a line so stretched that it is lighter than ink.
        assert label(binary_dilation(ink), np.ones((3, 3)))[1] == 1


def test_thicker_strokes_and_blank_sketches(seed: int) -> None:
    batch = next(iter(ClassBatches(Drawings(12, seed), FITTED, 12, seed).epoch(0)))
    thin, thick = (
        augment_sketches(batch, SketchAugmentation(thickness=thickness), FITTED) for thickness in (0.0, 1.0)
    )
    # A thicker sketch reaches further, and is fitted smaller: darker as a whole, though not each by itself.
    assert thick.mean() < thin.mean() - 0.002
    white = {**batch, "image": torch.full_like(batch["image"], 255)}
    strong = SketchAugmentation(30.0, True, (0.8, 1.2), 0.1, 0.5, 0.1)
    assert (augment_sketches(white, strong, FITTED) == 1.0).all()
    torch.testing.assert_close(
        augment_sketches(batch, strong, FITTED), augment_sketches(batch, strong, FITTED), rtol=0, atol=0
    )


def test_what_cannot_work_is_refused(seed: int) -> None:
    sketches = Drawings(5, seed)
    for arguments, message in (
        ((Drawings(5, seed, "photo"), PLAIN, 2), "images must be sketches, got photos"),
        ((sketches, PLAIN, 1), "at least 2 sketches"),
        ((sketches, PLAIN, 6), "batch_size is 6, but an epoch has only 5 sketches"),
        ((sketches, PLAIN, 2, 0, 0), "repeats must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            ClassBatches(*arguments)
    for bad in (
        {"scale": (0.0, 1.0)},
        {"rotation": 200.0},
        {"thickness": 1.5},
        {"warp": -0.1},
        {"shift": 2.0},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            SketchAugmentation(**bad)
