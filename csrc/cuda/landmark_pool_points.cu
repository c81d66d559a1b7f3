// The gradient of landmark pooling with respect to the points: of each point the slopes of its four taps' values
// (tap_slopes, math/landmark_pool.h), where a value is sum_c g[c] F[c, q] (mean, divided by L) or sum_c g[l, c] F[c, q].
//
// NHWC   a block takes a point; its threads 16 bytes of neighbouring channels each, and one sum over the block
// NCHW   lanes are points, warps take channels, so that points share the sectors of a map; a block's share of the channels
//        gives one partial sum, and a second kernel adds these up
//
// Sums over channels in an order that depends on sizes only; no atomics. Cost: the sectors with a tap in them, read once.
//
// Compiled, and run through the CPU emulation of tests/cuda; not yet executed on a GPU.
#include "landmark_pool.h"
#include "landmark_pool_taps.h"

namespace sketchfast::cuda {
namespace {

constexpr int kRowThreads = 128;
constexpr int kRowWarps = kRowThreads / kWarp;

template <class T>
struct SlopeArguments {
  const T* grad;
  const T* features;
  PoolPoints points;
  PoolShape shape;
  void* gradient;                         // of the type of the points
  typename Arithmetic<T>::type* partial;  // NCHW: [images, points, 2, chunks]
  int64_t block_channels;                 // NCHW: of a block
};

template <class A>
__device__ __forceinline__ void write_slope(void* gradient, bool wide, int64_t index, A value) {
  if (wide) {
    static_cast<double*>(gradient)[index] = static_cast<double>(value);
  } else {
    static_cast<float*>(gradient)[index] = static_cast<float>(value);
  }
}

// Shared memory: two sums of each warp.
template <class T, int V>
__global__ void __launch_bounds__(kRowThreads) slopes_of_rows(const SlopeArguments<T> given) {
  using A = typename Arithmetic<T>::type;
  extern __shared__ __align__(16) unsigned char shared_memory[];
  A* of_warps = reinterpret_cast<A*>(shared_memory);
  const PoolShape& shape = given.shape;
  const int64_t pixels = shape.height * shape.width;
  const int64_t packs = shape.channels / V;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const A share = shape.mean ? A{1} / static_cast<A>(shape.points) : A{1};
  for (int64_t point = blockIdx.x; point < shape.images * shape.points; point += gridDim.x) {
    const int64_t image = point / shape.points;
    const Taps<A> taps = load_taps<A>(given.points, point, shape);
    const T* rows = given.features + image * pixels * shape.channels;
    const T* grad = given.grad + (shape.mean ? image : point) * shape.channels;
    A at[kTaps] = {};
    for (int64_t p = threadIdx.x; taps.any && p < packs; p += kRowThreads) {
      const Pack<T, V> g = *reinterpret_cast<const Pack<T, V>*>(grad + p * V);
      Pack<T, V> x[kTaps];
#pragma unroll
      for (int k = 0; k < kTaps; ++k) {
        const int32_t pixel = tap_pixel(taps, k, shape.height, shape.width);
        if (pixel >= 0) x[k] = *reinterpret_cast<const Pack<T, V>*>(rows + pixel * shape.channels + p * V);
      }
#pragma unroll
      for (int k = 0; k < kTaps; ++k) {
        if (tap_pixel(taps, k, shape.height, shape.width) < 0) continue;
#pragma unroll
        for (int v = 0; v < V; ++v) at[k] += widened(g.values[v]) * widened(x[k].values[v]);
      }
    }
    A slopes[2];
    tap_slopes(taps, at, &slopes[0], &slopes[1]);
#pragma unroll
    for (int axis = 0; axis < 2; ++axis) {
      for (int offset = kWarp / 2; offset > 0; offset /= 2) {
        slopes[axis] += __shfl_down_sync(kFullWarp, slopes[axis], offset);
      }
      if (lane == 0) of_warps[2 * warp + axis] = slopes[axis];
    }
    __syncthreads();
    if (threadIdx.x < 2) {
      A sum = 0;
#pragma unroll
      for (int w = 0; w < kRowWarps; ++w) sum += of_warps[2 * w + static_cast<int>(threadIdx.x)];
      write_slope(given.gradient, given.points.wide, 2 * point + threadIdx.x, sum * share);
    }
    __syncthreads();
  }
}

// Shared memory: two sums of each warp and lane.
template <class T>
__global__ void __launch_bounds__(kPoolThreads) slopes_of_maps(const SlopeArguments<T> given) {
  using A = typename Arithmetic<T>::type;
  extern __shared__ __align__(16) unsigned char shared_memory[];
  A* of_warps = reinterpret_cast<A*>(shared_memory);
  const PoolShape& shape = given.shape;
  const int64_t pixels = shape.height * shape.width;
  const int64_t groups = ceil_div(shape.points, kWarp);
  const int64_t chunks = ceil_div(shape.channels, given.block_channels);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  for (int64_t item = blockIdx.x; item < shape.images * groups * chunks; item += gridDim.x) {
    const int64_t rest = item / chunks;
    const int64_t chunk = item - rest * chunks;
    const int64_t image = rest / groups;
    const int64_t point = (rest - image * groups) * kWarp + lane;
    const int64_t begin = chunk * given.block_channels;
    const int64_t end = begin + given.block_channels < shape.channels ? begin + given.block_channels : shape.channels;
    Taps<A> taps;
    if (point < shape.points) taps = load_taps<A>(given.points, image * shape.points + point, shape);
    int32_t places[kTaps];
#pragma unroll
    for (int k = 0; k < kTaps; ++k) places[k] = tap_pixel(taps, k, shape.height, shape.width);
    const T* maps = given.features + image * shape.channels * pixels;
    const T* grad = given.grad + (shape.mean ? image : image * shape.points + point) * shape.channels;
    A at[kTaps] = {};
    if (taps.any) {
#pragma unroll 4
      for (int64_t c = begin + warp; c < end; c += kPoolWarps) {
        const A g = widened(grad[c]);
#pragma unroll
        for (int k = 0; k < kTaps; ++k) {
          if (places[k] >= 0) at[k] += g * widened(maps[c * pixels + places[k]]);
        }
      }
    }
    tap_slopes(taps, at, &of_warps[2 * threadIdx.x], &of_warps[2 * threadIdx.x + 1]);
    __syncthreads();
    if (threadIdx.x < 2 * kWarp) {
      const int64_t index = (image * shape.points + point - lane) * 2 + threadIdx.x;
      A sum = 0;
#pragma unroll
      for (int w = 0; w < kPoolWarps; ++w) sum += of_warps[w * 2 * kWarp + static_cast<int>(threadIdx.x)];
      if (index < (image + 1) * shape.points * 2) given.partial[index * chunks + chunk] = sum;
    }
    __syncthreads();
  }
}

template <class A>
__global__ void __launch_bounds__(kPoolThreads)
    add_slopes(const A* __restrict__ partial, int64_t count, int64_t chunks, A share, bool wide, void* gradient) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kPoolThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kPoolThreads + threadIdx.x; i < count; i += stride) {
    A sum = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial[i * chunks + chunk];
    write_slope(gradient, wide, i, sum * share);
  }
}

