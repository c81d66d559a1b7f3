"""Soft-weighted loss of DeepSSP (Zheng et al., "Deep Semantic Parsing of Freehand Sketches ...", eqs. 5-11) and its weights.

Kernels: csrc/cpu/soft_weighted_loss*, csrc/cuda/soft_weighted_loss*; definition: sketchfast/reference/soft_weighted_loss.py.
"""

import operator
import warnings
from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from sketchfast._native import explain_missing_cuda, load_torch_ops
from sketchfast.ops.operator_call import call

load_torch_ops()
explain_missing_cuda("soft_weighted_loss", "soft_weighted_loss_backward", "soft_weighted_loss_scale_")

LOGITS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
LABELS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def soft_weighted_loss(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    ignore_index: int = 255,
    background: int | None = 0,
    soft: bool = True,
) -> Tensor:
    """L_s of eq. 11 over a batch: cross entropy against soft labels at part boundaries, weighted by class.

    For a pixel of class i: alpha_i * (logsumexp(x) - sum_j lambda_j x_j), summed over pixels and divided by the sum of their
    alpha. lambda_j is the share of class j in the 3x3 window around the pixel, itself included, without background, ignored
    pixels and places outside the image (eq. 7, f_0 = 0); one-hot where i is the background. With soft=False it is one-hot
    everywhere: F.cross_entropy(logits, labels, class_weights, ignore_index=ignore_index).

    Where no pixel is labelled, or all labelled ones are of weight 0, the loss is 0 and so is the gradient (F.cross_entropy
    gives NaN). The gradient of `logits` has their dtype and is written during the forward pass, unless they are float16, whose
    small numbers need grad_output (a GradScaler's factor) first. Arithmetic is float32, float64 for float64. Deterministic: the
    same bits in every run, from any number of threads. Autocast changes nothing: 16-bit logits are read as they are.
    Forward-mode AD and torch.func (jvp, grad, vmap and what is made of them) work, second derivatives are refused.

    Args:
        logits: float32, float64, float16 or bfloat16 [N, C, H, W]. Strides other than contiguous ones (channels_last too)
            cost a copy, and the gradient is contiguous.
        labels: uint8, int8, int16, int32 or int64 [N, H, W] on the same device: 0 to C - 1, or ignore_index.
        class_weights: alpha, float32 [C] on the same device (float64 beside float64 logits), finite, not negative; a constant.
        ignore_index: any 64-bit integer. Inside 0..C-1 it means "ignored", not that class.
        background: the class that never softens another; None or -1: there is none.

    Returns:
        A scalar: float32, float64 for float64 logits.

    Raises:
        TypeError: an argument is no tensor or has another dtype; ignore_index or background is no integer.
        ValueError: a wrong rank, shapes or devices that differ, weights of another length or that require a gradient,
            background out of -1..C-1, ignore_index out of 64 bits.
        RuntimeError: on the CPU, a label that is neither a class nor ignore_index (with its place), or a weight that is
            negative, infinite or NaN. On CUDA, where a check would wait for the device, such a label is a device-side
            assertion, as in torch's own losses, and weights are not checked.
        NativeCodeMissing: CUDA tensors, and sketchfast was built without CUDA kernels.
    """
    op = "soft_weighted_loss"
    number = background_number(op, background)
    ignored = label_number(op, "ignore_index", ignore_index)
    _check(op, logits, labels, class_weights, number)
    rule = (ignored, number, bool(soft))
    if _is_transformed(logits, class_weights):
        return _transformed(logits, labels, class_weights, *rule)
    with_gradient = torch.is_grad_enabled() and logits.requires_grad and logits.dtype != torch.float16
    return call("soft_weighted_loss", logits, labels, class_weights, *rule, with_gradient)[0]


