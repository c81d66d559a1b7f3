// Runs hamming_topk, hamming_cdist and pack_bits of csrc/cuda on the CPU over the cases of standard input; see fibers.h.
//
// In: int64 seed, then per case eleven int64 (operation, rows a, rows b, bytes or dtype, k or bits, byte offset of a, of b,
// and four of tuning: warps_wanted, groups_per_unit, pairs_worth_sampling, counts_bytes) and the bytes of a and b.
// Out: the outputs of every case. Arrays are allocated at their exact size, outputs and workspace filled with random bytes.
#include "fibers.h"

#include "cuda/hamming_cdist.cu"
#include "cuda/hamming_topk.cu"
#include "cuda/hamming_walk.cu"
#include "cuda/pack_bits.cu"

namespace {

using namespace emulation;

template <class T>
void pack(int64_t rows, int64_t bits, size_t offset) {
  Bytes values(static_cast<size_t>(rows * bits) * sizeof(T), offset / sizeof(T) * sizeof(T));
  read(values.data, values.size);
  Bytes codes(static_cast<size_t>(rows * bits / 8), 0);
  check(sketchfast::cuda::pack_bits(reinterpret_cast<const T*>(values.data), rows, bits, codes.data, nullptr));
  write(codes);
}

}  // namespace

int main() {
  begin();
  int64_t c[11];
  long long sampled = 0, rounds = 0;
  while (next_case(c)) {
    const auto [operation, q, n, bytes, k, offset_a, offset_b, warps, groups, sampling, counts] = c;
    if (operation == 2) {
      const int64_t rows = q, dtype = bytes, bits = k;
      const size_t offset = static_cast<size_t>(offset_a);
      if (dtype == 0) pack<float>(rows, bits, offset);
      if (dtype == 1) pack<double>(rows, bits, offset);
      if (dtype == 2) pack<int8_t>(rows, bits, offset);
      if (dtype == 3) pack<uint8_t>(rows, bits, offset);
      if (dtype == 4) pack<sketchfast::BFloat16Bits>(rows, bits, offset);
      if (dtype == 5) pack<sketchfast::Float16Bits>(rows, bits, offset);
      continue;
    }
    Bytes queries(static_cast<size_t>(q * bytes), static_cast<size_t>(offset_a));
    Bytes database(static_cast<size_t>(n * bytes), static_cast<size_t>(offset_b));
    read(queries.data, queries.size);
    read(database.data, database.size);
    if (operation == 0) {
      sketchfast::cuda::HammingTuning tuning;
      tuning.warps_wanted = warps;
      tuning.groups_per_unit = groups;
      tuning.pairs_worth_sampling = sampling;
      tuning.counts_bytes = counts;
      Bytes distances(static_cast<size_t>(q * k) * 4, 0);
      Bytes ids(static_cast<size_t>(q * k) * 8, 0);
      Bytes workspace(sketchfast::cuda::hamming_topk_workspace(q, n, bytes, k, tuning), 0);
      check(sketchfast::cuda::hamming_topk(queries.data, q, database.data, n, bytes, k,
                                           reinterpret_cast<int32_t*>(distances.data), reinterpret_cast<int64_t*>(ids.data),
                                           workspace.data, nullptr, tuning));
      if (q > 0 && k > 0) {
        const auto plan = sketchfast::cuda::plan_hamming_topk(q, n, bytes, k,
                                                              sketchfast::cuda::vector_rows(database.data, bytes), tuning);
        sampled += plan.sample_step > 1;
        rounds += sketchfast::cuda::ceil_div(q, plan.query_batch);
      }
      write(distances);
      write(ids);
    } else {
      Bytes out(static_cast<size_t>(q * n) * (8 * bytes > 255 ? 2 : 1), 0);
      if (8 * bytes > 255) {
        check(sketchfast::cuda::hamming_cdist(queries.data, q, database.data, n, bytes,
                                              reinterpret_cast<int16_t*>(out.data), nullptr));
      } else {
        check(sketchfast::cuda::hamming_cdist(queries.data, q, database.data, n, bytes, out.data, nullptr));
      }
      write(out);
    }
  }
  std::fprintf(stderr, "%lld topk cases sampled, %lld rounds; ", sampled, rounds);
  return end();
}
