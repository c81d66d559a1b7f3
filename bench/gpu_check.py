"""Everything that needs a GPU, in one command of less than ten minutes: `python bench/gpu_check.py` (or `make gpu-check`).

    1  the environment: sketchfast info, the device, its measured copy bandwidth
    2  tests/cuda with pytest; a run in which no GPU test was executed is a failure
    3  compute-sanitizer over one small call of every kernel, where it is installed
    4  timings beside the device's limit and the peers: CUDA graph replays over inputs rotated through more than the L2 cache,
       rounds of ours and of the peers alternating, medians; results in bench/results/<op>--<device>.json

Compiles nothing: the native modules have to be built, here or on another machine of the same kind. Ends with status 0 only if
every step that could run passed, 1 if one failed, 2 where there is no CUDA device or no CUDA module. A further op adds its
function to BENCHMARKS and its small call to SMALL_CALLS.
"""

import argparse
import datetime
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))  # the tree's own package, also where it is not installed

import torch  # noqa: E402
from gpu_timing import ROUNDS, Case, Device, look_at_device, measured, rotations  # noqa: E402
from torch import Tensor  # noqa: E402


def stop(message: str) -> None:
    print(f"gpu-check: {message}", file=sys.stderr, flush=True)
    raise SystemExit(2)


def require_gpu() -> None:
    if not torch.cuda.is_available():
        stop(
            f"no CUDA device is usable by torch {torch.__version__} (CUDA {torch.version.cuda}). Nothing was checked."
        )
    from sketchfast.info import build_info

    built = build_info()
    if not built["present"].get("_C_cuda"):
        stop(
            f"sketchfast has no CUDA module here ({built['cuda']['reason']}). Nothing was checked. "
            "Build it with SKETCHFAST_CUDA=1 python setup.py build_ext --inplace"
        )
    import sketchfast.ops  # noqa: F401  raises, with its reason, where the module does not load


# ---- the ops -----------------------------------------------------------------------------------------------------------


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


def eager_soft_weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """The loss as one would write it in torch: soft labels as a tensor, arithmetic in the dtype of the logits."""
    own = torch.nn.functional.one_hot(labels, logits.shape[1]).permute(0, 3, 1, 2).to(logits.dtype)
    counted = own.clone()
    counted[:, 0] = 0
    window = torch.nn.functional.avg_pool2d(counted, 3, stride=1, padding=1)
    shares = torch.where(labels[:, None] == 0, own, window / window.sum(dim=1, keepdim=True).clamp(min=0.05))
    alpha = weights[labels]
    losses = -(shares * logits.log_softmax(dim=1)).sum(dim=1)
    return (alpha * losses).sum() / alpha.sum()


