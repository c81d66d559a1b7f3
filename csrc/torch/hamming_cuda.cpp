// hamming_topk, hamming_cdist and pack_bits on CUDA tensors: check, allocate, enqueue csrc/cuda/hamming on the current
// stream of the tensors' device. Memory comes from torch's caching allocator, which knows the stream; nothing here
// waits for the device, so a CUDA graph can capture every call.
#include "cuda/hamming.h"

#include <tuple>

#include "torch/check_cuda.h"
#include "torch/hamming.h"

namespace sketchfast::torch_ops {
namespace {

using torch::stable::new_empty;

std::tuple<Tensor, Tensor> hamming_topk(const Tensor& queries, const Tensor& database, int64_t k) {
  check_codes(queries, database, On::cuda, "hamming_topk");
  check_k(k, database, "hamming_topk");
  const DeviceGuard guard(queries.get_device_index());
  const Tensor q = rows_in_order(queries);
  const Tensor db = rows_in_order(database);
  Tensor distances = new_empty(queries, {q.size(0), k}, ScalarType::Int);
  Tensor ids = new_empty(queries, {q.size(0), k}, ScalarType::Long);
  if (q.size(0) == 0) return {distances, ids};
  const size_t bytes = cuda::hamming_topk_workspace(q.size(0), db.size(0), q.size(1), k);
  // Freed when this function returns; the allocator hands it out again only behind our work on this stream.
  const Tensor workspace = new_empty(queries, {static_cast<int64_t>(bytes)}, ScalarType::Byte);
  check_launch(cuda::hamming_topk(q.const_data_ptr<uint8_t>(), q.size(0), db.const_data_ptr<uint8_t>(), db.size(0),
                                  q.size(1), k, distances.mutable_data_ptr<int32_t>(), ids.mutable_data_ptr<int64_t>(),
                                  workspace.mutable_data_ptr(), current_stream(queries)),
               "hamming_topk");
  return {distances, ids};
}

Tensor hamming_cdist(const Tensor& queries, const Tensor& database) {
  check_codes(queries, database, On::cuda, "hamming_cdist");
  const DeviceGuard guard(queries.get_device_index());
  const Tensor q = rows_in_order(queries);
  const Tensor db = rows_in_order(database);
  const ScalarType dtype = distance_dtype(8 * q.size(1));
  Tensor distances = new_empty(queries, {q.size(0), db.size(0)}, dtype);
  const auto fill = [&](auto* out) {
    check_launch(cuda::hamming_cdist(q.const_data_ptr<uint8_t>(), q.size(0), db.const_data_ptr<uint8_t>(), db.size(0),
                                     q.size(1), out, current_stream(queries)),
                 "hamming_cdist");
  };
  if (dtype == ScalarType::Byte) {
    fill(distances.mutable_data_ptr<uint8_t>());
  } else {
    fill(distances.mutable_data_ptr<int16_t>());
  }
  return distances;
}

Tensor pack_bits(const Tensor& values) {
  check_values(values, On::cuda);
  const DeviceGuard guard(values.get_device_index());
  const Tensor v = rows_in_order(values);
  const int64_t bits = v.size(v.dim() - 1);
  const int64_t rows = v.numel() / bits;
  Tensor codes = new_empty(values, packed_shape(values), ScalarType::Byte);
  const void* in = v.const_data_ptr();
  const auto pack = [&](const auto* typed) {
    check_launch(cuda::pack_bits(typed, rows, bits, codes.mutable_data_ptr<uint8_t>(), current_stream(values)),
                 "pack_bits");
  };
  switch (v.scalar_type()) {
    case ScalarType::Float:
      pack(static_cast<const float*>(in));
      break;
    case ScalarType::Double:
      pack(static_cast<const double*>(in));
      break;
    case ScalarType::Char:
      pack(static_cast<const int8_t*>(in));
      break;
    case ScalarType::Byte:
    case ScalarType::Bool:
      pack(static_cast<const uint8_t*>(in));
      break;
    case ScalarType::Half:
      pack(static_cast<const Float16Bits*>(in));
      break;
    case ScalarType::BFloat16:
      pack(static_cast<const BFloat16Bits*>(in));
      break;
    default:
      STD_TORCH_CHECK(false,
                      "pack_bits: values must be float32, float64, float16, bfloat16, int8, uint8 or bool, found ",
                      torch::headeronly::toString(v.scalar_type()));
  }
  return codes;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(sketchfast, CUDA, library) {
  library.impl("hamming_topk", TORCH_BOX(&hamming_topk));
  library.impl("hamming_cdist", TORCH_BOX(&hamming_cdist));
  library.impl("pack_bits", TORCH_BOX(&pack_bits));
}

}  // namespace sketchfast::torch_ops
