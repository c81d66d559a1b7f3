"""Sketches as sequences: canvas, scale and forms; and sketches that cannot be learned, named."""

from __future__ import annotations

import numpy as np
import pytest

from sketchfast.data import PairedSet, synthetic
from sketchfast.data.classification import renamed
from sketchfast.data.drawing_set import DrawingSet
from sketchfast.data.image_set import FileImageSet
from sketchfast.data.joined_set import JoinedSet
from sketchfast.data.qmul_strokes import StrokeSketches, read_coordinates
from sketchfast.data.sequence_pictures import SequencePictures, with_sequences
from sketchfast.data.stroke_sets import SketchSequences
from sketchfast.runtime.preprocess import Preprocess


def drawn(drawings: list[np.ndarray]) -> StrokeSketches:
    ids = [f"train/{i}_1" for i in range(len(drawings))]
    return StrokeSketches(drawings, ids, [0] * len(drawings), ["shoe"])


def random_drawing(random: np.random.Generator, points: int, strokes: int) -> np.ndarray:
    pen = np.zeros(points)
    pen[np.sort(random.choice(points - 1, strokes - 1, replace=False))] = 1
    pen[-1] = 1
    return np.column_stack([random.uniform(0, 256, (points, 2)), pen]).astype(np.float32)


def test_sequences_say_what_was_drawn(seed: int) -> None:
    random = np.random.default_rng(seed)
    drawings = [random_drawing(random, int(random.integers(2, 31)), 1) for _ in range(5)]
    drawings += [random_drawing(random, 30, int(random.integers(2, 9))) for _ in range(5)]
    sequences = SketchSequences(drawn(drawings), max_points=30, progress=False)
    assert sequences.stroke5.shape == (10, 31, 5) and sequences.stroke5.dtype == np.float32
    offsets = []
    for i, drawing in enumerate(drawings):
        count = sequences.lengths[i]
        assert count == len(drawing)
        low, high = drawing[:, :2].min(0), drawing[:, :2].max(0)
        fitted = (drawing[:, :2] - (low + high) / 2) / (high - low).max() * (1 - 2 / 16)
        np.testing.assert_allclose(sequences.points[i, :count], fitted, atol=1e-5)
        rows = sequences.stroke5[i]
        np.testing.assert_allclose(np.cumsum(rows[:count, :2], 0) * sequences.scale, fitted, atol=1e-4)
        np.testing.assert_array_equal(rows[:count, 3], drawing[:, 2])
        np.testing.assert_array_equal(rows[:, 2:].sum(1), 1)
        assert (rows[count:] == (0, 0, 0, 0, 1)).all() and not rows[:count, 4].any()
        np.testing.assert_array_equal(sequences.lifts[i, :count], drawing[:, 2] == 1)
        assert len(sequences.strokes(i)) == drawing[:, 2].sum()
        offsets.append(np.diff(fitted, axis=0, prepend=np.zeros((1, 2))))
    assert sequences.scale == pytest.approx(np.concatenate(offsets).std(), rel=1e-5)
    chosen = sequences.subset([7, 2])
    np.testing.assert_array_equal(chosen.stroke5, sequences.stroke5[[7, 2]])
    assert chosen.ids == ["train/7_1", "train/2_1"] and chosen.scale == sequences.scale


def test_simplified_to_the_limit() -> None:
    world = synthetic.semi_supervised(train_photos=3, unlabelled_photos=0, test_photos=2)
    rough = SketchSequences(world.train.sketches, max_points=80, progress=False)
    assert 70 < rough.lengths.mean() <= 80
    rougher = SketchSequences(world.train.sketches, 80, epsilon=0.02, scale=rough.scale, progress=False)
    assert rougher.lengths.mean() < rough.lengths.mean() and rougher.scale == rough.scale
    for i, stroke in enumerate(rough.strokes(0)):
        # Ends of strokes stay where they were drawn.
        own = world.train.sketches.strokes(0)[i]
        middle = np.concatenate(world.train.sketches.strokes(0))
        low, high = middle.min(0), middle.max(0)
        fitted = (own - (low + high) / 2) / (high - low).max() * (1 - 2 / 16)
        np.testing.assert_allclose(stroke[[0, -1]], fitted[[0, -1]], atol=1e-5)


def faulty(kind: str, random: np.random.Generator) -> np.ndarray:
    drawing = random_drawing(random, 12, 6)
    if kind in ("NaN", "infinity"):
        drawing[5, 1] = np.nan if kind == "NaN" else np.inf
    return drawing


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("NaN", "train/2_1, point 5: coordinates must be finite"),
        ("infinity", "train/2_1, point 5: coordinates must be finite"),
        ("too many strokes", "train/2_1: its 6 strokes need at least .* more than max_points=5"),
    ],
)
def test_sequences_that_cannot_be_learned_are_named(seed: int, kind: str, message: str) -> None:
    random = np.random.default_rng(seed)
    drawings = [random_drawing(random, 6, 1) for _ in range(4)]
    drawings[2] = faulty(kind, random)
    with pytest.raises(ValueError, match=f"1 of 4 sketches cannot be learned as sequences:\n  {message}"):
        SketchSequences(drawn(drawings), max_points=5, progress=False)


def test_a_pen_that_never_lifts_and_nothing_drawn(seed: int) -> None:
    drawings = [random_drawing(np.random.default_rng(seed), 6, 2) for _ in range(3)]
    drawings[1][:, 2] = 0
    with pytest.raises(ValueError, match="the pen never lifts in 1 of 3 drawings: train/1_1; expected 1 in"):
        drawn(drawings)
    drawings[1] = drawings[1][:0]
    with pytest.raises(ValueError, match="1 of 3 drawings: train/1_1"):
        drawn(drawings)


