// Hamming scan in plain C++: any processor, and the check on the others.
//
//   d(q, c) = sum_w popcount(q_w xor c_w)
//
// Layout: tiles of hamming_scan.h, eight codes at a time so that a compiler may use whatever vectors its baseline has.
// Cost: about a dozen integer operations a 64-bit word where the baseline has no popcnt (x86-64).
#include "hamming_scan.h"

namespace sketchfast::cpu {
namespace {

inline void block_distances(const uint64_t* block, const uint64_t* query, int words, uint64_t* sums) {
  for (int l = 0; l < kLanes; ++l) sums[l] = 0;
  for (int w = 0; w < words; ++w) {
    for (int l = 0; l < kLanes; ++l) sums[l] += static_cast<uint64_t>(popcount64(block[w * kLanes + l] ^ query[w]));
  }
}

void scan(const ScanTask& task) {
  const int words = words_of(task.bytes);
  const int64_t step = tile_codes(words);
  std::vector<uint64_t> tile(static_cast<size_t>(step * words));
  for (int64_t first = task.first; first < task.last; first += step) {
    const int64_t count = std::min(step, task.last - first);
    fill_tile(task.database + first * task.bytes, count, task.bytes, words, tile.data());
    for (int64_t q = 0; q < task.num_queries; ++q) {
      uint64_t query[kMaxWords];
      load_code(task.queries + q * task.bytes, task.bytes, query);
      Collector& nearest = task.collectors[q];
      for (int64_t c = 0; c < count; c += kLanes) {
        uint64_t sums[kLanes];
        block_distances(tile.data() + c * words, query, words, sums);
        const auto threshold = static_cast<uint64_t>(nearest.threshold());
        uint64_t below = 0;
        for (int l = 0; l < kLanes; ++l) below |= sums[l] - threshold;
        if (static_cast<int64_t>(below) >= 0) continue;
        const int64_t valid = std::min<int64_t>(kLanes, count - c);
        for (int64_t l = 0; l < valid; ++l) nearest.push(static_cast<int32_t>(sums[l]), first + c + l);
      }
    }
  }
}

template <class T>
void distances(const DistanceTask<T>& task) {
  const int words = words_of(task.bytes);
  const int64_t step = tile_codes(words);
  std::vector<uint64_t> tile(static_cast<size_t>(step * words));
  for (int64_t first = task.first; first < task.last; first += step) {
    const int64_t count = std::min(step, task.last - first);
    fill_tile(task.database + first * task.bytes, count, task.bytes, words, tile.data());
    for (int64_t q = 0; q < task.num_queries; ++q) {
      uint64_t query[kMaxWords];
      load_code(task.queries + q * task.bytes, task.bytes, query);
      T* out = task.out + q * task.out_stride + (first - task.first);
      for (int64_t c = 0; c < count; c += kLanes) {
        uint64_t sums[kLanes];
        block_distances(tile.data() + c * words, query, words, sums);
        const int64_t valid = std::min<int64_t>(kLanes, count - c);
        for (int64_t l = 0; l < valid; ++l) out[c + l] = static_cast<T>(sums[l]);
      }
    }
  }
}

constexpr HammingKernels kKernels = {scan, distances<uint8_t>, distances<int16_t>};

}  // namespace

const HammingKernels* hamming_kernels_portable() { return &kKernels; }

}  // namespace sketchfast::cpu
