// landmark_pool and its backward on CPU tensors: check, allocate, call csrc/cpu.
#include "cpu/landmark_pool.h"

#include <string>
#include <tuple>
#include <vector>

#include "torch/landmark_pool.h"

namespace sketchfast::torch_ops {
namespace {

using torch::stable::new_empty;

int threads() { return static_cast<int>(torch::stable::get_num_threads()); }

cpu::PoolShape shape_for(const PoolArguments& sizes, const Tensor& features) {
  return {
      sizes.images, sizes.channels, sizes.height, sizes.width, sizes.points, sizes.mean, is_channels_last(features)};
}

template <class Call>
void with_point_type(const Tensor& points, const Call& call) {
  if (points.scalar_type() == ScalarType::Double) {
    call(points.const_data_ptr<double>());
  } else {
    call(points.const_data_ptr<float>());
  }
}

// call(features as T*, points as P*)
template <class Call>
void with_types(const Tensor& features, const Tensor& points, const Call& call) {
  with_point_type(points, [&](const auto* at) {
    const void* data = features.const_data_ptr();
    switch (features.scalar_type()) {
      case ScalarType::Double:
        return call(static_cast<const double*>(data), at);
      case ScalarType::BFloat16:
        return call(static_cast<const BFloat16Bits*>(data), at);
      case ScalarType::Half:
        return call(static_cast<const Float16Bits*>(data), at);
      default:
        return call(static_cast<const float*>(data), at);
    }
  });
}

void check_points(const Tensor& points, const char* op) {
  with_point_type(points, [&](const auto* at) {
    const int64_t place = cpu::first_nan(at, points.numel());
    STD_TORCH_CHECK(place < 0, op, ": points must not be NaN, found NaN at [", place / 2 / points.size(1), ", ",
                    place / 2 % points.size(1), ", ", place % 2, "]");
  });
}

Tensor landmark_pool(const Tensor& features, const Tensor& points, const std::string& reduce) {
  const char* const op = "landmark_pool";
  const PoolArguments sizes = check_landmark_pool(features, points, reduce, On::cpu, op);
  const Tensor in = in_known_layout(features);
  const Tensor at = rows_in_order(points);
  check_points(at, op);
  Tensor pooled = new_empty(features, pooled_shape(sizes));
  with_types(in, at, [&](const auto* x, const auto* p) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(x)>>;
    cpu::landmark_pool(x, p, shape_for(sizes, in), static_cast<T*>(pooled.mutable_data_ptr()), threads());
  });
  return pooled;
}

std::tuple<Tensor, Tensor> landmark_pool_backward(const Tensor& grad, const Tensor& features, const Tensor& points,
                                                  const std::string& reduce, bool features_gradient,
                                                  bool points_gradient) {
  const char* const op = "landmark_pool_backward";
  const PoolArguments sizes = check_landmark_pool(features, points, reduce, On::cpu, op);
  check_pooled_gradient(grad, features, sizes, On::cpu, op);
  const Tensor in = in_known_layout(features);
  const Tensor at = rows_in_order(points);
  const Tensor g = rows_in_order(grad);
  check_points(at, op);
  const std::vector<int64_t> none{0};
  Tensor grad_features = features_gradient ? torch::stable::empty_like(in) : new_empty(features, none);
  Tensor grad_points = points_gradient ? new_empty(points, {sizes.images, sizes.points, 2}) : new_empty(points, none);
  with_types(in, at, [&](const auto* x, const auto* p) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(x)>>;
    using P = std::remove_const_t<std::remove_pointer_t<decltype(p)>>;
    cpu::landmark_pool_backward(static_cast<const T*>(g.const_data_ptr()), x, p, shape_for(sizes, in),
                                features_gradient ? static_cast<T*>(grad_features.mutable_data_ptr()) : nullptr,
                                points_gradient ? static_cast<P*>(grad_points.mutable_data_ptr()) : nullptr, threads());
  });
  return {grad_features, grad_points};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(sketchfast, CPU, library) {
  library.impl("landmark_pool", TORCH_BOX(&landmark_pool));
  library.impl("landmark_pool_backward", TORCH_BOX(&landmark_pool_backward));
}

}  // namespace sketchfast::torch_ops
