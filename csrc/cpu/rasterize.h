// Stroke sequences drawn as pictures, on the CPU, over raw pointers. Definition: sketchfast/reference/rasterize.py; arithmetic:
// math/rasterize.h.
//
// Every path and every thread count gives the same bits without antialiasing, and values at most one level apart with it.
// num_threads <= 0 means every core. Callers check their arguments (limits: math/rasterize.h) and call first_fault().
#pragma once

#include <cstdint>

#include "../math/rasterize.h"

namespace sketchfast::cpu {

struct SequenceBatch {
  const float* points;     // [count, points_each, 2] as (x, y)
  const uint8_t* lifts;    // [count, points_each], not zero: the pen lifts after this point
  const int64_t* lengths;  // [count], or null: all points
  int64_t count;
  int64_t points_each;
};

struct SequenceFault {
  int64_t sequence = -1;  // the first with a fault, -1: none
  int64_t point = -1;     // of its legal length the first that is out of bounds, -1: the length is
};

SequenceFault first_fault(const SequenceBatch& batch, const raster::Canvas& canvas);

enum class RasterPath { automatic, portable, avx2 };

bool raster_path_available(RasterPath path);

// images [count, height, width]: paper 255, ink 0. For batches without a fault.
void rasterize(const SequenceBatch& batch, const raster::Canvas& canvas, uint8_t* images, int num_threads,
               RasterPath path = RasterPath::automatic);

}  // namespace sketchfast::cpu
