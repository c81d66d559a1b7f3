// The block kernel of the soft-weighted loss, included once by each path's file, which defines
//   SKETCHFAST_LOSS_PATH    the namespace of the path
//   SKETCHFAST_LOSS_TARGET  the attribute that lets its functions use wider instructions
//   SKETCHFAST_LOSS_BYTES   the width of its vectors
//
//   m = max_c x_c,  e_c = exp(x_c - m),  s = sum_c e_c,  r_j = lambda_j
//   loss      = alpha * (m - sum_j r_j x_j + log s)
//   gradient  = (e_c - r_c s) * (alpha * factor / (total s))
//
// Layout: a block is up to 512 pixels of all channels (loss_block_pixels), each loop runs along pixels, so a lane is a
// pixel and nothing is summed across lanes. lambda touches one row of e for nearly every pixel, nine at most, so it is
// subtracted by single accesses while e is in the cache, and there never is an array of soft labels.
// Cost: logits are read from memory once and the gradient written once; without a gradient e is not kept.
//
// Vectors are the compiler's vector types, so one text serves every width. Functions are static and carry the attribute:
// none of them can stand in for another path's at link time.
#include <cmath>
#include <cstring>

#include "soft_weighted_loss_block.h"

#define SKETCHFAST_LOSS_INLINE SKETCHFAST_LOSS_TARGET static inline __attribute__((always_inline))
#define SKETCHFAST_VECTOR_INLINE SKETCHFAST_LOSS_INLINE
#define SKETCHFAST_VECTOR_BYTES SKETCHFAST_LOSS_BYTES
#include "float_vectors.h"

