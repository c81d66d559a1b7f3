// The AVX2 path of rasterize_lines.h and rasterize_coverage.h.
#include "rasterize_task.h"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>

#define SKETCHFAST_RASTER_PATH __attribute__((target("avx2")))
#define SKETCHFAST_RASTER_INLINE __attribute__((target("avx2"), always_inline)) inline

namespace sketchfast::cpu {
namespace {

typedef uint64_t Words __attribute__((vector_size(32)));
typedef float Floats __attribute__((vector_size(32)));

SKETCHFAST_RASTER_INLINE void expand_word(uint64_t bits, uint8_t* bytes) {
  // A byte of the bits into eight lanes, of which each looks at one bit.
  const __m256i spread =
      _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i one_of_eight = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
  for (int half = 0; half < 2; ++half) {
    const __m256i same = _mm256_set1_epi32(static_cast<int32_t>(bits >> (32 * half)));
    const __m256i seen = _mm256_and_si256(_mm256_shuffle_epi8(same, spread), one_of_eight);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(bytes + 32 * half), _mm256_cmpeq_epi8(seen, _mm256_setzero_si256()));
  }
}

SKETCHFAST_RASTER_INLINE Floats root(Floats x) {
  return reinterpret_cast<Floats>(_mm256_sqrt_ps(reinterpret_cast<__m256>(x)));
}

SKETCHFAST_RASTER_INLINE void least_of(uint8_t* bytes, Floats values) {
  const __m256i whole = _mm256_cvtps_epi32(reinterpret_cast<__m256>(values));
  // Both packings saturate.
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  auto* at = reinterpret_cast<__m128i*>(bytes);
  _mm_storel_epi64(at, _mm_min_epu8(_mm_packus_epi16(words, words), _mm_loadl_epi64(at)));
}

}  // namespace
}  // namespace sketchfast::cpu

#include "rasterize_lines.h"
//
#include "rasterize_coverage.h"

namespace sketchfast::cpu {

RasterKernel raster_kernel_avx2() { return rasterize_image; }

}  // namespace sketchfast::cpu

#else

namespace sketchfast::cpu {

RasterKernel raster_kernel_avx2() { return nullptr; }

}  // namespace sketchfast::cpu

#endif
