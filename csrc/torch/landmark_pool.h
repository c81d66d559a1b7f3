// What the CPU and the CUDA face of landmark_pool ask of their arguments.
#pragma once

#include <string>
#include <vector>

#include "math/landmark_pool.h"
#include "torch/check.h"

namespace sketchfast::torch_ops {

struct PoolArguments {
  int64_t images;
  int64_t channels;
  int64_t height;
  int64_t width;
  int64_t points;  // of each image
  bool mean;       // false: "none", a vector for each point
};

inline bool is_feature_dtype(ScalarType dtype) {
  return dtype == ScalarType::Float || dtype == ScalarType::Double || dtype == ScalarType::Half ||
         dtype == ScalarType::BFloat16;
}

// Everything but the values of the points.
inline PoolArguments check_landmark_pool(const Tensor& features, const Tensor& points, const std::string& reduce,
                                         On device, const char* op) {
  check_rank(features, 4, op, "features", "[N, C, H, W]");
  check_rank(points, 3, op, "points", "[N, L, 2]");
  STD_TORCH_CHECK(is_feature_dtype(features.scalar_type()), op,
                  ": features must be float32, float64, float16 or bfloat16, found ",
                  torch::headeronly::toString(features.scalar_type()));
  STD_TORCH_CHECK(points.scalar_type() == ScalarType::Float || points.scalar_type() == ScalarType::Double, op,
                  ": points must be float32 or float64, found ", torch::headeronly::toString(points.scalar_type()));
  STD_TORCH_CHECK(points.size(0) == features.size(0) && points.size(1) >= 1 && points.size(2) == 2, op,
                  ": points must have shape [", features.size(0), ", L, 2] with L >= 1 for features ",
                  shape_of(features), ", found ", shape_of(points));
  const int64_t height = features.size(2);
  const int64_t width = features.size(3);
  STD_TORCH_CHECK(height >= 1 && width >= 1 && height <= kMostMapPixels / width, op,
                  ": features must have maps of 1 to ", kMostMapPixels, " pixels, found ", shape_of(features));
  STD_TORCH_CHECK(reduce == "mean" || reduce == "none", op, ": reduce must be 'mean' or 'none', found '", reduce, "'");
  check_device(features, device, op, "features");
  check_device(points, device, op, "points");
  check_same_device(features, "features", points, "points", op);
  return {features.size(0), features.size(1), height, width, points.size(1), reduce == "mean"};
}

inline std::vector<int64_t> pooled_shape(const PoolArguments& sizes) {
  return sizes.mean ? std::vector<int64_t>{sizes.images, sizes.channels}
                    : std::vector<int64_t>{sizes.images, sizes.points, sizes.channels};
}

// The gradient that reached the pooled vectors, for landmark_pool_backward.
inline void check_pooled_gradient(const Tensor& grad, const Tensor& features, const PoolArguments& sizes, On device,
                                  const char* op) {
  const std::vector<int64_t> shape = pooled_shape(sizes);
  check_rank(grad, static_cast<int64_t>(shape.size()), op, "grad", sizes.mean ? "[N, C]" : "[N, L, C]");
  for (int64_t axis = 0; axis < grad.dim(); ++axis) {
    STD_TORCH_CHECK(grad.size(axis) == shape[static_cast<size_t>(axis)], op,
                    ": grad must have the shape of the pooled vectors of features ", shape_of(features), " and ",
                    sizes.points, " points, found ", shape_of(grad));
  }
  check_dtype(grad, features.scalar_type(), op, "grad");
  check_device(grad, device, op, "grad");
  check_same_device(features, "features", grad, "grad", op);
}

// NHWC in memory and not also NCHW (as maps of one pixel or one channel are both: those count as NCHW).
inline bool is_channels_last(const Tensor& features) {
  if (features.is_contiguous()) return false;
  int64_t stride = 1;
  for (const int64_t axis : {1, 3, 2, 0}) {
    if (features.size(axis) != 1 && features.stride(axis) != stride) return false;
    stride *= features.size(axis);
  }
  return true;
}

// features themselves where they lie as NCHW or NHWC, else a copy as NCHW. Their gradient is empty_like of this.
inline Tensor in_known_layout(const Tensor& features) {
  return is_channels_last(features) ? features : rows_in_order(features);
}

}  // namespace sketchfast::torch_ops
