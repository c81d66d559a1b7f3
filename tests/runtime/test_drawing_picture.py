"""A drawing as a picture and as an animation: what each frame shows, and what the files hold."""

from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from sketchfast.runtime.drawing_picture import ANIMATIONS, animation_bytes, drawing_frames, drawing_picture

L_SHAPE = [np.array([[0.0, 0.0], [0.0, 100.0], [50.0, 100.0]]), np.array([[50.0, 0.0], [100.0, 0.0]])]


def ink(frame: np.ndarray) -> float:
    return float((255 - frame.astype(np.float64)).sum() / 255)


def test_a_picture_is_fitted() -> None:
    picture = drawing_picture(L_SHAPE, 64)
    assert picture.shape == (64, 64) and picture.dtype == np.uint8 and picture.max() == 255
    rows, columns = np.nonzero(picture < 200)
    for values in (rows, columns):  # the middle of lines: 4 to 60 of 0 to 64, which are the edges of pixels
        assert abs(values.min() - 3.5) <= 1 and abs(values.max() - 59.5) <= 1
    assert (picture == drawing_picture([stroke * 7 + 1000 for stroke in L_SHAPE], 64)).all()
    assert (drawing_picture([], 64) == 255).all() and (drawing_picture([np.zeros((0, 2))], 64) == 255).all()
    dot = drawing_picture([[[5.0, 5.0]]], 65)
    assert dot[32, 32] == 0 and ink(dot) < 3


def test_frames_grow_at_one_speed_and_pause_between_strokes() -> None:
    frames = list(drawing_frames(L_SHAPE, 64))
    assert len(frames) == 72 and (frames[-1] == drawing_picture(L_SHAPE, 64)).all()
    for before, after in pairwise(frames):
        assert (after.astype(int) <= before.astype(int) + 1).all()  # what is drawn stays
    drawn = np.array([ink(frame) for frame in frames])
    drawn /= drawn[-1]
    # 150 of 200 units, 4 (2 % of them) in the air, 50: of 204.
    down = np.arange(1, 73) * 204 / 72
    expected = np.where(down < 150, down, np.maximum(150, down - 4)) / 200
    np.testing.assert_allclose(drawn, expected, atol=0.03)
    first_stroke = frames[int(72 * 150 / 204) - 1]
    assert (first_stroke[:32, 32:] == 255).all() and (frames[-1][:32, 32:] < 200).any()


def test_dots_come_one_after_another() -> None:
    dots = [np.array([[x, 0.0]]) for x in (0.0, 10.0, 20.0)]
    # Each lies between two columns of pixels.
    counts = [np.count_nonzero(frame.min(axis=0) < 200) for frame in drawing_frames(dots, 64)]
    assert sorted(set(counts)) == [2, 4, 6] and counts == sorted(counts)
    assert len(list(drawing_frames(dots[:1], 64))) == len(list(drawing_frames([], 64))) == 1


@pytest.mark.parametrize("extension", ANIMATIONS)
def test_files(extension: str) -> None:
    with Image.open(BytesIO(animation_bytes(L_SHAPE, 64, extension))) as animation:
        assert animation.format == ANIMATIONS[extension]
        assert animation.size == (64, 64) and animation.info["loop"] == 0
        frames, lasted = [], 0.0
        for number in range(animation.n_frames):
            animation.seek(number)
            frames.append(np.array(animation.convert("L")))
            lasted += animation.info["duration"]
    assert lasted == pytest.approx(71 * 40 + 1600)
    assert np.abs(frames[-1].astype(int) - drawing_picture(L_SHAPE, 64)).max() <= 8
    assert len(frames) > 60 and ink(frames[0]) < 0.05 * ink(frames[-1])


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"side must be 32\.\.4096 pixels, got 8"):
        drawing_picture(L_SHAPE, 8)
    with pytest.raises(ValueError, match=r"extension must be one of \.gif, .*, got '\.mp4'"):
        animation_bytes(L_SHAPE, 64, ".mp4")
