// Thinning of binary images on the CPU, over raw pointers. Definitions: sketchfast/reference/skeletonize.py.
//
// Images are [num_images, height, width] bytes, contiguous; outside an image is background. Every path and every thread
// count gives the same bits. num_threads <= 0 means every core. Callers check their arguments; nothing here does.
#pragma once

#include <cstdint>

namespace sketchfast::cpu {

enum class SkeletonMethod { skel, thin, zhang };
enum class SkeletonPath { automatic, portable, avx2, avx512 };

constexpr int64_t kUntilStable = -1;  // a max_iter

// Whether this process can run the path.
bool skeletonize_path_available(SkeletonPath path);
const char* skeletonize_path_name(SkeletonPath path);

// skeletons: 1 where the pixel (non-zero = stroke) is left, else 0. At most max_iter iterations: passes of eight deletions for
// skel, of two subiterations for thin and zhang.
void skeletonize(const uint8_t* images, int64_t num_images, int64_t height, int64_t width, SkeletonMethod method,
                 int64_t max_iter, uint8_t* skeletons, int num_threads, SkeletonPath path = SkeletonPath::automatic);

// 0 on the "skel" centreline of the pixels with value < threshold, 255 elsewhere; threshold 0..256.
void homogeneous_transform(const uint8_t* images, int64_t num_images, int64_t height, int64_t width, int threshold,
                           uint8_t* out, int num_threads, SkeletonPath path = SkeletonPath::automatic);

}  // namespace sketchfast::cpu
