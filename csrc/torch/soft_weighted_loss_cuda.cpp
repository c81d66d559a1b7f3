// soft_weighted_loss, its backward and the scaling of a gradient on CUDA tensors: check, allocate, enqueue
// csrc/cuda/soft_weighted_loss on the current stream of the tensors' device. Nothing here waits for the device, so a CUDA
// graph can capture every call; labels are checked by the kernel (cuda/soft_weighted_loss.h).
#include "torch/soft_weighted_loss.h"

#include <tuple>
#include <type_traits>

#include "cuda/soft_weighted_loss.h"
#include "torch/check_cuda.h"

namespace sketchfast::torch_ops {
namespace {

using torch::stable::new_empty;

// Calls run with a null pointer of the label's type.
template <class Run>
void with_label_type(ScalarType dtype, const Run& run) {
  switch (dtype) {
    case ScalarType::Byte:
      return run(static_cast<const uint8_t*>(nullptr));
    case ScalarType::Char:
      return run(static_cast<const int8_t*>(nullptr));
    case ScalarType::Short:
      return run(static_cast<const int16_t*>(nullptr));
    case ScalarType::Int:
      return run(static_cast<const int32_t*>(nullptr));
    default:
      return run(static_cast<const int64_t*>(nullptr));
  }
}

template <class Run>
void with_loss_type(ScalarType dtype, const Run& run) {
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

Tensor of_dtype(const Tensor& tensor, ScalarType dtype) {
  return tensor.scalar_type() == dtype ? tensor : torch::stable::to(tensor, dtype);
}

std::vector<int64_t> shape_like(const Tensor& tensor) {
  return std::vector<int64_t>(tensor.sizes().begin(), tensor.sizes().end());
}

// loss and gradient as far as they are given; factor, of the gradient: null for 1. The device is the current one.
void enqueue(const Tensor& logits, const Tensor& labels, const Tensor& class_weights, int64_t ignore_index,
             int64_t background, bool soft, const Tensor* factor, Tensor* loss, Tensor* gradient, const char* op) {
  STD_TORCH_CHECK(logits.size(1) <= cuda::kMaxLossClasses, op, ": logits must have at most ", cuda::kMaxLossClasses,
                  " classes on CUDA, found ", shape_of(logits));
  const ScalarType computed_in = loss_dtype(logits);
  const Tensor x = rows_in_order(logits);
  const Tensor y = rows_in_order(labels);
  const Tensor alpha = rows_in_order(of_dtype(class_weights, computed_in));
  const Tensor by = factor == nullptr ? alpha : of_dtype(*factor, computed_in);
  const cuda::LossShape shape{x.size(0), x.size(1), x.size(2), x.size(3)};
  const cuda::LossRule rule{ignore_index, background, soft};
  // Freed when this function returns; the allocator hands it out again only behind our work on this stream.
  Tensor workspace =
      new_empty(logits, {static_cast<int64_t>(cuda::soft_weighted_loss_workspace(shape))}, ScalarType::Byte);
  with_loss_type(x.scalar_type(), [&](const auto* value) {
    with_label_type(y.scalar_type(), [&](const auto* label) {
      using T = std::remove_const_t<std::remove_pointer_t<decltype(value)>>;
      using Label = std::remove_const_t<std::remove_pointer_t<decltype(label)>>;
      using A = typename cuda::Arithmetic<T>::type;
      check_launch(cuda::soft_weighted_loss(
                       static_cast<const T*>(x.const_data_ptr()), static_cast<const Label*>(y.const_data_ptr()),
                       alpha.const_data_ptr<A>(), shape, rule, factor == nullptr ? nullptr : by.const_data_ptr<A>(),
                       loss == nullptr ? nullptr : loss->mutable_data_ptr<A>(),
                       gradient == nullptr ? nullptr : static_cast<T*>(gradient->mutable_data_ptr()),
                       workspace.mutable_data_ptr(), current_stream(logits)),
                   op);
    });
  });
}

std::tuple<Tensor, Tensor> soft_weighted_loss(const Tensor& logits, const Tensor& labels, const Tensor& class_weights,
                                              int64_t ignore_index, int64_t background, bool soft, bool with_gradient) {
  const char* const op = "soft_weighted_loss";
  check_soft_weighted_loss(logits, labels, class_weights, background, On::cuda, op);
  const DeviceGuard guard(logits.get_device_index());
  Tensor loss = new_empty(logits, {}, loss_dtype(logits));
  Tensor gradient = new_empty(logits, with_gradient ? shape_like(logits) : std::vector<int64_t>{0});
  enqueue(logits, labels, class_weights, ignore_index, background, soft, nullptr, &loss,
          with_gradient ? &gradient : nullptr, op);
  return {loss, gradient};
}

Tensor soft_weighted_loss_backward(const Tensor& grad_output, const Tensor& logits, const Tensor& labels,
                                   const Tensor& class_weights, int64_t ignore_index, int64_t background, bool soft) {
  const char* const op = "soft_weighted_loss_backward";
  check_soft_weighted_loss(logits, labels, class_weights, background, On::cuda, op);
  check_factor(grad_output, op, "grad_output");
  check_device(grad_output, On::cuda, op, "grad_output");
  check_same_device(logits, "logits", grad_output, "grad_output", op);
  const DeviceGuard guard(logits.get_device_index());
  Tensor gradient = new_empty(logits, shape_like(logits));
  enqueue(logits, labels, class_weights, ignore_index, background, soft, &grad_output, nullptr, &gradient, op);
  return gradient;
}

void soft_weighted_loss_scale_(const Tensor& gradient, const Tensor& factor) {
  check_gradient(gradient, factor, On::cuda);
  const DeviceGuard guard(gradient.get_device_index());
  const auto run = [&](auto* values) {
    const cudaStream_t stream = current_stream(gradient);
    const cudaError_t error = factor.scalar_type() == ScalarType::Double
                                  ? cuda::scale(values, gradient.numel(), factor.const_data_ptr<double>(), stream)
                                  : cuda::scale(values, gradient.numel(), factor.const_data_ptr<float>(), stream);
    check_launch(error, "soft_weighted_loss_scale_");
  };
  void* data = gradient.mutable_data_ptr();
  switch (gradient.scalar_type()) {
    case ScalarType::Double:
      return run(static_cast<double*>(data));
    case ScalarType::BFloat16:
      return run(static_cast<BFloat16Bits*>(data));
    default:
      return run(static_cast<float*>(data));
  }
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(sketchfast, CUDA, library) {
  library.impl("soft_weighted_loss", TORCH_BOX(&soft_weighted_loss));
  library.impl("soft_weighted_loss_backward", TORCH_BOX(&soft_weighted_loss_backward));
  library.impl("soft_weighted_loss_scale_", TORCH_BOX(&soft_weighted_loss_scale_));
}

}  // namespace sketchfast::torch_ops
