// Checks that every tensor op begins with. Messages name the argument, what was expected and what was found; they reach
// Python as RuntimeError. (The functions of sketchfast.ops check first and raise ValueError or TypeError; these here
// keep a direct call of torch.ops.sketchfast.<op> from crashing.)
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>
#include <string>

namespace sketchfast::torch_ops {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline std::string shape_of(const Tensor& tensor) {
  std::string text = "[";
  for (int64_t axis = 0; axis < tensor.dim(); ++axis) {
    text += (axis == 0 ? "" : ", ") + std::to_string(tensor.size(axis));
  }
  return text + "]";
}

inline void check_rank(const Tensor& tensor, int64_t rank, const char* op, const char* argument, const char* shape) {
  STD_TORCH_CHECK(tensor.dim() == rank, op, ": ", argument, " must have shape ", shape, ", found ", shape_of(tensor));
}

inline void check_dtype(const Tensor& tensor, ScalarType dtype, const char* op, const char* argument) {
  STD_TORCH_CHECK(tensor.scalar_type() == dtype, op, ": ", argument, " must be ", torch::headeronly::toString(dtype),
                  ", found ", torch::headeronly::toString(tensor.scalar_type()));
}

enum class On { cpu, cuda };

inline void check_device(const Tensor& tensor, On device, const char* op, const char* argument) {
  STD_TORCH_CHECK(device == On::cpu ? tensor.is_cpu() : tensor.is_cuda(), op, ": ", argument, " must be on ",
                  device == On::cpu ? "the CPU" : "a CUDA device", " as the other tensors are");
}

inline void check_same_device(const Tensor& a, const char* name_a, const Tensor& b, const char* name_b,
                              const char* op) {
  STD_TORCH_CHECK(a.get_device_index() == b.get_device_index(), op, ": ", name_a, " and ", name_b,
                  " must be on one device, found indices ", a.get_device_index(), " and ", b.get_device_index());
}

// The tensor itself where its rows lie one behind the other, else a copy in which they do.
inline Tensor rows_in_order(const Tensor& tensor) {
  return tensor.is_contiguous() ? tensor : torch::stable::contiguous(tensor);
}

}  // namespace sketchfast::torch_ops
