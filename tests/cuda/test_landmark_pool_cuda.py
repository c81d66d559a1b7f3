"""landmark_pool on a GPU: values and gradients as defined, the same bits every time, no wait for the device.

Tests that need a GPU are skipped, with the reason, where there is none; the one at the end needs only the built module.
"""

import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sketchfast import ops
from tests.cuda.on_gpu import gpu, needs_module, poison
from tests.cuda.test_landmark_pool_emulated import VALUES, Case, assert_close_to_definition, draw_case

OPERATORS = ("landmark_pool", "landmark_pool_backward")


def on_gpu(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Features in their layout, points and gradient; the first two with gradients."""
    layout = torch.channels_last if case.channels_last else torch.contiguous_format
    features = case.features.cuda().to(memory_format=layout).requires_grad_()
    return features, case.points.cuda().requires_grad_(), case.grad.cuda()


def reduction(case: Case) -> str:
    return "mean" if case.grad.ndim == 2 else "none"


def called(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    features, points, grad = on_gpu(case)
    pooled = ops.landmark_pool(features, points, reduction(case))
    to_features, to_points = torch.autograd.grad(pooled, (features, points), grad)
    assert pooled.dtype == to_features.dtype == features.dtype and to_points.dtype == points.dtype
    assert to_features.stride() == features.stride()
    return pooled.detach(), to_features, to_points


def large_case(shape: tuple[int, ...], length: int, reduce: str, last: bool, dtype: torch.dtype) -> Case:
    n, c, h, w = shape
    points = torch.rand(n, length, 2) * torch.tensor([w + 1.0, h + 1.0]) - 1
    grad = torch.randn((n, c) if reduce == "mean" else (n, length, c))
    return Case(torch.randn(shape).to(dtype), points, grad.to(dtype), last)


def assert_as_defined(case: Case, found: tuple[Tensor, Tensor, Tensor], where: str) -> None:
    assert_close_to_definition(case, [tensor.cpu().double() for tensor in found], where)


@gpu
@pytest.mark.parametrize("dtype", VALUES, ids=str)
def test_values_and_gradients_are_as_defined(seed: int, dtype: torch.dtype) -> None:
    draw = random.Random(seed)
    for number in range(60):
        case = draw_case(draw, dtype)
        poison(number)
        assert_as_defined(case, called(case), f"case {number}: {case}")


@gpu
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("reduce", ["mean", "none"])
def test_sizes_of_networks_and_beyond_shared_memory(seed: int, reduce: str, channels_last: bool) -> None:
    torch.manual_seed(seed)
    for shape, length in (
        ((8, 2048, 7, 7), 30),
        ((4, 512, 28, 28), 60),
        ((2, 256, 64, 64), 250),
        ((1, 32, 200, 200), 50),
        ((1, 16, 9, 150), 4096),
    ):
        for dtype in (torch.float32, torch.bfloat16):
            case = large_case(shape, length, reduce, channels_last, dtype)
            poison()
            assert_as_defined(case, called(case), str(case))


@gpu
def test_repeated_calls_give_the_same_bits(seed: int) -> None:
    torch.manual_seed(seed)
    for reduce in ("mean", "none"):
        for channels_last in (False, True):
            case = large_case((8, 512, 28, 28), 60, reduce, channels_last, torch.bfloat16)
            first = called(case)
            for round_ in range(5):
                poison(round_)
                assert all(torch.equal(a, b) for a, b in zip(called(case), first))


@gpu
def test_other_strides_and_misaligned_views(seed: int) -> None:
    torch.manual_seed(seed)
    case = large_case((2, 16, 8, 8), 30, "mean", False, torch.float32)
    wanted = ops.landmark_pool(case.features, case.points)
    padded = torch.nn.functional.pad(case.features, (3, 2)).cuda()[..., 3:-2]
    shifted = torch.nn.functional.pad(case.features.flatten(), (1, 0)).cuda()[1:].view(case.features.shape)
    points = torch.nn.functional.pad(case.points, (1, 0)).cuda()[..., 1:]
    for features in (padded, shifted, case.features.cuda().transpose(2, 3).contiguous().transpose(2, 3)):
        torch.testing.assert_close(ops.landmark_pool(features, points).cpu(), wanted)


@gpu
def test_nan_points_count_as_outside() -> None:
    features = torch.ones(1, 8, 5, 5, device="cuda")
    points = torch.tensor([[[float("nan"), 1.0], [1.0, 1.0]]], device="cuda")
    assert ops.landmark_pool(features, points, "none").mean(dim=-1).tolist() == [[0.0, 1.0]]


@gpu
def test_more_than_2_to_31_values(seed: int) -> None:
    torch.manual_seed(seed)
    shape = (43, 128, 640, 640)
    if torch.cuda.mem_get_info()[0] < 5 * torch.Size(shape).numel():
        pytest.skip(f"needs {5 * torch.Size(shape).numel() >> 30} GB of free device memory")
    small = large_case((1, 128, 640, 640), 20, "mean", False, torch.bfloat16)
    features = torch.zeros(shape, dtype=torch.bfloat16, device="cuda")
    features[-1] = small.features[0].cuda()
    features.requires_grad_()
    points = small.points.repeat(43, 1, 1).cuda()
    pooled = ops.landmark_pool(features, points)
    (gradient,) = torch.autograd.grad(pooled[-1:], features, small.grad.cuda())
    _, wanted, _ = called(small)
    torch.testing.assert_close(gradient[-1:], wanted)
    assert not gradient[:-1].any() and pooled[-1].any() and not pooled[:-1].any()


@gpu
def test_the_current_stream_is_used_and_a_graph_captures_forward_and_backward(seed: int) -> None:
    torch.manual_seed(seed)
    given = [large_case((4, 64, 28, 28), 30, "mean", True, torch.float32) for _ in range(3)]
    features, points, grad = on_gpu(replace(given[0], features=torch.zeros_like(given[0].features)))
    sources = [on_gpu(case) for case in given]

    def call() -> tuple[Tensor, Tensor, Tensor]:
        pooled = ops.landmark_pool(features, points)
        return pooled.detach(), *torch.autograd.grad(pooled, (features, points), grad)

    def hand_over(case: tuple[Tensor, Tensor, Tensor]) -> None:
        for target, source in zip((features, points, grad), case):
            target.data.copy_(source.data)

    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        call()
        side.synchronize()
        torch.cuda._sleep(400_000_000)
        hand_over(sources[0])
        found = call()
        assert not side.query(), "the calls waited for the device"
    side.synchronize()
    assert_as_defined(given[0], found, "side stream")

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = call()
    for case, source in zip(given, sources):
        hand_over(source)
        graph.replay()
        torch.cuda.synchronize()
        assert_as_defined(case, captured, "graph")


@gpu
def test_operator_contract(seed: int) -> None:
    torch.manual_seed(seed)
    for reduce in ("mean", "none"):
        for channels_last in (False, True):
            case = large_case((2, 8, 5, 6), 4, reduce, channels_last, torch.float32)
            features, points, grad = on_gpu(case)
            torch.library.opcheck(torch.ops.sketchfast.landmark_pool.default, (features, points, reduce))
            torch.library.opcheck(
                torch.ops.sketchfast.landmark_pool_backward.default,
                (grad, features.detach(), points.detach(), reduce, True, True),
            )


@gpu
def test_bad_input_is_refused_and_leaves_the_device_usable() -> None:
    features, points = torch.zeros(2, 4, 5, 6, device="cuda"), torch.zeros(2, 3, 2, device="cuda")
    direct = torch.ops.sketchfast.landmark_pool
    for arguments in (
        (features.int(), points, "mean"),
        (features[0], points, "mean"),
        (features, points.cpu(), "mean"),
        (features, points[:1], "mean"),
        (features, points[:, :0], "mean"),
        (features, points.half(), "mean"),
        (features, points, "sum"),
        (features[..., :0], points, "mean"),
    ):
        with pytest.raises(RuntimeError, match=r"landmark_pool: (features|points|reduce) must"):
            direct(*arguments)
    assert not direct(features, points, "mean").any()


@gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_the_tensors_device_is_used_not_the_current_one(seed: int) -> None:
    case = draw_case(random.Random(seed), torch.float32)
    with torch.cuda.device(0):
        pooled = ops.landmark_pool(case.features.to("cuda:1"), case.points.to("cuda:1"), reduction(case))
    assert pooled.device.index == 1
    torch.testing.assert_close(pooled.cpu(), called(case)[0].cpu())


@needs_module
@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_of_the_schema_has_a_cuda_kernel(operator: str) -> None:
    assert torch._C._dispatch_has_kernel_for_dispatch_key(f"sketchfast::{operator}", "CUDA")
