// Choice of path, and division of the images among threads. The algorithm is in contour_points_sample.h.
#include "contour_points.h"

#include <algorithm>
#include <vector>

#include "contour_points_task.h"
#include "parallel.h"

namespace sketchfast::cpu {
namespace {

constexpr int64_t kWorkGrain = int64_t{1} << 18;  // pixels that pay for starting a thread
constexpr int64_t kTasksPerThread = 8;            // drawings differ in the length of their lines

// The thinning's path says what the processor has; the sampling asks for a part of that.
SkeletonPath available(SkeletonPath path) {
  if (path == SkeletonPath::automatic) {
    for (const SkeletonPath candidate : {SkeletonPath::avx512, SkeletonPath::avx2}) {
      if (skeletonize_path_available(candidate)) return candidate;
    }
  }
  return path != SkeletonPath::automatic && skeletonize_path_available(path) ? path : SkeletonPath::portable;
}

ContourKernel kernel_of(SkeletonPath path) {
  switch (path) {
    case SkeletonPath::avx512:
      return contour_kernel_avx512();
    case SkeletonPath::avx2:
      return contour_kernel_avx2();
    default:
      return contour_kernel_portable();
  }
}

}  // namespace

void contour_points(const uint8_t* images, int64_t num_images, int64_t height, int64_t width, int64_t n,
                    int32_t* points, uint8_t* valid, int num_threads, SkeletonPath path) {
  const SkeletonPath used = available(path);
  const ContourKernel kernel = kernel_of(used);
  const int64_t pixels = height * width;
  const int threads = threads_for(num_threads, num_images * pixels, kWorkGrain);
  const int64_t tasks =
      threads == 1 ? std::min<int64_t>(num_images, 1) : std::min(num_images, threads * kTasksPerThread);
  parallel_for(tasks, threads, [&](int64_t t) {
    // One skeleton at a time: it is still in the cache when its pixels are listed.
    std::vector<uint8_t> skeleton(static_cast<size_t>(pixels + kSkeletonSlack));
    ContourMemory memory;
    for (int64_t i = num_images * t / tasks; i < num_images * (t + 1) / tasks; ++i) {
      skeletonize(images + i * pixels, 1, height, width, SkeletonMethod::skel, kUntilStable, skeleton.data(),
                  /*num_threads=*/1, used);
      int32_t* const out = points + i * n * 2;
      valid[i] = kernel(skeleton.data(), height, width, n, memory, out);
      if (valid[i]) continue;
      for (int64_t k = 0; k < n; ++k) {
        out[2 * k] = static_cast<int32_t>(width / 2);
        out[2 * k + 1] = static_cast<int32_t>(height / 2);
      }
    }
  });
}

}  // namespace sketchfast::cpu
