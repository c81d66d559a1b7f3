"""contour_points' CUDA kernels, run thread by thread on the CPU (emulation/cuda_runtime.h), against the definition.

SKETCHFAST_EMULATION_SANITIZERS=1 compiles them with AddressSanitizer and UBSan, which takes longer.
"""

import os
import random
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from sketchfast import reference
from tests.cuda import emulator
from tests.cuda.test_skeletonize_emulated import draw_images

CASES = int(os.environ.get("SKETCHFAST_EMULATION_CASES", "12"))


@dataclass
class Case:
    images: np.ndarray  # uint8 [N, H, W]
    n: int = 30
    offset: int = 0  # bytes of the images past a 16-byte boundary
    shared_pixels: int = 6000  # ContourTuning of csrc/cuda/contour_points.h
    max_blocks: int = 0
    workspace_bytes: int = 256 << 20

    def encoded(self) -> bytes:
        tuning = (self.shared_pixels, self.max_blocks, self.workspace_bytes)
        numbers = struct.pack("<8q", *self.images.shape, self.n, self.offset, *tuning)
        return numbers + np.ascontiguousarray(self.images).tobytes()

    def outputs(self) -> list[tuple[tuple[int, ...], np.dtype]]:
        count = len(self.images)
        return [((count, self.n, 2), np.dtype(np.int32)), ((count,), np.dtype(np.uint8))]

    def __str__(self) -> str:
        tuning = (self.shared_pixels, self.max_blocks, self.workspace_bytes)
        return f"{self.images.shape} n={self.n} offset={self.offset} {tuning}"


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return emulator.build("contour_points")
    except FileNotFoundError as error:
        pytest.skip(str(error))


def draw_case(draw: random.Random) -> Case:
    height, width = (draw.choice([1, 2, 15, 16, 33, 64, 100, draw.randint(1, 130)]) for _ in range(2))
    count = max(1, min(draw.choice([1, 2, 5]), 20_000 // (height * width)))
    return Case(
        draw_images(count, height, width, draw),
        draw.choice([1, 2, 7, 30, draw.randint(1, 200)]),
        draw.randrange(16),
        draw.choice([6000, 6000, 0, 5, 100]),  # all, none, or the first few pixels in shared memory
        draw.choice([0, 0, 1, 2]),
        draw.choice([256 << 20, 1]),
    )


def assert_as_defined(case: Case, arrays: list[np.ndarray], where: str) -> None:
    points, valid = reference.contour_points(torch.from_numpy(case.images), case.n)
    np.testing.assert_array_equal(arrays[1], valid.numpy(), err_msg=where)
    np.testing.assert_array_equal(arrays[0], points.numpy(), err_msg=where)


def test_points_are_as_defined(program: Path, seed: int) -> None:
    draw = random.Random(seed)
    cases = [draw_case(draw) for _ in range(CASES)]
    results, said = emulator.run(program, cases, draw.randrange(2**31))
    print(said)
    for number, (case, arrays) in enumerate(zip(cases, results)):
        assert_as_defined(case, arrays, f"case {number}: {case}")


def test_blank_images_and_fewer_pixels_than_points(program: Path, seed: int) -> None:
    images = np.zeros((4, 20, 31), np.uint8)
    images[1, 7, 5] = 1
    images[2, 3, 2:4] = 200
    images[2, 15, 30] = 1
    cases = [Case(images, n, max_blocks=blocks) for n in (1, 3, 8, 300) for blocks in (0, 1)]
    results, _ = emulator.run(program, cases, seed)
    for case, arrays in zip(cases, results):
        assert_as_defined(case, arrays, str(case))
        assert arrays[1].tolist() == [0, 1, 1, 0] and (arrays[0][0] == (15, 10)).all()


def test_equal_distances_take_the_first_in_row_major_order(program: Path, seed: int) -> None:
    """Isolated pixels on a lattice: nearly every step has ties, between pixels in shared memory and in global memory too."""
    images = np.zeros((1, 61, 64), np.uint8)
    images[:, ::4, ::4] = 1
    cases = [Case(images, 100, shared_pixels=shared) for shared in (6000, 130, 0)]
    results, _ = emulator.run(program, cases, seed)
    for case, arrays in zip(cases, results):
        assert_as_defined(case, arrays, str(case))


def test_no_images(program: Path) -> None:
    ((points, valid),), _ = emulator.run(program, [Case(np.zeros((0, 9, 9), np.uint8))], 0)
    assert points.shape == (0, 30, 2) and valid.shape == (0,)
