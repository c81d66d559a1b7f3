// What one call of a path's kernels gets: some channels of one image; see landmark_pool_simd.h.
#pragma once

#include "accumulator.h"
#include "landmark_pool_taps.h"

namespace sketchfast::cpu {

template <class T>
struct PoolTask {
  const TapMatrix<Accumulator<T>>& taps;
  const T* features;     // of the image, from the first channel of the task
  int64_t channels;      // of the task
  int64_t all_channels;  // from one pooled vector (and one pixel, channels_last) to the next
  int64_t plane;         // H * W
  bool mean;
  bool channels_last;
};

// PoolTask and the results; pooled, grad and the gradients begin at the first channel of the task as features do.
// dots[e] = sum over the task's channels of grad[row of e] * features[pixel of e], for each entry e of taps.
#define SKETCHFAST_DECLARE_POOL_PATH(path)                                                            \
  namespace path {                                                                                    \
  template <class T>                                                                                  \
  void pool(const PoolTask<T>& task, T* pooled);                                                      \
  template <class T>                                                                                  \
  void pool_backward(const PoolTask<T>& task, const T* grad, T* grad_features, Accumulator<T>* dots); \
  }
SKETCHFAST_DECLARE_POOL_PATH(pool_portable)
SKETCHFAST_DECLARE_POOL_PATH(pool_avx2)
#undef SKETCHFAST_DECLARE_POOL_PATH

}  // namespace sketchfast::cpu
