// What the CPU and the CUDA face of contour_points ask of their arguments.
#pragma once

#include <vector>

#include "math/contour_points.h"
#include "torch/check.h"
#include "torch/skeletonize.h"

namespace sketchfast::torch_ops {

inline ImageBatch check_contour_points(const Tensor& images, int64_t n, On device) {
  const ImageBatch batch = check_images(images, device, "contour_points");
  STD_TORCH_CHECK(images.scalar_type() == ScalarType::Bool || images.scalar_type() == ScalarType::Byte,
                  "contour_points: images must be bool or uint8, found ",
                  torch::headeronly::toString(images.scalar_type()));
  STD_TORCH_CHECK(
      batch.height >= 1 && batch.height <= contour::kMaxSide && batch.width >= 1 && batch.width <= contour::kMaxSide,
      "contour_points: images must have sides of 1 to ", contour::kMaxSide, " pixels, found ", shape_of(images));
  STD_TORCH_CHECK(n >= 1 && n <= contour::kMaxPoints, "contour_points: n must be an integer 1 to ", contour::kMaxPoints,
                  ", found ", n);
  return batch;
}

// Shapes of the results: points int32 [N, n, 2] and valid bool [N]; of one image [n, 2] and [].
struct ContourShapes {
  std::vector<int64_t> points;
  std::vector<int64_t> valid;
};

inline ContourShapes contour_shapes(const Tensor& images, int64_t n) {
  if (images.dim() == 2) return {{n, 2}, {}};
  return {{images.size(0), n, 2}, {images.size(0)}};
}

}  // namespace sketchfast::torch_ops
