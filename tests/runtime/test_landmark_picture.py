"""The picture of landmarks: dots where the points are, sizes, legend, files."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sketchfast.runtime.landmark_picture import (
    LANDMARK,
    POINT,
    check_landmark_picture_path,
    drawn_landmarks,
    landmark_picture,
    score_text,
)


def page(height: int, width: int) -> np.ndarray:
    sketch = np.full((height, width), 255, np.uint8)
    sketch[height // 2], sketch[:, width // 2] = 0, 0
    return sketch


def near(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Pixels (x, y) of a colour."""
    rows, columns = np.nonzero(np.abs(picture.astype(int) - colour).max(axis=2) < 30)
    return np.stack([columns, rows], axis=1).astype(float)


def test_dots_are_where_the_points_are() -> None:
    sketch = page(100, 160)
    points, moved = np.array([[30.0, 20.0]]), np.array([[130.0, 75.5]])
    picture = drawn_landmarks(sketch, points, moved)
    scale = 4  # 160 pixels become at least 512
    edge = round(0.06 * 640)
    assert picture.shape == (100 * scale + 2 * edge, 160 * scale + 2 * edge, 3)
    for colour, place in ((POINT, points[0]), (LANDMARK, moved[0])):
        expected = (place + 0.5) * scale + edge - 0.5
        spot = near(picture, colour)
        assert len(spot) > 40
        np.testing.assert_allclose(spot.mean(axis=0), expected, atol=0.6)
    still = drawn_landmarks(sketch, points, points)
    assert len(near(still, POINT)) and not len(near(still, LANDMARK))


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (3, 2), (256, 256), (2500, 1300), (1, 9000)])
def test_every_size_gives_a_picture_to_look_at(shape: tuple[int, int]) -> None:
    points = np.array([[0.0, 0.0], [shape[1] - 1.0, shape[0] - 1.0]])
    data = landmark_picture(
        page(*shape), points, points + 1, title="a sketch: cat 81 %", answers=[("cat", 0.81)]
    )
    found = np.array(Image.open(BytesIO(data)).convert("RGB"))
    assert min(found.shape[:2]) >= 80 and max(found.shape[:2]) <= 1700
    assert len(near(found, POINT)) and len(near(found, LANDMARK))


def test_points_far_away_or_not_finite_break_nothing() -> None:
    sketch = page(50, 50)
    points = np.array([[10.0, 10], [20, 20], [30, 30], [40, 40]])
    moved = np.array([[1e30, -1e30], [np.nan, 0], [np.inf, 5], [41, 41]])
    found = drawn_landmarks(sketch, points, moved)
    assert len(near(found, LANDMARK)) and len(near(found, POINT))
    assert np.array_equal(
        drawn_landmarks(sketch, points[:0], moved[:0]), drawn_landmarks(sketch, points[:0], points[:0])
    )


def test_scores_are_never_rounded_to_certainty() -> None:
    assert [score_text(s) for s in (0.0, 1e-6, 0.005, 0.814, 0.9951, 1.0)] == [
        "0 %", "<1 %", "<1 %", "81 %", ">99 %", "100 %",
    ]  # fmt: skip


def test_the_same_picture_each_time_and_only_our_own_is_replaced(tmp_path: Path) -> None:
    sketch, points = page(30, 30), np.array([[3.0, 4.0]])
    file = tmp_path / "picture.png"
    data = landmark_picture(sketch, points, points + 2, file, title="x", answers=[("a\nb" * 200, 0.5)])
    assert file.read_bytes() == data
    assert (
        landmark_picture(sketch, points, points + 2, file, title="x", answers=[("a\nb" * 200, 0.5)]) == data
    )
    odd = landmark_picture(sketch, points, points + 2, title="\n a\x00b\r\n\udc80c\u2028", answers=[])
    assert odd == landmark_picture(sketch, points, points + 2, title="a b c", answers=[])
    Image.new("RGB", (4, 4)).save(tmp_path / "mine.png")
    with pytest.raises(FileExistsError, match=r"mine\.png: exists and is not a landmark picture"):
        landmark_picture(sketch, points, points, tmp_path / "mine.png")
    with pytest.raises(ValueError, match=r"ends in \.png"):
        check_landmark_picture_path(tmp_path / "picture.jpg")


def test_bad_input_is_named() -> None:
    points = np.zeros((2, 2))
    with pytest.raises(TypeError, match="sketch must be a numpy array of uint8, got float64"):
        drawn_landmarks(np.zeros((4, 4)), points, points)
    with pytest.raises(ValueError, match=r"sketch must have the shape \[H, W\].*\[4, 4, 3\]"):
        drawn_landmarks(np.zeros((4, 4, 3), np.uint8), points, points)
    with pytest.raises(ValueError, match=r"same shape \[n, 2\], got \[2, 2\] and \[1, 2\]"):
        drawn_landmarks(page(4, 4), points, points[:1])
