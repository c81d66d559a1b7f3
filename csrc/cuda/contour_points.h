// Contour points of binary images on a CUDA device, over raw device pointers and a stream: "skel" centrelines and
// farthest-point samples of them, the same points, bit for bit, as on the CPU.
//
// images are [count, height, width] bytes, row-major, not zero where there is a stroke, at any alignment. Nothing here
// allocates or waits for the device, so a CUDA graph can capture every call. The device that owns the pointers must be
// the current one.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "skeletonize.h"

namespace sketchfast::cuda {

// What may be tuned for a device, or forced by a test, without touching the result. (Not yet measured on any device.)
struct ContourTuning {
  int64_t shared_pixels =
      6000;                // of a centreline in shared memory, 8 bytes each; 0 to 6000, further ones are in global
  int64_t max_blocks = 0;  // 0: as many as there are images, within workspace_bytes
  int64_t workspace_bytes =
      int64_t{256} << 20;  // wanted limit of the memory for further pixels: fewer images at a time
};

struct ContourPlan {
  SkeletonPlan skeleton;
  int64_t count;
  int height;
  int width;
  int points;         // wanted of each image
  int shared_pixels;  // of a block
  int64_t spilled_pixels;
  int64_t blocks;
  size_t skeleton_bytes;  // the centrelines [count, height, width]; rounded up, as the sweeps' memory behind them is
  size_t sweep_bytes;
  size_t workspace_bytes;  // of device memory, 16-byte aligned, that may hold anything
};

// cudaErrorInvalidValue where sides or points are out of the limits of math/contour_points.h.
cudaError_t plan_contour_points(int64_t count, int64_t height, int64_t width, int64_t points, ContourPlan* plan,
                                const ContourTuning& tuning = {});

// Enqueues the plan. out int32 [count, points, 2] as (x, y); valid [count]: 1, or 0 for an image without a stroke.
cudaError_t contour_points(const ContourPlan& plan, const uint8_t* images, int32_t* out, uint8_t* valid,
                           void* workspace, cudaStream_t stream);

}  // namespace sketchfast::cuda
