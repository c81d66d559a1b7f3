"""Every Hamming code path against an independent definition: unpacked bits, an integer matrix product, a stable sort."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

from sketchfast import numpy_ops

PATHS = [*numpy_ops.hamming_paths(), "auto"]
THREADS = (1, 2, 3, 7)
BYTES = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 63, 64, 65, 96, 127, 128)


def all_distances(queries: np.ndarray, database: np.ndarray) -> np.ndarray:
    """|x| + |y| - 2 x.y over bits as 64-bit integers."""
    x = np.unpackbits(queries, axis=1).astype(np.int64)
    y = np.unpackbits(database, axis=1).astype(np.int64)
    return x.sum(1)[:, None] + y.sum(1)[None, :] - 2 * (x @ y.T)


def nearest(distances: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """By (distance, id): lexsort's last key is the first to count."""
    rows = np.arange(distances.shape[1])
    ids = (
        np.stack([np.lexsort((rows, row))[:k] for row in distances])
        if len(distances)
        else np.zeros((0, k), np.int64)
    )
    return np.take_along_axis(distances, ids, axis=1), ids


def draw_codes(random: np.random.Generator, count: int, width: int, kind: str) -> np.ndarray:
    if kind == "few":  # many duplicates
        return random.integers(0, 256, (3, width), dtype=np.uint8)[random.integers(0, 3, count)]
    if kind == "sparse":  # distances 0 to 8: ties everywhere
        codes = np.zeros((count, width), np.uint8)
        codes[:, random.integers(0, width)] = random.integers(0, 256, count)
        return codes
    if kind == "clustered":
        centres = random.integers(0, 256, (8, width), dtype=np.uint8)[random.integers(0, 8, count)]
        flips = random.integers(0, 256, (3, count, width), dtype=np.uint8)
        return centres ^ (flips[0] & flips[1] & flips[2])
    return random.integers(0, 256, (count, width), dtype=np.uint8)


def check(
    queries: np.ndarray, database: np.ndarray, k: int, path: str, threads: int, truth: np.ndarray
) -> None:
    distances, ids = numpy_ops.hamming_topk(queries, database, k, threads=threads, path=path)
    expected_distances, expected_ids = nearest(truth, k)
    label = (
        f"path={path} threads={threads} bits={queries.shape[1] * 8} Q={len(queries)} N={len(database)} k={k}"
    )
    assert distances.dtype == np.int32 and ids.dtype == np.int64, label
    np.testing.assert_array_equal(distances, expected_distances, err_msg=label)
    np.testing.assert_array_equal(ids, expected_ids, err_msg=label)


