"""prepare keeps lines whole; augmentation keeps sketch and mask in step."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation, label

from sketchfast import numpy_ops
from sketchfast.data.centreline import ink
from sketchfast.data.part_augment import (
    PartAugmentation,
    Variant,
    _Geometry,
    prepare,
    prepare_mask,
    resize_mask,
)
from sketchfast.runtime.sketches import read_sketch

EIGHT = np.ones((3, 3), bool)


def pieces(mask: np.ndarray) -> int:
    return int(label(mask, EIGHT)[1])


def drawing(rng: np.random.Generator, size: int, width: int = 3) -> np.ndarray:
    """A few closed and open lines, apart from the border and from each other."""
    picture = Image.new("L", (size, size), 255)
    pen = ImageDraw.Draw(picture)
    unit = size / 16
    pen.ellipse([unit * v for v in (4, 4, 8, 8)], outline=0, width=width)
    pen.line([unit * v for v in (5, 10, 11, 11)], fill=0, width=width)
    pen.line([unit * v for v in (10, 4, 12, 8)], fill=0, width=width)
    corner = float(rng.uniform(4.5, 5.5))
    pen.rectangle([unit * v for v in (corner, 12, 7, 13)], outline=0, width=width)
    return np.array(picture)


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("source, size", [(256, 321), (321, 129), (700, 97), (129, 321), (200, 200)])
def test_no_line_breaks_or_merges(seed: int, source: int, size: int, width: int) -> None:
    image = drawing(np.random.default_rng(seed), source, width)
    result = prepare(image, size)
    assert result.shape == (size, size) and set(np.unique(result)) == {0, 255}
    assert pieces(result == 0) == pieces(image < 128) == 4
    # Regions of ground: outside, inside the ellipse, inside the rectangle unless the pen filled it.
    assert label(result == 255)[1] == label(image >= 128)[1]
    assert (
        not np.lib.stride_tricks.sliding_window_view(result == 0, (2, 2)).all((2, 3)).any()
    )  # one pixel wide


def test_centrelines_stay_where_they_were() -> None:
    image = np.full((256, 512), 255, np.uint8)
    image[100:103, 40:480] = 0
    result = prepare(image, 128) == 0
    y, x = np.nonzero(result)
    assert abs(y.mean() + 0.5 - 101.5 / 2) < 0.6
    assert abs(x.min() - 10) <= 1 and abs(x.max() - 119) <= 1


def test_faint_antialiased_lines_stay_whole(seed: int) -> None:
    big = drawing(np.random.default_rng(seed), 1600, 5)
    image = np.array(Image.fromarray(big).resize((321, 321), Image.Resampling.BILINEAR))
    assert pieces(image < 128) != 4 or pieces(ink(image, adaptive=True)) == 4
    for size in (321, 129):
        assert pieces(prepare(image, size, adaptive_threshold=True) == 0) == 4
    solid = drawing(np.random.default_rng(seed), 256, 5)
    assert np.array_equal(ink(solid, adaptive=True), solid < 128)
    # As Algorithm 1 has it: the threshold stays where it is.
    assert np.array_equal(prepare(image, 321), numpy_ops.homogeneous_transform(image, 128))


def test_real_sketches_keep_their_pieces(data_root) -> None:
    """The 107 aligned pairs at 321 and 40 of Sketchy's sketches from 256 to 321."""
    files = sorted((data_root / "SketchParse" / "aligned" / "image").glob("*.png"))[::4]
    files += sorted((data_root / "Sketchy").glob("256x256/sketch/*/*/*.png"))[::90]
    off = []
    for path in files:
        image = read_sketch(path).image[..., 0]
        off.append(
            abs(pieces(prepare(image, 321, adaptive_threshold=True) == 0) - pieces(ink(image, adaptive=True)))
        )
    assert len(off) > 40 and np.mean(off) < 0.1


def test_degenerate_pictures() -> None:
    assert (prepare(np.full((9, 7), 255, np.uint8), 16) == 255).all()
    assert prepare(np.zeros((1, 40), np.uint8), 16).shape == (16, 16)
    full = prepare(np.zeros((30, 30), np.uint8), 16)
    assert full.shape == (16, 16)
    dot = np.full((50, 50), 255, np.uint8)
    dot[20, 30] = 0
    assert (prepare(dot, 100) == 0).sum() == 1
    assert prepare(np.zeros((5, 5, 3), np.uint8), 8, homogeneous=False).max() == 0
    with pytest.raises(TypeError, match="image must be a numpy array of uint8, got float64"):
        prepare(np.zeros((5, 5)), 8)
    with pytest.raises(ValueError, match=r"shape \[H, W\] or \[H, W, 3\]"):
        prepare(np.zeros((0, 5), np.uint8), 8)


