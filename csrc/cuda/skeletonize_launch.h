// The kernels behind skeletonize.cu, which plans and chooses among them.
#pragma once

#include <cuda_runtime.h>

#include "skeletonize.h"

namespace sketchfast::cuda {

constexpr int kRegisterSide = 256;  // sides of the largest image that fits in the registers of a warp
constexpr int kImageWarps = 4;      // of a block of which every warp has an image of its own
constexpr int kSweepMaxWarps = 16;  // of a block that sweeps

// One warp per image (skeletonize_registers.cu).
cudaError_t skeletonize_in_registers(const SkeletonPlan& plan, const uint8_t* images, const SkeletonBytes& bytes,
                                     int64_t max_passes, uint8_t* out, cudaStream_t stream);

// One block or several per image (skeletonize_sweep.cu), with the bits in shared or in global memory.
cudaError_t skeletonize_by_sweeps(const SkeletonPlan& plan, const uint8_t* images, const SkeletonBytes& bytes,
                                  int64_t max_passes, uint8_t* out, void* workspace, cudaStream_t stream);

// The head of the workspace: what the blocks of each group tell each other.
struct GroupState {
  unsigned arrived;     // blocks at barriers, all barriers together
  unsigned changed[3];  // by barrier number modulo 3: not zero where a tile changed
};
static_assert(sizeof(GroupState) == 16);  // keeps what follows aligned
inline size_t skeleton_state_bytes(const SkeletonPlan& plan) { return sizeof(GroupState) * plan.groups; }

// How many blocks of global_together can be resident at once on one multiprocessor.
cudaError_t skeletonize_resident_blocks(SkeletonMethod method, int threads, int* blocks);

}  // namespace sketchfast::cuda