def some_k(random: np.random.Generator, count: int) -> int:
    return int(random.choice([1, min(10, count), max(1, count // 20), max(1, count // 3), count]))


@pytest.mark.parametrize("path", PATHS)
def test_topk_and_cdist_equal_the_definition(path: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    kinds = itertools.cycle(("random", "few", "sparse", "clustered"))
    for width, query_count in itertools.product(BYTES, (1, 5, 31, 33, 97)):
        count = int(random.integers(1, random.choice([8, 63, 65, 700])))
        database = draw_codes(random, count, width, next(kinds))
        queries = database[random.integers(0, count, query_count)] ^ draw_codes(
            random, query_count, width, "sparse"
        )
        truth = all_distances(queries, database)
        threads = int(random.choice(THREADS))
        check(queries, database, some_k(random, count), path, threads, truth)
        matrix = numpy_ops.hamming_cdist(queries, database, threads=threads, path=path)
        assert matrix.dtype == (np.uint8 if width * 8 <= 255 else np.int16)
        np.testing.assert_array_equal(matrix, truth)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["random", "clustered"])
def test_parts_and_tiles_of_a_larger_database_meet(path: str, kind: str, seed: int) -> None:
    """Enough codes that threads get ranges of their own and the candidate buffers are compacted many times."""
    random = np.random.default_rng(seed)
    width = int(random.choice([8, 16, 32]))
    database = draw_codes(random, int(random.integers(40_000, 50_000)), width, kind)
    for query_count in (2, 40):
        queries = database[random.integers(0, len(database), query_count)]
        truth = all_distances(queries[:2], database)
        for k, threads in itertools.product((1, 10, 1000), (1, 3)):
            distances, ids = numpy_ops.hamming_topk(queries, database, k, threads=threads, path=path)
            expected_distances, expected_ids = nearest(truth, k)
            np.testing.assert_array_equal(distances[:2], expected_distances)
            np.testing.assert_array_equal(ids[:2], expected_ids)


@pytest.mark.parametrize("path", PATHS)
def test_thread_count_changes_nothing(path: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    database = draw_codes(random, 60_001, 8, "clustered")
    for query_count, k in ((1, 20), (2, 9_000), (70, 20)):
        queries = draw_codes(random, query_count, 8, "clustered")
        first = numpy_ops.hamming_topk(queries, database, k, threads=1, path=path)
        for threads in (2, 5, 16, 0):
            again = numpy_ops.hamming_topk(queries, database, k, threads=threads, path=path)
            np.testing.assert_array_equal(again[0], first[0])
            np.testing.assert_array_equal(again[1], first[1])


@pytest.mark.parametrize("path", PATHS)
def test_worst_order_of_the_database(path: str) -> None:
    """Codes that come ever nearer: each one enters the result, so every buffer fills and compacts."""
    bits = 256
    count = 60_000
    ones = np.linspace(bits, 0, count).astype(np.int64)
    database = np.packbits(np.arange(bits)[None, :] < ones[:, None], axis=1)
    queries = np.zeros((33, bits // 8), np.uint8)
    for k in (1, 7, 300, count // 4):
        distances, ids = numpy_ops.hamming_topk(queries, database, k, threads=2, path=path)
        order = np.lexsort((np.arange(count), ones))[:k]
        np.testing.assert_array_equal(ids, np.broadcast_to(order, (33, k)))
        np.testing.assert_array_equal(distances, np.broadcast_to(ones[order], (33, k)))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("width", [1, 8, 13, 32, 128])
def test_identical_codes_give_the_first_ids(path: str, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    database = np.repeat(random.integers(0, 256, (1, width), dtype=np.uint8), 1_000, axis=0)
    for query, k in itertools.product((database[:1], ~database[:1]), (1, 10, 100, 1_000)):
        queries = np.repeat(query, 40, axis=0)
        distances, ids = numpy_ops.hamming_topk(queries, database, k, threads=2, path=path)
        assert (ids == np.arange(k)).all()
        assert (distances == (0 if (query == database[:1]).all() else width * 8)).all()


@pytest.mark.parametrize("path", PATHS)
def test_any_alignment_and_layout(path: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    for width, offset in itertools.product((3, 8, 16, 32), (0, 1, 5, 8, 63)):
        memory = random.integers(0, 256, offset + 901 * width, dtype=np.uint8)
        database = memory[offset:].reshape(901, width)
        queries = random.integers(0, 256, 1 + 35 * width, dtype=np.uint8)[1:].reshape(35, width)
        check(queries, database, 50, path, 2, all_distances(queries, database))
        check(queries[:2], database, 50, path, 2, all_distances(queries[:2], database))
    wide = random.integers(0, 256, (300, 20), dtype=np.uint8)
    for view in (wide[::2, 4:12], wide[:, ::2], np.asfortranarray(wide)):
        check(view[:7], view, 9, path, 1, all_distances(view[:7], view))


@pytest.mark.parametrize("path", PATHS)
def test_no_queries_and_empty_database(path: str) -> None:
    database = np.zeros((5, 8), np.uint8)
    distances, ids = numpy_ops.hamming_topk(database[:0], database, 3, path=path)
    assert distances.shape == ids.shape == (0, 3)
    assert numpy_ops.hamming_cdist(database[:0], database, path=path).shape == (0, 5)
    assert numpy_ops.hamming_cdist(database, database[:0], path=path).shape == (5, 0)


def test_distances_equal_faiss(seed: int) -> None:
    faiss = pytest.importorskip("faiss")
    random = np.random.default_rng(seed)
    for width, query_count in itertools.product((1, 8, 12, 16, 32, 64, 128), (1, 64)):
        database = draw_codes(random, 20_000, width, "clustered")
        queries = draw_codes(random, query_count, width, "clustered")
        index = faiss.IndexBinaryFlat(width * 8)
        index.add(database)
        expected, _ = index.search(queries, 25)  # faiss promises no order among equal distances
        np.testing.assert_array_equal(numpy_ops.hamming_topk(queries, database, 25)[0], expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int8, np.uint8, np.bool_])
def test_pack_bits_equals_packbits(dtype: type, seed: int) -> None:
    random = np.random.default_rng(seed)
    for shape in ((1, 8), (3, 24), (0, 64), (2, 5, 72), (1024,), (501, 1000), (40, 1024)):
        values = random.normal(0, 3, shape)
        if np.issubdtype(dtype, np.floating):
            special = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 6e-8, -6e-8])
            values = np.where(random.random(shape) < 0.3, random.choice(special, shape), values)
            values = values.astype(dtype)
        elif dtype is np.bool_:
            values = values > 0
        else:
            values = random.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape).astype(dtype)
        expected = np.packbits(values > 0, axis=-1, bitorder="little")
        for threads in (1, 3):
            np.testing.assert_array_equal(numpy_ops.pack_bits(values, threads=threads), expected)
    strided = random.normal(0, 1, (64, 48)).T
    np.testing.assert_array_equal(
        numpy_ops.pack_bits(strided), np.packbits(strided > 0, axis=-1, bitorder="little")
    )


@pytest.mark.parametrize(
    ("queries", "database", "k", "error", "message"),
    [
        ([[1]], np.zeros((2, 1), np.uint8), 1, TypeError, "queries: expected a numpy array.*list"),
        (
            np.zeros((1, 1)),
            np.zeros((2, 1), np.uint8),
            1,
            TypeError,
            "queries: expected dtype uint8.*float64",
        ),
        (
            np.zeros((1, 1), np.uint8),
            np.zeros((2, 1), np.int8),
            1,
            TypeError,
            "database: expected dtype uint8.*int8",
        ),
        (
            np.zeros(8, np.uint8),
            np.zeros((2, 8), np.uint8),
            1,
            ValueError,
            r"queries: expected 2 dim.*\(8,\)",
        ),
        (
            np.zeros((1, 129), np.uint8),
            np.zeros((2, 129), np.uint8),
            1,
            ValueError,
            r"queries: .*1024.*\(1, 129\)",
        ),
        (np.zeros((1, 0), np.uint8), np.zeros((2, 0), np.uint8), 1, ValueError, r"queries: .*\(1, 0\)"),
        (
            np.zeros((1, 8), np.uint8),
            np.zeros((2, 9), np.uint8),
            1,
            ValueError,
            "equal length, got 64 and 72 bits",
        ),
        (
            np.zeros((1, 8), np.uint8),
            np.zeros((2, 8), np.uint8),
            3,
            ValueError,
            "k: expected 1 to .* 2, got 3",
        ),
        (np.zeros((1, 8), np.uint8), np.zeros((2, 8), np.uint8), 0, ValueError, "k: .*got 0"),
        (np.zeros((1, 8), np.uint8), np.zeros((0, 8), np.uint8), 1, ValueError, "k: .* 0, got 1"),
    ],
)
def test_bad_search_arguments_are_named(
    queries: object, database: np.ndarray, k: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        numpy_ops.hamming_topk(queries, database, k)  # type: ignore[arg-type]


def test_bad_path_and_values_are_named() -> None:
    codes = np.zeros((2, 8), np.uint8)
    with pytest.raises(ValueError, match=r"path: expected 'auto'.*'sse9'"):
        numpy_ops.hamming_cdist(codes, codes, path="sse9")
    with pytest.raises(ValueError, match=r"values: .*multiple of 8.*\(2, 7\)"):
        numpy_ops.pack_bits(np.zeros((2, 7)))
    with pytest.raises(TypeError, match=r"values: .*int64"):
        numpy_ops.pack_bits(np.zeros((2, 8), np.int64))
    with pytest.raises(TypeError, match=r"values: .*>f4"):
        numpy_ops.pack_bits(np.zeros((2, 8), ">f4"))


def test_every_core_means_those_the_process_may_use() -> None:
    """Threads of the process while it searches, bound to one core; the sampling thread and the caller are two of them."""
    code = """
import os, sys, threading
import numpy as np
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from sketchfast import numpy_ops
database = np.random.default_rng(0).integers(0, 256, (400_000, 32), dtype=np.uint8)
done, most = threading.Event(), 0
def sample():
    global most
    while not done.wait(0.001):
        most = max(most, len(os.listdir("/proc/self/task")))
sampling = threading.Thread(target=sample)
sampling.start()
before = len(os.listdir("/proc/self/task"))
for _ in range(10):
    numpy_ops.hamming_topk(database[:256], database, 10, threads=int(sys.argv[1]))
done.set()
sampling.join()
print(most - before)
"""
    others = {}
    for threads in ("0", "3"):
        found = subprocess.run(
            [sys.executable, "-c", code, threads], capture_output=True, text=True, check=True, timeout=120
        )
        others[threads] = int(found.stdout)
    assert others["0"] == 0
    assert others["3"] > 0, "the sampling sees no threads: the line above proves nothing"
