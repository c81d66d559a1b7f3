// What every CUDA face of an op needs around its launches.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>

#include "torch/check.h"

namespace sketchfast::torch_ops {

using torch::stable::accelerator::DeviceGuard;

// Of the tensor's device, which has to be the current one (DeviceGuard).
inline cudaStream_t current_stream(const Tensor& tensor) {
  void* stream = nullptr;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

inline void check_launch(cudaError_t error, const char* op) {
  STD_TORCH_CHECK(error == cudaSuccess, op, ": CUDA could not launch the kernel: ", cudaGetErrorString(error));
}

}  // namespace sketchfast::torch_ops
