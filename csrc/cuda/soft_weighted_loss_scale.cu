// values *= factor, where the factor is known on the device only: what backward does to a gradient that forward wrote.
// Cost: nothing where the factor is 1 (a loss that is not scaled any further), else reading and writing the values once.
//
// Compiled, and run through the CPU emulation of tests/cuda; not yet executed on a GPU.
#include "soft_weighted_loss_values.h"

namespace sketchfast::cuda {
namespace {

constexpr int kScaleThreads = 256;

template <class T, int V, class F>
__global__ void __launch_bounds__(kScaleThreads)
    scale_values(T* __restrict__ values, int64_t count, const F* __restrict__ factor) {
  using A = typename Arithmetic<T>::type;
  const F by = *factor;
  if (by == F{1}) return;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kScaleThreads + threadIdx.x;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kScaleThreads;
  Pack<T, V>* packs = reinterpret_cast<Pack<T, V>*>(values);
  for (int64_t i = first; i < count / V; i += stride) {
    Pack<T, V> pack = packs[i];
#pragma unroll
    for (int v = 0; v < V; ++v) pack.values[v] = narrowed<T>(widened(pack.values[v]) * static_cast<A>(by));
    packs[i] = pack;
  }
  for (int64_t i = count / V * V + first; i < count; i += stride) {
    values[i] = narrowed<T>(widened(values[i]) * static_cast<A>(by));
  }
}

}  // namespace

template <class T, class F>
cudaError_t scale(T* values, int64_t count, const F* factor, cudaStream_t stream) {
  if (count < 0) return cudaErrorInvalidValue;
  if (count == 0) return cudaSuccess;
  constexpr int kVector = kVectorBytes / sizeof(T);
  const bool aligned = reinterpret_cast<uintptr_t>(values) % kVectorBytes == 0;
  const int64_t blocks = ceil_div(count, (aligned ? kVector : 1) * kScaleThreads);
  return launch(aligned ? scale_values<T, kVector, F> : scale_values<T, 1, F>, grid_stride_blocks(blocks),
                kScaleThreads, 0, stream, values, count, factor);
}

template cudaError_t scale(float*, int64_t, const float*, cudaStream_t);
template cudaError_t scale(float*, int64_t, const double*, cudaStream_t);
template cudaError_t scale(double*, int64_t, const float*, cudaStream_t);
template cudaError_t scale(double*, int64_t, const double*, cudaStream_t);
template cudaError_t scale(BFloat16Bits*, int64_t, const float*, cudaStream_t);
template cudaError_t scale(BFloat16Bits*, int64_t, const double*, cudaStream_t);

}  // namespace sketchfast::cuda