def test_long_sketches_may_be_left_out(seed: int) -> None:
    random = np.random.default_rng(seed)
    drawings = [random_drawing(random, 24, strokes) for strokes in (2, 8, 3, 9)]
    sketches = drawn(drawings)
    sequences = SketchSequences(sketches, max_points=6, leave_out_long=True, progress=False)
    assert sequences.rows.tolist() == [0, 2] and sequences.left_out == ["train/1_1", "train/3_1"]
    photos = synthetic.SyntheticImageSet(["shoe"], [], None)
    photos.ids, photos.labels = ["a", "b"], np.zeros(2, np.int64)
    pairs = with_sequences(PairedSet(sketches, photos, np.array([1, 1, 0, 0])), sequences)
    assert pairs.sketches.ids == ["train/0_1", "train/2_1"] and pairs.photo_of.tolist() == [1, 0]
    with pytest.raises(ValueError, match="sequences must be of the pairs' own 2 sketches"):
        with_sequences(pairs, SketchSequences(sketches, max_points=24, progress=False))
    with pytest.raises(ValueError, match="max_points=2 leaves out all 2 sketches"):
        SketchSequences(sketches.subset([1, 3]), max_points=2, leave_out_long=True, progress=False)
    # Other faults are refused all the same.
    drawings[0][0, 0] = np.nan
    with pytest.raises(ValueError, match="train/0_1, point 0"):
        SketchSequences(drawn(drawings), max_points=6, leave_out_long=True, progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_points": 1}, "max_points must be at least 2, got 1"),
        ({"epsilon": -1.0}, "epsilon must be 0"),
        ({"scale": 0.0}, "scale must"),
    ],
)
def test_options_out_of_range(seed: int, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SketchSequences(drawn([random_drawing(np.random.default_rng(seed), 6, 2)]), **options)


def test_pictures_of_sequences(seed: int) -> None:
    random = np.random.default_rng(seed)
    sequences = SketchSequences(drawn([random_drawing(random, 20, 3) for _ in range(4)]), 20, progress=False)
    pictures = SequencePictures(sequences, ["shoe"], thickness=2)
    array = pictures.resized(32, Preprocess(ink_margin=0.125))
    assert array.shape == (4, 32, 32, 3) and set(np.unique(array)) == {0, 255}
    np.testing.assert_array_equal(array[..., 0], sequences.images(32, 2, margin=0.125))
    # The longer side fills 3/4 of the picture, up to the pen.
    for picture in array[..., 0]:
        rows, columns = np.nonzero(picture == 0)
        assert 24 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 26
    np.testing.assert_array_equal(pictures.subset([2]).resized(32, Preprocess(ink_margin=0.125))[0], array[2])
    assert pictures.load(1).shape == (256, 256, 3) and len(pictures.strokes(1)) == 3


def test_which_sets_know_strokes(tmp_path) -> None:
    world = synthetic.semi_supervised(train_photos=2, unlabelled_photos=0, test_photos=2, category="cup")
    sketches, photos = world.train.sketches, world.train.photos
    for images in (sketches, sketches.subset([3, 1]), renamed(sketches, ["cat", "cup"])):
        assert images.has_strokes and len(images.strokes(0)[0][0]) == 2
    joined = JoinedSet([sketches.subset([0]), sketches.subset([4])])
    np.testing.assert_array_equal(joined.strokes(1)[0], sketches.strokes(4)[0])
    assert joined.has_strokes and not photos.has_strokes and not photos.subset([0]).has_strokes
    with pytest.raises(
        ValueError, match=f"{photos.ids[1]}: this photo is a picture; its strokes are not known"
    ):
        photos.subset([1]).strokes(0)
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0 L 4 8 M 9 9 L 8 8"/></svg>'
    (tmp_path / "a.svg").write_text(svg)
    both = FileImageSet(tmp_path, ["a.svg", "b.png"], [0, 0], ["cup"], "sketch")
    assert [len(stroke) for stroke in both.strokes(0)] == [2, 2] and both.subset([0]).has_strokes
    with pytest.raises(
        ValueError, match=r"must have strokes to learn drawing from. b.png: this sketch is a picture"
    ):
        SketchSequences(both)
    (tmp_path / "cup.ndjson").write_text('{"key_id": "1", "drawing": [[[0, 4, 9], [1, 2, 3]], [[5], [5]]]}\n')
    quick = DrawingSet({"cup": tmp_path / "cup.ndjson"})
    assert quick.has_strokes and [len(stroke) for stroke in quick.strokes(0)] == [3, 1]
    assert SketchSequences(quick, max_points=3, progress=False).lengths.tolist() == [3]


def test_real_chairs_as_sequences(data_root) -> None:
    path = data_root / "ChairV2" / "ChairV2_Coordinate"
    if not path.is_file():
        pytest.skip(f"no {path}")
    drawings = read_coordinates(path)
    some = list(drawings)[::25]
    sketches = StrokeSketches([drawings[item] for item in some], some, [0] * len(some), ["chair"])
    sequences = SketchSequences(sketches, progress=False)
    assert 80 < sequences.lengths.mean() <= 100 and sequences.lengths.max() == 100
    assert 0.05 < sequences.scale < 0.3
    for i, item in enumerate(some):
        assert len(sequences.strokes(i)) == drawings[item][:, 2].sum()
