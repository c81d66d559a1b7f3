// The conversions of CUDA's cuda_fp16.h that csrc/cuda uses, by the C++ compiler's own 16-bit type.
#pragma once

#include <cstring>

struct __half {
  _Float16 value;
};

inline __half __ushort_as_half(unsigned short bits) {
  __half half;
  std::memcpy(&half, &bits, sizeof half);
  return half;
}
inline unsigned short __half_as_ushort(__half half) {
  unsigned short bits;
  std::memcpy(&bits, &half, sizeof bits);
  return bits;
}
inline float __half2float(__half half) { return static_cast<float>(half.value); }
inline __half __float2half_rn(float value) { return {static_cast<_Float16>(value)}; }
