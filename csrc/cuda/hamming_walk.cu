// Counting and placing: the two passes of hamming_topk over the database.
//
//   position(q, j) = #{i : d(q,i) < d(q,j)}  +  #{i < j : d(q,i) = d(q,j)}
//
// (a stable counting sort by distance); the k smallest positions are the answer. Codes are cut into units of
// consecutive ids, so the position is the sum of three counts: codes of smaller distance anywhere, codes of this
// distance in earlier units, earlier ones in this unit. The first two come from hamming_topk.cu as counts[q][d][u];
// the last one is kept while a warp walks through its unit.
//
// Both passes are the same walk. For each group of codes, in registers, a warp first asks per query whether any
// distance is within the query's limit (the filter: xor, POPC, compare, in any order, no bounds to check); only for
// queries where one is does it visit the group again in order of id. Limits are tight (hamming_topk.cu), so visits are
// rare and the filter is the cost: 2W POPC per pair at 16 lanes a clock and multiprocessor, or the reading of the
// database when queries are few.
//
// Shared memory belongs to one warp each; there is no block-wide barrier. Per warp: its team's queries, padded, as
// uint64 [team, W]; counters uint32 [team, distances]; limits int32 [team].
//
// Compiled, and run through the CPU emulation of tests/cuda; not yet executed on a GPU.
#include "hamming_walk.h"

#include <type_traits>

#include "hamming_code.h"
#include "launch.h"

