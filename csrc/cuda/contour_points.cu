// contour_points: the "skel" centreline (skeletonize.cu), then one block per image that gathers the centreline's pixels in
// row-major order and samples them by farthest points:
//
//   p_0 = the first pixel;  p_k = argmax_i min_{j < k} |pixel_i - p_j|^2, of equal distances the smallest i
//
// Pixels are gathered 16 bytes of the centreline a thread at a time, places by a sum over the block. A pixel is two
// 32-bit words, its coordinates and its distance to the points chosen so far; the first shared_pixels are in shared memory,
// further ones in global memory. One step of the sampling updates every distance and finds the largest key
// (distance, -i), one 64-bit number, by shuffles within warps and one barrier between them.
//
// Distances are exact integers, so neither the order of threads nor the device shows in the result. Cost: two bytes read
// and one written per pixel of the image, and min(points, pixels) steps of pixels / 256 updates a thread.
//
// Compiled, and run through the CPU emulation of tests/cuda; not yet executed on a GPU.
#include "contour_points.h"

#include "../math/contour_points.h"
#include "launch.h"

namespace sketchfast::cuda {
namespace {

constexpr int kSampleThreads = 256;
constexpr int kSampleWarps = kSampleThreads / kWarp;
constexpr int kRunBytes = 16;                // of the centreline that a thread looks at together
constexpr int64_t kMostSharedPixels = 6000;  // with the head below 48 KB, for which a kernel need not ask
constexpr int kPixelBytes = 8;

// Shared memory of a block: this, coordinates [shared_pixels], distances [shared_pixels].
struct SampleHead {
  unsigned long long best[2][kSampleWarps];  // by turns, so that one barrier a step is enough
  int found[2][kSampleWarps];
};
static_assert(sizeof(SampleHead) + kMostSharedPixels * kPixelBytes <= kSharedWithoutOptIn);

struct SampleArguments {
  const uint8_t* centrelines;  // [count, height, width], 0 or 1
  int32_t* out;
  uint8_t* valid;
  uint32_t* spilled;  // [gridDim, 2, spilled_pixels]
  int64_t count;
  int64_t spilled_pixels;
  int height;
  int width;
  int points;
  int shared_pixels;
};

// A centreline's pixels in row-major order: y << 16 | x, and the squared distance to the nearest point chosen.
struct Pixels {
  uint32_t *near_places, *near_distances;  // the first `split` of them, in shared memory
  uint32_t *far_places, *far_distances;
  int split;
  __device__ __forceinline__ void set(int i, uint32_t place) const {
    (i < split ? near_places[i] : far_places[i - split]) = place;
  }
  __device__ __forceinline__ uint32_t place(int i) const { return i < split ? near_places[i] : far_places[i - split]; }
};

// The run of 16 bytes at `first` as four words; bytes past the end are 0.
__device__ __forceinline__ uint4 load_run(const uint8_t* image, int64_t first, int64_t size, bool aligned) {
  if (aligned) return first < size ? *reinterpret_cast<const uint4*>(image + first) : uint4{0, 0, 0, 0};
  unsigned words[4];
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    words[w] = 0;
#pragma unroll
    for (int b = 0; b < 4; ++b) {
      const int64_t p = first + 4 * w + b;
      if (p < size) words[w] |= static_cast<unsigned>(image[p]) << (8 * b);
    }
  }
  return uint4{words[0], words[1], words[2], words[3]};
}

// Returns how many pixels the centreline has; they can be read after the next barrier.
__device__ int gather(const uint8_t* image, int64_t size, unsigned width, SampleHead* head, const Pixels& pixels) {
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % kWarp;
  const int warp = thread / kWarp;
  const bool aligned = size % kRunBytes == 0;  // images begin at multiples of 16 then
  int total = 0, turn = 0;
  for (int64_t tile = 0; tile < size; tile += kSampleThreads * kRunBytes, turn ^= 1) {
    const int64_t first = tile + thread * kRunBytes;
    const uint4 run = load_run(image, first, size, aligned);
    // Bytes are 0 or 1: bit 8b + w stands for byte 4w + b.
    const unsigned bits = run.x | run.y << 1 | run.z << 2 | run.w << 3;
    const int own = __popc(bits);
    int upto = own;
#pragma unroll
    for (int offset = 1; offset < kWarp; offset *= 2) {
      const int lower = __shfl_up_sync(kFullWarp, upto, offset);
      if (lane >= offset) upto += lower;
    }
    if (lane == kWarp - 1) head->found[turn][warp] = upto;
    __syncthreads();
    int position = total + upto - own;
#pragma unroll
    for (int w = 0; w < kSampleWarps; ++w) {
      const int found = head->found[turn][w];
      if (w < warp) position += found;
      total += found;
    }
    if (own == 0) continue;
#pragma unroll
    for (int i = 0; i < kRunBytes; ++i) {
      if (!(bits >> (i % 4 * 8 + i / 4) & 1)) continue;
      const unsigned p = static_cast<unsigned>(first) + i;
      const unsigned y = p / width;
      pixels.set(position++, y << 16 | (p - y * width));
    }
  }
  return total;
}

__device__ __forceinline__ unsigned long long key_of(uint32_t distance, int i) {
  return static_cast<unsigned long long>(distance) << 32 | (0xffffffffu - static_cast<uint32_t>(i));
}

// This thread's pixels of [from, to), of which the arrays hold `base` and up; the largest key of them and `best`.
__device__ __forceinline__ unsigned long long update(const uint32_t* places, uint32_t* distances, int from, int to,
                                                     int base, uint32_t chosen, bool first, unsigned long long best) {
  const int x0 = static_cast<int>(chosen & 0xffffu), y0 = static_cast<int>(chosen >> 16);
  for (int i = from; i < to; i += kSampleThreads) {
    const uint32_t place = places[i - base];
    uint32_t distance = static_cast<uint32_t>(
        contour::squared_distance(static_cast<int>(place & 0xffffu), static_cast<int>(place >> 16), x0, y0));
    if (!first && distances[i - base] < distance) distance = distances[i - base];
    distances[i - base] = distance;
    const unsigned long long key = key_of(distance, i);
    if (key > best) best = key;
  }
  return best;
}

__global__ void __launch_bounds__(kSampleThreads) sample_centrelines(const SampleArguments given) {
  extern __shared__ __align__(16) unsigned char shared_memory[];
  SampleHead* head = reinterpret_cast<SampleHead*>(shared_memory);
  const int thread = static_cast<int>(threadIdx.x);
  Pixels pixels;
  pixels.split = given.shared_pixels;
  pixels.near_places = reinterpret_cast<uint32_t*>(head + 1);
  pixels.near_distances = pixels.near_places + given.shared_pixels;
  pixels.far_places = given.spilled + blockIdx.x * 2 * given.spilled_pixels;
  pixels.far_distances = pixels.far_places + given.spilled_pixels;
  const int64_t size = static_cast<int64_t>(given.height) * given.width;

  for (int64_t image = blockIdx.x; image < given.count; image += gridDim.x) {
    int32_t* out = given.out + image * given.points * 2;
    const auto emit = [out](int k, int x, int y) {
      out[2 * k] = x;
      out[2 * k + 1] = y;
    };
    const int found = gather(given.centrelines + image * size, size, static_cast<unsigned>(given.width), head, pixels);
    if (thread == 0) given.valid[image] = found > 0;
    __syncthreads();
    const int distinct = min(found, given.points);
    int chosen = 0;
    for (int k = 0; k < distinct; ++k) {
      const uint32_t place = pixels.place(chosen);
      if (thread == 0) emit(k, static_cast<int>(place & 0xffffu), static_cast<int>(place >> 16));
      if (k + 1 == distinct) break;
      const int near = min(found, pixels.split);
      unsigned long long best = update(pixels.near_places, pixels.near_distances, thread, near, 0, place, k == 0, 0);
      best = update(pixels.far_places, pixels.far_distances, pixels.split + thread, found, pixels.split, place, k == 0,
                    best);
#pragma unroll
      for (int other = kWarp / 2; other > 0; other /= 2) {
        const unsigned long long theirs = __shfl_xor_sync(kFullWarp, best, other);
        if (theirs > best) best = theirs;
      }
      if (thread % kWarp == 0) head->best[k % 2][thread / kWarp] = best;
      __syncthreads();
#pragma unroll
      for (int w = 0; w < kSampleWarps; ++w) {
        if (head->best[k % 2][w] > best) best = head->best[k % 2][w];
      }
      chosen = static_cast<int>(0xffffffffu - static_cast<uint32_t>(best));
    }
    __syncthreads();  // the points chosen are to be read again, and the pixels are done with
    for (int k = distinct + thread; k < given.points; k += kSampleThreads) {
      if (found == 0) {
        emit(k, given.width / 2, given.height / 2);
      } else {
        emit(k, out[2 * (k % found)], out[2 * (k % found) + 1]);
      }
    }
  }
}

}  // namespace

