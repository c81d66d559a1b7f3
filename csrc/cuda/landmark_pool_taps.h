// The taps of an image's points, put together by pixel, for the kernels of landmark_pool*.cu.
//
//   merged     weights [pixels], the sum of the weights of all taps at a pixel, and the list of pixels touched
//   bucketed   the taps of each pixel one behind the other, as (point, weight): starts [pixels + 1]
//
// Built by the first warp of a block, 32 points at a time and tap by tap. Lanes that fall on one pixel find each other by
// __match_any_sync; the lowest of them adds up all in the order of lanes. So a pixel's taps are met in an order that
// depends on the points alone, and no atomic is needed. In shared memory by every block that works on the image, which
// costs about a microsecond at its start; images whose taps do not fit have them in global memory, built beforehand.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "landmark_pool.h"
#include "launch.h"
#include "values.h"

namespace sketchfast::cuda {

constexpr int kPoolThreads = 256;
constexpr int kPoolWarps = kPoolThreads / kWarp;
constexpr int64_t kTapHeadBytes = 128;  // a number of each warp, or the number of pixels touched

// Where the arrays are in a piece of memory, behind its head.
struct TapLayout {
  int64_t weights_at;
  int64_t numbers_at;  // merged: the pixels touched; bucketed: the points
  int64_t bytes;
};

__host__ __device__ inline TapLayout merged_layout(int64_t pixels, int64_t points, int64_t weight_bytes) {
  const int64_t most = kTaps * points < pixels ? kTaps * points : pixels;
  const int64_t numbers_at = kTapHeadBytes + round_up(pixels * weight_bytes, kVectorBytes);
  return {kTapHeadBytes, numbers_at, numbers_at + round_up(most * 4, kVectorBytes)};
}

// starts come first, one more than pixels + 1: see bucket_taps.
__host__ __device__ inline TapLayout bucketed_layout(int64_t pixels, int64_t points, int64_t weight_bytes) {
  const int64_t weights_at = kTapHeadBytes + round_up((pixels + 2) * 4, kVectorBytes);
  const int64_t numbers_at = weights_at + round_up(kTaps * points * weight_bytes, kVectorBytes);
  return {weights_at, numbers_at, numbers_at + kTaps * points * 4};
}

// Of one image, rounded up so that the next image's begin aligned.
inline int64_t tap_bytes(const PoolShape& shape, int64_t weight_bytes) {
  const int64_t pixels = shape.height * shape.width;
  const TapLayout layout = shape.mean ? merged_layout(pixels, shape.points, weight_bytes)
                                      : bucketed_layout(pixels, shape.points, weight_bytes);
  return round_up(layout.bytes, kVectorBytes);
}

template <class A>
struct MergedTaps {
  int32_t* count;
  A* weights;
  int32_t* touched;
  __device__ MergedTaps(unsigned char* memory, int64_t pixels, int64_t points) {
    const TapLayout layout = merged_layout(pixels, points, sizeof(A));
    count = reinterpret_cast<int32_t*>(memory);
    weights = reinterpret_cast<A*>(memory + layout.weights_at);
    touched = reinterpret_cast<int32_t*>(memory + layout.numbers_at);
  }
};

template <class A>
struct BucketedTaps {
  int32_t* of_warps;
  int32_t* starts;
  A* weights;
  int32_t* points;
  __device__ BucketedTaps(unsigned char* memory, int64_t pixels, int64_t count) {
    const TapLayout layout = bucketed_layout(pixels, count, sizeof(A));
    of_warps = reinterpret_cast<int32_t*>(memory);
    starts = reinterpret_cast<int32_t*>(memory + kTapHeadBytes);
    weights = reinterpret_cast<A*>(memory + layout.weights_at);
    points = reinterpret_cast<int32_t*>(memory + layout.numbers_at);
  }
};

template <class A>
__device__ __forceinline__ Taps<A> load_taps(const PoolPoints& points, int64_t index, const PoolShape& shape) {
  if (points.wide) {
    const double* at = static_cast<const double*>(points.data) + 2 * index;
    return taps_of<A>(at[0], at[1], shape.height, shape.width);
  }
  const float* at = static_cast<const float*>(points.data) + 2 * index;
  return taps_of<A>(at[0], at[1], shape.height, shape.width);
}

// Calls visit(point, pixel, weight, same) on all lanes of a warp for 32 points and one of their taps at a time: pixel is -1
// where there is nothing to add, same the lanes with the same pixel.
template <class A, class Visit>
__device__ __forceinline__ void visit_taps(const PoolPoints& points, int64_t image, const PoolShape& shape,
                                           const Visit& visit) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t first = 0; first < shape.points; first += kWarp) {
    const int64_t point = first + lane;
    Taps<A> taps;
    if (point < shape.points) taps = load_taps<A>(points, image * shape.points + point, shape);
#pragma unroll
    for (int k = 0; k < kTaps; ++k) {
      int32_t pixel = tap_pixel(taps, k, shape.height, shape.width);
      const A weight = pixel < 0 ? A{0} : tap_weight(taps, k);
      if (weight == 0) pixel = -1;
      visit(static_cast<int32_t>(point), pixel, weight, __match_any_sync(kFullWarp, pixel));
      __syncwarp();  // what one lane wrote is there for the next lane of the same pixel
    }
  }
}

