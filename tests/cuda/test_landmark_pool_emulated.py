"""landmark_pool's CUDA kernels, run thread by thread on the CPU (emulation/cuda_runtime.h), against the definition.

SKETCHFAST_EMULATION_SANITIZERS=1 compiles them with AddressSanitizer and UBSan, which takes longer.
"""

import os
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.cuda import emulator

CASES = int(os.environ.get("SKETCHFAST_EMULATION_CASES", "48"))
VALUES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
# Of a result rounded to the type, relative to the sum of the magnitudes of what it is a sum of.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-14, torch.float16: 1e-3, torch.bfloat16: 8e-3}


@dataclass(frozen=True)
class Case:
    features: Tensor  # [N, C, H, W]
    points: Tensor  # [N, L, 2]
    grad: Tensor  # [N, C], or [N, L, C] for "none"
    channels_last: bool = False
    offset: int = 0  # bytes of features and their gradient past a 16-byte boundary
    shared_bytes: int = 64 * 1024  # PoolTuning of csrc/cuda/landmark_pool.h
    blocks_wanted: int = 1024
    block_bytes: tuple[int, int] = (8 * 1024, 128 * 1024)
    most_blocks: int = 1 << 20

    def encoded(self) -> bytes:
        numbers = [VALUES.index(self.features.dtype), *self.features.shape, self.points.shape[1]]
        numbers += [self.channels_last, self.grad.ndim == 2, self.points.dtype == torch.float64, self.offset]
        numbers += [self.shared_bytes, self.blocks_wanted, *self.block_bytes, self.most_blocks]
        features = self.features.permute(0, 2, 3, 1) if self.channels_last else self.features
        arrays = (self.points, features, self.grad)
        return struct.pack("<15q", *numbers) + b"".join(raw(array).tobytes() for array in arrays)

    def outputs(self) -> list[tuple[tuple[int, ...], np.dtype]]:
        n, c, h, w = self.features.shape
        maps = (n, h, w, c) if self.channels_last else (n, c, h, w)
        kind = raw(self.features[:0]).dtype
        points = (tuple(self.points.shape), raw(self.points[:0]).dtype)
        return [(tuple(self.grad.shape), kind), (maps, kind), points]

    def __str__(self) -> str:
        tuning = (self.shared_bytes, self.blocks_wanted, self.block_bytes, self.most_blocks)
        kinds = (self.features.dtype, self.points.dtype, self.channels_last, self.offset)
        return f"{tuple(self.features.shape)} {tuple(self.points.shape)} {tuple(self.grad.shape)} {kinds} {tuning}"


def raw(tensor: Tensor) -> np.ndarray:
    """Contiguous numpy; 16-bit floats as their bits."""
    tensor = tensor.contiguous()
    return (tensor.view(torch.int16) if tensor.dtype in (torch.float16, torch.bfloat16) else tensor).numpy()


