// Vectors of float or double and the 16-bit types they are read from and written to, for the kernels that one text
// serves at every width. Included by a path's kernel file, which defines before
//   SKETCHFAST_VECTOR_BYTES   the width of its vectors
//   SKETCHFAST_VECTOR_INLINE  static inline, always inlined, with the attribute that lets functions use wider instructions
//
// Vectors are the compiler's vector types. Everything is static: no function can stand in for another path's at link time.
#pragma once

#include <cstdint>
#include <cstring>

#include "../math/hamming.h"  // BFloat16Bits, Float16Bits
#include "accumulator.h"

namespace sketchfast::cpu {
namespace {

using Floats = float __attribute__((vector_size(SKETCHFAST_VECTOR_BYTES)));
using Bits = uint32_t __attribute__((vector_size(SKETCHFAST_VECTOR_BYTES)));
using Integers = int32_t __attribute__((vector_size(SKETCHFAST_VECTOR_BYTES)));
using HalfBits = uint16_t __attribute__((vector_size(SKETCHFAST_VECTOR_BYTES / 2)));
using Doubles = double __attribute__((vector_size(SKETCHFAST_VECTOR_BYTES)));

template <class T>
struct VectorsOf {
  using Raw = HalfBits;  // as it lies in memory
  using Values = Floats;
};
template <>
struct VectorsOf<float> {
  using Raw = Floats;
  using Values = Floats;
};
template <>
struct VectorsOf<double> {
  using Raw = Doubles;
  using Values = Doubles;
};
template <class T>
using Raw = typename VectorsOf<T>::Raw;
template <class T>
using Values = typename VectorsOf<T>::Values;
template <class T>
constexpr int64_t kLanes = sizeof(Values<T>) / sizeof(Accumulator<T>);

SKETCHFAST_VECTOR_INLINE Floats float_of(Bits bits) { return reinterpret_cast<Floats>(bits); }
SKETCHFAST_VECTOR_INLINE Bits bits_of(Floats value) { return reinterpret_cast<Bits>(value); }

SKETCHFAST_VECTOR_INLINE Floats widen(Floats raw, const float*) { return raw; }
SKETCHFAST_VECTOR_INLINE Doubles widen(Doubles raw, const double*) { return raw; }
SKETCHFAST_VECTOR_INLINE Floats widen(HalfBits raw, const BFloat16Bits*) {
  return float_of(__builtin_convertvector(raw, Bits) << 16);
}
// Exponent and mantissa moved into place are the value times 2^-112, subnormal or not; infinity and NaN have the largest
// exponent and keep it.
SKETCHFAST_VECTOR_INLINE Floats widen(HalfBits raw, const Float16Bits*) {
  const Bits bits = __builtin_convertvector(raw, Bits);
  const Bits magnitude = (bits & 0x7fffu) << 13;
  const Bits finite = bits_of(float_of(magnitude) * 0x1p112f);
  const Bits special = magnitude | 0x7f800000u;
  return float_of((magnitude >= 0x0f800000u ? special : finite) | (bits & 0x8000u) << 16);
}

SKETCHFAST_VECTOR_INLINE Floats narrow(Floats value, const float*) { return value; }
SKETCHFAST_VECTOR_INLINE Doubles narrow(Doubles value, const double*) { return value; }
// To the nearest, ties to even; NaN stays NaN.
SKETCHFAST_VECTOR_INLINE HalfBits narrow(Floats value, const BFloat16Bits*) {
  const Bits bits = bits_of(value);
  const Bits rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Bits nan = (bits & 0u) + 0x7fc0u;
  return __builtin_convertvector((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded, HalfBits);
}
SKETCHFAST_VECTOR_INLINE HalfBits narrow(Floats value, const Float16Bits*) {
  const Bits bits = bits_of(value);
  const Bits magnitude = bits & 0x7fffffffu;
  // Below the smallest normal number adding 1/2 shifts the mantissa to the place of a subnormal, rounding on the way.
  const Bits small = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u;
  const Bits normal = (magnitude + 0xc8000fffu + ((magnitude >> 13) & 1u)) >> 13;
  const Bits finite = magnitude < 0x38800000u ? small : normal;
  const Bits infinity = (bits & 0u) + 0x7c00u;
  const Bits special = magnitude > 0x7f800000u ? infinity + 0x0200u : infinity;
  return __builtin_convertvector((magnitude >= 0x47800000u ? special : finite) | (bits >> 16 & 0x8000u), HalfBits);
}

// A vector of `count` values; kWhole: count is the number of lanes.
template <bool kWhole, class T>
SKETCHFAST_VECTOR_INLINE Values<T> load(const T* from, int64_t count) {
  Raw<T> raw = {};
  std::memcpy(&raw, from, kWhole ? sizeof(raw) : static_cast<size_t>(count) * sizeof(T));
  return widen(raw, from);
}
template <bool kWhole, class T>
SKETCHFAST_VECTOR_INLINE void store(Values<T> values, T* to, int64_t count) {
  const Raw<T> raw = narrow(values, to);
  std::memcpy(static_cast<void*>(to), &raw, kWhole ? sizeof(raw) : static_cast<size_t>(count) * sizeof(T));
}
// Of accumulated values, always a whole vector.
template <class T>
SKETCHFAST_VECTOR_INLINE Values<T> whole(const Accumulator<T>* p) {
  Values<T> values;
  std::memcpy(&values, p, sizeof(values));
  return values;
}
template <class T>
SKETCHFAST_VECTOR_INLINE void keep(Values<T> values, Accumulator<T>* p) {
  std::memcpy(p, &values, sizeof(values));
}

SKETCHFAST_VECTOR_INLINE float value_of(float x) { return x; }
SKETCHFAST_VECTOR_INLINE double value_of(double x) { return x; }
template <class Half>
SKETCHFAST_VECTOR_INLINE float value_of(Half x) {
  HalfBits raw = {x.raw};
  return widen(raw, &x)[0];
}

}  // namespace
}  // namespace sketchfast::cpu
