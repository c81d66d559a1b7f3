// skeletonize for images of up to 256 x 256 pixels: one warp per image, all bits in registers.
//
//   kept(y, x) = stroke(y, x) and not deletion_k(3x3 neighbourhood), k in order, repeated      (math/skeletonize.h)
//
// A lane holds kRows neighbouring rows of kWords words: 8 x 8 for 256 x 256 (64 registers), 4 x 4 for 128 x 128, 2 x 2 for
// 64 x 64. A deletion walks down the lane's rows and replaces each when the row below has been looked at; before it, the
// lanes exchange the rows at their edges by 2 kWords shuffles. Rows and columns outside the image are zeros, which no
// deletion changes. A pass that deletes nothing ends the image: deletions only lower the words, so the sum of a lane's
// words tells whether any of them changed.
//
// Bytes become bits, and bits bytes, in shared memory: eight pixels a lane where the rows allow 8-byte loads, else one
// pixel a lane and a vote. A lane's rows are kept four words apart from the next lane's, so that 16-byte accesses of
// neighbouring lanes meet different banks.
//
// Cost: two funnel shifts and about three LOP3 per word and deletion of "skel", 40 to 45 instructions for 32 pixels and
// pass; 64 a clock and multiprocessor on compute capability 9.0. Reading and writing take one byte a pixel each.
//
// Compiled, and run through the CPU emulation of tests/cuda; not yet executed on a GPU.
#include "launch.h"
#include "skeletonize_bits.h"
#include "skeletonize_launch.h"

namespace sketchfast::cuda {
namespace {

template <int kRows, int kWords>
struct RegisterImage {
  static constexpr int kHeight = kRows * kWarp;
  static constexpr int kChunks = kWords * 4;                        // of eight pixels, in a row
  static constexpr int kGap = kRows * kWords / 4 % 2 == 0 ? 4 : 0;  // words; makes kLaneWords an odd multiple of 4
  static constexpr int kLaneWords = kRows * kWords + kGap;
  static constexpr int kStageWords = kLaneWords * kWarp;

