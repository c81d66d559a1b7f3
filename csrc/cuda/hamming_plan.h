// How hamming_topk divides its work. Depends on the sizes alone, so the workspace is known before the call and the same
// sizes give the same launches on every device.
//
//   group   the 32 * codes_per_lane consecutive codes that a warp looks at in one step
//   unit    the consecutive groups that one warp walks through, in order of id
//   team    the queries_per_warp queries that a warp compares with each of its codes
//
// One warp per (team, unit). counts[query][distance][unit] holds how many codes of the unit are that far from the
// query.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sketchfast::cuda {

constexpr int kWalkWarps = 8;

// What may be tuned for a device without touching the result. (Defaults derived for an H200, not yet measured.)
struct HammingTuning {
  int64_t warps_wanted = 4096;                      // about 31 for each of 132 multiprocessors: resident at once
  int64_t groups_per_unit = 8;                      // at least, or the counters cost more than the codes
  int64_t pairs_worth_sampling = int64_t{1} << 22;  // fewer (query, code) pairs do not pay for two more launches
  double sample_factor = 4.0;                       // a sample has sample_factor * sqrt(k * N) codes
  int64_t counts_bytes = int64_t{128} << 20;        // device memory for counts; more queries go round by round
};

struct HammingPlan {
  int words;             // 64-bit words of a padded code: 1, 2, 4, 8 or 16
  int queries_per_warp;  // 1, a few, or as many as fit in registers
  int codes_per_lane;
  bool vector;    // see hamming_code.h
  int distances;  // bits + 1
  int64_t groups;
  int64_t units;
  int64_t sample_step;  // one group in so many is counted first, to bound the limits; 1: no sampling
  int64_t query_batch;  // queries per round, so that counts stay within counts_bytes
  size_t counts_bytes;
  size_t limits_bytes;
};

HammingPlan plan_hamming_topk(int64_t num_queries, int64_t num_database, int64_t bytes, int64_t k, bool vector,
                              const HammingTuning& tuning);

// One pass of a batch of queries over the database; see hamming_walk.cu.
struct HammingWalk {
  const uint8_t* queries;
  int64_t num_queries;
  const uint8_t* database;
  int64_t num_database;
  int bytes;
  int distances;
  int64_t units;
  int64_t groups;  // groups to look at: numbers 0, group_step, 2 * group_step, ...
  int64_t group_step;
  const int32_t* limits;  // [num_queries] largest distance of interest; null: all are
  int64_t* counts;        // [num_queries, distances, units]; when placing: first output position, from select
  int64_t k;              // the rest only when placing
  int32_t* out_distances;
  int64_t* out_ids;
};

}  // namespace sketchfast::cuda
