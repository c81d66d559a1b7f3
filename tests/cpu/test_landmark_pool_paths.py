"""Every instruction set's landmark pooling against the float64 definition: the operator itself only ever takes the widest."""

import ctypes

import pytest
import torch
from torch import Tensor

from sketchfast import reference
from tests.cpu.compiled_face import compiled_face

PATHS = {1: "portable", 2: "avx2"}  # cpu::PoolPath
# Of the largest value, and the type's number in the face.
DTYPES = {
    torch.float32: (0, 2e-6),
    torch.float64: (1, 1e-13),
    torch.bfloat16: (2, 8e-3),
    torch.float16: (3, 1e-3),
}
FACE = r"""
#include "cpu/landmark_pool.h"
using namespace sketchfast;
using namespace sketchfast::cpu;
template <class T>
static void run(int path, const void* x, const float* at, const PoolShape& shape, const void* g, void* y, void* gx,
                float* gp) {
  const auto which = static_cast<PoolPath>(path);
  landmark_pool(static_cast<const T*>(x), at, shape, static_cast<T*>(y), 2, which);
  landmark_pool_backward(static_cast<const T*>(g), static_cast<const T*>(x), at, shape, static_cast<T*>(gx), gp, 2, which);
}
extern "C" int available(int path) { return pool_path_available(static_cast<PoolPath>(path)); }
extern "C" void pool(int path, int dtype, const void* x, const float* at, const int64_t* s, int mean, int channels_last,
                     const void* g, void* y, void* gx, float* gp) {
  const PoolShape shape{s[0], s[1], s[2], s[3], s[4], mean != 0, channels_last != 0};
  const auto call = dtype == 0 ? run<float> : dtype == 1 ? run<double> : dtype == 2 ? run<BFloat16Bits> : run<Float16Bits>;
  call(path, x, at, shape, g, y, gx, gp);
}
"""


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    return compiled_face("landmark_pool", FACE)


def run(
    library: ctypes.CDLL, path: int, features: Tensor, points: Tensor, grad: Tensor, channels_last: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """features and their gradient contiguous, [N, H, W, C] with channels_last."""
    n, height, width, channels = features.shape if channels_last else features.permute(0, 2, 3, 1).shape
    sizes = torch.tensor([n, channels, height, width, points.shape[1]])
    out = torch.empty_like(grad), torch.empty_like(features), torch.empty_like(points)
    x, at, s, g, *results = (ctypes.c_void_p(t.data_ptr()) for t in (features, points, sizes, grad, *out))
    library.pool(
        path, DTYPES[features.dtype][0], x, at, s, int(grad.ndim == 2), int(channels_last), g, *results
    )
    return out


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("path", list(PATHS), ids=list(PATHS.values()))
def test_path(library: ctypes.CDLL, path: int, dtype: torch.dtype, seed: int) -> None:
    """Planes shorter than a vector, of whole vectors and with a rest; touched densely and sparsely; several runs of channels."""
    if not library.available(path):
        pytest.skip(f"this processor has no {PATHS[path]}")
    generator = torch.Generator().manual_seed(seed)
    for n, channels, height, width, count in [
        (2, 1, 1, 1, 2),
        (1, 9, 1, 3, 1),
        (2, 37, 2, 2, 5),
        (2, 70, 7, 7, 30),
        (1, 33, 8, 8, 60),
        (1, 21, 5, 13, 3),
        (1, 67, 31, 50, 12),
        (1, 130, 64, 64, 30),
    ]:
        for mean in (True, False):
            features = torch.randn(n, channels, height, width, generator=generator).to(dtype)
            points = (
                torch.rand(n, count, 2, generator=generator) * torch.tensor([width + 2, height + 2]) - 1.5
            )
            points[0, -1] = points[0, 0]
            grad = torch.randn((n, channels) if mean else (n, count, channels), generator=generator).to(dtype)
            exact = features.double().requires_grad_(), points.double().requires_grad_()
            value = reference.landmark_pool(*exact, "mean" if mean else "none")
            wanted = value.detach(), *torch.autograd.grad(value, exact, grad.double())
            for channels_last in (False, True):
                given = features.permute(0, 2, 3, 1).contiguous() if channels_last else features
                found = list(run(library, path, given, points, grad, channels_last))
                if channels_last:
                    found[1] = found[1].permute(0, 3, 1, 2)
                for one, other, tolerance in zip(
                    found, wanted, (DTYPES[dtype][1], DTYPES[dtype][1], 4e-6), strict=True
                ):
                    atol = tolerance * max(other.abs().max().item(), 1e-3)
                    torch.testing.assert_close(one.double(), other, rtol=0, atol=atol)
