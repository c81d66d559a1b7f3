// The AVX2 path of skeletonize_sweep.h: four lanes, 192 pixels, a vector.
#include "skeletonize_task.h"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>

#include <cstring>

#define SKETCHFAST_SKELETON_TARGET "avx2"
#define SKETCHFAST_PATH __attribute__((target(SKETCHFAST_SKELETON_TARGET)))
#define SKETCHFAST_INLINE __attribute__((target(SKETCHFAST_SKELETON_TARGET), always_inline)) inline

namespace sketchfast::cpu {
namespace {

typedef uint64_t Vector __attribute__((vector_size(32)));

SKETCHFAST_INLINE bool any(Vector v) {
  const __m256i bits = reinterpret_cast<__m256i>(v);
  return !_mm256_testz_si256(bits, bits);
}

// Byte 0 of a lane comes from byte 6 of the lane before, byte 7 from byte 1 of the next. Shuffles do not cross the middle of
// a register, so what crosses it comes from the register with its halves swapped; -1 gives zero.
SKETCHFAST_INLINE Vector with_halos(Vector v) {
  const __m256i within = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 9, 6, 9, 10, 11, 12, 13, 14, -1,  //
                                          -1, 1, 2, 3, 4, 5, 6, 9, 6, 9, 10, 11, 12, 13, 14, 15);
  const __m256i across = _mm256_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1,  //
                                          14, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  const __m256i bits = reinterpret_cast<__m256i>(v);
  const __m256i swapped = _mm256_permute2x128_si256(bits, bits, 1);
  return reinterpret_cast<Vector>(
      _mm256_or_si256(_mm256_shuffle_epi8(bits, within), _mm256_shuffle_epi8(swapped, across)));
}

SKETCHFAST_INLINE uint64_t stroke_bits(const uint8_t* p, uint8_t limit) {
  const __m256i limits = _mm256_set1_epi8(static_cast<char>(limit));
  const auto half = [&](const uint8_t* q) __attribute__((target(SKETCHFAST_SKELETON_TARGET), always_inline)) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q));
    return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(bytes, limits), bytes)));
  };
  return half(p) | static_cast<uint64_t>(half(p + 32)) << 32;
}

SKETCHFAST_INLINE void expand(const uint8_t* p, uint8_t stroke, uint8_t ground, uint8_t* out) {
  const __m256i grounds = _mm256_set1_epi8(static_cast<char>(ground));
  const __m256i change = _mm256_set1_epi8(static_cast<char>(stroke ^ ground));
  const __m256i byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ull));
  for (int i = 0; i < 2; ++i) {
    int bits;
    std::memcpy(&bits, p + 4 * i, sizeof(bits));
    const __m256i spread = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(bits), byte), bit);
    const __m256i set = _mm256_cmpeq_epi8(spread, bit);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32 * i),
                        _mm256_xor_si256(grounds, _mm256_and_si256(set, change)));
  }
}

SKETCHFAST_INLINE Vector lanes_of_bits(const uint8_t* p) {
  const __m256i bytes = _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(p + 11),  //
                                            reinterpret_cast<const __m128i*>(p - 1));
  return reinterpret_cast<Vector>(
      _mm256_shuffle_epi8(bytes, _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9, 10, 11, 12, 13,  //
                                                  0, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9, 10, 11, 12, 13)));
}

SKETCHFAST_INLINE void store_bits_of_lanes(Vector v, uint8_t* p) {
  const __m256i own = _mm256_setr_epi8(1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14, -1, -1, -1, -1,  //
                                       1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14, -1, -1, -1, -1);
  const __m256i bytes = _mm256_shuffle_epi8(reinterpret_cast<__m256i>(v), own);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(bytes));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 12), _mm256_extracti128_si256(bytes, 1));
}

#undef SKETCHFAST_INLINE

}  // namespace
}  // namespace sketchfast::cpu

#include "skeletonize_sweep.h"

namespace sketchfast::cpu {

SkeletonKernel skeletonize_kernel_avx2() { return thin_images; }

}  // namespace sketchfast::cpu

#else

namespace sketchfast::cpu {

SkeletonKernel skeletonize_kernel_avx2() { return nullptr; }

}  // namespace sketchfast::cpu

#endif
