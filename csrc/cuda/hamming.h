// Exact Hamming search and packing on a CUDA device, over raw device pointers and a stream.
//
// The same operations, layouts and results, bit for bit, as cpu/hamming.h. Codes are rows of `bytes` = bits / 8
// contiguous bytes, 1..128, at any alignment (16-byte aligned rows of 8, 16, 32, 64 or 128 bytes are read fastest).
// Every function only enqueues work on the stream: no allocation, no synchronisation, so a CUDA graph can capture it.
// The device that owns the pointers must be the current one. Returns the first error of a launch; wrong sizes give
// cudaErrorInvalidValue.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "../math/hamming.h"
#include "hamming_plan.h"

namespace sketchfast::cuda {

// Bytes of device memory that hamming_topk needs for these sizes; 0 where there is nothing to do. The memory must be
// 16-byte aligned, may hold anything, and is free again once the stream has passed the call.
size_t hamming_topk_workspace(int64_t num_queries, int64_t num_database, int64_t bytes, int64_t k,
                              const HammingTuning& tuning = {});

// For each query the k nearest codes, ordered by (distance, id): of equal distances the smallest ids win.
// distances [num_queries, k], ids [num_queries, k]; 0 <= k <= num_database.
cudaError_t hamming_topk(const uint8_t* queries, int64_t num_queries, const uint8_t* database, int64_t num_database,
                         int64_t bytes, int64_t k, int32_t* distances, int64_t* ids, void* workspace,
                         cudaStream_t stream, const HammingTuning& tuning = {});

// All distances, out [num_queries, num_database]; the uint8 form needs codes of at most 255 bits.
cudaError_t hamming_cdist(const uint8_t* queries, int64_t num_queries, const uint8_t* database, int64_t num_database,
                          int64_t bytes, uint8_t* out, cudaStream_t stream);
cudaError_t hamming_cdist(const uint8_t* queries, int64_t num_queries, const uint8_t* database, int64_t num_database,
                          int64_t bytes, int16_t* out, cudaStream_t stream);

// codes [rows, bits / 8]: bit = value > 0, the first value in the lowest bit; bits is a multiple of 8.
// T: float, double, int8_t, uint8_t (also bool), BFloat16Bits, Float16Bits.
template <class T>
cudaError_t pack_bits(const T* values, int64_t rows, int64_t bits, uint8_t* codes, cudaStream_t stream);

}  // namespace sketchfast::cuda
