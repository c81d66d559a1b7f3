"""Part masks scored by hand, against scikit-learn, and against answers that need no learning."""

import json

import numpy as np
import pytest

from sketchfast.metrics.parsing import (
    background_baseline,
    component_accuracy,
    confusion,
    evaluate_parsing,
    filled_outline,
    filled_outline_baseline,
    largest_parts,
    sketch_iou,
)

PARTS = {"cat": ("head", "body", "leg", "tail"), "cup": ("body", "handle")}

# Truth: 4 pixels of ground, 3 of part 1, 1 of part 2, 1 left out. The prediction takes one pixel of part 1 for part 2,
# one of the ground for part 3, which this sketch does not have, and anything for the pixel that is left out.
TRUTH = np.array([[0, 0, 1], [0, 0, 1], [2, 1, 255]], np.uint8)
PRED = np.array([[0, 3, 1], [0, 0, 2], [2, 1, 4]], np.uint8)


def random_masks(seed, labels=5, shape=(23, 31)):
    random = np.random.default_rng(seed)
    truth = random.integers(0, labels, shape).astype(np.uint8)
    pred = np.where(random.random(shape) < 0.7, truth, random.integers(0, labels, shape)).astype(np.uint8)
    return pred, truth


def test_worked_by_hand():
    counts = confusion(PRED, TRUTH, 4)
    assert counts.tolist() == [[3, 0, 0, 1], [0, 2, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    # eq. 12: ground 3 / (4 + 3 - 3), part 1 2 / (3 + 2 - 2), part 2 1 / (1 + 2 - 1); part 3 is not in the truth (eq. 13)
    expected = (3 / 4 + 2 / 3 + 1 / 2) / 3
    assert sketch_iou(PRED, TRUTH) == pytest.approx(expected, abs=1e-15)
    scores = evaluate_parsing(
        [PRED, np.zeros((2, 2), int)], [TRUTH, np.array([[0, 1], [1, 1]])], ["cat", "cup"], PARTS
    )
    assert scores.iou == pytest.approx([expected, (1 / 4 + 0) / 2])
    assert scores.overall.value == pytest.approx((expected + 1 / 8) / 2)  # eq. 14
    assert scores.pixel_accuracy == pytest.approx([6 / 8, 1 / 4])
    assert {name: mean.count for name, mean in scores.by_category().items()} == {"cat": 1, "cup": 1}
    assert scores.worst_first().tolist() == [1, 0]


def test_parts_are_averaged_over_the_sketches_that_contain_them():
    head = np.array([[0, 1, 1, 0]])
    both = np.array([[0, 1, 4, 4]])
    scores = evaluate_parsing([head, head, both], [head, both, both], ["cat"] * 3, PARTS)
    table = scores.by_part()
    assert list(table) == ["cat"] and list(table["cat"]) == ["background", "head", "tail"]
    # background 1, 1/2, 1; head 1, 1/2, 1; tail only in the last two: 0 and 1
    assert table["cat"]["background"].value == pytest.approx(5 / 6)
    assert table["cat"]["head"].value == pytest.approx(5 / 6)
    assert (table["cat"]["tail"].value, table["cat"]["tail"].count) == (0.5, 2)


def test_equals_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    for labels in (2, 5, 9):
        pred, truth = random_masks([seed, labels], labels)
        truth[0, :7] = 255
        kept = truth != 255
        assert np.array_equal(
            confusion(pred, truth, labels),
            metrics.confusion_matrix(truth[kept], pred[kept], labels=range(labels)),
        )
        present = np.unique(truth[kept])
        each = metrics.jaccard_score(truth[kept], pred[kept], labels=present, average=None, zero_division=0.0)
        assert sketch_iou(pred, truth) == pytest.approx(each.mean(), abs=1e-12)


def test_interval_and_dictionary(seed):
    pairs = [random_masks([seed, i]) for i in range(40)]
    scores = evaluate_parsing(
        (p for p, _ in pairs), (t for _, t in pairs), ["cat"] * 40, PARTS, names=[f"c{i}" for i in range(40)]
    )
    overall = scores.overall
    assert overall.low < overall.value < overall.high and overall.count == 40
    assert overall.value == pytest.approx(np.mean([sketch_iou(*pair) for pair in pairs]))
    read = json.loads(json.dumps(scores.to_dict()))
    assert read["mean_iou"] == overall.value and read["interval"] == [overall.low, overall.high]
    assert read["categories"]["cat"]["count"] == 40 and read["parts"]["cat"]["tail"]["count"] == 40
    assert read["sketches"][7] == {"name": "c7", "category": "cat", "iou": scores.iou[7]}
    assert "sketches" not in scores.to_dict(sketches=False)
    assert "40 sketches" in scores.summary() and "cat" in scores.summary()


def test_sketch_without_a_scored_pixel_is_left_out():
    empty = np.full_like(TRUTH, 255)
    scores = evaluate_parsing([PRED, PRED], [TRUTH, empty], ["cat", "cat"], PARTS)
    assert np.isnan(scores.iou[1]) and scores.overall.count == 1 and scores.worst_first().tolist() == [0]
    assert scores.to_dict()["sketches"][1]["iou"] is None
    assert np.isnan(sketch_iou(PRED, empty))
    with pytest.raises(ValueError, match="every pixel is 255"):
        evaluate_parsing([PRED], [empty], ["cat"], PARTS)


def test_strokes_are_right_from_three_quarters_on():
    strokes = np.array([[1, 1, 1, 1], [2, 2, 2, 2], [5, 5, 0, 7]])
    truth = np.array([[1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 0, 255]], np.uint8)
    pred = np.array([[1, 1, 1, 9], [2, 2, 9, 9], [3, 3, 9, 9]], np.uint8)
    # stroke 1 has 3 of 4 pixels right, stroke 2 has 2 of 4, stroke 5 both; stroke 7 is left out and there is no 3, 4, 6
    assert component_accuracy(pred, truth, strokes) == pytest.approx(2 / 3)
    assert component_accuracy(pred, truth, strokes, share=0.5) == 1.0
    assert component_accuracy(pred, truth, strokes, share=1.0) == pytest.approx(1 / 3)
    assert np.isnan(component_accuracy(pred, truth, np.zeros_like(strokes)))


def test_filled_outline_closes_gaps_and_keeps_the_ink():
    image = np.full((60, 80), 255, np.uint8)
    image[10, 20:60] = image[49, 20:60] = image[10:50, 20] = image[10:50, 59] = 0
    image[30, 59:80] = 0  # a line that leaves the picture
    closed = filled_outline(image, 3)
    assert closed.dtype == np.uint8 and set(np.unique(closed)) == {0, 3}
    assert (closed[10:50, 20:60] == 3).all() and (closed[image == 0] == 3).all()
    image[49, 30:36] = 255  # six pixels of outline missing
    open_ = filled_outline(image, 3, gap=0)
    assert (open_ == 3).sum() == (image == 0).sum()
    filled = filled_outline(image, 3, gap=8)
    assert (filled[12:47, 22:57] == 3).all()
    assert (filled[:8] == 0).all() and (filled[:, :18] == 0).all() and (filled[52:] == 0).all()


@pytest.mark.parametrize(("value", "expected"), [(255, 0), (0, 2)])
def test_blank_and_full_pages_have_an_outline(value, expected):
    for shape in ((9, 7), (1, 5), (1, 1)):
        assert (filled_outline(np.full(shape, value, np.uint8), 2) == expected).all()


def test_baselines_take_the_largest_part_of_the_category():
    body = np.array([[0, 2, 2], [1, 2, 255], [0, 0, 0]], np.uint8)
    handle = np.array([[2, 2], [1, 0]], np.uint8)
    largest = largest_parts([body, handle, handle], ["cat", "cup", "cup"])
    assert largest == {"cat": 2, "cup": 2}
    images = [np.zeros((3, 3), np.uint8), np.full((2, 2), 255, np.uint8)]
    found = filled_outline_baseline(images, [2, 1])
    assert (found[0] == 2).all() and (found[1] == 0).all()
    assert (filled_outline_baseline(images, 4)[0] == 4).all()
    assert [mask.shape for mask in background_baseline(images)] == [(3, 3), (2, 2)]
    with pytest.raises(ValueError, match="expected 1 masks"):
        filled_outline_baseline(images, [2])
    with pytest.raises(ValueError, match="part in the masks of 'cup'"):
        largest_parts([body, handle * 0], ["cat", "cup"])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"predictions": [PRED[:2]]}, ValueError, r"odd cat \(cat\): pred: expected the shape of truth, \(3, 3\)"),
        ({"predictions": [PRED.astype(float)]}, TypeError, "odd cat.*pred: expected integer labels"),
        ({"predictions": [PRED + 9]}, ValueError, r"odd cat.*pred: expected labels 0\.\.4; found 9"),
        ({"truths": [TRUTH.astype(int) - 1]}, ValueError, r"truth: expected labels 0\.\.4; found -1"),
        ({"predictions": [PRED, PRED]}, ValueError, "expected 1 masks"),
        ({"predictions": []}, ValueError, "expected 1 masks"),
        ({"categories": ["dog"]}, ValueError, "categories: expected one of cat, cup; found 'dog'"),
        ({"categories": [], "names": []}, ValueError, "categories: expected at least one sketch"),
        ({"names": []}, ValueError, "names: expected 1"),
    ],
)  # fmt: skip
def test_bad_input_is_named(changes, error, message):
    arguments = {
        "predictions": [PRED], "truths": [TRUTH], "categories": ["cat"], "parts": PARTS, "names": ["odd cat"], **changes
    }  # fmt: skip
    with pytest.raises(error, match=message):
        evaluate_parsing(**arguments)


