"""rasterize: operator contract, scikit-image's lines, clipping, pens, fits and coverage; real chairs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sketchfast import numpy_ops, ops, reference
from sketchfast.canvas import NO_FIT
from sketchfast.data.qmul_strokes import read_coordinates
from tests.ops.drawn_sequences import Sequences, assert_same, disc, random_sequences
from tests.ops.op_tester import Arguments, OpTester

LIMIT = 2**22


def by_place(rasterize: Any) -> Any:
    """With positional arguments only, as the tests of every operator give them."""

    def call(points: Any, pen: Any, size: Any, thickness: Any, lengths: Any, fit: Any) -> Tensor:
        return rasterize(points, pen, size, thickness, False, lengths=lengths, fit=fit)

    return call


class TestRasterize(OpTester):
    function = staticmethod(by_place(ops.rasterize))
    operator = torch.ops.sketchfast.rasterize.default
    reference = staticmethod(by_place(reference.rasterize))

    def sample_inputs(self, generator: torch.Generator) -> Iterator[Arguments]:
        points = torch.rand(3, 12, 2, generator=generator) * 60 - 10
        pen = torch.rand(3, 12, generator=generator) < 0.3
        lengths = torch.tensor([12, 0, 5])
        yield points, pen, (33, 40), 1, None, None
        yield points.double(), pen.to(torch.uint8) * 7, 40, 3, lengths, 0.1
        yield points.bfloat16(), pen.float(), (7, 129), 4, lengths.int(), None
        yield points[:, :0], pen[:, :0].long(), (3, 5), 2, None, 0.0
        yield points[:0], pen[:0], 9, 2, None, None

    def operator_arguments(self, arguments: Arguments) -> Arguments:
        points, pen, size, thickness, lengths, fit = arguments
        height, width = size if isinstance(size, tuple) else (size, size)
        ends = None if lengths is None else lengths.long()
        return points.float(), pen != 0, ends, height, width, thickness, False, NO_FIT if fit is None else fit

    def bad_inputs(self) -> Iterator[tuple[Arguments, type[Exception], str]]:
        points, pen = torch.zeros(2, 3, 2), torch.zeros(2, 3, dtype=torch.bool)
        lengths = torch.tensor([3, 2])
        good = {"points": points, "pen": pen, "size": 8, "thickness": 1, "lengths": lengths, "fit": None}

        def bad(error: type[Exception], pattern: str, **other: Any) -> tuple[Arguments, type[Exception], str]:
            return tuple({**good, **other}.values()), error, pattern

        yield bad(TypeError, "points must be a torch.Tensor, found ndarray", points=points.numpy())
        yield bad(TypeError, "pen must be a torch.Tensor, found list", pen=[0, 0, 0])
        yield bad(TypeError, "lengths must be a torch.Tensor, found list", lengths=[3, 2])
        yield bad(TypeError, "points must be floating, found torch.int64", points=points.long())
        yield bad(TypeError, "lengths must be integers, found torch.float32", lengths=lengths.float())
        for shape in ((3, 2), (2, 3, 3)):
            pattern = rf"points must have shape \[N, T, 2\], found \[{', '.join(map(str, shape))}\]"
            yield bad(ValueError, pattern, points=torch.zeros(shape))
        yield bad(ValueError, r"pen must have shape \[2, 3\] for points \[2, 3, 2\], found \[2, 4\]",
                  pen=torch.zeros(2, 4))  # fmt: skip
        yield bad(ValueError, r"lengths must have shape \[2\] for points \[2, 3, 2\], found \[3\]",
                  lengths=torch.tensor([1, 2, 3]))  # fmt: skip
        for wrong in (0, 4097, (8, 0), (8, 8, 8)):
            pattern = r"size must be an integer or \(height, width\), 1 to 4096, found"
            yield bad(ValueError, pattern, size=wrong)
        for nonsense in (2.5, True, "8"):
            yield bad(TypeError, "size must be an integer", size=nonsense)
        for wrong in (0, 65, -1):
            yield bad(ValueError, f"thickness must be an integer 1 to 64, found {wrong}", thickness=wrong)
        yield bad(TypeError, "thickness must be an integer 1 to 64, found 1.5", thickness=1.5)
        for wrong in (0.5, -0.1, float("nan")):
            yield bad(ValueError, "fit must be None or a margin of 0 to below 0.5, found", fit=wrong)
        yield bad(TypeError, "fit must be None or a margin", fit="tight")
        for wrong in (-1, 4):
            ends = torch.tensor([3, wrong])
            yield bad(ValueError, rf"lengths\[1\] must be 0 to 3, found {wrong}", lengths=ends)
        for wrong in (float("nan"), float("inf"), -LIMIT * 1.01):
            spoilt = points.clone()
            spoilt[1, 1, 1] = wrong
            pattern = r"points\[1, 1\] must be at most 4.1943e\+06 in size, found \(0, (-?nan|inf|-4)"
            yield bad(ValueError, pattern, points=spoilt)
        spoilt = points.clone()
        spoilt[0, 2, 0] = 1e31
        yield bad(ValueError, r"points\[0, 2\] must be at most 1.26765e\+30", points=spoilt, fit=0.1)

    def test_operator_checks_its_own_arguments(self) -> None:
        points, pen, lengths = torch.zeros(2, 3, 2), torch.zeros(2, 3, dtype=torch.bool), torch.tensor([3, 2])
        good = (points, pen, lengths, 8, 8, 1, False, NO_FIT)
        assert self.operator(*good).shape == (2, 8, 8)
        for place, value, pattern in (
            (0, points.double(), "points must be Float"),
            (0, points[0], r"points must have shape \[N, T, 2\], found \[3, 2\]"),
            (1, pen.long(), "pen must be bool or uint8, found Long"),
            (1, pen[:1], r"pen must have shape \[N, T\] of points \[2, 3, 2\], found \[1, 3\]"),
            (2, lengths.int(), "lengths must be Long"),
            (2, lengths[:1], r"lengths must have shape \[N\]"),
            (3, 0, "size must be 1 to 4096, found"),
            (4, 5000, "size must be 1 to 4096, found"),
            (5, 65, "thickness must be 1 to 64, found 65"),
            (7, 0.5, "fit must be below 0.5"),
        ):
            with pytest.raises(RuntimeError, match=f"rasterize: {pattern}"):
                self.operator(*good[:place], value, *good[place + 1 :])


def assert_faces(drawn: Sequences) -> np.ndarray:
    """Torch face = numpy face on every path; returns it."""
    found = drawn.by_torch()
    for path in numpy_ops.rasterize_paths():
        assert_same(drawn.by_numpy(path), found, drawn, path)
    return found


def test_random_sequences_equal_scikit_image_and_the_definition(seed: int) -> None:
    """1,000 and more sequences, thickness 1 to 7; every tenth batch by the definition too."""
    random = np.random.default_rng(seed)
    count = 0
    for number in range(150):
        drawn = random_sequences(random, 8)
        found = assert_faces(drawn)
        assert_same(found, drawn.by_skimage(), drawn, "scikit-image")
        if number % 10 == 0:
            assert_same(found, drawn.by_definition(), drawn, "definition")
        count += len(drawn.points)
    assert count >= 1000


@pytest.mark.parametrize("thickness", [8, 31, 32, 33, 63, 64])
def test_wide_pens(thickness: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(4):
        drawn = random_sequences(random, 2, thickness=thickness)
        assert_same(assert_faces(drawn), drawn.by_skimage(), drawn)


def visible_line(x0: int, y0: int, x1: int, y1: int, height: int, width: int) -> np.ndarray:
    """A picture of the line, each pixel by the formula, in integers of any size; only the canvas is looked at."""
    picture = np.full((height, width), 255, np.uint8)
    dx, dy = abs(x1 - x0), abs(y1 - y0)
    right, down = (1 if x1 >= x0 else -1), (1 if y1 >= y0 else -1)
    if dx >= dy:
        for x in range(width):
            if 0 <= (k := (x - x0) * right) <= dx:
                y = y0 + down * ((2 * k * dy + dx) // (2 * dx)) if dx else y0
                if 0 <= y < height:
                    picture[y, x] = 0
        return picture
    return visible_line(y0, x0, y1, x1, width, height).T


def test_clipping_never_changes_a_line(seed: int) -> None:
    """Ends up to 2^22 away: the same pixels as of the whole line."""
    random = np.random.default_rng(seed)
    seen = 0
    for _ in range(400):
        height, width = (int(n) for n in random.integers(1, 90, 2))
        through = random.random(2) * [width, height]
        away = 10 ** random.uniform(0, 6.6, 2) * random.choice([-1, 1], 2)
        turn = random.random() * 2 * np.pi
        direction = np.array([np.cos(turn), np.sin(turn)])
        ends = np.clip(np.round(through + direction * away[:, None]), -LIMIT, LIMIT).astype(np.float32)
        drawn = Sequences(ends[None], np.zeros((1, 2), np.uint8), (height, width))
        wanted = visible_line(*(int(v) for v in ends.flatten()), height, width)
        assert_same(assert_faces(drawn), wanted[None], drawn)
        seen += int((wanted == 0).any())
    assert seen > 200


@pytest.mark.parametrize("antialias", [False, True])
def test_the_ends_of_what_is_legal(antialias: bool) -> None:
    corners = np.array([[-LIMIT, -LIMIT], [LIMIT, LIMIT], [LIMIT, -LIMIT], [-LIMIT, LIMIT]], np.float32)
    pen = np.array([[0, 1, 0, 1]], np.uint8)
    drawn = Sequences(corners[None], pen, (64, 64), antialias=antialias)
    diagonal = np.arange(64)
    picture = assert_faces(drawn)[0]
    assert (picture[diagonal, diagonal] == 0).all()
    # y = -x meets the canvas at its corner only.
    assert (np.argwhere(picture == 0) == np.stack([diagonal, diagonal], 1)).all()


def test_pen_lengths_and_kinds_of_numbers() -> None:
    """Points 0 and 1 are joined, 2 is a dot, 3 and 4 are joined; 4 ends the sequence, its pen down: NaN is not seen."""
    points = torch.tensor([[[1, 1], [4, 1], [6, 6], [0, 8], [3, 8], [float("nan"), 2]]])
    pen, lengths = torch.tensor([[0, 1, 1, 0, 0, 0]]), torch.tensor([5])
    wanted = torch.full((10, 10), 255, dtype=torch.uint8)
    wanted[1, 1:5] = wanted[6, 6] = wanted[8, 0:4] = 0
    for places in (points, points.double(), points.half(), points.bfloat16()):
        for lifts in (pen, pen.bool(), pen.to(torch.uint8), -pen.to(torch.int8), 0.5 * pen):
            for ends in (lengths, lengths.int(), lengths.to(torch.uint8)):
                assert torch.equal(ops.rasterize(places, lifts, 10, lengths=ends)[0], wanted)
                arrays = (places.double().numpy(), lifts.numpy(), 10)
                found = numpy_ops.rasterize(*arrays, lengths=ends.numpy())
                np.testing.assert_array_equal(found[0], wanted.numpy())


@pytest.mark.parametrize("thickness", range(1, 65))
def test_a_dot_is_the_disc(thickness: int) -> None:
    drawn = Sequences(np.full((1, 1, 2), 40, np.float32), np.zeros((1, 1), np.uint8), (80, 80), thickness)
    pixels = {(x - 40, y - 40) for y, x in np.argwhere(assert_faces(drawn)[0] == 0)}
    assert pixels == set(disc(thickness))


@pytest.mark.parametrize("antialias", [False, True])
def test_fits(antialias: bool, seed: int) -> None:
    """Against the definition, from units of 1e-30 to 1e+30; then where the ink lies."""
    random = np.random.default_rng(seed)
    for _ in range(25):
        drawn = random_sequences(random, 3, antialias=antialias, fit=float(random.choice([0, 0.1, 0.49])))
        drawn.points *= np.float32(10 ** random.uniform(-30, 28))
        if random.random() < 0.2:
            drawn.points[..., int(random.integers(2))] = 7  # of no extent in one direction
        assert_same(assert_faces(drawn), drawn.by_definition(), drawn)
    points = (random.random((20, 30, 2)) * 10 ** random.uniform(-3, 6)).astype(np.float32)
    pictures = Sequences(points, np.zeros((20, 30), np.uint8), (101, 161), fit=0.1).by_torch()
    for picture, (across, down) in zip(pictures, np.ptp(points, axis=1), strict=True):
        (top, left), (bottom, right) = (f(np.argwhere(picture == 0), axis=0) for f in (np.min, np.max))
        scale = min((160 - 2 * 10.1) / across, (100 - 2 * 10.1) / down)
        np.testing.assert_allclose((right - left, bottom - top), (across * scale, down * scale), atol=1.01)
        np.testing.assert_allclose((left + right, top + bottom), (160, 100), atol=1.01)


def test_no_extent_is_centred() -> None:
    points = np.full((1, 3, 2), 1e6, np.float32)
    picture = Sequences(points, np.zeros((1, 3), np.uint8), (7, 9), fit=0.2).by_torch()[0]
    assert np.argwhere(picture == 0).tolist() == [[3, 4]]


def test_coverage_is_within_a_level_of_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(120):
        thickness = int(random.choice([1, 2, 3, 5, 9, 64]))
        drawn = random_sequences(random, 2, antialias=True, thickness=thickness)
        assert_same(assert_faces(drawn), drawn.by_definition(), drawn)


def test_coverage_of_lines_from_far_away(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(60):
        turn, away = random.random() * 2 * np.pi, 10 ** random.uniform(1, 6.3, 2) * [-1, 1]
        direction = np.array([np.cos(turn), np.sin(turn)])
        ends = (random.random(2) * [50, 40] + direction * away[:, None]).astype(np.float32)
        drawn = Sequences(ends[None], np.zeros((1, 2), np.uint8), (40, 50), 3, antialias=True)
        assert_same(assert_faces(drawn), drawn.by_definition(), drawn)


def test_coverage_of_the_largest_canvas(seed: int) -> None:
    """Rows of a long line at the far end, where float32 is coarsest."""
    random = np.random.default_rng(seed)
    ends = (random.random((1, 2, 2)) * [4095, 30]).astype(np.float32)
    drawn = Sequences(ends, np.zeros((1, 2), np.uint8), (30, 4096), 2, antialias=True)
    assert_same(assert_faces(drawn), drawn.by_definition(), drawn)


def test_real_chairs_keep_their_strokes_apart(data_root: Path, seed: int) -> None:
    """Drawings of the pickle at its own 256 pixels: a drawing is the sum of its strokes drawn alone, and nothing joins them."""
    path = data_root / "ChairV2" / "ChairV2_Coordinate"
    if not path.is_file():
        pytest.skip(f"no {path}")
    drawings = list(read_coordinates(path).values())
    random = np.random.default_rng(seed)
    for i in random.choice(len(drawings), 12, replace=False):
        drawing = drawings[i]
        whole = Sequences(drawing[None, :, :2], drawing[None, :, 2].astype(np.uint8), (256, 256))
        picture = assert_faces(whole)[0]
        strokes = np.split(drawing[:, :2], np.flatnonzero(drawing[:, 2])[:-1] + 1)
        assert len(strokes) > 1
        alone = np.full((256, 256), 255, np.uint8)
        for stroke in strokes:
            down = np.zeros((1, len(stroke)), np.uint8)
            alone = np.minimum(alone, Sequences(stroke[None], down, (256, 256)).by_skimage()[0])
        np.testing.assert_array_equal(picture, alone)
        joined = Sequences(whole.points, np.zeros_like(whole.pen), (256, 256)).by_torch()[0]
        assert (joined == 0).sum() > (picture == 0).sum()


def test_meta_tensors_have_meta_results() -> None:
    points, pen = torch.zeros(2, 3, 2, device="meta"), torch.zeros(2, 3, dtype=torch.bool, device="meta")
    found = ops.rasterize(points, pen, (4, 5))
    assert found.is_meta and found.shape == (2, 4, 5) and found.dtype == torch.uint8


def test_points_that_need_a_gradient_are_drawn() -> None:
    points = torch.rand(1, 5, 2, requires_grad=True)
    assert not ops.rasterize(points, torch.zeros(1, 5), 8, fit=0.1).requires_grad