def bench_soft_weighted_loss(device: Device) -> Iterator[Case]:
    from sketchfast import ops

    compiled = torch.compile(eager_soft_weighted_loss)
    cross_entropy = torch.nn.functional.cross_entropy

    def value(loss: Callable[..., Tensor], *batch: Tensor) -> Tensor:
        with torch.no_grad():
            return loss(*batch)

    def value_and_gradient(loss: Callable[..., Tensor], *batch: Tensor) -> tuple[Tensor, Tensor]:
        found = loss(*batch)
        return found, torch.autograd.grad(found, batch[0])[0]

    for shape, dtype in (
        ((8, 19, 512, 512), torch.float32),
        ((8, 19, 512, 512), torch.bfloat16),
        ((10, 5, 321, 321), torch.float32),  # the paper's batch; planes of an odd size
    ):
        n, classes, height, width = shape
        moved = n * classes * height * width * dtype.itemsize
        weights = torch.rand(classes, device="cuda") + 0.1
        batches = []
        for _ in range(rotations(device, moved)):
            parts = torch.randint(-classes, classes, (n, 1, 24, 24), device="cuda").clamp(min=0)
            labels = torch.nn.functional.interpolate(parts.float(), (height, width))[:, 0].long()
            logits = (3 * torch.randn(shape, device="cuda")).to(dtype).requires_grad_()
            batches.append((logits, labels, weights))
        logits, labels, _ = batches[0]
        found, gradient = value_and_gradient(ops.soft_weighted_loss, *batches[0])
        wide = logits.detach().float().requires_grad_()
        wanted, slope = value_and_gradient(eager_soft_weighted_loss, wide, labels, weights)
        if not torch.allclose(found, wanted, rtol=1e-4):
            raise AssertionError(f"soft_weighted_loss differs from eager: {shape} {dtype}")
        if not torch.allclose(gradient.float(), slope, rtol=1e-2, atol=1e-2 * slope.abs().max().item()):
            raise AssertionError(f"soft_weighted_loss: the gradient differs from eager: {shape} {dtype}")
        del wide, slope, gradient
        for kind, run, times in (("forward and backward", value_and_gradient, 2), ("no_grad", value, 1)):

            def calls(loss: Callable[..., Tensor], run: Any = run, batches: Any = batches) -> list[Any]:
                # What eager code saves for backward is several times the logits: one batch is more than the L2 cache.
                return [lambda b=b: run(loss, *b) for b in batches]

            yield Case(
                f"{dtype} {list(shape)}, {kind}".replace("torch.", ""),
                calls(ops.soft_weighted_loss),
                {
                    "torch_eager": calls(eager_soft_weighted_loss),
                    "torch_compile": calls(compiled),
                    "torch_cross_entropy": calls(
                        # Its weights have the dtype of the logits.
                        lambda x, y, w: cross_entropy(x, y, w.to(x.dtype), ignore_index=255)
                    ),
                },
                "bytes",
                times * moved + labels.numel() * labels.element_size(),
                device.copy_bytes_per_second,
                {"shape": "x".join(map(str, shape)), "dtype": str(dtype), "calls": kind},
            )


def normalised(points: Tensor, height: int, width: int) -> Tensor:
    """Points in pixels as grid_sample wants them with align_corners=True, [N, L, 1, 2]."""
    return (2 * points / torch.tensor([width - 1, height - 1], device=points.device) - 1)[:, :, None]


def grid_sample_pool(features: Tensor, points: Tensor) -> Tensor:
    grid = normalised(points, *features.shape[2:]).to(features.dtype)
    return torch.nn.functional.grid_sample(features, grid, align_corners=True)[..., 0].mean(dim=2)


