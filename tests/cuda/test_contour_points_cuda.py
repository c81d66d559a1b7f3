"""contour_points on a GPU: the same points as the CPU.

Tests that need a GPU are skipped, with the reason, where there is none; the last one needs only the built module.
"""

import random

import pytest
import torch
from torch import Tensor

from sketchfast import ops, reference
from tests.cuda.on_gpu import gpu, needs_module, poison
from tests.cuda.test_skeletonize_emulated import draw_images


def drawn(count: int, height: int, width: int, draw: random.Random) -> Tensor:
    return torch.from_numpy(draw_images(count, height, width, draw))


def assert_same_points(images: Tensor, n: int, where: str) -> None:
    for found, wanted in zip(ops.contour_points(images.cuda(), n), ops.contour_points(images.cpu(), n)):
        assert found.is_cuda and found.dtype == wanted.dtype, where
        assert torch.equal(found.cpu(), wanted), where


@gpu
def test_random_images_equal_the_cpu(seed: int) -> None:
    draw = random.Random(seed)
    for number in range(200):
        height, width = (draw.choice([1, 16, 64, 255, 256, 257, draw.randint(1, 400)]) for _ in range(2))
        count = draw.choice([1, 1, 2, 7, 40]) if height * width < 100_000 else draw.choice([1, 3])
        images = drawn(count, height, width, draw)
        if draw.random() < 0.3:
            images = images != 0
        n = draw.choice([1, 7, 30, 60, draw.randint(1, 400)])
        poison(number % 256)
        assert_same_points(images, n, f"case {number}: {list(images.shape)} {images.dtype} {n=}")


@gpu
def test_reference(seed: int) -> None:
    images = drawn(4, 64, 80, random.Random(seed)).cuda()
    for found, wanted in zip(ops.contour_points(images, 40), reference.contour_points(images, 40)):
        assert torch.equal(found, wanted)


@gpu
def test_more_pixels_than_shared_memory_holds(seed: int) -> None:
    """Isolated pixels: all remain, most of them in global memory, and nearly every step has ties."""
    for number, (height, width) in enumerate(((400, 400), (1000, 1024), (3, 30_000))):
        images = torch.zeros(2, height, width, dtype=torch.uint8)
        images[:, ::2, ::2] = 1
        images[1, ::4] = 0
        poison(number)
        assert_same_points(images, 100, f"{height} x {width}")


@gpu
def test_inputs_that_are_not_contiguous_or_not_aligned(seed: int) -> None:
    wide = drawn(6, 300, 320, random.Random(seed)).cuda()
    flat = wide.flatten()
    for images in (
        wide[:, :, 3:259],
        wide[::2, ::2, ::2],
        wide.transpose(1, 2),
        wide[0],
        flat[1 : 1 + 64 * 64].view(64, 64),
        wide[:0],
    ):
        assert_same_points(images, 30, f"strides {images.stride()}")


@gpu
def test_the_current_stream_is_used_and_a_graph_captures_the_call(seed: int) -> None:
    """The input is written on a side stream behind a long kernel; work on another stream would read it too early."""
    draw = random.Random(seed)
    given = [drawn(40, 256, 256, draw) for _ in range(3)]
    expected = [ops.contour_points(images, 30) for images in given]
    late, sources = torch.zeros_like(given[0], device="cuda"), [images.cuda() for images in given]
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        ops.contour_points(late, 30)
        side.synchronize()
        torch.cuda._sleep(400_000_000)
        late.copy_(sources[0])
        found = ops.contour_points(late, 30)
        assert not side.query(), "the call waited for the device"
    side.synchronize()
    assert all(torch.equal(a.cpu(), b) for a, b in zip(found, expected[0]))

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = ops.contour_points(late, 30)
    for source, wanted in zip(sources, expected):
        late.copy_(source)
        graph.replay()
        torch.cuda.synchronize()
        assert all(torch.equal(a.cpu(), b) for a, b in zip(captured, wanted))


@gpu
def test_operator_contract(seed: int) -> None:
    images = drawn(3, 40, 50, random.Random(seed)).cuda()
    for sample in (images, images[0]):
        torch.library.opcheck(torch.ops.sketchfast.contour_points.default, (sample, 30))


@gpu
def test_bad_input_is_refused_and_leaves_the_device_usable() -> None:
    good = torch.zeros(2, 8, 8, dtype=torch.uint8, device="cuda")
    direct = torch.ops.sketchfast.contour_points
    for arguments in ((good.float(), 3), (good[0, 0], 3), (good, 0), (good, 4097), (good[:, :0], 3)):
        with pytest.raises(RuntimeError, match=r"contour_points: (images|n) must"):
            direct(*arguments)
    points, valid = direct(good, 3)
    assert not valid.any() and bool((points == 4).all())


@gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_the_tensors_device_is_used_not_the_current_one(seed: int) -> None:
    images = drawn(2, 100, 100, random.Random(seed))
    with torch.cuda.device(0):
        points, _ = ops.contour_points(images.to("cuda:1"), 30)
    assert points.device.index == 1 and torch.equal(points.cpu(), ops.contour_points(images, 30)[0])


@needs_module
def test_the_operator_of_the_schema_has_a_cuda_kernel() -> None:
    assert torch._C._dispatch_has_kernel_for_dispatch_key("sketchfast::contour_points", "CUDA")
