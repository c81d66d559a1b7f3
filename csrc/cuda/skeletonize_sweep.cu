// skeletonize for images of any size: all deletions of a pass in one sweep down the image, bits in shared or global memory.
//
//   kept(y, x) = stroke(y, x) and not deletion_k(3x3 neighbourhood), k = 1..S in order, repeated   (math/skeletonize.h)
//
// Wavefront. A lane holds one word of a row. When row y arrives, step 1 of the pass knows rows y - 2, y - 1, y and answers
// with row y - 1; that is step 2's next row, and so on: after S steps row y - S is finished. Each step keeps the two rows
// that it needs in registers (SkeletonWindow), and gets its neighbours' bits by two shuffles. So a pass reads every word
// once and writes it once.
//
//   band    what a lane sweeps: band_rows rows of one word, and S more above and below it, which neighbours sweep too
//   tile    what a warp sweeps: `bands` bands one below the other, each `columns` words wide. Images of up to 1,024 columns
//           are one tile wide (a word costs a lane, so bands = 32 / words). Wider ones are cut into strips of 30 words and a
//           further word on either side: S <= 8 deletions spoil 8 of its 32 columns, none of the strip's
//   plane   the bits of an image. Pass p reads one plane and writes another, so tiles may run in any order
//   mark    whether a tile changed in the last pass. If neither it nor one of its eight neighbours did, this pass cannot
//           change it, and the plane to be written already holds it from the pass before last
//   group   the blocks that work on one image: one, or several that are resident at once (cooperative launch) and meet at a
//           barrier in global memory after each pass. The image is finished when a pass marks no tile
//
// Cost: per word and step of "skel" two shuffles, two funnel shifts and about six LOP3 and selects; (band_rows + 2 S) /
// band_rows times that for the rows swept twice, and 32 / (bands * columns) times for lanes without a word.
//
// Compiled, and run through the CPU emulation of tests/cuda; not yet executed on a GPU.
#include "launch.h"
#include "skeletonize_bits.h"
#include "skeletonize_launch.h"

namespace sketchfast::cuda {
namespace {

// A warp's part in a group.
struct Member {
  int64_t warp;
  int64_t warps;
  int lane;
};

// The image's bytes as bits.
__device__ __forceinline__ void pack_image(const SkeletonPlan& plan, const Member& me,
                                           const uint8_t* __restrict__ image, bool vector, const SkeletonBytes& bytes,
                                           uint32_t* plane) {
  for (int64_t y = me.warp; y < plan.height; y += me.warps) {
    const uint8_t* __restrict__ row = image + y * plan.width;
    uint32_t* words = plane + y * plan.words;
    if (vector) {
#pragma unroll 2
      for (int chunk = me.lane; chunk < 4 * plan.words; chunk += kWarp) {
        const bool inside = 8 * chunk < plan.width;
        bytes_of(words)[chunk] = static_cast<uint8_t>(
            inside ? eight_strokes(__ldg(reinterpret_cast<const uint2*>(row + 8 * chunk)), bytes) : 0u);
      }
    } else {
      for (int first = 0; first < plan.words; first += kWarp) {
        uint32_t word = 0;
#pragma unroll 4
        for (int w = 0; w < kWarp && first + w < plan.words; ++w) {
          const int x = (first + w) * kWarp + me.lane;
          const uint32_t votes = __ballot_sync(kFullWarp, x < plan.width && is_stroke(__ldg(row + x), bytes));
          if (me.lane == w) word = votes;
        }
        if (first + me.lane < plan.words) words[first + me.lane] = word;
      }
    }
  }
}

__device__ __forceinline__ void unpack_image(const SkeletonPlan& plan, const Member& me, uint8_t* __restrict__ image,
                                             bool vector, const SkeletonBytes& bytes, uint32_t* plane) {
  for (int64_t y = me.warp; y < plan.height; y += me.warps) {
    uint8_t* __restrict__ row = image + y * plan.width;
    uint32_t* words = plane + y * plan.words;
    if (vector) {
#pragma unroll 2
      for (int chunk = me.lane; 8 * chunk < plan.width; chunk += kWarp) {
        *reinterpret_cast<uint2*>(row + 8 * chunk) = eight_bytes(bytes_of(words)[chunk], bytes);
      }
    } else {
#pragma unroll 4
      for (int w = 0; w < plan.words; ++w) {
        const int x = w * kWarp + me.lane;
        if (x < plan.width) row[x] = one_byte(words[w] >> me.lane & 1u, bytes);
      }
    }
  }
}

// One step of the pass for every step from `step` on: the window's answer to a row is the next window's row.
template <SkeletonMethod method, int step>
struct Wavefront {
  SkeletonWindow<method, step> window;
  Wavefront<method, step + 1> rest;

