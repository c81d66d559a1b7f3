"""GPU checks of landmark_pool, for gpu_check.py."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from gpu_timing import Case, Device, rotations
from torch import Tensor


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
