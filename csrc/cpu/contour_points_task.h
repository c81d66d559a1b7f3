// What contour_points.cpp hands to a path, and the memory a thread keeps from image to image. Internal to csrc/cpu.
#pragma once

#include <cstdint>
#include <vector>

namespace sketchfast::cpu {

// Neighbours in row-major order that are updated or left alone together.
struct PixelBlock {
  int32_t left, right, top, bottom;
  int32_t farthest;  // the largest of its pixels' distances
};

struct ContourMemory {
  std::vector<int32_t> pixels;     // x | y << 16, row-major, filled up to whole blocks
  std::vector<int32_t> distances;  // squared, to the nearest point chosen so far
  std::vector<PixelBlock> blocks;
};

constexpr int64_t kSkeletonSlack = 64;  // bytes that may be read behind a skeleton

// skeleton [height, width] of 0 and 1 -> points [n, 2]. False, and nothing written, where it is blank.
using ContourKernel = bool (*)(const uint8_t* skeleton, int64_t height, int64_t width, int64_t n, ContourMemory& memory,
                               int32_t* points);

ContourKernel contour_kernel_portable();
ContourKernel contour_kernel_avx2();    // nullptr where it was not compiled
ContourKernel contour_kernel_avx512();  // the same

}  // namespace sketchfast::cpu