  __device__ __forceinline__ uint32_t push(uint32_t x, bool no_west, bool no_east) {
    const uint32_t west = __shfl_up_sync(kFullWarp, x, 1);
    const uint32_t east = __shfl_down_sync(kFullWarp, x, 1);
    return rest.push(window.push(row_of(no_west ? 0u : west, x, no_east ? 0u : east)), no_west, no_east);
  }
};
template <SkeletonMethod method>
struct Wavefront<method, kSkeletonSteps<method>> {
  __device__ __forceinline__ uint32_t push(uint32_t x, bool, bool) { return x; }
};

// One pass over a tile; whether this lane changed a word of it.
template <SkeletonMethod method>
__device__ __forceinline__ bool sweep_tile(const SkeletonPlan& plan, int64_t line, int strip, int lane,
                                           const uint32_t* from, uint32_t* to) {
  constexpr int kSteps = kSkeletonSteps<method>;
  const int column = lane % plan.columns;
  const int band = lane / plan.columns;
  const int margin = plan.strips > 1 ? 1 : 0;
  const int word = strip * (plan.columns - 2 * margin) + column - margin;
  const bool reads = band < plan.bands && word >= 0 && word < plan.words;
  const bool writes = reads && column >= margin && column < plan.columns - margin;
  const bool no_west = column == 0, no_east = column == plan.columns - 1;
  // Rows as places in the plane, so that neither is multiplied within the loop.
  const int64_t first = (line * plan.bands + band) * plan.band_rows - kSteps;
  int64_t y = first;
  int64_t place = first * plan.words + word;
  const int64_t back = static_cast<int64_t>(kSteps) * plan.words;
  Wavefront<method, 0> front;
  bool changed = false;
#pragma unroll 2
  for (int t = 0; t < plan.band_rows + 2 * kSteps; ++t) {  // the same for all lanes
    const uint32_t x = reads && y >= 0 && y < plan.height ? from[place] : 0u;
    const uint32_t kept = front.push(x, no_west, no_east);
    if (t >= 2 * kSteps && writes && y - kSteps < plan.height) {
      changed |= from[place - back] != kept;
      to[place - back] = kept;
    }
    ++y;
    place += plan.words;
  }
  return changed;
}

// Whether the tile or one of its neighbours changed in the last pass.
__device__ __forceinline__ bool may_change(const SkeletonPlan& plan, int64_t line, int strip, int lane,
                                           const uint8_t* marks) {
  const int64_t l = line + lane / 3 - 1;
  const int s = strip + lane % 3 - 1;
  const bool exists = lane < 9 && l >= 0 && l < plan.tile_lines && s >= 0 && s < plan.strips;
  return __any_sync(kFullWarp, exists && marks[l * plan.strips + s] != 0);
}

// Waits until all threads of the group are here, what they wrote is visible to all, and tells whether any said `any`.
template <bool kTogether>
__device__ __forceinline__ bool group_any(const SkeletonPlan& plan, GroupState* state, unsigned* barrier, bool any) {
  bool seen = __syncthreads_or(any) != 0;
  if constexpr (kTogether) {
    if (threadIdx.x == 0) {
      unsigned* const slot = &state->changed[*barrier % 3];
      // Last read before everybody came to the barrier before this one, next written after everybody has come to this one.
      if (blockIdx.x % plan.group_blocks == 0) state->changed[(*barrier + 1) % 3] = 0;
      if (seen) atomicAdd(slot, 1u);
      __threadfence();
      atomicAdd(&state->arrived, 1u);
      const unsigned awaited = (*barrier + 1) * static_cast<unsigned>(plan.group_blocks);
      while (static_cast<int>(awaited - *static_cast<volatile unsigned*>(&state->arrived)) > 0) __nanosleep(20);
      __threadfence();
      seen = *static_cast<volatile unsigned*>(slot) != 0;
    }
    ++*barrier;
    seen = __syncthreads_or(threadIdx.x == 0 && seen) != 0;
  }
  return seen;
}

// kShared: planes and marks in shared memory, else in global memory, group after group. kTogether: groups of several blocks.
template <SkeletonMethod method, bool kShared, bool kTogether>
__global__ void __launch_bounds__(kSweepMaxWarps* kWarp)
    skeletonize_sweep(const SkeletonPlan plan, const uint8_t* __restrict__ images, bool vector_images, bool vector_out,
                      SkeletonBytes bytes, int64_t max_passes, uint8_t* __restrict__ out, unsigned char* workspace) {
  extern __shared__ __align__(16) unsigned char shared_memory[];
  const int64_t group = blockIdx.x / plan.group_blocks;
  const int warps = blockDim.x / kWarp;
  const Member me = {static_cast<int64_t>(blockIdx.x % plan.group_blocks) * warps + threadIdx.x / kWarp,
                     static_cast<int64_t>(plan.group_blocks) * warps, static_cast<int>(threadIdx.x % kWarp)};
  GroupState* state = nullptr;
  unsigned char* memory = shared_memory;
  if constexpr (!kShared) {
    state = reinterpret_cast<GroupState*>(workspace) + group;
    memory = workspace + sizeof(GroupState) * plan.groups + plan.group_bytes * group;
  }
  const int64_t plane_words = static_cast<int64_t>(plan.height) * plan.words;
  uint32_t* const planes = reinterpret_cast<uint32_t*>(memory);
  const int64_t tiles = plan.tile_lines * plan.strips;
  uint8_t* const marks = memory + 2 * sizeof(uint32_t) * plane_words;
  const int64_t pixels = static_cast<int64_t>(plan.height) * plan.width;
  unsigned barrier = 0;

  for (int64_t image = group; image < plan.count; image += plan.groups) {  // the same for the whole group
    pack_image(plan, me, images + image * pixels, vector_images, bytes, planes);
    group_any<kTogether>(plan, state, &barrier, false);
    int now = 0;  // the plane that holds the image
    bool first = true;
#pragma unroll 1
    for (int64_t pass = 0; max_passes < 0 || pass < max_passes; ++pass) {
      const uint32_t* from = planes + now * plane_words;
      uint32_t* to = planes + (1 - now) * plane_words;
      const uint8_t* last_marks = marks + now * tiles;
      uint8_t* next_marks = marks + (1 - now) * tiles;
      bool any = false;
#pragma unroll 1
      for (int64_t tile = me.warp; tile < tiles; tile += me.warps) {  // whole warps
        const int64_t line = tile / plan.strips;
        const int strip = static_cast<int>(tile % plan.strips);
        bool changed = false;
        if (first || may_change(plan, line, strip, me.lane, last_marks)) {
          changed = __any_sync(kFullWarp, sweep_tile<method>(plan, line, strip, me.lane, from, to));
        }
        if (me.lane == 0) next_marks[tile] = changed;
        any |= changed;
      }
      first = false;
      now = 1 - now;
      if (!group_any<kTogether>(plan, state, &barrier, any)) break;
    }
    unpack_image(plan, me, out + image * pixels, vector_out, bytes, planes + now * plane_words);
    __syncwarp();  // the next image overwrites what was read; a warp packs the rows that it unpacks
  }
}

template <SkeletonMethod method>
cudaError_t launch_sweep(const SkeletonPlan& plan, const uint8_t* images, const SkeletonBytes& bytes,
                         int64_t max_passes, uint8_t* out, void* workspace, cudaStream_t stream) {
  const bool together = plan.place == SkeletonPlace::global_together;
  const auto kernel = plan.place == SkeletonPlace::shared ? skeletonize_sweep<method, true, false>
                      : together                          ? skeletonize_sweep<method, false, true>
                                                          : skeletonize_sweep<method, false, false>;
  if (together) {
    const cudaError_t error = cudaMemsetAsync(workspace, 0, skeleton_state_bytes(plan), stream);
    if (error != cudaSuccess) return error;
  }
  const int64_t blocks = static_cast<int64_t>(plan.groups) * plan.group_blocks;
  return launch_grid(kernel, blocks, plan.warps * kWarp, plan.shared_bytes, stream, together, plan, images,
                     vector_pixels(images, plan.width), vector_pixels(out, plan.width), bytes, max_passes, out,
                     static_cast<unsigned char*>(workspace));
}

template <SkeletonMethod method>
cudaError_t resident_blocks(int threads, int* blocks) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, skeletonize_sweep<method, false, true>, threads, 0);
}

}  // namespace

