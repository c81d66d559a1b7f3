// Landmark pooling: bilinear values of feature maps at an image's points, their mean over the points or each by itself.
//
//   mean   pooled[c]    = 1/L sum_q w[q] F[c, q],  w[q] = sum of the weights of all taps at pixel q
//   none   pooled[l, c] = sum over the four taps of point l of weight * F[c, q]
//
// mean, NCHW      a block takes neighbouring channels of an image; lanes stand side by side on a map, 16 bytes each, read what
//                 holds a pixel with a weight, for four channels at a time, and add up by shuffles
// mean, NHWC      a block takes 32 x 16 bytes of neighbouring channels; its warps divide the pixels touched among them
// none, NCHW      lanes are points, warps take channels; values go through shared memory, to be written channel by channel
// none, NHWC      a warp takes a point, its lanes 16 bytes of channels each
//
// Pixels without a weight are never part of a product, so what is not finite there stays there. Cost: the 32-byte sectors of
// the maps with a tap in them, read once; a launch, two where the taps of an image do not fit into shared memory.
//
// Compiled, and run through the CPU emulation of tests/cuda; not yet executed on a GPU.
#include "landmark_pool.h"

#include "landmark_pool_taps.h"

namespace sketchfast::cuda {
namespace {

constexpr int kChannelsAtOnce = 4;
constexpr int kTileChannels = 64;  // of a block of points in NCHW
constexpr int kTilePitch = kTileChannels + 1;

template <class T>
struct PoolArguments {
  const T* features;
  T* pooled;
  PoolPoints points;
  PoolShape shape;
  unsigned char* prepared;  // taps of all images, null: in shared memory, built by each block
  int64_t tap_bytes;
  int64_t block_rows;  // channels of a block (mean, NCHW)
};

template <class A>
__global__ void __launch_bounds__(kPoolThreads)
    prepare_taps_of_images(const PoolPoints points, const PoolShape shape, unsigned char* prepared, int64_t bytes) {
  const int64_t pixels = shape.height * shape.width;
  for (int64_t image = blockIdx.x; image < shape.images; image += gridDim.x) {
    if (shape.mean) {
      merge_taps<A>(points, image, shape, MergedTaps<A>(prepared + image * bytes, pixels, shape.points));
    } else {
      bucket_taps<A>(points, image, shape, BucketedTaps<A>(prepared + image * bytes, pixels, shape.points));
    }
  }
}

template <class T, int V>
__global__ void __launch_bounds__(kPoolThreads) pool_mean_of_maps(const PoolArguments<T> given) {
  using A = typename Arithmetic<T>::type;
  extern __shared__ __align__(16) unsigned char shared_memory[];
  const PoolShape& shape = given.shape;
  const int64_t pixels = shape.height * shape.width;
  const int64_t packs = pixels / V;
  int group = 1;  // lanes that stand on one map
  while (group < kWarp && group < packs) group *= 2;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int at_once = kWarp / group * kChannelsAtOnce;  // channels of a warp
  const int64_t chunks = ceil_div(shape.channels, given.block_rows);
  const A share = A{1} / static_cast<A>(shape.points);

  for (int64_t item = blockIdx.x; item < shape.images * chunks; item += gridDim.x) {
    const int64_t image = item / chunks;
    const int64_t begin = (item - image * chunks) * given.block_rows;
    const int64_t end = begin + given.block_rows < shape.channels ? begin + given.block_rows : shape.channels;
    const MergedTaps<A> taps(taps_at(shared_memory, given.prepared, given.tap_bytes, image), pixels, shape.points);
    if (given.prepared == nullptr) merge_taps<A>(given.points, image, shape, taps);
    for (int64_t base = begin + threadIdx.x / kWarp * at_once; base < end; base += kPoolWarps * at_once) {
      const int64_t c = base + lane / group * kChannelsAtOnce;
      const T* map = given.features + (image * shape.channels + c) * pixels;
      A sums[kChannelsAtOnce] = {};
      for (int64_t p = lane % group; p < packs; p += group) {
        const Pack<A, V> weights = load_weights<A, V>(taps.weights + p * V);
        bool any = false;
#pragma unroll
        for (int v = 0; v < V; ++v) any |= weights.values[v] != 0;
        if (!any) continue;
        Pack<T, V> x[kChannelsAtOnce];
#pragma unroll
        for (int k = 0; k < kChannelsAtOnce; ++k) {
          if (c + k < end) x[k] = *reinterpret_cast<const Pack<T, V>*>(map + k * pixels + p * V);
        }
#pragma unroll
        for (int k = 0; k < kChannelsAtOnce; ++k) {
          if (c + k >= end) continue;
#pragma unroll
          for (int v = 0; v < V; ++v) {
            if (weights.values[v] != 0) sums[k] += weights.values[v] * widened(x[k].values[v]);
          }
        }
      }
#pragma unroll
      for (int k = 0; k < kChannelsAtOnce; ++k) {
        for (int other = group / 2; other > 0; other /= 2) sums[k] += __shfl_xor_sync(kFullWarp, sums[k], other);
        if (lane % group == 0 && c + k < end) {
          given.pooled[image * shape.channels + c + k] = narrowed<T>(sums[k] * share);
        }
      }
    }
    __syncthreads();  // the taps are done with
  }
}

// Shared memory: the taps, then a sum of each warp, lane and channel.
template <class T, int V>
__global__ void __launch_bounds__(kPoolThreads) pool_mean_of_rows(const PoolArguments<T> given) {
  using A = typename Arithmetic<T>::type;
  extern __shared__ __align__(16) unsigned char shared_memory[];
  const PoolShape& shape = given.shape;
  const int64_t pixels = shape.height * shape.width;
  const int64_t packs = shape.channels / V;
  const int64_t tiles = ceil_div(packs, kWarp);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  A* sums_of_warps = reinterpret_cast<A*>(shared_memory + (given.prepared == nullptr ? given.tap_bytes : 0));
  const A share = A{1} / static_cast<A>(shape.points);

  for (int64_t item = blockIdx.x; item < shape.images * tiles; item += gridDim.x) {
    const int64_t image = item / tiles;
    const int64_t tile = item - image * tiles;
    const int64_t p = tile * kWarp + lane;
    const MergedTaps<A> taps(taps_at(shared_memory, given.prepared, given.tap_bytes, image), pixels, shape.points);
    if (given.prepared == nullptr) merge_taps<A>(given.points, image, shape, taps);
    const T* row = given.features + image * pixels * shape.channels + p * V;
    A sums[V] = {};
    const int count = *taps.count;
    if (p < packs) {
#pragma unroll 4
      for (int i = warp; i < count; i += kPoolWarps) {
        const int32_t pixel = taps.touched[i];
        const A weight = taps.weights[pixel];
        const Pack<T, V> x = *reinterpret_cast<const Pack<T, V>*>(row + pixel * shape.channels);
#pragma unroll
        for (int v = 0; v < V; ++v) sums[v] += weight * widened(x.values[v]);
      }
    }
#pragma unroll
    for (int v = 0; v < V; ++v) sums_of_warps[(warp * kWarp + lane) * V + v] = sums[v];
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < kWarp * V; i += kPoolThreads) {
      const int64_t c = tile * kWarp * V + i;
      if (c >= shape.channels) break;
      A sum = 0;
#pragma unroll
      for (int w = 0; w < kPoolWarps; ++w) sum += sums_of_warps[w * kWarp * V + i];
      given.pooled[image * shape.channels + c] = narrowed<T>(sum * share);
    }
    __syncthreads();  // taps and sums are done with
  }
}

// Shared memory: the values of 32 points and a tile of channels.
template <class T>
__global__ void __launch_bounds__(kPoolThreads) pool_points_of_maps(const PoolArguments<T> given) {
  using A = typename Arithmetic<T>::type;
  extern __shared__ __align__(16) unsigned char shared_memory[];
  A* values = reinterpret_cast<A*>(shared_memory);
  const PoolShape& shape = given.shape;
  const int64_t pixels = shape.height * shape.width;
  const int64_t groups = ceil_div(shape.points, kWarp);
  const int64_t tiles = ceil_div(shape.channels, kTileChannels);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;

  for (int64_t item = blockIdx.x; item < shape.images * groups * tiles; item += gridDim.x) {
    const int64_t rest = item / tiles;
    const int64_t first_channel = (item - rest * tiles) * kTileChannels;
    const int64_t image = rest / groups;
    const int64_t first_point = (rest - image * groups) * kWarp;
    Taps<A> taps;
    if (first_point + lane < shape.points) {
      taps = load_taps<A>(given.points, image * shape.points + first_point + lane, shape);
    }
    const T* maps = given.features + (image * shape.channels + first_channel) * pixels;
    const int64_t channels = shape.channels - first_channel;
#pragma unroll 4
    for (int c = warp; c < kTileChannels; c += kPoolWarps) {
      A sum = 0;
#pragma unroll
      for (int k = 0; k < kTaps; ++k) {
        const int32_t pixel = tap_pixel(taps, k, shape.height, shape.width);
        const A weight = pixel < 0 ? A{0} : tap_weight(taps, k);
        if (weight != 0 && c < channels) sum += weight * widened(maps[c * pixels + pixel]);
      }
      values[lane * kTilePitch + c] = sum;
    }
    __syncthreads();
    for (int l = warp; l < kWarp && first_point + l < shape.points; l += kPoolWarps) {
      T* pooled = given.pooled + (image * shape.points + first_point + l) * shape.channels + first_channel;
      for (int c = lane; c < kTileChannels && c < channels; c += kWarp) {
        pooled[c] = narrowed<T>(values[l * kTilePitch + c]);
      }
    }
    __syncthreads();
  }
}

template <class T, int V>
__global__ void __launch_bounds__(kPoolThreads) pool_points_of_rows(const PoolArguments<T> given) {
  using A = typename Arithmetic<T>::type;
  const PoolShape& shape = given.shape;
  const int64_t pixels = shape.height * shape.width;
  const int64_t packs = shape.channels / V;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t warps = static_cast<int64_t>(gridDim.x) * kPoolWarps;
  int64_t point = static_cast<int64_t>(blockIdx.x) * kPoolWarps + threadIdx.x / kWarp;
  for (; point < shape.images * shape.points; point += warps) {
    const Taps<A> taps = load_taps<A>(given.points, point, shape);
    const T* rows = given.features + point / shape.points * pixels * shape.channels;
    T* pooled = given.pooled + point * shape.channels;
    for (int64_t p = lane; p < packs; p += kWarp) {
      A sums[V] = {};
#pragma unroll
      for (int k = 0; k < kTaps; ++k) {
        const int32_t pixel = tap_pixel(taps, k, shape.height, shape.width);
        const A weight = pixel < 0 ? A{0} : tap_weight(taps, k);
        if (weight == 0) continue;  // the same for all lanes
        const Pack<T, V> x = *reinterpret_cast<const Pack<T, V>*>(rows + pixel * shape.channels + p * V);
#pragma unroll
        for (int v = 0; v < V; ++v) sums[v] += weight * widened(x.values[v]);
      }
      Pack<T, V> result;
#pragma unroll
      for (int v = 0; v < V; ++v) result.values[v] = narrowed<T>(sums[v]);
      *reinterpret_cast<Pack<T, V>*>(pooled + p * V) = result;
    }
  }
}

template <class T, int V>
cudaError_t launch_pool(PoolArguments<T> given, cudaStream_t stream, const PoolTuning& tuning) {
  using A = typename Arithmetic<T>::type;
  const PoolShape& shape = given.shape;
  const int64_t row_bytes = shape.height * shape.width * static_cast<int64_t>(sizeof(T));
  const auto blocks = [&tuning](int64_t items) { return std::clamp<int64_t>(items, 1, tuning.most_blocks); };
  const size_t taps = shape.mean && given.prepared == nullptr ? static_cast<size_t>(given.tap_bytes) : 0;
  if (shape.mean && shape.channels_last) {
    const size_t sums = kPoolThreads * V * sizeof(A);
    return launch(pool_mean_of_rows<T, V>, blocks(shape.images * ceil_div(shape.channels / V, kWarp)), kPoolThreads,
                  taps + sums, stream, given);
  }
  if (shape.mean) {
    given.block_rows = rows_of_block(shape.channels, row_bytes, shape.images, 1, tuning);
    return launch(pool_mean_of_maps<T, V>, blocks(shape.images * ceil_div(shape.channels, given.block_rows)),
                  kPoolThreads, taps, stream, given);
  }
  if (shape.channels_last) {
    return launch(pool_points_of_rows<T, V>, blocks(ceil_div(shape.images * shape.points, kPoolWarps)), kPoolThreads, 0,
                  stream, given);
  }
  const int64_t items = shape.images * ceil_div(shape.points, kWarp) * ceil_div(shape.channels, kTileChannels);
  return launch(pool_points_of_maps<T>, blocks(items), kPoolThreads, kWarp * kTilePitch * sizeof(A), stream, given);
}

}  // namespace

