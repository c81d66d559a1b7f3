// Runs soft_weighted_loss and scale of csrc/cuda on the CPU over the cases of standard input; see fibers.h.
//
// In: int64 seed, then per case sixteen int64 (operation, dtype of values, dtype of labels, N, C, H, W, ignore_index,
// background, soft, wanted: 1 loss + 2 gradient, factor given, byte offset of the values, and three of tuning: staged_bytes,
// most_staged_bytes, most_blocks), then class weights [C] and factor [] in the arithmetic's type, logits, labels.
// Operation 1, scale: N values; the bytes of factor [] and of the values.
// Out: loss and gradient as far as wanted, or the scaled values. Arrays have their exact size, outputs and workspace are
// filled with random bytes.
#include "fibers.h"

#include "cuda/soft_weighted_loss.cu"
#include "cuda/soft_weighted_loss_scale.cu"

namespace {

using namespace emulation;
using namespace sketchfast;

struct Numbers {
  int64_t operation, value_type, label_type, n, c, h, w, ignore_index, background, soft, wanted, scaled, offset, staged,
      most_staged, most_blocks;
};

template <class T, class Label>
void loss_and_gradient(const Numbers& given) {
  using A = typename cuda::Arithmetic<T>::type;
  const cuda::LossShape shape = {given.n, given.c, given.h, given.w};
  const cuda::LossRule rule = {given.ignore_index, given.background, given.soft != 0};
  const size_t pixels = static_cast<size_t>(given.n * given.h * given.w);
  const size_t offset = static_cast<size_t>(given.offset) / sizeof(T) * sizeof(T);
  Bytes weights(static_cast<size_t>(given.c) * sizeof(A), 0), factor(sizeof(A), 0);
  Bytes logits(pixels * static_cast<size_t>(given.c) * sizeof(T), offset), labels(pixels * sizeof(Label), 0);
  for (Bytes* bytes : {&weights, &factor, &logits, &labels}) read(bytes->data, bytes->size);
  Bytes loss(sizeof(A), 0), gradient(logits.size, offset);
  Bytes workspace(cuda::soft_weighted_loss_workspace(shape), 0);
  cuda::LossTuning tuning;
  tuning.staged_bytes = given.staged;
  tuning.most_staged_bytes = given.most_staged;
  tuning.most_blocks = given.most_blocks;
  check(cuda::soft_weighted_loss(
      reinterpret_cast<const T*>(logits.data), reinterpret_cast<const Label*>(labels.data),
      reinterpret_cast<const A*>(weights.data), shape, rule, given.scaled ? reinterpret_cast<const A*>(factor.data) : nullptr,
      given.wanted & 1 ? reinterpret_cast<A*>(loss.data) : nullptr,
      given.wanted & 2 ? reinterpret_cast<T*>(gradient.data) : nullptr, workspace.data, nullptr, tuning));
  if (given.wanted & 1) write(loss);
  if (given.wanted & 2) write(gradient);
}

template <class T>
void scaled(const Numbers& given) {
  using A = typename cuda::Arithmetic<T>::type;
  Bytes factor(sizeof(A), 0);
  Bytes values(static_cast<size_t>(given.n) * sizeof(T), static_cast<size_t>(given.offset) / sizeof(T) * sizeof(T));
  read(factor.data, factor.size);
  read(values.data, values.size);
  check(cuda::scale(reinterpret_cast<T*>(values.data), given.n, reinterpret_cast<const A*>(factor.data), nullptr));
  write(values);
}

template <class T>
void run(const Numbers& given) {
  if constexpr (!std::is_same_v<T, Float16Bits>) {
    if (given.operation == 1) return scaled<T>(given);
  }
  if (given.label_type == 0) loss_and_gradient<T, uint8_t>(given);
  if (given.label_type == 1) loss_and_gradient<T, int8_t>(given);
  if (given.label_type == 2) loss_and_gradient<T, int16_t>(given);
  if (given.label_type == 3) loss_and_gradient<T, int32_t>(given);
  if (given.label_type == 4) loss_and_gradient<T, int64_t>(given);
}

}  // namespace

int main() {
  begin();
  int64_t c[16];
  while (next_case(c)) {
    Numbers given;
    static_assert(sizeof given == sizeof c);
    std::memcpy(&given, c, sizeof given);
    if (given.value_type == 0) run<float>(given);
    if (given.value_type == 1) run<double>(given);
    if (given.value_type == 2) run<Float16Bits>(given);
    if (given.value_type == 3) run<BFloat16Bits>(given);
  }
  return end();
}
