// The AVX2 path of contour_points_sample.h: eight pixels a vector.
#include "contour_points_task.h"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>

#define SKETCHFAST_CONTOUR_PATH __attribute__((target("avx2")))
#define SKETCHFAST_CONTOUR_INLINE __attribute__((target("avx2"), always_inline)) inline

namespace sketchfast::cpu {
namespace {

typedef int32_t Vector __attribute__((vector_size(32)));

SKETCHFAST_CONTOUR_INLINE uint64_t stroke_bits(const uint8_t* p) {
  // Shifts a byte's low bit to its top; what crosses from byte to byte lies below.
  const __m256i low = _mm256_slli_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), 7);
  const __m256i high = _mm256_slli_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32)), 7);
  return static_cast<uint32_t>(_mm256_movemask_epi8(low)) |
         static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(high))) << 32;
}

SKETCHFAST_CONTOUR_INLINE Vector squared_distances(Vector a, Vector b) {
  const __m256i apart = _mm256_sub_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b));
  return reinterpret_cast<Vector>(_mm256_madd_epi16(apart, apart));
}

}  // namespace
}  // namespace sketchfast::cpu

#include "contour_points_sample.h"

namespace sketchfast::cpu {

ContourKernel contour_kernel_avx2() { return sample_contour; }

}  // namespace sketchfast::cpu

#else

namespace sketchfast::cpu {

ContourKernel contour_kernel_avx2() { return nullptr; }

}  // namespace sketchfast::cpu

#endif