cudaError_t skeletonize_by_sweeps(const SkeletonPlan& plan, const uint8_t* images, const SkeletonBytes& bytes,
                                  int64_t max_passes, uint8_t* out, void* workspace, cudaStream_t stream) {
  switch (plan.method) {
    case SkeletonMethod::skel:
      return launch_sweep<SkeletonMethod::skel>(plan, images, bytes, max_passes, out, workspace, stream);
    case SkeletonMethod::thin:
      return launch_sweep<SkeletonMethod::thin>(plan, images, bytes, max_passes, out, workspace, stream);
    case SkeletonMethod::zhang:
      return launch_sweep<SkeletonMethod::zhang>(plan, images, bytes, max_passes, out, workspace, stream);
  }
  return cudaErrorInvalidValue;
}

cudaError_t skeletonize_resident_blocks(SkeletonMethod method, int threads, int* blocks) {
  switch (method) {
    case SkeletonMethod::skel:
      return resident_blocks<SkeletonMethod::skel>(threads, blocks);
    case SkeletonMethod::thin:
      return resident_blocks<SkeletonMethod::thin>(threads, blocks);
    case SkeletonMethod::zhang:
      return resident_blocks<SkeletonMethod::zhang>(threads, blocks);
  }
  return cudaErrorInvalidValue;
}

}  // namespace sketchfast::cuda
