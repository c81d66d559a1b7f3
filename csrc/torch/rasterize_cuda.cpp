// rasterize on CUDA tensors: check, allocate, enqueue csrc/cuda/rasterize on the current stream of the tensors' device. Nothing
// here waits for the device, so a CUDA graph can capture every call.
#include "cuda/rasterize.h"

#include <optional>

#include "torch/check_cuda.h"
#include "torch/rasterize.h"

namespace sketchfast::torch_ops {
namespace {

using torch::stable::new_empty;

Tensor rasterize(const Tensor& points, const Tensor& pen, const std::optional<Tensor>& lengths, int64_t height,
                 int64_t width, int64_t thickness, bool antialias, double fit) {
  const raster::Canvas canvas =
      check_rasterize(points, pen, lengths, height, width, thickness, antialias, fit, On::cuda);
  const DeviceGuard guard(points.get_device_index());
  const Tensor places = rows_in_order(points), lifts = rows_in_order(pen);
  const Tensor ends = lengths.has_value() ? rows_in_order(*lengths) : lifts;
  Tensor images = new_empty(points, {points.size(0), height, width}, ScalarType::Byte);
  const cuda::Sequences sequences = {static_cast<const float*>(places.const_data_ptr()),
                                     static_cast<const uint8_t*>(lifts.const_data_ptr()),
                                     lengths.has_value() ? static_cast<const int64_t*>(ends.const_data_ptr()) : nullptr,
                                     points.size(0), points.size(1)};
  check_launch(
      cuda::rasterize(sequences, canvas, static_cast<uint8_t*>(images.mutable_data_ptr()), current_stream(points)),
      "rasterize");
  return images;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(sketchfast, CUDA, library) { library.impl("rasterize", TORCH_BOX(&rasterize)); }

}  // namespace sketchfast::torch_ops
