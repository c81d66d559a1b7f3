// Packing of real values into codes: bit b of a code = value b > 0, little-endian in each byte.
//
// Layout: rows are contiguous and bits is a multiple of 8, so the whole array is one run of values, eight a byte.
// Cost: one read of the values. Sixteen values become sixteen bytes of 0 or -1 (compare, then saturating packs) and one
// movemask; SSE2 is in every x86-64, and reading from memory is the limit, so there are no wider forms.
#include <algorithm>

#include "hamming.h"
#include "parallel.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace sketchfast::cpu {
namespace {

constexpr int64_t kTaskCodeBytes = 1 << 14;

template <class T>
inline uint8_t pack_byte(const T* values) {
  unsigned byte = 0;
  for (int b = 0; b < 8; ++b) byte |= static_cast<unsigned>(is_positive(values[b])) << b;
  return static_cast<uint8_t>(byte);
}

#if defined(__SSE2__)
inline __m128i load(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }

inline unsigned mask_of_words(__m128i a, __m128i b, __m128i c, __m128i d) {
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d))));
}

inline unsigned mask16(const float* v) {
  const __m128 zero = _mm_setzero_ps();
  return mask_of_words(_mm_castps_si128(_mm_cmpgt_ps(_mm_loadu_ps(v), zero)),
                       _mm_castps_si128(_mm_cmpgt_ps(_mm_loadu_ps(v + 4), zero)),
                       _mm_castps_si128(_mm_cmpgt_ps(_mm_loadu_ps(v + 8), zero)),
                       _mm_castps_si128(_mm_cmpgt_ps(_mm_loadu_ps(v + 12), zero)));
}

inline __m128i positive4(const double* v) {
  const __m128d zero = _mm_setzero_pd();
  const __m128 low = _mm_castpd_ps(_mm_cmpgt_pd(_mm_loadu_pd(v), zero));
  const __m128 high = _mm_castpd_ps(_mm_cmpgt_pd(_mm_loadu_pd(v + 2), zero));
  return _mm_castps_si128(_mm_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0)));
}
inline unsigned mask16(const double* v) {
  return mask_of_words(positive4(v), positive4(v + 4), positive4(v + 8), positive4(v + 12));
}

inline unsigned mask16(const int8_t* v) {
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpgt_epi8(load(v), _mm_setzero_si128())));
}
inline unsigned mask16(const uint8_t* v) {
  return ~static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(load(v), _mm_setzero_si128())));
}

// As signed integers, raw values of negative sign are negative, and those above infinity's are NaN.
template <int kInfinity>
inline __m128i positive8(const void* v) {
  const __m128i raw = load(v);
  return _mm_andnot_si128(_mm_cmpgt_epi16(raw, _mm_set1_epi16(kInfinity)), _mm_cmpgt_epi16(raw, _mm_setzero_si128()));
}
inline unsigned mask16(const BFloat16Bits* v) {
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_packs_epi16(positive8<0x7f80>(v), positive8<0x7f80>(v + 8))));
}
inline unsigned mask16(const Float16Bits* v) {
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_packs_epi16(positive8<0x7c00>(v), positive8<0x7c00>(v + 8))));
}
#else
template <class T>
inline unsigned mask16(const T* v) {
  return pack_byte(v) | static_cast<unsigned>(pack_byte(v + 8)) << 8;
}
#endif

template <class T>
void pack_run(const T* values, int64_t code_bytes, uint8_t* codes) {
  int64_t i = 0;
  for (; i + 2 <= code_bytes; i += 2) {
    const unsigned mask = mask16(values + i * 8);
    codes[i] = static_cast<uint8_t>(mask);
    codes[i + 1] = static_cast<uint8_t>(mask >> 8);
  }
  if (i < code_bytes) codes[i] = pack_byte(values + i * 8);
}

}  // namespace

template <class T>
void pack_bits(const T* values, int64_t rows, int64_t bits, uint8_t* codes, int num_threads) {
  const int64_t code_bytes = rows * (bits / 8);
  const int64_t tasks = (code_bytes + kTaskCodeBytes - 1) / kTaskCodeBytes;
  parallel_for(tasks, threads_for(num_threads, tasks, 4), [&](int64_t task) {
    const int64_t first = task * kTaskCodeBytes;
    pack_run(values + first * 8, std::min(kTaskCodeBytes, code_bytes - first), codes + first);
  });
}

template void pack_bits<float>(const float*, int64_t, int64_t, uint8_t*, int);
template void pack_bits<double>(const double*, int64_t, int64_t, uint8_t*, int);
template void pack_bits<int8_t>(const int8_t*, int64_t, int64_t, uint8_t*, int);
template void pack_bits<uint8_t>(const uint8_t*, int64_t, int64_t, uint8_t*, int);
template void pack_bits<BFloat16Bits>(const BFloat16Bits*, int64_t, int64_t, uint8_t*, int);
template void pack_bits<Float16Bits>(const Float16Bits*, int64_t, int64_t, uint8_t*, int);

}  // namespace sketchfast::cpu
