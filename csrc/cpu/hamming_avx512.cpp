// Hamming scan with AVX-512 VPOPCNTQ: eight codes a register, one popcount instruction for eight 64-bit words.
//
//   d(q, c) = sum_w popcount(q_w xor c_w)
//
// Layout: tiles of hamming_scan.h; a register holds word w of eight neighbouring codes, the query word is broadcast.
// Search: the sign bits of d - t over 64 codes are or-ed together, so there is one hardly ever taken branch per 64
// codes (t is the collector's threshold). 64-bit codes at their natural alignment are read in place, without a tile.
// Cost: load+xor, popcnt, add a register and word, plus subtract and or a register: about 3 + 2/words operations for
// eight word pairs. One query is bound by memory.
#include "hamming_scan.h"

#if defined(__x86_64__) && defined(__linux__)
// GCC 12 warns about the deliberately undefined operands inside its own intrinsics.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

// Only functions with this attribute may use wide instructions: none of them is a shared inline function, so no wide
// code can stand in for a baseline one at link time.
#define SKETCHFAST_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")))

namespace sketchfast::cpu {
namespace {

constexpr int kBlocksPerLook = static_cast<int>(kScanCodes / kLanes);

// Word-major form of eight 2-word or 4-word codes, by shuffles instead of eight scattered stores a word.
SKETCHFAST_AVX512 inline void transpose_block2(const uint8_t* codes, uint64_t* block) {
  const __m512i x0 = _mm512_loadu_si512(codes);
  const __m512i x1 = _mm512_loadu_si512(codes + 64);
  const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
  const __m512i odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
  _mm512_storeu_si512(block, _mm512_permutex2var_epi64(x0, even, x1));
  _mm512_storeu_si512(block + 8, _mm512_permutex2var_epi64(x0, odd, x1));
}

SKETCHFAST_AVX512 inline void transpose_block4(const uint8_t* codes, uint64_t* block) {
  const __m512i words01 = _mm512_setr_epi64(0, 4, 8, 12, 1, 5, 9, 13);
  const __m512i words23 = _mm512_setr_epi64(2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i x0 = _mm512_loadu_si512(codes);
  const __m512i x1 = _mm512_loadu_si512(codes + 64);
  const __m512i x2 = _mm512_loadu_si512(codes + 128);
  const __m512i x3 = _mm512_loadu_si512(codes + 192);
  const __m512i low01 = _mm512_permutex2var_epi64(x0, words01, x1);
  const __m512i low23 = _mm512_permutex2var_epi64(x0, words23, x1);
  const __m512i high01 = _mm512_permutex2var_epi64(x2, words01, x3);
  const __m512i high23 = _mm512_permutex2var_epi64(x2, words23, x3);
  _mm512_storeu_si512(block, _mm512_shuffle_i64x2(low01, high01, 0x44));
  _mm512_storeu_si512(block + 8, _mm512_shuffle_i64x2(low01, high01, 0xee));
  _mm512_storeu_si512(block + 16, _mm512_shuffle_i64x2(low23, high23, 0x44));
  _mm512_storeu_si512(block + 24, _mm512_shuffle_i64x2(low23, high23, 0xee));
}

SKETCHFAST_AVX512 void fill_tile_avx512(const uint8_t* codes, int64_t count, int64_t bytes, int words, uint64_t* tile) {
  const int64_t whole = bytes >= 8 ? count / kScanCodes * kScanCodes : 0;
  const __m512i offsets =
      _mm512_mullo_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm512_set1_epi64(static_cast<long long>(bytes)));
  const auto rest = static_cast<size_t>(bytes % 8);
  for (int64_t c = 0; c < whole; c += kLanes) {
    const uint8_t* source = codes + c * bytes;
    uint64_t* block = tile + c * words;
    if (bytes == 8) {
      _mm512_storeu_si512(block, _mm512_loadu_si512(source));
    } else if (bytes == 16) {
      transpose_block2(source, block);
    } else if (bytes == 32) {
      transpose_block4(source, block);
    } else {
      for (int64_t w = 0; w < bytes / 8; ++w) {
        _mm512_storeu_si512(block + w * kLanes, _mm512_i64gather_epi64(offsets, source + w * 8, 1));
      }
      if (rest == 0) continue;
      uint64_t* last = block + (words - 1) * kLanes;
      _mm512_storeu_si512(last, _mm512_setzero_si512());
      for (int lane = 0; lane < kLanes; ++lane) {
        std::memcpy(last + lane, source + (lane + 1) * bytes - static_cast<int64_t>(rest), rest);
      }
    }
  }
  if (whole < count) fill_tile(codes + whole * bytes, count - whole, bytes, words, tile + whole * words);
}

// kWords = 0 stands for a number known only at run time.
template <int kWords>
SKETCHFAST_AVX512 inline __attribute__((always_inline)) __m512i block_distances(const uint64_t* block,
                                                                                const __m512i* query, int words) {
  const int n = kWords > 0 ? kWords : words;
  __m512i sum = _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(block), query[0]));
#pragma GCC unroll 16
  for (int w = 1; w < n; ++w) {
    sum =
        _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(block + w * kLanes), query[w])));
  }
  return sum;
}

