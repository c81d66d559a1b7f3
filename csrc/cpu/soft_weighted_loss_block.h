// What one call of a path's block kernel gets; see soft_weighted_loss_simd.h.
#pragma once

#include "accumulator.h"
#include "soft_weighted_loss.h"

namespace sketchfast::cpu {

// A run of pixels of one image, processed channel by channel.
template <class T>
struct LossBlock {
  const T* logits;  // channel c of pixel b at c * plane + b
  T* gradient;      // the same places, or nullptr
  int64_t plane;
  int64_t classes;
  int64_t pixels;                         // at most loss_block_pixels(classes)
  const int32_t* own;                     // class of each pixel, kNoClass where it is ignored
  const uint8_t* mixed;                   // 1: lambda is the next entry of soft; 0: one-hot at own
  const SoftLabel* soft;                  // of the mixed pixels of this block, in order
  const Accumulator<T>* loss_weight;      // alpha by class
  const Accumulator<T>* gradient_weight;  // alpha * factor / sum of alpha by class
  Accumulator<T>* scratch;                // loss_scratch_size(classes)
};

// Pixels a block has at most. exp(x - max) of a block waits in scratch until the sum is known, and both scratch and
// logits should still be in the first-level cache then.
constexpr int64_t kMostBlockPixels = 512;
constexpr int64_t kLeastBlockPixels = 64;
inline int64_t loss_block_pixels(int64_t classes) {
  const int64_t wanted = 4096 / classes / kLeastBlockPixels * kLeastBlockPixels;
  return wanted < kLeastBlockPixels ? kLeastBlockPixels : wanted > kMostBlockPixels ? kMostBlockPixels : wanted;
}
// A row of exponentials for each class; maximum, sum, and losses (or factors) of each pixel.
inline int64_t loss_scratch_size(int64_t classes) { return (classes + 3) * loss_block_pixels(classes); }

// Sum of alpha * (logsumexp - sum_j lambda_j x_j) over the block; writes the gradient where asked for.
#define SKETCHFAST_DECLARE_LOSS_PATH(path)                 \
  namespace path {                                         \
  double loss_block(const LossBlock<float>& block);        \
  double loss_block(const LossBlock<double>& block);       \
  double loss_block(const LossBlock<BFloat16Bits>& block); \
  double loss_block(const LossBlock<Float16Bits>& block);  \
  }
SKETCHFAST_DECLARE_LOSS_PATH(loss_portable)
SKETCHFAST_DECLARE_LOSS_PATH(loss_avx2)
SKETCHFAST_DECLARE_LOSS_PATH(loss_avx512)
#undef SKETCHFAST_DECLARE_LOSS_PATH

}  // namespace sketchfast::cpu
