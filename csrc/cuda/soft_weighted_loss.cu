// Soft-weighted loss (Zheng et al., DeepSSP, eqs. 5-11; arithmetic: math/soft_weighted_loss.h) and its gradient:
//
//   loss             = sum_p alpha_i (log sum_c e^(x_c - m) - sum_j lambda_j (x_j - m)) / D,   D = sum_p alpha_i, m = max_c x_c
//   d loss / d x_c   = alpha_i / D (e^(x_c - m) / sum_k e^(x_k - m) - lambda_c)
//
// Three kernels in a row:
//   prepare_labels   labels -> own classes in 16 bits, and a partial sum of alpha per block
//   loss_of_tiles    one tile = a run of neighbouring pixels of one image (rows lie one behind the other), V to a thread.
//                    A thread reads the C logits of its pixels once, 16 bytes at a time where planes allow it, and keeps them
//                    in a column of shared memory that is its own, so nothing waits for another thread: log-sum-exp on the
//                    way in, the gradient on the way out. Without a gradient nothing is kept.
//   finish_loss      partial sums -> loss
//
// lambda is never an array. The own classes of a tile, of the run one row up and of the run one row down, each with one
// more pixel at both ends, are in shared memory; the lowest and the highest class and the count of each column of three
// serve up to three pixels and tell whether a window is uniform, as most are. The gradient takes classes in groups of
// eight, whose counts are the nibbles of one 32-bit word: any number of classes, shifts known at compile time.
//
// Sums over pixels are in double and in an order that depends on sizes only. Cost: logits read and gradient written once,
// labels read once and 2 bytes per pixel written and read; two exp per value.
//
// Compiled, and run through the CPU emulation of tests/cuda; not yet executed on a GPU.
#undef NDEBUG  // labels are checked in every build
#include <cassert>

#include "soft_weighted_loss_values.h"

namespace sketchfast::cuda {
namespace {

constexpr int kLabelThreads = 512;
constexpr int kLabelsInFlight = 4;
constexpr int64_t kLabelBlocks = 128;  // at most; each later block adds up this many partial sums
constexpr int64_t kMostTileBlocks = 16384;
constexpr int kClassGroup = 8;  // nibbles of a word
constexpr int kFinishThreads = 256;

// Neighbouring pixels of a thread where planes allow it: 16 bytes, or 8 of the 16-bit types, for the sake of registers.
template <class T>
constexpr int kPixelsAtOnce = sizeof(T) == 8 ? 2 : 4;

// Classes whose logits a thread has on the way at once: 128 bytes of them, or what registers allow.
__host__ __device__ constexpr int classes_in_flight(int value_bytes, int pixels_per_thread) {
  return value_bytes == 8 ? 8 : pixels_per_thread == 1 ? 16 : 128 / (value_bytes * pixels_per_thread);
}

// Threads of a block of tiles, at most.
__host__ __device__ constexpr int tile_threads(int pixels_per_thread) { return pixels_per_thread == 1 ? 256 : 128; }

enum class Mode {
  value,      // the loss alone
  staged,     // and the gradient, from logits in shared memory
  read_twice  // and the gradient, from logits read again: too many classes for shared memory
};

int64_t label_blocks(int64_t pixels, const LossTuning& tuning) {
  return std::clamp<int64_t>(ceil_div(pixels, kLabelThreads * kLabelsInFlight), 1,
                             std::min(kLabelBlocks, tuning.most_blocks));
}

// ---- labels ----

template <class Label, class A>
__global__ void __launch_bounds__(kLabelThreads)
    prepare_labels(const Label* __restrict__ labels, int64_t pixels, const A* __restrict__ class_weights,
                   int64_t classes, int64_t ignore_index, int16_t* __restrict__ own_classes,
                   double* __restrict__ weight_sums) {
  extern __shared__ __align__(16) unsigned char shared_memory[];
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kLabelThreads;
  double sum = 0;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kLabelThreads + threadIdx.x; first < pixels;
       first += kLabelsInFlight * stride) {
    int64_t label[kLabelsInFlight];
#pragma unroll
    for (int k = 0; k < kLabelsInFlight; ++k) {
      const int64_t p = first + k * stride;
      label[k] = p < pixels ? static_cast<int64_t>(labels[p]) : ignore_index;
    }
#pragma unroll
    for (int k = 0; k < kLabelsInFlight; ++k) {
      const int64_t p = first + k * stride;
      if (p >= pixels) break;
      const bool wrong = labelled_wrongly(label[k], classes, ignore_index);
      assert(!wrong && "soft_weighted_loss: labels must be 0..C-1 or ignore_index");
      const int own = wrong ? kNoClass : own_class(label[k], ignore_index);
      own_classes[p] = static_cast<int16_t>(own);
      if (own != kNoClass) sum += static_cast<double>(class_weights[own]);
    }
  }
  sum = sum_over_block(sum, reinterpret_cast<double*>(shared_memory));
  if (threadIdx.x == 0) weight_sums[blockIdx.x] = sum;
}

__device__ __forceinline__ double sum_of_partials(const double* __restrict__ partials, int64_t count, double* shared) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += partials[i];
  return sum_over_block(sum, shared);
}

