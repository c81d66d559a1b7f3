// What the CPU and the CUDA face of soft_weighted_loss ask of their tensors.
#pragma once

#include <limits>
#include <vector>

#include "math/soft_weighted_loss.h"
#include "torch/check.h"

namespace sketchfast::torch_ops {

inline bool is_loss_dtype(ScalarType dtype) {
  return dtype == ScalarType::Float || dtype == ScalarType::Double || dtype == ScalarType::Half ||
         dtype == ScalarType::BFloat16;
}

inline bool is_label_dtype(ScalarType dtype) {
  return dtype == ScalarType::Byte || dtype == ScalarType::Char || dtype == ScalarType::Short ||
         dtype == ScalarType::Int || dtype == ScalarType::Long;
}

// Everything but the values of labels and class_weights.
inline void check_soft_weighted_loss(const Tensor& logits, const Tensor& labels, const Tensor& class_weights,
                                     int64_t background, On device, const char* op) {
  check_rank(logits, 4, op, "logits", "[N, C, H, W]");
  check_rank(labels, 3, op, "labels", "[N, H, W]");
  check_rank(class_weights, 1, op, "class_weights", "[C]");
  STD_TORCH_CHECK(is_loss_dtype(logits.scalar_type()), op,
                  ": logits must be float32, float64, float16 or bfloat16, found ",
                  torch::headeronly::toString(logits.scalar_type()));
  STD_TORCH_CHECK(is_label_dtype(labels.scalar_type()), op,
                  ": labels must be uint8, int8, int16, int32 or int64, found ",
                  torch::headeronly::toString(labels.scalar_type()));
  const ScalarType weights = class_weights.scalar_type();
  STD_TORCH_CHECK(
      weights == ScalarType::Float || (weights == ScalarType::Double && logits.scalar_type() == ScalarType::Double), op,
      ": class_weights must be float32 (or float64 beside float64 logits), found ",
      torch::headeronly::toString(weights));
  const int64_t classes = logits.size(1);
  STD_TORCH_CHECK(classes >= 1 && classes <= std::numeric_limits<int32_t>::max(), op,
                  ": logits must have at least one class, found ", shape_of(logits));
  STD_TORCH_CHECK(
      labels.size(0) == logits.size(0) && labels.size(1) == logits.size(2) && labels.size(2) == logits.size(3), op,
      ": labels must have shape [N, H, W] of logits ", shape_of(logits), ", found ", shape_of(labels));
  STD_TORCH_CHECK(class_weights.size(0) == classes, op, ": class_weights must have one weight for each of the ",
                  classes, " classes of logits, found ", class_weights.size(0));
  STD_TORCH_CHECK(background >= -1 && background < classes, op, ": background must be a class, 0 to ", classes - 1,
                  ", or -1 for none, found ", background);
  check_device(logits, device, op, "logits");
  check_device(labels, device, op, "labels");
  check_device(class_weights, device, op, "class_weights");
  check_same_device(logits, "logits", labels, "labels", op);
  check_same_device(logits, "logits", class_weights, "class_weights", op);
}

// The loss is a float32, or a float64 of float64 logits.
inline ScalarType loss_dtype(const Tensor& logits) {
  return logits.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

inline void check_factor(const Tensor& factor, const char* op, const char* argument) {
  check_rank(factor, 0, op, argument, "[]");
  STD_TORCH_CHECK(factor.scalar_type() == ScalarType::Float || factor.scalar_type() == ScalarType::Double, op, ": ",
                  argument, " must be float32 or float64, found ", torch::headeronly::toString(factor.scalar_type()));
}

inline void check_gradient(const Tensor& gradient, const Tensor& factor, On device) {
  const char* const op = "soft_weighted_loss_scale_";
  // A float16 gradient before scaling would have underflowed; soft_weighted_loss_backward serves that type.
  STD_TORCH_CHECK(is_loss_dtype(gradient.scalar_type()) && gradient.scalar_type() != ScalarType::Half, op,
                  ": gradient must be float32, float64 or bfloat16, found ",
                  torch::headeronly::toString(gradient.scalar_type()));
  STD_TORCH_CHECK(gradient.is_contiguous(), op, ": gradient must be contiguous, found strides of another order");
  check_factor(factor, op, "factor");
  check_device(gradient, device, op, "gradient");
  check_device(factor, device, op, "factor");
  check_same_device(gradient, "gradient", factor, "factor", op);
}

}  // namespace sketchfast::torch_ops
