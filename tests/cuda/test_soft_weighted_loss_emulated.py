"""The loss's CUDA kernels' own source text, run thread by thread on the CPU (emulation/cuda_runtime.h), against the definition.

SKETCHFAST_EMULATION_SANITIZERS=1 compiles it with AddressSanitizer and UBSan, which takes longer.
"""

import os
import random
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sketchfast import reference
from tests.cuda import emulator

CASES = int(os.environ.get("SKETCHFAST_EMULATION_CASES", "60"))
VALUES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
LABELS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
LOSS, GRADIENT = 1, 2
# Of a gradient's element, relative to the largest one a pixel of its weight can have; half a unit in the last place of the
# stored type, and the arithmetic's own rounding, to which a sum of C float32 terms adds.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-13, torch.float16: 6e-4, torch.bfloat16: 5e-3}


@dataclass(frozen=True)
class Case:
    logits: Tensor  # [N, C, H, W]
    labels: Tensor  # [N, H, W]
    weights: Tensor  # [C], float64 of float64 logits, else float32
    ignore_index: int = 255
    background: int = 0
    soft: bool = True
    wanted: int = LOSS | GRADIENT
    factor: float | None = None
    offset: int = 0  # bytes past a 16-byte boundary
    staged_bytes: int = 24 * 1024  # LossTuning of csrc/cuda/soft_weighted_loss.h
    most_staged_bytes: int = 80 * 1024
    most_blocks: int = 16384

    def __str__(self) -> str:
        settings = (self.ignore_index, self.background, self.soft, self.wanted, self.factor, self.offset)
        tuning = (self.staged_bytes, self.most_staged_bytes, self.most_blocks)
        return f"{tuple(self.logits.shape)} {self.logits.dtype} {self.labels.dtype} {settings} {tuning}"

    def encoded(self) -> bytes:
        factor = torch.tensor([1.0 if self.factor is None else self.factor], dtype=self.weights.dtype)
        numbers = [0, VALUES.index(self.logits.dtype), LABELS.index(self.labels.dtype), *self.logits.shape]
        numbers += [self.ignore_index, self.background, self.soft, self.wanted, self.factor is not None]
        numbers += [self.offset, self.staged_bytes, self.most_staged_bytes, self.most_blocks]
        arrays = (self.weights, factor, self.logits, self.labels)
        return struct.pack("<16q", *numbers) + b"".join(raw(array).tobytes() for array in arrays)

    def outputs(self) -> list[tuple[tuple[int, ...], np.dtype]]:
        loss = ((), raw(self.weights).dtype)
        gradient = (tuple(self.logits.shape), raw(self.logits).dtype)
        return [array for bit, array in ((LOSS, loss), (GRADIENT, gradient)) if self.wanted & bit]


@dataclass(frozen=True)
class ScaleCase:
    values: Tensor
    factor: float
    offset: int = 0

    def encoded(self) -> bytes:
        factor = torch.tensor(self.factor, dtype=arithmetic(self.values.dtype))
        numbers = [1, VALUES.index(self.values.dtype), 0, self.values.numel(), *[0] * 8, self.offset, 0, 0, 0]
        return struct.pack("<16q", *numbers) + raw(factor).tobytes() + raw(self.values).tobytes()

    def outputs(self) -> list[tuple[tuple[int, ...], np.dtype]]:
        return [((self.values.numel(),), raw(self.values).dtype)]


def raw(tensor: Tensor) -> np.ndarray:
    """Contiguous numpy; 16-bit floats as their bits."""
    tensor = tensor.contiguous()
    return (tensor.view(torch.int16) if tensor.dtype in (torch.float16, torch.bfloat16) else tensor).numpy()


