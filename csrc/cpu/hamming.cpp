// Choice of path, division of the work among threads, and the search for large k. The arithmetic is in
// hamming_<path>.cpp, the selection of the k nearest in hamming_scan.h.
//
// Many queries: groups of queries run in parallel, each over the whole database. Few queries: ranges of the database
// run in parallel and are merged. Large k (an eighth of the database and more): nearly every code is kept, so
// collecting is pointless; the distances of one query are written out and put in order by one counting sort.
#include "hamming.h"

#include "cpu_features.h"
#include "hamming_scan.h"
#include "parallel.h"

namespace sketchfast::cpu {
namespace {

constexpr int64_t kWorkGrain = int64_t{1} << 19;         // word pairs that pay for starting a thread
constexpr int64_t kGroupQueries = 512;                   // queries that share one pass over the database
constexpr int64_t kCandidateBytes = int64_t{256} << 20;  // bound on all candidate buffers alive at once
constexpr int64_t kMinPartCodes = 16384;
constexpr int64_t kMaxPartCodes = int64_t{1} << 31;  // what a collector counts in 32 bits
constexpr int64_t kAmxQueries = 32;                  // a tile group; below this its rows are mostly padding

const HammingKernels* kernels_of(HammingPath path) {
  const CpuFeatures& features = cpu_features();
  switch (path) {
    case HammingPath::automatic:
    case HammingPath::portable:
      return hamming_kernels_portable();
    case HammingPath::avx2:
      return features.avx2 ? hamming_kernels_avx2() : nullptr;
    case HammingPath::avx512_vpopcnt:
      return features.avx512_vpopcnt ? hamming_kernels_avx512() : nullptr;
    case HammingPath::amx_int8:
      return features.amx_int8 ? hamming_kernels_amx() : nullptr;
  }
  return nullptr;
}

const HammingKernels& choose_kernels(HammingPath path, int64_t num_queries) {
  if (path == HammingPath::automatic) {
    for (const HammingPath candidate : {HammingPath::amx_int8, HammingPath::avx512_vpopcnt, HammingPath::avx2}) {
      if (candidate == HammingPath::amx_int8 && num_queries < kAmxQueries) continue;
      if (const HammingKernels* kernels = kernels_of(candidate)) return *kernels;
    }
  }
  const HammingKernels* kernels = kernels_of(path);
  return kernels ? *kernels : *hamming_kernels_portable();
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

void run_distances(const HammingKernels& kernels, const DistanceTask<uint8_t>& task) { kernels.distances_uint8(task); }
void run_distances(const HammingKernels& kernels, const DistanceTask<int16_t>& task) { kernels.distances_int16(task); }

template <class T>
void cdist(const uint8_t* queries, int64_t num_queries, const uint8_t* database, int64_t num_database, int64_t bytes,
           T* out, int num_threads, HammingPath path) {
  if (num_queries == 0 || num_database == 0) return;
  const HammingKernels& kernels = choose_kernels(path, num_queries);
  const int threads = threads_for(num_threads, num_queries * num_database * words_of(bytes), kWorkGrain);
  const int64_t group = std::max<int64_t>(1, std::min<int64_t>(64, num_queries / threads));
  const int64_t groups = ceil_div(num_queries, group);
  const int64_t part = round_up(ceil_div(num_database, groups >= threads ? 1 : ceil_div(threads, groups)), kScanCodes);
  const int64_t parts = ceil_div(num_database, part);
  parallel_for(groups * parts, threads, [&](int64_t t) {
    const int64_t q = t / parts * group;
    const int64_t first = t % parts * part;
    run_distances(kernels, DistanceTask<T>{queries + q * bytes, std::min(group, num_queries - q), database, first,
                                           std::min(first + part, num_database), bytes, out + q * num_database + first,
                                           num_database});
  });
}

// One query whose result is a large part of the database: distances, histogram and counting sort, by ranges of ids.
template <class T>
void sort_by_distance(const HammingKernels& kernels, const uint8_t* query, const uint8_t* database,
                      int64_t num_database, int64_t bytes, int64_t k, int32_t* distances, int64_t* ids, T* row,
                      int threads) {
  const auto bins = static_cast<size_t>(bytes * 8 + 1);
  const int64_t part = ceil_div(num_database, threads);
  const int64_t parts = ceil_div(num_database, part);
  std::vector<int64_t> place(static_cast<size_t>(parts) * bins, 0);
  parallel_for(parts, threads, [&](int64_t p) {
    const int64_t first = p * part;
    const int64_t last = std::min(first + part, num_database);
    run_distances(kernels, DistanceTask<T>{query, 1, database, first, last, bytes, row + first, num_database});
    int64_t* counts = place.data() + static_cast<size_t>(p) * bins;
    for (int64_t id = first; id < last; ++id) ++counts[row[id]];
  });
  int64_t before = 0;
  for (size_t d = 0; d < bins; ++d) {
    for (int64_t p = 0; p < parts; ++p) {
      int64_t& count = place[static_cast<size_t>(p) * bins + d];
      const int64_t start = before;
      before += count;
      count = start;
    }
  }
  parallel_for(parts, threads, [&](int64_t p) {
    int64_t* next = place.data() + static_cast<size_t>(p) * bins;
    const int64_t last = std::min((p + 1) * part, num_database);
    for (int64_t id = p * part; id < last; ++id) {
      const T d = row[id];
      const int64_t at = next[d]++;
      if (at >= k) continue;
      distances[at] = d;
      ids[at] = id;
    }
  });
}

template <class T>
void topk_by_sorting(const HammingKernels& kernels, const uint8_t* queries, int64_t num_queries,
                     const uint8_t* database, int64_t num_database, int64_t bytes, int64_t k, int32_t* distances,
                     int64_t* ids, int threads) {
  const bool by_query = num_queries >= threads;
  const auto one = [&](int64_t q, T* row, int query_threads) {
    sort_by_distance(kernels, queries + q * bytes, database, num_database, bytes, k, distances + q * k, ids + q * k,
                     row, query_threads);
  };
  const int64_t workers = by_query ? threads : 1;
  parallel_for(workers, threads, [&](int64_t worker) {
    const std::unique_ptr<T[]> row(new T[static_cast<size_t>(num_database)]);
    for (int64_t q = worker; q < num_queries; q += workers) one(q, row.get(), by_query ? 1 : threads);
  });
}

}  // namespace

bool hamming_path_available(HammingPath path) { return kernels_of(path) != nullptr; }

const char* hamming_path_name(HammingPath path) {
  switch (path) {
    case HammingPath::automatic:
      return "auto";
    case HammingPath::portable:
      return "portable";
    case HammingPath::avx2:
      return "avx2";
    case HammingPath::avx512_vpopcnt:
      return "avx512_vpopcnt";
    case HammingPath::amx_int8:
      return "amx_int8";
  }
  return "unknown";
}

void hamming_topk(const uint8_t* queries, int64_t num_queries, const uint8_t* database, int64_t num_database,
                  int64_t bytes, int64_t k, int32_t* distances, int64_t* ids, int num_threads, HammingPath path) {
  if (num_queries == 0 || num_database == 0 || k <= 0) return;
  const HammingKernels& kernels = choose_kernels(path, num_queries);
  const int threads = threads_for(num_threads, num_queries * num_database * words_of(bytes), kWorkGrain);
  if (k >= num_database / 8) {
    const auto sorting = bytes * 8 <= 255 ? topk_by_sorting<uint8_t> : topk_by_sorting<int16_t>;
    sorting(kernels, queries, num_queries, database, num_database, bytes, k, distances, ids, threads);
    return;
  }

  const int64_t affordable = std::max<int64_t>(1, kCandidateBytes / threads / (8 * (2 * k + 64)));
  int64_t group = std::min({kGroupQueries, affordable, num_queries});
  if (num_queries >= threads * kAmxQueries) {
    group = std::min(group, round_up(ceil_div(num_queries, threads), kAmxQueries));
  }
  const int64_t groups = ceil_div(num_queries, group);
  // Several ranges a thread even out unequal cores; each range warms its threshold up anew, which large k makes dear.
  const int64_t wanted_parts = groups >= threads ? 1 : ceil_div(threads * (k <= 128 ? 4 : 1), groups);
  const int64_t part =
      std::clamp(round_up(ceil_div(num_database, wanted_parts), kTileWords), kMinPartCodes, kMaxPartCodes);
  const int64_t parts = ceil_div(num_database, part);

  // At most `threads` groups are alive at once when each group is one task; otherwise groups run one after another.
  const int64_t rounds = parts == 1 ? 1 : groups;
  const int64_t groups_a_round = parts == 1 ? groups : 1;
  for (int64_t round = 0; round < rounds; ++round) {
    std::vector<std::vector<Collector>> by_part(static_cast<size_t>(parts == 1 ? 0 : parts));
    parallel_for(groups_a_round * parts, threads, [&](int64_t t) {
      const int64_t q = (round * groups_a_round + t / parts) * group;
      const int64_t first = t % parts * part;
      const int64_t last = std::min(first + part, num_database);
      const int64_t count = std::min(group, num_queries - q);
      std::vector<Collector> collectors;
      collectors.reserve(static_cast<size_t>(count));
      for (int64_t i = 0; i < count; ++i) collectors.emplace_back(k, bytes * 8, first, last - first);
      kernels.scan(ScanTask{queries + q * bytes, count, database, first, last, bytes, collectors.data()});
      if (parts > 1) {
        by_part[static_cast<size_t>(t)] = std::move(collectors);
        return;
      }
      for (int64_t i = 0; i < count; ++i) {
        Collector* only = &collectors[static_cast<size_t>(i)];
        Collector::finish(&only, 1, distances + (q + i) * k, ids + (q + i) * k);
      }
    });
    if (parts > 1) {
      const int64_t q = round * group;
      const int64_t count = std::min(group, num_queries - q);
      std::vector<Collector*> same_query(static_cast<size_t>(parts));
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t p = 0; p < parts; ++p)
          same_query[static_cast<size_t>(p)] = &by_part[static_cast<size_t>(p)][static_cast<size_t>(i)];
        Collector::finish(same_query.data(), parts, distances + (q + i) * k, ids + (q + i) * k);
      }
    }
  }
}

void hamming_cdist(const uint8_t* queries, int64_t num_queries, const uint8_t* database, int64_t num_database,
                   int64_t bytes, uint8_t* out, int num_threads, HammingPath path) {
  cdist(queries, num_queries, database, num_database, bytes, out, num_threads, path);
}

void hamming_cdist(const uint8_t* queries, int64_t num_queries, const uint8_t* database, int64_t num_database,
                   int64_t bytes, int16_t* out, int num_threads, HammingPath path) {
  cdist(queries, num_queries, database, num_database, bytes, out, num_threads, path);
}

}  // namespace sketchfast::cpu
