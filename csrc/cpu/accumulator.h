// The type in which sums over values of a type are taken: double for double, float for everything narrower.
#pragma once

namespace sketchfast::cpu {

template <class T>
struct AccumulatorOf {
  using type = float;
};
template <>
struct AccumulatorOf<double> {
  using type = double;
};
template <class T>
using Accumulator = typename AccumulatorOf<T>::type;

}  // namespace sketchfast::cpu
