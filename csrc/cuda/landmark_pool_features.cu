// The gradient of landmark pooling with respect to the features: every value is written once, together with the zeros.
//
//   mean   G[c, q] = g[c] w[q] / L              rank one, w[q] = sum of the weights of all taps at pixel q
//   none   G[c, q] = sum over the taps of pixel q of weight * g[l, c], 32 points at a time, in these by tap, then by point
//
// A block takes neighbouring channels of an image (NCHW) or neighbouring pixels (NHWC): in both layouts one run of memory,
// which it writes from end to end, 16 bytes a thread. Where a map is no multiple of 16 bytes (7 x 7) a store may straddle
// two of them. No atomics, nothing cleared beforehand. Cost: the gradient written once; w is in shared memory, g in the cache.
//
// Compiled, and run through the CPU emulation of tests/cuda; not yet executed on a GPU.
#include "landmark_pool.h"
#include "landmark_pool_taps.h"

namespace sketchfast::cuda {
namespace {

enum class Run {
  maps,       // NCHW, stores within a map
  straddles,  // NCHW, stores may begin in one map and end in the next
  rows        // NHWC
};

template <class T>
struct SpreadArguments {
  const T* grad;
  T* gradient;
  PoolPoints points;
  PoolShape shape;
  unsigned char* prepared;  // taps of all images, null: in shared memory, built by each block
  int64_t tap_bytes;
  int64_t block_rows;  // channels (NCHW) or pixels (NHWC) of a block
};

// G at (row, column) of an image: row a channel and column a pixel in NCHW, the other way round in NHWC. Not products with
// zero, since g need not be finite.
template <class T, bool mean>
struct GradientAt {
  using A = typename Arithmetic<T>::type;
  const T* grad;  // of the image
  const A* weights;
  const int32_t* starts;
  const int32_t* points;
  int64_t channels;
  A share;

  template <int V>
  __device__ __forceinline__ void in_map(int64_t channel, int64_t pixel, A (&values)[V]) const {
    if constexpr (mean) {
      const A g = widened(grad[channel]) * share;
      const Pack<A, V> w = load_weights<A, V>(weights + pixel);
#pragma unroll
      for (int v = 0; v < V; ++v) values[v] = w.values[v] != 0 ? g * w.values[v] : A{0};
    } else {
#pragma unroll
      for (int v = 0; v < V; ++v) {
        values[v] = 0;
        for (int i = starts[pixel + v]; i < starts[pixel + v + 1]; ++i) {
          values[v] += weights[i] * widened(grad[points[i] * channels + channel]);
        }
      }
    }
  }

