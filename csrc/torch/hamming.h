// What the CPU and the CUDA face of the Hamming ops ask of their tensors, and what they return.
#pragma once

#include <vector>

#include "math/hamming.h"
#include "torch/check.h"

namespace sketchfast::torch_ops {

constexpr int64_t kMaxByteDistance = 255;  // a uint8 distance can hold codes up to this many bits

inline void check_bits(int64_t bits, const char* op, const char* argument) {
  STD_TORCH_CHECK(bits >= kMinCodeBits && bits <= kMaxCodeBits && bits % 8 == 0, op, ": ", argument,
                  " must have 8 to 1024 bits per code, a multiple of 8, found ", bits);
}

inline void check_codes(const Tensor& queries, const Tensor& database, On device, const char* op) {
  check_rank(queries, 2, op, "queries", "[Q, bits/8]");
  check_rank(database, 2, op, "database", "[N, bits/8]");
  check_dtype(queries, ScalarType::Byte, op, "queries");
  check_dtype(database, ScalarType::Byte, op, "database");
  check_device(queries, device, op, "queries");
  check_device(database, device, op, "database");
  check_same_device(queries, "queries", database, "database", op);
  STD_TORCH_CHECK(queries.size(1) == database.size(1), op,
                  ": queries and database must have codes of one length, found ", 8 * queries.size(1), " and ",
                  8 * database.size(1), " bits");
  check_bits(8 * queries.size(1), op, "queries");
}

inline void check_k(int64_t k, const Tensor& database, const char* op) {
  STD_TORCH_CHECK(k >= 1 && k <= database.size(0), op, ": k must be at least 1 and at most the ", database.size(0),
                  " codes of database, found ", k);
}

inline ScalarType distance_dtype(int64_t bits) {
  return bits <= kMaxByteDistance ? ScalarType::Byte : ScalarType::Short;
}

inline void check_values(const Tensor& values, On device) {
  STD_TORCH_CHECK(values.dim() >= 1, "pack_bits: values must have shape [..., bits], found a scalar");
  check_device(values, device, "pack_bits", "values");
  check_bits(values.size(values.dim() - 1), "pack_bits", "values");
}

// [..., bits] -> [..., bits/8]
inline std::vector<int64_t> packed_shape(const Tensor& values) {
  std::vector<int64_t> shape(values.sizes().begin(), values.sizes().end());
  shape.back() /= 8;
  return shape;
}

}  // namespace sketchfast::torch_ops
