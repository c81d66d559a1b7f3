// landmark_pool and its backward on CUDA tensors: check, allocate, enqueue csrc/cuda/landmark_pool on the current stream of
// the tensors' device. Memory comes from torch's caching allocator, which knows the stream; nothing here waits for the
// device, so a CUDA graph can capture every call; points that are NaN count as outside the map.
#include "torch/landmark_pool.h"

#include <string>
#include <tuple>
#include <type_traits>

#include "cuda/landmark_pool.h"
#include "torch/check_cuda.h"

namespace sketchfast::torch_ops {
namespace {

using torch::stable::new_empty;

// Calls run with a null pointer of the features' type.
template <class Run>
void with_feature_type(ScalarType dtype, const Run& run) {
  switch (dtype) {
    case ScalarType::Double:
      return run(static_cast<const double*>(nullptr));
    case ScalarType::BFloat16:
      return run(static_cast<const BFloat16Bits*>(nullptr));
    case ScalarType::Half:
      return run(static_cast<const Float16Bits*>(nullptr));
    default:
      return run(static_cast<const float*>(nullptr));
  }
}

cuda::PoolShape pool_shape(const PoolArguments& sizes, const Tensor& features) {
  return {sizes.images, sizes.channels, sizes.height, sizes.width, sizes.points, is_channels_last(features),
          sizes.mean};
}

cuda::PoolPoints pool_points(const Tensor& points) {
  return {points.const_data_ptr(), points.scalar_type() == ScalarType::Double};
}

// Freed when the caller returns; the allocator hands it out again only behind our work on this stream.
Tensor workspace_of(const cuda::PoolShape& shape, const Tensor& features) {
  const int value_bytes = static_cast<int>(features.element_size());
  return new_empty(features, {static_cast<int64_t>(cuda::landmark_pool_workspace(shape, value_bytes))},
                   ScalarType::Byte);
}

Tensor landmark_pool(const Tensor& features, const Tensor& points, const std::string& reduce) {
  const char* const op = "landmark_pool";
  const PoolArguments sizes = check_landmark_pool(features, points, reduce, On::cuda, op);
  const DeviceGuard guard(features.get_device_index());
  const Tensor x = in_known_layout(features);
  const Tensor at = rows_in_order(points);
  const cuda::PoolShape shape = pool_shape(sizes, x);
  Tensor pooled = new_empty(features, pooled_shape(sizes));
  Tensor workspace = workspace_of(shape, x);
  with_feature_type(x.scalar_type(), [&](const auto* value) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(value)>>;
    check_launch(cuda::landmark_pool(static_cast<const T*>(x.const_data_ptr()), pool_points(at), shape,
                                     static_cast<T*>(pooled.mutable_data_ptr()), workspace.mutable_data_ptr(),
                                     current_stream(features)),
                 op);
  });
  return pooled;
}

std::tuple<Tensor, Tensor> landmark_pool_backward(const Tensor& grad, const Tensor& features, const Tensor& points,
                                                  const std::string& reduce, bool features_gradient,
                                                  bool points_gradient) {
  const char* const op = "landmark_pool_backward";
  const PoolArguments sizes = check_landmark_pool(features, points, reduce, On::cuda, op);
  check_pooled_gradient(grad, features, sizes, On::cuda, op);
  const DeviceGuard guard(features.get_device_index());
  const Tensor x = in_known_layout(features);
  const Tensor at = rows_in_order(points);
  const Tensor g = rows_in_order(grad);
  const cuda::PoolShape shape = pool_shape(sizes, x);
  Tensor to_features = features_gradient ? torch::stable::empty_like(x) : new_empty(features, {0});
  Tensor to_points = new_empty(
      points, points_gradient ? std::vector<int64_t>{sizes.images, sizes.points, 2} : std::vector<int64_t>{0});
  Tensor workspace = workspace_of(shape, x);
  with_feature_type(x.scalar_type(), [&](const auto* value) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(value)>>;
    const T* vectors = static_cast<const T*>(g.const_data_ptr());
    const cudaStream_t stream = current_stream(features);
    if (features_gradient) {
      check_launch(cuda::landmark_pool_features_gradient(vectors, pool_points(at), shape,
                                                         static_cast<T*>(to_features.mutable_data_ptr()),
                                                         workspace.mutable_data_ptr(), stream),
                   op);
    }
    if (points_gradient) {
      check_launch(cuda::landmark_pool_points_gradient(vectors, static_cast<const T*>(x.const_data_ptr()),
                                                       pool_points(at), shape, to_points.mutable_data_ptr(),
                                                       workspace.mutable_data_ptr(), stream),
                   op);
    }
  });
  return {to_features, to_points};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(sketchfast, CUDA, library) {
  library.impl("landmark_pool", TORCH_BOX(&landmark_pool));
  library.impl("landmark_pool_backward", TORCH_BOX(&landmark_pool_backward));
}

}  // namespace sketchfast::torch_ops
