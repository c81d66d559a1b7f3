// The soft-weighted loss and its gradient on a CUDA device, over raw device pointers and a stream; the arithmetic of one
// pixel is in math/soft_weighted_loss.h.
//
// Logits and gradient are contiguous [N, C, H, W], labels [N, H, W], class weights [C] (float; double for double logits).
// Planes of a multiple of 16 bytes at 16-byte alignment are read fastest; nothing depends on it. Every function only
// enqueues work on the stream: no allocation, no synchronisation, so a CUDA graph can capture it. The device that owns the
// pointers must be the current one. Returns the first error of a launch; wrong sizes give cudaErrorInvalidValue. The same
// sizes give the same bits in every run.
//
// A label that is neither 0..C-1 nor ignore_index stops the kernel with a device-side assertion, as torch's own losses do:
// the next call that waits for the device returns cudaErrorAssert. It is never used as an index.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "../math/soft_weighted_loss.h"
#include "arithmetic.h"

namespace sketchfast::cuda {

constexpr int64_t kMaxLossClasses = 32767;  // a class is kept in 16 bits between the kernels

struct LossShape {
  int64_t batch;
  int64_t classes;
  int64_t height;
  int64_t width;
};

struct LossRule {
  int64_t ignore_index;
  int64_t background;  // -1: there is none
  bool soft;           // false: lambda is one-hot everywhere
};

// What may be tuned for a device; it touches the result by the order of sums in double alone. (Defaults derived for an
// H200, not yet measured.)
struct LossTuning {
  int64_t staged_bytes = 24 * 1024;  // logits that a block keeps in shared memory; about nine blocks then share an SM
  int64_t most_staged_bytes = 80 * 1024;  // where one warp's logits take more, the gradient reads them a second time
  int64_t most_blocks = 16384;            // of a launch, at most 16384; more tiles go round by round
};

// Bytes of device memory that a call needs. The memory must be 16-byte aligned, may hold anything, and is free again once
// the stream has passed the call.
size_t soft_weighted_loss_workspace(const LossShape& shape);

// loss [] = sum_p loss_p / sum_p alpha_{i_p}, 0 where the denominator is 0; null: not wanted.
// gradient = *factor * d loss / d logits, rounded once; null: not wanted. factor is on the device, null: 1.
// T: float, double, BFloat16Bits, Float16Bits. Label: uint8_t, int8_t, int16_t, int32_t, int64_t.
template <class T, class Label>
cudaError_t soft_weighted_loss(const T* logits, const Label* labels, const typename Arithmetic<T>::type* class_weights,
                               const LossShape& shape, const LossRule& rule, const typename Arithmetic<T>::type* factor,
                               typename Arithmetic<T>::type* loss, T* gradient, void* workspace, cudaStream_t stream,
                               const LossTuning& tuning = {});

// values *= *factor, rounded once; touches no value where the factor is 1. T: float, double, BFloat16Bits (a float16
// gradient is better computed with its factor: without, its small numbers are lost). F: float, double.
template <class T, class F>
cudaError_t scale(T* values, int64_t count, const F* factor, cudaStream_t stream);

}  // namespace sketchfast::cuda