namespace sketchfast::cpu {
namespace {

// e^x for x <= 0, within 2 units in the last place; 0 below -87, where results would no longer be normal numbers, and NaN
// of NaN. Adding 1.5 * 2^23 rounds to an integer n and leaves it in the low bits; the polynomial is fitted to
// (e^r - 1 - r) / r^2 on |r| <= ln 2 / 2.
SKETCHFAST_LOSS_INLINE Floats exp_of_negative(Floats x) {
  const Floats shifted = x * 1.44269504f + 12582912.0f;
  const Floats n = shifted - 12582912.0f;
  const Floats r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
  Floats p = r * 1.3814613093e-03f + 8.3687098318e-03f;
  p = p * r + 4.1668387365e-02f;
  p = p * r + 1.6666520690e-01f;
  p = p * r + 4.9999993452e-01f;
  p = p * (r * r) + r + 1.0f;
  const Bits scaled = bits_of(p * float_of((bits_of(shifted) << 23) + 0x3f800000u));
  return float_of(scaled & ~reinterpret_cast<Bits>(x < -87.0f));
}
SKETCHFAST_LOSS_INLINE Doubles exp_of_negative(Doubles x) {
  for (int64_t b = 0; b < kLanes<double>; ++b) x[b] = std::exp(x[b]);
  return x;
}

// log s for normal s >= 1: s = 2^k m with m in [sqrt(1/2), sqrt(2)), log m = 2 artanh(t), t = (m - 1) / (m + 1). NaN of NaN.
SKETCHFAST_LOSS_INLINE Floats log_of_sum(Floats s) {
  const Bits shifted = bits_of(s) + (0x3f800000u - 0x3f3504f3u);
  const Floats k = __builtin_convertvector(reinterpret_cast<Integers>(shifted >> 23) - 127, Floats);
  const Floats f = float_of((shifted & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
  const Floats t = f / (f + 2.0f);
  const Floats q = t * t;
  const Floats series = q * (0.666666667f + q * (0.4f + q * (0.285714286f + q * 0.222222222f)));
  return k * 0.693147181f + (t * series + 2.0f * t) + (s - s);
}
SKETCHFAST_LOSS_INLINE Doubles log_of_sum(Doubles s) {
  for (int64_t b = 0; b < kLanes<double>; ++b) s[b] = std::log(s[b]);
  return s;
}

// Rows of scratch, loss_block_pixels long.
template <class T>
struct Scratch {
  int64_t row;
  Accumulator<T>* exponentials;  // [classes, row]
  Accumulator<T>* largest;
  Accumulator<T>* sum;
  Accumulator<T>* log_sum;  // later the weight of the gradient
};

template <bool kGradient, bool kWhole, class T>
SKETCHFAST_LOSS_INLINE void normalise(const LossBlock<T>& block, const Scratch<T>& scratch, int64_t b) {
  using V = Values<T>;
  const int64_t count = block.pixels - b;
  const T* x = block.logits + b;
  V most = load<kWhole>(x, count);
  for (int64_t c = 1; c < block.classes; ++c) {
    x += block.plane;
    const V value = load<kWhole>(x, count);
    most = value > most ? value : most;
  }
  x = block.logits + b;
  Accumulator<T>* e = scratch.exponentials + b;
  V sum = {};
  for (int64_t c = 0; c < block.classes; ++c) {
    const V value = exp_of_negative(load<kWhole>(x, count) - most);
    if constexpr (kGradient) keep<T>(value, e);
    sum += value;
    x += block.plane;
    e += scratch.row;
  }
  keep<T>(most, scratch.largest + b);
  keep<T>(sum, scratch.sum + b);
  keep<T>(log_of_sum(sum), scratch.log_sum + b);
}

template <bool kWhole, class T>
SKETCHFAST_LOSS_INLINE void write_gradient(const LossBlock<T>& block, const Scratch<T>& scratch, int64_t b) {
  const Values<T> weight = whole<T>(scratch.log_sum + b) / whole<T>(scratch.sum + b);
  const Accumulator<T>* e = scratch.exponentials + b;
  T* to = block.gradient + b;
  for (int64_t c = 0; c < block.classes; ++c) {
    store<kWhole>(whole<T>(e) * weight, to, block.pixels - b);
    e += scratch.row;
    to += block.plane;
  }
}

template <bool kGradient, class T>
SKETCHFAST_LOSS_TARGET static double process_block(const LossBlock<T>& block) {
  using A = Accumulator<T>;
  const int64_t n = block.pixels;
  const int64_t row = loss_block_pixels(block.classes);
  A* const e = block.scratch;
  A* const rows = e + block.classes * row;
  const Scratch<T> scratch{row, e, rows, rows + row, rows + 2 * row};
  const A* const m = scratch.largest;
  A* const s = scratch.sum;
  A* const last = scratch.log_sum;

  const int64_t wholes = n / kLanes<T> * kLanes<T>;
  for (int64_t b = 0; b < wholes; b += kLanes<T>) normalise<kGradient, true>(block, scratch, b);
  if (wholes < n) normalise<kGradient, false>(block, scratch, wholes);

  const SoftLabel* soft = block.soft;
  double sum = 0;
  for (int64_t b = 0; b < n; ++b) {
    const int32_t i = block.own[b];
    if (i == kNoClass) {
      if (kGradient) {
        last[b] = 0;
        // 0 times the exponentials of NaN or infinite logits would be NaN.
        if (!(s[b] <= static_cast<A>(block.classes))) {
          s[b] = 1;
          for (int64_t c = 0; c < block.classes; ++c) e[c * row + b] = 0;
        }
      }
      continue;
    }
    A distance;  // m - sum_j lambda_j x_j
    if (!block.mixed[b]) {
      distance = m[b] - value_of(block.logits[i * block.plane + b]);
      if (kGradient) e[i * row + b] -= s[b];
    } else {
      const SoftLabel& label = *soft++;
      distance = 0;
      const A share = A(1) / static_cast<A>(label.total);
      for (int k = 0; k < label.distinct; ++k) {
        const int j = label.classes[k];
        const A lambda = share * static_cast<A>(label.counts[k]);
        distance += lambda * (m[b] - value_of(block.logits[j * block.plane + b]));
        if (kGradient) e[j * row + b] -= lambda * s[b];
      }
    }
    sum += static_cast<double>(block.loss_weight[i] * (distance + last[b]));
    if (kGradient) last[b] = block.gradient_weight[i];
  }
  if constexpr (kGradient) {
    for (int64_t b = 0; b < wholes; b += kLanes<T>) write_gradient<true>(block, scratch, b);
    if (wholes < n) write_gradient<false>(block, scratch, wholes);
  }
  return sum;
}

template <class T>
SKETCHFAST_LOSS_TARGET static double process(const LossBlock<T>& block) {
  return block.gradient != nullptr ? process_block<true>(block) : process_block<false>(block);
}

}  // namespace

namespace SKETCHFAST_LOSS_PATH {
double loss_block(const LossBlock<float>& block) { return process(block); }
double loss_block(const LossBlock<double>& block) { return process(block); }
double loss_block(const LossBlock<BFloat16Bits>& block) { return process(block); }
double loss_block(const LossBlock<Float16Bits>& block) { return process(block); }
}  // namespace SKETCHFAST_LOSS_PATH

}  // namespace sketchfast::cpu