  template <int V>
  __device__ __forceinline__ void in_row(int64_t pixel, int64_t channel, A (&values)[V]) const {
    const auto add = [&](A weight, const T* vector) {
      const Pack<T, V> g = *reinterpret_cast<const Pack<T, V>*>(vector + channel);
#pragma unroll
      for (int v = 0; v < V; ++v) values[v] += weight * widened(g.values[v]);
    };
#pragma unroll
    for (int v = 0; v < V; ++v) values[v] = 0;
    if constexpr (mean) {
      const A w = weights[pixel];
      if (w != 0) add(w * share, grad);
    } else {
      for (int i = starts[pixel]; i < starts[pixel + 1]; ++i) add(weights[i], grad + points[i] * channels);
    }
  }
};

template <class T, int V, Run run, bool mean>
__global__ void __launch_bounds__(kPoolThreads) spread_gradient(const SpreadArguments<T> given) {
  using A = typename Arithmetic<T>::type;
  extern __shared__ __align__(16) unsigned char shared_memory[];
  const PoolShape& shape = given.shape;
  const int64_t pixels = shape.height * shape.width;
  const int64_t rows = run == Run::rows ? pixels : shape.channels;
  const int64_t columns = run == Run::rows ? shape.channels : pixels;
  const int64_t chunks = ceil_div(rows, given.block_rows);
  // From one store of a thread to its next.
  const int64_t step_rows = kPoolThreads * V / columns;
  const int64_t step_columns = kPoolThreads * V - step_rows * columns;

  GradientAt<T, mean> at = {};
  at.channels = shape.channels;
  at.share = mean ? A{1} / static_cast<A>(shape.points) : A{1};
  for (int64_t item = blockIdx.x; item < shape.images * chunks; item += gridDim.x) {
    const int64_t image = item / chunks;
    const int64_t begin = (item - image * chunks) * given.block_rows;
    const int64_t end = begin + given.block_rows < rows ? begin + given.block_rows : rows;
    unsigned char* memory = taps_at(shared_memory, given.prepared, given.tap_bytes, image);
    if constexpr (mean) {
      const MergedTaps<A> taps(memory, pixels, shape.points);
      if (given.prepared == nullptr) merge_taps<A>(given.points, image, shape, taps);
      at.weights = taps.weights;
    } else {
      const BucketedTaps<A> taps(memory, pixels, shape.points);
      if (given.prepared == nullptr) bucket_taps<A>(given.points, image, shape, taps);
      at.weights = taps.weights;
      at.starts = taps.starts;
      at.points = taps.points;
    }
    at.grad = given.grad + image * (mean ? 1 : shape.points) * shape.channels;

    T* target = given.gradient + (image * rows + begin) * columns;
    const int64_t size = (end - begin) * columns;
    int64_t i = static_cast<int64_t>(threadIdx.x) * V;
    int64_t row = begin + i / columns;
    int64_t column = i % columns;
    for (; i < size; i += kPoolThreads * V) {
      A values[V];
      if constexpr (run == Run::rows) {
        at.in_row(row, column, values);
      } else if constexpr (run == Run::maps) {
        at.in_map(row, column, values);
      } else {
        int64_t channel = row, pixel = column;
#pragma unroll
        for (int v = 0; v < V; ++v) {
          A value[1];
          at.in_map(channel, pixel, value);
          values[v] = value[0];
          if (++pixel == columns) {
            pixel = 0;
            ++channel;
          }
        }
      }
      Pack<T, V> result;
#pragma unroll
      for (int v = 0; v < V; ++v) result.values[v] = narrowed<T>(values[v]);
      *reinterpret_cast<Pack<T, V>*>(target + i) = result;
      row += step_rows;
      column += step_columns;
      if (column >= columns) {
        column -= columns;
        ++row;
      }
    }
    __syncthreads();  // the taps are done with
  }
}

template <class T, int V, Run run>
cudaError_t launch_spread(SpreadArguments<T> given, cudaStream_t stream, const PoolTuning& tuning) {
  const PoolShape& shape = given.shape;
  const int64_t pixels = shape.height * shape.width;
  const int64_t rows = run == Run::rows ? pixels : shape.channels;
  const int64_t columns = run == Run::rows ? shape.channels : pixels;
  // Whole stores to a block, also where they straddle rows.
  given.block_rows = rows_of_block(rows, columns * static_cast<int64_t>(sizeof(T)), shape.images, V, tuning);
  const int64_t blocks = std::clamp<int64_t>(shape.images * ceil_div(rows, given.block_rows), 1, tuning.most_blocks);
  const size_t shared = given.prepared == nullptr ? static_cast<size_t>(given.tap_bytes) : 0;
  return shape.mean ? launch(spread_gradient<T, V, run, true>, blocks, kPoolThreads, shared, stream, given)
                    : launch(spread_gradient<T, V, run, false>, blocks, kPoolThreads, shared, stream, given);
}

}  // namespace

template <class T>
cudaError_t landmark_pool_features_gradient(const T* grad, const PoolPoints& points, const PoolShape& shape,
                                            T* gradient, void* workspace, cudaStream_t stream,
                                            const PoolTuning& tuning) {
  if (!valid_pool(shape)) return cudaErrorInvalidValue;
  if (shape.images == 0 || shape.channels == 0) return cudaSuccess;
  using A = typename Arithmetic<T>::type;
  SpreadArguments<T> given = {grad, gradient, points, shape, nullptr, tap_bytes(shape, sizeof(A)), 0};
  const cudaError_t error = prepare_taps<A>(points, shape, workspace, stream, tuning, &given.prepared);
  if (error != cudaSuccess) return error;
  constexpr int V = kPackOf<T>;
  const bool whole = whole_packs(gradient, grad, shape);
  if (shape.channels_last) {
    return whole ? launch_spread<T, V, Run::rows>(given, stream, tuning)
                 : launch_spread<T, 1, Run::rows>(given, stream, tuning);
  }
  if (whole) return launch_spread<T, V, Run::maps>(given, stream, tuning);
  const bool whole_images = shape.channels * shape.height * shape.width % V == 0;
  return whole_images && reinterpret_cast<uintptr_t>(gradient) % kVectorBytes == 0
             ? launch_spread<T, V, Run::straddles>(given, stream, tuning)
             : launch_spread<T, 1, Run::maps>(given, stream, tuning);
}

#define SKETCHFAST_POOL_FEATURES(T)                                                                              \
  template cudaError_t landmark_pool_features_gradient(const T*, const PoolPoints&, const PoolShape&, T*, void*, \
                                                       cudaStream_t, const PoolTuning&);
SKETCHFAST_POOL_FEATURES(float)
SKETCHFAST_POOL_FEATURES(double)
SKETCHFAST_POOL_FEATURES(Float16Bits)
SKETCHFAST_POOL_FEATURES(BFloat16Bits)

}  // namespace sketchfast::cuda
