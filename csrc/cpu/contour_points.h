// Points spread over the centrelines of drawings, on the CPU, over raw pointers. Definition: sketchfast/reference/contour_points.py.
//
// Images are [num_images, height, width] bytes, contiguous, non-zero = stroke. Every path and every thread count gives the same
// bits. num_threads <= 0 means every core. Callers check their arguments (limits: math/contour_points.h); nothing here does.
#pragma once

#include <cstdint>

#include "skeletonize.h"

namespace sketchfast::cpu {

// points [num_images, n, 2] as (x, y); valid [num_images], 0 for blank images, whose points are all their centre. The path is
// that of the thinning and of the sampling.
void contour_points(const uint8_t* images, int64_t num_images, int64_t height, int64_t width, int64_t n,
                    int32_t* points, uint8_t* valid, int num_threads, SkeletonPath path = SkeletonPath::automatic);

}  // namespace sketchfast::cpu