  static __device__ __forceinline__ uint32_t* row(uint32_t* stage, int y) {
    return stage + y / kRows * kLaneWords + y % kRows * kWords;
  }
};

template <int kRows, int kWords>
__device__ __forceinline__ void read_image(const uint8_t* __restrict__ image, int height, int width, bool vector,
                                           const SkeletonBytes& bytes, int lane, uint32_t* stage) {
  using Image = RegisterImage<kRows, kWords>;
  if (vector) {
    constexpr int kStep = kWarp / Image::kChunks;  // rows that the warp reads at once
    const int chunk = lane % Image::kChunks;
#pragma unroll 8
    for (int first = 0; first < Image::kHeight; first += kStep) {
      const int y = first + lane / Image::kChunks;
      uint32_t bits = 0;
      if (y < height && 8 * chunk < width) {
        bits = eight_strokes(__ldg(reinterpret_cast<const uint2*>(image + y * width + 8 * chunk)), bytes);
      }
      bytes_of(Image::row(stage, y))[chunk] = static_cast<uint8_t>(bits);
    }
  } else {
#pragma unroll 2
    for (int y = 0; y < Image::kHeight; ++y) {
      uint32_t word = 0;
#pragma unroll
      for (int w = 0; w < kWords; ++w) {
        const int x = w * kWarp + lane;
        const bool stroke = y < height && x < width && is_stroke(__ldg(image + y * width + x), bytes);
        const uint32_t votes = __ballot_sync(kFullWarp, stroke);
        if (lane == w) word = votes;
      }
      if (lane < kWords) Image::row(stage, y)[lane] = word;
    }
  }
}

template <int kRows, int kWords>
__device__ __forceinline__ void write_image(uint8_t* __restrict__ image, int height, int width, bool vector,
                                            const SkeletonBytes& bytes, int lane, uint32_t* stage) {
  using Image = RegisterImage<kRows, kWords>;
  if (vector) {
    constexpr int kStep = kWarp / Image::kChunks;
    const int chunk = lane % Image::kChunks;
#pragma unroll 4
    for (int y = lane / Image::kChunks; y < height; y += kStep) {
      if (8 * chunk < width) {
        *reinterpret_cast<uint2*>(image + y * width + 8 * chunk) =
            eight_bytes(bytes_of(Image::row(stage, y))[chunk], bytes);
      }
    }
  } else {
    for (int y = 0; y < height; ++y) {
#pragma unroll
      for (int w = 0; w < kWords; ++w) {
        const int x = w * kWarp + lane;
        if (x < width) image[y * width + x] = one_byte(Image::row(stage, y)[w] >> lane & 1u, bytes);
      }
    }
  }
}

template <int kWords>
__device__ __forceinline__ SkeletonRow row_at(const uint32_t (&words)[kWords], int w) {
  return row_of(w > 0 ? words[w > 0 ? w - 1 : 0] : 0u, words[w],
                w + 1 < kWords ? words[w + 1 < kWords ? w + 1 : 0] : 0u);
}

// One deletion, parallel over the whole image.
template <SkeletonMethod method, int step, int kRows, int kWords>
__device__ __forceinline__ void delete_once(uint32_t (&rows)[kRows][kWords], int lane) {
  uint32_t above[kWords], below[kWords];
#pragma unroll
  for (int w = 0; w < kWords; ++w) {
    above[w] = __shfl_up_sync(kFullWarp, rows[kRows - 1][w], 1);
    below[w] = __shfl_down_sync(kFullWarp, rows[0][w], 1);
    if (lane == 0) above[w] = 0;
    if (lane == kWarp - 1) below[w] = 0;
  }
  SkeletonWindow<method, step> windows[kWords];
#pragma unroll
  for (int w = 0; w < kWords; ++w) {
    windows[w].push(row_at(above, w));
    windows[w].push(row_at(rows[0], w));
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    uint32_t kept[kWords];
#pragma unroll
    for (int w = 0; w < kWords; ++w) {
      kept[w] = windows[w].push(r + 1 < kRows ? row_at(rows[r + 1 < kRows ? r + 1 : 0], w) : row_at(below, w));
    }
#pragma unroll
    for (int w = 0; w < kWords; ++w) rows[r][w] = kept[w];
  }
}

template <SkeletonMethod method, int step, int kRows, int kWords>
__device__ __forceinline__ void run_pass(uint32_t (&rows)[kRows][kWords], int lane) {
  delete_once<method, step>(rows, lane);
  if constexpr (step + 1 < kSkeletonSteps<method>) run_pass<method, step + 1>(rows, lane);
}

template <int kRows, int kWords>
__device__ __forceinline__ uint64_t sum_of(const uint32_t (&rows)[kRows][kWords]) {
  uint64_t sum = 0;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int w = 0; w < kWords; ++w) sum += rows[r][w];
  }
  return sum;
}