// ---- loss and gradient ----

template <class T>
struct LossArguments {
  using A = typename Arithmetic<T>::type;
  const T* logits;
  T* gradient;                 // none in Mode::value
  const int16_t* own_classes;  // [N, H, W]
  const A* class_weights;
  const A* factor;            // of the gradient; null: 1
  const double* weight_sums;  // [weight_blocks]
  double* loss_sums;          // [gridDim]; null: the loss is not wanted
  int64_t weight_blocks;
  int64_t batch;
  int64_t classes;
  int64_t plane;  // H * W
  int64_t width;
  int background;
  bool soft;
};

// Shared memory of a block: sums [warps], logits [classes, threads] packs (Mode::staged), own classes [3, pixels + 2].
struct TileMemory {
  int64_t staged_at, labels_at, bytes;
};

__host__ __device__ inline TileMemory tile_memory(int threads, int pixels, int64_t staged_bytes) {
  TileMemory memory = {};
  memory.staged_at = round_up(threads / kWarp * static_cast<int64_t>(sizeof(double)), kVectorBytes);
  memory.labels_at = memory.staged_at + staged_bytes;
  memory.bytes = memory.labels_at + 3 * (pixels + 2) * static_cast<int64_t>(sizeof(int16_t));
  return memory;
}

// The windows of V neighbouring pixels, as far as one needs them to be told apart.
template <int V>
struct Windows {
  int own[V];
  int total[V];      // f_0 + ... + f_{C-1} where lambda is soft; 0 where it is one-hot at own
  unsigned at_left;  // bit v: pixel v is the first of its row
  unsigned at_right;
};

// What neighbour q = 0..8 of the pixel at `place` of its run counts as.
__device__ __forceinline__ int neighbour(const int16_t* labels, int pitch, int place, int q, bool at_left,
                                         bool at_right, int background) {
  const int step = q % 3;
  if ((step == 0 && at_left) || (step == 2 && at_right)) return kNoClass;
  return counted_class(labels[q / 3 * pitch + place + step], background);
}

template <int V>
__device__ __forceinline__ Windows<V> look_at_windows(const int16_t* labels, int pitch, int place, int64_t first_column,
                                                      int64_t width, int background, bool soft) {
  Windows<V> windows;
  windows.at_left = windows.at_right = 0;
  int64_t column = first_column;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    windows.own[v] = labels[pitch + place + v + 1];
    windows.total[v] = 0;
    if (column == 0) windows.at_left |= 1u << v;
    if (++column == width) {
      windows.at_right |= 1u << v;
      column = 0;
    }
  }
  if (!soft) return windows;
  // lowest of no class: above all; highest of no class: kNoClass, below all.
  int lowest[V + 2], highest[V + 2], total[V + 2];
#pragma unroll
  for (int k = 0; k < V + 2; ++k) {
    lowest[k] = kMaxLossClasses;
    highest[k] = kNoClass;
    total[k] = 0;
#pragma unroll
    for (int row = 0; row < 3; ++row) {
      const int counted = counted_class(labels[row * pitch + place + k], background);
      if (counted == kNoClass) continue;
      lowest[k] = min(lowest[k], counted);
      highest[k] = max(highest[k], counted);
      ++total[k];
    }
  }
