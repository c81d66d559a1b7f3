// Hamming scan with AVX2: popcount of 32 bytes by two lookups of a nibble table (Mula, Kurz, Lemire, "Faster population
// counts using AVX2 instructions", 2018), four codes a register.
//
//   d(q, c) = sum_bytes table[x & 15] + table[x >> 4],   x = q xor c
//
// Layout: tiles of hamming_scan.h; a register holds word w of four neighbouring codes. Byte counts are added over the
// words of a code first (at most 16 * 8 = 128 a byte, no overflow) and summed over bytes once, by vpsadbw.
// Search: as in hamming_avx512.cpp, one hardly ever taken branch per 64 codes.
// Cost: nine operations for four word pairs, plus three a register.
#include "hamming_scan.h"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>

// Only functions with this attribute may use wide instructions: none of them is a shared inline function, so no wide
// code can stand in for a baseline one at link time.
#define SKETCHFAST_AVX2 __attribute__((target("avx2")))

namespace sketchfast::cpu {
namespace {

constexpr int kHalf = 4;  // codes a register
constexpr int kBlocksPerLook = static_cast<int>(kScanCodes / kLanes);

SKETCHFAST_AVX2 inline __attribute__((always_inline)) __m256i load(const uint64_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

SKETCHFAST_AVX2 inline __attribute__((always_inline)) __m256i byte_counts(__m256i x) {
  const __m256i table =
      _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i nibble = _mm256_set1_epi8(0x0f);
  const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(x, nibble));
  const __m256i high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble));
  return _mm256_add_epi8(low, high);
}

// Distances of four codes; kWords = 0 stands for a number known only at run time.
template <int kWords>
SKETCHFAST_AVX2 inline __attribute__((always_inline)) __m256i half_distances(const uint64_t* half,
                                                                             const uint64_t* query, int words) {
  const int n = kWords > 0 ? kWords : words;
  __m256i counts = _mm256_setzero_si256();
#pragma GCC unroll 4
  for (int w = 0; w < n; ++w) {
    const __m256i broadcast = _mm256_set1_epi64x(static_cast<long long>(query[w]));
    counts = _mm256_add_epi8(counts, byte_counts(_mm256_xor_si256(load(half + w * kLanes), broadcast)));
  }
  return _mm256_sad_epu8(counts, _mm256_setzero_si256());
}

template <int kWords>
SKETCHFAST_AVX2 void scan_words(const ScanTask& task) {
  const int words = words_of(task.bytes);
  const int64_t step = tile_codes(words);
  const std::unique_ptr<uint64_t[]> tile(new uint64_t[static_cast<size_t>(step * words)]);
  for (int64_t first = task.first; first < task.last; first += step) {
    const int64_t count = std::min(step, task.last - first);
    fill_tile(task.database + first * task.bytes, count, task.bytes, words, tile.get());
    for (int64_t q = 0; q < task.num_queries; ++q) {
      uint64_t query[kMaxWords];
      load_code(task.queries + q * task.bytes, task.bytes, query);
      Collector& nearest = task.collectors[q];
      __m256i threshold = _mm256_set1_epi64x(nearest.threshold());
      for (int64_t c = 0; c < count; c += kScanCodes) {
        const uint64_t* blocks = tile.get() + c * words;
        __m256i below = _mm256_setzero_si256();
        for (int b = 0; b < kBlocksPerLook; ++b) {
          const uint64_t* block = blocks + b * kLanes * words;
          const __m256i low = half_distances<kWords>(block, query, words);
          const __m256i high = half_distances<kWords>(block + kHalf, query, words);
          below = _mm256_or_si256(below, _mm256_sub_epi64(low, threshold));
          below = _mm256_or_si256(below, _mm256_sub_epi64(high, threshold));
        }
        if (__builtin_expect(_mm256_movemask_pd(_mm256_castsi256_pd(below)) == 0, 1)) continue;
        for (int h = 0; h < 2 * kBlocksPerLook; ++h) {
          const uint64_t* half = blocks + h / 2 * kLanes * words + h % 2 * kHalf;
          alignas(32) int64_t distances[kHalf];
          _mm256_store_si256(reinterpret_cast<__m256i*>(distances), half_distances<kWords>(half, query, words));
          const int64_t id = first + c + h * kHalf;
          const int64_t valid = std::min<int64_t>(kHalf, task.last - id);
          for (int64_t l = 0; l < valid; ++l) nearest.push(static_cast<int32_t>(distances[l]), id + l);
        }
        threshold = _mm256_set1_epi64x(nearest.threshold());
      }
    }
  }
}

template <int kWords, class T>
SKETCHFAST_AVX2 void distances_words(const DistanceTask<T>& task) {
  const int words = words_of(task.bytes);
  const int64_t step = tile_codes(words);
  const std::unique_ptr<uint64_t[]> tile(new uint64_t[static_cast<size_t>(step * words)]);
  for (int64_t first = task.first; first < task.last; first += step) {
    const int64_t count = std::min(step, task.last - first);
    fill_tile(task.database + first * task.bytes, count, task.bytes, words, tile.get());
    for (int64_t q = 0; q < task.num_queries; ++q) {
      uint64_t query[kMaxWords];
      load_code(task.queries + q * task.bytes, task.bytes, query);
      T* out = task.out + q * task.out_stride + (first - task.first);
      for (int64_t c = 0; c < count; c += kHalf) {
        const uint64_t* half = tile.get() + c / kLanes * kLanes * words + c % kLanes;
        alignas(32) int64_t distances[kHalf];
        _mm256_store_si256(reinterpret_cast<__m256i*>(distances), half_distances<kWords>(half, query, words));
        const int64_t valid = std::min<int64_t>(kHalf, count - c);
        for (int64_t l = 0; l < valid; ++l) out[c + l] = static_cast<T>(distances[l]);
      }
    }
  }
}

void scan(const ScanTask& task) {
  switch (words_of(task.bytes)) {
    case 1:
      return scan_words<1>(task);
    case 2:
      return scan_words<2>(task);
    case 4:
      return scan_words<4>(task);
    default:
      return scan_words<0>(task);
  }
}

template <class T>
void distances(const DistanceTask<T>& task) {
  switch (words_of(task.bytes)) {
    case 1:
      return distances_words<1>(task);
    case 2:
      return distances_words<2>(task);
    default:
      return distances_words<0>(task);
  }
}

constexpr HammingKernels kKernels = {scan, distances<uint8_t>, distances<int16_t>};

}  // namespace

const HammingKernels* hamming_kernels_avx2() { return &kKernels; }

}  // namespace sketchfast::cpu

#else

namespace sketchfast::cpu {
const HammingKernels* hamming_kernels_avx2() { return nullptr; }
}  // namespace sketchfast::cpu

#endif