def test_bad_strokes_and_images_are_named():
    with pytest.raises(ValueError, match="strokes: expected the shape"):
        component_accuracy(PRED, TRUTH, np.ones((2, 2), int))
    with pytest.raises(TypeError, match="strokes: expected integers"):
        component_accuracy(PRED, TRUTH, np.ones((3, 3)))
    with pytest.raises(ValueError, match="share: "):
        component_accuracy(PRED, TRUTH, np.ones((3, 3), int), share=0)
    with pytest.raises(ValueError, match=r"image: expected uint8 \[H, W\]"):
        filled_outline(np.zeros((3, 3)), 1)
    with pytest.raises(ValueError, match="gap: "):
        filled_outline(np.zeros((3, 3), np.uint8), 1, gap=-1)
    with pytest.raises(ValueError, match="num_labels: "):
        confusion(PRED, TRUTH, 0)


def test_filled_outline_beats_no_part_on_real_sketches(data_root):
    """The order of the two levels that a parser is printed beside."""
    from PIL import Image

    folder = data_root / "SketchParse" / "aligned"
    if not folder.is_dir():
        pytest.skip(f"no real pairs at {folder}")
    items = [
        item for item in json.loads((folder / "index.json").read_text()) if item["cls"] in ("dog", "horse")
    ][::5]
    images = [np.asarray(Image.open(folder / "image" / item["name"]).convert("L")) for item in items]
    masks = [np.asarray(Image.open(folder / "label" / item["name"])) for item in items]
    categories, parts = [item["cls"] for item in items], dict.fromkeys(("dog", "horse"), PARTS["cat"])
    largest = largest_parts(masks, categories)
    assert largest == {"dog": 2, "horse": 2}
    filled = filled_outline_baseline(images, [largest[name] for name in categories])
    empty = evaluate_parsing(background_baseline(images), masks, categories, parts)
    assert evaluate_parsing(filled, masks, categories, parts).overall.low > empty.overall.high