def bench_landmark_pool(device: Device) -> Iterator[Case]:
    """Wanted: the features' gradient at 70 to 80 % of write bandwidth for 64 x 512 x 28 x 28."""
    from sketchfast import ops

    def features_gradient(pool: Callable[..., Tensor], *batch: Tensor) -> tuple[Tensor, ...]:
        features, points, grad = batch
        return torch.autograd.grad(pool(features, points.detach()), (features,), grad)

    def gradients(pool: Callable[..., Tensor], *batch: Tensor) -> tuple[Tensor, ...]:
        features, points, grad = batch
        return torch.autograd.grad(pool(features, points), (features, points), grad)

    def value(pool: Callable[..., Tensor], features: Tensor, points: Tensor, _: Tensor) -> Tensor:
        with torch.no_grad():
            return pool(features, points)

    landmarks = 30
    for (n, c, h, w), dtype, channels_last in (
        ((64, 512, 28, 28), torch.float32, False),
        ((64, 512, 28, 28), torch.float32, True),
        ((64, 512, 28, 28), torch.bfloat16, True),
        ((64, 2048, 7, 7), torch.float32, False),
        ((64, 2048, 7, 7), torch.bfloat16, True),
        ((32, 2048, 8, 8), torch.float32, True),
    ):
        layout = torch.channels_last if channels_last else torch.contiguous_format
        map_bytes = n * c * h * w * dtype.itemsize
        batches = []
        for _ in range(rotations(device, map_bytes)):
            features = torch.randn(n, c, h, w, device="cuda").to(dtype).to(memory_format=layout)
            points = torch.rand(n, landmarks, 2, device="cuda") * torch.tensor([w - 1, h - 1], device="cuda")
            grad = torch.randn(n, c, device="cuda").to(dtype)
            batches.append((features.requires_grad_(), points.requires_grad_(), grad))
        close = {"rtol": 1e-3, "atol": 1e-3} if dtype == torch.float32 else {"rtol": 0.05, "atol": 0.05}
        wide = [tensor.detach().float().requires_grad_() for tensor in batches[0]]
        found = (value(ops.landmark_pool, *batches[0]), *gradients(ops.landmark_pool, *batches[0]))
        wanted = (value(grid_sample_pool, *wide), *gradients(grid_sample_pool, *wide))
        for a, b in zip(found, wanted):
            torch.testing.assert_close(a.float(), b, **close)
        del wide, found, wanted
        # The 32-byte sectors with a tap in them, at most; the rest of the map is not read.
        touched = 4 * landmarks if channels_last else 2 * landmarks * 32 / dtype.itemsize * 1.25
        read_bytes = min(map_bytes, n * c * touched * dtype.itemsize)
        for kind, run, moved in (
            ("forward", value, read_bytes),
            (
                "forward and gradient of the features",
                features_gradient,
                map_bytes + read_bytes,
            ),
            (
                "forward and both gradients",
                gradients,
                map_bytes + 2 * read_bytes,
            ),
        ):

            def calls(pool: Callable[..., Tensor], run: Any = run, batches: Any = batches) -> list[Any]:
                return [lambda b=b: run(pool, *b) for b in batches]

            yield Case(
                f"{dtype} [{n}, {c}, {h}, {w}]{' channels_last' * channels_last}, {kind}".replace(
                    "torch.", ""
                ),
                calls(ops.landmark_pool),
                {"torch_grid_sample_mean": calls(grid_sample_pool)},
                "bytes",
                moved,
                device.copy_bytes_per_second,
                {"shape": f"{n}x{c}x{h}x{w}", "dtype": str(dtype), "layout": str(layout), "calls": kind},
            )
        # The kernel of which the bandwidth is promised, by itself.
        yield Case(
            f"{dtype} [{n}, {c}, {h}, {w}]{' channels_last' * channels_last}, gradient of the features".replace(
                "torch.", ""
            ),
            [
                lambda b=b: torch.ops.sketchfast.landmark_pool_backward(
                    b[2], b[0].detach(), b[1].detach(), "mean", True, False
                )
                for b in batches
            ],
            {"torch_zeros": [lambda b=b: torch.zeros_like(b[0]) for b in batches]},
            "bytes",
            map_bytes,
            device.copy_bytes_per_second,
            {"shape": f"{n}x{c}x{h}x{w}", "dtype": str(dtype), "layout": str(layout), "calls": "backward"},
        )


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


BENCHMARKS: dict[str, Callable[[Device], Iterator[Case]]] = {
    "hamming_topk": bench_topk,
    "hamming_cdist": bench_cdist,
    "pack_bits": bench_pack_bits,
    "soft_weighted_loss": bench_soft_weighted_loss,
    "skeletonize": bench_skeletonize,
    "homogeneous_transform": bench_homogeneous_transform,
    "landmark_pool": bench_landmark_pool,
    "contour_points": bench_contour_points,
    "rasterize": bench_rasterize,
    "weighted_search": bench_weighted_search,
}


def small_topk() -> None:
    from sketchfast import ops

    for bits in (64, 128, 256, 512, 1024, 24, 192):
        for queries, rows, k in ((1, 5000, 3), (4, 700, 700), (70, 1500, 10)):
            ops.hamming_topk(random_codes(queries, bits), random_codes(rows, bits), k)
    ops.hamming_topk(random_codes(300, 64), random_codes(40_000, 64), 5)  # large enough for the sampled bound


def small_cdist() -> None:
    from sketchfast import ops

    for bits in (64, 128, 256, 512, 1024, 24):
        ops.hamming_cdist(random_codes(37, bits), random_codes(700, bits))


