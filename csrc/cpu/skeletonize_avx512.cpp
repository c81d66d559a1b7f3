// The AVX-512 path of skeletonize_sweep.h: eight lanes, 384 pixels, a vector; the compiler joins logical operations into
// vpternlog. VBMI permutes the bytes of a whole register.
#include "skeletonize_task.h"

#if defined(__x86_64__) && defined(__linux__)
// GCC 12 warns about the deliberately undefined operands inside its own intrinsics.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cstring>

#define SKETCHFAST_SKELETON_TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi"
#define SKETCHFAST_PATH __attribute__((target(SKETCHFAST_SKELETON_TARGET)))
#define SKETCHFAST_INLINE __attribute__((target(SKETCHFAST_SKELETON_TARGET), always_inline)) inline

namespace sketchfast::cpu {
namespace {

typedef uint64_t Vector __attribute__((vector_size(64)));

// For each byte of the result the byte of the source that it is.
struct Permutation {
  alignas(64) uint8_t from[64];
};

// Byte 0 of a lane is byte 6 of the lane before, byte 7 is byte 1 of the next.
constexpr Permutation halo_permutation() {
  Permutation p{};
  for (int i = 0; i < 64; ++i) p.from[i] = static_cast<uint8_t>(i);
  for (int lane = 1; lane < 8; ++lane) {
    p.from[8 * lane] = static_cast<uint8_t>(8 * (lane - 1) + 6);
    p.from[8 * lane - 1] = static_cast<uint8_t>(8 * lane + 1);
  }
  return p;
}

// Of bytes of which the first is the one before the first own byte: lanes overlap by two bytes.
constexpr Permutation lane_permutation() {
  Permutation p{};
  for (int i = 0; i < 64; ++i) p.from[i] = static_cast<uint8_t>(6 * (i / 8) + i % 8);
  return p;
}

// The own bytes of the lanes; the last 16 bytes mean nothing.
constexpr Permutation own_permutation() {
  Permutation p{};
  for (int i = 0; i < 48; ++i) p.from[i] = static_cast<uint8_t>(8 * (i / 6) + 1 + i % 6);
  return p;
}

constexpr Permutation kHaloPermutation = halo_permutation();
constexpr Permutation kLanePermutation = lane_permutation();
constexpr Permutation kOwnPermutation = own_permutation();

SKETCHFAST_INLINE __m512i permuted(__m512i bytes, const Permutation& p) {
  return _mm512_permutexvar_epi8(_mm512_load_si512(p.from), bytes);
}

SKETCHFAST_INLINE bool any(Vector v) {
  const __m512i bits = reinterpret_cast<__m512i>(v);
  return _mm512_test_epi64_mask(bits, bits) != 0;
}

SKETCHFAST_INLINE Vector with_halos(Vector v) {
  return reinterpret_cast<Vector>(permuted(reinterpret_cast<__m512i>(v), kHaloPermutation));
}

SKETCHFAST_INLINE uint64_t stroke_bits(const uint8_t* p, uint8_t limit) {
  return _mm512_cmple_epu8_mask(_mm512_loadu_si512(p), _mm512_set1_epi8(static_cast<char>(limit)));
}

SKETCHFAST_INLINE void expand(const uint8_t* p, uint8_t stroke, uint8_t ground, uint8_t* out) {
  uint64_t bits;
  std::memcpy(&bits, p, sizeof(bits));
  _mm512_storeu_si512(out, _mm512_mask_blend_epi8(bits, _mm512_set1_epi8(static_cast<char>(ground)),
                                                  _mm512_set1_epi8(static_cast<char>(stroke))));
}

SKETCHFAST_INLINE Vector lanes_of_bits(const uint8_t* p) {
  return reinterpret_cast<Vector>(permuted(_mm512_loadu_si512(p - 1), kLanePermutation));
}

SKETCHFAST_INLINE void store_bits_of_lanes(Vector v, uint8_t* p) {
  _mm512_mask_storeu_epi8(p, (uint64_t{1} << 48) - 1, permuted(reinterpret_cast<__m512i>(v), kOwnPermutation));
}

#undef SKETCHFAST_INLINE

}  // namespace
}  // namespace sketchfast::cpu

#include "skeletonize_sweep.h"

namespace sketchfast::cpu {

SkeletonKernel skeletonize_kernel_avx512() { return thin_images; }

}  // namespace sketchfast::cpu

#else

namespace sketchfast::cpu {

SkeletonKernel skeletonize_kernel_avx512() { return nullptr; }

}  // namespace sketchfast::cpu

#endif