def test_mask_resize_is_nearest_and_invertible() -> None:
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(resize_mask(resize_mask(mask, 30, 40), 3, 4), mask)
    assert prepare_mask(mask, 4).shape == (4, 4)


@pytest.mark.parametrize("homogeneous", [True, False])
def test_sketch_and_mask_stay_in_step(seed: int, homogeneous: bool) -> None:
    """The drawing's ink, thickened, is its mask: after any variant the ink still lies on the mask."""
    rng = np.random.default_rng(seed)
    image = drawing(rng, 200, 3)
    mask = binary_dilation(image < 128, EIGHT, iterations=3).astype(np.uint8)
    augment = PartAugmentation(
        size=161, homogeneous=homogeneous, erase=0, turn=20.0, scale=0.2, shift=0.05, warp=0.05
    )
    moved = False
    for _ in range(12):
        sketch, labels = augment.apply(image, mask, rng)
        on_ink = labels[sketch < 128]
        assert on_ink.size > 100 and (on_ink == 1).all()
        # And the mask has not grown: it stays near the ink, of which a centreline's ends are the farthest.
        assert not (labels[~binary_dilation(sketch < 128, EIGHT, iterations=9)] == 1).any()
        moved |= not np.array_equal(labels, prepare_mask(mask, 161))
    assert moved


def test_both_directions_of_the_geometry_agree(seed: int) -> None:
    augment = PartAugmentation(size=321, turn=180.0, scale=1.0, shift=0.3, warp=0.1)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        geometry = _Geometry(200, 311, 321, augment.draw(rng))
        target = np.stack(np.meshgrid(np.arange(321), np.arange(321)), -1).reshape(-1, 2)
        source = geometry.backward().reshape(-1, 2)
        assert np.abs(geometry.forward(source) - target).max() < 0.1


def test_mirror_and_rotation_are_exact_where_they_can_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 5, (64, 64)).astype(np.uint8)
    image = np.where(mask == 1, 0, 255).astype(np.uint8)
    augment = PartAugmentation(size=64, homogeneous=False)
    sketch, labels = augment.apply_variant(image, mask, Variant(mirror=True))
    assert np.array_equal(sketch, image[:, ::-1]) and np.array_equal(labels, mask[:, ::-1])
    sketch, labels = augment.apply_variant(image, mask, Variant(rotation=90))
    assert np.array_equal(sketch, np.rot90(image)) and np.array_equal(labels, np.rot90(mask))
    blank, outside = augment.apply_variant(image, mask, Variant(shift=(0.5, 0.0)))
    assert (blank[:, :31] == 255).all() and (outside[:, :31] == 0).all()


def test_erasing_after_the_transformation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = drawing(rng, 321)
    mask = (image < 128).astype(np.uint8)
    augment = PartAugmentation()
    assert augment.erased_side == 31 and PartAugmentation(size=129).erased_side == 12
    whole, _ = augment.apply_variant(image, mask, Variant())
    erased, labels = augment.apply_variant(image, mask, Variant(erase=(100, 90)))
    assert (erased[100:131, 90:121] == 255).all() and np.array_equal(labels, mask)
    changed = whole != erased
    changed[100:131, 90:121] = False
    assert not changed.any() and np.array_equal(whole, prepare(image, 321))


def test_the_papers_set_and_determinism(seed: int) -> None:
    augment = PartAugmentation(size=48)
    variants = augment.enumerate_paper(np.random.default_rng(seed))
    assert len(variants) == 28 and sum(v.erase is not None for v in variants) == 14
    assert {(v.rotation, v.mirror) for v in variants[:14]} == {
        (r, m) for r in augment.rotations for m in (0, 1)
    }
    image, mask = drawing(np.random.default_rng(seed), 60), np.zeros((60, 60), np.uint8)
    one, two = (augment.apply(image, mask, np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])
    assert (
        PartAugmentation(rotations=(0,), mirror=False, erase=0).draw(np.random.default_rng(seed)) == Variant()
    )


def test_bad_settings_are_named() -> None:
    for settings, message in (
        ({"size": 0}, "size must be"),
        ({"rotations": ()}, "rotations must be"),
        ({"erase": 400}, "erase must be"),
        ({"threshold": 0}, "threshold must be"),
        ({"warp": 0.2}, "warp must be 0..0.1"),
    ):
        with pytest.raises(ValueError, match=message):
            PartAugmentation(**settings)
    with pytest.raises(ValueError, match=r"mask must be uint8 of the image's shape \[6, 5\]"):
        PartAugmentation(size=8).apply_variant(
            np.zeros((6, 5), np.uint8), np.zeros((5, 5), np.uint8), Variant()
        )
