"""GPU checks of soft_weighted_loss, for gpu_check.py."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from gpu_timing import Case, Device, rotations
from torch import Tensor


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
