// Thinning of binary images on a CUDA device, over raw device pointers and a stream: the same definitions and results, bit
// for bit, as on the CPU; the deletions are those of math/skeletonize.h.
//
// images and out are [count, height, width] bytes, row-major, at any alignment (8-byte alignment and widths that are
// multiples of 8 are read and written fastest). Nothing here allocates or waits for the device, so a CUDA graph can
// capture every call. The device that owns the pointers must be the current one.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace sketchfast::cuda {

enum class SkeletonMethod { skel, thin, zhang };

// Which bytes are strokes, and what is written.
//
//   skeletonize              stroke = value != 0;         1 on the skeleton, 0 elsewhere
//   homogeneous_transform    stroke = value < threshold;  0 on the centreline, 255 elsewhere
struct SkeletonBytes {
  uint8_t bound;  // stroke = (value >= bound) != below
  bool below;
  uint8_t ground;  // what is written off the skeleton
  uint8_t flip;    // ground ^ flip is written on it
};

constexpr SkeletonBytes kSkeletonBytes = {1, false, 0, 1};

// Any threshold: 0 and less make no pixel a stroke, 256 and more every pixel.
inline SkeletonBytes homogeneous_bytes(int64_t threshold) {
  if (threshold > 255) return {0, false, 255, 255};
  return {static_cast<uint8_t>(threshold < 0 ? 0 : threshold), true, 255, 255};
}

// What may be tuned for a device, or forced by a test, without touching the result. (Not yet measured on any device.)
struct SkeletonTuning {
  bool registers = true;             // images of up to 256 x 256 pixels in the registers of one warp
  int64_t shared_bytes = -1;         // shared memory that an image's bits may take; -1: all that a block can have
  int64_t max_warps = 16;            // of a block that holds more than such an image; at most 16
  int64_t band_rows = 0;             // rows that a lane sweeps at a time, even, at least 8; 0: by the amount of work
  int64_t max_blocks_per_image = 0;  // of images in global memory; 0: all that are resident at once
  int64_t max_images_at_once = 0;    // 0: as many as fit
  int64_t workspace_bytes = int64_t{256} << 20;  // wanted limit of device memory: fewer images at a time
};

enum class SkeletonPlace { nowhere, registers, shared, global, global_together };

// How a call divides its work; see skeletonize.cu.
struct SkeletonPlan {
  SkeletonMethod method;
  int64_t count;
  int height;
  int width;
  SkeletonPlace place;
  int words;    // 32-bit words of a row
  int columns;  // lanes that stand side by side in a band
  int bands;    // bands of a warp, one below the other
  int band_rows;
  int strips;          // tiles side by side
  int64_t tile_lines;  // tiles one below the other
  int warps;           // of a block
  int groups;          // images under way at once; of warps that take one each, four to a block
  int group_blocks;    // blocks of each
  size_t group_bytes;  // memory of each: two planes and the tiles' marks
  size_t shared_bytes;
  size_t workspace_bytes;  // device memory, 16-byte aligned, that may hold anything
};

// Asks the current device for its limits. cudaErrorInvalidValue for sizes below zero or sides of 2^30 and more.
cudaError_t plan_skeletonize(SkeletonMethod method, int64_t count, int64_t height, int64_t width, SkeletonPlan* plan,
                             const SkeletonTuning& tuning = {});

// Enqueues the plan. max_passes < 0: until nothing changes. out may not overlap images.
cudaError_t skeletonize(const SkeletonPlan& plan, const uint8_t* images, const SkeletonBytes& bytes, int64_t max_passes,
                        uint8_t* out, void* workspace, cudaStream_t stream);

}  // namespace sketchfast::cuda
