// Hamming search of many queries with AMX-int8 matrix tiles.
//
// With bits as +1 (set) and -1 (clear) over K = 64 * words positions, dot(q, c) = K - 2 d(q, c). Queries are stored
// negated, and the accumulators start from K - 2t, t the query's threshold, so that after the multiply-adds
//
//   C = 2 (d - t),  negative exactly where the code can enter the query's result.
//
// One step is 32 queries x 32 codes: four accumulator tiles, and per word two query tiles and two code tiles. The sign
// bits of each tile's rows are or-ed; only if one is set are the rows looked at, row (query) by row, codes ascending.
// Steps overlap: the tiles of one step are checked after those of the next have been issued.
//
// Layout. Query tile: 16 rows of 64 bytes, row = query, byte k = position k of the word. Code tile: TDPBSSD wants its
// second operand as rows of four consecutive positions of 16 columns, byte 4n + j of row r = position 4r + j of code n.
// VPSHUFBITQMB gathers the 64 bits of such a row from 16 codes at once, a masked blend makes them bytes. 16 KiB of
// codes are widened at a time and serve every query of the group, so the widening costs little from 64 queries on.
//
// Cost a step and word: 4 TDPBSSD (16 cycles each); a step: 4 tile loads, 4 tile stores, 64 line loads. Up to 128 bits
// the stores and checks are the limit, beyond it the multiply-adds.
#include "cpu_features.h"
#include "hamming_scan.h"

#if defined(__x86_64__) && defined(__linux__)
// GCC 12 warns about the deliberately undefined operands inside its own intrinsics.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

// Only functions with this attribute may use wide instructions: none of them is a shared inline function, so no wide
// code can stand in for a baseline one at link time.
#define SKETCHFAST_AMX \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512bitalg,amx-tile,amx-int8")))