def arithmetic(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return emulator.build("soft_weighted_loss")
    except FileNotFoundError as error:
        pytest.skip(str(error))


def draw_case(draw: random.Random, dtype: torch.dtype | None = None, size: int = 24_000) -> Case:
    """Blobs of a few classes, seams between them, ignored regions; images from one pixel to several tiles."""
    generator = torch.Generator().manual_seed(draw.randrange(2**31))
    dtype = dtype or draw.choice(VALUES)
    classes = draw.choice([2, 5, 7, 8, 9, 16, 17, 19, 33, draw.randint(2, 64)])
    height = draw.choice([1, 2, 3, 16, 20, 41, draw.randint(1, 50)])
    width = draw.choice([1, 2, 3, 4, 16, 32, 41, draw.randint(1, 50)])
    batch = max(1, min(draw.randint(1, 4), size // (classes * height * width)))
    coarse = torch.randint(0, classes, (batch, -(-height // 3), -(-width // 5)), generator=generator)
    labels = coarse.repeat_interleave(3, 1).repeat_interleave(5, 2)[:, :height, :width].contiguous()
    noise = torch.rand(labels.shape, generator=generator) < draw.choice([0, 0.05, 1])
    labels[noise] = torch.randint(0, classes, (int(noise.sum()),), generator=generator)
    kind = draw.choice(LABELS)
    ignore_index = draw.choice([255, -100, classes - 1] if kind == torch.int64 else [classes - 1, 255])
    if kind == torch.int8 and ignore_index == 255:
        ignore_index = -1
    ignored = torch.rand(labels.shape, generator=generator) < draw.choice([0, 0.1, 0.97])
    if draw.random() < 0.5:
        ignored[:, : draw.randint(0, height)] = True
    labels[ignored] = ignore_index
    logits = (torch.randn(batch, classes, height, width, generator=generator) * draw.choice([1, 5])).to(dtype)
    weights = torch.rand(classes, generator=generator) * 2 + 0.1
    if draw.random() < 0.3:
        weights[draw.randrange(classes)] = 0
    return Case(
        logits,
        labels.to(kind),
        weights.to(arithmetic(dtype)),
        ignore_index,
        background=draw.choice([0, 0, -1, classes - 1]),
        soft=draw.random() < 0.85,
        wanted=draw.choice([LOSS, LOSS | GRADIENT, LOSS | GRADIENT, GRADIENT]),
        factor=draw.choice([None, None, 0.0, -3.0, 1024.0]),
        offset=draw.choice([0, 0, 0, 8, draw.randrange(16)]),
        # As it comes, one warp per block, every logit read twice; and several tiles to a block.
        staged_bytes=draw.choice([24 * 1024, 24 * 1024, 1]),
        most_staged_bytes=draw.choice([80 * 1024, 80 * 1024, 1]),
        most_blocks=draw.choice([16384, 16384, 1, 2]),
    )


def expected(case: Case) -> tuple[float, Tensor]:
    logits = case.logits.double().requires_grad_()
    loss = reference.soft_weighted_loss(
        logits, case.labels, case.weights.double(), case.ignore_index, case.background, case.soft
    )
    (gradient,) = torch.autograd.grad(loss, logits)
    return loss.item(), gradient * (1 if case.factor is None else case.factor)


def assert_as_defined(case: Case, arrays: list[np.ndarray], where: str) -> None:
    found = list(arrays)
    loss, gradient = expected(case)
    if case.wanted & LOSS:
        close = 1e-13 if case.logits.dtype == torch.float64 else 1e-6
        np.testing.assert_allclose(found.pop(0), loss, rtol=close, atol=close, err_msg=where)
    if case.wanted & GRADIENT:
        values = torch.from_numpy(found.pop(0).copy())
        if case.logits.dtype in (torch.float16, torch.bfloat16):
            values = values.view(case.logits.dtype)
        owners = torch.where(case.labels.long() == case.ignore_index, 0, case.labels.long())
        alphas = case.weights.double()[owners] * (case.labels.long() != case.ignore_index)
        largest = alphas / alphas.sum().clamp(min=1e-30) * abs(1 if case.factor is None else case.factor)
        smallest = (
            2.0**-24 if case.logits.dtype == torch.float16 else 0.0
        )  # its subnormal numbers are that far apart
        summing = 0.0 if case.logits.dtype == torch.float64 else 1e-8 * case.logits.shape[1]
        allowed = (TOLERANCE[case.logits.dtype] + summing) * largest[:, None] + smallest
        excess = ((values.double() - gradient).abs() - allowed).max().item()
        assert excess <= 0, f"{where}: gradient off by {excess} more than allowed"  # false for NaN, too


@pytest.mark.parametrize("dtype", VALUES, ids=str)
def test_loss_and_gradient_are_as_defined(program: Path, seed: int, dtype: torch.dtype) -> None:
    draw = random.Random(seed)
    cases = [draw_case(draw, dtype) for _ in range(CASES // 4)]
    results, said = emulator.run(program, cases, draw.randrange(2**31))
    print(said)
    for number, (case, arrays) in enumerate(zip(cases, results)):
        assert_as_defined(case, arrays, f"case {number}: {case}")


def test_more_classes_than_shared_memory_holds(program: Path, seed: int) -> None:
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for dtype, classes in ((torch.float32, 700), (torch.float32, 300), (torch.bfloat16, 1300)):
        labels = torch.randint(0, classes, (1, 6, 8), generator=generator)
        labels[:, :3] = classes - 1
        logits = torch.randn(1, classes, 6, 8, generator=generator).to(dtype)
        cases.append(Case(logits, labels, torch.ones(classes), ignore_index=-100))
    results, _ = emulator.run(program, cases, draw.randrange(2**31))
    for case, arrays in zip(cases, results):
        assert_as_defined(case, arrays, str(case))


def test_repeats_give_the_same_bits_in_any_order_of_threads(program: Path, seed: int) -> None:
    draw = random.Random(seed)
    cases = [draw_case(draw) for _ in range(CASES // 4)]
    first, _ = emulator.run(program, cases, 1)
    second, _ = emulator.run(program, cases, 2)
    for case, before, after in zip(cases, first, second):
        for a, b in zip(before, after):
            assert a.tobytes() == b.tobytes(), str(case)


def test_value_alone_equals_value_beside_the_gradient(program: Path, seed: int) -> None:
    draw = random.Random(seed)
    both = [replace(draw_case(draw, size=4000), wanted=LOSS | GRADIENT) for _ in range(CASES // 6)]
    alone = [replace(case, wanted=LOSS) for case in both]
    results, _ = emulator.run(program, [*both, *alone], draw.randrange(2**31))
    for case, with_gradient, value in zip(both, results, results[len(both) :]):
        np.testing.assert_allclose(value[0], with_gradient[0], rtol=1e-6, err_msg=str(case))


def test_windows_of_fig_4(program: Path) -> None:
    """444/445/111 around the pixel gives lambda 3/9, 5/9, 1/9 for classes 1, 4, 5."""
    labels = torch.tensor([[[4, 4, 4], [4, 4, 5], [1, 1, 1]]])
    case = Case(torch.zeros(1, 6, 3, 3, dtype=torch.float64), labels, torch.ones(6, dtype=torch.float64))
    ((_, gradient),), _ = emulator.run(program, [case], 0)
    np.testing.assert_allclose(1 / 6 - 9 * gradient[0, :, 1, 1], np.array([0, 3, 0, 0, 5, 1]) / 9, atol=1e-15)


def test_nothing_to_learn_from_is_zero(program: Path, seed: int) -> None:
    """All ignored, all met weights zero, no pixels at all; and ignored pixels may hold NaN and infinity."""
    generator = torch.Generator().manual_seed(seed)
    logits, labels = torch.randn(2, 5, 7, 8, generator=generator), torch.full((2, 7, 8), 255)
    ones = torch.ones(5)
    ignored = Case(logits * float("nan"), labels, ones)
    weightless = Case(logits, torch.zeros_like(labels), torch.tensor([0.0, 1, 1, 1, 1]))
    empty = [Case(logits[:0], labels[:0], ones), Case(logits[:, :, :0], labels[:, :0], ones)]
    results, _ = emulator.run(program, [ignored, weightless, *empty], seed)
    for loss, gradient in results:
        assert loss == 0 and not gradient.any()

    some = torch.where(torch.rand(labels.shape, generator=generator) < 0.5, 255, 3)
    some[0, 0, 0] = 3
    hidden = some[:, None].expand_as(logits) == 255
    spoilt = torch.where(hidden, torch.tensor(float("nan")), logits)
    spoilt[hidden & (torch.rand(spoilt.shape, generator=generator) < 0.5)] = float("inf")
    clean, dirty = Case(logits, some, ones), Case(spoilt, some, ones)
    (wanted, found), _ = emulator.run(program, [clean, dirty], seed)
    assert wanted[0] == found[0] and np.array_equal(wanted[1], found[1])


def test_large_and_infinite_logits(program: Path, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (1, 6, 6), generator=generator)
    logits = torch.randn(1, 12, 6, 6, generator=generator) * 1e4
    logits[:, 3:] = -float("inf")  # classes that cannot be
    (found,), _ = emulator.run(program, [Case(logits, labels, torch.ones(12))], seed)
    loss, gradient = expected(Case(logits[:, :3], labels, torch.ones(3)))
    np.testing.assert_allclose(found[0], loss, rtol=1e-6)
    np.testing.assert_allclose(found[1][:, :3], gradient, atol=1e-7)
    assert not found[1][:, 3:].any()


@pytest.mark.parametrize("wrong", [7, -1, 2**40])
def test_a_wrong_label_stops_the_kernel(program: Path, wrong: int) -> None:
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    labels[0, 2, 1] = wrong
    with pytest.raises(RuntimeError, match=r"labels must be 0\.\.C-1 or ignore_index"):
        emulator.run(program, [Case(torch.zeros(1, 7, 4, 4), labels, torch.ones(7))], 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_scale(program: Path, seed: int, dtype: torch.dtype) -> None:
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for count in (0, 1, 3, 255, 256, draw.randint(1, 5000)):
        values = torch.randn(count, generator=generator).to(dtype)
        cases.append(ScaleCase(values, draw.choice([1.0, 0.0, -2.5, 65536.0]), draw.choice([0, 0, 8, 4])))
    results, _ = emulator.run(program, cases, draw.randrange(2**31))
    for case, (found,) in zip(cases, results):
        wide = arithmetic(dtype)
        product = (case.values.to(wide) * torch.tensor(case.factor, dtype=wide)).to(dtype)
        np.testing.assert_array_equal(found, raw(product), err_msg=f"{dtype} {case.factor}")
