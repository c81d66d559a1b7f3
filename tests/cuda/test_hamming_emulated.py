"""The CUDA kernels' own source text, run thread by thread on the CPU (emulation/cuda_runtime.h), against the definitions.

SKETCHFAST_EMULATION_SANITIZERS=1 compiles it with AddressSanitizer and UBSan, which takes longer.
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

CASES = int(os.environ.get("SKETCHFAST_EMULATION_CASES", "50"))
EVERY_BITS = [8 * n for n in range(1, 129)]
VECTOR_BITS = [64, 128, 256, 512, 1024]
TOPK, CDIST, PACK = 0, 1, 2
# Raw 16-bit floats travel as uint16; codes 4 and 5 tell bfloat16 and float16 apart.
PACK_DTYPES = {"float32": 0, "float64": 1, "int8": 2, "uint8": 3, "bfloat16": 4, "float16": 5}


@dataclass(frozen=True)
class Tuning:
    """HammingTuning of csrc/cuda/hamming_plan.h."""

    warps_wanted: int = 4096
    groups_per_unit: int = 8
    pairs_worth_sampling: int = 1 << 22
    counts_bytes: int = 128 << 20


@dataclass
class Case:
    operation: int
    arrays: tuple[np.ndarray, ...]
    k: int = 0
    dtype: str = ""
    offsets: tuple[int, int] = (0, 0)  # bytes past a 16-byte boundary
    tuning: Tuning = field(default_factory=Tuning)

    def encoded(self) -> bytes:
        first = self.arrays[0]
        if self.operation == PACK:
            numbers = [PACK, first.shape[0], 0, PACK_DTYPES[self.dtype], first.shape[1], *self.offsets]
        else:
            numbers = [self.operation, len(first), len(self.arrays[1]), first.shape[1], self.k, *self.offsets]
        tuning = self.tuning
        numbers += [
            tuning.warps_wanted,
            tuning.groups_per_unit,
            tuning.pairs_worth_sampling,
            tuning.counts_bytes,
        ]
        return struct.pack("<11q", *numbers) + b"".join(
            np.ascontiguousarray(a).tobytes() for a in self.arrays
        )

    def outputs(self) -> list[tuple[tuple[int, ...], np.dtype]]:
        first = self.arrays[0]
        if self.operation == PACK:
            return [((first.shape[0], first.shape[1] // 8), np.dtype(np.uint8))]
        if self.operation == CDIST:
            narrow = 8 * first.shape[1] <= 255
            return [((len(first), len(self.arrays[1])), np.dtype(np.uint8 if narrow else np.int16))]
        return [((len(first), self.k), np.dtype(np.int32)), ((len(first), self.k), np.dtype(np.int64))]


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return emulator.build("hamming")
    except FileNotFoundError as error:
        pytest.skip(str(error))


def draw_codes(rows: int, bits: int, draw: random.Random, kind: str) -> np.ndarray:
    """Codes whose distances are spread, full of ties, all equal, or falling or rising with the id."""
    generator = np.random.default_rng(draw.randrange(2**32))
    if kind == "ties":
        distinct = generator.integers(0, 256, (draw.randint(1, 5), bits // 8), np.uint8)
        return distinct[generator.integers(0, len(distinct), rows)]
    if kind == "equal":
        return np.full((rows, bits // 8), draw.randrange(256), np.uint8)
    if (
        kind == "sorted"
    ):  # a sample of the first groups would mislead; the strided one is at least no wrong bound
        filled = np.sort(generator.integers(0, bits + 1, rows))[:: draw.choice([1, -1])]
        return np.packbits(np.arange(bits) < filled[:, None], axis=1, bitorder="little")
    return generator.integers(0, 256, (rows, bits // 8), np.uint8)


def draw_search(draw: random.Random, operation: int) -> Case:
    bits = draw.choice(draw.choice([EVERY_BITS, VECTOR_BITS, [64]]))
    queries = draw.choice([1, 1, 2, 3, 4, 5, 8, 9, 17, 40, draw.randint(1, 80)])
    rows = draw.choice(
        [draw.randint(1, 40), draw.randint(1, 700), draw.choice([31, 32, 33, 64, 128, 255, 256, 257]), 3000]
    )
    if queries * rows * bits > 1_500_000:
        queries = max(1, 1_500_000 // (rows * bits))
    kind = draw.choice(["random", "ties", "equal", "sorted"])
    database = draw_codes(rows, bits, draw, kind)
    asked = draw_codes(queries, bits, draw, draw.choice(["random", kind]))
    if draw.random() < 0.3:
        asked[0] = database[draw.randrange(rows)]
    k = draw.choice([1, rows, draw.randint(1, rows), min(rows, 10)])
    tuning = Tuning(
        warps_wanted=draw.choice([1, 7, 64, 4096]),
        groups_per_unit=draw.choice([1, 2, 8]),
        pairs_worth_sampling=draw.choice([1, 1, 1 << 22]),
        counts_bytes=draw.choice([1, 1 << 16, 128 << 20]),
    )
    # Half of the databases begin where vector loads are possible.
    offsets = (draw.randrange(16), draw.choice([0, 0, 0, 4, 8, draw.randrange(16)]))
    return Case(operation, (asked, database), k=k, offsets=offsets, tuning=tuning)


def test_topk_equals_reference(program: Path, seed: int) -> None:
    draw = random.Random(seed)
    cases = [draw_search(draw, TOPK) for _ in range(CASES)]
    # Empty queries, and the default tuning at a size that it samples.
    cases.append(Case(TOPK, (np.zeros((0, 8), np.uint8), draw_codes(70, 64, draw, "random")), k=3))
    sampled = (draw_codes(1, 64, draw, "random"), draw_codes(5000, 64, draw, "random"))
    cases.append(Case(TOPK, sampled, k=4, tuning=Tuning(pairs_worth_sampling=5000)))
    results, said = emulator.run(program, cases, draw.randrange(2**31))
    print(said)
    for number, (case, (distances, ids)) in enumerate(zip(cases, results)):
        expected = reference.hamming_topk(*map(torch.from_numpy, case.arrays), case.k)
        where = f"case {number}: {[a.shape for a in case.arrays]} k={case.k} {case.offsets} {case.tuning}"
        np.testing.assert_array_equal(distances, expected[0].numpy(), err_msg=where)
        np.testing.assert_array_equal(ids, expected[1].numpy(), err_msg=where)


def test_cdist_equals_reference(program: Path, seed: int) -> None:
    draw = random.Random(seed)
    cases = [draw_search(draw, CDIST) for _ in range(CASES // 3)]
    cases.append(Case(CDIST, (np.zeros((3, 8), np.uint8), np.zeros((0, 8), np.uint8))))
    results, _ = emulator.run(program, cases, draw.randrange(2**31))
    for number, (case, (distances,)) in enumerate(zip(cases, results)):
        expected = reference.hamming_cdist(*map(torch.from_numpy, case.arrays))
        where = f"case {number}: {[a.shape for a in case.arrays]} {case.offsets}"
        np.testing.assert_array_equal(distances, expected.numpy(), err_msg=where)


SPECIAL = [0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1e-45, -1e-45, 6e-8, -6e-8]


@pytest.mark.parametrize("dtype", PACK_DTYPES)
def test_pack_bits_equals_reference(program: Path, seed: int, dtype: str) -> None:
    draw = random.Random(seed)
    cases, expected = [], []
    for rows in (0, 1, 3, 17, draw.randint(1, 60)):
        bits = draw.choice(EVERY_BITS)
        generator = torch.Generator().manual_seed(draw.randrange(2**31))
        values = torch.randn(rows, bits, generator=generator)
        special = torch.tensor(SPECIAL)[torch.randint(len(SPECIAL), values.shape, generator=generator)]
        values = torch.where(torch.rand(values.shape, generator=generator) < 0.3, special, values)
        if dtype.endswith("int8"):
            values = torch.randint(-3, 4, values.shape, generator=generator).clamp(
                min=-3 if dtype == "int8" else 0
            )
        tensor = values.to(getattr(torch, dtype))
        expected.append(reference.pack_bits(tensor).numpy())
        raw = tensor.view(torch.int16) if dtype in ("bfloat16", "float16") else tensor
        cases.append(Case(PACK, (raw.numpy(),), dtype=dtype, offsets=(draw.choice([0, 4, 8]), 0)))
    results, _ = emulator.run(program, cases, draw.randrange(2**31))
    for (found,), wanted in zip(results, expected):
        np.testing.assert_array_equal(found, wanted)


def test_the_emulation_notices_a_wrong_answer(program: Path, seed: int) -> None:
    """The comparison above can fail: other codes give other distances."""
    draw = random.Random(seed)
    database = draw_codes(100, 64, draw, "random")
    case = Case(TOPK, (database[:1], database), k=5)
    ((distances, ids),), _ = emulator.run(program, [case], seed)
    assert distances[0, 0] == 0 and ids[0, 0] == 0
    ((other, _),), _ = emulator.run(program, [Case(TOPK, (~database[:1], database), k=5)], seed)
    assert not np.array_equal(distances, other)
