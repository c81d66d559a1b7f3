// The bilinear taps of one point of landmark pooling (landmark networks for sketches, eqs. 1-4), for host and device.
//
//   value      = sum_q max(0, 1 - |x - q_x|) max(0, 1 - |y - q_y|) F[q]        q: pixel centres, at integers
//   d value/dx = sum over the rows of the taps of weight(row) * (F[row, right] - F[row, left])           d/dy alike
//
// With x0 = floor(x), f = x - x0 the columns x0 and x0 + 1 have the weights 1 - f and f, so at an integer the slope is
// the one to its right (the floor rule, F.grid_sample's). F is 0 outside the map: a tap there adds nothing to value or
// slope. A point outside (-1, W) x (-1, H), NaN or infinite has no taps, so it pools 0 and gets no gradient; at x = -1 or
// y = -1 exactly the value is 0 and the slope is that of the floor rule.
//
// Features that are not finite at a pixel which no tap touches never reach a result. At a tap of weight 0 they may.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "hamming.h"  // SKETCHFAST_HOST_DEVICE, BFloat16Bits, Float16Bits

namespace sketchfast {

constexpr int kTaps = 4;  // k = 0..3: (left, top), (right, top), (left, bottom), (right, bottom)
constexpr int64_t kMostMapPixels = (1LL << 31) - 1;  // H * W, so that a pixel's number fits into int32

// A: the type sums are taken in (float, or double for float64 features).
template <class A>
struct Taps {
  int32_t column = 0;  // of the left taps, -1..W-1
  int32_t row = 0;     // of the top taps, -1..H-1
  A right = 0;         // the fractions: weight of the right column, of the bottom row
  A bottom = 0;
  bool any = false;  // false: no tap at all, the fields above mean nothing
};

// P: float or double, the type of the points. The fraction is taken in the wider of both and rounded once.
template <class A, class P>
SKETCHFAST_HOST_DEVICE inline Taps<A> taps_of(P x, P y, int64_t height, int64_t width) {
  using Wide = typename std::conditional<sizeof(P) == 8 || sizeof(A) == 8, double, float>::type;
  Taps<A> taps;
  // Written so that NaN fails.
  if (!(x >= P(-1) && x < static_cast<P>(width) && y >= P(-1) && y < static_cast<P>(height))) return taps;
  const P column = floor(x);
  const P row = floor(y);
  taps.column = static_cast<int32_t>(column);
  taps.row = static_cast<int32_t>(row);
  taps.right = static_cast<A>(static_cast<Wide>(x) - static_cast<Wide>(column));
  taps.bottom = static_cast<A>(static_cast<Wide>(y) - static_cast<Wide>(row));
  taps.any = true;
  return taps;
}

// row * W + column of tap k, -1 where it lies outside the map.
template <class A>
SKETCHFAST_HOST_DEVICE inline int32_t tap_pixel(const Taps<A>& taps, int k, int64_t height, int64_t width) {
  const int64_t column = int64_t{taps.column} + (k & 1);
  const int64_t row = int64_t{taps.row} + (k >> 1);
  const bool inside = taps.any && column >= 0 && column < width && row >= 0 && row < height;
  return inside ? static_cast<int32_t>(row * width + column) : -1;
}

template <class A>
SKETCHFAST_HOST_DEVICE inline A tap_weight(const Taps<A>& taps, int k) {
  return ((k & 1) != 0 ? taps.right : A(1) - taps.right) * ((k & 2) != 0 ? taps.bottom : A(1) - taps.bottom);
}

// d value / d (x, y) of a point from the values (or their products with a gradient, summed over channels) at its four
// taps, 0 for those outside the map.
template <class A>
SKETCHFAST_HOST_DEVICE inline void tap_slopes(const Taps<A>& taps, const A (&at)[kTaps], A* slope_x, A* slope_y) {
  *slope_x = (A(1) - taps.bottom) * (at[1] - at[0]) + taps.bottom * (at[3] - at[2]);
  *slope_y = (A(1) - taps.right) * (at[2] - at[0]) + taps.right * (at[3] - at[1]);
}

}  // namespace sketchfast