def small_pack_bits() -> None:
    from sketchfast import ops

    for dtype in ops.hamming.PACKABLE:
        ops.pack_bits(torch.ones(13, 72, device="cuda").to(dtype))


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


def small_homogeneous_transform() -> None:
    from sketchfast import ops

    for shape in ((3, 64, 50), (2, 201, 256), (2, 300, 320)):
        ops.homogeneous_transform(torch.randint(0, 256, shape, dtype=torch.uint8, device="cuda"))


def small_soft_weighted_loss() -> None:
    from sketchfast import ops

    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        for shape in ((2, 19, 33, 40), (2, 5, 41, 41), (1, 300, 6, 8), (1, 3000, 5, 5)):
            labels = torch.randint(0, shape[1], (shape[0], *shape[2:]), device="cuda")
            labels[:, :2] = -100
            weights = torch.ones(shape[1], device="cuda")
            logits = torch.randn(shape, device="cuda").to(dtype).requires_grad_()
            (3 * ops.soft_weighted_loss(logits, labels, weights, ignore_index=-100)).backward()
            with torch.no_grad():
                ops.soft_weighted_loss(logits, labels, weights, ignore_index=-100)


def small_landmark_pool() -> None:
    from sketchfast import ops

    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        # Whole 16 bytes side by side, stores that straddle maps, single values, and taps in global memory.
        for shape in ((2, 16, 8, 8), (3, 40, 7, 7), (1, 5, 5, 9), (1, 8, 150, 160)):
            for layout in (torch.contiguous_format, torch.channels_last):
                for reduce in ("mean", "none"):
                    features = (
                        torch.randn(shape, device="cuda").to(dtype).to(memory_format=layout).requires_grad_()
                    )
                    points = 10 * torch.rand(shape[0], 37, 2, device="cuda") - 1
                    ops.landmark_pool(features, points.requires_grad_(), reduce).sum().backward()


def small_contour_points() -> None:
    from sketchfast import ops

    for shape in ((5, 50, 64), (3, 100, 33), (1, 300, 320), (2, 7, 9)):
        ops.contour_points(torch.rand(shape, device="cuda") < 0.7, 30)
    lattice = torch.zeros(2, 200, 256, dtype=torch.uint8, device="cuda")
    lattice[:, ::2, ::2] = 1  # more pixels than shared memory holds
    ops.contour_points(lattice, 30)


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


def small_weighted_search() -> None:
    from sketchfast.retrieval.weighted_search import weighted_topk

    gallery = torch.randn(70, 40, device="cuda")
    weights, of = torch.randn(3, 4, 40, device="cuda"), torch.tensor([2, 0, 0, 1, 2], device="cuda")
    weighted_topk(gallery[:5], gallery, weights, of, k=7, block_bytes=10_000)


SMALL_CALLS: dict[str, Callable[[], None]] = {
    "hamming_topk": small_topk,
    "hamming_cdist": small_cdist,
    "pack_bits": small_pack_bits,
    "soft_weighted_loss": small_soft_weighted_loss,
    "skeletonize": small_skeletonize,
    "homogeneous_transform": small_homogeneous_transform,
    "landmark_pool": small_landmark_pool,
    "contour_points": small_contour_points,
    "rasterize": small_rasterize,
    "weighted_search": small_weighted_search,
}

# ---- the steps ---------------------------------------------------------------------------------------------------------


