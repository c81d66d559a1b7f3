// The mean over NCHW: a channel is a plane, and all planes of an image share one sparse map of weights, in blocks of eight
// pixels (WeightBlocks). Included by landmark_pool_simd.h.
//
// A plane's last block may reach past its end, into the next plane: values read there meet weight 0, and what is written there
// the next plane, written later, puts right. Only the last planes of a task, whose blocks could leave it, go by parts of
// vectors (kWhole false). Values at weight 0 are masked, because 0 times infinity is no 0.
#pragma once

#include "landmark_pool_rows.h"

namespace sketchfast::cpu {
namespace {

constexpr int kStreams = 4;  // planes taken together, far from one another

// Planes whose last block still ends inside the task's planes.
template <class A>
int64_t whole_planes(const WeightBlocks<A>& blocks, int64_t plane, int64_t channels) {
  if (blocks.start.empty()) return channels;
  const int64_t past = blocks.start.back() + kBlockPixels - plane;  // pixels that a plane's last block leaves it by
  return past <= 0 ? channels : std::max<int64_t>(0, channels - (past + plane - 1) / plane);
}

// Values at count pixels of a block from its i-th; of a whole one, or of those before the plane's end.
template <class T>
SKETCHFAST_POOL_INLINE int64_t left_of(int64_t start, int64_t i, int64_t plane) {
  return std::min<int64_t>(std::max<int64_t>(plane - start - i, 0), kLanes<T>);
}

// Planes are taken kPlanes at a time, `apart` planes from one another.
template <int kPlanes, bool kWhole, class T>
SKETCHFAST_POOL_INLINE void sum_planes(const WeightBlocks<Accumulator<T>>& blocks, const T* planes, int64_t plane,
                                       int64_t apart, Accumulator<T>* sums) {
  Values<T> sum[kPlanes] = {};
  const Accumulator<T>* weights = blocks.weight.data();
  for (const int64_t start : blocks.start) {
    for (int64_t i = 0; i < kBlockPixels; i += kLanes<T>) {
      const Values<T> weight = whole<T>(weights + i);
      for (int c = 0; c < kPlanes; ++c) {
        const Values<T> values = load<kWhole>(planes + c * apart * plane + start + i, left_of<T>(start, i, plane));
        sum[c] += (weight != 0 ? values : Values<T>{}) * weight;
      }
    }
    weights += kBlockPixels;
  }
  for (int c = 0; c < kPlanes; ++c) sums[c * apart] = sum_of_lanes<T>(sum[c]);
}

template <class T>
SKETCHFAST_POOL_TARGET static void pool_planes(const PoolTask<T>& task, const WeightBlocks<Accumulator<T>>& blocks,
                                               Accumulator<T>* sums) {
  const int64_t plane = task.plane;
  const int64_t wholes = whole_planes(blocks, plane, task.channels);
  const int64_t apart = wholes / kStreams;
  for (int64_t c = 0; c < apart; ++c) {
    sum_planes<kStreams, true>(blocks, task.features + c * plane, plane, apart, sums + c);
  }
  int64_t c = kStreams * apart;
  for (; c < wholes; ++c) sum_planes<1, true>(blocks, task.features + c * plane, plane, 0, sums + c);
  for (; c < task.channels; ++c) sum_planes<1, false>(blocks, task.features + c * plane, plane, 0, sums + c);
}

template <bool kWhole, class T>
SKETCHFAST_POOL_INLINE void spread_plane(const WeightBlocks<Accumulator<T>>& blocks, Accumulator<T> grad, int64_t plane,
                                         T* to) {
  if (!blocks.all) std::memset(static_cast<void*>(to), 0, static_cast<size_t>(plane) * sizeof(T));
  const Accumulator<T>* weights = blocks.weight.data();
  for (const int64_t start : blocks.start) {
    for (int64_t i = 0; i < kBlockPixels; i += kLanes<T>) {
      const Values<T> weight = whole<T>(weights + i);
      const Values<T> product = weight != 0 ? weight * same_in_all<T>(grad) : Values<T>{};
      store<kWhole>(product, to + start + i, left_of<T>(start, i, plane));
    }
    weights += kBlockPixels;
  }
}

// grad: of the pooled vector, in the type of sums.
template <class T>
SKETCHFAST_POOL_TARGET static void spread_planes(const PoolTask<T>& task, const WeightBlocks<Accumulator<T>>& blocks,
                                                 const Accumulator<T>* grad, T* grad_features) {
  const int64_t wholes = whole_planes(blocks, task.plane, task.channels);
  for (int64_t c = 0; c < wholes; ++c) spread_plane<true>(blocks, grad[c], task.plane, grad_features + c * task.plane);
  for (int64_t c = wholes; c < task.channels; ++c) {
    spread_plane<false>(blocks, grad[c], task.plane, grad_features + c * task.plane);
  }
}

// products (+)= grad * plane at every pixel of the blocks, for kPlanes planes.
template <int kPlanes, bool kWhole, class T>
SKETCHFAST_POOL_INLINE void add_products(const WeightBlocks<Accumulator<T>>& blocks, const Accumulator<T>* grad,
                                         const T* planes, int64_t plane, int64_t apart, Accumulator<T>* products) {
  Values<T> factors[kPlanes];
  for (int c = 0; c < kPlanes; ++c) factors[c] = same_in_all<T>(grad[c * apart]);
  for (const int64_t start : blocks.start) {
    for (int64_t i = 0; i < kBlockPixels; i += kLanes<T>) {
      Values<T> sum = whole<T>(products + i);
      for (int c = 0; c < kPlanes; ++c) {
        const Values<T> values = load<kWhole>(planes + c * apart * plane + start + i, left_of<T>(start, i, plane));
        sum += values * factors[c];
      }
      keep<T>(sum, products + i);
    }
    products += kBlockPixels;
  }
}

template <class T>
SKETCHFAST_POOL_TARGET static void add_plane_dots(const PoolTask<T>& task, const WeightBlocks<Accumulator<T>>& blocks,
                                                  const Accumulator<T>* grad, Accumulator<T>* dots) {
  std::vector<Accumulator<T>> products(blocks.weight.size());
  const int64_t plane = task.plane;
  const int64_t wholes = whole_planes(blocks, plane, task.channels);
  const int64_t apart = wholes / kStreams;
  for (int64_t c = 0; c < apart; ++c) {
    add_products<kStreams, true>(blocks, grad + c, task.features + c * plane, plane, apart, products.data());
  }
  int64_t c = kStreams * apart;
  for (; c < wholes; ++c) {
    add_products<1, true>(blocks, grad + c, task.features + c * plane, plane, 0, products.data());
  }
  for (; c < task.channels; ++c) {
    add_products<1, false>(blocks, grad + c, task.features + c * plane, plane, 0, products.data());
  }
  for (size_t e = 0; e < blocks.at_entry.size(); ++e) dots[e] += products[blocks.at_entry[e]];
}

}  // namespace
}  // namespace sketchfast::cpu
