// How kernels are launched here: one place for the launch check, the limits of a grid and large shared memory.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace sketchfast::cuda {

constexpr int kWarp = 32;
constexpr unsigned kFullWarp = 0xffffffffu;
constexpr int64_t kMaxGrid = 2147483647;           // blocks along x, the only axis used here
constexpr size_t kSharedWithoutOptIn = 48 * 1024;  // above this a kernel has to ask for its dynamic shared memory

__host__ __device__ constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
__host__ __device__ constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// Blocks for a grid-stride loop over `tiles` pieces of work: enough to fill any GPU several times over, few enough that
// a block's start-up is shared by many tiles.
inline int64_t grid_stride_blocks(int64_t tiles) { return std::clamp<int64_t>(tiles, 1, 16384); }

// Enqueues kernel(arguments...) and returns the launch's own error. together: all blocks are to be resident at once, so
// that they may wait for each other; an error where they cannot be. Written without <<<>>> so that a plain C++ compiler
// can read the sources too: tests/cuda runs them on the CPU.
template <class... Parameters, class... Arguments>
cudaError_t launch_grid(void (*kernel)(Parameters...), int64_t blocks, int threads, size_t shared, cudaStream_t stream,
                        bool together, Arguments... arguments) {
  if (blocks < 1 || blocks > kMaxGrid) return cudaErrorInvalidConfiguration;
  if (shared > kSharedWithoutOptIn) {
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (error != cudaSuccess) return error;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  cudaLaunchAttribute cooperative = {};
  if (together) {
    cooperative.id = cudaLaunchAttributeCooperative;
    cooperative.val.cooperative = 1;
    config.attrs = &cooperative;
    config.numAttrs = 1;
  }
  const cudaError_t error = cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
  // Clears the error, so that it is reported here and not by somebody's next call.
  return error != cudaSuccess ? (cudaGetLastError(), error) : cudaGetLastError();
}

template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), int64_t blocks, int threads, size_t shared, cudaStream_t stream,
                   Arguments... arguments) {
  return launch_grid(kernel, blocks, threads, shared, stream, false, arguments...);
}

}  // namespace sketchfast::cuda