def median_frequency_weights(
    label_maps: Tensor | Iterable[Tensor | np.ndarray],
    num_classes: int,
    ignore_index: int = 255,
    background: int | None = 0,
    background_gain: float = 1.0,
) -> Tensor:
    """alpha_i = M / phi_i of eqs. 9-10: phi_i = t_i / n_i, the pixels of class i by the images that contain it.

    M is the median of phi over the classes present, the background included; of an even number of them the mean of the two in
    the middle. A class that is never present gets weight 0 and a UserWarning.

    Args:
        label_maps: integer [N, H, W], or any iterable of integer [H, W] of different sizes (read once, one at a time).
        num_classes: C; every label is 0 to C - 1 or ignore_index.
        background_gain: factor on the weight of `background`; 2 gives L*_s of the paper.

    Returns:
        float32 [C] on the CPU.

    Raises:
        TypeError: label_maps cannot be iterated, a label map is not of integers, another argument is no number.
        ValueError: no label map at all, a wrong rank, a label out of range, a background out of range or a gain without one.
    """
    op = "median_frequency_weights"
    num_classes = label_number(op, "num_classes", num_classes)
    if num_classes < 1:
        raise ValueError(f"{op}: num_classes must be at least 1, found {num_classes}")
    ignore_index = label_number(op, "ignore_index", ignore_index)
    number = background_number(op, background)
    if not -1 <= number < num_classes:
        raise ValueError(
            f"{op}: background must be a class, 0 to {num_classes - 1}, None or -1, found {background}"
        )
    if not isinstance(background_gain, Real):
        raise TypeError(f"{op}: background_gain must be a number, found {background_gain!r}")
    if not (background_gain >= 0 and background_gain < float("inf")):
        raise ValueError(f"{op}: background_gain must be finite and not negative, found {background_gain}")
    if number < 0 and background_gain != 1:
        raise ValueError(f"{op}: background_gain must be 1 without a background, found {background_gain}")
    if isinstance(label_maps, Tensor | np.ndarray) and label_maps.ndim != 3:
        raise ValueError(
            f"{op}: label_maps must be [N, H, W] or an iterable of [H, W], found {list(label_maps.shape)}"
        )
    if isinstance(label_maps, str | bytes) or not isinstance(label_maps, Iterable):
        raise TypeError(
            f"{op}: label_maps must be integer [N, H, W] or an iterable of integer [H, W], "
            f"found {type(label_maps).__name__}"
        )
    pixels = torch.zeros(num_classes, dtype=torch.float64)
    images = torch.zeros(num_classes, dtype=torch.float64)
    index = -1
    for index, one in enumerate(label_maps):
        labels = _label_tensor(op, one, index)
        if labels.dtype not in LABELS:
            raise TypeError(f"{op}: label_maps must hold integers, found {labels.dtype} in map {index}")
        if labels.ndim != 2:
            raise ValueError(
                f"{op}: label_maps must be [N, H, W] or an iterable of [H, W], found {list(labels.shape)} as map {index}"
            )
        found = labels.long()
        found = found[found != ignore_index]
        if found.numel() and (found.min() < 0 or found.max() >= num_classes):
            wrong = found[(found < 0) | (found >= num_classes)][0].item()
            raise ValueError(
                f"{op}: label_maps must hold 0 to {num_classes - 1} or ignore_index ({ignore_index}), "
                f"found {wrong} in map {index}"
            )
        counts = torch.bincount(found, minlength=num_classes).cpu()
        pixels += counts
        images += counts > 0
    if index < 0:
        raise ValueError(f"{op}: label_maps must hold at least one label map, found none")
    present = images > 0
    weights = torch.zeros(num_classes, dtype=torch.float64)
    if present.any():
        phi = pixels[present] / images[present]
        weights[present] = phi.quantile(0.5) / phi
    if not present.all():
        absent = (~present).nonzero().flatten().tolist()
        warnings.warn(
            f"{op}: classes {absent} are in none of the {index + 1} label maps and get weight 0", stacklevel=2
        )
    if number >= 0:
        weights[number] *= background_gain
    return weights.float()


