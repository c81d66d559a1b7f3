// What skeletonize.cpp hands to a path, and the memory a thread keeps from image to image. Internal to csrc/cpu.
#pragma once

#include <cstdint>
#include <vector>

#include "skeletonize.h"

namespace sketchfast::cpu {

struct SkeletonTask {
  const uint8_t* images;
  int64_t num_images;
  int64_t height;
  int64_t width;
  // A pixel is stroke where (value <= limit) differs from `above`.
  uint8_t limit;
  bool above;
  SkeletonMethod method;
  int64_t max_iter;
  uint8_t* out;
  uint8_t stroke;  // the byte of a pixel that is left
  uint8_t ground;  // the byte of all others
};

// Thins the images of one task, one after the other.
using SkeletonKernel = void (*)(const SkeletonTask& task);

SkeletonKernel skeletonize_kernel_portable();
SkeletonKernel skeletonize_kernel_avx2();    // nullptr where it was not compiled
SkeletonKernel skeletonize_kernel_avx512();  // the same

}  // namespace sketchfast::cpu
