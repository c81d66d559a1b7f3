// Values of tensors in memory and in registers.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "../math/hamming.h"  // BFloat16Bits, Float16Bits
#include "arithmetic.h"

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

}  // namespace sketchfast::cuda
