"""GPU checks of hamming_topk, hamming_cdist and pack_bits, for gpu_check.py."""

from collections.abc import Iterator
from typing import Any

import torch
from gpu_timing import Case, Device, rotations
from torch import Tensor


def random_codes(rows: int, bits: int) -> Tensor:
    return torch.randint(0, 256, (rows, bits // 8), dtype=torch.uint8, device="cuda")


def signs(codes: Tensor) -> Tensor:
    """Codes as +-1 in float16: their products count equal minus unequal bits, exactly up to 2,048 bits."""
    places = torch.arange(8, dtype=torch.uint8, device="cuda")
    parts = [((part[:, :, None] >> places) & 1).flatten(1).half() * 2 - 1 for part in codes.split(1 << 22)]
    return torch.cat(parts)


def bench_topk(device: Device) -> Iterator[Case]:
    from sketchfast import ops

    million = 1_000_000
    for bits, queries, rows, k in (
        (64, 1, million, 100),
        (64, 1, 100 * million, 100),
        (64, 4, 100 * million, 100),
        (256, 1, 30 * million, 100),
        (64, 32, million, 100),
        (64, 1024, million, 100),
        (128, 1024, million, 100),
        (256, 1024, million, 100),
        (1024, 256, million, 100),
        (64, 15229, 17101, 100),
        (64, 1024, million, 10_000),
    ):
        copies = [random_codes(rows, bits) for _ in range(rotations(device, rows * bits // 8))]
        asked = random_codes(queries, bits)
        few = min(queries, 3)
        found = ops.hamming_topk(asked, copies[0], k)
        on_cpu = ops.hamming_topk(asked[:few].cpu(), copies[0].cpu(), k)
        if not all(torch.equal(a[:few].cpu(), b) for a, b in zip(found, on_cpu)):
            raise AssertionError(
                f"hamming_topk on the GPU differs from the CPU: {bits=} {queries=} {rows=} {k=}"
            )
        dense, dense_asked = (
            signs(copies[0]).t(),
            signs(asked),
        )  # larger than L2 alone, or as small as its result is large

        def peer(dense: Tensor = dense, asked: Tensor = dense_asked, k: int = k) -> Any:
            return [
                (part @ dense).topk(k, dim=1)
                for part in asked.split(max(1, (4 << 30) // (2 * dense.shape[1])))
            ]

        similarity = torch.cat([part.values for part in peer()])
        if not torch.equal(((bits - similarity.int()) // 2), found[0]):
            raise AssertionError(f"the peer's distances differ: {bits=} {queries=} {rows=} {k=}")
        streaming = device.copy_bytes_per_second / (bits // 8) * queries
        tiles = device.popc_pairs_per_second(bits)
        yield Case(
            f"{bits} bits, {queries} x {rows}, k={k}",
            [lambda c=c, a=asked, k=k: ops.hamming_topk(a, c, k) for c in copies],
            {"torch_fp16_matmul_topk": [peer]},
            "pairs",
            queries * rows,
            min(streaming, tiles) if tiles else streaming,
            {"bits": bits, "queries": queries, "codes": rows, "k": k},
        )


def small_topk() -> None:
    from sketchfast import ops

    for bits in (64, 128, 256, 512, 1024, 24, 192):
        for queries, rows, k in ((1, 5000, 3), (4, 700, 700), (70, 1500, 10)):
            ops.hamming_topk(random_codes(queries, bits), random_codes(rows, bits), k)
    ops.hamming_topk(random_codes(300, 64), random_codes(40_000, 64), 5)  # large enough for the sampled bound


def bench_cdist(device: Device) -> Iterator[Case]:
    from sketchfast import ops

    for bits, queries, rows in (
        (64, 1024, 1_000_000),
        (128, 1024, 1_000_000),
        (256, 1024, 1_000_000),
        (64, 15229, 17101),
    ):
        asked, database = random_codes(queries, bits), random_codes(rows, bits)
        dense, dense_asked = signs(database).t(), signs(asked)
        found = ops.hamming_cdist(asked, database)
        if not torch.equal(found[:2].cpu(), ops.hamming_cdist(asked[:2].cpu(), database.cpu())):
            raise AssertionError(f"hamming_cdist on the GPU differs from the CPU: {bits=} {queries=} {rows=}")
        writing = device.copy_bytes_per_second / found.element_size()
        tiles = device.popc_pairs_per_second(bits)
        yield Case(
            f"{bits} bits, {queries} x {rows}",
            [lambda a=asked, d=database: ops.hamming_cdist(a, d)],  # its output alone is larger than L2
            {"torch_fp16_matmul": [lambda a=dense_asked, d=dense: a @ d]},
            "pairs",
            queries * rows,
            min(writing, tiles) if tiles else writing,
            {"bits": bits, "queries": queries, "codes": rows},
        )


def small_cdist() -> None:
    from sketchfast import ops

    for bits in (64, 128, 256, 512, 1024, 24):
        ops.hamming_cdist(random_codes(37, bits), random_codes(700, bits))


def bench_pack_bits(device: Device) -> Iterator[Case]:
    from sketchfast import ops, reference

    weights = 2 ** torch.arange(8, dtype=torch.uint8, device="cuda")
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        rows, bits = 4_000_000, 64
        values = [torch.randn(rows, bits, device="cuda").to(dtype) for _ in range(2)]
        if not torch.equal(ops.pack_bits(values[0][:5000]), reference.pack_bits(values[0][:5000])):
            raise AssertionError(f"pack_bits differs from the reference: {dtype}")
        moved = rows * bits * values[0].element_size() + rows * bits // 8

        def peer(value: Tensor, weights: Tensor = weights) -> Tensor:
            return ((value > 0).unflatten(-1, (-1, 8)).to(torch.uint8) * weights).sum(
                dim=-1, dtype=torch.uint8
            )

        yield Case(
            f"{dtype} [{rows}, {bits}]".replace("torch.", ""),
            [lambda v=v: ops.pack_bits(v) for v in values],
            {"torch_eager": [lambda v=v: peer(v) for v in values]},
            "bytes",
            moved,
            device.copy_bytes_per_second,
            {"bits": bits, "rows": rows, "dtype": str(dtype)},
        )


def small_pack_bits() -> None:
    from sketchfast import ops

    for dtype in ops.hamming.PACKABLE:
        ops.pack_bits(torch.ones(13, 72, device="cuda").to(dtype))
