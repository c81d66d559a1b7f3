"""GPU checks of what finds centrelines, for gpu_check.py: skeletonize, homogeneous_transform, contour_points."""

from collections.abc import Iterator

import torch
from gpu_timing import Case, Device, rotations
from torch import Tensor


def thick_strokes(count: int, height: int, width: int, half_width: float) -> Tensor:
    """uint8 [N, H, W], 1 on three straight strokes an image: about half_width passes of skeletonize."""
    y = torch.arange(height, device="cuda", dtype=torch.float32)[:, None]
    x = torch.arange(width, device="cuda", dtype=torch.float32)
    images = torch.zeros(count, height, width, dtype=torch.uint8, device="cuda")
    for image in images:
        for centre_y, centre_x, angle in torch.rand(3, 3).tolist():
            direction = torch.tensor(angle * torch.pi)
            across = (y - centre_y * height) * direction.cos() - (x - centre_x * width) * direction.sin()
            image |= (across.abs() <= half_width).to(torch.uint8)
    return images


def passes_of(images: Tensor, method: str) -> list[int]:
    """How many passes each image takes, the last one, which deletes nothing, included."""
    from sketchfast import ops

    finished = ops.skeletonize(images, method)
    passes = torch.zeros(len(images), dtype=torch.int64, device="cuda")
    for limit in range(10_000):
        after = ops.skeletonize(images, method, limit) if limit > 0 else images != 0
        unfinished = (after != finished).flatten(1).any(dim=1)
        passes += unfinished
        if not bool(unfinished.any()):
            return (passes + 1).tolist()
    raise AssertionError(f"skeletonize did not end within 10,000 passes: {method=} {list(images.shape)}")


