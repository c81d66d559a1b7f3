// Landmark pooling and its gradients on a CUDA device, over raw device pointers and a stream; the taps of a point are in
// math/landmark_pool.h.
//
// Features and their gradient are [images, channels, height, width], contiguous as such or as channels_last (NHWC); pooled
// vectors [images, channels] (mean) or [images, points, channels]; points [images, points, 2] as (x, y), float or double.
// 16-byte aligned features of channels (NHWC) or maps (NCHW) of whole 16 bytes are read and written fastest; nothing depends
// on it. Sums in float (double for double), in an order that depends on sizes and points only. Points that are NaN or
// infinite lie outside the map.
//
// Every function only enqueues work on the stream: no allocation, no synchronisation, so a CUDA graph can capture it. The
// device that owns the pointers must be the current one. Returns the first error of a launch; cudaErrorInvalidValue for sizes
// below 0, maps of no pixel or more than 2^31 - 1, or points of which four times as many are more.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "../math/landmark_pool.h"

namespace sketchfast::cuda {

struct PoolShape {
  int64_t images;
  int64_t channels;
  int64_t height;
  int64_t width;
  int64_t points;  // of each image
  bool channels_last;
  bool mean;  // false: a vector for each point
};

struct PoolPoints {
  const void* data;
  bool wide;  // double, otherwise float
};

// What may be tuned for a device, or forced by a test. Of the results only the order of the sums of the points' gradient in
// NCHW depends on it. (Defaults derived for an H200, not yet measured.)
struct PoolTuning {
  int64_t shared_bytes =
      64 * 1024;                 // of a block for the taps of an image; where they take more, they are in global memory
  int64_t blocks_wanted = 1024;  // small calls are cut so that about as many blocks are there
  int64_t least_block_bytes = 8 * 1024;  // of features, that a block is worth starting for
  int64_t most_block_bytes = 128 * 1024;
  int64_t most_blocks = int64_t{1} << 20;  // of a launch; further work goes round by round
};

// Bytes of device memory that any one of the calls below needs; 16-byte aligned, may hold anything, and is free again once
// the stream has passed the call. value_bytes: of one feature.
size_t landmark_pool_workspace(const PoolShape& shape, int value_bytes, const PoolTuning& tuning = {});

// T: float, double, BFloat16Bits, Float16Bits.
template <class T>
cudaError_t landmark_pool(const T* features, const PoolPoints& points, const PoolShape& shape, T* pooled,
                          void* workspace, cudaStream_t stream, const PoolTuning& tuning = {});

// gradient = d (grad . pooled) / d features, every value of it written once.
template <class T>
cudaError_t landmark_pool_features_gradient(const T* grad, const PoolPoints& points, const PoolShape& shape,
                                            T* gradient, void* workspace, cudaStream_t stream,
                                            const PoolTuning& tuning = {});

// gradient = d (grad . pooled) / d points, of the type of the points.
template <class T>
cudaError_t landmark_pool_points_gradient(const T* grad, const T* features, const PoolPoints& points,
                                          const PoolShape& shape, void* gradient, void* workspace, cudaStream_t stream,
                                          const PoolTuning& tuning = {});

}  // namespace sketchfast::cuda