def decoded(case: Case, arrays: list[np.ndarray]) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled vectors, gradient of the features as [N, C, H, W], gradient of the points; float64."""
    pooled, features = (torch.from_numpy(array.copy()) for array in arrays[:2])
    if case.features.dtype in (torch.float16, torch.bfloat16):
        pooled, features = pooled.view(case.features.dtype), features.view(case.features.dtype)
    if case.channels_last:
        features = features.permute(0, 3, 1, 2)
    return pooled.double(), features.double(), torch.from_numpy(arrays[2].copy()).double()


def defined(features: Tensor, points: Tensor, reduce: str) -> Tensor:
    """Equations 1-4 tap by tap with the floor rule at integers; differentiable, float64."""
    n, _, height, width = features.shape
    points = torch.where(points.isfinite(), points, -9.0)
    corner = points.detach().floor()
    right, below = (points - corner).unbind(-1)
    images = torch.arange(n)[:, None]
    total = torch.zeros((), dtype=torch.float64)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = (right if dx else 1 - right) * (below if dy else 1 - below)
        column, row = corner[..., 0] + dx, corner[..., 1] + dy
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        column, row = (torch.where(inside, place, 0).long() for place in (column, row))
        total = total + (weight * inside)[..., None] * features[images, :, row, column]
    return total.mean(dim=1) if reduce == "mean" else total


def expected(case: Case) -> list[Tensor]:
    features, points = case.features.double().requires_grad_(), case.points.double().requires_grad_()
    pooled = defined(features, points, "mean" if case.grad.ndim == 2 else "none")
    return [pooled.detach(), *torch.autograd.grad(pooled, (features, points), case.grad.double())]


def assert_as_defined(case: Case, arrays: list[np.ndarray], where: str) -> None:
    assert_close_to_definition(case, decoded(case, arrays), where)


def assert_close_to_definition(case: Case, results: Sequence[Tensor], where: str) -> None:
    """Of the pooled vectors and both gradients, each as float64 on the CPU."""
    dtype, mean = case.features.dtype, case.grad.ndim == 2
    smallest = 2.0**-24 if dtype == torch.float16 else 1e-30
    computed = TOLERANCE[torch.float64 if dtype == torch.float64 else torch.float32]
    # The type's own rounding is relative to the sum of the magnitudes, that of a weight to the largest weight, 1.
    magnitudes = expected(replace(case, features=case.features.abs(), grad=case.grad.abs()))
    largest = case.features.double().abs().amax() if case.features.numel() else torch.tensor(0.0)
    grad = case.grad.double().abs()
    reached = (grad if mean else grad.sum(dim=1))[:, :, None, None]
    slopes = largest * grad.sum(dim=-1) / (case.points.shape[1] if mean else 1)
    slopes = slopes[:, None, None] if mean else slopes[..., None]
    stored = 1e-7 if case.points.dtype == torch.float32 else 0.0
    allowances = (
        TOLERANCE[dtype] * magnitudes[0] + computed * largest,
        TOLERANCE[dtype] * magnitudes[1] + computed * reached,
        (4 * computed + stored) * slopes,
    )
    names = ("pooled", "gradient of features", "gradient of points")
    for name, found, wanted, allowed in zip(names, results, expected(case), allowances):
        excess = (found - wanted).abs() - allowed - smallest
        assert not excess.numel() or bool(excess.max() <= 0), (
            f"{where}: {name} off by {excess.max()} too much"
        )


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return emulator.build("landmark_pool")
    except FileNotFoundError as error:
        pytest.skip(str(error))


def draw_case(draw: random.Random, dtype: torch.dtype | None = None) -> Case:
    generator = torch.Generator().manual_seed(draw.randrange(2**31))
    dtype = dtype or draw.choice(VALUES)
    height, width = draw.choice([(1, 1), (8, 8), (7, 7), (5, 9), (16, 4), (28, 28), (3, 40)])
    channels = draw.choice([1, 3, 8, 16, 24, 40, draw.randint(1, 70)])
    count, length = draw.choice([1, 2, 3]), draw.choice([1, 2, 30, 32, 33, 70, draw.randint(1, 100)])
    if height * width * channels > 6000:
        count = 1
    points = torch.rand(count, length, 2, generator=generator, dtype=torch.float64)
    points = points * torch.tensor([width + 2.0, height + 2.0], dtype=torch.float64) - 1.5
    kind = torch.rand(count, length, generator=generator)
    points = torch.where(
        (kind < 0.3)[..., None], points.round(), points
    )  # on a pixel, on the border's outside
    points = torch.where((kind > 0.8)[..., None], points[:, :1], points)  # several at one place
    points[kind > 0.95] = torch.tensor([draw.choice([float("nan"), float("inf"), 1e30]), 1.0]).double()
    mean = draw.random() < 0.5
    return Case(
        torch.randn(count, channels, height, width, generator=generator).to(dtype),
        points.to(draw.choice([torch.float32, torch.float64])),
        torch.randn((count, channels) if mean else (count, length, channels), generator=generator).to(dtype),
        channels_last=draw.random() < 0.5,
        offset=draw.choice([0, 0, 0, 8]),
        shared_bytes=draw.choice([64 * 1024, 64 * 1024, 0]),  # 0: taps in global memory
        blocks_wanted=draw.choice([1024, 1, 3]),
        block_bytes=draw.choice([(8 * 1024, 128 * 1024), (1, 64), (1, 100_000)]),
        most_blocks=draw.choice([1 << 20, 1, 2]),
    )


@pytest.mark.parametrize("dtype", VALUES, ids=str)
def test_values_and_gradients_are_as_defined(program: Path, seed: int, dtype: torch.dtype) -> None:
    draw = random.Random(seed)
    cases = [draw_case(draw, dtype) for _ in range(CASES // 4)]
    results, said = emulator.run(program, cases, draw.randrange(2**31))
    print(said)
    for number, (case, arrays) in enumerate(zip(cases, results)):
        assert_as_defined(case, arrays, f"case {number}: {case}")


def test_repeats_give_the_same_bits_in_any_order_of_threads(program: Path, seed: int) -> None:
    draw = random.Random(seed)
    cases = [draw_case(draw) for _ in range(CASES // 8)]
    first, _ = emulator.run(program, cases, 1)
    second, _ = emulator.run(program, cases, 2)
    for case, before, after in zip(cases, first, second):
        for a, b in zip(before, after):
            assert a.tobytes() == b.tobytes(), str(case)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("reduce", ["mean", "none"])
def test_many_points_and_large_maps(program: Path, seed: int, channels_last: bool, reduce: str) -> None:
    """Points by the hundreds, more taps than shared memory holds, maps beyond 64 x 64."""
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for size, length, channels in (((64, 64), 300, 8), ((9, 150), 2100, 4), ((130, 140), 40, 2)):
        points = torch.rand(1, length, 2, generator=generator) * torch.tensor([size[1], size[0]])
        grad = torch.randn((1, channels) if reduce == "mean" else (1, length, channels), generator=generator)
        features = torch.randn(1, channels, *size, generator=generator)
        cases.append(Case(features, points, grad, channels_last))
    results, _ = emulator.run(program, cases, seed)
    for case, arrays in zip(cases, results):
        assert_as_defined(case, arrays, str(case))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("reduce", ["mean", "none"])
def test_what_no_point_touches_is_never_multiplied(
    program: Path, seed: int, channels_last: bool, reduce: str
) -> None:
    """NaN and infinity off the taps change nothing, and an infinite gradient stays at the taps."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 8, 8, 8, generator=generator)
    points = torch.rand(2, 3, 2, generator=generator) * 3 + 2.1  # taps in columns and rows 2..6
    grad = torch.randn((2, 8) if reduce == "mean" else (2, 3, 8), generator=generator)
    spoilt = features.clone()
    spoilt[:, :, 0], spoilt[:, :, :, 7] = float("nan"), float("inf")
    clean, dirty = Case(features, points, grad, channels_last), Case(spoilt, points, grad, channels_last)
    infinite = replace(clean, grad=grad * float("inf"))
    (wanted, found, steep), _ = emulator.run(program, [clean, dirty, infinite], seed)
    for a, b in zip(wanted, found):
        assert a.tobytes() == b.tobytes()
    gradient = decoded(infinite, steep)[1]
    assert not gradient[:, :, 0].any() and not gradient[:, :, :, 7].any() and gradient.isinf().any()