template <class A>
cudaError_t prepare_taps(const PoolPoints& points, const PoolShape& shape, void* workspace, cudaStream_t stream,
                         const PoolTuning& tuning, unsigned char** prepared) {
  const int64_t bytes = tap_bytes(shape, sizeof(A));
  *prepared = nullptr;
  if (bytes <= tuning.shared_bytes) return cudaSuccess;
  *prepared = static_cast<unsigned char*>(workspace);
  return launch(prepare_taps_of_images<A>, std::clamp<int64_t>(shape.images, 1, tuning.most_blocks), kPoolThreads, 0,
                stream, points, shape, *prepared, bytes);
}
template cudaError_t prepare_taps<float>(const PoolPoints&, const PoolShape&, void*, cudaStream_t, const PoolTuning&,
                                         unsigned char**);
template cudaError_t prepare_taps<double>(const PoolPoints&, const PoolShape&, void*, cudaStream_t, const PoolTuning&,
                                          unsigned char**);

template <class T>
cudaError_t landmark_pool(const T* features, const PoolPoints& points, const PoolShape& shape, T* pooled,
                          void* workspace, cudaStream_t stream, const PoolTuning& tuning) {
  if (!valid_pool(shape)) return cudaErrorInvalidValue;
  if (shape.images == 0 || shape.channels == 0) return cudaSuccess;
  using A = typename Arithmetic<T>::type;
  PoolArguments<T> given = {features, pooled, points, shape, nullptr, tap_bytes(shape, sizeof(A)), 0};
  if (shape.mean) {
    const cudaError_t error = prepare_taps<A>(points, shape, workspace, stream, tuning, &given.prepared);
    if (error != cudaSuccess) return error;
  }
  return whole_packs(features, pooled, shape) ? launch_pool<T, kPackOf<T>>(given, stream, tuning)
                                              : launch_pool<T, 1>(given, stream, tuning);
}

#define SKETCHFAST_POOL(T)                                                                                   \
  template cudaError_t landmark_pool(const T*, const PoolPoints&, const PoolShape&, T*, void*, cudaStream_t, \
                                     const PoolTuning&);
SKETCHFAST_POOL(float)
SKETCHFAST_POOL(double)
SKETCHFAST_POOL(Float16Bits)
SKETCHFAST_POOL(BFloat16Bits)

}  // namespace sketchfast::cuda
