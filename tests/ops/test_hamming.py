"""hamming_topk, hamming_cdist, pack_bits: operator contract, and >= 1,000 random cases against the definition and faiss."""

import random
from collections.abc import Iterator

import faiss
import numpy as np
import pytest
import torch
from torch import Tensor

from sketchfast import ops, reference
from tests.ops.op_tester import Arguments, OpTester, assert_equal


def codes(rows: int, bits: int, generator: torch.Generator, distinct: int | None = None) -> Tensor:
    """Random codes; with `distinct`, that many different ones at most, so that duplicates and ties abound."""
    drawn = torch.randint(0, 256, (distinct or rows, bits // 8), dtype=torch.uint8, generator=generator)
    if distinct is None:
        return drawn
    return drawn[torch.randint(0, distinct, (rows,), generator=generator)]


def bad_codes() -> Iterator[tuple[Arguments, type[Exception], str]]:
    good = torch.zeros(3, 8, dtype=torch.uint8)
    yield (
        (torch.zeros(8, dtype=torch.uint8), good),
        ValueError,
        r"queries must have shape \[Q, bits/8\], found \[8\]",
    )
    yield (good, good[None]), ValueError, r"database must have shape \[N, bits/8\], found \[1, 3, 8\]"
    yield (good.float(), good), TypeError, "queries must be "
    yield (good, good.bool()), TypeError, "database must be "
    yield (good, good[:, :5]), ValueError, "one length, found 64 and 40 bits"
    empty, long = torch.zeros(3, 0, dtype=torch.uint8), torch.zeros(3, 129, dtype=torch.uint8)
    yield (empty, empty), ValueError, "8 to 1024 bits per code, a multiple of 8, found 0"
    yield (long, long), ValueError, "8 to 1024 bits per code, a multiple of 8, found 1032"
    yield (good, good.numpy()), TypeError, "database must be a torch.Tensor, found ndarray"


class TestHammingTopk(OpTester):
    function = ops.hamming_topk
    operator = torch.ops.sketchfast.hamming_topk.default
    reference = reference.hamming_topk

    def sample_inputs(self, generator: torch.Generator) -> Iterator[Arguments]:
        for bits, queries, rows, k in (
            (8, 1, 5, 5),
            (64, 7, 33, 4),
            (104, 3, 70, 70),
            (256, 2, 9, 1),
            (1024, 5, 40, 10),
        ):
            yield codes(queries, bits, generator), codes(rows, bits, generator), k
        yield codes(6, 64, generator, 2), codes(50, 64, generator, 3), 20
        yield codes(0, 64, generator), codes(4, 64, generator), 2

    def bad_inputs(self) -> Iterator[tuple[Arguments, type[Exception], str]]:
        for arguments, exception, pattern in bad_codes():
            yield (*arguments, 1), exception, f"hamming_topk: .*{pattern}"
        good = torch.zeros(3, 8, dtype=torch.uint8)
        yield (good, good, 0), ValueError, "k must be at least 1 and at most the 3 codes of database, found 0"
        yield (good, good, 4), ValueError, "k must be at least 1 and at most the 3 codes of database, found 4"
        yield (good, good[:0], 1), ValueError, "at most the 0 codes of database, found 1"
        yield (good, good, 1.5), TypeError, "float"


class TestHammingCdist(OpTester):
    function = ops.hamming_cdist
    operator = torch.ops.sketchfast.hamming_cdist.default
    reference = reference.hamming_cdist

    def sample_inputs(self, generator: torch.Generator) -> Iterator[Arguments]:
        for bits, queries, rows in (
            (8, 1, 5),
            (64, 7, 33),
            (248, 4, 21),
            (256, 2, 9),
            (1000, 3, 17),
            (1024, 5, 40),
        ):
            yield codes(queries, bits, generator), codes(rows, bits, generator)
        yield codes(0, 64, generator), codes(4, 64, generator)
        yield codes(3, 512, generator), codes(0, 512, generator)

    def bad_inputs(self) -> Iterator[tuple[Arguments, type[Exception], str]]:
        for arguments, exception, pattern in bad_codes():
            yield arguments, exception, f"hamming_cdist: .*{pattern}"

    def test_largest_distance_fits_its_dtype(self) -> None:
        for bits, dtype in ((248, torch.uint8), (256, torch.int16), (1024, torch.int16)):
            zeros = torch.zeros(1, bits // 8, dtype=torch.uint8)
            found = ops.hamming_cdist(zeros, ~zeros)
            assert found.dtype == dtype
            assert found.item() == bits


class TestPackBits(OpTester):
    function = ops.pack_bits
    operator = torch.ops.sketchfast.pack_bits.default
    reference = reference.pack_bits

    def sample_inputs(self, generator: torch.Generator) -> Iterator[Arguments]:
        for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
            yield (torch.randn(5, 64, generator=generator).to(dtype),)
        yield (torch.randint(-128, 128, (3, 104), dtype=torch.int8, generator=generator),)
        yield (torch.randint(0, 3, (3, 1024), dtype=torch.uint8, generator=generator),)
        yield (torch.rand(2, 3, 8, generator=generator) > 0.5,)
        yield (torch.randn(128, generator=generator),)
        yield (torch.zeros(0, 64),)
        yield (torch.zeros(4, 0, 16, dtype=torch.bool),)

    def bad_inputs(self) -> Iterator[tuple[Arguments, type[Exception], str]]:
        yield (
            (torch.zeros(3, 12),),
            ValueError,
            "values must have 8 to 1024 bits per code, a multiple of 8, found 12",
        )
        yield (torch.zeros(3, 0),), ValueError, "a multiple of 8, found 0"
        yield (torch.zeros(3, 1032),), ValueError, "a multiple of 8, found 1032"
        yield (torch.tensor(1.0),), ValueError, r"values must have shape \[..., bits\], found a scalar"
        yield (torch.zeros(3, 8, dtype=torch.int32),), TypeError, "values must be .*float32"
        yield (np.zeros((3, 8)),), TypeError, "values must be a torch.Tensor, found ndarray"

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
    def test_sign_of_special_values(self, dtype: torch.dtype) -> None:
        smallest = torch.finfo(dtype).smallest_normal
        values = [0.0, -0.0, float("nan"), -float("nan"), float("inf"), -float("inf"), smallest, -smallest]
        assert ops.pack_bits(torch.tensor(values, dtype=dtype)).tolist() == [0b01010000]

    def test_equals_numpy(self, seed: int) -> None:
        values = torch.randn(37, 200, generator=torch.Generator().manual_seed(seed))
        expected = np.packbits(values.numpy() > 0, axis=-1, bitorder="little")
        np.testing.assert_array_equal(ops.pack_bits(values).numpy(), expected)

    def test_needs_no_gradient(self) -> None:
        values = torch.randn(2, 8, requires_grad=True)
        assert not ops.pack_bits(values).requires_grad


def test_thousand_random_cases_equal_definition_and_faiss(seed: int) -> None:
    """Random lengths of 8 to 1024 bits, sizes, k, duplicates, ties, empty queries and thread counts."""
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    threads = torch.get_num_threads()
    faiss.omp_set_num_threads(
        1
    )  # its waiting threads spin, which on a busy machine costs more than all the rest
    try:
        for case in range(1200):
            bits = 8 * draw.randint(1, 128)
            many = case % 40 == 0  # enough queries and codes for the paths that work on blocks
            num_queries = draw.randint(17, 80) if many else draw.choice((0, 1, 1, 2, 3, 5, 8))
            rows = draw.randint(300, 1000) if many else draw.randint(1, 130)
            # The definition spreads each pair's bits out; its memory bounds the case.
            rows = max(1, min(rows, 2_000_000 // (bits * max(num_queries, 1))))
            distinct = draw.choice((None, 1, 3, 17))
            k = draw.choice((1, rows, draw.randint(1, rows)))
            database = codes(rows, bits, generator, distinct)
            queries = codes(num_queries, bits, generator)
            if distinct and num_queries:  # near the database, so that small distances occur
                queries[0] = database[draw.randrange(rows)]

            torch.set_num_threads(draw.choice((1, 2, 3)))
            distances, ids = ops.hamming_topk(queries, database, k)
            every = ops.hamming_cdist(queries, database)
            torch.set_num_threads(1)  # the definition's small tensors only lose by more
            told = (
                f"case {case}: {bits} bits, {num_queries} queries, {rows} codes, {distinct} distinct, k = {k}"
            )
            try:
                assert_equal((distances, ids), reference.hamming_topk(queries, database, k))
                assert_equal(every, reference.hamming_cdist(queries, database))
                if num_queries:
                    index = faiss.IndexBinaryFlat(bits)
                    index.add(database.numpy())
                    np.testing.assert_array_equal(distances.numpy(), index.search(queries.numpy(), k)[0])
            except AssertionError as error:
                raise AssertionError(told) from error
    finally:
        torch.set_num_threads(threads)


def test_many_codes_against_faiss(seed: int) -> None:
    """Sizes at which work is split over threads and blocks: every distance, and the order of every tie."""
    generator = torch.Generator().manual_seed(seed)
    for bits, num_queries in ((64, 1), (64, 130), (128, 33), (256, 5), (1024, 40)):
        database = codes(20_011, bits, generator, 5000)
        queries = codes(num_queries, bits, generator)
        distances, ids = ops.hamming_topk(queries, database, 100)
        index = faiss.IndexBinaryFlat(bits)
        index.add(database.numpy())
        np.testing.assert_array_equal(distances.numpy(), index.search(queries.numpy(), 100)[0])
        every = ops.hamming_cdist(queries, database).long()
        order = (every * database.shape[0] + torch.arange(database.shape[0])).argsort(dim=1)[:, :100]
        assert torch.equal(ids, order)


def test_compiled_by_inductor(seed: int) -> None:
    """The default backend of torch.compile: packing and search in one graph."""
    generator = torch.Generator().manual_seed(seed)
    features, gallery = torch.randn(9, 64, generator=generator), torch.randn(50, 64, generator=generator)

    def search(features: Tensor, gallery: Tensor) -> tuple[Tensor, Tensor]:
        return ops.hamming_topk(ops.pack_bits(features), ops.pack_bits(gallery), 5)

    assert_equal(torch.compile(search, fullgraph=True)(features, gallery), search(features, gallery))