namespace sketchfast::cuda {
namespace {

struct WarpMemory {
  uint64_t* queries;
  uint32_t* counters;
  int32_t* limits;
};

__host__ __device__ constexpr size_t counters_offset(int team, int words) { return size_t{8} * team * words; }
__host__ __device__ constexpr size_t limits_offset(int team, int words, int distances) {
  return counters_offset(team, words) + size_t{4} * team * distances;
}
__host__ __device__ constexpr size_t warp_memory_bytes(int team, int words, int distances) {
  return (limits_offset(team, words, distances) + size_t{4} * team + 15) / 16 * 16;
}

__device__ __forceinline__ WarpMemory warp_memory(int team, int words, int distances, int warp) {
  extern __shared__ __align__(16) unsigned char shared_memory[];
  unsigned char* start = shared_memory + warp * warp_memory_bytes(team, words, distances);
  return {reinterpret_cast<uint64_t*>(start), reinterpret_cast<uint32_t*>(start + counters_offset(team, words)),
          reinterpret_cast<int32_t*>(start + limits_offset(team, words, distances))};
}

// Every lane's codes of a whole group, in whatever order reads best.
template <int W, int kCodes, bool kVector>
__device__ __forceinline__ void load_group(const uint8_t* __restrict__ database, int bytes, int64_t first, int lane,
                                           uint64_t (&codes)[kCodes][W]) {
  if constexpr (kVector && W == 1) {
    static_assert(kCodes % 2 == 0);
    const ulonglong2* pairs = reinterpret_cast<const ulonglong2*>(database + first * 8);
#pragma unroll
    for (int i = 0; i < kCodes; i += 2) {
      const ulonglong2 pair = __ldg(pairs + i / 2 * kWarp + lane);
      codes[i][0] = pair.x;
      codes[i + 1][0] = pair.y;
    }
  } else {
#pragma unroll
    for (int i = 0; i < kCodes; ++i) {
      load_code<W, kVector>(database + (first + i * kWarp + lane) * bytes, bytes, codes[i]);
    }
  }
}

template <int W>
__device__ __forceinline__ void load_query(const uint64_t* staged, uint64_t (&query)[W]) {
#pragma unroll
  for (int w = 0; w < W; ++w) query[w] = staged[w];
}

// One query and the codes [first, first + 32), lane by lane in order of id.
template <int W, bool kVector, bool kPlace>
__device__ __forceinline__ void visit(const HammingWalk& walk, const WarpMemory& memory, int64_t query, int slot,
                                      int64_t unit, int64_t first, int lane) {
  const int64_t id = first + lane;
  int distance = walk.distances;  // larger than any limit
  if (id < walk.num_database) {
    uint64_t code[W];
    load_code<W, kVector>(walk.database + id * walk.bytes, walk.bytes, code);
    distance = 0;
#pragma unroll
    for (int w = 0; w < W; ++w) distance += popcount64(code[w] ^ memory.queries[slot * W + w]);
  }
  const bool hit = distance <= memory.limits[slot];
  uint32_t* counter = memory.counters + slot * walk.distances + (hit ? distance : 0);
  if constexpr (!kPlace) {
    if (hit) atomicAdd(counter, 1u);  // integers: the sum does not depend on the order
  } else {
    const unsigned hits = __ballot_sync(kFullWarp, hit);
    if (hits == 0) return;  // the same for all lanes
    unsigned equal = 0;
    uint32_t before = 0;
    if (hit) {
      equal = __match_any_sync(hits, distance);
      before = *counter;
    }
    __syncwarp();  // everyone has read before anyone writes
    const unsigned lower = equal & ((1u << lane) - 1u);
    if (hit && lower == 0) *counter = before + __popc(equal);
    __syncwarp();  // the next visit reads what was written
    if (hit) {
      const int64_t start = walk.counts[(query * walk.distances + distance) * walk.units + unit];
      const int64_t position = start + before + __popc(lower);
      if (position < walk.k) {
        walk.out_distances[query * walk.k + position] = distance;
        walk.out_ids[query * walk.k + position] = id;
      }
    }
  }
}

template <int W, int kTeam, int kCodes, bool kVector, bool kPlace>
__global__ void __launch_bounds__(kWalkWarps* kWarp)
    hamming_walk(const HammingWalk walk, int64_t teams, int team_warps, int64_t groups_per_unit) {
  constexpr int kGroup = kWarp * kCodes;
  const int lane = threadIdx.x % kWarp;
  const int warp = threadIdx.x / kWarp;
  // A block is team_warps teams times kWalkWarps / team_warps units; neighbouring blocks read the same codes.
  const int64_t team_blocks = ceil_div(teams, team_warps);
  const int64_t team = blockIdx.x % team_blocks * team_warps + warp % team_warps;
  const int64_t unit = blockIdx.x / team_blocks * (kWalkWarps / team_warps) + warp / team_warps;
  if (team >= teams || unit >= walk.units) return;

  const WarpMemory memory = warp_memory(kTeam, W, walk.distances, warp);
  const int64_t first_query = team * kTeam;
  const int64_t left = walk.num_queries - first_query;
  const int present = left < kTeam ? static_cast<int>(left) : kTeam;
  stage_codes<W>(walk.queries + first_query * walk.bytes, present, walk.bytes, kTeam, memory.queries, lane, kWarp);
  for (int i = lane; i < kTeam * walk.distances; i += kWarp) memory.counters[i] = 0;
  if (lane < kTeam) {
    // A query that is not there has limit -1: no distance is within it.
    const int all = walk.distances - 1;
    memory.limits[lane] = lane >= present ? -1 : walk.limits != nullptr ? walk.limits[first_query + lane] : all;
  }
  __syncwarp();

  // At 1,024 bits two queries and a code do not fit in registers together: queries then stay in shared memory.
  constexpr bool kInRegisters = W < 16;
  uint64_t queries[kInRegisters ? kTeam : 1][W];
  int32_t limits[kTeam];
#pragma unroll
  for (int q = 0; q < kTeam; ++q) {
    limits[q] = memory.limits[q];
    if constexpr (kInRegisters) load_query<W>(memory.queries + q * W, queries[q]);
  }

  const int64_t begin = unit * groups_per_unit;
  const int64_t end = begin + groups_per_unit < walk.groups ? begin + groups_per_unit : walk.groups;
#pragma unroll 1
  for (int64_t group = begin; group < end; ++group) {
    const int64_t first = group * walk.group_step * kGroup;
    unsigned suspects = (1u << present) - 1u;  // the last group may be short: it is visited, never filtered
    if (first + kGroup <= walk.num_database) {
      uint64_t codes[kCodes][W];
      load_group<W, kCodes, kVector>(walk.database, walk.bytes, first, lane, codes);
      unsigned mine = 0;
#pragma unroll
      for (int q = 0; q < kTeam; ++q) {
        const int held = kInRegisters ? q : 0;
        if constexpr (!kInRegisters) load_query<W>(memory.queries + q * W, queries[0]);
        int nearest = code_distance<W>(codes[0], queries[held]);
#pragma unroll
        for (int i = 1; i < kCodes; ++i) {
          const int distance = code_distance<W>(codes[i], queries[held]);
          nearest = distance < nearest ? distance : nearest;
        }
        mine |= static_cast<unsigned>(nearest <= limits[q]) << q;
      }
      suspects = __reduce_or_sync(kFullWarp, mine);
    }
    while (suspects != 0) {  // the same for all lanes
      const int slot = __ffs(static_cast<int>(suspects)) - 1;
      suspects &= suspects - 1;
#pragma unroll 1
      for (int i = 0; i < kCodes; ++i) {
        visit<W, kVector, kPlace>(walk, memory, first_query + slot, slot, unit, first + i * kWarp, lane);
      }
    }
  }

  if constexpr (!kPlace) {
    __syncwarp();
    for (int slot = 0; slot < present; ++slot) {
      for (int distance = lane; distance <= memory.limits[slot]; distance += kWarp) {
        walk.counts[((first_query + slot) * walk.distances + distance) * walk.units + unit] =
            memory.counters[slot * walk.distances + distance];
      }
    }
  }
}

template <int W, int kTeam, int kCodes, bool kVector, bool kPlace>
cudaError_t launch_walk(const HammingWalk& walk, cudaStream_t stream) {
  const int64_t teams = ceil_div(walk.num_queries, kTeam);
  int team_warps = kWalkWarps;  // 1, 2, 4 or 8: as many as there are teams for
  while (team_warps / 2 >= teams) team_warps /= 2;
  const int64_t blocks = ceil_div(teams, team_warps) * ceil_div(walk.units, kWalkWarps / team_warps);
  const size_t shared = kWalkWarps * warp_memory_bytes(kTeam, W, walk.distances);
  return launch(hamming_walk<W, kTeam, kCodes, kVector, kPlace>, blocks, kWalkWarps * kWarp, shared, stream, walk,
                teams, team_warps, ceil_div(walk.groups, walk.units));
}

// The shapes that plan_hamming_topk may ask for.
template <bool kPlace>
cudaError_t walk_database(const HammingPlan& plan, const HammingWalk& walk, cudaStream_t stream) {
#define SKETCHFAST_WALK(W, TEAM, CODES, VECTOR)                                                                  \
  if (plan.words == W && plan.queries_per_warp == TEAM && plan.codes_per_lane == CODES && plan.vector == VECTOR) \
    return launch_walk<W, TEAM, CODES, VECTOR, kPlace>(walk, stream);
  SKETCHFAST_WALK(1, 1, 4, true)
  SKETCHFAST_WALK(1, 4, 4, true)
  SKETCHFAST_WALK(1, 8, 2, true)
  SKETCHFAST_WALK(1, 8, 1, false)
  SKETCHFAST_WALK(2, 1, 2, true)
  SKETCHFAST_WALK(2, 4, 2, true)
  SKETCHFAST_WALK(2, 8, 1, true)
  SKETCHFAST_WALK(2, 8, 1, false)
  SKETCHFAST_WALK(4, 1, 1, true)
  SKETCHFAST_WALK(4, 4, 1, true)
  SKETCHFAST_WALK(4, 8, 1, true)
  SKETCHFAST_WALK(4, 4, 1, false)
  SKETCHFAST_WALK(8, 1, 1, true)
  SKETCHFAST_WALK(8, 4, 1, true)
  SKETCHFAST_WALK(8, 4, 1, false)
  SKETCHFAST_WALK(16, 1, 1, true)
  SKETCHFAST_WALK(16, 2, 1, true)
  SKETCHFAST_WALK(16, 2, 1, false)
#undef SKETCHFAST_WALK
  return cudaErrorInvalidValue;
}

}  // namespace

cudaError_t hamming_count(const HammingPlan& plan, const HammingWalk& walk, cudaStream_t stream) {
  return walk_database<false>(plan, walk, stream);
}

cudaError_t hamming_place(const HammingPlan& plan, const HammingWalk& walk, cudaStream_t stream) {
  return walk_database<true>(plan, walk, stream);
}

}  // namespace sketchfast::cuda
