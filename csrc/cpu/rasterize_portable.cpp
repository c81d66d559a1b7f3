// The portable path of rasterize_lines.h and rasterize_coverage.h, on little-endian processors: vectors that GCC and clang put into
// whatever registers there are.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "rasterize_task.h"

#define SKETCHFAST_RASTER_PATH
#define SKETCHFAST_RASTER_INLINE __attribute__((always_inline)) inline

namespace sketchfast::cpu {
namespace {

typedef uint64_t Words __attribute__((vector_size(16)));
typedef float Floats __attribute__((vector_size(16)));

SKETCHFAST_RASTER_INLINE void expand_word(uint64_t bits, uint8_t* bytes) {
  for (int i = 0; i < 8; ++i) {
    // The byte eight times; one bit of each; a byte with a bit carries into its top bit.
    const uint64_t same = (bits >> (8 * i) & 0xff) * 0x0101010101010101;
    const uint64_t tops = ((same & 0x8040201008040201) + 0x7f7f7f7f7f7f7f7f) >> 7 & 0x0101010101010101;
    const uint64_t eight = ~(tops * 0xff);
    std::memcpy(bytes + 8 * i, &eight, sizeof(eight));  // little-endian, as rasterize_lines.h asks for
  }
}

SKETCHFAST_RASTER_INLINE Floats root(Floats x) {
  for (int lane = 0; lane < 4; ++lane) x[lane] = std::sqrt(x[lane]);
  return x;
}

SKETCHFAST_RASTER_INLINE void least_of(uint8_t* bytes, Floats values) {
  for (int lane = 0; lane < 4; ++lane) {
    const float least = values[lane] + 0.5f < static_cast<float>(bytes[lane]) ? values[lane] + 0.5f : bytes[lane];
    bytes[lane] = static_cast<uint8_t>(least > 0 ? least : 0);
  }
}

}  // namespace
}  // namespace sketchfast::cpu

#include "rasterize_lines.h"
//
#include "rasterize_coverage.h"

namespace sketchfast::cpu {

RasterKernel raster_kernel_portable() { return rasterize_image; }

}  // namespace sketchfast::cpu
