// The arithmetic of one element of the Hamming operations, for host and device.
//
//   distance(x, y) = sum_w popcount(x_w xor y_w)      over the 64-bit words w of two codes
//   bit(v)         = v > 0                            NaN, zero of either sign and negative values give 0
//
// Codes are bytes; bit b of a code is bit (b mod 8) of byte (b div 8), as np.packbits(bitorder="little").
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define SKETCHFAST_HOST_DEVICE __host__ __device__
#else
#define SKETCHFAST_HOST_DEVICE
#endif

namespace sketchfast {

constexpr int64_t kMinCodeBits = 8;
constexpr int64_t kMaxCodeBits = 1024;

// Raw 16-bit floats: the kernels need only their sign and magnitude, so no half-precision library is pulled in.
struct BFloat16Bits {
  uint16_t raw;
};
struct Float16Bits {
  uint16_t raw;
};

SKETCHFAST_HOST_DEVICE inline int popcount64(uint64_t x) {
#if defined(__CUDA_ARCH__)
  return __popcll(x);
#elif defined(__POPCNT__) || !defined(__x86_64__)
  return __builtin_popcountll(x);
#else
  // Baseline x86-64 has no popcnt instruction and the builtin would be a library call per word.
  x -= (x >> 1) & 0x5555555555555555ull;
  x = (x & 0x3333333333333333ull) + ((x >> 2) & 0x3333333333333333ull);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full;
  return static_cast<int>((x * 0x0101010101010101ull) >> 56);
#endif
}

SKETCHFAST_HOST_DEVICE inline int hamming_distance(const uint64_t* x, const uint64_t* y, int words) {
  int distance = 0;
  for (int w = 0; w < words; ++w) distance += popcount64(x[w] ^ y[w]);
  return distance;
}

SKETCHFAST_HOST_DEVICE inline bool is_positive(float value) { return value > 0.0f; }
SKETCHFAST_HOST_DEVICE inline bool is_positive(double value) { return value > 0.0; }
SKETCHFAST_HOST_DEVICE inline bool is_positive(int8_t value) { return value > 0; }
SKETCHFAST_HOST_DEVICE inline bool is_positive(uint8_t value) { return value > 0; }
// Positive and not NaN: sign clear, magnitude above zero and at most that of infinity.
SKETCHFAST_HOST_DEVICE inline bool is_positive(BFloat16Bits value) { return value.raw > 0 && value.raw <= 0x7f80; }
SKETCHFAST_HOST_DEVICE inline bool is_positive(Float16Bits value) { return value.raw > 0 && value.raw <= 0x7c00; }

}  // namespace sketchfast
