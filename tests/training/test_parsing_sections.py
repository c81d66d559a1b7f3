"""The part of the report about parsing: right numbers, pictures in the right order, hostile names."""

import base64
import html
import io
import re

import numpy as np
import pytest
from PIL import Image

from sketchfast.data.part_set import PartSet
from sketchfast.metrics.bootstrap import Mean
from sketchfast.metrics.parser_scores import ParsingRow, score_baselines
from sketchfast.metrics.parsing import background_baseline, evaluate_parsing, filled_outline_baseline
from sketchfast.runtime.part_picture import part_colour
from sketchfast.training import PictureRow, PictureRowsSection, write_report
from sketchfast.training.parsing_sections import RIGHT, WRONG, coloured, difference_picture, parsing_sections

HOSTILE = "<img src=x onerror=alert(1)>\"'"
FIRST, SECOND = ("#" + bytes(part_colour(label)).hex() for label in (1, 2))
PARTS = {"cat": ("head", "body"), HOSTILE: ("handle", "body", HOSTILE)}


class Boxes(PartSet):
    """Two parts side by side in a drawn box."""

    def __init__(self, count: int, labels_on_ink: bool = False):
        super().__init__("boxes", PARTS, np.arange(count) % 2, [f"{HOSTILE} {i}" for i in range(count)])
        self.labels_on_ink = labels_on_ink

    def read(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = np.full((40, 40), 255, np.uint8), np.zeros((40, 40), np.uint8)
        image[5:35, 5:35] = 0
        image[7:33, 7:33] = 255
        mask[5:35, 5:20], mask[5:35, 20:35] = 1, 2
        return image, np.where(image < 128, mask, 255).astype(np.uint8) if self.labels_on_ink else mask


def row(items: PartSet, method: str, category: str, masks: list[np.ndarray], **more) -> ParsingRow:
    truths = [items.load(i)[1] for i in range(len(items))]
    names = [items.category_of(i) for i in range(len(items))]
    scores = evaluate_parsing(masks, truths, names, PARTS, names=items.ids)
    return ParsingRow("test", method, category, scores, masks, **more)


def rows_of(items: PartSet) -> list[ParsingRow]:
    """Stage 1 puts the border of the parts ever further off, stage 2 half as far."""
    images = [items.load(i)[0] for i in range(len(items))]

    def parsed(step: float) -> list[np.ndarray]:
        masks = [np.where(items.load(i)[1] == 0, 0, 1).astype(np.uint8) for i in range(len(items))]
        for i, mask in enumerate(masks):
            mask[:, 20 + int(step * i) :][mask[:, 20 + int(step * i) :] == 1] = 2
        return masks

    return [
        row(items, "DeepSSP, stage 1", "given", parsed(2)),
        row(items, "DeepSSP, stage 2", "given", parsed(1)),
        row(items, "DeepSSP, stage 2", "guessed", parsed(1), category_accuracy=0.75),
        row(items, "all background", "-", background_baseline(images)),
        row(items, "filled outline", "-", filled_outline_baseline(images, 1)),
    ]


def test_tables_and_numbers_are_those_of_the_scores() -> None:
    items = Boxes(6)
    rows = rows_of(items)
    sections = {section.title: section for section in parsing_sections(rows, items, "test")}
    main = rows[1].scores
    numbers = {what: (number, beside) for what, number, beside in sections["test: in short"].numbers}
    assert numbers["mean IoU over sketches"][0] == f"{main.overall.value:.3f}"
    assert "filled outline" in numbers["without learning"][1]
    assert "75.0%" in numbers["with its own category"][1]
    assert sections["test: results"].highlight == [1] and len(sections["test: results"].rows) == 5
    stages = sections["test: DeepSSP, stage 1 and DeepSSP, stage 2"].rows
    gain = main.overall.value - rows[0].scores.overall.value
    assert gain > 0 and stages[-1][-1].startswith(f"{gain:+.3f} [+")
    assert [line[0] for line in sections["test: each category"].rows] == ["cat", HOSTILE]
    parts = sections["test: each part"].rows
    assert [line[:3] for line in parts[:3]] == [
        ["cat", "background", 3],
        ["cat", "head", 3],
        ["cat", "body", 3],
    ]
    assert parts[1][3].value == pytest.approx(main.by_part()["cat"]["head"].value)


def test_pictures_come_worst_first_with_the_iou_of_their_parts() -> None:
    items = Boxes(6)
    rows = rows_of(items)
    worst, middle = parsing_sections(rows, items, "test")[-3:-1]
    assert [shown.caption.split("\n")[2] for shown in worst.rows] == [
        items.ids[i] for i in (5, 4, 3, 2, 1, 0)
    ]
    assert [shown.caption.split("\n")[0] for shown in middle.rows] == ["cat", HOSTILE]
    first = worst.rows[0]
    iou = rows[1].scores.label_iou[5]
    assert first.legend == [
        (f"handle  {iou[1]:.2f}", FIRST),
        (f"body  {iou[2]:.2f}", SECOND),
    ]
    assert first.caption.split("\n")[1] == f"{rows[1].scores.iou[5]:.3f}"
    sketch, prediction, truth, difference = first.images
    assert sketch[5, 5].tolist() == [0, 0, 0] and sketch[10, 10].tolist() == [255] * 3
    assert tuple(prediction[10, 22]) == part_colour(1) and tuple(truth[10, 22]) == part_colour(2)
    assert tuple(difference[10, 22]) == WRONG and tuple(difference[10, 10]) == RIGHT
    assert difference[5, 5].max() < 60  # the ink


def test_stroke_labels_show_the_ink_alone() -> None:
    items = Boxes(2, labels_on_ink=True)
    masks = [np.full((40, 40), 1, np.uint8) for _ in range(2)]
    strokes = {"cat": Mean(0.5, 0.4, 0.6, 1)}
    sections = {
        s.title: s
        for s in parsing_sections([row(items, "net", "given", masks, strokes=strokes)], items, "spg")
    }
    _, prediction, _, difference = sections["spg: the sketches parsed worst, worst first"].rows[0].images
    assert tuple(prediction[5, 5]) == part_colour(1) and prediction[12, 12].tolist() == [255] * 3
    assert tuple(difference[5, 5]) == RIGHT and tuple(difference[34, 34]) == WRONG
    assert sections["spg: results"].columns[-1] == "stroke accuracy"
    assert sections["spg: each category"].rows[1][-1] is None
    assert ("strokes right", "0.500", "mean over categories") in sections["spg: in short"].numbers


def test_page_is_self_contained_and_hostile_names_stay_text(tmp_path) -> None:
    items = Boxes(4)
    text = write_report(tmp_path, "DeepSSP", [], parsing_sections(rows_of(items), items, HOSTILE)).read_text()
    assert "<img src=x" not in text and html.escape("<img src=x onerror") in text
    sources = re.findall(r'<img src="([^"]*)"', text)
    assert len(sources) == 4 * (4 + 2)
    for source in sources:
        Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,")))).verify()
    assert f"background:{FIRST}" in text


def test_pictures_of_masks() -> None:
    mask = np.array([[0, 1], [2, 255]], np.uint8)
    expected = [[(255, 255, 255), part_colour(1)], [part_colour(2), (255, 255, 255)]]
    assert np.array_equal(coloured(mask), expected)
    assert coloured(mask, np.zeros((2, 2), np.uint8)).max() < 40
    assert difference_picture(mask, mask).tolist() == [[[255] * 3, [*RIGHT]], [[*RIGHT], [255] * 3]]


def test_right_and_wrong_are_colours_of_no_part_and_differ_in_lightness() -> None:
    luma = np.array([0.299, 0.587, 0.114])
    for colour in (RIGHT, WRONG):
        others = [part_colour(label) for label in range(21)]
        assert min(np.abs(np.subtract(colour, other)).max() for other in others) > 20
    assert luma @ RIGHT - luma @ WRONG > 100


def test_background_is_an_answer_only_where_it_is_scored() -> None:
    methods = [
        [row.method for row in score_baselines(Boxes(2, ink), {"cat": 1, HOSTILE: 1})] for ink in (0, 1)
    ]
    assert methods[0] == ["all background", *methods[1]] and len(methods[1]) == 1


def test_bad_input_is_named() -> None:
    items = Boxes(4)
    rows = rows_of(items)
    with pytest.raises(ValueError, match="rows: expected one with the category given"):
        parsing_sections(rows[2:], items, "test")
    with pytest.raises(ValueError, match="scores 4 sketches, but items are 6"):
        parsing_sections(rows, Boxes(6), "test")
    with pytest.raises(ValueError, match=r"'x': row 'r' has 1 images for 2 columns"):
        PictureRowsSection("x", ["a", "b"], [PictureRow("r", [np.zeros((2, 2, 3), np.uint8)])])
