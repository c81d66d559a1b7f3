// hamming_topk, hamming_cdist and pack_bits on CPU tensors: check, allocate, call csrc/cpu/hamming.
#include "cpu/hamming.h"

#include <tuple>

#include "torch/hamming.h"

namespace sketchfast::torch_ops {
namespace {

using torch::stable::new_empty;

int threads() { return static_cast<int>(torch::stable::get_num_threads()); }

std::tuple<Tensor, Tensor> hamming_topk(const Tensor& queries, const Tensor& database, int64_t k) {
  check_codes(queries, database, On::cpu, "hamming_topk");
  check_k(k, database, "hamming_topk");
  const Tensor q = rows_in_order(queries);
  const Tensor db = rows_in_order(database);
  Tensor distances = new_empty(queries, {queries.size(0), k}, ScalarType::Int);
  Tensor ids = new_empty(queries, {queries.size(0), k}, ScalarType::Long);
  cpu::hamming_topk(q.const_data_ptr<uint8_t>(), q.size(0), db.const_data_ptr<uint8_t>(), db.size(0), q.size(1), k,
                    distances.mutable_data_ptr<int32_t>(), ids.mutable_data_ptr<int64_t>(), threads());
  return {distances, ids};
}

Tensor hamming_cdist(const Tensor& queries, const Tensor& database) {
  check_codes(queries, database, On::cpu, "hamming_cdist");
  const Tensor q = rows_in_order(queries);
  const Tensor db = rows_in_order(database);
  const ScalarType dtype = distance_dtype(8 * q.size(1));
  Tensor distances = new_empty(queries, {q.size(0), db.size(0)}, dtype);
  const auto fill = [&](auto* out) {
    cpu::hamming_cdist(q.const_data_ptr<uint8_t>(), q.size(0), db.const_data_ptr<uint8_t>(), db.size(0), q.size(1), out,
                       threads(), cpu::HammingPath::automatic);
  };
  if (dtype == ScalarType::Byte) {
    fill(distances.mutable_data_ptr<uint8_t>());
  } else {
    fill(distances.mutable_data_ptr<int16_t>());
  }
  return distances;
}

Tensor pack_bits(const Tensor& values) {
  check_values(values, On::cpu);
  const Tensor v = rows_in_order(values);
  const int64_t bits = v.size(v.dim() - 1);
  const int64_t rows = v.numel() / bits;
  Tensor codes = new_empty(values, packed_shape(values), ScalarType::Byte);
  uint8_t* out = codes.mutable_data_ptr<uint8_t>();
  const void* in = v.const_data_ptr();
  switch (v.scalar_type()) {
    case ScalarType::Float:
      cpu::pack_bits(static_cast<const float*>(in), rows, bits, out, threads());
      break;
    case ScalarType::Double:
      cpu::pack_bits(static_cast<const double*>(in), rows, bits, out, threads());
      break;
    case ScalarType::Char:
      cpu::pack_bits(static_cast<const int8_t*>(in), rows, bits, out, threads());
      break;
    case ScalarType::Byte:
    case ScalarType::Bool:
      cpu::pack_bits(static_cast<const uint8_t*>(in), rows, bits, out, threads());
      break;
    case ScalarType::Half:
      cpu::pack_bits(static_cast<const Float16Bits*>(in), rows, bits, out, threads());
      break;
    case ScalarType::BFloat16:
      cpu::pack_bits(static_cast<const BFloat16Bits*>(in), rows, bits, out, threads());
      break;
    default:
      STD_TORCH_CHECK(false,
                      "pack_bits: values must be float32, float64, float16, bfloat16, int8, uint8 or bool, found ",
                      torch::headeronly::toString(v.scalar_type()));
  }
  return codes;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(sketchfast, CPU, library) {
  library.impl("hamming_topk", TORCH_BOX(&hamming_topk));
  library.impl("hamming_cdist", TORCH_BOX(&hamming_cdist));
  library.impl("pack_bits", TORCH_BOX(&pack_bits));
}

}  // namespace sketchfast::torch_ops