def label_number(op: str, name: str, value: Any) -> int:
    """`value` as an integer that the operators' 64 bits hold; TypeError or ValueError with the argument's name."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {name} must be an integer, found {value!r}") from None
    if number < -(2**63) or number >= 2**63:
        raise ValueError(f"{op}: {name} must be -2**63 to 2**63 - 1, found {number}")
    return number


def background_number(op: str, background: Any) -> int:
    """The operators' form of `background`, -1 for none; its range is the caller's to check."""
    if background is None:
        return -1
    return label_number(op, "background", background)


def _label_tensor(op: str, labels: Any, index: int) -> Tensor:
    if isinstance(labels, Tensor):
        return labels
    array = np.asarray(labels)
    if array.dtype.kind not in "iu":
        found = str(array.dtype) if isinstance(labels, np.ndarray) else type(labels).__name__
        raise TypeError(f"{op}: label_maps must hold integers, found {found} in map {index}")
    # A copy: torch takes no negative strides and no foreign byte order, and warns of read-only memory.
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))


def _check(op: str, logits: Tensor, labels: Tensor, class_weights: Tensor, background: int) -> None:
    for name, value in (("logits", logits), ("labels", labels), ("class_weights", class_weights)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{op}: {name} must be a torch.Tensor, found {type(value).__name__}")
    weight_dtypes = (torch.float32, torch.float64) if logits.dtype == torch.float64 else (torch.float32,)
    for name, value, dtypes, rank, shape in (
        ("logits", logits, LOGITS, 4, "[N, C, H, W]"),
        ("labels", labels, LABELS, 3, "[N, H, W]"),
        ("class_weights", class_weights, weight_dtypes, 1, "[C]"),
    ):
        if value.dtype not in dtypes:
            names = ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
            wanted = names if len(dtypes) == 1 else f"one of {names}"
            raise TypeError(f"{op}: {name} must be {wanted}, found {value.dtype}")
        if value.ndim != rank:
            raise ValueError(f"{op}: {name} must have shape {shape}, found {list(value.shape)}")
        if value.device != logits.device:
            raise ValueError(
                f"{op}: {name} must be on the device of logits, {logits.device}, found {value.device}"
            )
    n, num_classes, height, width = logits.shape
    if num_classes < 1:
        raise ValueError(f"{op}: logits must have at least one class, found {list(logits.shape)}")
    if labels.shape[0] != n or labels.shape[1] != height or labels.shape[2] != width:
        raise ValueError(
            f"{op}: labels must have shape [N, H, W] of logits {list(logits.shape)}, found {list(labels.shape)}"
        )
    if class_weights.shape[0] != num_classes:
        raise ValueError(
            f"{op}: class_weights must have one weight for each of the {num_classes} classes of logits, "
            f"found {class_weights.shape[0]}"
        )
    if background < -1 or background >= num_classes:
        raise ValueError(
            f"{op}: background must be a class, 0 to {num_classes - 1}, or -1 for none, found {background}"
        )


def _is_transformed(logits: Tensor, class_weights: Tensor) -> bool:
    """Under torch.func, or with a tangent of forward-mode AD: there an operator's registered gradient does not serve."""
    if torch._C._are_functorch_transforms_active():
        return True
    if torch.compiler.is_compiling():
        return False
    return any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in (logits, class_weights))


@torch.library.register_fake("sketchfast::soft_weighted_loss")
def _soft_weighted_loss_fake(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    ignore_index: int,
    background: int,
    soft: bool,
    with_gradient: bool,
) -> tuple[Tensor, Tensor]:
    _check("soft_weighted_loss", logits, labels, class_weights, background)
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    return logits.new_empty((), dtype=dtype), logits.new_empty(logits.shape if with_gradient else (0,))


@torch.library.register_fake("sketchfast::soft_weighted_loss_backward")
def _soft_weighted_loss_backward_fake(
    grad_output: Tensor,
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    ignore_index: int,
    background: int,
    soft: bool,
) -> Tensor:
    _check("soft_weighted_loss_backward", logits, labels, class_weights, background)
    return logits.new_empty(logits.shape)


@torch.library.register_fake("sketchfast::soft_weighted_loss_scale_")
def _soft_weighted_loss_scale_fake(gradient: Tensor, factor: Tensor) -> None:
    return None


@torch.compiler.disable  # dynamo leaves a custom jvp out without a word: the tangent would be 0
def _transformed(*arguments: Any) -> Tensor:
    return _TransformedLoss.apply(*arguments)[0]


