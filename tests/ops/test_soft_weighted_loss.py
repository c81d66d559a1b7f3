"""soft_weighted_loss: operator contract, value and gradient against loops written from eqs. 5-11, who owns the gradient."""

import math
import random
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from sketchfast import ops, reference
from sketchfast.reference.soft_weighted_loss import soft_labels
from tests.ops.op_tester import Arguments, OpTester

# Of the value and of the largest gradient of a case: float32 arithmetic, and 16-bit gradients rounded once.
TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-12, torch.bfloat16: 4e-3, torch.float16: 5e-4}
LABEL_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def loss_by_loops(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    ignore_index: int,
    background: int | None,
    soft: bool,
) -> tuple[float, Tensor]:
    """Eqs. 3, 5, 7, 11 and the derivative of eq. 6, one pixel and one class at a time, in Python's float64."""
    num, classes, height, width = logits.shape
    x, y, alpha = logits.double().tolist(), labels.tolist(), class_weights.double().tolist()
    gradient = torch.zeros(logits.shape, dtype=torch.float64)
    value = total = 0.0
    for n in range(num):
        for r in range(height):
            for c in range(width):
                i = y[n][r][c]
                if i == ignore_index:
                    continue
                f = [0] * classes
                if i == background or not soft:
                    f[i] = 1
                else:
                    for rr in range(max(r - 1, 0), min(r + 2, height)):
                        for cc in range(max(c - 1, 0), min(c + 2, width)):
                            j = y[n][rr][cc]
                            if j not in (ignore_index, background):
                                f[j] += 1
                scores = [x[n][k][r][c] for k in range(classes)]
                largest = max(scores)
                log_sum = largest + math.log(math.fsum(math.exp(s - largest) for s in scores))
                value += alpha[i] * math.fsum(
                    f[j] / sum(f) * (log_sum - scores[j]) for j in range(classes) if f[j]
                )
                total += alpha[i]
                for k in range(classes):
                    gradient[n, k, r, c] = alpha[i] * (math.exp(scores[k] - log_sum) - f[k] / sum(f))
    return (value / total, gradient / total) if total > 0 else (0.0, torch.zeros_like(gradient))


