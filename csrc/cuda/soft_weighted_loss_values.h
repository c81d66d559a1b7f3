// Exponentials, counts and sums over a block for the kernels of soft_weighted_loss*.cu.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "launch.h"
#include "soft_weighted_loss.h"
#include "values.h"

namespace sketchfast::cuda {

// e^x for x <= 0: there the fast form loses no more than 1e-7 of the largest term.
__device__ __forceinline__ float exp_of_negative(float x) { return __expf(x); }
__device__ __forceinline__ double exp_of_negative(double x) { return exp(x); }

// A count of 0..15 as a floating-point number. The hardware's own conversion shares its slow unit with exp.
__device__ __forceinline__ void count_as(uint32_t count, float& value) {
  value = __uint_as_float(0x4b000000u | count) - 8388608.0f;  // 2^23 + count, exactly
}
__device__ __forceinline__ void count_as(uint32_t count, double& value) { value = static_cast<double>(count); }

// The sum over the block, in an order that depends on the block's size only; every thread gets it. partial: a place in
// shared memory for one double per warp.
__device__ __forceinline__ double sum_over_block(double value, double* partial) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value += __shfl_down_sync(kFullWarp, value, offset);
  __syncthreads();  // partial may still be read from a sum before
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = value;
  __syncthreads();
  double sum = 0;
  for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp) sum += partial[warp];
  return sum;
}

}  // namespace sketchfast::cuda
