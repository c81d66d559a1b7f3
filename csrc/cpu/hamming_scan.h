// What the Hamming paths share: the running selection of the k nearest, and the tile layout. Internal to csrc/cpu.
//
// Selection. Distances are small integers (0..1024), so the k nearest are found by counting, never by comparison sorts.
// A collector appends codes in ascending id. Now and then (every 4 + k/8 candidates) it counts the distances of the new
// ones and lowers its threshold t to the k-th smallest distance so far: a later code at distance t cannot enter,
// because ties go to the smaller id. When the buffer is full, candidates beyond the threshold are dropped in place,
// which keeps id order. The result is one stable counting sort. Cost: an append is two stores, counting O(1) a
// candidate, finishing O(k + bits).
//
// Parts. Ranges of the database scanned by different threads have one collector each. Put back in range order their
// candidates are again in ascending id, so merging is the same counting sort over the summed histograms, and the answer
// does not depend on how the database was cut.
//
// Tile. Codes are widened to 64-bit words (padding bits are 0 in queries and codes alike) and stored by blocks of eight
// codes, word by word: tile[block][word][lane]. A vector register then holds the same word of neighbouring codes, and
// distances need no horizontal sums. A tile is 16 KiB, stays in L1 and serves every query of the group.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "hamming.h"

namespace sketchfast::cpu {

constexpr int kLanes = 8;           // codes a block of a tile
constexpr int64_t kScanCodes = 64;  // codes between two looks at the threshold
constexpr int64_t kTileWords = 2048;
constexpr int kMaxWords = static_cast<int>(kMaxCodeBits / 64);

class Collector {
 public:
  // How many candidates may be written behind the end at once; SIMD appends store whole registers.
  static constexpr int64_t kRoom = 32;

  // Collects from ids [first_id, first_id + range), range less than 2^32.
  Collector(int64_t k, int64_t max_distance, int64_t first_id, int64_t range)
      : threshold_(static_cast<int32_t>(max_distance) + 1),
        k_(k),
        first_id_(first_id),
        capacity_(std::min(range, 2 * k + 64) + 2 * kRoom),
        tighten_every_(4 + k / 8),
        distances_(new int32_t[static_cast<size_t>(capacity_)]),
        offsets_(new uint32_t[static_cast<size_t>(capacity_)]),
        counts_(static_cast<size_t>(max_distance) + 1, 0) {
    tighten_at_ = std::min(std::max(k, tighten_every_), capacity_ - kRoom);
  }

  // Only distances below this can still enter; it never rises.
  int32_t threshold() const { return threshold_; }

  // Ids must come in ascending order. Pushes at or above the threshold are ignored.
  void push(int32_t distance, int64_t id) {
    if (distance >= threshold_) return;
    distances_[static_cast<size_t>(size_)] = distance;
    offsets_[static_cast<size_t>(size_)] = static_cast<uint32_t>(id - first_id_);
    appended(1);
  }

  // Many pushes at once: write up to kRoom distances and offsets (id - first_id) here, then say how many count.
  // Distances at or above the threshold may be among them.
  int32_t* distances_end() { return distances_.get() + size_; }
  uint32_t* offsets_end() { return offsets_.get() + size_; }
  int64_t first_id() const { return first_id_; }
  void appended(int64_t count) {
    size_ += count;
    if (size_ >= tighten_at_) tighten();
  }

  // The k nearest among the candidates of all parts, whose ranges ascend in id.
  // Together they must have been offered at least k codes.
  static void finish(Collector* const* parts, int64_t num_parts, int32_t* distances, int64_t* ids) {
    const int64_t k = parts[0]->k_;
    auto last = static_cast<int32_t>(parts[0]->counts_.size()) - 1;  // largest distance that can be in the result
    for (int64_t p = 0; p < num_parts; ++p) {
      parts[p]->tighten();
      last = std::min(last, parts[p]->threshold_);
    }
    std::vector<int64_t> place(static_cast<size_t>(last) + 1);
    int64_t before = 0;
    for (int32_t d = 0; d <= last; ++d) {
      place[static_cast<size_t>(d)] = before;
      for (int64_t p = 0; p < num_parts; ++p) before += parts[p]->counts_[static_cast<size_t>(d)];
    }
    for (int64_t p = 0; p < num_parts; ++p) {
      const Collector& part = *parts[p];
      for (int64_t i = 0; i < part.size_; ++i) {
        const int32_t d = part.distances_[static_cast<size_t>(i)];
        if (d > last || place[static_cast<size_t>(d)] >= k) continue;
        const int64_t at = place[static_cast<size_t>(d)]++;
        distances[at] = d;
        ids[at] = part.first_id_ + part.offsets_[static_cast<size_t>(i)];
      }
    }
  }