def run_tests(seconds: float) -> list[str]:
    """Failures; a suite that ran no GPU test at all is one."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "tests/cuda",
            "-m",
            "gpu",
            "-q",
            "-x",
            f"--junitxml={report}",
        ]
        try:
            done = subprocess.run(command, cwd=REPOSITORY, timeout=seconds)
        except subprocess.TimeoutExpired:
            return [f"tests/cuda did not end within {seconds:.0f} s"]
        if not report.exists():
            return [f"pytest wrote no report (status {done.returncode}); is pytest installed?"]
        suites = list(ElementTree.parse(report).iter("testsuite"))
    total, skipped = (sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "skipped"))
    print(f"gpu-check: {total - skipped} GPU tests executed, {skipped} skipped", flush=True)
    if done.returncode != 0:
        return [f"tests/cuda: pytest ended with {done.returncode}"]
    return [] if total > skipped else ["tests/cuda: no GPU test was executed"]


def run_sanitizer(seconds: float) -> list[str]:
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    sanitizer = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path=f"{home}/bin")
    if sanitizer is None:
        print(
            "gpu-check: compute-sanitizer is not on PATH: kernels were NOT checked for stray memory accesses"
        )
        return []
    failures = []
    until = time.monotonic() + seconds
    for tool in ("memcheck", "racecheck"):
        for op in SMALL_CALLS:
            command = [
                sanitizer,
                "--tool",
                tool,
                "--error-exitcode",
                "9",
                sys.executable,
                __file__,
                "--small-call",
                op,
            ]
            # Every allocation on its own, so that memcheck sees where each ends.
            environment = {**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
            try:
                done = subprocess.run(
                    command,
                    cwd=REPOSITORY,
                    env=environment,
                    timeout=max(5.0, until - time.monotonic()),
                    capture_output=True,
                    text=True,
                )
            except subprocess.TimeoutExpired:
                failures.append(f"{tool} of {op} did not end in time")
                continue
            print(f"gpu-check: {tool} of {op}: {done.stdout.strip().splitlines()[-1:]}", flush=True)
            if done.returncode != 0:
                print(done.stdout[-6000:], done.stderr[-2000:])
                failures.append(f"{tool} of {op} ended with {done.returncode}")
    return failures


def run_benchmark(op: str, device: Device, folder: Path) -> None:
    from sketchfast.atomic import write_json

    print(f"\n{op}", flush=True)
    rows = []
    for case in BENCHMARKS[op](device):
        rows.append(measured(case))
        del case
        torch.cuda.empty_cache()
    git = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True
    )
    slug = "-".join(device.name.lower().split())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{op}--{slug}.json"
    result = {
        "op": op,
        "device": device.name,
        "date": datetime.date.today().isoformat(),
        "commit": os.environ.get("SKETCHFAST_COMMIT") or git.stdout.strip() or None,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
        },
        "copy_gigabytes_per_second": round(device.copy_bytes_per_second / 1e9, 1),
        "max_sm_clock_mhz": device.sm_clock_hz and round(device.sm_clock_hz / 1e6),
        "method": f"median of {ROUNDS} rounds of CUDA graph replays, inputs rotated through more than the L2 cache",
        "rows": rows,
    }
    write_json(path, result)
    print(f"  wrote {path}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=REPOSITORY / "bench" / "results", help="folder of the result files"
    )
    parser.add_argument("--op", choices=BENCHMARKS, action="append", help="time only this one (repeatable)")
    parser.add_argument("--skip", choices=("tests", "sanitizer", "bench"), action="append", default=[])
    parser.add_argument("--small-call", choices=SMALL_CALLS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    require_gpu()
    if options.small_call:
        SMALL_CALLS[options.small_call]()
        torch.cuda.synchronize()
        return 0

    from sketchfast.info import text

    print(text(), flush=True)
    failures = []
    if "tests" not in options.skip:
        failures += run_tests(240)
    if "sanitizer" not in options.skip:
        failures += run_sanitizer(120)
    if "bench" not in options.skip:
        device = look_at_device()
        print(f"\n{device}", flush=True)
        for op in options.op or BENCHMARKS:
            try:
                run_benchmark(op, device, options.out)
            except (AssertionError, RuntimeError) as error:
                failures.append(f"{op}: {error}")
    for failure in failures:
        print(f"gpu-check: FAILED: {failure}", file=sys.stderr)
    if not failures:
        left_out = f" (left out: {', '.join(options.skip)})" if options.skip else ""
        print(f"gpu-check: all passed{left_out}")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
