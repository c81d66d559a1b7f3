// skeletonize and homogeneous_transform on CUDA tensors: check, allocate, enqueue csrc/cuda/skeletonize on the current stream
// of the tensors' device. Memory comes from torch's caching allocator, which knows the stream; nothing here waits for the
// device, so a CUDA graph can capture every call.
#include "cuda/skeletonize.h"

#include <string>
#include <vector>

#include "torch/check_cuda.h"
#include "torch/skeletonize.h"

namespace sketchfast::torch_ops {
namespace {

using torch::stable::new_empty;

Tensor thinned(const Tensor& images, const ImageBatch& batch, cuda::SkeletonMethod method, int64_t max_passes,
               const cuda::SkeletonBytes& bytes, ScalarType dtype, const char* op) {
  const DeviceGuard guard(images.get_device_index());
  const Tensor in = rows_in_order(images);
  Tensor out = new_empty(images, std::vector<int64_t>(images.sizes().begin(), images.sizes().end()), dtype);
  cuda::SkeletonPlan plan;
  check_launch(cuda::plan_skeletonize(method, batch.num_images, batch.height, batch.width, &plan), op);
  // Freed when this function returns; the allocator hands it out again only behind our work on this stream.
  const Tensor workspace = new_empty(images, {static_cast<int64_t>(plan.workspace_bytes)}, ScalarType::Byte);
  check_launch(cuda::skeletonize(plan, static_cast<const uint8_t*>(in.const_data_ptr()), bytes, max_passes,
                                 static_cast<uint8_t*>(out.mutable_data_ptr()), workspace.mutable_data_ptr(),
                                 current_stream(images)),
               op);
  return out;
}

Tensor skeletonize(const Tensor& images, const std::string& method, int64_t max_iter) {
  const ImageBatch batch = check_images(images, On::cuda, "skeletonize");
  check_skeletonize_dtype(images);
  const auto which = static_cast<cuda::SkeletonMethod>(check_method(method));
  check_max_iter(max_iter);
  return thinned(images, batch, which, max_iter, cuda::kSkeletonBytes, ScalarType::Bool, "skeletonize");
}

Tensor homogeneous_transform(const Tensor& images, int64_t threshold) {
  const ImageBatch batch = check_images(images, On::cuda, "homogeneous_transform");
  check_dtype(images, ScalarType::Byte, "homogeneous_transform", "images");
  check_threshold(threshold);
  return thinned(images, batch, cuda::SkeletonMethod::skel, -1, cuda::homogeneous_bytes(threshold), ScalarType::Byte,
                 "homogeneous_transform");
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(sketchfast, CUDA, library) {
  library.impl("skeletonize", TORCH_BOX(&skeletonize));
  library.impl("homogeneous_transform", TORCH_BOX(&homogeneous_transform));
}

}  // namespace sketchfast::torch_ops
