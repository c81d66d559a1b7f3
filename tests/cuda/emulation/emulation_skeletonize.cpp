// Runs skeletonize and homogeneous_transform of csrc/cuda on the CPU over the cases of standard input; see fibers.h.
//
// In: int64 seed, then per case 17 int64 (method, count, height, width, byte offset of the images, of the output, threshold or
// -1000 for skeletonize, max_passes; of SkeletonTuning registers, shared_bytes, max_warps, band_rows, max_blocks_per_image,
// max_images_at_once, workspace_bytes; of the device multiprocessors and blocks of each) and the images' bytes.
// Out: per case a byte that tells the SkeletonPlace, and the output.
#include "fibers.h"

#include "cuda/skeletonize.cu"
#include "cuda/skeletonize_registers.cu"
#include "cuda/skeletonize_sweep.cu"

int main() {
  using namespace emulation;
  using namespace sketchfast::cuda;
  begin();
  int64_t c[17];
  while (next_case(c)) {
    const auto [method, count, height, width, offset_in, offset_out, threshold, max_passes, registers, shared_bytes, max_warps,
                band_rows, max_blocks, max_images, workspace_bytes, multiprocessors, blocks] = c;
    device.multiprocessors = static_cast<int>(multiprocessors);
    device.blocks_per_multiprocessor = static_cast<int>(blocks);
    SkeletonTuning tuning;
    tuning.registers = registers != 0;
    tuning.shared_bytes = shared_bytes;
    tuning.max_warps = max_warps;
    tuning.band_rows = band_rows;
    tuning.max_blocks_per_image = max_blocks;
    tuning.max_images_at_once = max_images;
    tuning.workspace_bytes = workspace_bytes;
    const size_t size = static_cast<size_t>(count * height * width);
    Bytes images(size, static_cast<size_t>(offset_in));
    read(images.data, size);
    Bytes out(size, static_cast<size_t>(offset_out));
    SkeletonPlan plan;
    check(plan_skeletonize(static_cast<SkeletonMethod>(method), count, height, width, &plan, tuning));
    Bytes workspace(plan.workspace_bytes, 0);
    const SkeletonBytes bytes = threshold == -1000 ? kSkeletonBytes : homogeneous_bytes(threshold);
    check(skeletonize(plan, images.data, bytes, max_passes, out.data, workspace.data, nullptr));
    std::putchar(static_cast<int>(plan.place));
    write(out);
  }
  return end();
}