def patches(shape: tuple[int, ...], classes: int, generator: torch.Generator, size: int = 5) -> Tensor:
    """Label maps with flat regions and boundaries, as parts have them."""
    n, height, width = shape
    coarse = torch.randint(0, classes, (n, height // size + 1, width // size + 1), generator=generator)
    return coarse.repeat_interleave(size, 1).repeat_interleave(size, 2)[:, :height, :width].contiguous()


def draw(
    generator: torch.Generator,
    shape: tuple[int, int, int, int],
    dtype: torch.dtype = torch.float32,
    ignored: int | None = 255,
    noisy: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, int64 labels with an ignored rectangle and ignored single pixels, weights of which one is 0."""
    n, classes, height, width = shape
    logits = (3 * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)
    labels = patches((n, height, width), classes, generator, size=1 if noisy else 4)
    if ignored is not None:
        labels[:, height // 2 :, : width // 3] = ignored
        labels[torch.rand(labels.shape, generator=generator) < 0.05] = ignored
    weights = torch.rand(classes, generator=generator) + 0.1
    if classes > 2:
        weights[classes // 2] = 0
    return logits, labels, weights


def value_and_gradient(logits: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    leaf = logits.detach().clone().requires_grad_()
    loss = ops.soft_weighted_loss(leaf, *arguments)
    loss.backward()
    assert leaf.grad is not None and leaf.grad.dtype == logits.dtype
    return loss.detach(), leaf.grad


def assert_near(
    found: tuple[Tensor, Tensor], value: Any, gradient: Tensor, dtype: torch.dtype, share: float = 0.0
) -> None:
    """`share`: the largest alpha_i / sum of alpha. A gradient is share * (p - lambda), and p near 1 is rounded to eps."""
    # Smaller than the type's smallest normal number a gradient has fewer bits.
    tolerance, grain = TOLERANCE[dtype], torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    accumulated = torch.float64 if dtype == torch.float64 else torch.float32
    assert found[0].dtype == accumulated
    assert found[0].item() == pytest.approx(
        float(value), rel=TOLERANCE[accumulated], abs=TOLERANCE[accumulated]
    )
    largest = gradient.abs().max().item() if gradient.numel() else 0.0
    torch.testing.assert_close(
        found[1].double(),
        gradient,
        rtol=0,
        atol=tolerance * largest + grain + share * torch.finfo(accumulated).eps,
    )


class TestSoftWeightedLoss(OpTester):
    function = ops.soft_weighted_loss
    operator = torch.ops.sketchfast.soft_weighted_loss.default
    reference = reference.soft_weighted_loss
    relative = 3e-6  # float32 sums

    def sample_inputs(self, generator: torch.Generator) -> Iterator[Arguments]:
        for dtype in (torch.float32, torch.bfloat16):
            yield *draw(generator, (2, 5, 9, 21), dtype), 255, 0, True
        logits, labels, weights = draw(generator, (1, 20, 6, 7), ignored=-100, noisy=True)
        yield logits.half(), labels.int(), weights, -100, -1, True
        yield logits.double(), labels, weights.double(), -100, 3, False
        yield torch.randn(2, 3, 4, 0), torch.zeros(2, 4, 0, dtype=torch.uint8), torch.ones(3), 255, 0, True

    def test_empty_batch(self) -> None:
        logits, labels = torch.randn(0, 3, 4, 4, requires_grad=True), torch.zeros(0, 4, 4, dtype=torch.uint8)
        loss = ops.soft_weighted_loss(logits, labels, torch.ones(3))
        loss.backward()
        assert loss.item() == 0 and logits.grad.shape == logits.shape

    def operator_arguments(self, arguments: Arguments) -> Arguments:
        return *arguments, False

    def bad_inputs(self) -> Iterator[tuple[Arguments, type[Exception], str]]:
        x, y, w = torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.int64), torch.ones(3)
        rule = (255, 0, True)
        yield (x[0], y, w, *rule), ValueError, r"logits must have shape \[N, C, H, W\], found \[3, 4, 5\]"
        yield (x, y[0], w, *rule), ValueError, r"labels must have shape \[N, H, W\], found \[4, 5\]"
        yield (x, y, w[0], *rule), ValueError, r"class_weights must have shape \[C\], found \[\]"
        yield (
            (x, y[:, :3], w, *rule),
            ValueError,
            r"labels must have shape .*\[2, 3, 4, 5\], found \[2, 3, 5\]",
        )
        yield (x, y[:1], w, *rule), ValueError, r"labels must have shape .*found \[1, 4, 5\]"
        yield (
            (x, y, w[:2], *rule),
            ValueError,
            "class_weights must have one weight for each of the 3 .*found 2",
        )
        yield (x[:, :0], y, w[:0], *rule), ValueError, "logits must have at least one class"
        yield (x.long(), y, w, *rule), TypeError, "logits must be .*found (torch.int64|Long)"
        yield (x, y.float(), w, *rule), TypeError, "labels must be .*found (torch.float32|Float)"
        yield (x, y.bool(), w, *rule), TypeError, "labels must be .*found (torch.bool|Bool)"
        yield (
            (x, y, w.double(), *rule),
            TypeError,
            "class_weights must be float32(, found torch.float64| .*found Double)",
        )
        yield (x, y, w.long(), *rule), TypeError, "class_weights must be "
        yield (
            (x, y, w, 255, 3, True),
            ValueError,
            "background must be a class, 0 to 2, or -1 for none, found 3",
        )
        yield (x, y, w, 255, -2, True), ValueError, "background must be .*found -2"
        yield (
            (x, y.to("meta"), w, *rule),
            ValueError,
            "labels must be on the device|labels must be on the CPU",
        )
        yield (x, y.numpy(), w, *rule), TypeError, "labels must be a torch.Tensor, found ndarray"
        yield (x, y, w, "255", 0, True), TypeError, "ignore_index must be an integer, found '255'"
        yield (x, y, w, 255, 0.5, True), TypeError, "background must be an integer, found 0.5"
        for wrong in (3, -1, 254, 2**40, -(2**62)):
            bad = y.clone()
            bad[1, 2, 4] = wrong
            pattern = rf"labels must be 0 to 2 or ignore_index \(255\), found {wrong} at \[1, 2, 4\]"
            yield (x, bad, w, *rule), RuntimeError, pattern
        for wrong in (-0.5, math.nan, math.inf):
            bad_weights = torch.tensor([1.0, wrong, 1.0])
            yield (
                (x, y, bad_weights, *rule),
                RuntimeError,
                "class_weights must be finite and not negative, found",
            )
        yield (
            (x, y, w.clone().requires_grad_(), *rule),
            ValueError,
            "class_weights must not require a gradient",
        )

    def test_opcheck_with_gradient(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for dtype in (torch.float32, torch.float16):
            logits, labels, weights = draw(generator, (2, 4, 5, 7), dtype)
            for with_gradient in (True, False):
                arguments = (logits.requires_grad_(), labels, weights, 255, 0, True, with_gradient)
                torch.library.opcheck(self.operator, arguments)
        backward = (torch.tensor(2.0), logits.detach(), labels, weights, 255, 0, True)
        torch.library.opcheck(torch.ops.sketchfast.soft_weighted_loss_backward.default, backward)
        scale = (torch.randn(3, 4), torch.tensor(0.5))
        torch.library.opcheck(torch.ops.sketchfast.soft_weighted_loss_scale_.default, scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_value_and_gradient_equal_the_loops(dtype: torch.dtype, seed: int) -> None:
    """Sizes of one pixel, one row, one column and odd ones; every label dtype; ignore_index and background of all kinds."""
    choose, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    shapes = [
        (1, 2, 1, 1),
        (2, 3, 1, 9),
        (1, 4, 11, 1),
        (2, 16, 7, 9),
        (1, 17, 6, 8),
        (1, 64, 5, 6),
        (3, 5, 13, 10),
    ]
    shapes += [(1, choose.randint(2, 64), choose.randint(1, 9), choose.randint(1, 40)) for _ in range(4)]
    for case, shape in enumerate(shapes):
        classes = shape[1]
        label_dtype = LABEL_DTYPES[case % len(LABEL_DTYPES)]
        ignore = choose.choice([-100, 100, classes, classes - 1, 0]) if label_dtype != torch.uint8 else 255
        background = choose.choice([0, classes - 1, choose.randrange(classes), None, -1])
        soft = case % 5 != 4
        logits, labels, weights = draw(generator, shape, dtype, ignore, noisy=case % 2 == 1)
        expected = loss_by_loops(logits, labels, weights, ignore, background, soft)
        arguments = (labels.to(label_dtype), weights, ignore, background, soft)
        told = f"{shape} {label_dtype} ignore {ignore} background {background} soft {soft}"
        try:
            alpha = weights[labels[labels != ignore].long()]
            share = (alpha.max() / alpha.sum()).item() if alpha.any() else 0.0
            assert_near(value_and_gradient(logits, *arguments), *expected, dtype, share)
            with torch.no_grad():
                alone = ops.soft_weighted_loss(logits, *arguments)
            assert torch.equal(alone, value_and_gradient(logits, *arguments)[0])
            assert reference.soft_weighted_loss(logits.double(), *arguments).item() == pytest.approx(
                expected[0], rel=1e-12
            )
        except AssertionError as error:
            raise AssertionError(told) from error


@pytest.mark.parametrize("classes", [2, 12, 64, 300])
def test_larger_images_equal_the_vectorised_reference(classes: int, seed: int) -> None:
    """Many strips and blocks, part-like labels and noise; more classes than a byte holds."""
    generator = torch.Generator().manual_seed(seed)
    height, width = (70, 131) if classes <= 64 else (20, 31)
    for noisy in (False, True):
        logits, labels, weights = draw(generator, (2, classes, height, width), ignored=-1, noisy=noisy)
        exact = logits.double().requires_grad_()
        value = reference.soft_weighted_loss(exact, labels, weights, -1)
        (gradient,) = torch.autograd.grad(value, exact)
        for dtype in (torch.float32, torch.float64):
            found = value_and_gradient(logits.to(dtype), labels, weights, -1)
            assert_near(found, value.detach(), gradient, dtype)


def test_window_of_figure_4() -> None:
    """444/445/111: 3/9, 5/9 and 1/9 for classes 1, 4 and 5."""
    labels = torch.tensor([[[4, 4, 4], [4, 4, 5], [1, 1, 1]]])
    logits = torch.randn(1, 6, 3, 3, dtype=torch.float64)
    lam = soft_labels(labels, 6)[0, :, 1, 1]
    torch.testing.assert_close(lam, torch.tensor([0, 3, 0, 0, 5, 1], dtype=torch.float64) / 9)
    # The gradient at the centre is alpha (softmax - lambda) / 9 with all weights 1.
    _, gradient = value_and_gradient(logits, labels, torch.ones(6))
    softmax = logits.softmax(1)[0, :, 1, 1]
    torch.testing.assert_close(softmax - 9 * gradient[0, :, 1, 1], lam)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hard_labels_equal_cross_entropy(dtype: torch.dtype, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for ignore in (255, -100, 2):
        logits, labels, weights = draw(generator, (2, 7, 33, 29), dtype, ignore)
        leaf = logits.clone().requires_grad_()
        peer = F.cross_entropy(leaf, labels, weights.to(dtype), ignore_index=ignore)
        peer.backward()
        found = value_and_gradient(logits, labels, weights, ignore, 0, False)
        torch.testing.assert_close(found[0], peer.detach(), rtol=10 * TOLERANCE[dtype], atol=0)
        atol = 10 * TOLERANCE[dtype] * leaf.grad.abs().max().item()
        torch.testing.assert_close(found[1], leaf.grad, rtol=0, atol=atol)


def test_gradcheck(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for soft in (True, False):
        logits, labels, weights = draw(generator, (2, 4, 4, 5), torch.float64)

        def loss(x: Tensor) -> Tensor:
            return 1.7 * ops.soft_weighted_loss(x, labels, weights.double(), soft=soft)  # noqa: B023

        assert torch.autograd.gradcheck(loss, logits.requires_grad_())


def test_same_bits_in_every_run_and_from_any_number_of_threads(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits, labels, weights = draw(generator, (3, 7, 120, 131))
    value, gradient = value_and_gradient(logits, labels, weights)
    threads = torch.get_num_threads()
    try:
        for run in range(20):
            torch.set_num_threads(1 + run % 4)
            again = value_and_gradient(logits, labels, weights)
            assert torch.equal(value, again[0]) and torch.equal(gradient, again[1])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_nothing_to_learn_gives_zero(dtype: torch.dtype) -> None:
    logits = torch.randn(2, 3, 4, 5).to(dtype)
    ignored = torch.full((2, 4, 5), 255)
    weightless = torch.ones(2, 4, 5, dtype=torch.int64)
    for labels, weights in ((ignored, torch.ones(3)), (weightless, torch.tensor([1.0, 0.0, 1.0]))):
        value, gradient = value_and_gradient(logits, labels, weights)
        assert value.item() == 0
        assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits(dtype: torch.dtype, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits, labels, weights = draw(generator, (1, 6, 8, 9), dtype)
    logits = torch.where(torch.rand(logits.shape, generator=generator) < 0.5, 1e4, -1e4).to(dtype) + logits
    expected = loss_by_loops(logits, labels, weights, 255, 0, True)
    assert_near(value_and_gradient(logits, labels, weights), *expected, dtype)


def test_infinite_and_nan_logits(seed: int) -> None:
    """A class at -infinity is out of play; NaN shows in the loss, unless its pixel is ignored."""
    logits, labels, weights = draw(torch.Generator().manual_seed(seed), (1, 5, 8, 9))
    weights += 0.1
    labels[labels == 4] = 1
    masked = logits.clone()
    masked[:, 4] = -math.inf
    expected = value_and_gradient(logits[:, :4], labels, weights[:4])
    found = value_and_gradient(masked, labels, weights)
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(found[1][:, :4], expected[1])
    assert not found[1][:, 4].any()
    for bad in (math.nan, math.inf):
        ignored = labels == 255
        hidden = torch.where(ignored[:, None], bad, logits)
        clean = value_and_gradient(logits, labels, weights)
        poisoned = value_and_gradient(hidden, labels, weights)
        assert torch.equal(clean[0], poisoned[0]) and torch.equal(clean[1], poisoned[1])
        labelled = torch.where(ignored[:, None], logits, bad)
        assert value_and_gradient(labelled, labels, weights)[0].isnan()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_16_bit_number_is_read(dtype: torch.dtype) -> None:
    """Cross entropy of [x, 0] with label 1 is log(1 + e^x)."""
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype)
    x = every[every.isfinite()]
    for chunk in x.view(-1, 16 if dtype == torch.bfloat16 else 32)[:: 97 if dtype == torch.bfloat16 else 53]:
        logits = torch.stack([chunk, torch.zeros_like(chunk)])[None, :, None]
        labels = torch.ones(1, 1, len(chunk), dtype=torch.uint8)
        found = ops.soft_weighted_loss(logits, labels, torch.ones(2), soft=False)
        expected = F.cross_entropy(logits.double(), labels.long())
        assert found.item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-7)


def test_channels_last_and_cropped_logits(seed: int) -> None:
    logits, labels, weights = draw(torch.Generator().manual_seed(seed), (2, 5, 12, 14))
    expected = value_and_gradient(logits, labels, weights)
    leaf = logits.clone().contiguous(memory_format=torch.channels_last).requires_grad_()
    loss = ops.soft_weighted_loss(leaf, labels, weights)
    loss.backward()
    assert torch.equal(loss, expected[0]) and torch.equal(leaf.grad, expected[1])
    wide = F.pad(logits, (3, 2, 1, 0), value=7.0).requires_grad_()
    ops.soft_weighted_loss(wide[:, :, 1:, 3:-2], labels, weights).backward()
    assert torch.equal(wide.grad[:, :, 1:, 3:-2], expected[1])


class TestTheGradientHasOneOwner:
    @pytest.fixture
    def case(self, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        logits, labels, weights = draw(torch.Generator().manual_seed(seed), (2, 5, 12, 14))
        return logits.requires_grad_(), labels, weights

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
    @pytest.mark.parametrize("factor", [1.0, 0.3, 65536.0, 0.0, -2.0])
    def test_grad_output(self, case: tuple[Tensor, ...], dtype: torch.dtype, factor: float) -> None:
        logits, labels, weights = case
        leaf = logits.detach().to(dtype).requires_grad_()
        _, unit = loss_by_loops(leaf.detach(), labels, weights, 255, 0, True)
        (factor * ops.soft_weighted_loss(leaf, labels, weights)).backward()
        assert_near((torch.tensor(0.0, dtype=torch.float64), leaf.grad), 0, factor * unit, torch.float64) if (
            dtype == torch.float64
        ) else torch.testing.assert_close(
            leaf.grad.double(),
            factor * unit,
            rtol=0,
            atol=2 * TOLERANCE[dtype] * abs(factor) * unit.abs().max().item()
            + 1e-7 * (dtype == torch.float16),
        )

    def test_small_float16_gradients_survive_a_scaler(self, seed: int) -> None:
        """Unscaled, most of these gradients are below float16's smallest number."""
        logits, labels, weights = draw(torch.Generator().manual_seed(seed), (1, 12, 200, 200), torch.float16)
        leaf = logits.clone().requires_grad_()
        (65536.0 * ops.soft_weighted_loss(leaf, labels, weights)).backward()
        exact = logits.double().requires_grad_()
        (65536.0 * reference.soft_weighted_loss(exact, labels, weights)).backward()
        torch.testing.assert_close(leaf.grad.double(), exact.grad, rtol=2e-3, atol=6e-8)

    def test_retained_graph(self, case: tuple[Tensor, ...]) -> None:
        """Twice the same, with other factors, and changing the first result changes nothing later."""
        logits, labels, weights = case
        _, unit = value_and_gradient(logits, labels, weights)
        loss = ops.soft_weighted_loss(logits, labels, weights)
        (first,) = torch.autograd.grad(loss, logits, retain_graph=True)
        assert torch.equal(first, unit)
        first.fill_(math.nan)
        (second,) = torch.autograd.grad(3 * loss, logits, retain_graph=True)
        torch.testing.assert_close(second, 3 * unit)
        second.zero_()
        loss.backward(retain_graph=True)
        loss.backward()
        torch.testing.assert_close(logits.grad, 2 * unit)
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()

    def test_used_twice_in_one_sum(self, case: tuple[Tensor, ...]) -> None:
        logits, labels, weights = case
        _, unit = value_and_gradient(logits, labels, weights)
        loss = ops.soft_weighted_loss(logits, labels, weights)
        (loss + 2 * loss + loss.square() * 0 + logits.sum()).backward()
        torch.testing.assert_close(logits.grad, 3 * unit + 1)

    def test_gradient_is_handed_over_not_copied(self, case: tuple[Tensor, ...]) -> None:
        logits, labels, weights = case
        loss = ops.soft_weighted_loss(logits, labels, weights)
        assert loss.grad_fn is not None
        owned = loss.grad_fn.owned_gradient[0].data_ptr()  # type: ignore[attr-defined]
        loss.backward()
        assert logits.grad.data_ptr() == owned

    def test_no_gradient_is_made_without_need(self, case: tuple[Tensor, ...]) -> None:
        logits, labels, weights = case
        with torch.no_grad():
            assert not ops.soft_weighted_loss(logits, labels, weights).requires_grad
        assert not ops.soft_weighted_loss(logits.detach(), labels, weights).requires_grad
        half = ops.soft_weighted_loss(logits.half(), labels, weights)
        assert half.requires_grad and not half.grad_fn.owned_gradient  # type: ignore[union-attr]

    def test_accumulates(self, case: tuple[Tensor, ...]) -> None:
        logits, labels, weights = case
        _, unit = value_and_gradient(logits, labels, weights)
        for _ in range(3):
            ops.soft_weighted_loss(logits, labels, weights).backward()
        torch.testing.assert_close(logits.grad, 3 * unit)

    def test_second_derivative_is_refused(self, case: tuple[Tensor, ...]) -> None:
        logits, labels, weights = case
        loss = ops.soft_weighted_loss(logits, labels, weights)
        (first,) = torch.autograd.grad(loss, logits, create_graph=True)
        with pytest.raises(RuntimeError, match="soft_weighted_loss has no second derivative"):
            first.square().sum().backward()

    def test_graph_is_freed(self, case: tuple[Tensor, ...]) -> None:
        """No reference cycle keeps the gradient alive."""
        import gc
        import weakref

        logits, labels, weights = case
        gc.disable()
        try:
            loss = ops.soft_weighted_loss(logits, labels, weights)
            held = weakref.ref(loss.grad_fn.owned_gradient[0])  # type: ignore[union-attr]
            del loss
            assert held() is None
        finally:
            gc.enable()


class TestTransforms:
    """torch.func and forward-mode AD, which do not reach an operator's registered gradient."""

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
    def test_first_derivatives(self, dtype: torch.dtype, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        logits, labels, weights = draw(generator, (2, 5, 8, 9), dtype)
        along = torch.randn(logits.shape, generator=generator).to(dtype)
        value, exact = loss_by_loops(logits, labels, weights, 255, 0, True)
        slope = (exact * along.double()).sum().item()

        def loss(x: Tensor) -> Tensor:
            return ops.soft_weighted_loss(x, labels, weights)

        near = {"rel": 1e-4, "abs": 1e-5}
        for leaf in (logits, logits.clone().requires_grad_()):
            found = torch.func.jvp(loss, (leaf,), (along,))
            assert [one.item() for one in found] == pytest.approx([value, slope], **near)
            with forward_ad.dual_level():
                dual = forward_ad.unpack_dual(loss(forward_ad.make_dual(leaf, along)))
            assert [one.item() for one in dual] == pytest.approx([value, slope], **near)
        for transform in (torch.func.grad, torch.func.jacrev):
            gradient = transform(loss)(logits)
            assert gradient.dtype == dtype
            assert_near(
                (torch.tensor(value, dtype=torch.float64).to(found[0]), gradient), value, exact, dtype
            )

    def test_vmap(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        cases = [draw(generator, (1, 4, 6, 7)) for _ in range(3)]
        logits, labels = (torch.stack([case[i] for case in cases]) for i in (0, 1))
        weights = cases[0][2]
        wanted = [value_and_gradient(x, y, weights) for x, y in zip(logits, labels, strict=True)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's word on the speed of a loop
            per_sample = torch.func.vmap(
                torch.func.grad_and_value(lambda x, y: ops.soft_weighted_loss(x, y, weights))
            )
            gradients, values = per_sample(logits, labels)
            alone = torch.func.vmap(lambda x, y: ops.soft_weighted_loss(x, y, weights))(logits, labels)
        assert torch.equal(values, torch.stack([value for value, _ in wanted]))
        assert torch.equal(alone, values)
        torch.testing.assert_close(gradients, torch.stack([gradient for _, gradient in wanted]))

    def test_second_derivatives_are_refused(self, seed: int) -> None:
        logits, labels, weights = draw(torch.Generator().manual_seed(seed), (1, 4, 5, 6))
        ones = torch.ones_like(logits)

        def loss(x: Tensor) -> Tensor:
            return ops.soft_weighted_loss(x, labels, weights)

        def slope(x: Tensor) -> Tensor:
            return torch.func.jvp(loss, (x,), (ones,))[1]

        def norm(x: Tensor) -> Tensor:
            return torch.func.grad(loss)(x).square().sum()

        def backward_of_a_tangent() -> None:
            with forward_ad.dual_level():
                dual = forward_ad.make_dual(logits.clone().requires_grad_(), ones)
                forward_ad.unpack_dual(loss(dual)).tangent.backward()

        def tangent_of_a_gradient() -> None:
            with forward_ad.dual_level():
                dual = forward_ad.make_dual(logits.clone().requires_grad_(), ones)
                torch.autograd.grad(loss(dual), dual)

        for second in (
            lambda: torch.func.grad(slope)(logits),
            lambda: torch.func.grad(norm)(logits),
            lambda: torch.func.jvp(slope, (logits,), (ones,)),
            lambda: torch.func.jvp(norm, (logits,), (ones,)),
            lambda: norm(logits.clone().requires_grad_()).backward(),
            lambda: slope(logits.clone().requires_grad_()).backward(),
            backward_of_a_tangent,
            tangent_of_a_gradient,
        ):
            with pytest.raises(RuntimeError, match="soft_weighted_loss has no second derivative"):
                second()

    def test_compiler_loses_no_tangent(self, seed: int) -> None:
        """A graph break, or an error where none is allowed."""
        logits, labels, weights = draw(torch.Generator().manual_seed(seed), (1, 4, 5, 6))

        def jvp(x: Tensor) -> tuple[Tensor, Tensor]:
            return torch.func.jvp(lambda q: ops.soft_weighted_loss(q, labels, weights), (x,), (x,))

        torch.compiler.reset()
        torch.testing.assert_close(torch.compile(jvp, backend="aot_eager")(logits), jvp(logits))
        torch.compiler.reset()
        with pytest.raises(torch._dynamo.exc.Unsupported):
            torch.compile(jvp, backend="aot_eager", fullgraph=True)(logits)

    def test_weights_are_constant(self, seed: int) -> None:
        logits, labels, weights = draw(torch.Generator().manual_seed(seed), (1, 4, 5, 6))

        def loss(alpha: Tensor) -> Tensor:
            return ops.soft_weighted_loss(logits, labels, alpha)

        def dual() -> Tensor:
            with forward_ad.dual_level():
                return loss(forward_ad.make_dual(weights, weights))

        for derivative in (
            lambda: torch.func.grad(loss)(weights),
            lambda: torch.func.jvp(loss, (weights,), (weights,)),
            dual,
        ):
            with pytest.raises(ValueError, match="class_weights must not require a gradient"):
                derivative()


def test_ignore_index_beyond_64_bits() -> None:
    x, y, w = torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.int64), torch.ones(2)
    with pytest.raises(ValueError, match=rf"ignore_index must be -2\*\*63 to 2\*\*63 - 1, found {2**70}"):
        ops.soft_weighted_loss(x, y, w, 2**70)


def test_message_begins_with_the_operator() -> None:
    x, y, w = torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.int64), torch.ones(2)
    for labels, weights in ((y + 2, w), (y, -w)):
        with pytest.raises(RuntimeError, match=r"\Asoft_weighted_loss: "):
            ops.soft_weighted_loss(x, labels, weights)


@pytest.mark.parametrize(
    ("backend", "dtype"),
    [("aot_eager", torch.float32), ("aot_eager", torch.float16), ("inductor", torch.float32)],
)
def test_compiled_training_step(backend: str, dtype: torch.dtype, seed: int) -> None:
    """Forward and backward in one graph; the compiled backward run twice stays right."""
    logits, labels, weights = draw(torch.Generator().manual_seed(seed), (2, 5, 12, 14))

    def loss(x: Tensor) -> Tensor:
        return 2 * ops.soft_weighted_loss((x * 1.5).to(dtype), labels, weights)

    leaf, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    torch.compiler.reset()
    found = torch.compile(loss, fullgraph=True, backend=backend)(leaf)
    found.backward(retain_graph=True)
    found.backward()
    expected = loss(other)
    (2 * expected).backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(leaf.grad, other.grad)


def test_autocast_leaves_16_bit_logits_alone(seed: int) -> None:
    logits, labels, weights = draw(torch.Generator().manual_seed(seed), (2, 5, 12, 14))
    conv = torch.nn.Conv2d(5, 5, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = conv(logits)
        scores.retain_grad()
        loss = ops.soft_weighted_loss(scores, labels, weights)
    loss.backward()
    assert scores.dtype == torch.bfloat16 and loss.dtype == torch.float32
    expected = loss_by_loops(scores.detach(), labels, weights, 255, 0, True)
    assert_near((loss.detach(), scores.grad), *expected, torch.bfloat16)
    assert conv.weight.grad is not None


class TestMedianFrequencyWeights:
    def test_by_hand(self) -> None:
        """phi = (8 + 4) / 2 = 6, 4 / 1 = 4, 2 / 1 = 2; M = 4."""
        one = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
        two = torch.tensor([[0, 0, 255], [0, 0, 255], [2, 2, 255]], dtype=torch.uint8)
        expected = torch.tensor([4 / 6, 1.0, 2.0])
        torch.testing.assert_close(ops.median_frequency_weights([one, two], 3), expected)
        torch.testing.assert_close(ops.median_frequency_weights(iter([one, two.numpy()]), 3), expected)
        doubled = ops.median_frequency_weights([one, two], 3, background_gain=2)
        torch.testing.assert_close(doubled, expected * torch.tensor([2.0, 1.0, 1.0]))

    def test_arrays_of_any_layout(self) -> None:
        labels = np.array([[[0, 0, 1], [0, 255, 1]]], dtype=np.int32)
        wanted = ops.median_frequency_weights(labels, 2)
        frozen = labels.copy()
        frozen.flags.writeable = False
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for given in (labels[:, ::-1, ::-1], frozen, labels.astype(">i4"), labels.transpose(0, 2, 1)):
                assert torch.equal(ops.median_frequency_weights(given, 2), wanted)

    def test_absent_class(self) -> None:
        labels = torch.tensor([[[0, 0, 0, 2]]])
        with pytest.warns(UserWarning, match=re.escape("classes [1, 3] are in none of the 1 label maps")):
            weights = ops.median_frequency_weights(labels, 4)
        torch.testing.assert_close(weights, torch.tensor([2 / 3, 0, 2, 0]))

    def test_equals_reference(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for classes in (1, 2, 5, 12):
            labels = patches((4, 17, 23), classes, generator)
            labels[torch.rand(labels.shape, generator=generator) < 0.1] = 255
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = ops.median_frequency_weights(labels, classes, background_gain=2.0)
            torch.testing.assert_close(
                found, reference.median_frequency_weights(labels, classes, background_gain=2.0)
            )

    @pytest.mark.parametrize(
        ("arguments", "exception", "pattern"),
        [
            ((torch.zeros(3, 3, dtype=torch.int64), 2), ValueError, r"label_maps must be \[N, H, W\]"),
            (
                ([torch.zeros(3, dtype=torch.int64)], 2),
                ValueError,
                r"label_maps must be .*found \[3\] as map 0",
            ),
            ((torch.zeros(1, 3, 3), 2), TypeError, "label_maps must hold integers, found torch.float32"),
            (([], 2), ValueError, "at least one label map"),
            ((None, 2), TypeError, "label_maps must be .*found NoneType"),
            (("abc", 2), TypeError, "label_maps must be .*found str"),
            (([None], 2), TypeError, "label_maps must hold integers, found NoneType in map 0"),
            ((np.zeros((1, 2, 2), bool), 2), TypeError, "label_maps must hold integers, found bool in map 0"),
            ((torch.zeros(1, 2, 2).long(), "5"), TypeError, "num_classes must be an integer, found '5'"),
            ((torch.zeros(1, 2, 2).long(), 2, 2**70), ValueError, "ignore_index must be -2"),
            ((torch.zeros(1, 2, 2).long(), 2, 255, 0, "a"), TypeError, "background_gain must be .*found 'a'"),
            ((torch.full((1, 2, 2), 2), 2), ValueError, r"0 to 1 or ignore_index \(255\), found 2 in map 0"),
            ((torch.full((1, 2, 2), -1), 2), ValueError, "found -1 in map 0"),
            ((torch.zeros(1, 2, 2, dtype=torch.int64), 2, 255, 2), ValueError, "background must be"),
            (
                (torch.zeros(1, 2, 2, dtype=torch.int64), 2, 255, None, 2.0),
                ValueError,
                "background_gain must be 1",
            ),
            (
                (torch.zeros(1, 2, 2, dtype=torch.int64), 2, 255, 0, math.nan),
                ValueError,
                "background_gain must be",
            ),
            ((torch.zeros(1, 2, 2, dtype=torch.int64), 0), ValueError, "num_classes must be at least 1"),
        ],
    )
    def test_bad_input(self, arguments: Arguments, exception: type[Exception], pattern: str) -> None:
        with pytest.raises(exception, match=pattern):
            ops.median_frequency_weights(*arguments)
