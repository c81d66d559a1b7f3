// Landmark pooling: the division of the work; channels of one image go to the path's kernels (landmark_pool_simd.h).
//
// Work is cut into runs of channels of an image, about 2^17 values, by the shape alone. The slopes of a run (linear in its dots)
// are kept and added in the order of the runs, so the bits do not depend on the number of threads.
#include "landmark_pool.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "cpu_features.h"
#include "landmark_pool_task.h"
#include "parallel.h"

namespace sketchfast::cpu {
namespace {

constexpr int64_t kRunValues = 1 << 17;
constexpr int64_t kLeastRun = 64;           // channels
constexpr int64_t kThreadValues = 1 << 17;  // values a thread is worth starting for

bool has_avx2_and_fma() {
#if defined(__x86_64__) && defined(__linux__)
  return cpu_features().avx2 && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

bool use_avx2(PoolPath path) {
  static const bool available = has_avx2_and_fma();
  return path == PoolPath::avx2 || (path == PoolPath::automatic && available);
}

struct Runs {
  int64_t channels;  // of a run
  int64_t count;     // of an image
};
Runs runs_of(const PoolShape& shape) {
  const int64_t values = kRunValues / (shape.height * shape.width) / kLeastRun * kLeastRun;
  const int64_t channels = std::max(values, kLeastRun);
  return {channels, (shape.channels + channels - 1) / channels};
}

// A task's run of channels and its places in memory.
template <class T>
struct Run {
  int64_t image;
  int64_t first;  // channel
  int64_t channels;
  int64_t features;  // offset of the first channel's first value
  int64_t pooled;    // offset of the first value of the image's first pooled vector
};
template <class T>
Run<T> run_of(int64_t task, const Runs& runs, const PoolShape& shape) {
  const int64_t plane = shape.height * shape.width;
  Run<T> run;
  run.image = task / runs.count;
  run.first = task % runs.count * runs.channels;
  run.channels = std::min(runs.channels, shape.channels - run.first);
  run.features = run.image * shape.channels * plane + run.first * (shape.channels_last ? 1 : plane);
  run.pooled = run.image * (shape.mean ? 1 : shape.points) * shape.channels + run.first;
  return run;
}

template <class T, class P>
TapMatrix<Accumulator<T>> taps_of_image(const P* points, const PoolShape& shape, int64_t image) {
  return tap_matrix<Accumulator<T>>(points + image * shape.points * 2, shape.points, shape.height, shape.width,
                                    shape.mean);
}

template <class T>
PoolTask<T> task_of(const TapMatrix<Accumulator<T>>& taps, const T* features, const Run<T>& run,
                    const PoolShape& shape) {
  return {taps,       features + run.features, run.channels, shape.channels, shape.height * shape.width,
          shape.mean, shape.channels_last};
}

// slopes [L, 2] of a run's dots; the mean's 1 / L is in the weights of the matrix but not in the slopes.
template <class A>
void slopes_of(const TapMatrix<A>& taps, const std::vector<A>& dots, bool mean, A* slopes) {
  const auto points = static_cast<int64_t>(taps.taps.size());
  for (int64_t l = 0; l < points; ++l) {
    A at[kTaps];
    for (int k = 0; k < kTaps; ++k) {
      const int32_t entry = taps.tap_entry[l * kTaps + k];
      at[k] = entry < 0 ? A(0) : dots[entry];
    }
    tap_slopes(taps.taps[l], at, slopes + 2 * l, slopes + 2 * l + 1);
    if (!mean) continue;
    slopes[2 * l] /= static_cast<A>(points);
    slopes[2 * l + 1] /= static_cast<A>(points);
  }
}

}  // namespace

bool pool_path_available(PoolPath path) { return path != PoolPath::avx2 || has_avx2_and_fma(); }

template <class P>
int64_t first_nan(const P* coordinates, int64_t count) {
  const P* const found = std::find_if(coordinates, coordinates + count, [](P value) { return std::isnan(value); });
  return found == coordinates + count ? -1 : found - coordinates;
}
template int64_t first_nan<float>(const float*, int64_t);
template int64_t first_nan<double>(const double*, int64_t);

template <class T, class P>
void landmark_pool(const T* features, const P* points, const PoolShape& shape, T* pooled, int num_threads,
                   PoolPath path) {
  const Runs runs = runs_of(shape);
  const int64_t values = shape.images * shape.channels * shape.height * shape.width;
  parallel_for(shape.images * runs.count, threads_for(num_threads, values, kThreadValues), [&](int64_t number) {
    const Run<T> run = run_of<T>(number, runs, shape);
    const auto taps = taps_of_image<T>(points, shape, run.image);
    const PoolTask<T> task = task_of(taps, features, run, shape);
    use_avx2(path) ? pool_avx2::pool(task, pooled + run.pooled) : pool_portable::pool(task, pooled + run.pooled);
  });
}

template <class T, class P>
void landmark_pool_backward(const T* grad, const T* features, const P* points, const PoolShape& shape, T* grad_features,
                            P* grad_points, int num_threads, PoolPath path) {
  using A = Accumulator<T>;
  const Runs runs = runs_of(shape);
  const int64_t coordinates = shape.points * 2;
  std::vector<A> slopes(grad_points == nullptr ? 0 : static_cast<size_t>(shape.images * runs.count * coordinates));
  const int64_t values = shape.images * shape.channels * shape.height * shape.width;
  parallel_for(shape.images * runs.count, threads_for(num_threads, values, kThreadValues), [&](int64_t number) {
    const Run<T> run = run_of<T>(number, runs, shape);
    const auto taps = taps_of_image<T>(points, shape, run.image);
    const PoolTask<T> task = task_of(taps, features, run, shape);
    std::vector<A> dots(taps.pixel.size());
    T* const to = grad_features == nullptr ? nullptr : grad_features + run.features;
    A* const dot = grad_points == nullptr ? nullptr : dots.data();
    use_avx2(path) ? pool_avx2::pool_backward(task, grad + run.pooled, to, dot)
                   : pool_portable::pool_backward(task, grad + run.pooled, to, dot);
    if (grad_points != nullptr) slopes_of(taps, dots, shape.mean, slopes.data() + number * coordinates);
  });
  if (grad_points == nullptr) return;
  for (int64_t n = 0; n < shape.images; ++n) {
    for (int64_t i = 0; i < coordinates; ++i) {
      A sum = 0;
      for (int64_t r = 0; r < runs.count; ++r) sum += slopes[(n * runs.count + r) * coordinates + i];
      grad_points[n * coordinates + i] = static_cast<P>(sum);
    }
  }
}

#define SKETCHFAST_POOL_OF(T, P)                                                              \
  template void landmark_pool<T, P>(const T*, const P*, const PoolShape&, T*, int, PoolPath); \
  template void landmark_pool_backward<T, P>(const T*, const T*, const P*, const PoolShape&, T*, P*, int, PoolPath);
SKETCHFAST_POOL_OF(float, float)
SKETCHFAST_POOL_OF(float, double)
SKETCHFAST_POOL_OF(double, float)
SKETCHFAST_POOL_OF(double, double)
SKETCHFAST_POOL_OF(BFloat16Bits, float)
SKETCHFAST_POOL_OF(BFloat16Bits, double)
SKETCHFAST_POOL_OF(Float16Bits, float)
SKETCHFAST_POOL_OF(Float16Bits, double)

}  // namespace sketchfast::cpu
