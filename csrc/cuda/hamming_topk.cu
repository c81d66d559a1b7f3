// hamming_topk: the k nearest codes of each query, exactly, ordered by (distance, id).
//
//   1 count a sample   counts over every sample_step-th group of codes
//   2 select           limit[q] = the sample's k-th smallest distance. Among all codes the k-th smallest is no
//                      larger, so the limit is safe whatever the data: at worst it is loose, which costs time, not
//                      correctness
//   3 count            codes within the limit, per query, distance and unit
//   4 select           limit[q] = the k-th smallest distance itself; counts become output positions (exclusive
//                      sums over distance, then unit)
//   5 place            every code within the limit goes to its position; positions beyond k (ties with large ids)
//                      are dropped
//
// Every position 0..k-1 is written exactly once, so the result depends neither on the order of blocks nor on what the
// output held. Cost: two readings of the database and 2 * 2W POPC per pair, plus the sample. Without steps 1 and 2
// every pair would pass through step 3's shared-memory counters; with a sample of 4 sqrt(kN) codes only about
// sqrt(kN) / 4 do.
//
// Compiled, and run through the CPU emulation of tests/cuda; not yet executed on a GPU.
#include <cmath>

#include "hamming.h"
#include "hamming_code.h"
#include "hamming_walk.h"
#include "launch.h"