template <SkeletonMethod method, int kRows, int kWords>
__global__ void __launch_bounds__(kImageWarps* kWarp)
    skeletonize_image(const uint8_t* __restrict__ images, int64_t count, int height, int width, bool vector_images,
                      bool vector_out, SkeletonBytes bytes, int64_t max_passes, uint8_t* __restrict__ out) {
  using Image = RegisterImage<kRows, kWords>;
  extern __shared__ __align__(16) unsigned char shared_memory[];
  const int lane = threadIdx.x % kWarp;
  const int warp = threadIdx.x / kWarp;
  uint32_t* stage = reinterpret_cast<uint32_t*>(shared_memory) + warp * Image::kStageWords;
  uint4* mine = reinterpret_cast<uint4*>(stage + lane * Image::kLaneWords);
  const int64_t pixels = static_cast<int64_t>(height) * width;
  const int64_t warps = static_cast<int64_t>(gridDim.x) * kImageWarps;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kImageWarps + warp; i < count; i += warps) {  // whole warps
    read_image<kRows, kWords>(images + i * pixels, height, width, vector_images, bytes, lane, stage);
    __syncwarp();
    uint32_t rows[kRows][kWords];
#pragma unroll
    for (int q = 0; q < kRows * kWords / 4; ++q) {
      const uint4 four = mine[q];
      rows[4 * q / kWords][4 * q % kWords] = four.x;
      rows[(4 * q + 1) / kWords][(4 * q + 1) % kWords] = four.y;
      rows[(4 * q + 2) / kWords][(4 * q + 2) % kWords] = four.z;
      rows[(4 * q + 3) / kWords][(4 * q + 3) % kWords] = four.w;
    }
    uint64_t sum = sum_of(rows);
#pragma unroll 1
    for (int64_t pass = 0; max_passes < 0 || pass < max_passes; ++pass) {
      run_pass<method, 0>(rows, lane);
      const uint64_t before = sum;
      sum = sum_of(rows);
      if (!__any_sync(kFullWarp, sum != before)) break;
    }
#pragma unroll
    for (int q = 0; q < kRows * kWords / 4; ++q) {
      uint4 four;
      four.x = rows[4 * q / kWords][4 * q % kWords];
      four.y = rows[(4 * q + 1) / kWords][(4 * q + 1) % kWords];
      four.z = rows[(4 * q + 2) / kWords][(4 * q + 2) % kWords];
      four.w = rows[(4 * q + 3) / kWords][(4 * q + 3) % kWords];
      mine[q] = four;
    }
    __syncwarp();
    write_image<kRows, kWords>(out + i * pixels, height, width, vector_out, bytes, lane, stage);
    __syncwarp();  // the next image overwrites what was read
  }
}

template <SkeletonMethod method, int kRows, int kWords>
cudaError_t launch_shape(const SkeletonPlan& plan, const uint8_t* images, const SkeletonBytes& bytes,
                         int64_t max_passes, uint8_t* out, cudaStream_t stream) {
  const size_t shared = sizeof(uint32_t) * RegisterImage<kRows, kWords>::kStageWords * kImageWarps;
  return launch(skeletonize_image<method, kRows, kWords>, plan.groups / kImageWarps, kImageWarps * kWarp, shared,
                stream, images, plan.count, plan.height, plan.width, vector_pixels(images, plan.width),
                vector_pixels(out, plan.width), bytes, max_passes, out);
}

template <SkeletonMethod method>
cudaError_t launch_method(const SkeletonPlan& plan, const uint8_t* images, const SkeletonBytes& bytes,
                          int64_t max_passes, uint8_t* out, cudaStream_t stream) {
  const int side = plan.height > plan.width ? plan.height : plan.width;
  if (side <= 64) return launch_shape<method, 2, 2>(plan, images, bytes, max_passes, out, stream);
  if (side <= 128) return launch_shape<method, 4, 4>(plan, images, bytes, max_passes, out, stream);
  return launch_shape<method, 8, 8>(plan, images, bytes, max_passes, out, stream);
}

}  // namespace

cudaError_t skeletonize_in_registers(const SkeletonPlan& plan, const uint8_t* images, const SkeletonBytes& bytes,
                                     int64_t max_passes, uint8_t* out, cudaStream_t stream) {
  switch (plan.method) {
    case SkeletonMethod::skel:
      return launch_method<SkeletonMethod::skel>(plan, images, bytes, max_passes, out, stream);
    case SkeletonMethod::thin:
      return launch_method<SkeletonMethod::thin>(plan, images, bytes, max_passes, out, stream);
    case SkeletonMethod::zhang:
      return launch_method<SkeletonMethod::zhang>(plan, images, bytes, max_passes, out, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace sketchfast::cuda
