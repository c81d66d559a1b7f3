// The kernels of landmark pooling, included once by each path's file, which defines
//   SKETCHFAST_POOL_PATH    the namespace of the path
//   SKETCHFAST_POOL_TARGET  the attribute that lets its functions use wider instructions
//   SKETCHFAST_POOL_BYTES   the width of its vectors
//
// Three ways, all over the matrix of taps (landmark_pool_taps.h):
//   channels_last        rows of channels, as they lie                          landmark_pool_rows.h
//   NCHW, mean           planes, by blocks of eight pixels                      landmark_pool_planes.h
//   NCHW, without mean   touched pixels of 32 channels packed into rows that stay in the first-level cache, then as above
// Cost: touched features are read once forward and once for the gradient of the points; the gradient of the features is
// written once, its zeros included.
#include <algorithm>
#include <cstring>
#include <vector>

#include "landmark_pool_task.h"

#define SKETCHFAST_POOL_INLINE SKETCHFAST_POOL_TARGET static inline __attribute__((always_inline))
#define SKETCHFAST_VECTOR_INLINE SKETCHFAST_POOL_INLINE
#define SKETCHFAST_VECTOR_BYTES SKETCHFAST_POOL_BYTES
#include "float_vectors.h"
#include "landmark_pool_planes.h"
#include "landmark_pool_rows.h"

namespace sketchfast::cpu {
namespace {

constexpr int64_t kPackedChannels = 32;

// packed[t][c] = planes[c][touched[t]]
template <class T>
void pack(const std::vector<int32_t>& touched, const T* planes, int64_t plane, int64_t channels, T* packed) {
  for (int64_t c = 0; c < channels; ++c) {
    for (size_t t = 0; t < touched.size(); ++t) packed[t * kPackedChannels + c] = planes[c * plane + touched[t]];
  }
}
// The reverse, and zeros everywhere else.
template <class T>
void unpack(const std::vector<int32_t>& touched, const T* packed, int64_t plane, int64_t channels, T* planes) {
  for (int64_t c = 0; c < channels; ++c) {
    T* const to = planes + c * plane;
    std::memset(static_cast<void*>(to), 0, static_cast<size_t>(plane) * sizeof(T));
    for (size_t t = 0; t < touched.size(); ++t) to[touched[t]] = packed[t * kPackedChannels + c];
  }
}

template <class T>
SKETCHFAST_POOL_TARGET static void pool_packed(const PoolTask<T>& task, T* pooled) {
  std::vector<T> packed(task.taps.touched.size() * kPackedChannels);
  Accumulator<T> scratch[kPackedChannels];
  const Rows<const T> rows{packed.data(), kPackedChannels, task.taps.place.data()};
  for (int64_t c = 0; c < task.channels; c += kPackedChannels) {
    const int64_t here = std::min(kPackedChannels, task.channels - c);
    pack(task.taps.touched, task.features + c * task.plane, task.plane, here, packed.data());
    pool_rows(task, rows, here, scratch, pooled + c);
  }
}

template <class T>
SKETCHFAST_POOL_TARGET static void backward_packed(const PoolTask<T>& task, const T* grad, T* grad_features,
                                                   Accumulator<T>* dots) {
  const std::vector<int32_t>& touched = task.taps.touched;
  std::vector<T> packed(touched.size() * kPackedChannels);
  Accumulator<T> scratch[kPackedChannels];
  const Rows<const T> rows{packed.data(), kPackedChannels, task.taps.place.data()};
  for (int64_t c = 0; c < task.channels; c += kPackedChannels) {
    const int64_t here = std::min(kPackedChannels, task.channels - c);
    if (dots != nullptr) {
      pack(touched, task.features + c * task.plane, task.plane, here, packed.data());
      add_dots(task, grad + c, rows, here, dots);
    }
    if (grad_features != nullptr) {
      for (size_t t = 0; t < touched.size(); ++t) {
        spread_row(task, grad + c, static_cast<int64_t>(t), here, scratch, packed.data() + t * kPackedChannels);
      }
      unpack(touched, packed.data(), task.plane, here, grad_features + c * task.plane);
    }
  }
}

template <class T>
SKETCHFAST_POOL_TARGET static void spread_rows(const PoolTask<T>& task, const T* grad, T* grad_features) {
  std::vector<Accumulator<T>> scratch(static_cast<size_t>(task.channels));
  size_t t = 0;
  for (int64_t p = 0; p < task.plane; ++p) {
    T* const to = grad_features + p * task.all_channels;
    if (t < task.taps.touched.size() && task.taps.touched[t] == p) {
      spread_row(task, grad, static_cast<int64_t>(t++), task.channels, scratch.data(), to);
    } else {
      std::memset(static_cast<void*>(to), 0, static_cast<size_t>(task.channels) * sizeof(T));
    }
  }
}

}  // namespace

namespace SKETCHFAST_POOL_PATH {

template <class T>
SKETCHFAST_POOL_TARGET void pool(const PoolTask<T>& task, T* pooled) {
  if (!task.channels_last && !task.mean) return pool_packed(task, pooled);
  std::vector<Accumulator<T>> scratch(static_cast<size_t>(task.channels));
  if (task.channels_last) {
    const Rows<const T> rows{task.features, task.all_channels, task.taps.pixel.data()};
    return pool_rows(task, rows, task.channels, scratch.data(), pooled);
  }
  Accumulator<T>* const sums = sums_in(pooled, scratch.data());
  pool_planes(task, weight_blocks(task.taps, task.plane), sums);
  round_row(sums, task.channels, pooled);
}

template <class T>
SKETCHFAST_POOL_TARGET void pool_backward(const PoolTask<T>& task, const T* grad, T* grad_features,
                                          Accumulator<T>* dots) {
  if (task.channels_last) {
    const Rows<const T> rows{task.features, task.all_channels, task.taps.pixel.data()};
    if (dots != nullptr) add_dots(task, grad, rows, task.channels, dots);
    if (grad_features != nullptr) spread_rows(task, grad, grad_features);
    return;
  }
  if (!task.mean) return backward_packed(task, grad, grad_features, dots);
  const auto blocks = weight_blocks(task.taps, task.plane);
  std::vector<Accumulator<T>> wide(static_cast<size_t>(task.channels));
  widen_row(grad, task.channels, wide.data());
  if (dots != nullptr) add_plane_dots(task, blocks, wide.data(), dots);
  if (grad_features != nullptr) spread_planes(task, blocks, wide.data(), grad_features);
}

#define SKETCHFAST_POOL_OF(T)                    \
  template void pool<T>(const PoolTask<T>&, T*); \
  template void pool_backward<T>(const PoolTask<T>&, const T*, T*, Accumulator<T>*);
SKETCHFAST_POOL_OF(float)
SKETCHFAST_POOL_OF(double)
SKETCHFAST_POOL_OF(BFloat16Bits)
SKETCHFAST_POOL_OF(Float16Bits)
#undef SKETCHFAST_POOL_OF

}  // namespace SKETCHFAST_POOL_PATH

}  // namespace sketchfast::cpu
