// Choice of path, what a sequence may hold, its place on the canvas, and division of the images among threads. Drawing:
// rasterize_lines.h and rasterize_coverage.h.
#include "rasterize.h"

#include <algorithm>
#include <limits>

#include "cpu_features.h"
#include "parallel.h"
#include "rasterize_task.h"

namespace sketchfast::cpu {
namespace {

constexpr int64_t kWorkGrain = int64_t{1} << 18;  // pixels that pay for starting a thread
constexpr int64_t kTasksPerThread = 8;            // drawings differ in the length of their lines

RasterKernel kernel_of(RasterPath path) {
  const bool wide =
      path == RasterPath::avx2 || (path == RasterPath::automatic && raster_path_available(RasterPath::avx2));
  return wide && raster_path_available(RasterPath::avx2) ? raster_kernel_avx2() : raster_kernel_portable();
}

int64_t length_of(const SequenceBatch& batch, int64_t i) {
  return batch.lengths == nullptr ? batch.points_each : batch.lengths[i];
}

void place(const raster::Canvas& canvas, const float* points, int64_t length, std::vector<float>& places) {
  places.assign(points, points + 2 * length);
  if (!canvas.fit || length == 0) return;
  float low[2], high[2];
  for (int axis = 0; axis < 2; ++axis) low[axis] = high[axis] = points[axis];
  for (int64_t i = 1; i < length; ++i) {
    for (int axis = 0; axis < 2; ++axis) {
      low[axis] = std::min(low[axis], points[2 * i + axis]);
      high[axis] = std::max(high[axis], points[2 * i + axis]);
    }
  }
  const raster::Placement placement = raster::placement_of(canvas, low[0], high[0], low[1], high[1]);
  for (int64_t i = 0; i < length; ++i) {
    places[2 * i] = raster::placed_x(placement, points[2 * i]);
    places[2 * i + 1] = raster::placed_y(placement, points[2 * i + 1]);
  }
}

}  // namespace

bool raster_path_available(RasterPath path) {
  return path != RasterPath::avx2 || (cpu_features().avx2 && raster_kernel_avx2() != nullptr);
}

SequenceFault first_fault(const SequenceBatch& batch, const raster::Canvas& canvas) {
  for (int64_t i = 0; i < batch.count; ++i) {
    const int64_t length = length_of(batch, i);
    if (length < 0 || length > batch.points_each) return {i, -1};
    const float* points = batch.points + 2 * i * batch.points_each;
    bool all = true;
    for (int64_t k = 0; k < length; ++k) all &= raster::legal(canvas, points[2 * k], points[2 * k + 1]);
    if (all) continue;
    for (int64_t k = 0; k < length; ++k) {
      if (!raster::legal(canvas, points[2 * k], points[2 * k + 1])) return {i, k};
    }
  }
  return {};
}

void rasterize(const SequenceBatch& batch, const raster::Canvas& canvas, uint8_t* images, int num_threads,
               RasterPath path) {
  const RasterKernel kernel = kernel_of(path);
  const int64_t pixels = int64_t{canvas.height} * canvas.width;
  const int threads = threads_for(num_threads, batch.count * pixels, kWorkGrain);
  const int64_t tasks =
      threads == 1 ? std::min<int64_t>(batch.count, 1) : std::min(batch.count, threads * kTasksPerThread);
  parallel_for(tasks, threads, [&](int64_t t) {
    RasterMemory memory;
    for (int64_t i = batch.count * t / tasks; i < batch.count * (t + 1) / tasks; ++i) {
      const int64_t first = i * batch.points_each;
      const int64_t length = length_of(batch, i);
      place(canvas, batch.points + 2 * first, length, memory.places);
      kernel(canvas, batch.lifts + first, length, memory, images + i * pixels);
    }
  });
}

}  // namespace sketchfast::cpu
