// Landmark pooling over rows: the channels of a pixel lie one behind the other (channels_last, or packed so for a while).
// Included by landmark_pool_simd.h.
//
// A pooled vector is a weighted sum of rows, four at a time, so that several streams of memory are read at once; the gradient
// of a row is the sum of outer products that meet there, written once; a dot product has four sums.
#pragma once

#include "landmark_pool_task.h"

namespace sketchfast::cpu {
namespace {

template <class T>
SKETCHFAST_POOL_INLINE Values<T> same_in_all(Accumulator<T> value) {
  return Values<T>{} + value;
}

// The sum of the lanes, by halves.
template <class T>
SKETCHFAST_POOL_INLINE Accumulator<T> sum_of_lanes(Values<T> values) {
  Accumulator<T> parts[kLanes<T>];
  std::memcpy(parts, &values, sizeof(parts));
  for (int64_t half = kLanes<T> / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) parts[i] += parts[i + half];
  }
  return parts[0];
}

// sums (+)= sum of weight * row
template <int kRows, bool kWhole, class T>
SKETCHFAST_POOL_INLINE void combine_at(const T* const* rows, const Accumulator<T>* weights, bool first, int64_t i,
                                       int64_t count, Accumulator<T>* sums) {
  Values<T> sum = first ? Values<T>{} : load<kWhole>(sums + i, count - i);
  for (int k = 0; k < kRows; ++k) sum += load<kWhole>(rows[k] + i, count - i) * same_in_all<T>(weights[k]);
  store<kWhole>(sum, sums + i, count - i);
}
template <int kRows, class T>
SKETCHFAST_POOL_TARGET static void combine(const T* const* rows, const Accumulator<T>* weights, bool first,
                                           int64_t count, Accumulator<T>* sums) {
  const int64_t wholes = count / kLanes<T> * kLanes<T>;
  for (int64_t i = 0; i < wholes; i += kLanes<T>) combine_at<kRows, true>(rows, weights, first, i, count, sums);
  if (wholes < count) combine_at<kRows, false>(rows, weights, first, wholes, count, sums);
}

// Rounds sums to the type of the features; nothing to do where they were taken in place.
template <class T>
SKETCHFAST_POOL_TARGET static void round_row(const Accumulator<T>* sums, int64_t count, T* to) {
  if (static_cast<const void*>(sums) == static_cast<void*>(to)) return;
  const int64_t wholes = count / kLanes<T> * kLanes<T>;
  for (int64_t i = 0; i < wholes; i += kLanes<T>) store<true>(whole<T>(sums + i), to + i, count - i);
  if (wholes < count) store<false>(load<false>(sums + wholes, count - wholes), to + wholes, count - wholes);
}
template <class T>
SKETCHFAST_POOL_TARGET static void widen_row(const T* from, int64_t count, Accumulator<T>* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = load<false>(from + i, 1)[0];
}
// Where a row's sums are taken: in place, or in scratch for 16-bit types.
inline float* sums_in(float* to, float*) { return to; }
inline double* sums_in(double* to, double*) { return to; }
template <class Half>
float* sums_in(Half*, float* scratch) {
  return scratch;
}

// to = sum over the entries e of weight * row_of(e), in their order; zeros without entries.
template <class T, class RowOf>
SKETCHFAST_POOL_TARGET static void combine_entries(int64_t entries, const RowOf& row_of, int64_t count,
                                                   Accumulator<T>* scratch, T* to) {
  if (entries == 0) {
    std::memset(static_cast<void*>(to), 0, static_cast<size_t>(count) * sizeof(T));
    return;
  }
  Accumulator<T>* const sums = sums_in(to, scratch);
  const T* rows[4];
  Accumulator<T> weights[4];
  int64_t e = 0;
  for (; e + 4 <= entries; e += 4) {
    for (int k = 0; k < 4; ++k) rows[k] = row_of(e + k, weights + k);
    combine<4, T>(rows, weights, e == 0, count, sums);
  }
  for (; e < entries; ++e) {
    rows[0] = row_of(e, weights);
    combine<1, T>(rows, weights, e == 0, count, sums);
  }
  round_row(sums, count, to);
}

template <class T>
SKETCHFAST_POOL_TARGET static Accumulator<T> dot(const T* a, const T* b, int64_t count) {
  constexpr int64_t step = kLanes<T>;
  Values<T> sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * step <= count; i += 4 * step) {
    for (int k = 0; k < 4; ++k) sums[k] += load<true>(a + i + k * step, step) * load<true>(b + i + k * step, step);
  }
  for (; i + step <= count; i += step) sums[0] += load<true>(a + i, step) * load<true>(b + i, step);
  if (i < count) sums[0] += load<false>(a + i, count - i) * load<false>(b + i, count - i);
  return sum_of_lanes<T>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// Rows of features (or of their gradient): that of an entry begins at first + number[entry] * stride.
template <class T>
struct Rows {
  T* first;
  int64_t stride;
  const int32_t* number;
};

template <class T>
SKETCHFAST_POOL_TARGET static void pool_rows(const PoolTask<T>& task, const Rows<const T>& features, int64_t channels,
                                             Accumulator<T>* scratch, T* pooled) {
  const auto& taps = task.taps;
  for (int64_t r = 0; r < taps.rows; ++r) {
    const int64_t from = taps.begin[r];
    const auto row_of = [&](int64_t e, Accumulator<T>* weight) {
      *weight = taps.weight[from + e];
      return features.first + features.number[from + e] * features.stride;
    };
    combine_entries<T>(taps.begin[r + 1] - from, row_of, channels, scratch, pooled + r * task.all_channels);
  }
}

// The gradient of the features at the t-th touched pixel.
template <class T>
SKETCHFAST_POOL_TARGET static void spread_row(const PoolTask<T>& task, const T* grad, int64_t t, int64_t channels,
                                              Accumulator<T>* scratch, T* to) {
  const auto& taps = task.taps;
  const int64_t from = taps.column_begin[t];
  const auto row_of = [&](int64_t i, Accumulator<T>* weight) {
    const int32_t e = taps.column_entry[from + i];
    *weight = taps.weight[e];
    return grad + taps.row[e] * task.all_channels;
  };
  combine_entries<T>(taps.column_begin[t + 1] - from, row_of, channels, scratch, to);
}

template <class T>
SKETCHFAST_POOL_TARGET static void add_dots(const PoolTask<T>& task, const T* grad, const Rows<const T>& features,
                                            int64_t channels, Accumulator<T>* dots) {
  const auto& taps = task.taps;
  for (size_t e = 0; e < taps.pixel.size(); ++e) {
    dots[e] +=
        dot(grad + taps.row[e] * task.all_channels, features.first + features.number[e] * features.stride, channels);
  }
}

}  // namespace
}  // namespace sketchfast::cpu
