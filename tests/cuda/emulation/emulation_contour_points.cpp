// Runs contour_points of csrc/cuda on the CPU over the cases of standard input; see fibers.h.
//
// In: int64 seed, then per case eight int64 (count, height, width, points, byte offset of the images; of ContourTuning
// shared_pixels, max_blocks, workspace_bytes) and the images' bytes. Out: the points and the validity bytes.
#include "fibers.h"

#include "cuda/contour_points.cu"
#include "cuda/skeletonize.cu"
#include "cuda/skeletonize_registers.cu"
#include "cuda/skeletonize_sweep.cu"

int main() {
  using namespace emulation;
  using namespace sketchfast::cuda;
  begin();
  int64_t c[8];
  while (next_case(c)) {
    const auto [count, height, width, points, offset, shared_pixels, max_blocks, workspace_bytes] = c;
    ContourTuning tuning;
    tuning.shared_pixels = shared_pixels;
    tuning.max_blocks = max_blocks;
    tuning.workspace_bytes = workspace_bytes;
    Bytes images(static_cast<size_t>(count * height * width), static_cast<size_t>(offset));
    read(images.data, images.size);
    ContourPlan plan;
    check(plan_contour_points(count, height, width, points, &plan, tuning));
    Bytes workspace(plan.workspace_bytes, 0), out(static_cast<size_t>(count * points) * 8, 0);
    Bytes valid(static_cast<size_t>(count), 0);
    check(contour_points(plan, images.data, reinterpret_cast<int32_t*>(out.data), valid.data, workspace.data, nullptr));
    write(out);
    write(valid);
  }
  return end();
}