__device__ __forceinline__ int lanes_below(unsigned lanes) {
  return __popc(lanes & ((1u << (threadIdx.x % kWarp)) - 1u));
}

// Called by whole blocks; the result can be read after it returns.
template <class A>
__device__ void merge_taps(const PoolPoints& points, int64_t image, const PoolShape& shape,
                           const MergedTaps<A>& merged) {
  const int64_t pixels = shape.height * shape.width;
  for (int64_t pixel = threadIdx.x; pixel < pixels; pixel += kPoolThreads) merged.weights[pixel] = 0;
  __syncthreads();
  if (threadIdx.x < kWarp) {
    const int lane = static_cast<int>(threadIdx.x);
    int count = 0;
    visit_taps<A>(points, image, shape, [&](int32_t, int32_t pixel, A weight, unsigned same) {
      A sum = 0;
      for (unsigned rest = pixel < 0 ? 0 : same; __any_sync(kFullWarp, rest != 0); rest &= rest - 1) {
        const A other = __shfl_sync(kFullWarp, weight, rest == 0 ? lane : __ffs(static_cast<int>(rest)) - 1);
        if (rest != 0) sum += other;
      }
      const bool lowest = pixel >= 0 && lanes_below(same) == 0;
      const A before = lowest ? merged.weights[pixel] : A{0};
      const bool fresh = lowest && before == 0;  // weights are positive
      const unsigned all_fresh = __ballot_sync(kFullWarp, fresh);
      if (fresh) merged.touched[count + lanes_below(all_fresh)] = pixel;
      count += __popc(all_fresh);
      if (lowest) merged.weights[pixel] = before + sum;
    });
    if (lane == 0) *merged.count = count;
  }
  __syncthreads();
}