namespace sketchfast::cpu {
namespace {

constexpr int kTileRows = 16;
constexpr int kTileBytes = 1024;
constexpr int kStepQueries = 32;
constexpr int kStepCodes = 32;
constexpr int kManyColumns = 6;  // of 32 codes: from here on whole rows are cheaper than columns
constexpr int64_t kWidenedBytes = 16 << 10;

// The tile registers of this thread, all eight with 16 rows of 64 bytes; released when the scan ends.
class TileRegisters {
 public:
  SKETCHFAST_AMX TileRegisters() {
    struct alignas(64) {
      uint8_t palette = 1;
      uint8_t start_row = 0;
      uint8_t reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    static_assert(sizeof(config) == 64);
    _tile_loadconfig(&config);
  }
  SKETCHFAST_AMX ~TileRegisters() { _tile_release(); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;
};

template <class T>
class AlignedArray {
 public:
  explicit AlignedArray(int64_t size) : memory_(new uint8_t[static_cast<size_t>(size) * sizeof(T) + 64]) {
    const auto address = reinterpret_cast<uintptr_t>(memory_.get());
    data_ = reinterpret_cast<T*>(memory_.get() + (64 - address % 64) % 64);
  }
  T* data() { return data_; }

 private:
  std::unique_ptr<uint8_t[]> memory_;
  T* data_;
};

// Query tiles [group of 32][word][half][16 rows][64]: set bits become -1, clear bits +1.
SKETCHFAST_AMX void widen_queries(const uint8_t* queries, int64_t num_queries, int64_t bytes, int words,
                                  int8_t* tiles) {
  const __m512i one = _mm512_set1_epi8(1);
  const __m512i minus_one = _mm512_set1_epi8(-1);
  const int64_t padded = (num_queries + kStepQueries - 1) / kStepQueries * kStepQueries;
  for (int64_t q = 0; q < padded; ++q) {
    uint64_t code[kMaxWords] = {};
    if (q < num_queries) load_code(queries + q * bytes, bytes, code);
    const int64_t half = q % kStepQueries / kTileRows;
    for (int w = 0; w < words; ++w) {
      int8_t* row = tiles + ((q / kStepQueries * words + w) * 2 + half) * kTileBytes + q % kTileRows * 64;
      _mm512_store_si512(row, _mm512_mask_blend_epi8(code[w], one, minus_one));
    }
  }
}

// Word w of 16 codes; codes shorter than the last whole word are padded with zero bits, codes past `valid` with zeros.
SKETCHFAST_AMX inline void gather_words(const uint8_t* codes, int64_t valid, int64_t bytes, int w, __m512i* words) {
  if (valid == kTileRows && (w + 1) * 8 <= bytes) {
    const uint8_t* first = codes + w * 8;
    if (bytes == 8) {
      words[0] = _mm512_loadu_si512(first);
      words[1] = _mm512_loadu_si512(first + 64);
      return;
    }
    const __m512i offsets = _mm512_mullo_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm512_set1_epi64(bytes));
    words[0] = _mm512_i64gather_epi64(offsets, first, 1);
    words[1] = _mm512_i64gather_epi64(offsets, first + 8 * bytes, 1);
    return;
  }
  alignas(64) uint64_t plain[kTileRows] = {};
  const auto length = static_cast<size_t>(std::min<int64_t>(8, bytes - w * 8));
  for (int64_t c = 0; c < valid; ++c) std::memcpy(plain + c, codes + c * bytes + w * 8, length);
  words[0] = _mm512_load_si512(plain);
  words[1] = _mm512_load_si512(plain + 8);
}

// Code tiles [block of 16][word][16 rows][64] of `count` codes, padded to whole steps: a set bit becomes +1, a clear
// one -1.
SKETCHFAST_AMX void widen_codes(const uint8_t* codes, int64_t count, int64_t bytes, int words, int8_t* tiles) {
  const __m512i one = _mm512_set1_epi8(1);
  const __m512i minus_one = _mm512_set1_epi8(-1);
  // Lane i holds half a word of codes 2i and 2i + 1; row r takes their bits 4r .. 4r + 3.
  const __m512i first_row_bits = _mm512_set1_epi64(0x2322212003020100);
  const __m512i low_halves = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i high_halves = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  const int64_t padded = (count + kStepCodes - 1) / kStepCodes * kStepCodes;
  for (int64_t first = 0; first < padded; first += kTileRows) {
    const int64_t valid = std::clamp<int64_t>(count - first, 0, kTileRows);
    for (int w = 0; w < words; ++w) {
      __m512i plain[2];
      gather_words(codes + first * bytes, valid, bytes, w, plain);
      const __m512i low = _mm512_permutex2var_epi32(plain[0], low_halves, plain[1]);
      const __m512i high = _mm512_permutex2var_epi32(plain[0], high_halves, plain[1]);
      int8_t* tile = tiles + (first / kTileRows * words + w) * kTileBytes;
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) {
        const __m512i bits = _mm512_add_epi8(first_row_bits, _mm512_set1_epi8(static_cast<char>(4 * r)));
        const __mmask64 low_row = _mm512_bitshuffle_epi64_mask(low, bits);
        const __mmask64 high_row = _mm512_bitshuffle_epi64_mask(high, bits);
        _mm512_store_si512(tile + r * 64, _mm512_mask_blend_epi8(low_row, minus_one, one));
        _mm512_store_si512(tile + (r + 8) * 64, _mm512_mask_blend_epi8(high_row, minus_one, one));
      }
    }
  }
}

// Tile numbers are part of the instruction: 0..3 accumulate, 4 and 5 hold queries, 6 and 7 codes.
template <int kWords>
SKETCHFAST_AMX inline __attribute__((always_inline)) void multiply_step(const int32_t* starts, const int8_t* queries,
                                                                        const int8_t* codes, int words, int32_t* out) {
  const int n = kWords > 0 ? kWords : words;
  _tile_loadd(0, starts, 64);
  _tile_loadd(1, starts, 64);
  _tile_loadd(2, starts + kTileBytes / 4, 64);
  _tile_loadd(3, starts + kTileBytes / 4, 64);
#pragma GCC unroll 4
  for (int w = 0; w < n; ++w) {
    _tile_loadd(4, queries + (w * 2) * kTileBytes, 64);
    _tile_loadd(6, codes + w * kTileBytes, 64);
    _tile_loadd(5, queries + (w * 2 + 1) * kTileBytes, 64);
    _tile_loadd(7, codes + (n + w) * kTileBytes, 64);
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_stored(0, out, 64);
  _tile_stored(1, out + 256, 64);
  _tile_stored(2, out + 512, 64);
  _tile_stored(3, out + 768, 64);
}

// The sign bits of a tile's 16 rows, or-ed.
SKETCHFAST_AMX inline __attribute__((always_inline)) __m512i or_rows(const int32_t* tile) {
  __m512i a = _mm512_load_si512(tile);
  __m512i b = _mm512_load_si512(tile + 16);
#pragma GCC unroll 7
  for (int row = 2; row < kTileRows; row += 4) {
    a = _mm512_ternarylogic_epi32(a, _mm512_load_si512(tile + row * 16), _mm512_load_si512(tile + row * 16 + 16), 0xfe);
    if (row + 2 == kTileRows) break;
    b = _mm512_ternarylogic_epi32(b, _mm512_load_si512(tile + row * 16 + 32), _mm512_load_si512(tile + row * 16 + 48),
                                  0xfe);
  }
  return _mm512_or_si512(a, b);
}

// Offers one tile's codes `columns` to the 16 queries, by column: cheap when few codes qualify, as is usual.
SKETCHFAST_AMX inline void collect_columns(const int32_t* tile, uint32_t columns, int64_t first_id,
                                           Collector* collectors, uint32_t valid_queries,
                                           const int32_t* thresholds_at_start) {
  const __m512i down = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                          _mm512_set1_epi32(16));
  for (; columns != 0; columns &= columns - 1) {
    const int n = __builtin_ctz(columns);
    const __m512i column = _mm512_i32gather_epi32(down, tile + n, 4);
    uint32_t hits = _mm512_movepi32_mask(column) & valid_queries;
    for (; hits != 0; hits &= hits - 1) {
      const int q = __builtin_ctz(hits);
      collectors[q].push(tile[q * 16 + n] / 2 + thresholds_at_start[q], first_id + n);
    }
  }
}

// Offers two neighbouring tiles (16 queries, 32 codes) by row, a whole row at once: for the beginning of a scan, when
// most codes qualify.
SKETCHFAST_AMX inline void collect_rows(const int32_t* tiles, uint32_t valid_codes, int64_t first_id,
                                        Collector* collectors, uint32_t valid_queries,
                                        const int32_t* thresholds_at_start) {
  const __m512i numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (; valid_queries != 0; valid_queries &= valid_queries - 1) {
    const int q = __builtin_ctz(valid_queries);
    Collector& nearest = collectors[q];
    for (int half = 0; half < 2; ++half) {
      const __m512i row = _mm512_load_si512(tiles + half * 256 + q * 16);
      const __m512i distances = _mm512_add_epi32(_mm512_srai_epi32(row, 1), _mm512_set1_epi32(thresholds_at_start[q]));
      const auto valid = static_cast<__mmask16>(valid_codes >> (half * kTileRows));
      const __mmask16 hits = _mm512_mask_cmplt_epi32_mask(valid, distances, _mm512_set1_epi32(nearest.threshold()));
      if (hits == 0) continue;
      const auto offset = static_cast<int>(first_id - nearest.first_id()) + half * kTileRows;
      const __m512i offsets = _mm512_add_epi32(numbers, _mm512_set1_epi32(offset));
      _mm512_storeu_si512(nearest.distances_end(), _mm512_maskz_compress_epi32(hits, distances));
      _mm512_storeu_si512(nearest.offsets_end(), _mm512_maskz_compress_epi32(hits, offsets));
      nearest.appended(__builtin_popcount(hits));
    }
  }
}

// Offers each query's codes below the threshold it started from to its collector.
SKETCHFAST_AMX inline void collect_step(const int32_t* results, const __m512i* signs, int64_t first_id, int64_t last_id,
                                        Collector* collectors, int64_t num_queries,
                                        const int32_t* thresholds_at_start) {
  const int64_t valid = last_id - first_id;
  const uint32_t valid_codes = valid >= kStepCodes ? ~0u : (1u << valid) - 1;
  const uint32_t valid_queries = num_queries >= kStepQueries ? ~0u : (1u << num_queries) - 1;
  for (int h = 0; h < 2; ++h) {
    const uint32_t low = _mm512_movepi32_mask(signs[2 * h]);
    const uint32_t high = _mm512_movepi32_mask(signs[2 * h + 1]);
    const uint32_t columns = (low | high << kTileRows) & valid_codes;
    const uint32_t half_queries = (valid_queries >> (h * kTileRows)) & 0xffff;
    const int32_t* tiles = results + h * 512;
    Collector* half_collectors = collectors + h * kTileRows;
    const int32_t* half_thresholds = thresholds_at_start + h * kTileRows;
    if (__builtin_popcount(columns) > kManyColumns) {
      collect_rows(tiles, valid_codes, first_id, half_collectors, half_queries, half_thresholds);
      continue;
    }
    collect_columns(tiles, columns & 0xffff, first_id, half_collectors, half_queries, half_thresholds);
    collect_columns(tiles + 256, columns >> kTileRows, first_id + kTileRows, half_collectors, half_queries,
                    half_thresholds);
  }
}

template <int kWords>
SKETCHFAST_AMX void scan_words(const ScanTask& task) {
  const int words = words_of(task.bytes);
  const int positions = 64 * words;
  const int64_t groups = (task.num_queries + kStepQueries - 1) / kStepQueries;
  const int64_t step = std::max<int64_t>(kStepCodes, kWidenedBytes / (64 * words) / kStepCodes * kStepCodes);
  AlignedArray<int8_t> queries(groups * kStepQueries * positions);
  AlignedArray<int8_t> codes(step * positions);
  AlignedArray<int32_t> starts(groups * kStepQueries * 16);
  AlignedArray<int32_t> results(2 * kStepQueries * kStepCodes);
  std::vector<int32_t> thresholds(static_cast<size_t>(groups * kStepQueries), 0);
  widen_queries(task.queries, task.num_queries, task.bytes, words, queries.data());
  // Padding queries start at K, so that their results 2d are never negative.
  for (int64_t q = 0; q < groups * kStepQueries; ++q) {
    if (q < task.num_queries) thresholds[static_cast<size_t>(q)] = task.collectors[q].threshold();
    _mm512_store_si512(starts.data() + q * 16, _mm512_set1_epi32(positions - 2 * thresholds[static_cast<size_t>(q)]));
  }
  const TileRegisters registers;
  for (int64_t first = task.first; first < task.last; first += step) {
    const int64_t count = std::min(step, task.last - first);
    const int64_t steps = (count + kStepCodes - 1) / kStepCodes;
    widen_codes(task.database + first * task.bytes, count, task.bytes, words, codes.data());
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t q = g * kStepQueries;
      const int64_t num_queries = std::min<int64_t>(kStepQueries, task.num_queries - q);
      const int8_t* query_tiles = queries.data() + q * positions;
      int32_t* group_starts = starts.data() + q * 16;
      int32_t* group_thresholds = thresholds.data() + q;
      bool collected = false;
      // Thresholds that fall during this loop reach the start rows only after it: two steps are in flight, and a row
      // must not change between them. Pushes compare with the threshold of the moment.
      for (int64_t s = 0; s <= steps; ++s) {
        int32_t* now = results.data() + s % 2 * (kStepQueries * kStepCodes);
        const int32_t* before = results.data() + (s + 1) % 2 * (kStepQueries * kStepCodes);
        if (s < steps) {
          multiply_step<kWords>(group_starts, query_tiles, codes.data() + s * kStepCodes * positions, words, now);
        }
        if (s == 0) continue;
        const __m512i signs[4] = {or_rows(before), or_rows(before + 256), or_rows(before + 512), or_rows(before + 768)};
        const __m512i any = _mm512_or_si512(_mm512_ternarylogic_epi32(signs[0], signs[1], signs[2], 0xfe), signs[3]);
        if (__builtin_expect(_mm512_movepi32_mask(any) == 0, 1)) continue;
        collect_step(before, signs, first + (s - 1) * kStepCodes, task.last, task.collectors + q, num_queries,
                     group_thresholds);
        collected = true;
      }
      if (!collected) continue;
      for (int64_t i = 0; i < num_queries; ++i) {
        const int32_t threshold = task.collectors[q + i].threshold();
        if (threshold == group_thresholds[i]) continue;
        group_thresholds[i] = threshold;
        _mm512_store_si512(group_starts + i * 16, _mm512_set1_epi32(positions - 2 * threshold));
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

}  // namespace

// A distance matrix is bound by writing it, so VPOPCNTQ serves there.
const HammingKernels* hamming_kernels_amx() {
  static const HammingKernels kernels = {scan, hamming_kernels_avx512()->distances_uint8,
                                         hamming_kernels_avx512()->distances_int16};
  return &kernels;
}

}  // namespace sketchfast::cpu

#else

namespace sketchfast::cpu {
const HammingKernels* hamming_kernels_amx() { return nullptr; }
}  // namespace sketchfast::cpu

#endif