_NO_SECOND_DERIVATIVE = "soft_weighted_loss has no second derivative: its gradient cannot be differentiated"
_CONSTANT_WEIGHTS = (
    "soft_weighted_loss: class_weights must not require a gradient; there is none for them (detach() them)"
)


class _NoSecondDerivative(torch.autograd.Function):
    """The gradient as it is, and a plain message for whoever differentiates it again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(gradient: Tensor, logits: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise RuntimeError(_NO_SECOND_DERIVATIVE)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Any:
        raise RuntimeError(_NO_SECOND_DERIVATIVE)


class _TransformedLoss(torch.autograd.Function):
    """(loss, its unscaled gradient) for torch.func and forward-mode AD: one gradient serves backward and jvp."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        logits: Tensor, labels: Tensor, class_weights: Tensor, ignore_index: int, background: int, soft: bool
    ) -> tuple[Tensor, Tensor]:
        # Widened, so that neither a factor nor a tangent meets a rounded gradient.
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return call("soft_weighted_loss", wide, labels, class_weights, ignore_index, background, soft, True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        if ctx.needs_input_grad[2]:
            raise ValueError(_CONSTANT_WEIGHTS)
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(output[1], inputs[0])
        ctx.save_for_forward(output[1], inputs[0])

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_loss is None:
            return (None,) * 6
        gradient, logits = ctx.saved_tensors
        gradient = _NoSecondDerivative.apply(gradient, logits)
        return (gradient * grad_loss).to(logits.dtype), *(None,) * 5

    @staticmethod
    def jvp(
        ctx: Any, logits_tangent: Tensor | None, _: Any, weights_tangent: Tensor | None, *rule: Any
    ) -> Any:
        if weights_tangent is not None:
            raise ValueError(_CONSTANT_WEIGHTS)
        if logits_tangent is None:
            return None, None
        gradient = _NoSecondDerivative.apply(*ctx.saved_tensors)
        return (gradient * logits_tangent).sum(), None


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    logits, labels, class_weights, *rule, with_gradient = inputs
    if ctx.needs_input_grad[2]:
        raise ValueError(_CONSTANT_WEIGHTS)
    gradient = output[1]
    ctx.mark_non_differentiable(gradient)
    ctx.set_materialize_grads(False)  # zeros for the second output would be as large as the logits
    ctx.save_for_backward(logits, labels, class_weights)
    ctx.rule = tuple(rule)
    # Owned, not saved: the first backward takes it out (csrc/DESIGN.md, "Who owns the gradient").
    ctx.writes_late = logits.dtype == torch.float16
    ctx.owned_gradient = [gradient.detach()] if with_gradient else []


def _saved(ctx: Any) -> list[Tensor]:
    return [tensor.detach() for tensor in ctx.saved_tensors]


def _backward(ctx: Any, grad_loss: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad_loss is None or not ctx.needs_input_grad[0]:
        return (None,) * 7
    factor = grad_loss.detach()
    # A graph that is being recorded must not depend on who came first; its tensors are of another type than eager ones.
    traced = torch.compiler.is_compiling() or type(factor) is not Tensor
    if ctx.writes_late or (traced and not ctx.owned_gradient):
        gradient = torch.ops.sketchfast.soft_weighted_loss_backward(factor, *_saved(ctx), *ctx.rule)
    else:
        try:
            gradient = ctx.owned_gradient.pop()
        except (
            IndexError
        ):  # a later backward through a retained graph; in two steps, for the bits of the first
            gradient = torch.ops.sketchfast.soft_weighted_loss(*_saved(ctx), *ctx.rule, True)[1]
        if traced:
            gradient = gradient * factor  # the compiler joins this to whatever reads the gradient
        else:
            torch.ops.sketchfast.soft_weighted_loss_scale_(gradient, factor)
    if torch.is_grad_enabled():  # create_graph=True
        gradient = _NoSecondDerivative.apply(gradient, ctx.saved_tensors[0])
    return gradient, *(None,) * 6


torch.library.register_autograd("sketchfast::soft_weighted_loss", _backward, setup_context=_setup_context)
