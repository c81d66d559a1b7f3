// Stroke sequences drawn as pictures on a CUDA device, over raw device pointers and a stream: without antialiasing the same
// bits as on the CPU, with it values at most one level apart.
//
// Nothing here allocates or waits for the device, so a CUDA graph can capture every call. The device that owns the pointers must
// be the current one. Since nobody looks at the values first, points that are NaN or out of bounds (math/rasterize.h) are left
// out, with the lines to them, and lengths are cut to 0..points_each.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "../math/rasterize.h"

namespace sketchfast::cuda {

struct Sequences {
  const float* points;     // [count, points_each, 2] as (x, y)
  const uint8_t* lifts;    // [count, points_each], not zero: the pen lifts after this point
  const int64_t* lengths;  // [count], or null: all points
  int64_t count;
  int64_t points_each;
};

// What may be tuned for a device, or forced by a test, without touching the result. (Not yet measured on any device.)
struct RasterTuning {
  int64_t band_rows = 64;   // of a picture that a block draws
  int64_t most_blocks = 0;  // 0: as launch.h has it
};

// images [count, height, width], at any alignment: paper 255, ink 0.
cudaError_t rasterize(const Sequences& sequences, const raster::Canvas& canvas, uint8_t* images, cudaStream_t stream,
                      const RasterTuning& tuning = {});

}  // namespace sketchfast::cuda
