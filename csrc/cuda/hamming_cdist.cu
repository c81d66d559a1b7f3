// hamming_cdist: every distance, out[q][j] = d(query q, code j), row-major.
//
// A block takes 256 codes, one per thread in registers, and 32 queries in shared memory, and writes 256 neighbouring
// elements of each of their 32 rows. Cost: sizeof(out) bytes of writing or 2W POPC per pair, whichever is slower; at 64
// bits the POPC are (2.1 T pairs/s on an H200, where uint8 could be written at 4.3 T/s).
//
// Compiled, and run through the CPU emulation of tests/cuda; not yet executed on a GPU.
#include "hamming.h"
#include "hamming_code.h"
#include "launch.h"

namespace sketchfast::cuda {
namespace {

constexpr int kTileCodes = 256;
constexpr int kTileQueries = 32;

template <int W, bool kVector, class Out>
__global__ void __launch_bounds__(kTileCodes)
    hamming_distances(const uint8_t* __restrict__ queries, int64_t num_queries, const uint8_t* __restrict__ database,
                      int64_t num_database, int bytes, Out* __restrict__ out) {
  extern __shared__ __align__(16) unsigned char shared_memory[];
  uint64_t* staged = reinterpret_cast<uint64_t*>(shared_memory);  // [kTileQueries, W]
  const int64_t query_tiles = ceil_div(num_queries, kTileQueries);
  const int64_t tiles = query_tiles * ceil_div(num_database, kTileCodes);
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {  // neighbouring blocks share their codes
    const int64_t first_query = tile % query_tiles * kTileQueries;
    const int64_t id = tile / query_tiles * kTileCodes + threadIdx.x;
    const int64_t left = num_queries - first_query;
    const int present = left < kTileQueries ? static_cast<int>(left) : kTileQueries;
    __syncthreads();  // nobody reads the last tile's queries any more
    stage_codes<W>(queries + first_query * bytes, present, bytes, kTileQueries, staged, threadIdx.x, kTileCodes);
    __syncthreads();
    if (id >= num_database) continue;  // every thread sees the same tiles, hence the same barriers
    uint64_t code[W];
    load_code<W, kVector>(database + id * bytes, bytes, code);
    Out* target = out + first_query * num_database + id;
#pragma unroll 2
    for (int q = 0; q < present; ++q) {
      int distance = 0;
#pragma unroll
      for (int w = 0; w < W; ++w) distance += popcount64(code[w] ^ staged[q * W + w]);
      *target = static_cast<Out>(distance);
      target += num_database;
    }
  }
}

template <class Out>
cudaError_t all_distances(const uint8_t* queries, int64_t num_queries, const uint8_t* database, int64_t num_database,
                          int64_t bytes, Out* out, cudaStream_t stream) {
  if (num_queries < 0 || num_database < 0 || !valid_code_bytes(bytes)) return cudaErrorInvalidValue;
  if (sizeof(Out) == 1 && 8 * bytes > 255) return cudaErrorInvalidValue;
  if (num_queries == 0 || num_database == 0) return cudaSuccess;
  const int64_t tiles = ceil_div(num_queries, kTileQueries) * ceil_div(num_database, kTileCodes);
  return with_code_words(bytes, [&](auto words) {
    constexpr int W = decltype(words)::value;
    const auto kernel =
        vector_rows(database, bytes) ? hamming_distances<W, true, Out> : hamming_distances<W, false, Out>;
    return launch(kernel, grid_stride_blocks(tiles), kTileCodes, sizeof(uint64_t) * W * kTileQueries, stream, queries,
                  num_queries, database, num_database, static_cast<int>(bytes), out);
  });
}

}  // namespace

cudaError_t hamming_cdist(const uint8_t* queries, int64_t num_queries, const uint8_t* database, int64_t num_database,
                          int64_t bytes, uint8_t* out, cudaStream_t stream) {
  return all_distances(queries, num_queries, database, num_database, bytes, out, stream);
}

cudaError_t hamming_cdist(const uint8_t* queries, int64_t num_queries, const uint8_t* database, int64_t num_database,
                          int64_t bytes, int16_t* out, cudaStream_t stream) {
  return all_distances(queries, num_queries, database, num_database, bytes, out, stream);
}

}  // namespace sketchfast::cuda
