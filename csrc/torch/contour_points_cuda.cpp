// contour_points on CUDA tensors: check, allocate, enqueue csrc/cuda/contour_points on the current stream of the images'
// device. Memory comes from torch's caching allocator, which knows the stream; nothing here waits for the device, so a CUDA
// graph can capture every call.
#include "torch/contour_points.h"

#include <tuple>

#include "cuda/contour_points.h"
#include "torch/check_cuda.h"

namespace sketchfast::torch_ops {
namespace {

using torch::stable::new_empty;

std::tuple<Tensor, Tensor> contour_points(const Tensor& images, int64_t n) {
  const char* const op = "contour_points";
  const ImageBatch batch = check_contour_points(images, n, On::cuda);
  const DeviceGuard guard(images.get_device_index());
  const Tensor in = rows_in_order(images);
  const ContourShapes shapes = contour_shapes(images, n);
  Tensor points = new_empty(images, shapes.points, ScalarType::Int);
  Tensor valid = new_empty(images, shapes.valid, ScalarType::Bool);
  cuda::ContourPlan plan;
  check_launch(cuda::plan_contour_points(batch.num_images, batch.height, batch.width, n, &plan), op);
  // Freed when this function returns; the allocator hands it out again only behind our work on this stream.
  Tensor workspace = new_empty(images, {static_cast<int64_t>(plan.workspace_bytes)}, ScalarType::Byte);
  check_launch(cuda::contour_points(plan, static_cast<const uint8_t*>(in.const_data_ptr()),
                                    static_cast<int32_t*>(points.mutable_data_ptr()),
                                    static_cast<uint8_t*>(valid.mutable_data_ptr()), workspace.mutable_data_ptr(),
                                    current_stream(images)),
               op);
  return {points, valid};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(sketchfast, CUDA, library) { library.impl("contour_points", TORCH_BOX(&contour_points)); }

}  // namespace sketchfast::torch_ops
