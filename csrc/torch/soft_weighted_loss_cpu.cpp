// soft_weighted_loss, its backward and the scaling of a gradient on CPU tensors: check, allocate, call csrc/cpu.
#include "torch/soft_weighted_loss.h"

#include <cmath>
#include <string>
#include <tuple>

#include "cpu/soft_weighted_loss.h"

namespace sketchfast::torch_ops {
namespace {

using torch::stable::new_empty;

int threads() { return static_cast<int>(torch::stable::get_num_threads()); }

std::vector<double> weights_of(const Tensor& class_weights, const char* op) {
  const Tensor in_order = rows_in_order(class_weights);
  const int64_t classes = in_order.size(0);
  std::vector<double> weights(static_cast<size_t>(classes));
  for (int64_t c = 0; c < classes; ++c) {
    const double weight = in_order.scalar_type() == ScalarType::Double ? in_order.const_data_ptr<double>()[c]
                                                                       : in_order.const_data_ptr<float>()[c];
    STD_TORCH_CHECK(std::isfinite(weight) && weight >= 0, op, ": class_weights must be finite and not negative, found ",
                    weight, " for class ", c);
    weights[static_cast<size_t>(c)] = weight;
  }
  return weights;
}

template <class Call>
auto with_label_type(const Tensor& labels, const Call& call) {
  const void* data = labels.const_data_ptr();
  switch (labels.scalar_type()) {
    case ScalarType::Byte:
      return call(static_cast<const uint8_t*>(data));
    case ScalarType::Char:
      return call(static_cast<const int8_t*>(data));
    case ScalarType::Short:
      return call(static_cast<const int16_t*>(data));
    case ScalarType::Int:
      return call(static_cast<const int32_t*>(data));
    default:
      return call(static_cast<const int64_t*>(data));
  }
}

std::string wrong_label(int64_t label, int64_t at, const cpu::LossShape& shape, int64_t ignore_index) {
  const int64_t plane = shape.height * shape.width;
  return "labels must be 0 to " + std::to_string(shape.classes - 1) + " or ignore_index (" +
         std::to_string(ignore_index) + "), found " + std::to_string(label) + " at [" + std::to_string(at / plane) +
         ", " + std::to_string(at % plane / shape.width) + ", " + std::to_string(at % shape.width) + "]";
}

// The loss, and factor * its gradient where gradient has room for it.
double compute(const Tensor& logits, const Tensor& labels, const Tensor& class_weights, int64_t ignore_index,
               int64_t background, bool soft, double factor, Tensor* gradient, const char* op) {
  const cpu::LossShape shape{logits.size(0), logits.size(1), logits.size(2), logits.size(3)};
  const cpu::LossRule rule{weights_of(class_weights, op), ignore_index, background, soft};
  const Tensor x = rows_in_order(logits);
  const Tensor y = rows_in_order(labels);
  return with_label_type(y, [&](const auto* label) {
    const cpu::LabelWeight weight = cpu::label_weight(label, shape, rule, threads());
    STD_TORCH_CHECK(
        weight.wrong_at < 0, op, ": ",
        wrong_label(weight.wrong_at < 0 ? 0 : label[weight.wrong_at], weight.wrong_at, shape, ignore_index));
    const auto run = [&](const auto* typed) {
      using T = std::remove_const_t<std::remove_pointer_t<decltype(typed)>>;
      T* out = gradient == nullptr ? nullptr : static_cast<T*>(gradient->mutable_data_ptr());
      return cpu::soft_weighted_loss(typed, label, shape, rule, weight.total, factor, out, threads());
    };
    const void* data = x.const_data_ptr();
    switch (x.scalar_type()) {
      case ScalarType::Double:
        return run(static_cast<const double*>(data));
      case ScalarType::BFloat16:
        return run(static_cast<const BFloat16Bits*>(data));
      case ScalarType::Half:
        return run(static_cast<const Float16Bits*>(data));
      default:
        return run(static_cast<const float*>(data));
    }
  });
}

std::vector<int64_t> shape_like(const Tensor& tensor) {
  return std::vector<int64_t>(tensor.sizes().begin(), tensor.sizes().end());
}

double value_of(const Tensor& scalar) {
  return scalar.scalar_type() == ScalarType::Double ? *scalar.const_data_ptr<double>()
                                                    : *scalar.const_data_ptr<float>();
}

std::tuple<Tensor, Tensor> soft_weighted_loss(const Tensor& logits, const Tensor& labels, const Tensor& class_weights,
                                              int64_t ignore_index, int64_t background, bool soft, bool with_gradient) {
  const char* const op = "soft_weighted_loss";
  check_soft_weighted_loss(logits, labels, class_weights, background, On::cpu, op);
  Tensor loss = new_empty(logits, {}, loss_dtype(logits));
  Tensor gradient = new_empty(logits, with_gradient ? shape_like(logits) : std::vector<int64_t>{0});
  const double value = compute(logits, labels, class_weights, ignore_index, background, soft, 1.0,
                               with_gradient ? &gradient : nullptr, op);
  if (loss.scalar_type() == ScalarType::Double) {
    *loss.mutable_data_ptr<double>() = value;
  } else {
    *loss.mutable_data_ptr<float>() = static_cast<float>(value);
  }
  return {loss, gradient};
}

Tensor soft_weighted_loss_backward(const Tensor& grad_output, const Tensor& logits, const Tensor& labels,
                                   const Tensor& class_weights, int64_t ignore_index, int64_t background, bool soft) {
  const char* const op = "soft_weighted_loss_backward";
  check_soft_weighted_loss(logits, labels, class_weights, background, On::cpu, op);
  check_factor(grad_output, op, "grad_output");
  check_device(grad_output, On::cpu, op, "grad_output");
  Tensor gradient = new_empty(logits, shape_like(logits));
  compute(logits, labels, class_weights, ignore_index, background, soft, value_of(grad_output), &gradient, op);
  return gradient;
}

void soft_weighted_loss_scale_(const Tensor& gradient, const Tensor& factor) {
  check_gradient(gradient, factor, On::cpu);
  const int64_t count = gradient.numel();
  void* data = gradient.mutable_data_ptr();
  const double by = value_of(factor);
  switch (gradient.scalar_type()) {
    case ScalarType::Double:
      return cpu::scale(static_cast<double*>(data), count, by, threads());
    case ScalarType::BFloat16:
      return cpu::scale(static_cast<BFloat16Bits*>(data), count, by, threads());
    default:
      return cpu::scale(static_cast<float*>(data), count, by, threads());
  }
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(sketchfast, CPU, library) {
  library.impl("soft_weighted_loss", TORCH_BOX(&soft_weighted_loss));
  library.impl("soft_weighted_loss_backward", TORCH_BOX(&soft_weighted_loss_backward));
  library.impl("soft_weighted_loss_scale_", TORCH_BOX(&soft_weighted_loss_scale_));
}

}  // namespace sketchfast::torch_ops
