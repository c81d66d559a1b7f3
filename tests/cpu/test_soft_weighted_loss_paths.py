"""Every instruction set's soft-weighted loss against the float64 definition: the operator itself only ever takes the widest."""

import ctypes

import pytest
import torch
from torch import Tensor

from sketchfast import reference
from tests.cpu.compiled_face import compiled_face

PATHS = {1: "portable", 2: "avx2", 3: "avx512"}  # cpu::LossPath
# Of the value and of the largest gradient, and the type's number in the face.
DTYPES = {
    torch.float32: (0, 3e-6),
    torch.float64: (1, 1e-12),
    torch.bfloat16: (2, 4e-3),
    torch.float16: (3, 5e-4),
}
FACE = r"""
#include "cpu/soft_weighted_loss.h"
using namespace sketchfast;
using namespace sketchfast::cpu;
template <class T>
static double run(int path, const void* x, const int64_t* y, const LossShape& shape, const LossRule& rule, void* gradient) {
  const LabelWeight weight = label_weight(y, shape, rule, 1);
  return soft_weighted_loss(static_cast<const T*>(x), y, shape, rule, weight.total, 1.0, static_cast<T*>(gradient), 2,
                            static_cast<LossPath>(path));
}
extern "C" int available(int path) { return loss_path_available(static_cast<LossPath>(path)); }
extern "C" double loss(int path, int dtype, const void* x, const int64_t* y, const int64_t* sizes, const double* alpha,
                       int64_t ignore_index, int64_t background, void* gradient) {
  const LossShape shape{sizes[0], sizes[1], sizes[2], sizes[3]};
  const LossRule rule{std::vector<double>(alpha, alpha + sizes[1]), ignore_index, background, true};
  if (dtype == 0) return run<float>(path, x, y, shape, rule, gradient);
  if (dtype == 1) return run<double>(path, x, y, shape, rule, gradient);
  if (dtype == 2) return run<BFloat16Bits>(path, x, y, shape, rule, gradient);
  return run<Float16Bits>(path, x, y, shape, rule, gradient);
}
"""


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    loaded = compiled_face("soft_weighted_loss", FACE)
    loaded.loss.restype = ctypes.c_double
    return loaded


def run(
    library: ctypes.CDLL, path: int, logits: Tensor, labels: Tensor, alpha: Tensor
) -> tuple[float, Tensor]:
    gradient, shape = torch.empty_like(logits), torch.tensor(logits.shape)
    tensors = (logits, labels, shape, alpha, gradient)
    x, y, sizes, weights, out = (ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors)
    number = DTYPES[logits.dtype][0]
    value = library.loss(path, number, x, y, sizes, weights, ctypes.c_int64(255), ctypes.c_int64(0), out)
    alone = library.loss(path, number, x, y, sizes, weights, ctypes.c_int64(255), ctypes.c_int64(0), None)
    assert value == alone
    return value, gradient


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("path", list(PATHS), ids=list(PATHS.values()))
def test_path(library: ctypes.CDLL, path: int, dtype: torch.dtype, seed: int) -> None:
    """Widths around every vector length, one pixel to several blocks; logits from tiny differences to a thousand."""
    if not library.available(path):
        pytest.skip(f"this processor has no {PATHS[path]}")
    generator = torch.Generator().manual_seed(seed)
    for case, (n, classes, height, width) in enumerate(
        [
            (1, 2, 1, 1),
            (1, 3, 1, 7),
            (2, 5, 1, 15),
            (1, 5, 3, 17),
            (2, 12, 20, 33),
            (1, 64, 9, 31),
            (1, 300, 2, 9),
        ]
    ):
        spread = (0.01, 3.0, 30.0, 300.0)[case % 4]
        logits = (spread * torch.randn(n, classes, height, width, generator=generator)).to(dtype)
        labels = torch.randint(0, classes, (n, height, width), generator=generator)
        labels[torch.rand(labels.shape, generator=generator) < 0.2] = 255
        labels[0, 0, 0] = 1
        alpha = (torch.rand(classes, generator=generator) + 0.1).double()
        exact = logits.double().requires_grad_()
        expected = reference.soft_weighted_loss(exact, labels, alpha)
        (gradient,) = torch.autograd.grad(expected, exact)
        value, found = run(library, path, logits, labels, alpha)
        tolerance = DTYPES[dtype][1]
        summed = DTYPES[torch.float64 if dtype == torch.float64 else torch.float32][1]
        assert value == pytest.approx(expected.item(), rel=summed, abs=summed)
        grain = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
        largest = gradient.abs().max().item()
        torch.testing.assert_close(found.double(), gradient, rtol=0, atol=tolerance * largest + grain)
