// Soft-weighted loss and its gradient on the CPU, over raw pointers; the arithmetic of one pixel is in
// math/soft_weighted_loss.h.
//
// Logits and gradient are contiguous [N, C, H, W], labels [N, H, W]. Each path gives the same bits in every run and from
// any number of threads; paths differ by rounding. num_threads <= 0 means every core. Callers check their arguments.
#pragma once

#include <cstdint>
#include <vector>

#include "../math/soft_weighted_loss.h"

namespace sketchfast::cpu {

enum class LossPath { automatic, portable, avx2, avx512 };

bool loss_path_available(LossPath path);
const char* loss_path_name(LossPath path);

struct LossShape {
  int64_t batch;
  int64_t classes;
  int64_t height;
  int64_t width;
};

struct LossRule {
  std::vector<double> class_weights;  // alpha, one for each class
  int64_t ignore_index;
  int64_t background;  // -1: there is none
  bool soft;           // false: lambda is one-hot everywhere
};

// sum_p alpha_{i_p}, the denominator of eq. 11, and the place of the first label that is neither a class nor
// ignore_index, -1 where all are.
struct LabelWeight {
  double total;
  int64_t wrong_at;
};

// Label: uint8_t, int8_t, int16_t, int32_t, int64_t.
template <class Label>
LabelWeight label_weight(const Label* labels, const LossShape& shape, const LossRule& rule, int num_threads);

// The loss, divided by total_weight; 0 where that is 0. With gradient != nullptr also
// gradient = factor * d loss / d logits. Labels have been through label_weight: an unchecked one would be an index.
// T: float, double, BFloat16Bits, Float16Bits.
template <class T, class Label>
double soft_weighted_loss(const T* logits, const Label* labels, const LossShape& shape, const LossRule& rule,
                          double total_weight, double factor, T* gradient, int num_threads,
                          LossPath path = LossPath::automatic);

// values *= factor; touches nothing where factor is 1. T: float, double, BFloat16Bits.
template <class T>
void scale(T* values, int64_t count, double factor, int num_threads);

}  // namespace sketchfast::cpu
