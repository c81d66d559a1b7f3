// Runs landmark_pool and its gradients of csrc/cuda on the CPU over the cases of standard input; see fibers.h.
//
// In: int64 seed, then per case fifteen int64 (dtype, N, C, H, W, L, channels_last, mean, points of double, byte offset of
// features and gradients; of PoolTuning shared_bytes, blocks_wanted, least_block_bytes, most_block_bytes, most_blocks), then
// points, features (as they lie in memory) and the gradient of the pooled vectors. Out: pooled vectors, gradient of the
// features, gradient of the points.
#include "fibers.h"

#include "cuda/landmark_pool.cu"
#include "cuda/landmark_pool_features.cu"
#include "cuda/landmark_pool_points.cu"

namespace {

using namespace emulation;
using namespace sketchfast;

template <class T>
void run(const int64_t (&c)[15]) {
  const cuda::PoolShape shape = {c[1], c[2], c[3], c[4], c[5], c[6] != 0, c[7] != 0};
  const bool wide = c[8] != 0;
  const size_t offset = static_cast<size_t>(c[9]) / sizeof(T) * sizeof(T);
  const cuda::PoolTuning tuning = {c[10], c[11], c[12], c[13], c[14]};
  const size_t map_values = static_cast<size_t>(shape.images * shape.channels * shape.height * shape.width);
  const size_t vectors = static_cast<size_t>(shape.images * (shape.mean ? 1 : shape.points) * shape.channels);
  Bytes at(static_cast<size_t>(shape.images * shape.points) * 2 * (wide ? 8 : 4), 0);
  Bytes features(map_values * sizeof(T), offset), grad(vectors * sizeof(T), 0);
  for (Bytes* bytes : {&at, &features, &grad}) read(bytes->data, bytes->size);
  Bytes pooled(grad.size, 0), to_features(features.size, offset), to_points(at.size, 0);
  const cuda::PoolPoints points = {at.data, wide};
  const auto workspace = [&] {  // of its own for each call, so that none reads what another left
    return Bytes(cuda::landmark_pool_workspace(shape, sizeof(T), tuning), 0);
  };
  const T* x = reinterpret_cast<const T*>(features.data);
  const T* g = reinterpret_cast<const T*>(grad.data);
  Bytes first = workspace(), second = workspace(), third = workspace();
  check(cuda::landmark_pool(x, points, shape, reinterpret_cast<T*>(pooled.data), first.data, nullptr, tuning));
  check(cuda::landmark_pool_features_gradient(g, points, shape, reinterpret_cast<T*>(to_features.data), second.data,
                                              nullptr, tuning));
  check(cuda::landmark_pool_points_gradient(g, x, points, shape, to_points.data, third.data, nullptr, tuning));
  for (Bytes* bytes : {&pooled, &to_features, &to_points}) write(*bytes);
}

}  // namespace

int main() {
  begin();
  int64_t c[15];
  while (next_case(c)) {
    if (c[0] == 0) run<float>(c);
    if (c[0] == 1) run<double>(c);
    if (c[0] == 2) run<Float16Bits>(c);
    if (c[0] == 3) run<BFloat16Bits>(c);
  }
  return end();
}
