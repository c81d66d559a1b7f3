// pack_bits: bit i of the flat output = (flat value i > 0).
//
// bits is a multiple of 8, so rows need no attention: the whole array is one run of values, 8 to a byte. A warp reads
// 128 neighbouring values in four coalesced steps and votes on each; 16 lanes then write a byte each. Cost: reading the
// values.
//
// Compiled, and run through the CPU emulation of tests/cuda; not yet executed on a GPU.
#include "hamming.h"
#include "launch.h"

namespace sketchfast::cuda {
namespace {

constexpr int kPackWarps = 8;
constexpr int kVotes = 4;

template <class T>
__global__ void __launch_bounds__(kPackWarps* kWarp)
    pack_values(const T* __restrict__ values, int64_t total, uint8_t* __restrict__ codes) {
  const int lane = threadIdx.x % kWarp;
  const int64_t first_warp = static_cast<int64_t>(blockIdx.x) * kPackWarps + threadIdx.x / kWarp;
  const int64_t warps = static_cast<int64_t>(gridDim.x) * kPackWarps;
  const int64_t chunks = ceil_div(total, kVotes * kWarp);
  for (int64_t chunk = first_warp; chunk < chunks; chunk += warps) {  // whole warps: all lanes vote
    bool positive[kVotes];
#pragma unroll
    for (int vote = 0; vote < kVotes; ++vote) {
      const int64_t i = (chunk * kVotes + vote) * kWarp + lane;
      positive[vote] = i < total && is_positive(values[i]);
    }
    unsigned word = 0;  // the vote that this lane's byte is part of
#pragma unroll
    for (int vote = 0; vote < kVotes; ++vote) {
      const unsigned bits = __ballot_sync(kFullWarp, positive[vote]);
      if (lane / 4 == vote) word = bits;
    }
    const int64_t byte = chunk * kVotes * 4 + lane;
    if (lane < kVotes * 4 && byte < total / 8) codes[byte] = static_cast<uint8_t>(word >> (lane % 4 * 8));
  }
}

}  // namespace

template <class T>
cudaError_t pack_bits(const T* values, int64_t rows, int64_t bits, uint8_t* codes, cudaStream_t stream) {
  if (rows < 0 || bits < kMinCodeBits || bits > kMaxCodeBits || bits % 8 != 0) return cudaErrorInvalidValue;
  if (rows == 0) return cudaSuccess;
  const int64_t total = rows * bits;
  const int64_t blocks = ceil_div(ceil_div(total, kVotes * kWarp), kPackWarps);
  return launch(pack_values<T>, grid_stride_blocks(blocks), kPackWarps * kWarp, 0, stream, values, total, codes);
}

template cudaError_t pack_bits(const float*, int64_t, int64_t, uint8_t*, cudaStream_t);
template cudaError_t pack_bits(const double*, int64_t, int64_t, uint8_t*, cudaStream_t);
template cudaError_t pack_bits(const int8_t*, int64_t, int64_t, uint8_t*, cudaStream_t);
template cudaError_t pack_bits(const uint8_t*, int64_t, int64_t, uint8_t*, cudaStream_t);
template cudaError_t pack_bits(const BFloat16Bits*, int64_t, int64_t, uint8_t*, cudaStream_t);
template cudaError_t pack_bits(const Float16Bits*, int64_t, int64_t, uint8_t*, cudaStream_t);

}  // namespace sketchfast::cuda
