"""rasterize on a GPU: the pictures of the CPU, equal bits without antialiasing, within one level with it.

Tests that need a GPU are skipped, with the reason, where there is none; the last one needs only the built module.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sketchfast import ops
from sketchfast.canvas import NO_FIT
from tests.cuda.on_gpu import gpu, needs_module, poison
from tests.ops.drawn_sequences import Sequences, assert_same, random_sequences


def assert_as_on_cpu(drawn: Sequences, where: str) -> None:
    assert_same(drawn.by_torch("cuda"), drawn.by_torch("cpu"), drawn, where)


@gpu
def test_random_sequences_equal_the_cpu(seed: int) -> None:
    random = np.random.default_rng(seed)
    for number in range(400):
        settings: dict[str, object] = {
            "antialias": bool(number % 3 == 0),
            "thickness": int(random.integers(1, 65)),
        }
        if number % 5 == 0:
            settings["fit"] = float(random.choice([0, 0.07, 0.4]))
        if number % 2 == 0:
            settings["size"] = (int(random.integers(1, 300)), int(random.choice([64, 96, 130, 256, 1000])))
        poison(number % 256)
        assert_as_on_cpu(
            random_sequences(random, int(random.choice([1, 3, 40])), **settings), f"case {number}"
        )


@gpu
def test_batches_and_large_canvases(seed: int) -> None:
    random = np.random.default_rng(seed)
    for count, length, size, thickness in (
        (500, 100, (256, 256), 3),
        (1, 20_000, (4096, 4096), 5),
        (20_000, 3, (8, 8), 1),
    ):
        points = (random.random((count, length, 2)) * np.array(size)[::-1]).astype(np.float32)
        pen = (random.random((count, length)) < 0.1).astype(np.uint8)
        drawn = Sequences(points, pen, size, thickness, lengths=random.integers(0, length + 1, count))
        assert_as_on_cpu(drawn, "batch")
        assert_as_on_cpu(replace(drawn, fit=0.05), "batch, fitted")
        if size[0] < 4096:
            assert_as_on_cpu(replace(drawn, antialias=True), "batch, antialiased")


@gpu
def test_lines_from_far_away(seed: int) -> None:
    random = np.random.default_rng(seed)
    points = (random.normal(0, 1, (50, 12, 2)) * 10 ** random.uniform(1, 6, (50, 12, 1))).astype(np.float32)
    drawn = Sequences(points, np.zeros((50, 12), np.uint8), (130, 200), 3)
    assert_as_on_cpu(drawn, "far")
    assert_as_on_cpu(replace(drawn, antialias=True), "far, antialiased")


@gpu
def test_inputs_that_are_not_contiguous_or_not_aligned(seed: int) -> None:
    random = np.random.default_rng(seed)
    wide = torch.from_numpy((random.random((6, 40, 4)) * 60).astype(np.float32)).cuda()
    flat = wide.flatten()
    pen = torch.from_numpy(random.random((6, 80)) < 0.2).cuda()
    for points, lifts in (
        (wide[:, :, 1:3], pen[:, 1:41]),
        (wide[::2, ::3, :2], pen[::2, :14]),
        (flat[1 : 1 + 6 * 30 * 2].view(6, 30, 2), pen[:, ::2][:, :30]),
        (wide[:0, :, :2], pen[:0, :40]),
    ):
        found = ops.rasterize(points, lifts, (61, 67), 2)
        assert torch.equal(found.cpu(), ops.rasterize(points.cpu(), lifts.cpu(), (61, 67), 2))


@gpu
def test_points_that_cannot_be_drawn_are_left_out() -> None:
    points = torch.tensor([[[1, 1], [4, 1], [float("nan"), 6], [0, 8], [3, 8], [1e30, 2]]], device="cuda")
    pen = torch.zeros(1, 6, device="cuda")
    found = ops.rasterize(points, pen, 10, lengths=torch.tensor([99], device="cuda"))[0].cpu()
    wanted = torch.full((10, 10), 255, dtype=torch.uint8)
    wanted[1, 1:5] = wanted[8, 0:4] = 0
    assert torch.equal(found, wanted)


@gpu
def test_the_current_stream_is_used_and_a_graph_captures_the_call(seed: int) -> None:
    """The input is written on a side stream behind a long kernel; work on another stream would read it too early."""
    generator = torch.Generator().manual_seed(seed)
    given = [torch.rand(40, 60, 2, generator=generator) * 256 for _ in range(3)]
    pen = torch.rand(40, 60, generator=generator) < 0.1
    expected = [ops.rasterize(points, pen, 256, 3) for points in given]
    late, lifts = torch.zeros_like(given[0], device="cuda"), pen.cuda()
    sources = [points.cuda() for points in given]
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        ops.rasterize(late, lifts, 256, 3)
        side.synchronize()
        torch.cuda._sleep(400_000_000)
        late.copy_(sources[0])
        found = ops.rasterize(late, lifts, 256, 3)
        assert not side.query(), "the call waited for the device"
    side.synchronize()
    assert torch.equal(found.cpu(), expected[0])

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = ops.rasterize(late, lifts, 256, 3)
    for source, wanted in zip(sources, expected, strict=True):
        late.copy_(source)
        graph.replay()
        torch.cuda.synchronize()
        assert torch.equal(captured.cpu(), wanted)


@gpu
def test_bad_input_is_refused_and_leaves_the_device_usable() -> None:
    points, pen = torch.zeros(2, 3, 2, device="cuda"), torch.zeros(2, 3, dtype=torch.bool, device="cuda")
    direct = torch.ops.sketchfast.rasterize
    good = (points, pen, None, 8, 8, 1, False, NO_FIT)
    for place, value in (
        (0, points.double()),
        (1, pen.cpu()),
        (1, pen[:1]),
        (2, torch.tensor([1, 2])),
        (3, 0),
        (5, 65),
    ):
        with pytest.raises(RuntimeError, match=r"rasterize: (points|pen|lengths|size|thickness) must"):
            direct(*good[:place], value, *good[place + 1 :])
    with pytest.raises(ValueError, match="pen must be on the device of points"):
        ops.rasterize(points, pen.cpu(), 8)
    assert direct(*good)[0, 0, 0] == 0


@gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_the_tensors_device_is_used_not_the_current_one() -> None:
    points, pen = torch.tensor([[[1.0, 1.0], [6.0, 4.0]]]), torch.zeros(1, 2)
    with torch.cuda.device(0):
        found = ops.rasterize(points.to("cuda:1"), pen.to("cuda:1"), 8)
    assert found.device.index == 1 and torch.equal(found.cpu(), ops.rasterize(points, pen, 8))


@needs_module
def test_the_operator_of_the_schema_has_a_cuda_kernel() -> None:
    assert torch._C._dispatch_has_kernel_for_dispatch_key("sketchfast::rasterize", "CUDA")
