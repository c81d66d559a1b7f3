"""skeletonize and homogeneous_transform on a GPU: the same bits as the CPU and as the definitions.

Tests that need a GPU are skipped, with the reason, where there is none; the last one needs only the built module.
"""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from sketchfast import ops, reference
from tests.cuda.on_gpu import gpu, needs_module, poison
from tests.cuda.test_skeletonize_emulated import draw_images

METHODS = ("skel", "thin", "zhang")
OPERATORS = ("skeletonize", "homogeneous_transform")
SIDES = (1, 2, 3, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 321, 600)


def drawn(count: int, height: int, width: int, draw: random.Random) -> Tensor:
    return torch.from_numpy(draw_images(count, height, width, draw))


def assert_same_skeletons(images: Tensor, method: str, limit: int | None, where: str) -> None:
    found = ops.skeletonize(images.cuda(), method, limit)
    assert found.dtype == torch.bool and found.shape == images.shape, where
    assert torch.equal(found.cpu(), ops.skeletonize(images, method, limit)), where


@gpu
def test_random_images_equal_the_cpu(seed: int) -> None:
    draw = random.Random(seed)
    for number in range(400):
        height, width = (draw.choice([*SIDES, draw.randint(1, 400)]) for _ in range(2))
        count = draw.choice([1, 1, 2, 7, 40]) if height * width < 100_000 else draw.choice([1, 3])
        images = drawn(count, height, width, draw)
        if draw.random() < 0.3:
            images = images != 0
        method, limit = draw.choice(METHODS), draw.choice([None, None, 1, 3])
        poison(number % 256)
        where = f"case {number}: {method} {list(images.shape)} {images.dtype} {limit=}"
        assert_same_skeletons(images, method, limit, where)
        threshold = draw.choice([128, draw.randint(0, 256)])
        gray = images.to(torch.uint8)
        poison(number % 256)
        lines = ops.homogeneous_transform(gray.cuda(), threshold).cpu()
        assert torch.equal(lines, ops.homogeneous_transform(gray, threshold)), f"{where} {threshold=}"


@gpu
@pytest.mark.parametrize("method", METHODS)
def test_reference(seed: int, method: str) -> None:
    draw = random.Random(seed)
    for height, width in ((64, 64), (200, 256), (300, 321)):
        images = drawn(4, height, width, draw).cuda()
        assert torch.equal(ops.skeletonize(images, method), reference.skeletonize(images, method))


@gpu
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 1500, 1700), (3, 1100, 1100), (1, 60, 20_000), (1, 20_000, 40)])
def test_canvases_beyond_shared_memory(seed: int, method: str, shape: tuple[int, int, int]) -> None:
    """Several blocks work on one image and meet after every pass."""
    draw = random.Random(seed)
    for number in range(2):
        poison(number)
        assert_same_skeletons(drawn(*shape, draw), method, None, f"{method} {shape}")


@gpu
def test_many_large_canvases(seed: int) -> None:
    """More images than are under way at once: groups of blocks take one after the other."""
    draw = random.Random(seed)
    images = drawn(5, 1500, 1500, draw).repeat(60, 1, 1)
    expected = ops.skeletonize(images[:5])
    poison()
    assert torch.equal(ops.skeletonize(images.cuda()).cpu(), expected.repeat(60, 1, 1))


@gpu
def test_a_batch_past_2_to_31_pixels(seed: int) -> None:
    count, side = (1 << 31) // (256 * 256) + 100, 256
    if torch.cuda.mem_get_info()[0] < 3 * count * side * side:
        pytest.skip(f"needs {3 * count * side * side >> 30} GB of free device memory")
    some = drawn(16, side, side, random.Random(seed))
    images = torch.zeros(count, side, side, dtype=torch.uint8, device="cuda")
    images[-16:] = some.cuda()
    images[:16] = some.cuda()
    found = ops.skeletonize(images)
    expected = ops.skeletonize(some)
    assert torch.equal(found[-16:].cpu(), expected) and torch.equal(found[:16].cpu(), expected)
    assert not found[16:-16].any()


@gpu
def test_repeated_calls_give_the_same_bits(seed: int) -> None:
    draw = random.Random(seed)
    for shape in ((50, 200, 256), (8, 400, 400), (1, 2000, 2000)):
        images = drawn(*shape, draw).cuda()
        first = ops.skeletonize(images)
        for round_ in range(5):
            poison(round_)
            assert torch.equal(ops.skeletonize(images), first), f"{shape}"