#pragma unroll
  for (int v = 0; v < V; ++v) {
    if (counted_class(windows.own[v], background) == kNoClass) continue;
    int low = lowest[v + 1], high = highest[v + 1], sum = total[v + 1];
    if (!(windows.at_left >> v & 1)) {
      low = min(low, lowest[v]);
      high = max(high, highest[v]);
      sum += total[v];
    }
    if (!(windows.at_right >> v & 1)) {
      low = min(low, lowest[v + 2]);
      high = max(high, highest[v + 2]);
      sum += total[v + 2];
    }
    if (low != high) windows.total[v] = sum;  // a uniform window is one-hot
  }
  return windows;
}

template <class T, int V, Mode mode>
__global__ void __launch_bounds__(tile_threads(V), V == 1 ? 3 : 4) loss_of_tiles(const LossArguments<T> given) {
  using A = typename Arithmetic<T>::type;
  extern __shared__ __align__(16) unsigned char shared_memory[];
  const int threads = static_cast<int>(blockDim.x);
  const int thread = static_cast<int>(threadIdx.x);
  const int pixels = threads * V;
  const int pitch = pixels + 2;
  const int classes = static_cast<int>(given.classes);
  constexpr int kInFlight = classes_in_flight(sizeof(T), V);
  const TileMemory memory =
      tile_memory(threads, pixels, mode == Mode::staged ? given.classes * pixels * static_cast<int64_t>(sizeof(T)) : 0);
  double* sums = reinterpret_cast<double*>(shared_memory);
  Pack<T, V>* staged = reinterpret_cast<Pack<T, V>*>(shared_memory + memory.staged_at) + thread;
  int16_t* labels = reinterpret_cast<int16_t*>(shared_memory + memory.labels_at);

  A unit = 0;  // what alpha is multiplied by in the gradient
  if constexpr (mode != Mode::value) {
    const double denominator = sum_of_partials(given.weight_sums, given.weight_blocks, sums);
    const double factor = given.factor == nullptr ? 1.0 : static_cast<double>(*given.factor);
    unit = denominator == 0 ? A{0} : static_cast<A>(factor / denominator);
  }

  double loss_sum = 0;
  const int64_t tiles_of_image = ceil_div(given.plane, pixels);
  const int64_t tiles = given.batch * tiles_of_image;
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int64_t image = tile / tiles_of_image;
    const int64_t first = (tile - image * tiles_of_image) * pixels;
    const int16_t* own_classes = given.own_classes + image * given.plane;
    __syncthreads();  // nobody reads the labels of the last tile any more
    for (int row = 0; row < 3; ++row) {
      const int64_t start = first + (row - 1) * given.width - 1;
      for (int i = thread; i < pitch; i += threads) {
        const int64_t p = start + i;
        labels[row * pitch + i] = p >= 0 && p < given.plane ? own_classes[p] : static_cast<int16_t>(kNoClass);
      }
    }
    __syncthreads();
    const int place = thread * V;
    const int64_t p = first + place;
    if (p >= given.plane) continue;  // every thread sees the same tiles, hence the same barriers
    const int64_t column = p % given.width;
    const Windows<V> windows =
        look_at_windows<V>(labels, pitch, place, column, given.width, given.background, given.soft);
    bool any = false;
#pragma unroll
    for (int v = 0; v < V; ++v) any |= windows.own[v] != kNoClass;
    const T* source = given.logits + image * given.classes * given.plane + p;
    T* target = mode == Mode::value ? nullptr : given.gradient + image * given.classes * given.plane + p;
    if (!any) {  // logits of ignored pixels need not even be read
      if constexpr (mode != Mode::value) {
        Pack<T, V> zeros;
#pragma unroll
        for (int v = 0; v < V; ++v) zeros.values[v] = narrowed<T>(A{0});
        for (int c = 0; c < classes; ++c) *reinterpret_cast<Pack<T, V>*>(target + c * given.plane) = zeros;
      }
      continue;
    }

    // m and sum_c e^(x_c - m) as the classes come by. Where all so far are -inf, m counts as 0.
    A largest[V], sum[V];
#pragma unroll
    for (int v = 0; v < V; ++v) {
      largest[v] = -static_cast<A>(INFINITY);
      sum[v] = 0;
    }
    for (int c0 = 0; c0 < classes; c0 += kInFlight) {
      Pack<T, V> x[kInFlight];
#pragma unroll
      for (int k = 0; k < kInFlight; ++k) {
        if (c0 + k < classes) x[k] = *reinterpret_cast<const Pack<T, V>*>(source + (c0 + k) * given.plane);
      }
      if constexpr (mode == Mode::staged) {
#pragma unroll
        for (int k = 0; k < kInFlight; ++k) {
          if (c0 + k < classes) staged[(c0 + k) * threads] = x[k];
        }
      }
#pragma unroll
      for (int v = 0; v < V; ++v) {
        A top = largest[v];
#pragma unroll
        for (int k = 0; k < kInFlight; ++k) {
          if (c0 + k < classes) top = max(top, widened(x[k].values[v]));
        }
        const A base = top == -static_cast<A>(INFINITY) ? A{0} : top;
        A total = sum[v] * exp_of_negative(largest[v] - base);
#pragma unroll
        for (int k = 0; k < kInFlight; ++k) {
          if (c0 + k < classes) total += exp_of_negative(widened(x[k].values[v]) - base);
        }
        largest[v] = top;
        sum[v] = total;
      }
    }

    const auto logit = [&](int v, int c) {
      return widened(mode == Mode::staged ? staged[c * threads].values[v] : source[c * given.plane + v]);
    };
    A softmax_scale[V], label_scale[V];  // gradient = e^(x - m) * softmax_scale - count * label_scale
    unsigned ignored = 0;
#pragma unroll
    for (int v = 0; v < V; ++v) {
      if (largest[v] == -static_cast<A>(INFINITY)) largest[v] = 0;
      softmax_scale[v] = label_scale[v] = 0;
      if (windows.own[v] == kNoClass) {
        ignored |= 1u << v;
        continue;
      }
      const A alpha = given.class_weights[windows.own[v]];
      A expected = 0;  // sum_j lambda_j (x_j - m)
      if (windows.total[v] == 0) {
        expected = logit(v, windows.own[v]) - largest[v];
      } else {
        for (int q = 0; q < kWindowPixels; ++q) {
          const int counted = neighbour(labels, pitch, place + v, q, windows.at_left >> v & 1,
                                        windows.at_right >> v & 1, given.background);
          if (counted != kNoClass) expected += logit(v, counted) - largest[v];
        }
        expected /= static_cast<A>(windows.total[v]);
      }
      loss_sum += static_cast<double>(alpha) * static_cast<double>(log(sum[v]) - expected);
      softmax_scale[v] = alpha * unit / sum[v];
      label_scale[v] = windows.total[v] == 0 ? alpha * unit : alpha * unit / static_cast<A>(windows.total[v]);
    }

    if constexpr (mode != Mode::value) {
      for (int c0 = 0; c0 < classes; c0 += kClassGroup) {
        uint32_t counts[V];  // f_{c0 + k} in nibble k; 1 for one-hot
#pragma unroll
        for (int v = 0; v < V; ++v) {
          const unsigned own = static_cast<unsigned>(windows.own[v] - c0);
          counts[v] = 0;
          if (windows.total[v] == 0) {
            if (own < kClassGroup) counts[v] = 1u << (4 * own);
          } else {
            for (int q = 0; q < kWindowPixels; ++q) {
              const unsigned counted =
                  static_cast<unsigned>(neighbour(labels, pitch, place + v, q, windows.at_left >> v & 1,
                                                  windows.at_right >> v & 1, given.background) -
                                        c0);
              if (counted < kClassGroup) counts[v] += 1u << (4 * counted);
            }
          }
        }
        Pack<T, V> again[kClassGroup];  // all on the way before the first store, which might be to any of them
        if constexpr (mode == Mode::read_twice) {
#pragma unroll
          for (int k = 0; k < kClassGroup; ++k) {
            if (c0 + k < classes) again[k] = *reinterpret_cast<const Pack<T, V>*>(source + (c0 + k) * given.plane);
          }
        }
#pragma unroll
        for (int k = 0; k < kClassGroup; ++k) {
          if (c0 + k >= classes) continue;
          const Pack<T, V> x = mode == Mode::staged ? staged[(c0 + k) * threads] : again[k];
          Pack<T, V> result;
#pragma unroll
          for (int v = 0; v < V; ++v) {
            A count;
            count_as(counts[v] >> (4 * k) & 15u, count);
            const A softmax = exp_of_negative(widened(x.values[v]) - largest[v]) * softmax_scale[v];
            // Not a product with zero: an ignored pixel's logits may be NaN.
            result.values[v] = narrowed<T>(ignored >> v & 1 ? A{0} : softmax - count * label_scale[v]);
          }
          *reinterpret_cast<Pack<T, V>*>(target + (c0 + k) * given.plane) = result;
        }
      }
    }
  }
  if (given.loss_sums == nullptr) return;
  loss_sum = sum_over_block(loss_sum, sums);
  if (thread == 0) given.loss_sums[blockIdx.x] = loss_sum;
}

