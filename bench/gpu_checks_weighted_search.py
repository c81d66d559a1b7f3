"""GPU checks of weighted_search, for gpu_check.py."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from gpu_timing import Case, Device
from torch import Tensor


def bench_weighted_search(device: Device) -> Iterator[Case]:
    from sketchfast.retrieval.weighted_search import weighted_distances

    def inputs(queries: int, photos: int, rows: int) -> tuple[Tensor, ...]:
        unit, dims = torch.nn.functional.normalize, 2048
        gallery = unit(torch.rand(dims) + torch.randn(photos, dims).relu_(), dim=1)
        sketches = unit(gallery[:queries] + 0.02 * torch.randn(queries, dims), dim=1)
        sketches[0] = gallery[0]
        weights = 1 + unit(torch.randn(rows, 10, dims), dim=2)
        of = torch.arange(queries) if rows == queries else torch.randint(0, rows, (queries,))
        return sketches, gallery, weights, of

    small = inputs(20, 300, 7)
    wide = [values.double() for values in small[:3]]
    wanted = torch.stack(
        [
            ((wide[2][row][:, None] * (sketch - wide[1])) ** 2).sum(2).amin(0)
            for sketch, row in zip(wide[0], small[3], strict=True)
        ]
    )
    for block_bytes in (1 << 20, 64 << 20):
        found = weighted_distances(*(values.cuda() for values in small), block_bytes=block_bytes)
        torch.testing.assert_close(found.cpu().double(), wanted, rtol=1e-4, atol=0.0)
    for rows in (1000, 300):
        sketches, gallery, weights, of = (values.cuda() for values in inputs(1000, 10_000, rows))

        def naive(some: int = 10, given: Any = (sketches, gallery, weights, of)) -> list[Tensor]:
            """A hundredth of the queries."""
            s, g, w, of = given
            return [
                torch.stack([((sample * s[i] - sample * g) ** 2).sum(1) for sample in w[of[i]]]).amin(0)
                for i in range(some)
            ]

        yield Case(
            f"1000 queries of 10 samples, 10,000 photos, 2,048 dimensions, {rows} rows of weights",
            [partial(weighted_distances, sketches, gallery, weights, of, block_bytes=1 << 30)],
            {"naive_for_a_hundredth_of_the_queries": [naive]},
            "flop",
            2.0 * (rows + 1000) * 10 * 10_000 * 2048,
            None,
            {"queries": 1000, "photos": 10_000, "weight_rows": rows},
        )


def small_weighted_search() -> None:
    from sketchfast.retrieval.weighted_search import weighted_topk

    gallery = torch.randn(70, 40, device="cuda")
    weights, of = torch.randn(3, 4, 40, device="cuda"), torch.tensor([2, 0, 0, 1, 2], device="cuda")
    weighted_topk(gallery[:5], gallery, weights, of, k=7, block_bytes=10_000)