@gpu
def test_inputs_that_are_not_contiguous_or_not_aligned(seed: int) -> None:
    draw = random.Random(seed)
    wide = drawn(6, 300, 520, draw).cuda()
    flat = wide.flatten()
    for images in (
        wide[:, :, 3:259],
        wide[::2, ::2, ::2],
        wide.transpose(1, 2),
        wide[0],
        wide[0].t(),
        flat[1 : 1 + 256 * 256].view(256, 256),
        flat[3 : 3 + 2 * 400 * 320].view(2, 400, 320),
    ):
        for method in METHODS:
            expected = ops.skeletonize(images.cpu(), method)
            assert torch.equal(ops.skeletonize(images, method).cpu(), expected), f"strides {images.stride()}"
        lines = ops.homogeneous_transform(images)
        assert torch.equal(lines.cpu(), ops.homogeneous_transform(images.cpu()))


@gpu
@pytest.mark.parametrize("shape", [(0, 20, 20), (0, 20), (3, 0, 20), (3, 300, 0)])
def test_empty_inputs(shape: tuple[int, ...]) -> None:
    images = torch.zeros(shape, dtype=torch.uint8, device="cuda")
    assert ops.skeletonize(images).shape == ops.homogeneous_transform(images).shape == shape


@gpu
@pytest.mark.parametrize("shape", [(200, 256, 256), (20, 500, 500), (1, 2500, 2500)])
def test_the_current_stream_is_used_and_a_graph_captures_the_calls(
    seed: int, shape: tuple[int, int, int]
) -> None:
    """The input is written on a side stream behind a long kernel; work on another stream would read it too early."""
    draw = random.Random(seed)
    given = [
        drawn(min(shape[0], 4), *shape[1:], draw).repeat(-(-shape[0] // 4), 1, 1)[: shape[0]]
        for _ in range(3)
    ]
    expected = [(ops.skeletonize(images), ops.homogeneous_transform(images)) for images in given]
    late, sources = torch.zeros_like(given[0], device="cuda"), [images.cuda() for images in given]
    torch.cuda.synchronize()
    side = torch.cuda.Stream()

    def calls() -> tuple[Tensor, Tensor]:
        return ops.skeletonize(late), ops.homogeneous_transform(late)

    with torch.cuda.stream(side):
        calls()  # the first call of a kernel loads its code and may wait for that, and the allocator asks for memory
        side.synchronize()
        torch.cuda._sleep(400_000_000)
        late.copy_(sources[0])
        found = calls()
        assert not side.query(), "the calls waited for the device"
    side.synchronize()
    assert all(torch.equal(a.cpu(), b) for a, b in zip(found, expected[0]))

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = calls()
    for source, wanted in zip(sources, expected):  # other images through the same graph
        late.copy_(source)
        graph.replay()
        torch.cuda.synchronize()
        assert all(torch.equal(a.cpu(), b) for a, b in zip(captured, wanted))


@gpu
def test_the_check_value() -> None:
    noise = np.random.RandomState(5489).rand(400).reshape(20, 20, order="F") > 0.5
    image = torch.from_numpy(noise.copy()).cuda()
    assert int(ops.skeletonize(image).sum()) == 158
    assert int(ops.skeletonize(image, "thin").sum()) == 147


@gpu
def test_operator_contract(seed: int) -> None:
    draw = random.Random(seed)
    for shape in ((3, 40, 50), (1, 300, 300)):
        images = drawn(*shape, draw).cuda()
        torch.library.opcheck(torch.ops.sketchfast.skeletonize.default, (images, "skel", -1))
        torch.library.opcheck(torch.ops.sketchfast.homogeneous_transform.default, (images, 128))


@gpu
@pytest.mark.parametrize(
    "call",
    [
        lambda direct, good: direct.skeletonize(good.float(), "skel", -1),
        lambda direct, good: direct.skeletonize(good[0, 0], "skel", -1),
        lambda direct, good: direct.skeletonize(good, "skeleton", -1),
        lambda direct, good: direct.skeletonize(good, "skel", 0),
        lambda direct, good: direct.homogeneous_transform(good.bool(), 128),
        lambda direct, good: direct.homogeneous_transform(good, 257),
    ],
)
def test_bad_input_is_refused_and_leaves_the_device_usable(call: Callable[..., Tensor]) -> None:
    good = torch.zeros(2, 8, 8, dtype=torch.uint8, device="cuda")
    with pytest.raises((RuntimeError, ValueError, TypeError), match=r"images|method|max_iter|threshold"):
        call(torch.ops.sketchfast, good)
    assert not ops.skeletonize(good).any()


@gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_the_tensors_device_is_used_not_the_current_one(seed: int) -> None:
    images = drawn(1, 2000, 2000, random.Random(seed))
    with torch.cuda.device(0):
        found = ops.skeletonize(images.to("cuda:1"))
    assert found.device.index == 1 and torch.equal(found.cpu(), ops.skeletonize(images))


@needs_module
@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_of_the_schema_has_a_cuda_kernel(operator: str) -> None:
    assert torch._C._dispatch_has_kernel_for_dispatch_key(f"sketchfast::{operator}", "CUDA")
