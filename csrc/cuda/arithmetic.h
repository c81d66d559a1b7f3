// The type in which the values of a tensor are computed.
#pragma once

namespace sketchfast::cuda {

template <class T>
struct Arithmetic {
  using type = float;
};
template <>
struct Arithmetic<double> {
  using type = double;
};

}  // namespace sketchfast::cuda
