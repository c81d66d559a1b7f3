// The two passes of hamming_topk over the database (hamming_walk.cu).
#pragma once

#include <cuda_runtime.h>

#include "hamming_plan.h"

namespace sketchfast::cuda {

// counts[q][d][u] = codes of unit u at distance d of query q, for every d <= limits[q].
cudaError_t hamming_count(const HammingPlan& plan, const HammingWalk& walk, cudaStream_t stream);

// Writes the codes with d <= limits[q] to their places below k; counts[q][d][u] is where the first of unit u goes.
cudaError_t hamming_place(const HammingPlan& plan, const HammingWalk& walk, cudaStream_t stream);

}  // namespace sketchfast::cuda
