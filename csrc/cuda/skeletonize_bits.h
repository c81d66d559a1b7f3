// Bytes to bits and back, and the rows that a deletion looks at, for the kernels of skeletonize_*.cu.
//
// A row of an image is 32-bit words, pixel x in bit x mod 32 of word x div 32; bits beyond the width are 0.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "../math/skeletonize.h"
#include "launch.h"
#include "skeletonize.h"

namespace sketchfast::cuda {

using SkeletonRow = skeleton::Row<uint32_t>;

template <SkeletonMethod method>
constexpr int kSkeletonSteps = method == SkeletonMethod::skel ? skeleton::kDeletions : skeleton::kSubiterations;

// The rows that step `step` (from 0) of a pass has seen and still needs, one word of each. Takes the rows from top to
// bottom, unchanged, and answers each with what becomes of the one before. It begins below the image's upper edge.
template <SkeletonMethod method, int step>
struct SkeletonWindow {
  SkeletonRow above = {}, here = {};

  __device__ __forceinline__ uint32_t push(const SkeletonRow& next) {
    uint32_t kept;
    if constexpr (method == SkeletonMethod::thin) {
      kept = skeleton::after_guo_hall<step>(above, here, next);
    } else {
      kept = skeleton::after_zhang_suen<step>(above, here, next);
    }
    above = here;
    here = next;
    return kept;
  }
};

// The templates of "skel" are products of one factor per row, so three words stand for two rows.
template <int step>
struct SkeletonWindow<SkeletonMethod::skel, step> {
  uint32_t product = 0;  // of the factors of the two rows seen, for the later one's pixels
  uint32_t above = skeleton::above<step + 1>(SkeletonRow{});
  uint32_t here = 0;

  __device__ __forceinline__ uint32_t push(const SkeletonRow& next) {
    const uint32_t kept = here & ~(product & skeleton::below<step + 1>(next));
    product = above;
    if constexpr (skeleton::kHasCentre<step + 1>) product &= skeleton::centre<step + 1>(next);
    above = skeleton::above<step + 1>(next);
    here = next.x;
    return kept;
  }
};

// A word with its pixels' neighbours, the words to its west and east given.
__device__ __forceinline__ SkeletonRow row_of(uint32_t west, uint32_t x, uint32_t east) {
  return {x, __funnelshift_l(west, x, 1), __funnelshift_r(x, east, 1)};
}

// ---- bytes ----

inline bool vector_pixels(const void* pixels, int64_t width) {
  return width % 8 == 0 && reinterpret_cast<uintptr_t>(pixels) % 8 == 0;
}

__device__ __forceinline__ bool is_stroke(uint8_t value, const SkeletonBytes& bytes) {
  return (value >= bytes.bound) != bytes.below;
}

// is_stroke of the four bytes of a word, in the four lowest bits.
__device__ __forceinline__ uint32_t four_strokes(uint32_t values, const SkeletonBytes& bytes) {
  constexpr uint32_t kHigh = 0x80808080u, kOnes = 0x01010101u;
  const uint32_t bound = kOnes * bytes.bound;
  // Bytes cannot borrow from each other: 128 and more minus 127 and less. The high bit then compares the lower seven.
  const uint32_t lower = (values | kHigh) - (bound & ~kHigh);
  const uint32_t at_least = (values & ~bound) | (~(values ^ bound) & lower);
  const uint32_t strokes = ((bytes.below ? ~at_least : at_least) >> 7) & kOnes;
  return strokes * 0x01020408u >> 24;  // bit 8 i goes to bit 24 + i, and everything else misses those four
}

__device__ __forceinline__ uint32_t eight_strokes(uint2 values, const SkeletonBytes& bytes) {
  return four_strokes(values.x, bytes) | four_strokes(values.y, bytes) << 4;
}

// The four lowest bits as the four bytes to be written.
__device__ __forceinline__ uint32_t four_bytes(uint32_t bits, const SkeletonBytes& bytes) {
  constexpr uint32_t kOnes = 0x01010101u;
  return (((bits & 15u) * 0x00204081u) & kOnes) * bytes.flip ^ kOnes * bytes.ground;
}

__device__ __forceinline__ uint2 eight_bytes(uint32_t bits, const SkeletonBytes& bytes) {
  uint2 values;
  values.x = four_bytes(bits, bytes);
  values.y = four_bytes(bits >> 4, bytes);
  return values;
}

__device__ __forceinline__ uint8_t one_byte(bool bit, const SkeletonBytes& bytes) {
  return static_cast<uint8_t>(bytes.ground ^ (bit ? bytes.flip : 0));
}

// The byte's place in the words of a row: NVIDIA devices are little-endian, as are the CPUs of the emulation.
__device__ __forceinline__ uint8_t* bytes_of(uint32_t* words) { return reinterpret_cast<uint8_t*>(words); }

}  // namespace sketchfast::cuda
