"""Weighted search of 1,000 sketches, ten samples each, in 10,000 photos of 2,048 dimensions, against three ways without it.

All in float32 with every core, in one run; rounds alternate, medians are compared. The peers are timed on a few queries:

    naive        for each query and sample: ((w * F_s - w * F_p)**2).sum(1) over the gallery, then the smallest
    cdist        for each query and sample: torch.cdist(w * F_s, w * F_p), which is a matrix product inside, squared
    differences  for each query: (F_p - F_s)^2 once, in blocks that stay in the cache and without a new tensor, then one product
                 with the squared weights of all samples; the strongest that is known here, and what one query uses

    pytest bench/bench_weighted_search.py -s   # minutes; writes bench/results/weighted_search--<device>.json
    SKETCHFAST_BENCH_QUICK=1 pytest bench/bench_weighted_search.py -s   # small, writes nothing
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.results_file import CPUS, write_results
from sketchfast.retrieval.weighted_search import BLOCK_BYTES, weighted_distances

QUICK = os.environ.get("SKETCHFAST_BENCH_QUICK", "0") not in ("", "0")
QUERIES, PHOTOS, DIMENSIONS, SAMPLES = (60, 1_000, 2_048, 10) if QUICK else (1_000, 10_000, 2_048, 10)
DESCRIPTORS = 30 if QUICK else 300  # K of the paper
ROUNDS = 3
QUERIES_A_ROUND = {"naive": 1, "cdist": 1, "differences": 5}
TARGET = 20.0  # times naive
RELATIVE = 1e-4
CACHED_ROWS = 64  # 512 KB of differences
MEMORY_QUERIES = min(QUERIES, 300)  # two blocks of them; more take longer, not more memory

MEMORY_PROBE = """
import sys
import bench_weighted_search as bench

def resident(field):
    for line in open("/proc/self/status"):
        if line.startswith(field):
            return int(line.split()[1]) * 1024

queries, gallery, weights, of = bench.inputs(sys.argv[1])
some = slice(0, bench.MEMORY_QUERIES)
queries, of = queries[some].clone(), of[some].clone()
weights = weights[some].clone() if sys.argv[1] == "own" else weights
bench.weighted_distances(queries[:2], gallery[:100], weights, of[:2])
open("/proc/self/clear_refs", "w").write("5")  # start the peak anew
before = resident("VmRSS")
found = bench.weighted_distances(queries, gallery, weights, of)
print(resident("VmHWM") - before - found.nbytes)
"""


def inputs(kind: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, gallery, weights, weights_of. As pooled features are: of unit length, alike; each query is near a photo."""
    random = torch.Generator().manual_seed(0)
    common = torch.rand(DIMENSIONS, generator=random)
    gallery = common + torch.randn(PHOTOS, DIMENSIONS, generator=random).relu_()
    queries = gallery[:QUERIES] + 0.7 * torch.randn(QUERIES, DIMENSIONS, generator=random).relu_()
    rows = QUERIES if kind == "own" else DESCRIPTORS
    eta = torch.randn(rows, SAMPLES, DIMENSIONS, generator=random)
    of = torch.arange(QUERIES) if kind == "own" else torch.randint(0, rows, (QUERIES,), generator=random)
    unit = torch.nn.functional.normalize
    return unit(queries, dim=1), unit(gallery, dim=1), unit(eta, dim=2).add_(1), of


def naive(query: Tensor, gallery: Tensor, weights: Tensor) -> Tensor:
    return torch.stack([((w * query - w * gallery) ** 2).sum(1) for w in weights]).amin(dim=0)


def cdist(query: Tensor, gallery: Tensor, weights: Tensor) -> Tensor:
    # The same for all samples at once would take 800 MB.
    found = [torch.cdist((w * query)[None], w * gallery)[0] for w in weights]
    return torch.stack(found).amin(dim=0).square_()


def differences(query: Tensor, gallery: Tensor, weights: Tensor) -> Tensor:
    squares, found = weights.square().T.contiguous(), torch.empty(len(gallery))
    rows, products = torch.empty(CACHED_ROWS, DIMENSIONS), torch.empty(CACHED_ROWS, SAMPLES)
    for start in range(0, len(gallery), CACHED_ROWS):
        photos = gallery[start : start + CACHED_ROWS]
        some, out = rows[: len(photos)], products[: len(photos)]
        torch.sub(photos, query, out=some).square_()
        torch.mm(some, squares, out=out)
        found[start : start + len(photos)] = out.amin(dim=1)
    return found