template <class A>
__global__ void __launch_bounds__(kFinishThreads)
    finish_loss(const double* __restrict__ loss_sums, int64_t tile_blocks, const double* __restrict__ weight_sums,
                int64_t weight_blocks, A* __restrict__ loss) {
  extern __shared__ __align__(16) unsigned char shared_memory[];
  double* shared = reinterpret_cast<double*>(shared_memory);
  const double denominator = sum_of_partials(weight_sums, weight_blocks, shared);
  const double numerator = sum_of_partials(loss_sums, tile_blocks, shared);
  if (threadIdx.x == 0) *loss = denominator == 0 ? A{0} : static_cast<A>(numerator / denominator);
}

// ---- launches ----

struct TilePlan {
  Mode mode;
  int threads;
  int64_t blocks;
  int64_t shared_bytes;
};

// value_bytes: of one logit; vector: pixels per thread.
TilePlan plan_tiles(const LossShape& shape, int value_bytes, int vector, bool gradient, const LossTuning& tuning) {
  const int64_t bytes_per_thread = shape.classes * vector * value_bytes;
  TilePlan plan = {gradient ? Mode::staged : Mode::value, tile_threads(vector), 0, 0};
  if (gradient) {
    while (plan.threads > kWarp && plan.threads * bytes_per_thread > tuning.staged_bytes) plan.threads /= 2;
    if (plan.threads * bytes_per_thread > tuning.most_staged_bytes) {
      plan.mode = Mode::read_twice;
      plan.threads = tile_threads(vector);
    }
  }
  const int64_t pixels = static_cast<int64_t>(plan.threads) * vector;
  const int64_t tiles = shape.batch * ceil_div(shape.height * shape.width, pixels);
  plan.blocks = std::clamp<int64_t>(tiles, 1, std::min(kMostTileBlocks, tuning.most_blocks));
  const int64_t staged = plan.mode == Mode::staged ? plan.threads * bytes_per_thread : 0;
  plan.shared_bytes = tile_memory(plan.threads, static_cast<int>(pixels), staged).bytes;
  return plan;
}

