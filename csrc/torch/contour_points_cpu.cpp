// contour_points on CPU tensors: check, allocate, call csrc/cpu/contour_points.
#include "cpu/contour_points.h"

#include <tuple>

#include "torch/contour_points.h"

namespace sketchfast::torch_ops {
namespace {

using torch::stable::new_empty;

std::tuple<Tensor, Tensor> contour_points(const Tensor& images, int64_t n) {
  const ImageBatch batch = check_contour_points(images, n, On::cpu);
  const Tensor in = rows_in_order(images);
  const ContourShapes shapes = contour_shapes(images, n);
  Tensor points = new_empty(images, shapes.points, ScalarType::Int);
  Tensor valid = new_empty(images, shapes.valid, ScalarType::Bool);
  cpu::contour_points(static_cast<const uint8_t*>(in.const_data_ptr()), batch.num_images, batch.height, batch.width, n,
                      points.mutable_data_ptr<int32_t>(), static_cast<uint8_t*>(valid.mutable_data_ptr()),
                      static_cast<int>(torch::stable::get_num_threads()));
  return {points, valid};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(sketchfast, CPU, library) { library.impl("contour_points", TORCH_BOX(&contour_points)); }

}  // namespace sketchfast::torch_ops
