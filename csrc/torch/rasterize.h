// What the CPU and the CUDA face of rasterize ask of their arguments.
#pragma once

#include <optional>

#include "math/rasterize.h"
#include "torch/check.h"

namespace sketchfast::torch_ops {

inline raster::Canvas check_rasterize(const Tensor& points, const Tensor& pen, const std::optional<Tensor>& lengths,
                                      int64_t height, int64_t width, int64_t thickness, bool antialias, double fit,
                                      On device) {
  const char* const op = "rasterize";
  check_rank(points, 3, op, "points", "[N, T, 2]");
  STD_TORCH_CHECK(points.size(2) == 2, op, ": points must have shape [N, T, 2], found ", shape_of(points));
  check_dtype(points, ScalarType::Float, op, "points");
  check_device(points, device, op, "points");
  STD_TORCH_CHECK(pen.dim() == 2 && pen.size(0) == points.size(0) && pen.size(1) == points.size(1), op,
                  ": pen must have shape [N, T] of points ", shape_of(points), ", found ", shape_of(pen));
  STD_TORCH_CHECK(pen.scalar_type() == ScalarType::Bool || pen.scalar_type() == ScalarType::Byte, op,
                  ": pen must be bool or uint8, found ", torch::headeronly::toString(pen.scalar_type()));
  check_device(pen, device, op, "pen");
  check_same_device(points, "points", pen, "pen", op);
  if (lengths.has_value()) {
    STD_TORCH_CHECK(lengths->dim() == 1 && lengths->size(0) == points.size(0), op,
                    ": lengths must have shape [N] of points ", shape_of(points), ", found ", shape_of(*lengths));
    check_dtype(*lengths, ScalarType::Long, op, "lengths");
    check_device(*lengths, device, op, "lengths");
    check_same_device(points, "points", *lengths, "lengths", op);
  }
  STD_TORCH_CHECK(height >= 1 && height <= raster::kMaxSide && width >= 1 && width <= raster::kMaxSide, op,
                  ": size must be 1 to ", raster::kMaxSide, ", found (", height, ", ", width, ")");
  STD_TORCH_CHECK(thickness >= 1 && thickness <= raster::kMaxThickness, op, ": thickness must be 1 to ",
                  raster::kMaxThickness, ", found ", thickness);
  STD_TORCH_CHECK(fit < 0.5, op, ": fit must be below 0.5, or negative for none, found ", fit);
  return raster::canvas_of(height, width, thickness, antialias, fit);
}

}  // namespace sketchfast::torch_ops