 private:
  void tighten() {
    for (int64_t i = counted_; i < size_; ++i) {
      const int32_t d = distances_[static_cast<size_t>(i)];
      ++counts_[static_cast<size_t>(d)];
      below_ += d < threshold_;
    }
    while (below_ >= k_) {
      --threshold_;
      below_ -= counts_[static_cast<size_t>(threshold_)];
    }
    if (size_ + tighten_every_ > capacity_ - kRoom) drop_beyond_threshold();
    counted_ = size_;
    tighten_at_ = std::min(size_ + tighten_every_, capacity_ - kRoom);
  }

  void drop_beyond_threshold() {
    int64_t ties = k_ - below_;
    int64_t kept = 0;
    for (int64_t i = 0; i < size_; ++i) {
      const int32_t d = distances_[static_cast<size_t>(i)];
      const uint32_t offset = offsets_[static_cast<size_t>(i)];
      const bool keep = d < threshold_ || (d == threshold_ && ties-- > 0);
      distances_[static_cast<size_t>(kept)] = d;
      offsets_[static_cast<size_t>(kept)] = offset;
      kept += keep;
    }
    size_ = kept;
  }

  int32_t threshold_;
  int64_t size_ = 0;
  int64_t tighten_at_;  // the size at which to count; at most capacity_ - kRoom
  int64_t k_;
  int64_t first_id_;
  int64_t capacity_;
  int64_t tighten_every_;
  std::unique_ptr<int32_t[]> distances_;
  std::unique_ptr<uint32_t[]> offsets_;
  int64_t counted_ = 0;           // candidates before this one are in counts_
  int64_t below_ = 0;             // counted candidates with distance < threshold_; always less than k_
  std::vector<uint32_t> counts_;  // counted candidates at each distance; exact below the threshold
};

// One thread's share of a search: every query of a group against ids [first, last).
struct ScanTask {
  const uint8_t* queries;
  int64_t num_queries;
  const uint8_t* database;  // id 0
  int64_t first;
  int64_t last;
  int64_t bytes;
  Collector* collectors;  // one a query
};

// One thread's share of a distance matrix: out[q * out_stride + id - first].
template <class T>
struct DistanceTask {
  const uint8_t* queries;
  int64_t num_queries;
  const uint8_t* database;
  int64_t first;
  int64_t last;
  int64_t bytes;
  T* out;
  int64_t out_stride;
};

// What one instruction set implements.
struct HammingKernels {
  void (*scan)(const ScanTask&);
  void (*distances_uint8)(const DistanceTask<uint8_t>&);
  void (*distances_int16)(const DistanceTask<int16_t>&);
};

// Null where the compiler's target lacks the instruction set. Callers ask cpu_features() before they run one.
const HammingKernels* hamming_kernels_portable();
const HammingKernels* hamming_kernels_avx2();
const HammingKernels* hamming_kernels_avx512();
const HammingKernels* hamming_kernels_amx();

inline int words_of(int64_t bytes) { return static_cast<int>((bytes + 7) / 8); }
inline int64_t tile_codes(int words) {
  return std::max<int64_t>(kScanCodes, kTileWords / words / kScanCodes * kScanCodes);
}

// Widens one code to words; the bytes behind it are not touched.
inline void load_code(const uint8_t* code, int64_t bytes, uint64_t* words) {
  words[(bytes - 1) / 8] = 0;
  std::memcpy(words, code, static_cast<size_t>(bytes));
}

// Fills the blocks of `count` codes; lanes past the end become zero codes, which callers mask by id.
inline void fill_tile(const uint8_t* codes, int64_t count, int64_t bytes, int words, uint64_t* tile) {
  const int64_t padded = (count + kScanCodes - 1) / kScanCodes * kScanCodes;
  if (count < padded)
    std::memset(tile + count / kLanes * kLanes * words, 0,
                static_cast<size_t>((padded - count / kLanes * kLanes) * words) * 8);
  const bool whole_words = bytes % 8 == 0;
  for (int64_t c = 0; c < count; ++c) {
    uint64_t* lane = tile + c / kLanes * kLanes * words + c % kLanes;
    const uint8_t* code = codes + c * bytes;
    const int whole = whole_words ? words : words - 1;
    for (int w = 0; w < whole; ++w) std::memcpy(lane + w * kLanes, code + w * 8, 8);
    if (!whole_words) {
      uint64_t rest = 0;
      std::memcpy(&rest, code + whole * 8, static_cast<size_t>(bytes - whole * 8));
      lane[whole * kLanes] = rest;
    }
  }
}

}  // namespace sketchfast::cpu
