"""Exact Hamming search against faiss IndexBinaryFlat, and packing and distance matrices against numpy, in one run.

Peers are at their best: faiss keeps its index built beforehand, runs with the same number of threads, and of its two
selection methods (heap and counting) the faster one is taken for every case. Rounds alternate between ours and the
peer's, so that both see the same machine; medians are compared. Distances are checked to be equal.

    pytest bench/bench_hamming.py                          # 1 M codes; writes bench/results/hamming_topk--<device>.json
    SKETCHFAST_BENCH_QUICK=1 pytest bench/bench_hamming.py # a twentieth of that, writes nothing
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from bench.results_file import CPUS, processor, write_results
from sketchfast import numpy_ops

faiss = pytest.importorskip("faiss")

QUICK = os.environ.get("SKETCHFAST_BENCH_QUICK", "0") not in ("", "0")
NUM_CODES = 50_000 if QUICK else 1_000_000
MANY_QUERIES = 128 if QUICK else 1_024
THREADS = sorted({1, CPUS})
# times faiss, one thread and many queries; and one query with every core
TARGETS = {64: 4.0, 128: 6.0, 256: 6.0}
ONE_QUERY_TARGET = 1.2


def clustered(count: int, width: int, random: np.random.Generator, centres: np.ndarray) -> np.ndarray:
    """Codes around class centres, each bit flipped with probability 1/8: near neighbours and many ties, as learned codes."""
    codes = centres[random.integers(0, len(centres), count)]
    for start in range(0, count, 100_000):
        block = codes[start : start + 100_000]
        flips = random.integers(0, 256, (3, *block.shape), dtype=np.uint8)
        block ^= flips[0] & flips[1] & flips[2]
    return codes


def draw(data: str, bits: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    width = bits // 8
    if data == "random":
        return (
            random.integers(0, 256, (MANY_QUERIES, width), dtype=np.uint8),
            random.integers(0, 256, (NUM_CODES, width), dtype=np.uint8),
        )
    centres = random.integers(0, 256, (100, width), dtype=np.uint8)
    return clustered(MANY_QUERIES, width, random, centres), clustered(NUM_CODES, width, random, centres)


def seconds_of(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def against(
    benchmark: Any, ours: Callable[[], Any], peer: Callable[[], Any], rounds: int
) -> tuple[float, float]:
    """Median seconds of ours and of the peer over alternating rounds."""
    peer_seconds: list[float] = []
    benchmark.pedantic(
        ours,
        setup=lambda: peer_seconds.append(seconds_of(peer)),
        rounds=rounds,
        iterations=1,
        warmup_rounds=1,
    )
    return benchmark.stats.stats.median, float(np.median(peer_seconds))


@pytest.fixture(scope="module")
def results() -> Iterator[list[dict[str, Any]]]:
    """Rows of this run; written and summed up when every case was measured at full size."""
    rows: list[dict[str, Any]] = []
    yield rows
    searches = [row for row in rows if row["op"] == "hamming_topk"]
    print(f"\n{processor()}, {NUM_CODES} codes, paths {', '.join(numpy_ops.hamming_paths())}")
    for row in searches:
        target = f"  (target {row['target']})" if row["target"] else ""
        print(
            f"  {row['bits']:4} bits {row['data']:9} {row['queries']:5} queries k={row['k']:<4} {row['threads']} threads: "
            f"{row['gpairs_per_s']:6.2f} G pairs/s, faiss {row['faiss_gpairs_per_s']:5.2f}: {row['times_faiss']:5.2f}x{target}"
        )
    if QUICK or len(searches) < 3 * 2 * 3 * len(THREADS):
        return
    write_results(
        "hamming_topk",
        rows,
        ("numpy", "faiss-cpu"),
        paths=numpy_ops.hamming_paths(),
        codes=NUM_CODES,
    )


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize(("num_queries", "k"), [(MANY_QUERIES, 10), (MANY_QUERIES, 100), (1, 10)])
@pytest.mark.parametrize("data", ["random", "clustered"])
@pytest.mark.parametrize("bits", sorted(TARGETS))
def test_hamming_topk(
    bits: int,
    data: str,
    num_queries: int,
    k: int,
    threads: int,
    benchmark: Any,
    results: list[dict[str, Any]],
) -> None:
    queries, database = draw(data, bits)
    queries = queries[:num_queries]
    index = faiss.IndexBinaryFlat(bits)
    index.add(database)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        seconds_by_method = {}
        for index.use_heap in (True, False):
            index.search(queries[:32], k)
            seconds_by_method[index.use_heap] = min(
                seconds_of(lambda: index.search(queries[:32], k)) for _ in range(3)
            )
        index.use_heap = seconds_by_method[True] <= seconds_by_method[False]
        expected, _ = index.search(queries, k)
        ours, peer = against(
            benchmark,
            lambda: numpy_ops.hamming_topk(queries, database, k, threads=threads),
            lambda: index.search(queries, k),
            rounds=31 if num_queries == 1 else 5,
        )
    finally:
        faiss.omp_set_num_threads(before)
    np.testing.assert_array_equal(numpy_ops.hamming_topk(queries, database, k, threads=threads)[0], expected)
    pairs = num_queries * NUM_CODES / 1e9
    target = None
    if num_queries > 1 and threads == 1:
        target = TARGETS[bits]
    elif num_queries == 1 and threads == CPUS:
        target = ONE_QUERY_TARGET
    row = {
        "op": "hamming_topk",
        "bits": bits,
        "data": data,
        "queries": num_queries,
        "k": k,
        "threads": threads,
        "seconds": round(ours, 6),
        "gpairs_per_s": round(pairs / ours, 3),
        "faiss_gpairs_per_s": round(pairs / peer, 3),
        "faiss_selection": "heap" if index.use_heap else "counting",
        "times_faiss": round(peer / ours, 2),
        "target": target,
    }
    benchmark.extra_info.update(row)
    results.append(row)  # before the assertion: the results file holds losses too
    if target is not None and not QUICK:
        assert row["times_faiss"] >= target, (
            f"{row['times_faiss']} times faiss, the target is {target}: {row}"
        )


@pytest.mark.parametrize("bits", [64, 256])
def test_hamming_cdist(bits: int, benchmark: Any, results: list[dict[str, Any]]) -> None:
    queries, database = draw("random", bits)
    queries, database = queries[:64], database[:100_000]
    words = queries.view(np.uint64), database.view(np.uint64)

    def peer() -> np.ndarray:
        return np.stack([np.bitwise_count(words[1] ^ q).sum(axis=1, dtype=np.int16) for q in words[0]])

    np.testing.assert_array_equal(numpy_ops.hamming_cdist(queries, database), peer())
    ours, theirs = against(
        benchmark, lambda: numpy_ops.hamming_cdist(queries, database, threads=1), peer, rounds=5
    )
    pairs = len(queries) * len(database) / 1e9
    row = {
        "op": "hamming_cdist",
        "bits": bits,
        "threads": 1,
        "gpairs_per_s": round(pairs / ours, 3),
        "times_numpy": round(theirs / ours, 2),
    }
    results.append(row)
    print(f"\nhamming_cdist {bits} bits: {row['gpairs_per_s']} G pairs/s, {row['times_numpy']} times numpy")


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_pack_bits(dtype: str, benchmark: Any, results: list[dict[str, Any]]) -> None:
    values = np.random.default_rng(0).standard_normal((NUM_CODES // 10, 64)).astype(dtype)
    ours, theirs = against(
        benchmark,
        lambda: numpy_ops.pack_bits(values, threads=1),
        lambda: np.packbits(values > 0, axis=-1, bitorder="little"),
        rounds=9,
    )
    row = {
        "op": "pack_bits",
        "dtype": dtype,
        "threads": 1,
        "gb_per_s": round(values.nbytes / ours / 1e9, 2),
        "times_numpy": round(theirs / ours, 2),
    }
    results.append(row)
    print(f"\npack_bits {dtype}: {row['gb_per_s']} GB/s read, {row['times_numpy']} times numpy")
