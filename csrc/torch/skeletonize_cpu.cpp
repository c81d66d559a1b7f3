// skeletonize and homogeneous_transform on CPU tensors: check, allocate, call csrc/cpu/skeletonize.
#include "cpu/skeletonize.h"

#include <string>
#include <vector>

#include "torch/skeletonize.h"

namespace sketchfast::torch_ops {
namespace {

using torch::stable::new_empty;

int threads() { return static_cast<int>(torch::stable::get_num_threads()); }

Tensor like(const Tensor& images, ScalarType dtype) {
  return new_empty(images, std::vector<int64_t>(images.sizes().begin(), images.sizes().end()), dtype);
}

Tensor skeletonize(const Tensor& images, const std::string& method, int64_t max_iter) {
  const ImageBatch batch = check_images(images, On::cpu, "skeletonize");
  check_skeletonize_dtype(images);
  const auto which = static_cast<cpu::SkeletonMethod>(check_method(method));
  check_max_iter(max_iter);
  const Tensor in = rows_in_order(images);
  Tensor skeletons = like(images, ScalarType::Bool);
  cpu::skeletonize(static_cast<const uint8_t*>(in.const_data_ptr()), batch.num_images, batch.height, batch.width, which,
                   max_iter, static_cast<uint8_t*>(skeletons.mutable_data_ptr()), threads());
  return skeletons;
}

Tensor homogeneous_transform(const Tensor& images, int64_t threshold) {
  const ImageBatch batch = check_images(images, On::cpu, "homogeneous_transform");
  check_dtype(images, ScalarType::Byte, "homogeneous_transform", "images");
  check_threshold(threshold);
  const Tensor in = rows_in_order(images);
  Tensor out = like(images, ScalarType::Byte);
  cpu::homogeneous_transform(in.const_data_ptr<uint8_t>(), batch.num_images, batch.height, batch.width,
                             static_cast<int>(threshold), out.mutable_data_ptr<uint8_t>(), threads());
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(sketchfast, CPU, library) {
  library.impl("skeletonize", TORCH_BOX(&skeletonize));
  library.impl("homogeneous_transform", TORCH_BOX(&homogeneous_transform));
}

}  // namespace sketchfast::torch_ops