// Called by whole blocks; the result can be read after it returns. The taps of pixel q are counted at starts[q + 2]; sums
// make starts[q + 1] its first place, and placing them moves that to the place behind its last: the start of q + 1.
template <class A>
__device__ void bucket_taps(const PoolPoints& points, int64_t image, const PoolShape& shape,
                            const BucketedTaps<A>& bucketed) {
  const int64_t pixels = shape.height * shape.width;
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % kWarp;
  for (int64_t i = thread; i < pixels + 2; i += kPoolThreads) bucketed.starts[i] = 0;
  __syncthreads();
  if (thread < kWarp) {
    visit_taps<A>(points, image, shape, [&](int32_t, int32_t pixel, A, unsigned same) {
      if (pixel >= 0 && lanes_below(same) == 0) bucketed.starts[pixel + 2] += __popc(same);
    });
  }
  __syncthreads();
  // Each thread a run of neighbouring pixels: their sum, the sums before it, then the running sum.
  const int64_t run = ceil_div(pixels, kPoolThreads);
  int32_t* const counts = bucketed.starts + 2;
  const int64_t from = thread * run, to = from + run < pixels ? from + run : pixels;
  int32_t own = 0;
  for (int64_t q = from; q < to; ++q) own += counts[q];
  int32_t upto = own;
#pragma unroll
  for (int offset = 1; offset < kWarp; offset *= 2) {
    const int32_t lower = __shfl_up_sync(kFullWarp, upto, offset);
    if (lane >= offset) upto += lower;
  }
  if (lane == kWarp - 1) bucketed.of_warps[thread / kWarp] = upto;
  __syncthreads();
  int32_t sum = upto - own;
  for (int warp = 0; warp < thread / kWarp; ++warp) sum += bucketed.of_warps[warp];
  for (int64_t q = from; q < to; ++q) {
    sum += counts[q];
    counts[q] = sum;
  }
  __syncthreads();
  if (thread < kWarp) {
    visit_taps<A>(points, image, shape, [&](int32_t point, int32_t pixel, A weight, unsigned same) {
      int32_t first = 0;
      if (pixel >= 0) first = bucketed.starts[pixel + 1];
      __syncwarp();
      if (pixel < 0) return;
      const int32_t place = first + lanes_below(same);
      bucketed.points[place] = point;
      bucketed.weights[place] = weight;
      if (lanes_below(same) == 0) bucketed.starts[pixel + 1] = first + __popc(same);
    });
  }
  __syncthreads();
}

// The memory in which the taps of `image` are, or are to be: a block's own, or its part of global memory.
__device__ __forceinline__ unsigned char* taps_at(unsigned char* shared, unsigned char* prepared, int64_t bytes,
                                                  int64_t image) {
  return prepared == nullptr ? shared : prepared + image * bytes;
}

// How the kernels divide their work: so many rows of so many bytes each, in whole multiples of `step`, to a block.
inline int64_t rows_of_block(int64_t rows, int64_t row_bytes, int64_t images, int64_t step, const PoolTuning& tuning) {
  const int64_t wanted = std::clamp(images * rows * row_bytes / std::max<int64_t>(1, tuning.blocks_wanted),
                                    tuning.least_block_bytes, tuning.most_block_bytes);
  return std::min(round_up(rows, step), round_up(std::max<int64_t>(1, wanted / row_bytes), step));
}

// Taps of every image in global memory (landmark_pool.cu), where a block's shared memory is too small for one's; *prepared is
// null where it is not.
template <class A>
cudaError_t prepare_taps(const PoolPoints& points, const PoolShape& shape, void* workspace, cudaStream_t stream,
                         const PoolTuning& tuning, unsigned char** prepared);

// Values of T that 16 bytes hold.
template <class T>
constexpr int kPackOf = kVectorBytes / sizeof(T);

// Whether whole packs make up what lies side by side in memory: channels in NHWC, maps in NCHW. `vectors` are [.., channels].
template <class T>
bool whole_packs(const T* features, const T* vectors, const PoolShape& shape) {
  const int64_t neighbours = shape.channels_last ? shape.channels : shape.height * shape.width;
  return neighbours % kPackOf<T> == 0 && reinterpret_cast<uintptr_t>(features) % kVectorBytes == 0 &&
         (!shape.channels_last || reinterpret_cast<uintptr_t>(vectors) % kVectorBytes == 0);
}

// The weights of neighbouring pixels; `weights` is a multiple of V from the start of an image's.
template <class A, int V>
__device__ __forceinline__ Pack<A, V> load_weights(const A* weights) {
  constexpr int kStep = V < kPackOf<A> ? V : kPackOf<A>;
  Pack<A, V> result;
#pragma unroll
  for (int v = 0; v < V; v += kStep) {
    const Pack<A, kStep> part = *reinterpret_cast<const Pack<A, kStep>*>(weights + v);
#pragma unroll
    for (int i = 0; i < kStep; ++i) result.values[v + i] = part.values[i];
  }
  return result;
}

inline bool valid_pool(const PoolShape& shape) {
  return shape.images >= 0 && shape.channels >= 0 && shape.height >= 1 && shape.width >= 1 &&
         shape.height <= kMostMapPixels / shape.width && shape.points >= 1 && shape.points <= kMostMapPixels / kTaps;
}

}  // namespace sketchfast::cuda