template <class T, int V>
cudaError_t launch_tiles(const TilePlan& plan, const LossArguments<T>& given, cudaStream_t stream) {
  const auto kernel = plan.mode == Mode::value    ? loss_of_tiles<T, V, Mode::value>
                      : plan.mode == Mode::staged ? loss_of_tiles<T, V, Mode::staged>
                                                  : loss_of_tiles<T, V, Mode::read_twice>;
  return launch(kernel, plan.blocks, plan.threads, static_cast<size_t>(plan.shared_bytes), stream, given);
}

bool valid_loss(const LossShape& shape, const LossRule& rule) {
  return shape.batch >= 0 && shape.height >= 0 && shape.width >= 0 && shape.width <= 2147483647 && shape.classes >= 1 &&
         shape.classes <= kMaxLossClasses && rule.background >= -1 && rule.background < shape.classes;
}

}  // namespace

size_t soft_weighted_loss_workspace(const LossShape& shape) {
  const int64_t pixels = shape.batch * shape.height * shape.width;
  return static_cast<size_t>((kLabelBlocks + kMostTileBlocks) * static_cast<int64_t>(sizeof(double)) +
                             round_up(pixels * static_cast<int64_t>(sizeof(int16_t)), kVectorBytes));
}

template <class T, class Label>
cudaError_t soft_weighted_loss(const T* logits, const Label* labels, const typename Arithmetic<T>::type* class_weights,
                               const LossShape& shape, const LossRule& rule, const typename Arithmetic<T>::type* factor,
                               typename Arithmetic<T>::type* loss, T* gradient, void* workspace, cudaStream_t stream,
                               const LossTuning& tuning) {
  using A = typename Arithmetic<T>::type;
  if (!valid_loss(shape, rule) || tuning.most_blocks < 1) return cudaErrorInvalidValue;
  const int64_t plane = shape.height * shape.width;
  const int64_t pixels = shape.batch * plane;
  double* weight_sums = static_cast<double*>(workspace);
  double* loss_sums = weight_sums + kLabelBlocks;
  int16_t* own_classes = reinterpret_cast<int16_t*>(loss_sums + kMostTileBlocks);

  const int64_t weight_blocks = label_blocks(pixels, tuning);
  cudaError_t error =
      launch(prepare_labels<Label, A>, weight_blocks, kLabelThreads, sizeof(double) * (kLabelThreads / kWarp), stream,
             labels, pixels, class_weights, shape.classes, rule.ignore_index, own_classes, weight_sums);
  if (error != cudaSuccess) return error;

  constexpr int kVector = kPixelsAtOnce<T>;
  constexpr uintptr_t kPackBytes = sizeof(Pack<T, kVector>);
  const bool vector = plane % kVector == 0 && reinterpret_cast<uintptr_t>(logits) % kPackBytes == 0 &&
                      reinterpret_cast<uintptr_t>(gradient) % kPackBytes == 0;
  const TilePlan plan = plan_tiles(shape, sizeof(T), vector ? kVector : 1, gradient != nullptr, tuning);
  LossArguments<T> given = {};
  given.logits = logits;
  given.gradient = gradient;
  given.own_classes = own_classes;
  given.class_weights = class_weights;
  given.factor = factor;
  given.weight_sums = weight_sums;
  given.loss_sums = loss == nullptr ? nullptr : loss_sums;
  given.weight_blocks = weight_blocks;
  given.batch = shape.batch;
  given.classes = shape.classes;
  given.plane = plane;
  given.width = shape.width;
  given.background = static_cast<int>(rule.background);
  given.soft = rule.soft;
  if (pixels > 0 && (loss != nullptr || gradient != nullptr)) {
    error = vector ? launch_tiles<T, kVector>(plan, given, stream) : launch_tiles<T, 1>(plan, given, stream);
    if (error != cudaSuccess) return error;
  }
  if (loss == nullptr) return cudaSuccess;
  return launch(finish_loss<A>, 1, kFinishThreads, sizeof(double) * (kFinishThreads / kWarp), stream, loss_sums,
                pixels > 0 ? plan.blocks : 0, weight_sums, weight_blocks, loss);
}

#define SKETCHFAST_LOSS(T, Label)                                                                                 \
  template cudaError_t soft_weighted_loss(const T*, const Label*, const typename Arithmetic<T>::type*,            \
                                          const LossShape&, const LossRule&, const typename Arithmetic<T>::type*, \
                                          typename Arithmetic<T>::type*, T*, void*, cudaStream_t, const LossTuning&);
#define SKETCHFAST_LOSS_OF_LABELS(Label) \
  SKETCHFAST_LOSS(float, Label)          \
  SKETCHFAST_LOSS(double, Label)         \
  SKETCHFAST_LOSS(Float16Bits, Label)    \
  SKETCHFAST_LOSS(BFloat16Bits, Label)
SKETCHFAST_LOSS_OF_LABELS(uint8_t)
SKETCHFAST_LOSS_OF_LABELS(int8_t)
SKETCHFAST_LOSS_OF_LABELS(int16_t)
SKETCHFAST_LOSS_OF_LABELS(int32_t)
SKETCHFAST_LOSS_OF_LABELS(int64_t)

}  // namespace sketchfast::cuda