namespace sketchfast::cuda {
namespace {

__device__ __forceinline__ int64_t warp_inclusive_sum(int64_t value, int lane) {
#pragma unroll
  for (int offset = 1; offset < kWarp; offset *= 2) {
    const int64_t lower = __shfl_up_sync(kFullWarp, static_cast<long long>(value), offset);
    if (lane >= offset) value += lower;
  }
  return value;
}

// One block per query. bounded: limits[q] holds an upper bound of the answer and counts are known up to it.
// place: turn counts up to the new limit into positions.
// Shared: int64 [distances] totals, then first positions, of a distance; int32 the new limit.
__global__ void hamming_select(int64_t* counts, int32_t* limits, int distances, int64_t units, int64_t k, bool bounded,
                               bool place) {
  extern __shared__ __align__(16) unsigned char shared_memory[];
  int64_t* totals = reinterpret_cast<int64_t*>(shared_memory);
  int32_t* limit = reinterpret_cast<int32_t*>(totals + distances);
  const int lane = threadIdx.x % kWarp;
  const int warp = threadIdx.x / kWarp;
  const int warps = blockDim.x / kWarp;
  const int64_t query = blockIdx.x;
  int64_t* rows = counts + query * distances * units;
  const int known = bounded ? limits[query] : distances - 1;

  for (int distance = warp; distance <= known; distance += warps) {
    int64_t sum = 0;
    for (int64_t unit = lane; unit < units; unit += kWarp) sum += rows[distance * units + unit];
    sum = warp_inclusive_sum(sum, lane);
    if (lane == kWarp - 1) totals[distance] = sum;
  }
  __syncthreads();

  if (warp == 0) {
    int reached = distances - 1;  // a sample of fewer than k codes bounds nothing
    int64_t below = 0;
    for (int first = 0; first <= known; first += kWarp) {
      const int distance = first + lane;
      const int64_t own = distance <= known ? totals[distance] : 0;
      const int64_t upto = below + warp_inclusive_sum(own, lane);
      if (distance <= known) totals[distance] = upto - own;
      const unsigned enough = __ballot_sync(kFullWarp, distance <= known && upto >= k);
      if (enough != 0) {  // the same for all lanes
        reached = first + __ffs(static_cast<int>(enough)) - 1;
        break;
      }
      below = __shfl_sync(kFullWarp, static_cast<long long>(upto), kWarp - 1);
    }
    if (lane == 0) {
      *limit = reached;
      limits[query] = reached;
    }
  }
  __syncthreads();
  if (!place) return;

  for (int distance = warp; distance <= *limit; distance += warps) {
    int64_t position = totals[distance];
    for (int64_t first = 0; first < units; first += kWarp) {
      const int64_t unit = first + lane;
      const int64_t own = unit < units ? rows[distance * units + unit] : 0;
      const int64_t upto = position + warp_inclusive_sum(own, lane);
      if (unit < units) rows[distance * units + unit] = upto - own;
      position = __shfl_sync(kFullWarp, static_cast<long long>(upto), kWarp - 1);
    }
  }
}

cudaError_t select(const HammingPlan& plan, const HammingWalk& walk, int32_t* limits, bool bounded, bool place,
                   cudaStream_t stream) {
  const int threads = walk.num_queries <= 64 ? 1024 : 256;  // few queries have many units each
  const size_t shared = sizeof(int64_t) * plan.distances + 16;
  return launch(hamming_select, walk.num_queries, threads, shared, stream, walk.counts, limits, plan.distances,
                plan.units, walk.k, bounded, place);
}

}  // namespace

HammingPlan plan_hamming_topk(int64_t num_queries, int64_t num_database, int64_t bytes, int64_t k, bool vector,
                              const HammingTuning& tuning) {
  HammingPlan plan = {};
  plan.words = with_code_words(bytes, [](auto words) { return static_cast<int>(words); });
  plan.vector = vector;
  plan.distances = static_cast<int>(8 * bytes) + 1;
  // Queries of at most 64 registers in all; reading odd rows takes registers too.
  const int most = !vector && plan.words == 4 ? 4 : plan.words <= 4 ? 8 : 32 / plan.words;
  plan.queries_per_warp = !vector ? most : num_queries == 1 ? 1 : num_queries <= 4 ? (most < 4 ? most : 4) : most;
  // Few queries: 32 bytes in flight per lane, so that memory stays busy. Many: 16 do, registers are dear.
  const int lane_words = plan.queries_per_warp <= 4 && plan.words <= 4 ? 4 : 2;
  plan.codes_per_lane = vector && plan.words < lane_words ? lane_words / plan.words : 1;
  plan.groups = ceil_div(num_database, kWarp * plan.codes_per_lane);
  const int64_t teams = ceil_div(num_queries, plan.queries_per_warp);
  const int64_t most_units = ceil_div(plan.groups, tuning.groups_per_unit);
  plan.units = std::clamp<int64_t>(tuning.warps_wanted / teams, 1, most_units);

  plan.sample_step = 1;
  if (num_queries >= ceil_div(tuning.pairs_worth_sampling, num_database)) {
    const double sample = tuning.sample_factor * std::sqrt(static_cast<double>(k) * static_cast<double>(num_database));
    const int64_t step = static_cast<int64_t>(static_cast<double>(num_database) / sample);
    plan.sample_step = step >= 2 ? step : 1;
  }

  const int64_t counts_per_query = plan.distances * plan.units * static_cast<int64_t>(sizeof(int64_t));
  const int64_t block_queries = kWalkWarps * plan.queries_per_warp;
  const int64_t fitting = tuning.counts_bytes / counts_per_query / block_queries * block_queries;
  plan.query_batch = std::min(num_queries, std::max(fitting, block_queries));
  plan.counts_bytes = static_cast<size_t>(round_up(plan.query_batch * counts_per_query, 256));
  plan.limits_bytes = static_cast<size_t>(round_up(plan.query_batch * static_cast<int64_t>(sizeof(int32_t)), 256));
  return plan;
}

size_t hamming_topk_workspace(int64_t num_queries, int64_t num_database, int64_t bytes, int64_t k,
                              const HammingTuning& tuning) {
  if (num_queries <= 0 || num_database <= 0 || k <= 0 || !valid_code_bytes(bytes)) return 0;
  size_t most = 0;
  for (const bool vector : {false, true}) {  // the database's alignment is not known yet
    const HammingPlan plan = plan_hamming_topk(num_queries, num_database, bytes, k, vector, tuning);
    most = std::max(most, plan.counts_bytes + plan.limits_bytes);
  }
  return most;
}

cudaError_t hamming_topk(const uint8_t* queries, int64_t num_queries, const uint8_t* database, int64_t num_database,
                         int64_t bytes, int64_t k, int32_t* distances, int64_t* ids, void* workspace,
                         cudaStream_t stream, const HammingTuning& tuning) {
  if (num_queries < 0 || k < 0 || k > num_database || !valid_code_bytes(bytes)) return cudaErrorInvalidValue;
  if (num_queries == 0 || k == 0) return cudaSuccess;
  if (workspace == nullptr) return cudaErrorInvalidValue;

  const HammingPlan plan = plan_hamming_topk(num_queries, num_database, bytes, k, vector_rows(database, bytes), tuning);
  int64_t* counts = static_cast<int64_t*>(workspace);
  int32_t* limits = reinterpret_cast<int32_t*>(static_cast<uint8_t*>(workspace) + plan.counts_bytes);
  for (int64_t first = 0; first < num_queries; first += plan.query_batch) {
    HammingWalk walk = {};
    walk.queries = queries + first * bytes;
    walk.num_queries = std::min(plan.query_batch, num_queries - first);
    walk.database = database;
    walk.num_database = num_database;
    walk.bytes = static_cast<int>(bytes);
    walk.distances = plan.distances;
    walk.units = plan.units;
    walk.counts = counts;
    walk.k = k;
    walk.out_distances = distances + first * k;
    walk.out_ids = ids + first * k;

    const bool sampled = plan.sample_step > 1;
    cudaError_t error = cudaSuccess;
    if (sampled) {
      walk.group_step = plan.sample_step;
      walk.groups = ceil_div(plan.groups, plan.sample_step);
      if ((error = hamming_count(plan, walk, stream)) != cudaSuccess) return error;
      if ((error = select(plan, walk, limits, false, false, stream)) != cudaSuccess) return error;
      walk.limits = limits;
    }
    walk.group_step = 1;
    walk.groups = plan.groups;
    if ((error = hamming_count(plan, walk, stream)) != cudaSuccess) return error;
    if ((error = select(plan, walk, limits, sampled, true, stream)) != cudaSuccess) return error;
    walk.limits = limits;
    if ((error = hamming_place(plan, walk, stream)) != cudaSuccess) return error;
  }
  return cudaSuccess;
}

}  // namespace sketchfast::cuda
