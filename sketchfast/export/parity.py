"""Does the exported graph compute what the model computes? Golden inputs, tolerances and the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.preprocess import Preprocess

#: Largest absolute difference of an fp32 embedding or weight that passes.
FP32_ATOL = 1e-4
#: A code bit may differ only where the value under it is within this many largest errors of zero.
BIT_MARGIN = 5.0


class ExportParityError(RuntimeError):
    """The exported graph does not reproduce the torch model; the rejected files are kept for inspection."""


@dataclass
class ParityCase:
    """One comparison: an encoder at one batch size."""

    encoder: str
    batch: int
    max_abs_error: float
    mean_abs_error: float
    min_cosine: float
    bits_compared: int = 0
    bits_flipped: int = 0
    bits_flipped_outside_margin: int = 0
    passed: bool = True
    reason: str = ""


@dataclass
class ParityReport:
    """Every comparison made for one export; ``parity.json`` holds :meth:`to_dict`."""

    precision: str
    atol: float
    cases: list[ParityCase] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """True when there was at least one comparison and none failed."""
        return bool(self.cases) and all(case.passed for case in self.cases)

    @property
    def max_abs_error(self) -> float:
        """Largest absolute difference of any embedding or weight."""
        return max((case.max_abs_error for case in self.cases), default=float("nan"))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"passed": self.passed, **asdict(self)}

    def summary(self) -> str:
        """One line for people."""
        flips = sum(case.bits_flipped for case in self.cases)
        bits = sum(case.bits_compared for case in self.cases)
        codes = f", {flips} of {bits} code bits differ" if bits else ""
        batches = sorted({case.batch for case in self.cases})
        verdict = "passed" if self.passed else "FAILED"
        return (
            f"parity {verdict}: largest error {self.max_abs_error:.2e} (gate {self.atol:.0e}){codes}; "
            f"batches {batches}, {len(self.cases)} comparisons"
        )


@cache
def golden_images(encoder: str, size: int = 256) -> list[NDArray[np.uint8]]:
    """Images to compare an encoder on, uint8 [size, size, 3]: the synthetic world's, plus blank, one dot and a full canvas.

    Photos for "photo", sketches for the others; as many of both. The list is shared: it is not to be changed.
    """
    from ..data import synthetic

    styles = range(3)
    images = []
    for position, category in enumerate(synthetic.CATEGORIES[:9]):
        instance = synthetic.instance(category, index=position, seed=7)
        photo = encoder == "photo"
        images.append(
            instance.photo(size=size) if photo else instance.sketch(styles[position % len(styles)], size=size)
        )
    blank = np.full((size, size, 3), 255, np.uint8)
    dot = blank.copy()
    dot[size // 2, size // 2] = 0
    full = np.zeros_like(blank)
    return [*images, blank, dot, full]


def golden_batch(
    images: list[NDArray[np.uint8]], preprocess: Preprocess, batch: int, *, sketch: bool
) -> NDArray[np.float32]:
    """The first ``batch`` golden images, repeated in order when there are fewer, preprocessed to [B, 3, S, S]."""
    return np.stack([preprocess(images[index % len(images)], sketch=sketch) for index in range(batch)])


def compare(
    encoder: str,
    reference: Callable[[NDArray[np.float32]], dict[str, NDArray[Any]]],
    exported: Callable[[NDArray[np.float32]], dict[str, NDArray[Any]]],
    batch: NDArray[np.float32],
    *,
    output: str = "embedding",
    atol: float = FP32_ATOL,
    code_values: Callable[[NDArray[np.float32]], NDArray[np.float64]] | None = None,
) -> ParityCase:
    """Compares one encoder on one batch.

    Args:
        encoder: name for the report.
        reference: the torch model; returns ``output`` float32 [B, ...] and, with codes, "code" uint8 [B, bits/8].
        exported: the graph under test; the same outputs.
        batch: float32 [B, 3, S, S].
        output: the output of real numbers, "embedding" or "weights".
        atol: gate on its largest absolute difference.
        code_values: values under the code bits from an embedding, [B, bits]; needed when there are codes.

    Returns:
        The verdict; ``passed`` is False with a ``reason`` when a gate is missed.
    """
    want, got = reference(batch), exported(batch)
    a, b = want[output].astype(np.float64), got[output].astype(np.float64)
    if a.shape != b.shape:
        return ParityCase(
            encoder,
            len(batch),
            np.inf,
            np.inf,
            0.0,
            passed=False,
            reason=f"shape {b.shape}, expected {a.shape}",
        )
    error = np.abs(a - b)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    cosine = float(((a * b).sum(-1) / np.maximum(norms, 1e-30)).min())
    case = ParityCase(encoder, len(batch), float(error.max()), float(error.mean()), cosine)
    if not np.isfinite(error).all():
        case.passed, case.reason = False, "not finite"
    elif case.max_abs_error > atol:
        case.passed, case.reason = False, f"{output} differs by {case.max_abs_error:.3e}, gate {atol:.0e}"
    if "code" in want:
        assert code_values is not None
        values, exported_values = code_values(want[output]), code_values(got[output])
        largest = float(np.abs(values - exported_values).max())
        margin = BIT_MARGIN * max(largest, float(np.finfo(np.float32).tiny))
        flipped = np.unpackbits(want["code"] ^ got["code"], axis=1, bitorder="little").astype(bool)
        case.bits_compared, case.bits_flipped = int(flipped.size), int(flipped.sum())
        case.bits_flipped_outside_margin = int((flipped & (np.abs(values) > margin)).sum())
        if case.bits_flipped_outside_margin and case.passed:
            case.passed = False
            count = case.bits_flipped_outside_margin
            case.reason = f"{count} code bits differ although their value is further than {margin:.1e} from 0"
    return case
