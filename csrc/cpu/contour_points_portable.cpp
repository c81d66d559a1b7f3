// The portable path of contour_points_sample.h: vectors of four pixels, which GCC and clang put into whatever registers there are.
#include <cstdint>
#include <cstring>

#define SKETCHFAST_CONTOUR_PATH
#define SKETCHFAST_CONTOUR_INLINE __attribute__((always_inline)) inline

namespace sketchfast::cpu {
namespace {

typedef int32_t Vector __attribute__((vector_size(16)));

SKETCHFAST_CONTOUR_INLINE uint64_t stroke_bits(const uint8_t* p) {
  uint64_t bits = 0;
  for (int i = 0; i < 8; ++i) {
    uint64_t bytes;
    std::memcpy(&bytes, p + 8 * i, sizeof(bytes));
    // Gathers the eight low bits: the product puts each into the top byte once, and nothing carries.
    bits |= (bytes * 0x0102040810204080ull >> 56) << (8 * i);
  }
  return bits;
}

SKETCHFAST_CONTOUR_INLINE Vector squared_distances(Vector a, Vector b) {
  const Vector x = (a & 0xffff) - (b & 0xffff);
  const Vector y = (a >> 16) - (b >> 16);
  return x * x + y * y;
}

}  // namespace
}  // namespace sketchfast::cpu

#include "contour_points_sample.h"

namespace sketchfast::cpu {

ContourKernel contour_kernel_portable() { return sample_contour; }

}  // namespace sketchfast::cpu
