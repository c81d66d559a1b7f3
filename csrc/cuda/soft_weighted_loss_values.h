// Values in memory and in registers, and sums over a block, for the kernels of soft_weighted_loss*.cu.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "launch.h"
#include "soft_weighted_loss.h"

namespace sketchfast::cuda {

constexpr int kVectorBytes = 16;

// V neighbouring values, moved as one word of up to 16 bytes.
template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
  T values[V];
};

__device__ __forceinline__ float widened(float value) { return value; }
__device__ __forceinline__ double widened(double value) { return value; }
__device__ __forceinline__ float widened(Float16Bits value) { return __half2float(__ushort_as_half(value.raw)); }
__device__ __forceinline__ float widened(BFloat16Bits value) {
  return __bfloat162float(__ushort_as_bfloat16(value.raw));
}

// To the nearest, ties to even.
template <class T>
__device__ __forceinline__ T narrowed(typename Arithmetic<T>::type value) {
  if constexpr (sizeof(T) > 2) {
    return value;
  } else if constexpr (std::is_same_v<T, Float16Bits>) {
    return {__half_as_ushort(__float2half_rn(value))};
  } else {
    return {__bfloat16_as_ushort(__float2bfloat16_rn(value))};
  }
}

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
