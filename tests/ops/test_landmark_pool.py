"""landmark_pool: operator contract; values and both gradients against grid_sample in float64, on the kinks too; determinism."""

import math
import random
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from sketchfast import ops, reference
from tests.ops.op_tester import Arguments, OpTester

# Of the largest value of a case; 16-bit results are rounded once.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-13, torch.bfloat16: 8e-3, torch.float16: 1e-3}
LAYOUTS = (torch.contiguous_format, torch.channels_last)
Results = tuple[Tensor, Tensor, Tensor]


def draw_points(generator: torch.Generator, n: int, count: int, height: int, width: int) -> Tensor:
    """float64 [n, count, 2]: most in the map, some up to two pixels outside it."""
    size = torch.tensor([width + 4.0, height + 4.0], dtype=torch.float64)
    return torch.rand(n, count, 2, generator=generator, dtype=torch.float64) * size - 2.5


def by_grid_sample(features: Tensor, points: Tensor, reduce: str, grad: Tensor) -> Results:
    """float64 values and both gradients. Pixels are turned into grid_sample's coordinates, g = (2 x + 1) / W - 1, which it turns
    back by ((g + 1) W - 1) / 2 with align_corners=False; the sampling itself does not know of align_corners. Where W is a power
    of two and x a small multiple of 1/8 every step is exact, so that a point on a pixel's centre arrives there."""
    x, at = features.detach().double().requires_grad_(), points.detach().double().requires_grad_()
    height, width = features.shape[2:]
    grid = (2 * at + 1) / torch.tensor([width, height], dtype=torch.float64) - 1
    pooled = F.grid_sample(x, grid[:, None], align_corners=False, padding_mode="zeros")[:, :, 0].mT
    if reduce == "mean":
        pooled = pooled.mean(1)
    return pooled.detach(), *torch.autograd.grad(pooled, (x, at), grad.double())


def by_aligned_grid_sample(features: Tensor, points: Tensor, reduce: str, grad: Tensor) -> Results:
    """The same with align_corners=True: g = 2 x / (W - 1) - 1, exact where W - 1 is a power of two; sides of at least 2."""
    x, at = features.detach().double().requires_grad_(), points.detach().double().requires_grad_()
    height, width = features.shape[2:]
    grid = 2 * at / torch.tensor([width - 1, height - 1], dtype=torch.float64) - 1
    pooled = F.grid_sample(x, grid[:, None], align_corners=True, padding_mode="zeros")[:, :, 0].mT
    if reduce == "mean":
        pooled = pooled.mean(1)
    return pooled.detach(), *torch.autograd.grad(pooled, (x, at), grad.double())


def by_ours(features: Tensor, points: Tensor, reduce: str, grad: Tensor) -> Results:
    x, at = features.detach().requires_grad_(), points.detach().requires_grad_()
    pooled = ops.landmark_pool(x, at, reduce)
    pooled.backward(grad)
    assert x.grad is not None and at.grad is not None
    assert x.grad.dtype == x.dtype and x.grad.stride() == x.stride() and at.grad.dtype == at.dtype
    return pooled.detach(), x.grad, at.grad


def assert_near(found: Results, expected: Results, dtype: torch.dtype) -> None:
    """The gradient of points is not rounded to 16 bits: its tolerance is float32's."""
    summed = torch.float64 if dtype == torch.float64 else torch.float32
    for one, other, tolerance in zip(
        found, expected, (TOLERANCE[dtype], TOLERANCE[dtype], 2 * TOLERANCE[summed]), strict=True
    ):
        assert one.shape == other.shape
        largest = other.abs().max().item() if other.numel() else 0.0
        torch.testing.assert_close(one.double(), other, rtol=0, atol=tolerance * max(largest, 1e-3))


def draw(generator: torch.Generator, n: int, channels: int, height: int, width: int) -> Tensor:
    return torch.randn(n, channels, height, width, generator=generator, dtype=torch.float64)