int64_t channels_of_block(const PoolShape& shape, int64_t value_bytes, const PoolTuning& tuning) {
  // The bytes that count are those of the sectors with a tap; a block has at least a channel for each warp.
  const int64_t row_bytes = std::min(shape.height * shape.width * value_bytes, kWarp * kTaps * int64_t{16});
  const int64_t images = shape.images * ceil_div(shape.points, kWarp);
  return rows_of_block(shape.channels, row_bytes, images, kPoolWarps, tuning);
}

template <class T, int V>
cudaError_t launch_rows(const SlopeArguments<T>& given, cudaStream_t stream, const PoolTuning& tuning) {
  using A = typename Arithmetic<T>::type;
  const int64_t blocks = std::clamp<int64_t>(given.shape.images * given.shape.points, 1, tuning.most_blocks);
  return launch(slopes_of_rows<T, V>, blocks, kRowThreads, 2 * kRowWarps * sizeof(A), stream, given);
}

}  // namespace

size_t landmark_pool_workspace(const PoolShape& shape, int value_bytes, const PoolTuning& tuning) {
  if (!valid_pool(shape)) return 0;
  const int64_t weight_bytes = value_bytes == 8 ? 8 : 4;
  const int64_t of_image = tap_bytes(shape, weight_bytes);
  const int64_t taps = of_image > tuning.shared_bytes ? shape.images * of_image : 0;
  if (shape.channels_last || shape.channels == 0) return static_cast<size_t>(taps);
  const int64_t chunks = ceil_div(shape.channels, channels_of_block(shape, value_bytes, tuning));
  return static_cast<size_t>(std::max(taps, shape.images * shape.points * 2 * chunks * weight_bytes));
}

template <class T>
cudaError_t landmark_pool_points_gradient(const T* grad, const T* features, const PoolPoints& points,
                                          const PoolShape& shape, void* gradient, void* workspace, cudaStream_t stream,
                                          const PoolTuning& tuning) {
  if (!valid_pool(shape)) return cudaErrorInvalidValue;
  if (shape.images == 0) return cudaSuccess;
  using A = typename Arithmetic<T>::type;
  SlopeArguments<T> given = {grad, features, points, shape, gradient, static_cast<A*>(workspace), 0};
  if (shape.channels_last || shape.channels == 0) {
    return whole_packs(features, grad, shape) ? launch_rows<T, kPackOf<T>>(given, stream, tuning)
                                              : launch_rows<T, 1>(given, stream, tuning);
  }
  given.block_channels = channels_of_block(shape, sizeof(T), tuning);
  const int64_t chunks = ceil_div(shape.channels, given.block_channels);
  const int64_t items = shape.images * ceil_div(shape.points, kWarp) * chunks;
  const cudaError_t error = launch(slopes_of_maps<T>, std::clamp<int64_t>(items, 1, tuning.most_blocks), kPoolThreads,
                                   2 * kPoolThreads * sizeof(A), stream, given);
  if (error != cudaSuccess) return error;
  const int64_t count = shape.images * shape.points * 2;
  const A share = shape.mean ? A{1} / static_cast<A>(shape.points) : A{1};
  return launch(add_slopes<A>, grid_stride_blocks(ceil_div(count, kPoolThreads)), kPoolThreads, 0, stream,
                given.partial, count, chunks, share, points.wide, gradient);
}

#define SKETCHFAST_POOL_POINTS(T)                                                                                    \
  template cudaError_t landmark_pool_points_gradient(const T*, const T*, const PoolPoints&, const PoolShape&, void*, \
                                                     void*, cudaStream_t, const PoolTuning&);
SKETCHFAST_POOL_POINTS(float)
SKETCHFAST_POOL_POINTS(double)
SKETCHFAST_POOL_POINTS(Float16Bits)
SKETCHFAST_POOL_POINTS(BFloat16Bits)

}  // namespace sketchfast::cuda
