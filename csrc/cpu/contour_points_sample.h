// Farthest-point sampling of a skeleton's pixels, for one instruction set: a path's file defines what is listed under "The path
// provides" and includes this file once. Everything here has internal linkage, since it is compiled for other processors in each.
//
//   p_0     = the first pixel in row-major order
//   p_{i+1} = the first pixel q with the largest D_i(q) = min(|q - p_0|^2, ..., |q - p_i|^2)
//
// Layout. A pixel is two 16-bit integers in one of 32, so that one subtraction and one multiply-add of pairs give its squared
// distance. Pixels stay in row-major order, which makes "first" the lowest index. They come in blocks, and a block knows the
// rectangle it lies in and its largest distance: a new point at least that far from the rectangle changes nothing in it. The
// largest distance of all is that of a block, too, and only this block is searched for the pixel.
// The last block is filled up with p_0, whose distance is 0 from the first point on.
//
// Cost: at most pixels * n / lanes steps of one load, subtraction, multiply-add, load, minimum, store and maximum.
//
// The path provides, in an unnamed namespace inside sketchfast::cpu:
//   Vector                    a GCC vector of int32_t
//   stroke_bits(p)            bit i: p[i] is 1, for 64 bytes of 0 and 1
//   squared_distances(a, b)   of pixels as above, lane by lane
// and the macros SKETCHFAST_CONTOUR_PATH for functions that are called, SKETCHFAST_CONTOUR_INLINE for those that are not.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "contour_points_task.h"

namespace sketchfast::cpu {
namespace {

constexpr int64_t kLanes = static_cast<int64_t>(sizeof(Vector) / sizeof(int32_t));
constexpr int64_t kBlock = 256;

SKETCHFAST_CONTOUR_INLINE Vector load(const int32_t* p) {
  Vector v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

SKETCHFAST_CONTOUR_INLINE void store(int32_t* p, Vector v) { std::memcpy(p, &v, sizeof(v)); }

SKETCHFAST_CONTOUR_INLINE int32_t x_of(int32_t pixel) { return pixel & 0xffff; }
SKETCHFAST_CONTOUR_INLINE int32_t y_of(int32_t pixel) { return pixel >> 16; }

// How far a coordinate lies outside [low, high].
SKETCHFAST_CONTOUR_INLINE int32_t outside(int32_t value, int32_t low, int32_t high) {
  return std::max(std::max(low - value, value - high), 0);
}

// Returns how many there are; memory.pixels holds whole blocks.
SKETCHFAST_CONTOUR_PATH int64_t list_pixels(const uint8_t* skeleton, int64_t height, int64_t width,
                                            std::vector<int32_t>& pixels) {
  int64_t count = 0;
  for (int64_t y = 0; y < height; ++y) {
    const int64_t needed = count + width + kBlock;
    if (needed > static_cast<int64_t>(pixels.size())) pixels.resize(static_cast<size_t>(2 * needed));
    int32_t* const to = pixels.data();
    for (int64_t x = 0; x < width; x += 64) {
      uint64_t bits = stroke_bits(skeleton + x);
      if (width - x < 64) bits &= (uint64_t{1} << (width - x)) - 1;
      const int32_t first = static_cast<int32_t>(y << 16 | x);
      for (; bits != 0; bits &= bits - 1) to[count++] = first + __builtin_ctzll(bits);
    }
    skeleton += width;
  }
  std::fill_n(pixels.data() + count, (kBlock - count % kBlock) % kBlock, pixels[0]);
  return count;
}

SKETCHFAST_CONTOUR_PATH void make_blocks(const std::vector<int32_t>& pixels, int64_t count,
                                         std::vector<PixelBlock>& blocks) {
  blocks.clear();
  for (int64_t first = 0; first < count; first += kBlock) {
    const int64_t end = std::min(first + kBlock, count);
    const int32_t* const p = pixels.data();
    int32_t left = x_of(p[first]), right = left;
    for (int64_t i = first + 1; i < end; ++i) {
      left = std::min(left, x_of(p[i]));
      right = std::max(right, x_of(p[i]));
    }
    blocks.push_back({left, right, y_of(p[first]), y_of(p[end - 1]), std::numeric_limits<int32_t>::max()});
  }
}

// The distances of one block after a new point; returns the largest.
SKETCHFAST_CONTOUR_INLINE int32_t update_block(const int32_t* pixels, Vector point, int32_t* distances) {
  Vector most = {};
  for (int64_t i = 0; i < kBlock; i += kLanes) {
    const Vector found = squared_distances(load(pixels + i), point);
    const Vector kept = load(distances + i);
    const Vector nearer = found < kept ? found : kept;
    store(distances + i, nearer);
    most = nearer > most ? nearer : most;
  }
  int32_t largest = most[0];
  for (int64_t lane = 1; lane < kLanes; ++lane) largest = std::max(largest, most[lane]);
  return largest;
}

// The first place of the value in a block that holds it.
SKETCHFAST_CONTOUR_INLINE int64_t place_in_block(const int32_t* distances, int32_t value) {
  int64_t place = 0;
  while (distances[place] != value) ++place;
  return place;
}

SKETCHFAST_CONTOUR_PATH bool sample_contour(const uint8_t* skeleton, int64_t height, int64_t width, int64_t n,
                                            ContourMemory& memory, int32_t* points) {
  const int64_t count = list_pixels(skeleton, height, width, memory.pixels);
  if (count == 0) return false;
  make_blocks(memory.pixels, count, memory.blocks);
  const int64_t num_blocks = static_cast<int64_t>(memory.blocks.size());
  memory.distances.assign(static_cast<size_t>(num_blocks * kBlock), std::numeric_limits<int32_t>::max());
  const int32_t* const pixels = memory.pixels.data();
  int32_t* const distances = memory.distances.data();
  PixelBlock* const blocks = memory.blocks.data();

  const int64_t distinct = std::min(n, count);
  int32_t pixel = pixels[0];
  for (int64_t i = 0;; ++i) {
    const int32_t x = x_of(pixel), y = y_of(pixel);
    points[2 * i] = x;
    points[2 * i + 1] = y;
    if (i + 1 == distinct) break;
    const Vector point = Vector{} + pixel;
    int32_t farthest = -1;
    int64_t which = 0;
    for (int64_t b = 0; b < num_blocks; ++b) {
      PixelBlock& block = blocks[b];
      const int32_t across = outside(x, block.left, block.right);
      const int32_t along = outside(y, block.top, block.bottom);
      if (across * across + along * along < block.farthest) {
        block.farthest = update_block(pixels + b * kBlock, point, distances + b * kBlock);
      }
      if (block.farthest > farthest) {
        farthest = block.farthest;
        which = b * kBlock;
      }
    }
    pixel = pixels[which + place_in_block(distances + which, farthest)];
  }
  // Fewer pixels than points: again from the first.
  for (int64_t i = 2 * distinct; i < 2 * n; ++i) points[i] = points[i - 2 * distinct];
  return true;
}

}  // namespace
}  // namespace sketchfast::cpu
