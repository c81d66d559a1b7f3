"""skeletonize's CUDA kernels, run thread by thread on the CPU (emulation/cuda_runtime.h), against the definitions.

SKETCHFAST_EMULATION_SANITIZERS=1 compiles them with AddressSanitizer and UBSan, which takes longer.
"""

import os
import random
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from sketchfast import reference
from tests.cuda import emulator

CASES = int(os.environ.get("SKETCHFAST_EMULATION_CASES", "12"))
METHODS = ("skel", "thin", "zhang")
PLACES = (
    "nowhere",
    "registers",
    "shared",
    "global",
    "global_together",
)  # SkeletonPlace of csrc/cuda/skeletonize.h
SIDES = [1, 2, 3, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257]
NO_THRESHOLD = -1000


@dataclass(frozen=True)
class Tuning:
    """SkeletonTuning of csrc/cuda/skeletonize.h, and the device that the kernels are told of."""

    registers: int = 1
    shared_bytes: int = -1
    max_warps: int = 16
    band_rows: int = 0
    max_blocks_per_image: int = 0
    max_images_at_once: int = 0
    workspace_bytes: int = 256 << 20
    multiprocessors: int = 3
    blocks: int = 1


IN_SHARED = {"registers": 0}
IN_GLOBAL = {"registers": 0, "shared_bytes": 0, "max_blocks_per_image": 1}
TOGETHER = {"registers": 0, "shared_bytes": 0}


@dataclass
class Case:
    images: np.ndarray  # uint8 [N, H, W]
    method: str = "skel"
    max_passes: int = -1
    threshold: int = NO_THRESHOLD
    offsets: tuple[int, int] = (0, 0)  # bytes of the images and of the output past a 16-byte boundary
    tuning: Tuning = field(default_factory=Tuning)

    def encoded(self) -> bytes:
        t = self.tuning
        numbers = [METHODS.index(self.method), *self.images.shape, *self.offsets, self.threshold]
        numbers += [self.max_passes, t.registers, t.shared_bytes, t.max_warps, t.band_rows]
        numbers += [
            t.max_blocks_per_image,
            t.max_images_at_once,
            t.workspace_bytes,
            t.multiprocessors,
            t.blocks,
        ]
        return struct.pack("<17q", *numbers) + np.ascontiguousarray(self.images).tobytes()

    def outputs(self) -> list[tuple[tuple[int, ...], np.dtype]]:
        return [((), np.dtype(np.uint8)), (self.images.shape, np.dtype(np.uint8))]

    def expected(self) -> np.ndarray:
        images = torch.from_numpy(self.images)
        if self.threshold != NO_THRESHOLD:
            return reference.homogeneous_transform(images, self.threshold).numpy()
        limit = None if self.max_passes < 0 else self.max_passes
        return reference.skeletonize(images, self.method, limit).to(torch.uint8).numpy()

    def __str__(self) -> str:
        return f"{self.method} {self.images.shape} {self.max_passes=} {self.threshold=} {self.offsets} {self.tuning}"


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return emulator.build("skeletonize")
    except FileNotFoundError as error:
        pytest.skip(str(error))


def draw_images(count: int, height: int, width: int, draw: random.Random) -> np.ndarray:
    """Bytes of which the non-zero ones are noise, thick blobs, thin strokes, everything, or nothing."""
    generator = np.random.default_rng(draw.randrange(2**32))
    images = np.zeros((count, height, width), bool)
    rows, columns = np.mgrid[:height, :width]
    for image in images:
        kind = draw.choice(["noise", "noise", "blobs", "blobs", "strokes", "full", "empty"])
        if kind == "noise":
            image |= generator.random(image.shape) < draw.uniform(0.05, 0.95)
        if kind == "full":  # a band of it: a pass takes a pixel off each side
            image[: draw.randint(1, 24)] = True
        if kind in ("blobs", "strokes"):
            for _ in range(draw.randint(1, 12)):
                # Often across an edge of a lane's rows or a word, and across the image's own.
                y, x = draw.uniform(-5, height + 5), draw.uniform(-5, width + 5)
                angle, length = draw.uniform(0, np.pi), draw.uniform(1, max(height, width))
                half = draw.uniform(0.4, 1.5) if kind == "strokes" else draw.uniform(2, 7)
                along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
                across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
                image |= (np.abs(across) <= half) & (np.abs(along) <= length / 2)
            if draw.random() < 0.5:
                image ^= generator.random(image.shape) < 0.02
    return images * generator.integers(1, 256, images.shape).astype(np.uint8)


