// rasterize on CPU tensors: check, allocate, call csrc/cpu/rasterize.
#include "cpu/rasterize.h"

#include <optional>

#include "torch/rasterize.h"

namespace sketchfast::torch_ops {
namespace {

using torch::stable::new_empty;

Tensor rasterize(const Tensor& points, const Tensor& pen, const std::optional<Tensor>& lengths, int64_t height,
                 int64_t width, int64_t thickness, bool antialias, double fit) {
  const raster::Canvas canvas =
      check_rasterize(points, pen, lengths, height, width, thickness, antialias, fit, On::cpu);
  const Tensor places = rows_in_order(points), lifts = rows_in_order(pen);
  const Tensor ends = lengths.has_value() ? rows_in_order(*lengths) : lifts;
  const cpu::SequenceBatch batch = {places.const_data_ptr<float>(), static_cast<const uint8_t*>(lifts.const_data_ptr()),
                                    lengths.has_value() ? ends.const_data_ptr<int64_t>() : nullptr, points.size(0),
                                    points.size(1)};
  const cpu::SequenceFault fault = cpu::first_fault(batch, canvas);
  if (fault.sequence >= 0 && fault.point < 0) {
    STD_TORCH_CHECK(false, "rasterize: lengths[", fault.sequence, "] must be 0 to ", points.size(1), ", found ",
                    batch.lengths[fault.sequence]);
  }
  if (fault.sequence >= 0) {
    const float* point = batch.points + 2 * (fault.sequence * batch.points_each + fault.point);
    STD_TORCH_CHECK(false, "rasterize: points[", fault.sequence, ", ", fault.point, "] must be at most ",
                    canvas.largest, " in size, found (", point[0], ", ", point[1], ")");
  }
  Tensor images = new_empty(points, {points.size(0), height, width}, ScalarType::Byte);
  cpu::rasterize(batch, canvas, images.mutable_data_ptr<uint8_t>(), static_cast<int>(torch::stable::get_num_threads()));
  return images;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(sketchfast, CPU, library) { library.impl("rasterize", TORCH_BOX(&rasterize)); }

}  // namespace sketchfast::torch_ops
