"""The picture of a parsed sketch: colours, ink, sizes, names, files."""

import itertools
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sketchfast.runtime.part_picture import (
    COLOURS,
    check_part_picture_path,
    overlay,
    part_colour,
    part_picture,
    share_text,
    write_mask,
)

NAMES = {0: "background", 1: "head", 2: "body"}


def example(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    sketch, mask = np.full((height, width), 255, np.uint8), np.zeros((height, width), np.uint8)
    mask[: (height + 1) // 2, : (width + 1) // 2] = 1
    mask[height // 2 :, width // 2 :] = 2
    sketch[height // 2], sketch[:, width // 2] = 0, 0
    return sketch, mask


def pixels(png: bytes) -> np.ndarray:
    return np.array(Image.open(BytesIO(png)).convert("RGB"))


def test_ink_stays_on_top_and_background_white() -> None:
    sketch, mask = example(9, 9)
    found = overlay(sketch, mask)
    assert (found[sketch == 0] == 0).all()
    assert (found[(sketch == 255) & (mask == 0)] == 255).all()
    colours = {tuple(c) for c in found[(sketch == 255) & (mask > 0)].tolist()}
    assert len(colours) == 2
    shades = overlay(np.array([[0, 100, 200, 255]], np.uint8), np.full((1, 4), 3, np.uint8))
    assert (np.diff(shades.astype(int), axis=1) >= 0).all()


def test_colours_differ_also_without_red_or_green() -> None:
    assert part_colour(0) == (255, 255, 255)
    assert part_colour(1) == COLOURS[0] and part_colour(len(COLOURS) + 1) != COLOURS[0]
    # Viénot, Brettel and Mollon 1999: what protanopes and deuteranopes see of linear RGB.
    linear = (np.array(COLOURS) / 255) ** 2.2
    protan = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])
    deutan = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
    for matrix in (np.eye(3), protan, deutan):
        seen = 255 * np.clip(linear @ matrix.T, 0, 1) ** (1 / 2.2)
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 20


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 700), (700, 1), (5, 3), (256, 256), (40, 400), (2500, 1300), (1, 9000)]
)
def test_every_size_gives_a_picture_to_look_at(shape: tuple[int, int]) -> None:
    found = pixels(part_picture(*example(*shape), NAMES, title="a sketch"))
    assert min(found.shape[:2]) >= 40 and max(found.shape[:2]) <= 1600
    assert (found < 60).all(axis=2).any()  # the ink, also when the sketch was shrunk
    paint = {
        tuple(c) for c in overlay(np.full((1, 2), 255, np.uint8), np.array([[1, 2]], np.uint8))[0].tolist()
    }
    present = set(np.unique(example(*shape)[1]).tolist()) - {0}
    assert len(paint & {tuple(c) for c in np.unique(found.reshape(-1, 3), axis=0).tolist()}) == len(present)


def test_names_of_any_length_and_labels_without_a_name() -> None:
    sketch, mask = example(64, 64)
    mask[:8, :8] = 255
    mask[:8, 8:16] = 19
    names = {1: "an extremely long name " * 20, 2: "two\nlines"}
    found = pixels(part_picture(sketch, mask, names, title="title " * 200))
    assert found.shape[1] < 900
    assert part_picture(sketch, np.zeros_like(mask), {})


def test_small_shares_are_not_shown_as_none() -> None:
    assert [share_text(s) for s in (0.0, 1e-6, 0.0005, 0.084, 1.0)] == [
        "0.0 %",
        "<0.1 %",
        "0.1 %",
        "8.4 %",
        "100.0 %",
    ]


def test_the_same_picture_each_time_in_memory_and_file(tmp_path: Path) -> None:
    sketch, mask = example(30, 30)
    file = tmp_path / "picture.png"
    data = part_picture(sketch, mask, NAMES, file)
    assert file.read_bytes() == data == part_picture(sketch, mask, NAMES)
    part_picture(sketch, mask, NAMES, file)  # our own is replaced
    write_mask(mask, tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as picture:
        assert picture.mode == "L" and np.array_equal(np.array(picture), mask)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mask.png", "picture.png"]

    Image.new("RGB", (4, 4)).save(tmp_path / "mine.png")
    before = (tmp_path / "mine.png").read_bytes()
    with pytest.raises(FileExistsError, match=r"mine\.png: exists and is not a part picture"):
        part_picture(sketch, mask, NAMES, tmp_path / "mine.png")
    assert (tmp_path / "mine.png").read_bytes() == before
    with pytest.raises(ValueError, match=r"ends in \.png"):
        check_part_picture_path(tmp_path / "picture.jpg")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        part_picture(sketch, mask, NAMES, tmp_path / "nowhere" / "a.png")


def test_bad_input_is_named() -> None:
    sketch, mask = example(6, 6)
    with pytest.raises(ValueError, match=r"\[6, 6\] and \[5, 6\]"):
        part_picture(sketch, mask[1:], NAMES)
    with pytest.raises(ValueError, match="same shape"):
        overlay(np.repeat(sketch[:, :, None], 3, axis=2), mask)
    with pytest.raises(ValueError, match="same shape"):
        overlay(sketch[:0], mask[:0])
    with pytest.raises(TypeError, match="mask must be a numpy array of uint8, got int64"):
        overlay(sketch, mask.astype(np.int64))
