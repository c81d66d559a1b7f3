// Reading a code into registers, for the kernels of hamming_*.cu.
//
// A code is W 64-bit words, W one of 1, 2, 4, 8, 16; a shorter code is padded with zeros, which no distance notices.
// kVector: rows are exactly 8 * W bytes and the first is 16-byte aligned, so rows are read 8 or 16 bytes at a time.
// Otherwise rows have any length and alignment. All word indices are compile-time constants: codes stay in registers.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "../math/hamming.h"

namespace sketchfast::cuda {

constexpr int64_t kMaxCodeBytes = kMaxCodeBits / 8;

inline bool valid_code_bytes(int64_t bytes) { return bytes >= 1 && bytes <= kMaxCodeBytes; }

inline bool vector_rows(const uint8_t* rows, int64_t bytes) {
  const bool power_of_two = (bytes & (bytes - 1)) == 0;
  return bytes >= 8 && power_of_two && reinterpret_cast<uintptr_t>(rows) % 16 == 0;
}

// Calls run(std::integral_constant<int, W>) with the smallest W that holds `bytes`.
template <class Run>
auto with_code_words(int64_t bytes, Run&& run) {
  if (bytes <= 8) return run(std::integral_constant<int, 1>());
  if (bytes <= 16) return run(std::integral_constant<int, 2>());
  if (bytes <= 32) return run(std::integral_constant<int, 4>());
  if (bytes <= 64) return run(std::integral_constant<int, 8>());
  return run(std::integral_constant<int, 16>());
}

template <int W, bool kVector>
__device__ __forceinline__ void load_code(const uint8_t* __restrict__ row, int bytes, uint64_t (&code)[W]) {
  if constexpr (kVector && W == 1) {
    code[0] = __ldg(reinterpret_cast<const unsigned long long*>(row));
  } else if constexpr (kVector) {
#pragma unroll
    for (int w = 0; w < W; w += 2) {
      const ulonglong2 pair = __ldg(reinterpret_cast<const ulonglong2*>(row) + w / 2);
      code[w] = pair.x;
      code[w + 1] = pair.y;
    }
  } else if (((reinterpret_cast<uintptr_t>(row) | static_cast<uintptr_t>(bytes)) & 3) == 0) {
    const uint32_t* words = reinterpret_cast<const uint32_t*>(row);
#pragma unroll
    for (int w = 0; w < W; ++w) {
      const uint64_t low = 8 * w < bytes ? __ldg(words + 2 * w) : 0;
      const uint64_t high = 8 * w + 4 < bytes ? __ldg(words + 2 * w + 1) : 0;
      code[w] = low | high << 32;
    }
  } else {
#pragma unroll
    for (int w = 0; w < W; ++w) {
      code[w] = 0;
#pragma unroll
      for (int b = 0; b < 8; ++b) {
        if (8 * w + b < bytes) code[w] |= static_cast<uint64_t>(__ldg(row + 8 * w + b)) << (8 * b);
      }
    }
  }
}

template <int W>
__device__ __forceinline__ int code_distance(const uint64_t (&x)[W], const uint64_t (&y)[W]) {
  int distance = 0;
#pragma unroll
  for (int w = 0; w < W; ++w) distance += popcount64(x[w] ^ y[w]);
  return distance;
}

// Copies `count` rows into shared memory as W zero-padded words each; rows beyond `present` become zeros.
template <int W>
__device__ __forceinline__ void stage_codes(const uint8_t* __restrict__ rows, int64_t present, int bytes, int count,
                                            uint64_t* staged, int thread, int threads) {
  uint8_t* target = reinterpret_cast<uint8_t*>(staged);
  for (int i = thread; i < count * W * 8; i += threads) {
    const int row = i / (W * 8);
    const int byte = i % (W * 8);
    target[i] = row < present && byte < bytes ? rows[static_cast<int64_t>(row) * bytes + byte] : uint8_t{0};
  }
}

}  // namespace sketchfast::cuda
