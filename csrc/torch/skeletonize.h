// What the CPU and the CUDA face of skeletonize and homogeneous_transform ask of their arguments.
#pragma once

#include <string>

#include "torch/check.h"

namespace sketchfast::torch_ops {

struct ImageBatch {
  int64_t num_images;
  int64_t height;
  int64_t width;
};

inline ImageBatch check_images(const Tensor& images, On device, const char* op) {
  STD_TORCH_CHECK(images.dim() == 2 || images.dim() == 3, op, ": images must have shape [H, W] or [N, H, W], found ",
                  shape_of(images));
  check_device(images, device, op, "images");
  const int64_t first = images.dim() - 2;
  return {first == 0 ? 1 : images.size(0), images.size(first), images.size(first + 1)};
}

inline void check_skeletonize_dtype(const Tensor& images) {
  STD_TORCH_CHECK(images.scalar_type() == ScalarType::Bool || images.scalar_type() == ScalarType::Byte,
                  "skeletonize: images must be bool or uint8, found ",
                  torch::headeronly::toString(images.scalar_type()));
}

// The place of the method in "skel", "thin", "zhang".
inline int check_method(const std::string& method) {
  constexpr const char* kNames[] = {"skel", "thin", "zhang"};
  for (int i = 0; i < 3; ++i) {
    if (method == kNames[i]) return i;
  }
  STD_TORCH_CHECK(false, "skeletonize: method must be 'skel', 'thin' or 'zhang', found '", method, "'");
}

inline void check_max_iter(int64_t max_iter) {
  STD_TORCH_CHECK(max_iter >= 1 || max_iter == -1,
                  "skeletonize: max_iter must be at least 1, or -1 for until nothing changes, found ", max_iter);
}

inline void check_threshold(int64_t threshold) {
  STD_TORCH_CHECK(threshold >= 0 && threshold <= 256, "homogeneous_transform: threshold must be 0 to 256, found ",
                  threshold);
}

}  // namespace sketchfast::torch_ops