SKETCHFAST_AVX512 inline void broadcast_query(const uint8_t* code, int64_t bytes, int words, __m512i* query) {
  uint64_t plain[kMaxWords];
  load_code(code, bytes, plain);
  for (int w = 0; w < words; ++w) query[w] = _mm512_set1_epi64(static_cast<long long>(plain[w]));
}

// Where the codes of a range are read from: in place if they already have the tile's layout, else from a tile.
template <int kWords>
class TileReader {
 public:
  TileReader(const uint8_t* database, int64_t bytes, int64_t num_queries)
      : database_(database), bytes_(bytes), words_(words_of(bytes)), step_(tile_codes(words_)) {
    // A misaligned load costs double, which one pass over the codes does not notice but many do.
    in_place_ = kWords == 1 && bytes == 8 && (num_queries < 4 || reinterpret_cast<uintptr_t>(database) % 64 == 0);
    tile_.reset(new uint64_t[static_cast<size_t>(step_ * words_) + kLanes]);
    const auto address = reinterpret_cast<uintptr_t>(tile_.get());
    aligned_ = tile_.get() + (64 - address % 64) % 64 / 8;
  }
  int64_t step() const { return step_; }
  // `count` codes from id `first`; the tail is padded to kScanCodes.
  const uint64_t* read(int64_t first, int64_t count) {
    const uint8_t* codes = database_ + first * bytes_;
    if (in_place_ && count % kScanCodes == 0) return reinterpret_cast<const uint64_t*>(codes);
    fill_tile_avx512(codes, count, bytes_, words_, aligned_);
    return aligned_;
  }

 private:
  const uint8_t* database_;
  int64_t bytes_;
  int words_;
  int64_t step_;
  bool in_place_;
  std::unique_ptr<uint64_t[]> tile_;
  uint64_t* aligned_;
};

template <int kWords>
SKETCHFAST_AVX512 void scan_words(const ScanTask& task) {
  const int words = words_of(task.bytes);
  const __m256i lane_numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  TileReader<kWords> reader(task.database, task.bytes, task.num_queries);
  for (int64_t first = task.first; first < task.last; first += reader.step()) {
    const int64_t count = std::min(reader.step(), task.last - first);
    const uint64_t* tile = reader.read(first, count);
    for (int64_t q = 0; q < task.num_queries; ++q) {
      __m512i query[kWords > 0 ? kWords : kMaxWords];
      broadcast_query(task.queries + q * task.bytes, task.bytes, words, query);
      Collector& nearest = task.collectors[q];
      __m512i threshold = _mm512_set1_epi64(nearest.threshold());
      for (int64_t c = 0; c < count; c += kScanCodes) {
        const uint64_t* blocks = tile + c * (kWords > 0 ? kWords : words);
        __m512i sums[kBlocksPerLook];
        __m512i below = _mm512_setzero_si512();
#pragma GCC unroll 8
        for (int b = 0; b < kBlocksPerLook; ++b) {
          sums[b] = block_distances<kWords>(blocks + b * kLanes * (kWords > 0 ? kWords : words), query, words);
          below = _mm512_or_si512(below, _mm512_sub_epi64(sums[b], threshold));
        }
        if (__builtin_expect(_mm512_movepi64_mask(below) == 0, 1)) continue;
        for (int b = 0; b < kBlocksPerLook; ++b) {
          const int64_t id = first + c + b * kLanes;
          unsigned hits = _mm512_movepi64_mask(_mm512_sub_epi64(sums[b], threshold));
          const int64_t valid = task.last - id;
          if (valid < kLanes) hits &= valid > 0 ? (1u << valid) - 1 : 0;
          if (hits == 0) continue;
          const auto lanes = static_cast<__mmask8>(hits);
          const __m256i offsets =
              _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(id - nearest.first_id())), lane_numbers);
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(nearest.distances_end()),
                              _mm256_maskz_compress_epi32(lanes, _mm512_cvtepi64_epi32(sums[b])));
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(nearest.offsets_end()),
                              _mm256_maskz_compress_epi32(lanes, offsets));
          nearest.appended(__builtin_popcount(hits));
        }
        threshold = _mm512_set1_epi64(nearest.threshold());
      }
    }
  }
}

