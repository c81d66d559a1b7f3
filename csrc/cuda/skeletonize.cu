// skeletonize and homogeneous_transform: where an image's bits are kept, and by how many threads.
//
//   registers         up to 256 x 256 pixels: one warp per image (skeletonize_registers.cu)
//   shared            larger, while two planes of bits fit in a block's shared memory: one block per image
//   global            larger still: one block per image, or, where images are fewer than the device has room for blocks,
//   global_together   several, resident at once and meeting at a barrier after every pass (all: skeletonize_sweep.cu)
//
// Every place gives the same bits. How many passes an image takes is decided on the device; the host waits for nothing.
//
// Compiled, and run through the CPU emulation of tests/cuda; not yet executed on a GPU.
#include "skeletonize.h"

#include <algorithm>

#include "launch.h"
#include "skeletonize_launch.h"

namespace sketchfast::cuda {
namespace {

constexpr int64_t kMaxSide = int64_t{1} << 30;
constexpr int64_t kWarpsToFill = 16;  // of a multiprocessor: fewer leave some of its time unused

int64_t tile_lines(const SkeletonPlan& plan, int64_t band_rows) {
  return ceil_div(plan.height, band_rows * plan.bands);
}

// Tall bands sweep fewer rows twice, short ones make work for more warps.
int choose_band_rows(const SkeletonPlan& plan, int64_t multiprocessors, const SkeletonTuning& tuning) {
  if (tuning.band_rows > 0) return static_cast<int>(tuning.band_rows);
  for (const int rows : {64, 32}) {
    if (plan.count * tile_lines(plan, rows) * plan.strips >= kWarpsToFill * multiprocessors) return rows;
  }
  return 16;
}

}  // namespace

cudaError_t plan_skeletonize(SkeletonMethod method, int64_t count, int64_t height, int64_t width, SkeletonPlan* out,
                             const SkeletonTuning& tuning) {
  if (count < 0 || height < 0 || width < 0 || height >= kMaxSide || width >= kMaxSide) return cudaErrorInvalidValue;
  if (tuning.band_rows % 2 != 0 || (tuning.band_rows > 0 && tuning.band_rows < 8)) return cudaErrorInvalidValue;
  const auto images_at_once = [&tuning](int64_t images) {
    return tuning.max_images_at_once > 0 ? std::min(images, tuning.max_images_at_once) : images;
  };
  SkeletonPlan& plan = *out;
  plan = {};
  plan.method = method;
  plan.count = count;
  plan.height = static_cast<int>(height);
  plan.width = static_cast<int>(width);
  if (count == 0 || height == 0 || width == 0) return cudaSuccess;  // nowhere
  if (tuning.registers && height <= kRegisterSide && width <= kRegisterSide) {
    plan.place = SkeletonPlace::registers;
    plan.groups = static_cast<int>(kImageWarps * grid_stride_blocks(ceil_div(images_at_once(count), kImageWarps)));
    return cudaSuccess;
  }

  int device = 0, multiprocessors = 0, shared_limit = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error != cudaSuccess) return error;
  error = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) return error;
  error = cudaDeviceGetAttribute(&shared_limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  if (error != cudaSuccess) return error;

  plan.words = static_cast<int>(ceil_div(width, kWarp));
  plan.columns = std::min(plan.words, kWarp);
  plan.bands = kWarp / plan.columns;
  plan.strips = plan.words <= kWarp ? 1 : static_cast<int>(ceil_div(plan.words, kWarp - 2));
  plan.band_rows = choose_band_rows(plan, multiprocessors, tuning);
  plan.tile_lines = tile_lines(plan, plan.band_rows);
  const int64_t tiles = plan.tile_lines * plan.strips;
  const int64_t most_warps = std::clamp<int64_t>(tuning.max_warps, 1, kSweepMaxWarps);
  const int64_t group_bytes = round_up(8 * height * plan.words + 2 * tiles, 16);
  plan.group_bytes = static_cast<size_t>(group_bytes);

  if (group_bytes <= (tuning.shared_bytes < 0 ? shared_limit : std::min<int64_t>(tuning.shared_bytes, shared_limit))) {
    plan.place = SkeletonPlace::shared;
    plan.warps = static_cast<int>(std::min(tiles, most_warps));
    plan.groups = static_cast<int>(grid_stride_blocks(images_at_once(count)));
    plan.group_blocks = 1;
    plan.shared_bytes = plan.group_bytes;
    return cudaSuccess;
  }

  // Few images: small blocks, so that they spread over the device.
  const int64_t spread = ceil_div(std::min<int64_t>(count, multiprocessors) * tiles, multiprocessors);
  plan.warps = static_cast<int>(std::min({spread, tiles, most_warps}));
  int resident = 0;  // on each multiprocessor
  error = skeletonize_resident_blocks(method, plan.warps * kWarp, &resident);
  if (error != cudaSuccess) return error;
  const int64_t blocks = std::max<int64_t>(1, static_cast<int64_t>(resident) * multiprocessors);
  const int64_t affordable = std::max<int64_t>(1, tuning.workspace_bytes / group_bytes);
  const int64_t groups = std::min({images_at_once(count), blocks, affordable});
  int64_t group_blocks = std::min(blocks / groups, ceil_div(tiles, plan.warps));
  if (tuning.max_blocks_per_image > 0) group_blocks = std::min(group_blocks, tuning.max_blocks_per_image);
  plan.groups = static_cast<int>(groups);
  plan.group_blocks = static_cast<int>(group_blocks);
  plan.place = group_blocks > 1 ? SkeletonPlace::global_together : SkeletonPlace::global;
  plan.workspace_bytes = skeleton_state_bytes(plan) + plan.group_bytes * static_cast<size_t>(groups);
  return cudaSuccess;
}

cudaError_t skeletonize(const SkeletonPlan& plan, const uint8_t* images, const SkeletonBytes& bytes, int64_t max_passes,
                        uint8_t* out, void* workspace, cudaStream_t stream) {
  switch (plan.place) {
    case SkeletonPlace::nowhere:
      return cudaSuccess;
    case SkeletonPlace::registers:
      return skeletonize_in_registers(plan, images, bytes, max_passes, out, stream);
    default:
      return skeletonize_by_sweeps(plan, images, bytes, max_passes, out, workspace, stream);
  }
}

}  // namespace sketchfast::cuda
