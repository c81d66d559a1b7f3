// The AVX-512 path of contour_points_sample.h: sixteen pixels a vector.
#include "contour_points_task.h"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>

#define SKETCHFAST_CONTOUR_PATH __attribute__((target("avx512f,avx512bw")))
#define SKETCHFAST_CONTOUR_INLINE __attribute__((target("avx512f,avx512bw"), always_inline)) inline

namespace sketchfast::cpu {
namespace {

typedef int32_t Vector __attribute__((vector_size(64)));

SKETCHFAST_CONTOUR_INLINE uint64_t stroke_bits(const uint8_t* p) {
  const __m512i bytes = _mm512_loadu_si512(p);
  return _mm512_test_epi8_mask(bytes, bytes);
}

SKETCHFAST_CONTOUR_INLINE Vector squared_distances(Vector a, Vector b) {
  const __m512i apart = _mm512_sub_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b));
  return reinterpret_cast<Vector>(_mm512_madd_epi16(apart, apart));
}

}  // namespace
}  // namespace sketchfast::cpu

#include "contour_points_sample.h"

namespace sketchfast::cpu {

ContourKernel contour_kernel_avx512() { return sample_contour; }

}  // namespace sketchfast::cpu

#else

namespace sketchfast::cpu {

ContourKernel contour_kernel_avx512() { return nullptr; }

}  // namespace sketchfast::cpu

#endif