SKETCHFAST_AVX512 inline void store_lanes(__m512i sums, uint8_t* out, __mmask8 valid) {
  _mm512_mask_cvtepi64_storeu_epi8(out, valid, sums);
}
SKETCHFAST_AVX512 inline void store_lanes(__m512i sums, int16_t* out, __mmask8 valid) {
  _mm512_mask_cvtepi64_storeu_epi16(out, valid, sums);
}
// Sixty-four results at once: a masked store of eight bytes costs as much as one of a whole line.
SKETCHFAST_AVX512 inline void store_look(const __m512i* sums, uint8_t* out) {
#pragma GCC unroll 4
  for (int b = 0; b < kBlocksPerLook; b += 2) {
    const __m128i pair = _mm_unpacklo_epi64(_mm512_cvtepi64_epi8(sums[b]), _mm512_cvtepi64_epi8(sums[b + 1]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + b * kLanes), pair);
  }
}
SKETCHFAST_AVX512 inline void store_look(const __m512i* sums, int16_t* out) {
#pragma GCC unroll 8
  for (int b = 0; b < kBlocksPerLook; ++b) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + b * kLanes), _mm512_cvtepi64_epi16(sums[b]));
  }
}

template <int kWords, class T>
SKETCHFAST_AVX512 void distances_words(const DistanceTask<T>& task) {
  const int words = words_of(task.bytes);
  TileReader<kWords> reader(task.database, task.bytes, task.num_queries);
  for (int64_t first = task.first; first < task.last; first += reader.step()) {
    const int64_t count = std::min(reader.step(), task.last - first);
    const uint64_t* tile = reader.read(first, count);
    for (int64_t q = 0; q < task.num_queries; ++q) {
      __m512i query[kWords > 0 ? kWords : kMaxWords];
      broadcast_query(task.queries + q * task.bytes, task.bytes, words, query);
      T* out = task.out + q * task.out_stride + (first - task.first);
      for (int64_t c = 0; c < count; c += kScanCodes) {
        __m512i sums[kBlocksPerLook];
#pragma GCC unroll 8
        for (int b = 0; b < kBlocksPerLook; ++b) {
          sums[b] = block_distances<kWords>(tile + (c + b * kLanes) * (kWords > 0 ? kWords : words), query, words);
        }
        if (count - c >= kScanCodes) {
          store_look(sums, out + c);
          continue;
        }
        for (int b = 0; b < kBlocksPerLook && c + b * kLanes < count; ++b) {
          const int64_t valid = std::min<int64_t>(kLanes, count - c - b * kLanes);
          store_lanes(sums[b], out + c + b * kLanes, static_cast<__mmask8>((1u << valid) - 1));
        }
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
    case 8:
      return scan_words<8>(task);
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
    case 4:
      return distances_words<4>(task);
    default:
      return distances_words<0>(task);
  }
}

constexpr HammingKernels kKernels = {scan, distances<uint8_t>, distances<int16_t>};

}  // namespace

const HammingKernels* hamming_kernels_avx512() { return &kKernels; }

}  // namespace sketchfast::cpu

#else

namespace sketchfast::cpu {
const HammingKernels* hamming_kernels_avx512() { return nullptr; }
}  // namespace sketchfast::cpu

#endif
