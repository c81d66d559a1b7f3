// The portable path of skeletonize_sweep.h: vectors of two lanes, which GCC and clang put into whatever registers there are.
#include <cstdint>
#include <cstring>

#define SKETCHFAST_PATH

namespace sketchfast::cpu {
namespace {

typedef uint64_t Vector __attribute__((vector_size(16)));

constexpr uint64_t kLowBits = 0x0101010101010101ull;
constexpr uint64_t kHighBits = 0x8080808080808080ull;

#define SKETCHFAST_INLINE __attribute__((always_inline)) inline

SKETCHFAST_INLINE bool any(Vector v) { return (v[0] | v[1]) != 0; }

SKETCHFAST_INLINE Vector with_halos(Vector v) {
  constexpr uint64_t kFirst = 0xff;
  constexpr uint64_t kLast = kFirst << 56;
  return Vector{(v[0] & ~kLast) | (v[1] << 48 & kLast), (v[1] & ~kFirst) | (v[0] >> 48 & kFirst)};
}

SKETCHFAST_INLINE uint64_t load_bytes(const uint8_t* p) {
  uint64_t bytes;
  std::memcpy(&bytes, p, sizeof(bytes));
  return bytes;
}

SKETCHFAST_INLINE void store_bytes(uint8_t* p, uint64_t bytes) { std::memcpy(p, &bytes, sizeof(bytes)); }

SKETCHFAST_INLINE uint64_t stroke_bits(const uint8_t* p, uint8_t limit) {
  const uint64_t limits = limit * kLowBits;
  uint64_t bits = 0;
  for (int i = 0; i < 8; ++i) {
    const uint64_t bytes = load_bytes(p + 8 * i);
    // High bit of each byte: byte <= limit. The difference of the low seven bits decides where the high bits are equal.
    const uint64_t difference = (limits | kHighBits) - (bytes & ~kHighBits);
    const uint64_t at_most = ((limits & ~bytes) | (~(limits ^ bytes) & difference)) & kHighBits;
    // Gathers the eight high bits: the product puts each into the top byte once, and nothing carries.
    bits |= ((at_most >> 7) * 0x0102040810204080ull >> 56) << (8 * i);
  }
  return bits;
}

SKETCHFAST_INLINE void expand(const uint8_t* p, uint8_t stroke, uint8_t ground, uint8_t* out) {
  const uint64_t grounds = ground * kLowBits;
  const uint64_t change = (stroke ^ ground) * kLowBits;
  for (int i = 0; i < 8; ++i) {
    const uint64_t spread = p[i] * kLowBits & 0x8040201008040201ull;  // bit j in byte j
    const uint64_t ones =
        (spread + ~kHighBits) >> 7 & kLowBits;  // spread has at most one bit a byte, so nothing carries
    store_bytes(out + 8 * i, grounds ^ (ones * 0xff & change));
  }
}

SKETCHFAST_INLINE Vector lanes_of_bits(const uint8_t* p) { return Vector{load_bytes(p - 1), load_bytes(p + 5)}; }

SKETCHFAST_INLINE void store_bits_of_lanes(Vector v, uint8_t* p) {
  store_bytes(p, v[0] >> 8);
  store_bytes(p + 6, v[1] >> 8);
}

#undef SKETCHFAST_INLINE

}  // namespace
}  // namespace sketchfast::cpu

#include "skeletonize_sweep.h"

namespace sketchfast::cpu {

SkeletonKernel skeletonize_kernel_portable() { return thin_images; }

}  // namespace sketchfast::cpu
