"""GPU checks of rasterize, for gpu_check.py."""

from collections.abc import Iterator

import torch
from gpu_timing import Case, Device, rotations
from torch import Tensor


def random_strokes(count: int, length: int, side: int) -> tuple[Tensor, Tensor]:
    """Points [N, T, 2] uniform on the canvas, and a pen that lifts after every tenth on average."""
    points = torch.rand(count, length, 2, device="cuda") * (side - 1)
    return points, torch.rand(count, length, device="cuda") < 0.1


def bench_rasterize(device: Device) -> Iterator[Case]:
    from sketchfast import ops, reference

    for count, length, side, thickness, antialias in (
        (64, 100, 256, 1, False),
        (64, 100, 256, 3, False),
        (4096, 100, 256, 3, False),
        (64, 100, 256, 3, True),
        (4096, 100, 256, 3, True),
        (16, 1000, 2048, 5, False),
    ):
        copies = [random_strokes(count, length, side) for _ in range(rotations(device, count * side * side))]
        where = f"{count} x {length} points at {side} x {side}, thickness {thickness}{', antialiased' * antialias}"
        few = [values[:16] for values in copies[0]]
        found = ops.rasterize(*few, side, thickness, antialias).cpu().int()
        on_cpu = ops.rasterize(*(values.cpu() for values in few), side, thickness, antialias).int()
        if (found - on_cpu).abs().max() > int(antialias):
            raise AssertionError(f"rasterize on the GPU differs from the CPU: {where}")
        if side == 256 and not antialias:
            one = [values[:1] for values in few]
            if not torch.equal(found[:1].byte(), reference.rasterize(*one, side, thickness).cpu()):
                raise AssertionError(f"rasterize differs from the definition: {where}")
        yield Case(
            where,
            [lambda c=c, s=side, t=thickness, a=antialias: ops.rasterize(*c, s, t, a) for c in copies],
            {
                "torch_full": [
                    lambda n=count, s=side: torch.full((n, s, s), 255, dtype=torch.uint8, device="cuda")
                ]
            },
            "bytes",
            count * side * side,
            device.copy_bytes_per_second,
            {"images": count, "points": length, "side": side, "thickness": thickness},
            {"images": count},
        )


def small_rasterize() -> None:
    from sketchfast import ops

    # Stores of 16, 4 and single bytes, several bands and rounds of a block, pens past a word, tiles, and fits.
    for count, length, height, width in ((3, 40, 70, 64), (2, 300, 130, 100), (2, 7, 33, 35), (0, 5, 8, 8)):
        points, pen = random_strokes(count, length, 2 * width)
        points -= width / 2
        lengths = torch.randint(0, length + 1, (count,), device="cuda")
        for thickness in (1, 4, 64):
            for antialias in (False, True):
                ops.rasterize(points, pen, (height, width), thickness, antialias, lengths=lengths)
                ops.rasterize(points, pen, (height, width), thickness, antialias, fit=0.1)