def bench_skeletonize(device: Device) -> Iterator[Case]:
    """Wanted on an H200: 2 million dense 256 x 256 images a second (method skel, 16 passes or so)."""
    from sketchfast import ops, reference

    # 52 word instructions of 32 pixels for a pass of skel; 64 of them a clock and multiprocessor (capabilities 8.0, 9.0).
    logic = device.sm_clock_hz and device.sm_clock_hz * device.multiprocessors * 64 * 32 / 52
    for method, count, height, width, half_width in (
        ("skel", 16384, 256, 256, 16.0),
        ("skel", 16384, 256, 256, 2.0),
        ("skel", 16384, 128, 128, 8.0),
        ("thin", 16384, 256, 256, 16.0),
        ("zhang", 16384, 256, 256, 16.0),
        ("skel", 1, 256, 256, 16.0),
        ("skel", 2048, 321, 321, 16.0),
        ("skel", 512, 800, 800, 16.0),
        ("skel", 1, 800, 800, 16.0),
        ("skel", 64, 2048, 2048, 16.0),
        ("skel", 1, 2048, 2048, 16.0),
    ):
        different = thick_strokes(min(count, 64), height, width, half_width)
        # Other images in each rotation, so that nothing learnt from one serves the next.
        copies = [
            different.roll(turn, dims=0).repeat(-(-count // len(different)), 1, 1)[:count]
            for turn in range(rotations(device, count * height * width))
        ]
        found = ops.skeletonize(copies[0][: len(different)], method)
        where = f"{method} {count} x {height} x {width}, strokes of {2 * half_width:.0f} pixels"
        if not torch.equal(found.cpu(), ops.skeletonize(different.cpu(), method)):
            raise AssertionError(f"skeletonize on the GPU differs from the CPU: {where}")
        if not torch.equal(ops.skeletonize(copies[0], method)[-1], found[(count - 1) % len(different)]):
            raise AssertionError(f"skeletonize of a batch differs from that of its images: {where}")
        passes = passes_of(different, method)
        work = sum(passes[i % len(passes)] for i in range(count)) * height * width
        peers = {}
        if count * height * width <= 1 << 22:  # a larger batch would take it minutes
            peers["torch_definition"] = [lambda c=copies[0], m=method: reference.skeletonize(c, m)]
        yield Case(
            where,
            [lambda c=c, m=method: ops.skeletonize(c, m) for c in copies],
            peers,
            "pixel_passes",
            work,
            logic if method == "skel" else None,
            {"method": method, "images": count, "height": height, "width": width, "passes": max(passes)},
            {"images": count},
        )


def small_skeletonize() -> None:
    from sketchfast import ops

    for method in ("skel", "thin", "zhang"):
        # Registers of three shapes, shared memory, global memory with one block an image and with several.
        for shape in (
            (5, 50, 64),
            (3, 100, 33),
            (2, 256, 250),
            (2, 300, 320),
            (1, 1500, 1400),
            (3, 40, 30_000),
        ):
            ops.skeletonize(torch.rand(shape, device="cuda") < 0.7, method, 3)
    ops.skeletonize(torch.rand(300, 40, 30_000, device="cuda") < 0.7, "skel", 1)


def bench_homogeneous_transform(device: Device) -> Iterator[Case]:
    from sketchfast import ops

    logic = device.sm_clock_hz and device.sm_clock_hz * device.multiprocessors * 64 * 32 / 52
    count, side = 16384, 256
    different = 255 - 255 * thick_strokes(64, side, side, 2.0)
    copies = [different.roll(turn, dims=0).repeat(count // 64, 1, 1) for turn in range(2)]
    if not torch.equal(
        ops.homogeneous_transform(copies[0][:64]).cpu(), ops.homogeneous_transform(different.cpu())
    ):
        raise AssertionError("homogeneous_transform on the GPU differs from the CPU")
    passes = passes_of(255 - different, "skel")
    yield Case(
        f"{count} x {side} x {side}, strokes of 4 pixels",
        [lambda c=c: ops.homogeneous_transform(c) for c in copies],
        {},
        "pixel_passes",
        sum(passes) * (count // 64) * side * side,
        logic,
        {"images": count, "height": side, "width": side, "passes": max(passes)},
        {"images": count},
    )


def small_homogeneous_transform() -> None:
    from sketchfast import ops

    for shape in ((3, 64, 50), (2, 201, 256), (2, 300, 320)):
        ops.homogeneous_transform(torch.randint(0, 256, shape, dtype=torch.uint8, device="cuda"))


def bench_contour_points(device: Device) -> Iterator[Case]:
    from sketchfast import ops, reference

    for count, side, n in ((4096, 256, 30), (4096, 256, 250), (1, 256, 30), (256, 800, 30)):
        different = thick_strokes(min(count, 64), side, side, 2.0)
        copies = [
            different.roll(turn, dims=0).repeat(-(-count // len(different)), 1, 1)[:count]
            for turn in range(rotations(device, count * side * side))
        ]
        where = f"{count} x {side} x {side}, {n} points"
        for a, b in zip(ops.contour_points(different, n), ops.contour_points(different.cpu(), n)):
            if not torch.equal(a.cpu(), b):
                raise AssertionError(f"contour_points on the GPU differs from the CPU: {where}")
        peers = {"skeletonize_alone": [lambda c=c: ops.skeletonize(c) for c in copies]}
        if count == 1:
            peers["torch_definition"] = [lambda c=copies[0], n=n: reference.contour_points(c, n)]
        yield Case(
            where,
            [lambda c=c, n=n: ops.contour_points(c, n) for c in copies],
            peers,
            "bytes",
            3 * count * side * side,  # the images and their centrelines once, the centrelines written once
            device.copy_bytes_per_second,
            {"images": count, "height": side, "width": side, "points": n},
            {"images": count},
        )


def small_contour_points() -> None:
    from sketchfast import ops

    for shape in ((5, 50, 64), (3, 100, 33), (1, 300, 320), (2, 7, 9)):
        ops.contour_points(torch.rand(shape, device="cuda") < 0.7, 30)
    lattice = torch.zeros(2, 200, 256, dtype=torch.uint8, device="cuda")
    lattice[:, ::2, ::2] = 1  # more pixels than shared memory holds
    ops.contour_points(lattice, 30)
