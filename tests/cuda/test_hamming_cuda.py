"""hamming_topk, hamming_cdist and pack_bits on a GPU: the same bits as the CPU and as the definitions.

Tests that need a GPU are skipped, with the reason, where there is none; those at the end need only the built module.
"""

import random
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from sketchfast import ops, reference
from tests.cuda.on_gpu import gpu, needs_module, poison

OPERATORS = ("hamming_topk", "hamming_cdist", "pack_bits")


def codes(rows: int, bits: int, generator: torch.Generator, distinct: int | None = None) -> Tensor:
    drawn = torch.randint(0, 256, (distinct or rows, bits // 8), dtype=torch.uint8, generator=generator)
    return drawn if distinct is None else drawn[torch.randint(0, distinct, (rows,), generator=generator)]


def searches(seed: int, count: int) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Random searches on the CPU, with ties, duplicates, every code length and sizes around the kernels' tiles."""
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        bits = draw.choice([8 * draw.randint(1, 128), 64, 128, 256, 512, 1024])
        queries = draw.choice([1, 2, 3, 4, 5, 9, 33, draw.randint(1, 200)])
        rows = draw.choice([draw.randint(1, 300), draw.choice([31, 32, 33, 255, 256, 257, 4096]), 20_000])
        queries = max(1, min(queries, 400_000_000 // (rows * bits)))
        distinct = draw.choice([None, None, 1, 7])
        k = draw.choice([1, min(rows, 10), draw.randint(1, rows), rows if rows < 5000 else 100])
        yield codes(queries, bits, generator), codes(rows, bits, generator, distinct), k


def assert_same_search(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor], where: str) -> None:
    for name, a, b in zip(("distances", "ids"), found, expected):
        assert a.dtype == b.dtype and a.shape == b.shape, f"{name}: {where}"
        assert torch.equal(a.cpu(), b), f"{name}: {where}"


@gpu
def test_topk_equals_cpu_over_random_cases(seed: int) -> None:
    for number, (queries, database, k) in enumerate(searches(seed, 1000)):
        poison(number % 256)
        found = ops.hamming_topk(queries.cuda(), database.cuda(), k)
        where = f"case {number}: {list(queries.shape)} {list(database.shape)} k={k}"
        assert_same_search(found, ops.hamming_topk(queries, database, k), where)


@gpu
def test_topk_equals_reference(seed: int) -> None:
    for queries, database, k in searches(seed, 60):
        expected = reference.hamming_topk(queries.cuda(), database.cuda(), k)
        found = ops.hamming_topk(queries.cuda(), database.cuda(), k)
        assert_same_search(found, (expected[0].cpu(), expected[1].cpu()), f"{list(database.shape)} k={k}")


@gpu
@pytest.mark.parametrize("bits", [64, 128, 256])
@pytest.mark.parametrize("queries", [1, 4, 300])
def test_topk_of_a_large_database(seed: int, bits: int, queries: int) -> None:
    """Large enough for the sampled bound, in random order and sorted by distance from the first query."""
    generator = torch.Generator().manual_seed(seed)
    asked, database = codes(queries, bits, generator), codes(1_000_003, bits, generator)
    for k in (1, 100, 20_000 if queries <= 4 else 1000):
        assert_same_search(
            ops.hamming_topk(asked.cuda(), database.cuda(), k), ops.hamming_topk(asked, database, k), f"{k=}"
        )
    order = ops.hamming_cdist(asked[:1], database)[0].argsort(descending=True)
    found = ops.hamming_topk(asked.cuda(), database[order].cuda(), 100)
    assert_same_search(found, ops.hamming_topk(asked, database[order], 100), "falling distances")


@gpu
def test_topk_at_code_offsets_past_2_to_31(seed: int) -> None:
    """A database of more than 2^31 bytes whose nearest codes lie at its end."""
    rows = (1 << 31) // 16 + 1000
    if torch.cuda.mem_get_info()[0] < 3 * rows * 16:
        pytest.skip(f"needs {3 * rows * 16 >> 30} GB of free device memory")
    database = torch.zeros(rows, 16, dtype=torch.uint8, device="cuda")
    database[-5:] = 255
    query = torch.full((1, 16), 255, dtype=torch.uint8, device="cuda")
    distances, ids = ops.hamming_topk(query, database, 8)
    assert distances[0].tolist() == [0] * 5 + [128] * 3
    assert ids[0].tolist() == [*range(rows - 5, rows), 0, 1, 2]


@gpu
def test_repeated_calls_give_the_same_bits(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    queries, database = codes(100, 64, generator).cuda(), codes(50_000, 64, generator, distinct=40).cuda()
    first = ops.hamming_topk(queries, database, 500)
    for round_ in range(5):
        poison(round_)
        again = ops.hamming_topk(queries, database, 500)
        assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])


@gpu
def test_cdist_equals_reference(seed: int) -> None:
    for queries, database, _ in searches(seed, 200):
        poison()
        found = ops.hamming_cdist(queries.cuda(), database.cuda())
        assert torch.equal(found.cpu(), ops.hamming_cdist(queries, database))
    expected = reference.hamming_cdist(queries[:5], database[:50])
    assert torch.equal(ops.hamming_cdist(queries[:5].cuda(), database[:50].cuda()).cpu(), expected)


@gpu
@pytest.mark.parametrize("dtype", ops.hamming.PACKABLE, ids=str)
def test_pack_bits_equals_reference(seed: int, dtype: torch.dtype) -> None:
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    for shape in [
        (0, 64),
        (1, 8),
        (3, 7, 24),
        (draw.randint(1, 5000), 8 * draw.randint(1, 128)),
        (100_000, 64),
        (64,),
    ]:
        values = 3 * torch.randn(shape, generator=generator)
        for special in (0.0, -0.0, float("nan"), float("inf"), float("-inf"), 1e-45):
            values[torch.rand(shape, generator=generator) < 0.05] = special
        if not dtype.is_floating_point:
            values = values.nan_to_num(0, 3, -3).clamp(-3 if dtype == torch.int8 else 0, 3)
        values = values.to(dtype)
        poison()
        assert torch.equal(ops.pack_bits(values.cuda()).cpu(), reference.pack_bits(values))


@gpu
def test_inputs_that_are_not_contiguous_or_not_aligned(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    wide = codes(3001, 256, generator).cuda()
    for queries, database in (
        (wide[::7, :8], wide[:, 8:16]),
        (wide.t()[:8, :5].t(), wide[1::2, 3:11]),
        (wide.flatten()[1 : 1 + 80].view(10, 8), wide.flatten()[3 : 3 + 8 * 900].view(900, 8)),
    ):
        expected = ops.hamming_topk(queries.cpu(), database.cpu(), 50)
        assert_same_search(ops.hamming_topk(queries, database, 50), expected, f"strides {database.stride()}")
        assert torch.equal(
            ops.hamming_cdist(queries, database).cpu(), ops.hamming_cdist(queries.cpu(), database.cpu())
        )
    values = torch.randn(65, 130, generator=generator).cuda()
    for view in (values[:, 1:129], values.t()[:128, :64], values.flatten()[1:641].view(10, 64)):
        assert torch.equal(ops.pack_bits(view).cpu(), reference.pack_bits(view.cpu()))


@gpu
def test_empty_inputs() -> None:
    none, some = (
        torch.zeros(0, 8, dtype=torch.uint8, device="cuda"),
        torch.zeros(5, 8, dtype=torch.uint8, device="cuda"),
    )
    distances, ids = ops.hamming_topk(none, some, 3)
    assert distances.shape == ids.shape == (0, 3)
    assert ops.hamming_cdist(none, some).shape == (0, 5) and ops.hamming_cdist(some, none).shape == (5, 0)
    assert ops.pack_bits(torch.zeros(2, 0, 64, device="cuda")).shape == (2, 0, 8)


@gpu
def test_the_current_stream_is_used(seed: int) -> None:
    """The input is written on a side stream behind a long kernel; work on another stream would read it too early."""
    generator = torch.Generator().manual_seed(seed)
    queries, database = codes(40, 64, generator), codes(30_000, 64, generator)
    values = torch.randn(20_000, 64, generator=generator)
    expected = (
        ops.hamming_topk(queries, database, 20),
        ops.hamming_cdist(queries, database),
        ops.pack_bits(values),
    )
    late_q, late_db = torch.zeros_like(queries, device="cuda"), torch.zeros_like(database, device="cuda")
    late_values, queries, database = torch.zeros_like(values, device="cuda"), queries.cuda(), database.cuda()
    source = values.cuda()

    def calls() -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
        return (
            ops.hamming_topk(late_q, late_db, 20),
            ops.hamming_cdist(late_q, late_db),
            ops.pack_bits(late_values),
        )

    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        calls()  # the first call of a kernel loads its code and may wait for that, and the allocator asks for memory
        side.synchronize()
        torch.cuda._sleep(400_000_000)
        late_q.copy_(queries)
        late_db.copy_(database)
        late_values.copy_(source)
        found = calls()
        assert not side.query(), "the calls waited for the device"
    side.synchronize()
    assert_same_search(found[0], expected[0], "side stream")
    assert torch.equal(found[1].cpu(), expected[1]) and torch.equal(found[2].cpu(), expected[2])


@gpu
@pytest.mark.parametrize("queries", [1, 64])
def test_a_cuda_graph_captures_every_call(seed: int, queries: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (queries, 64)
    values, database = (
        torch.zeros(shape, device="cuda"),
        torch.zeros(200_000, 8, dtype=torch.uint8, device="cuda"),
    )

    def search() -> tuple[Tensor, ...]:
        packed = ops.pack_bits(values)
        return *ops.hamming_topk(packed, database, 30), ops.hamming_cdist(packed, database)

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        search()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = search()
    for _ in range(3):  # other data through the same graph
        new_values, new_database = torch.randn(shape, generator=generator), codes(200_000, 64, generator)
        values.copy_(new_values)
        database.copy_(new_database)
        graph.replay()
        torch.cuda.synchronize()
        packed = reference.pack_bits(new_values)
        assert_same_search(captured[:2], ops.hamming_topk(packed, new_database, 30), "replay")
        assert torch.equal(captured[2].cpu(), ops.hamming_cdist(packed, new_database))


@gpu
def test_operator_contract(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    queries, database = codes(3, 64, generator).cuda(), codes(90, 64, generator).cuda()
    torch.library.opcheck(torch.ops.sketchfast.hamming_topk.default, (queries, database, 4))
    torch.library.opcheck(torch.ops.sketchfast.hamming_cdist.default, (queries, database))
    torch.library.opcheck(torch.ops.sketchfast.pack_bits.default, (torch.randn(3, 64, device="cuda"),))


@gpu
def test_bad_input_is_refused_and_leaves_the_device_usable() -> None:
    good = torch.zeros(4, 8, dtype=torch.uint8, device="cuda")
    direct = torch.ops.sketchfast
    for call, message in (
        (lambda: direct.hamming_topk(good, good, 5), "k must be at least 1"),
        (lambda: direct.hamming_topk(good, good, 0), "k must be at least 1"),
        (lambda: direct.hamming_topk(good, good.int(), 1), "database must be"),
        (lambda: direct.hamming_topk(good, good[0], 1), "database must have shape"),
        (lambda: direct.hamming_topk(good, good[:, :4], 1), "one length"),
        (lambda: direct.hamming_cdist(good, good.cpu()), "database must be on"),
        (lambda: direct.hamming_cdist(good[:, :0], good[:, :0]), "8 to 1024 bits"),
        (lambda: direct.pack_bits(torch.zeros(3, 60, device="cuda")), "8 to 1024 bits"),
        (lambda: direct.pack_bits(torch.zeros(3, 64, dtype=torch.int32, device="cuda")), "values must be"),
    ):
        with pytest.raises((RuntimeError, ValueError, TypeError), match=message):
            call()
    assert ops.hamming_topk(good, good, 4)[1].tolist() == [[0, 1, 2, 3]] * 4


@gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_the_tensors_device_is_used_not_the_current_one(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    queries, database = codes(4, 64, generator), codes(900, 64, generator)
    with torch.cuda.device(0):
        found = ops.hamming_topk(queries.to("cuda:1"), database.to("cuda:1"), 9)
    assert found[0].device.index == 1
    assert_same_search(found, ops.hamming_topk(queries, database, 9), "cuda:1")


@needs_module
@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_of_the_schema_has_a_cuda_kernel(operator: str) -> None:
    assert torch._C._dispatch_has_kernel_for_dispatch_key(f"sketchfast::{operator}", "CUDA")


@needs_module
def test_the_cuda_module_loads_beside_torch() -> None:
    from sketchfast import _C_cuda

    assert _C_cuda.__name__ == "sketchfast._C_cuda"
    registered = {
        name.split("::")[1]
        for name in torch._C._dispatch_get_registrations_for_dispatch_key("CUDA")
        if name.startswith("sketchfast::")
    }
    assert registered >= set(OPERATORS)