def draw_case(draw: random.Random, where: dict[str, int], largest: int) -> Case:
    count = draw.choice([1, 1, 2, 5])
    height, width = (draw.choice([*SIDES, draw.randint(1, largest)]) for _ in range(2))
    height, width = min(height, largest), min(width, largest)
    if where and draw.random() < 0.3:
        height, width = draw.randint(1, 60), draw.choice([1023, 1024, 1025, 1952, draw.randint(900, 2100)])
    count = max(1, min(count, 70_000 // (height * width)))
    threshold = draw.choice([NO_THRESHOLD, NO_THRESHOLD, 128, draw.randint(-1, 257)])
    plain = threshold == NO_THRESHOLD
    tuning = Tuning(
        max_warps=draw.choice([1, 2, 4]),
        band_rows=draw.choice([0, 8, 10, 16, 64]),
        max_images_at_once=draw.choice([0, 1, 2]),
        workspace_bytes=draw.choice([1, 256 << 20]),
        multiprocessors=draw.choice([1, 3, 5]),
        blocks=draw.choice([1, 2]),
    )
    return Case(
        draw_images(count, height, width, draw),
        draw.choice(METHODS) if plain else "skel",
        draw.choice([-1, -1, 0, 1, 2, 5]) if plain else -1,
        threshold,
        (draw.choice([0, 0, 8, draw.randrange(16)]), draw.choice([0, 0, 8, draw.randrange(16)])),
        Tuning(**{**tuning.__dict__, **where}),
    )


def one_after_the_other(count: int, method: str, draw: random.Random, where: dict[str, int]) -> Case:
    """A warp or a block takes several images; it reads eight pixels at a time and writes single ones."""
    tuning = Tuning(max_images_at_once=1, max_warps=2, **where)
    return Case(draw_images(count, 30, 40, draw), method, offsets=(0, 1), tuning=tuning)


def check(program: Path, cases: list[Case], seed: int) -> list[str]:
    """The places in which the cases were worked on."""
    results, said = emulator.run(program, cases, seed)
    print(said)
    for number, (case, (_, found)) in enumerate(zip(cases, results)):
        np.testing.assert_array_equal(found, case.expected(), err_msg=f"case {number}: {case}")
    return [PLACES[int(place)] for place, _ in results]


def test_in_registers(program: Path, seed: int) -> None:
    draw = random.Random(seed)
    cases = [draw_case(draw, {}, 256) for _ in range(CASES)]
    for method in METHODS:
        cases += [Case(draw_images(1, side, side, draw), method) for side in (64, 128, 256)]
        cases.append(one_after_the_other(20, method, draw, {}))
    assert set(check(program, cases, seed)) == {"registers"}


@pytest.mark.parametrize(
    ("place", "where"), [("shared", IN_SHARED), ("global", IN_GLOBAL), ("global_together", TOGETHER)]
)
def test_by_sweeps(program: Path, seed: int, place: str, where: dict[str, int]) -> None:
    draw = random.Random(seed)
    cases = [draw_case(draw, where, 300) for _ in range(CASES)]
    # Every method over tiles in several lines, and over strips.
    for method in METHODS:
        tuning = Tuning(max_warps=2, band_rows=8, multiprocessors=5, **where)
        cases += [
            Case(draw_images(1, *size, draw), method, tuning=tuning) for size in ((200, 257), (40, 2000))
        ]
        cases.append(one_after_the_other(5, method, draw, where))
    found = check(program, cases, seed)
    assert found.count(place) >= CASES // 3, f"{place} is to be tested, found {found}"


def test_a_small_change_far_away_reaches_its_neighbours_only(program: Path, seed: int) -> None:
    """Tiles without a change are left out, those beside a change are not: one long-lived blob among finished lines."""
    draw = random.Random(seed)
    images = np.zeros((2, 150, 300), np.uint8)
    images[:, ::9] = 1
    for image in images:
        y, x = draw.randint(10, 140), draw.randint(10, 290)
        image[y - 10 : y + 10, x - 10 : x + 10] = 1
    cases = [
        Case(images, method, tuning=Tuning(max_warps=2, band_rows=8, **where))
        for method in METHODS
        for where in (IN_SHARED, TOGETHER)
    ]
    check(program, cases, seed)


def test_the_check_value(program: Path, seed: int) -> None:
    noise = np.random.RandomState(5489).rand(400).reshape(20, 20, order="F") > 0.5
    image = noise[None].astype(np.uint8)
    cases = [
        Case(image, method, tuning=Tuning(**where))
        for method in METHODS
        for where in ({}, IN_SHARED, IN_GLOBAL)
    ]
    check(program, cases, seed)
    results, _ = emulator.run(program, cases, seed)
    assert [int(found.sum()) for _, found in results[:3]] == [158] * 3
    assert [int(found.sum()) for _, found in results[3:6]] == [147] * 3


@pytest.mark.parametrize("shape", [(0, 20, 20), (3, 0, 20), (3, 300, 0)])
def test_nothing_to_do(program: Path, seed: int, shape: tuple[int, int, int]) -> None:
    assert check(program, [Case(np.zeros(shape, np.uint8))], seed) == ["nowhere"]