cudaError_t plan_contour_points(int64_t count, int64_t height, int64_t width, int64_t points, ContourPlan* out,
                                const ContourTuning& tuning) {
  if (count < 0 || height < 1 || height > contour::kMaxSide || width < 1 || width > contour::kMaxSide || points < 1 ||
      points > contour::kMaxPoints) {
    return cudaErrorInvalidValue;
  }
  ContourPlan& plan = *out;
  plan = {};
  const cudaError_t error = plan_skeletonize(SkeletonMethod::skel, count, height, width, &plan.skeleton);
  if (error != cudaSuccess) return error;
  const int64_t size = height * width;
  plan.count = count;
  plan.height = static_cast<int>(height);
  plan.width = static_cast<int>(width);
  plan.points = static_cast<int>(points);
  plan.shared_pixels =
      static_cast<int>(std::min(size, std::clamp<int64_t>(tuning.shared_pixels, 0, kMostSharedPixels)));
  plan.spilled_pixels = size - plan.shared_pixels;
  const int64_t spill_bytes = plan.spilled_pixels * kPixelBytes;
  plan.blocks = grid_stride_blocks(count);
  if (tuning.max_blocks > 0) plan.blocks = std::min(plan.blocks, tuning.max_blocks);
  if (spill_bytes > 0) {
    plan.blocks = std::min(plan.blocks, std::max<int64_t>(1, tuning.workspace_bytes / spill_bytes));
  }
  plan.skeleton_bytes = static_cast<size_t>(round_up(count * size, kRunBytes));
  plan.sweep_bytes = static_cast<size_t>(round_up(static_cast<int64_t>(plan.skeleton.workspace_bytes), kRunBytes));
  plan.workspace_bytes =
      plan.skeleton_bytes + std::max(plan.sweep_bytes, static_cast<size_t>(plan.blocks * spill_bytes));
  return cudaSuccess;
}

cudaError_t contour_points(const ContourPlan& plan, const uint8_t* images, int32_t* out, uint8_t* valid,
                           void* workspace, cudaStream_t stream) {
  if (plan.count == 0) return cudaSuccess;
  uint8_t* centrelines = static_cast<uint8_t*>(workspace);
  // Free again for the sampling once the centrelines are there.
  uint8_t* further = centrelines + plan.skeleton_bytes;
  const cudaError_t error = skeletonize(plan.skeleton, images, kSkeletonBytes, -1, centrelines, further, stream);
  if (error != cudaSuccess) return error;
  SampleArguments given = {};
  given.centrelines = centrelines;
  given.out = out;
  given.valid = valid;
  given.spilled = reinterpret_cast<uint32_t*>(further);
  given.count = plan.count;
  given.spilled_pixels = plan.spilled_pixels;
  given.height = plan.height;
  given.width = plan.width;
  given.points = plan.points;
  given.shared_pixels = plan.shared_pixels;
  const size_t shared = sizeof(SampleHead) + static_cast<size_t>(plan.shared_pixels) * kPixelBytes;
  return launch(sample_centrelines, plan.blocks, kSampleThreads, shared, stream, given);
}

}  // namespace sketchfast::cuda
