"""soft_weighted_loss on a GPU: value and gradient as defined, the same bits every time, no wait for the device.

Tests that need a GPU are skipped, with the reason, where there is none; the one at the end needs only the built module.
"""

import os
import random
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from sketchfast import ops, reference
from tests.cuda.test_hamming_cuda import gpu, needs_module, poison

OPERATORS = ("soft_weighted_loss", "soft_weighted_loss_backward", "soft_weighted_loss_scale_")
# Of a gradient's element, relative to the largest that one of its pixel can be; a sum of C float32 terms adds to it.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-12, torch.float16: 6e-4, torch.bfloat16: 5e-3}


def draw_batch(
    shape: tuple[int, int, int, int], dtype: torch.dtype, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels with seams, speckles and ignored pixels, and weights; on the CPU."""
    batch, classes, height, width = shape
    coarse = torch.randint(0, classes, (batch, -(-height // 5), -(-width // 9)), generator=generator)
    labels = coarse.repeat_interleave(5, 1).repeat_interleave(9, 2)[:, :height, :width].contiguous()
    noise = torch.rand(labels.shape, generator=generator)
    labels = torch.where(noise < 0.03, torch.randint(0, classes, labels.shape, generator=generator), labels)
    labels[noise > 0.95] = 255
    labels[:, : height // 4] = 255
    logits = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    weights = torch.rand(classes, generator=generator, dtype=torch.float64) + 0.1
    return logits.to(dtype), labels, weights.to(torch.float64 if dtype == torch.float64 else torch.float32)


def assert_as_defined(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor,
    loss: Tensor,
    gradient: Tensor,
    factor: float = 1.0,
    **rule: int,
) -> None:
    wide = logits.double().cpu().requires_grad_()
    labels, weights = labels.cpu(), weights.double().cpu()
    wanted = reference.soft_weighted_loss(wide, labels, weights, **rule)
    (slope,) = torch.autograd.grad(wanted, wide)
    close = 1e-12 if logits.dtype == torch.float64 else 2e-6
    torch.testing.assert_close(loss.double().cpu(), wanted, rtol=close, atol=close)
    assert gradient.dtype == logits.dtype
    valid = labels != 255
    alphas = weights[torch.where(valid, labels.long(), 0)] * valid
    summing = 0.0 if logits.dtype == torch.float64 else 1e-8 * logits.shape[1]
    allowed = (TOLERANCE[logits.dtype] + summing) * abs(factor) * alphas / alphas.sum().clamp(min=1e-30)
    smallest = 2.0**-24 if logits.dtype == torch.float16 else 0.0
    excess = (gradient.double().cpu() - factor * slope).abs() - allowed[:, None] - smallest
    assert excess.max().item() <= 0


@gpu
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_loss_and_gradient_are_as_defined(seed: int, dtype: torch.dtype) -> None:
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    shapes = [
        (2, 5, 41, 41),
        (1, 19, 64, 96),
        (3, 7, 33, 20),
        (1, 2, 1, 1),
        (2, 64, 17, 16),
        (1, 150, 12, 12),
    ]
    shapes += [
        (1, 3000, 6, 6),
        (2, 9, 321, 321),
        (draw.randint(1, 5), draw.randint(2, 70), 24, draw.randint(1, 90)),
    ]
    for number, shape in enumerate(shapes):
        logits, labels, weights = draw_batch(shape, dtype, generator)
        rule = {"background": draw.choice([0, -1, shape[1] - 1]), "soft": draw.random() < 0.8}
        kinds = [torch.int64, torch.int32, torch.int16, *([torch.uint8] if shape[1] < 255 else [])]
        labels = labels.to(draw.choice(kinds))
        factor = draw.choice([1.0, -0.5, 1024.0])
        x = logits.cuda().requires_grad_()
        poison(number)
        loss = ops.soft_weighted_loss(x, labels.cuda(), weights.cuda(), **rule)
        (gradient,) = torch.autograd.grad(loss * factor, x)
        assert_as_defined(logits, labels, weights, loss, gradient, factor, **rule)


@gpu
def test_no_grad_gives_the_same_value(seed: int) -> None:
    batch = draw_batch((2, 19, 100, 64), torch.float32, torch.Generator().manual_seed(seed))
    logits, labels, weights = (tensor.cuda() for tensor in batch)
    with torch.no_grad():
        value = ops.soft_weighted_loss(logits, labels, weights)
    torch.testing.assert_close(
        value, ops.soft_weighted_loss(logits.requires_grad_(), labels, weights).detach()
    )


@gpu
def test_repeated_calls_give_the_same_bits(seed: int) -> None:
    batch = draw_batch((3, 19, 200, 201), torch.bfloat16, torch.Generator().manual_seed(seed))
    logits, labels, weights = (tensor.cuda() for tensor in batch)
    logits.requires_grad_()

    def call() -> tuple[Tensor, Tensor]:
        loss = ops.soft_weighted_loss(logits, labels, weights)
        return loss, torch.autograd.grad(loss, logits)[0]

    first = call()
    for round_ in range(5):
        poison(round_)
        again = call()
        assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])


@gpu
def test_views_that_are_not_contiguous_or_not_aligned(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits, labels, weights = draw_batch((2, 6, 20, 24), torch.float32, generator)
    for view in (
        logits.cuda().to(memory_format=torch.channels_last),
        torch.nn.functional.pad(logits, (3, 2)).cuda()[..., 3:-2],
        torch.nn.functional.pad(logits.flatten(), (1, 0)).cuda()[1:].view(logits.shape),
    ):
        x = view.detach().requires_grad_()
        loss = ops.soft_weighted_loss(x, labels.cuda(), weights.cuda())
        (gradient,) = torch.autograd.grad(loss, x)
        assert_as_defined(logits, labels, weights, loss, gradient)


@gpu
def test_more_than_2_to_31_values(seed: int) -> None:
    """Eight labelled pixels, at the ends of the first and the last image; their logits differ from all others."""
    shape = (17, 128, 1024, 1024)
    values = torch.Size(shape).numel()
    assert values > 1 << 31
    if torch.cuda.mem_get_info()[0] < 5 * values:
        pytest.skip(f"needs {5 * values >> 30} GB of free device memory")
    logits = torch.zeros(shape, dtype=torch.bfloat16, device="cuda")
    labels = torch.full((17, 1024, 1024), 255, dtype=torch.uint8, device="cuda")
    for image in (0, 16):
        labels[image, -1, -4:] = 127
        logits[image, 127, -1, -4:] = 5
    small, small_labels = logits[:, :, -2:, -6:].contiguous(), labels[:, -2:, -6:].contiguous()
    logits.requires_grad_()
    weights = torch.ones(128, device="cuda")
    loss = ops.soft_weighted_loss(logits, labels, weights)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert_as_defined(small, small_labels, weights, loss.detach(), gradient[:, :, -2:, -6:])
    assert not gradient[:, :, :-2].any() and not gradient[..., :-6].any()


@gpu
def test_the_current_stream_is_used_and_not_waited_for(seed: int) -> None:
    batch = draw_batch((2, 19, 64, 64), torch.float32, torch.Generator().manual_seed(seed))
    logits, labels, weights = (tensor.cuda() for tensor in batch)
    late = torch.zeros_like(logits, requires_grad=True)
    torch.cuda.synchronize()
    side = torch.cuda.Stream()

    def call() -> tuple[Tensor, Tensor]:
        loss = ops.soft_weighted_loss(late, labels, weights)
        return loss, torch.autograd.grad(loss * 3, late)[0]

    with torch.cuda.stream(side):
        call()
        side.synchronize()
        torch.cuda._sleep(400_000_000)
        late.data.copy_(logits)
        loss, gradient = call()
        assert not side.query(), "the calls waited for the device"
    side.synchronize()
    wanted = ops.soft_weighted_loss(logits.requires_grad_(), labels, weights)
    assert torch.equal(loss, wanted)
    assert torch.equal(gradient, torch.autograd.grad(wanted * 3, logits)[0])


@gpu
def test_a_cuda_graph_captures_forward_and_backward(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 9, 65, 64)
    logits = torch.zeros(shape, device="cuda", requires_grad=True)
    labels = torch.zeros(2, 65, 64, dtype=torch.int64, device="cuda")
    weights = torch.ones(9, device="cuda")

    def call() -> tuple[Tensor, Tensor]:
        loss = ops.soft_weighted_loss(logits, labels, weights)
        return loss, torch.autograd.grad(0.5 * loss, logits)[0]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss, gradient = call()
    for _ in range(3):
        new_logits, new_labels, new_weights = draw_batch(shape, torch.float32, generator)
        logits.data.copy_(new_logits)
        labels.copy_(new_labels)
        weights.copy_(new_weights)
        graph.replay()
        torch.cuda.synchronize()
        assert_as_defined(new_logits, new_labels, new_weights, loss, gradient, factor=0.5)


@gpu
def test_operator_contract(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    batch = draw_batch((2, 5, 9, 8), torch.float32, generator)
    logits, labels, weights = (tensor.cuda() for tensor in batch)
    one = torch.ones((), device="cuda")
    calls = torch.ops.sketchfast
    torch.library.opcheck(calls.soft_weighted_loss.default, (logits, labels, weights, 255, 0, True, False))
    torch.library.opcheck(
        calls.soft_weighted_loss.default,
        (logits.clone().requires_grad_(), labels, weights, 255, 0, True, True),
    )
    torch.library.opcheck(
        calls.soft_weighted_loss_backward.default, (one, logits, labels, weights, 255, 0, True)
    )
    torch.library.opcheck(calls.soft_weighted_loss_scale_.default, (logits.clone(), 3 * one))


@gpu
@pytest.mark.parametrize("wrong", [5, -1, 256])
def test_a_wrong_label_is_an_assertion_on_the_device(wrong: int) -> None:
    """In a process of its own: what has asserted cannot use its device any more."""
    program = (
        "import torch; from sketchfast import ops\n"
        "labels = torch.zeros(1, 8, 8, dtype=torch.int64, device='cuda')\n"
        f"labels[0, 3, 4] = {wrong}\n"
        "ops.soft_weighted_loss(torch.zeros(1, 5, 8, 8, device='cuda'), labels, torch.ones(5, device='cuda'))\n"
        "torch.cuda.synchronize()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ})
    assert done.returncode != 0
    assert "labels must be 0..C-1 or ignore_index" in done.stderr and "device-side assert" in done.stderr


@gpu
def test_bad_input_is_refused_and_leaves_the_device_usable() -> None:
    logits, labels = (
        torch.zeros(2, 5, 4, 4, device="cuda"),
        torch.zeros(2, 4, 4, dtype=torch.int64, device="cuda"),
    )
    weights = torch.ones(5, device="cuda")
    direct = torch.ops.sketchfast.soft_weighted_loss
    for arguments, message in (
        ((logits, labels[0], weights), "labels must have shape"),
        ((logits, labels.cpu(), weights), "labels must be on"),
        ((logits, labels.float(), weights), "labels must be"),
        ((logits, labels, weights[:4]), "one weight for each"),
        ((logits.int(), labels, weights), "logits must be"),
    ):
        with pytest.raises(RuntimeError, match=message):
            direct(*arguments, 255, 0, True, True)
    assert ops.soft_weighted_loss(logits, labels, weights).item() == pytest.approx(1.6094379)


@gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_the_tensors_device_is_used_not_the_current_one(seed: int) -> None:
    batch = draw_batch((2, 5, 20, 20), torch.float32, torch.Generator().manual_seed(seed))
    with torch.cuda.device(0):
        loss = ops.soft_weighted_loss(*(tensor.to("cuda:1") for tensor in batch))
    assert loss.device.index == 1
    torch.testing.assert_close(loss.cpu(), reference.soft_weighted_loss(*batch))


@needs_module
@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_of_the_schema_has_a_cuda_kernel(operator: str) -> None:
    assert torch._C._dispatch_has_kernel_for_dispatch_key(f"sketchfast::{operator}", "CUDA")