class TestLandmarkPool(OpTester):
    function = ops.landmark_pool
    operator = torch.ops.sketchfast.landmark_pool.default
    reference = reference.landmark_pool
    relative = 2e-6  # float32 sums of positive values

    def sample_inputs(self, generator: torch.Generator) -> Iterator[Arguments]:
        points = draw_points(generator, 2, 7, 5, 9)
        features = draw(generator, 2, 11, 5, 9).abs() + 0.1
        yield features.float(), points.float(), "mean"
        # float64 points that float32 holds: beside float32 features the place within a pixel is rounded to float32, which
        # near a pixel is no longer small beside the weight of the other one.
        yield features.float().to(memory_format=torch.channels_last), points.float().double(), "none"
        yield features, points.float(), "mean"
        # Exact in float32, so that 16-bit results are those of float64, rounded once.
        whole = torch.randint(1, 9, (2, 11, 5, 9), generator=generator)
        quarters = torch.randint(-6, 40, (2, 4, 2), generator=generator) / 4
        yield whole.bfloat16(), quarters, "mean"
        yield whole.half().to(memory_format=torch.channels_last), quarters, "none"
        yield torch.rand(0, 3, 4, 4), torch.rand(0, 2, 2), "mean"
        yield torch.rand(2, 0, 4, 4), torch.rand(2, 2, 2), "none"

    def operator_arguments(self, arguments: Arguments) -> Arguments:
        return arguments if len(arguments) == 3 else (*arguments, "mean")

    def bad_inputs(self) -> Iterator[tuple[Arguments, type[Exception], str]]:
        x, p = torch.zeros(2, 3, 4, 5), torch.zeros(2, 6, 2)
        yield (x[0], p), ValueError, r"features must have shape \[N, C, H, W\], found \[3, 4, 5\]"
        yield (x, p[0]), ValueError, r"points must have shape \[N, L, 2\], found \[6, 2\]"
        yield (x, p[:1]), ValueError, r"points must have shape \[2, L, 2\] .*found \[1, 6, 2\]"
        yield (x, p[:, :0]), ValueError, r"points must have shape .* L >= 1 .*found \[2, 0, 2\]"
        yield (x, torch.zeros(2, 6, 3)), ValueError, r"points must have shape .*found \[2, 6, 3\]"
        yield (x[:, :, :0], p), ValueError, r"features must have maps of 1 to .*found \[2, 3, 0, 5\]"
        yield (x[..., :0], p), ValueError, r"features must have maps of 1 to .*found \[2, 3, 4, 0\]"
        huge = torch.zeros(1, 1, 1, 1).expand(2, 1, 2**16, 2**15)
        yield (huge, p), ValueError, "features must have maps of 1 to 2147483647 pixels"
        yield (x.long(), p), TypeError, "features must be .*found (torch.int64|Long)"
        yield (x, p.long()), TypeError, "points must be .*found (torch.int64|Long)"
        yield (x, p.half()), TypeError, "points must be .*found (torch.float16|Half)"
        yield (
            (x, p.to("meta")),
            ValueError,
            "points must be on the device of features|points must be on the CPU",
        )
        yield (x.numpy(), p), TypeError, "features must be a torch.Tensor, found ndarray"
        yield (x, p, "sum"), ValueError, "reduce must be 'mean' or 'none', found 'sum'"
        for place in ((0, 0, 0), (1, 5, 1), (1, 2, 0)):
            bad = p.clone()
            bad[place] = math.nan
            pattern = r"landmark_pool: points must not be NaN, found NaN at \[{}, {}, {}\]".format(*place)
            yield (x, bad), RuntimeError, pattern

    def test_opcheck_of_gradients(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for dtype, layout, reduce in (
            (torch.float32, torch.channels_last, "mean"),
            (torch.float64, torch.contiguous_format, "none"),
        ):
            features = draw(generator, 2, 5, 4, 6).to(dtype).to(memory_format=layout)
            points = draw_points(generator, 2, 3, 4, 6)
            grad = torch.randn((2, 5) if reduce == "mean" else (2, 3, 5), generator=generator).to(dtype)
            leaves = features.clone().requires_grad_(), points.clone().requires_grad_()
            torch.library.opcheck(self.operator, (*leaves, reduce))
            backward = torch.ops.sketchfast.landmark_pool_backward.default
            torch.library.opcheck(backward, (grad, features, points, reduce, True, reduce == "none"))
            torch.library.opcheck(
                backward, (grad, features[..., ::2], points, reduce, reduce == "mean", True)
            )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_equals_grid_sample_anywhere(dtype: torch.dtype, layout: torch.memory_format, seed: int) -> None:
    """Random places; 1 to 60 points with duplicates, 1 to 2048 channels, maps of 1x1 to 64x64."""
    choose, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    cases = [(1, 1, 1, 1, 1), (2, 3, 1, 6, 4), (2, 2048, 8, 8, 30), (1, 300, 7, 7, 60), (1, 5, 64, 64, 30)]
    cases += [
        (
            choose.randint(1, 3),
            choose.randint(1, 90),
            choose.randint(1, 64),
            choose.randint(1, 64),
            choose.randint(1, 60),
        )
        for _ in range(4)
    ]
    for n, channels, height, width, count in cases:
        features = draw(generator, n, channels, height, width).to(dtype).to(memory_format=layout)
        points = draw_points(generator, n, count, height, width)
        points[0, count // 2] = points[0, 0]
        reduce = choose.choice(["mean", "none"])
        shape = (n, channels) if reduce == "mean" else (n, count, channels)
        grad = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
        expected = by_grid_sample(features, points, reduce, grad)
        assert_near(by_ours(features, points, reduce, grad), expected, dtype)
        if min(height, width) > 1:
            aligned = by_aligned_grid_sample(features, points, reduce, grad)
            assert_near(aligned, expected, torch.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("aligned", [False, True])
def test_equals_grid_sample_on_the_kinks(aligned: bool, layout: torch.memory_format, seed: int) -> None:
    """Integer coordinates, borders and one pixel beyond, where slopes jump and grid_sample's floor decides: exact conversions."""
    generator = torch.Generator().manual_seed(seed)
    peer = by_aligned_grid_sample if aligned else by_grid_sample
    for side_y, side_x in ((1, 1), (1, 8), (2, 2), (4, 16), (8, 8), (64, 32), (16, 64)):
        height, width = (side_y + 1, side_x + 1) if aligned else (side_y, side_x)
        features = draw(generator, 2, 6, height, width).to(memory_format=layout)
        corners = [(x, y) for x in (-2, -1, 0, width - 1, width) for y in (-2, -1, 0, height - 1, height)]
        wholes = torch.stack(
            [torch.randint(-1, side + 1, (2, 20), generator=generator) for side in (width, height)], -1
        )
        eighths = torch.randint(-16, 8 * max(width, height) + 16, (2, 15, 2), generator=generator) / 8
        points = torch.cat([torch.tensor(corners).expand(2, -1, 2), wholes, eighths], 1).double()
        for reduce in ("mean", "none"):
            shape = (2, 6) if reduce == "mean" else (2, points.shape[1], 6)
            grad = torch.randn(shape, generator=generator, dtype=torch.float64)
            expected = peer(features, points, reduce, grad)
            leaves = features.clone().requires_grad_(), points.clone().requires_grad_()
            defined = reference.landmark_pool(*leaves, reduce)
            gradients = torch.autograd.grad(defined, leaves, grad)
            assert_near((defined.detach(), *gradients), expected, torch.float64)
            for dtype in (torch.float64, torch.float32):
                found = by_ours(features, points.to(dtype), reduce, grad)
                assert_near(found, expected, torch.float64 if dtype == torch.float64 else torch.float32)


@pytest.mark.parametrize("reduce", ["mean", "none"])
def test_gradcheck(reduce: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for layout in LAYOUTS:
        features = draw(generator, 2, 3, 4, 5).to(memory_format=layout).requires_grad_()
        whole = torch.randint(-2, 6, (2, 6, 2), generator=generator)
        fraction = 0.1 + 0.8 * torch.rand(2, 6, 2, generator=generator, dtype=torch.float64)
        points = (whole + fraction).requires_grad_()  # away from the kinks at integers
        assert torch.autograd.gradcheck(ops.landmark_pool, (features, points, reduce))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_same_bits_in_every_run_and_from_any_number_of_threads(
    layout: torch.memory_format, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    for reduce in ("mean", "none"):
        # Several runs of channels an image, more values than one thread is started for.
        features = torch.randn(3, 700, 16, 17, generator=generator).to(memory_format=layout)
        points = draw_points(generator, 3, 40, 16, 17).float()
        grad = torch.randn((3, 700) if reduce == "mean" else (3, 40, 700), generator=generator)
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(1)
            first = by_ours(features, points, reduce, grad)
            for run in range(20):
                torch.set_num_threads(1 + run % 5)
                for one, other in zip(by_ours(features, points, reduce, grad), first, strict=True):
                    assert torch.equal(one, other)
        finally:
            torch.set_num_threads(before)


def test_values_where_no_point_is_never_count() -> None:
    for layout in LAYOUTS:
        for reduce in ("mean", "none"):
            features = torch.full((1, 40, 5, 5), math.inf).to(memory_format=layout)
            features[:, :, 1:3, 1:3] = 1
            points = torch.tensor([[[1.5, 1.25], [math.inf, 0], [0, -math.inf], [-1.5, 2]]])
            x, at = (
                features.clone(memory_format=torch.preserve_format).requires_grad_(),
                points.requires_grad_(),
            )
            pooled = ops.landmark_pool(x, at, reduce)
            (math.inf * pooled.sum()).backward()
            assert torch.equal(
                pooled.reshape(-1, 40)[0], torch.full((40,), 0.25 if reduce == "mean" else 1.0)
            )
            assert x.grad[:, :, 1:3, 1:3].eq(math.inf).all() and x.grad.eq(math.inf).sum() == 4 * 40
            assert x.grad.isfinite().sum() == 21 * 40
            if reduce == "none":
                assert pooled[:, 1:].eq(0).all() and at.grad[:, 1:].eq(0).all()


def test_one_gradient_alone(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features, points = draw(generator, 2, 5, 6, 7), draw_points(generator, 2, 4, 6, 7)
    both = by_ours(features, points, "mean", torch.ones(2, 5, dtype=torch.float64))
    for wanted in (0, 1):
        leaves = [features.clone(), points.clone()]
        leaves[wanted].requires_grad_()
        ops.landmark_pool(*leaves).sum().backward()  # of a gradient with strides of 0
        assert torch.equal(leaves[wanted].grad, both[1 + wanted]) and leaves[1 - wanted].grad is None
    with pytest.raises(RuntimeError, match="grad must have the shape of the pooled vectors"):
        torch.ops.sketchfast.landmark_pool_backward(torch.ones(2, 4), features, points, "mean", True, True)


def test_derivatives_that_there_are_not() -> None:
    features, points = torch.rand(1, 2, 3, 3, requires_grad=True), torch.rand(1, 2, 2, requires_grad=True)
    gradients = torch.autograd.grad(
        ops.landmark_pool(features, points).sum(), (features, points), create_graph=True
    )
    for gradient in gradients:
        with pytest.raises(RuntimeError, match="landmark_pool has no second derivative"):
            gradient.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="landmark_pool has no forward-mode derivative"):
        torch.func.jvp(lambda x: ops.landmark_pool(x, points.detach()), (features,), (features.detach(),))
    with forward_ad.dual_level(), pytest.raises(RuntimeError, match="no forward-mode derivative"):
        ops.landmark_pool(features, forward_ad.make_dual(points.detach(), torch.ones(1, 2, 2)))


def test_compiled_gradients_equal_eager_ones(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for layout in LAYOUTS:
        torch.compiler.reset()
        compiled = torch.compile(ops.landmark_pool, fullgraph=True, backend="aot_eager")
        features = torch.randn(2, 6, 5, 4, generator=generator).to(memory_format=layout)
        points = draw_points(generator, 2, 3, 5, 4)
        for reduce in ("mean", "none"):
            x, at = features.detach().requires_grad_(), points.detach().requires_grad_()
            pooled = compiled(x, at, reduce)
            pooled.square().sum().backward()
            expected = by_ours(features, points, reduce, 2 * pooled.detach())
            for one, other in zip((pooled.detach(), x.grad, at.grad), expected, strict=True):
                assert torch.equal(one, other)
            assert x.grad.stride() == x.stride()


def test_autocast_keeps_features_and_widens_points(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 4, 5, 5, generator=generator)
    points = draw_points(generator, 2, 3, 5, 5).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        convolved = F.conv2d(features, torch.eye(4)[:, :, None, None])
        pooled = ops.landmark_pool(convolved, points)
        assert pooled.dtype == torch.bfloat16
        assert torch.equal(ops.landmark_pool(features, points), ops.landmark_pool(features, points.float()))
    assert torch.equal(pooled, ops.landmark_pool(convolved, points.float()))
    with pytest.raises(TypeError, match=r"points must be one of .*found torch\.bfloat16"):
        ops.landmark_pool(features.to("meta"), points.to("meta"))  # a device without autocast