PEERS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "naive": naive,
    "cdist": cdist,
    "differences": differences,
}


def exact(query: Tensor, gallery: Tensor, weights: Tensor) -> Tensor:
    """float64, in blocks of photos."""
    parts = [
        torch.stack([((w * (query.double() - some.double())) ** 2).sum(1) for w in weights.double()]).amin(0)
        for some in gallery.split(1000)
    ]
    return torch.cat(parts)


def peak_memory(kind: str) -> int:
    """Bytes above inputs and result, in a process of its own."""
    here = Path(__file__).resolve().parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parent), str(here)])}
    probe = subprocess.run(
        [sys.executable, "-c", MEMORY_PROBE, kind],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert probe.returncode == 0, probe.stderr
    return int(probe.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def results() -> Iterator[list[dict[str, Any]]]:
    """Rows of this run; written when all of them were measured at full size."""
    rows: list[dict[str, Any]] = []
    yield rows
    if QUICK or len(rows) < 2:
        return
    write_results(
        "weighted_search",
        rows,
        ("torch", "numpy"),
        queries=QUERIES,
        photos=PHOTOS,
        dimensions=DIMENSIONS,
        samples=SAMPLES,
        descriptors=DESCRIPTORS,
        block_mb=BLOCK_BYTES >> 20,
        threads=CPUS,
        rounds=ROUNDS,
        peer_queries={name: ROUNDS * count for name, count in QUERIES_A_ROUND.items()},
    )


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["own", "shared"])
def test_weighted_search(kind: str, benchmark: Any, results: list[dict[str, Any]]) -> None:
    queries, gallery, weights, of = inputs(kind)
    timed: dict[str, list[float]] = {name: [] for name in PEERS}
    checked = np.linspace(0, QUERIES - 1, ROUNDS).astype(int).tolist()

    def run_peers() -> None:
        for name, peer in PEERS.items():
            for _ in range(QUERIES_A_ROUND[name]):
                i = 37 * len(timed[name]) % QUERIES
                given = queries[i], gallery, weights[of[i]]
                start = time.perf_counter()
                peer(*given)
                timed[name].append(time.perf_counter() - start)

    before = torch.get_num_threads()
    torch.set_num_threads(CPUS)
    try:
        for peer in PEERS.values():
            peer(queries[0], gallery, weights[of[0]])
        weighted_distances(queries[:20], gallery, weights, of[:20])
        found = benchmark.pedantic(
            lambda: weighted_distances(queries, gallery, weights, of),
            setup=run_peers,
            rounds=ROUNDS,
            iterations=1,
        )
        expected = torch.stack([exact(queries[i], gallery, weights[of[i]]) for i in checked])
    finally:
        torch.set_num_threads(before)
    error = float(((found[checked].double() - expected).abs() / expected).max())
    seconds = benchmark.stats.stats.median
    each = {name: float(np.median(values)) * QUERIES for name, values in timed.items()}
    row = {
        "weights": kind,
        "seconds": round(seconds, 2),
        "spread": [round(benchmark.stats.stats.min, 2), round(benchmark.stats.stats.max, 2)],
        "gflop_per_s": round(2 * (len(weights) + QUERIES) * SAMPLES * PHOTOS * DIMENSIONS / seconds / 1e9, 1),
        **{f"{name}_seconds": round(value, 1) for name, value in each.items()},
        **{f"times_{name}": round(value / seconds, 2) for name, value in each.items()},
        "largest_relative_error": float(f"{error:.2g}"),
        "peak_mb_above": round(peak_memory(kind) / 2**20),
    }
    benchmark.extra_info.update(row)
    results.append(row)  # before the assertions: the results file holds losses too
    print("\n" + "  ".join(f"{key} {value}" for key, value in row.items()))
    assert error <= RELATIVE
    assert row["peak_mb_above"] < 1.25 * (BLOCK_BYTES >> 20)
    if not QUICK:
        assert row["times_naive"] >= TARGET
