"""rasterize's CUDA kernels, run thread by thread on the CPU (emulation/cuda_runtime.h), against the CPU's kernels.

SKETCHFAST_EMULATION_SANITIZERS=1 compiles them with AddressSanitizer and UBSan, which takes longer.
"""

import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tests.cuda import emulator
from tests.ops.drawn_sequences import Sequences, assert_same, random_sequences

CASES = int(os.environ.get("SKETCHFAST_EMULATION_CASES", "40"))


@dataclass
class Case:
    drawn: Sequences
    offset: int = 0  # bytes of the images past a 16-byte boundary, and of the points rounded down to 4
    band_rows: int = 64  # RasterTuning of csrc/cuda/rasterize.h
    most_blocks: int = 0

    def encoded(self) -> bytes:
        drawn, count = self.drawn, len(self.drawn.points)
        fit = struct.unpack("<q", struct.pack("<d", -1.0 if drawn.fit is None else drawn.fit))[0]
        lengths = np.zeros(count, np.int64) if drawn.lengths is None else drawn.lengths.astype(np.int64)
        numbers = (count, drawn.points.shape[1], *drawn.size, drawn.thickness, drawn.antialias, fit)
        tuning = (drawn.lengths is not None, self.offset, self.band_rows, self.most_blocks)
        arrays = (np.ascontiguousarray(drawn.points), drawn.pen, lengths)
        return struct.pack("<11q", *numbers, *tuning) + b"".join(array.tobytes() for array in arrays)

    def outputs(self) -> list[tuple[tuple[int, ...], np.dtype]]:
        return [((len(self.drawn.points), *self.drawn.size), np.dtype(np.uint8))]


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return emulator.build("rasterize")
    except FileNotFoundError as error:
        pytest.skip(str(error))


def assert_cases(program: Path, cases: list[Case], seed: int) -> None:
    results, _ = emulator.run(program, cases, seed)
    for case, (found,) in zip(cases, results, strict=True):
        where = f"offset {case.offset}, bands of {case.band_rows}, blocks {case.most_blocks}"
        assert_same(found, case.drawn.by_numpy(), case.drawn, where)


def drawn_case(random: np.random.Generator) -> Case:
    settings: dict[str, object] = {"antialias": bool(random.random() < 0.4)}
    if random.random() < 0.3:
        settings["thickness"] = int(random.integers(8, 65))
    if random.random() < 0.4:
        settings["fit"] = float(random.choice([0, 0.07, 0.4]))
    if random.random() < 0.4:
        settings["size"] = (int(random.integers(1, 40)), int(random.choice([64, 96, 130, 132])))
    drawn = random_sequences(random, int(random.choice([1, 3])), **settings)
    offset = int(random.choice([0, 0, 4, random.integers(16)]))
    return Case(drawn, offset, int(random.choice([1, 7, 64])), int(random.choice([0, 1, 2])))


def test_random_cases(program: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    cases = [drawn_case(random) for _ in range(CASES)]
    assert_cases(program, cases, seed)


def test_more_segments_than_threads(program: Path, seed: int) -> None:
    """Several rounds of a block over one sequence; all segments of a round are near the only tile of the last canvas."""
    random = np.random.default_rng(seed)
    points = (np.cumsum(random.normal(0, 2, (1, 700, 2)), axis=1) + 40).astype(np.float32)
    pen = (random.random((1, 700)) < 0.1).astype(np.uint8)
    drawn = Sequences(points, pen, (70, 80), 2)
    cases = [
        replace(drawn, antialias=antialias, fit=fit) for antialias in (False, True) for fit in (None, 0.1)
    ]
    crowd = (random.random((1, 700, 1)) * [60, 12] + random.random((1, 700, 2)) * 3).astype(np.float32)
    cases.append(Sequences(crowd, np.ones((1, 700), np.uint8), (16, 64), 1, True))
    assert_cases(program, [Case(case) for case in cases], seed)


def test_bands_join(program: Path, seed: int) -> None:
    """Thin lines of every slope, cut where bands begin: no pixel is missing at the seams."""
    random = np.random.default_rng(seed)
    points = (random.random((1, 60, 2)) * [110, 70] - 10).astype(np.float32)
    drawn = Sequences(points, (np.arange(60) % 2).astype(np.uint8)[None], (50, 90))
    assert_cases(program, [Case(drawn, band_rows=rows) for rows in (1, 2, 7, 64)], seed)


def test_lines_from_far_away_and_the_largest_side(program: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    cases = []
    for size in ((30, 40), (3, 4096), (4096, 3)):
        points = (random.normal(0, 1, (1, 12, 2)) * 10 ** random.uniform(2, 5.5, (1, 12, 1))).astype(
            np.float32
        )
        for thickness in (1, 64):
            for antialias in (False, True):
                cases.append(Case(Sequences(points, np.zeros((1, 12), np.uint8), size, thickness, antialias)))
    assert_cases(program, cases[:6] + cases[8:10], seed)


@pytest.mark.parametrize("fit", [None, 0.1])
@pytest.mark.parametrize("antialias", [False, True])
def test_points_that_cannot_be_drawn_are_left_out(
    program: Path, seed: int, antialias: bool, fit: float | None
) -> None:
    """With the lines to them, as if the pen had lifted before; lengths are cut to what is there."""
    random = np.random.default_rng(seed)
    points = (random.random((3, 9, 2)) * 40).astype(np.float32)
    pen = np.zeros((3, 9), np.uint8)
    good = Sequences(points, pen, (40, 48), 1, antialias, np.array([9, 0, 9]), fit)
    spoilt = replace(good, points=points.copy(), lengths=np.array([2**40, -5, 10]))
    for row, wrong in ((0, np.nan), (2, np.inf), (0, -1e31)):
        bad = 4 if row == 0 and np.isnan(wrong) else 6
        spoilt.points[row, bad, int(random.integers(2))] = wrong
    ((found,),), _ = emulator.run(program, [Case(spoilt)], seed)
    # The same without those points: what came before them lifts.
    for row, gone in ((0, [4, 6]), (1, []), (2, [6])):
        kept = [i for i in range(9) if i not in gone]
        lifts = pen[row].copy()
        lifts[[i - 1 for i in gone]] = 1
        lengths = np.array([0 if row == 1 else len(kept)])
        wanted = replace(good, points=points[row : row + 1, kept], pen=lifts[None, kept], lengths=lengths)
        assert_same(found[row : row + 1], wanted.by_numpy(), wanted, f"sequence {row}")


def test_no_sequences(program: Path) -> None:
    drawn = Sequences(np.zeros((0, 4, 2), np.float32), np.zeros((0, 4), np.uint8), (9, 9))
    ((images,),), _ = emulator.run(program, [Case(drawn)], 0)
    assert images.shape == (0, 9, 9)