def test_points_outside_pool_zero_and_get_no_gradient(program: Path, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    places = [
        [-1.5, 3],
        [3, -1.001],
        [8, 3],
        [3, 7],
        [float("nan"), 1],
        [1, float("inf")],
        [-float("inf"), 1],
    ]
    points = torch.tensor([places], dtype=torch.float64)
    features = torch.randn(1, 8, 7, 8, generator=generator)
    cases = [
        Case(features, points, torch.ones(shape), channels_last)
        for shape in ((1, 8), (1, 7, 8))
        for channels_last in (False, True)
    ]
    results, _ = emulator.run(program, cases, seed)
    for arrays in results:
        assert not any(array.any() for array in arrays)


def test_nothing_to_pool(program: Path) -> None:
    """No images; no channels, where the gradient of the points is still written."""
    points = torch.rand(2, 5, 2)
    cases = []
    for count, channels in ((0, 4), (2, 0)):
        for reduce in ("mean", "none"):
            for channels_last in (False, True):
                shape = (count, channels) if reduce == "mean" else (count, 5, channels)
                features = torch.zeros(count, channels, 4, 4)
                cases.append(Case(features, points[:count], torch.zeros(shape), channels_last))
    results, _ = emulator.run(program, cases, 0)
    for arrays in results:
        assert not arrays[2].any()
