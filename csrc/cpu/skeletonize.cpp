// Choice of path, and division of the images among threads. The algorithm is in skeletonize_sweep.h.
#include "skeletonize.h"

#include <algorithm>

#include "cpu_features.h"
#include "parallel.h"
#include "skeletonize_task.h"

namespace sketchfast::cpu {
namespace {

constexpr int64_t kWorkGrain = int64_t{1} << 19;  // pixels that pay for starting a thread
constexpr int64_t kTasksPerThread = 8;            // drawings differ in the number of iterations they need

SkeletonKernel kernel_of(SkeletonPath path) {
  const CpuFeatures& features = cpu_features();
  switch (path) {
    case SkeletonPath::automatic:
    case SkeletonPath::portable:
      return skeletonize_kernel_portable();
    case SkeletonPath::avx2:
      return features.avx2 ? skeletonize_kernel_avx2() : nullptr;
    case SkeletonPath::avx512:
      return features.avx512_vbmi ? skeletonize_kernel_avx512() : nullptr;
  }
  return nullptr;
}

SkeletonKernel choose_kernel(SkeletonPath path) {
  if (path == SkeletonPath::automatic) {
    for (const SkeletonPath candidate : {SkeletonPath::avx512, SkeletonPath::avx2}) {
      if (const SkeletonKernel kernel = kernel_of(candidate)) return kernel;
    }
  }
  const SkeletonKernel kernel = kernel_of(path);
  return kernel ? kernel : skeletonize_kernel_portable();
}

void run(const SkeletonTask& all, int num_threads, SkeletonPath path) {
  const int64_t pixels = all.height * all.width;
  if (all.num_images == 0 || pixels == 0) return;
  const SkeletonKernel kernel = choose_kernel(path);
  const int threads = threads_for(num_threads, all.num_images * pixels, kWorkGrain);
  const int64_t tasks = threads == 1 ? 1 : std::min(all.num_images, threads * kTasksPerThread);
  parallel_for(tasks, threads, [&](int64_t t) {
    const int64_t first = all.num_images * t / tasks;
    SkeletonTask task = all;
    task.images += first * pixels;
    task.out += first * pixels;
    task.num_images = all.num_images * (t + 1) / tasks - first;
    kernel(task);
  });
}

}  // namespace

bool skeletonize_path_available(SkeletonPath path) { return kernel_of(path) != nullptr; }

const char* skeletonize_path_name(SkeletonPath path) {
  switch (path) {
    case SkeletonPath::automatic:
      return "auto";
    case SkeletonPath::portable:
      return "portable";
    case SkeletonPath::avx2:
      return "avx2";
    case SkeletonPath::avx512:
      return "avx512";
  }
  return "";
}

void skeletonize(const uint8_t* images, int64_t num_images, int64_t height, int64_t width, SkeletonMethod method,
                 int64_t max_iter, uint8_t* skeletons, int num_threads, SkeletonPath path) {
  run({images, num_images, height, width, /*limit=*/0, /*above=*/true, method, max_iter, skeletons, /*stroke=*/1,
       /*ground=*/0},
      num_threads, path);
}

void homogeneous_transform(const uint8_t* images, int64_t num_images, int64_t height, int64_t width, int threshold,
                           uint8_t* out, int num_threads, SkeletonPath path) {
  if (threshold == 0) {  // nothing is below it
    std::fill(out, out + num_images * height * width, uint8_t{255});
    return;
  }
  run({images, num_images, height, width, static_cast<uint8_t>(threshold - 1), /*above=*/false, SkeletonMethod::skel,
       kUntilStable, out, /*stroke=*/0, /*ground=*/255},
      num_threads, path);
}

}  // namespace sketchfast::cpu
