// Landmark pooling and its gradients on the CPU, over raw pointers; the taps of a point are in math/landmark_pool.h.
//
// Pooled vectors and their gradient are contiguous, [N, C] for the mean and [N, L, C] without it; points and their gradient
// [N, L, 2]; features and their gradient [N, C, H, W] in one of two orders of memory. Sums are float32 (float64 for float64)
// and rounded once. Each path gives the same bits in every run and from any number of threads; paths differ by rounding.
// num_threads <= 0 means every core. Callers check their arguments; a NaN point counts as outside the map.
#pragma once

#include <cstdint>

#include "../math/landmark_pool.h"

namespace sketchfast::cpu {

enum class PoolPath { automatic, portable, avx2 };

bool pool_path_available(PoolPath path);

struct PoolShape {
  int64_t images;
  int64_t channels;
  int64_t height;
  int64_t width;
  int64_t points;  // of each image, at least 1
  bool mean;
  bool channels_last;  // features lie as [N, H, W, C]
};

// The place of the first NaN among count coordinates, -1 without one. P: float, double.
template <class P>
int64_t first_nan(const P* coordinates, int64_t count);

// T: float, double, BFloat16Bits, Float16Bits. P: float, double.
template <class T, class P>
void landmark_pool(const T* features, const P* points, const PoolShape& shape, T* pooled, int num_threads,
                   PoolPath path = PoolPath::automatic);

// grad: of the pooled vectors. Either result may be nullptr; without grad_points the features are not read.
template <class T, class P>
void landmark_pool_backward(const T* grad, const T* features, const P* points, const PoolShape& shape, T* grad_features,
                            P* grad_points, int num_threads, PoolPath path = PoolPath::automatic);

}  // namespace sketchfast::cpu
