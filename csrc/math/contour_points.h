// Limits of contour_points and the distance it compares, for host and device.
//
//   d((x, y), (x', y')) = (x - x')^2 + (y - y')^2     an integer below 2^31, so that equal distances are equal
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define SKETCHFAST_CONTOUR_INLINE __host__ __device__ __forceinline__
#else
#define SKETCHFAST_CONTOUR_INLINE inline
#endif

namespace sketchfast::contour {

constexpr int64_t kMaxPoints = 4096;
constexpr int64_t kMaxSide = 32767;  // 2 * 32766^2 < 2^31

SKETCHFAST_CONTOUR_INLINE int32_t squared_distance(int32_t x0, int32_t y0, int32_t x1, int32_t y1) {
  return (x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0);
}

}  // namespace sketchfast::contour
