// The taps of one image as a sparse matrix S of pooled vectors by pixels, shared by all its channels:
//
//   pooled = S F        d loss / d F = S^T grad        dots = grad F^T, taken where S has an entry, give the slopes
//
// For the mean S has one row, in which taps on one pixel are merged: at most min(4 L, H W) entries, ascending by pixel. Without
// the mean it has L rows of at most 4. Built by setting a bit for each pixel met and counting bits: no sorting, and the order of
// every sum is that of the points.
#pragma once

#include <vector>

#include "../math/landmark_pool.h"

namespace sketchfast::cpu {

template <class A>
struct TapMatrix {
  int64_t rows = 0;                   // 1, or L
  std::vector<int32_t> begin;         // [rows + 1] entries of each row
  std::vector<int32_t> row;           // of each entry
  std::vector<int32_t> pixel;         // of each entry
  std::vector<int32_t> place;         // of that pixel in `touched`
  std::vector<A> weight;              // of each entry, with the mean's 1 / L
  std::vector<int32_t> touched;       // pixels with an entry, ascending
  std::vector<int32_t> column_begin;  // [touched + 1] in column_entry
  std::vector<int32_t> column_entry;  // the entries at each touched pixel
  std::vector<Taps<A>> taps;          // of each point
  std::vector<int32_t> tap_entry;     // [L * kTaps], -1 outside the map
};

// P: float, double.
template <class A, class P>
TapMatrix<A> tap_matrix(const P* points, int64_t count, int64_t height, int64_t width, bool mean) {
  TapMatrix<A> matrix;
  matrix.rows = mean ? 1 : count;
  matrix.taps.resize(static_cast<size_t>(count));
  matrix.tap_entry.resize(static_cast<size_t>(count * kTaps));
  std::vector<uint64_t> met(static_cast<size_t>((height * width + 63) / 64));
  for (int64_t l = 0; l < count; ++l) {
    const Taps<A> taps = taps_of<A>(points[2 * l], points[2 * l + 1], height, width);
    matrix.taps[l] = taps;
    for (int k = 0; k < kTaps; ++k) {
      const int32_t pixel = tap_pixel(taps, k, height, width);
      matrix.tap_entry[l * kTaps + k] = pixel;  // until it is known which entry that is
      if (pixel >= 0) met[pixel / 64] |= uint64_t{1} << (pixel % 64);
    }
  }
  std::vector<int32_t> met_before(met.size());
  for (size_t word = 0; word < met.size(); ++word) {
    met_before[word] = static_cast<int32_t>(matrix.touched.size());
    for (uint64_t bits = met[word]; bits != 0; bits &= bits - 1) {
      matrix.touched.push_back(static_cast<int32_t>(word * 64) + __builtin_ctzll(bits));
    }
  }
  const auto place_of = [&](int32_t pixel) {
    return met_before[pixel / 64] + popcount64(met[pixel / 64] & ((uint64_t{1} << (pixel % 64)) - 1));
  };

  if (mean) {
    matrix.pixel = matrix.touched;
    matrix.row.assign(matrix.touched.size(), 0);
    matrix.weight.assign(matrix.touched.size(), A(0));
    for (size_t e = 0; e < matrix.touched.size(); ++e) matrix.place.push_back(static_cast<int32_t>(e));
    matrix.begin = {0, static_cast<int32_t>(matrix.touched.size())};
  }
  for (int64_t l = 0; l < count; ++l) {
    if (!mean) matrix.begin.push_back(static_cast<int32_t>(matrix.pixel.size()));
    for (int k = 0; k < kTaps; ++k) {
      int32_t& entry = matrix.tap_entry[l * kTaps + k];
      const int32_t pixel = entry;
      if (pixel < 0) continue;
      const A weight = tap_weight(matrix.taps[l], k);
      if (mean) {
        entry = place_of(pixel);
        matrix.weight[entry] += weight;
      } else {
        entry = static_cast<int32_t>(matrix.pixel.size());
        matrix.row.push_back(static_cast<int32_t>(l));
        matrix.pixel.push_back(pixel);
        matrix.place.push_back(place_of(pixel));
        matrix.weight.push_back(weight);
      }
    }
  }
  if (mean) {
    for (A& weight : matrix.weight) weight /= static_cast<A>(count);
  } else {
    matrix.begin.push_back(static_cast<int32_t>(matrix.pixel.size()));
  }

  matrix.column_begin.assign(matrix.touched.size() + 1, 0);
  for (const int32_t place : matrix.place) ++matrix.column_begin[place + 1];
  for (size_t t = 0; t < matrix.touched.size(); ++t) matrix.column_begin[t + 1] += matrix.column_begin[t];
  matrix.column_entry.resize(matrix.pixel.size());
  std::vector<int32_t> next(matrix.column_begin.begin(), matrix.column_begin.end() - 1);
  for (size_t e = 0; e < matrix.pixel.size(); ++e) {
    matrix.column_entry[next[matrix.place[e]]++] = static_cast<int32_t>(e);
  }
  return matrix;
}

// The one row of a mean's matrix as blocks of eight neighbouring pixels with weight 0 where there is no entry, so that a channel
// is read and written by whole vectors. A map of which half the blocks are met has all of them, and no gaps to fill with zeros.
constexpr int64_t kBlockPixels = 8;

template <class A>
struct WeightBlocks {
  bool all = false;               // every block of the map is there
  std::vector<int64_t> start;     // first pixel of each, ascending
  std::vector<A> weight;          // kBlockPixels of each
  std::vector<int32_t> at_entry;  // where in `weight` an entry of the matrix lies
};

template <class A>
WeightBlocks<A> weight_blocks(const TapMatrix<A>& matrix, int64_t plane) {
  WeightBlocks<A> blocks;
  const int64_t most = (plane + kBlockPixels - 1) / kBlockPixels;
  for (const int32_t pixel : matrix.pixel) {
    const int64_t start = pixel / kBlockPixels * kBlockPixels;
    if (blocks.start.empty() || blocks.start.back() != start) blocks.start.push_back(start);
  }
  blocks.all = 2 * static_cast<int64_t>(blocks.start.size()) >= most;
  if (blocks.all) {
    blocks.start.clear();
    for (int64_t b = 0; b < most; ++b) blocks.start.push_back(b * kBlockPixels);
  }
  blocks.weight.assign(blocks.start.size() * kBlockPixels, A(0));
  size_t block = 0;
  for (size_t e = 0; e < matrix.pixel.size(); ++e) {
    while (blocks.start[block] + kBlockPixels <= matrix.pixel[e]) ++block;
    const auto at = static_cast<int32_t>(block * kBlockPixels + matrix.pixel[e] % kBlockPixels);
    blocks.at_entry.push_back(at);
    blocks.weight[at] = matrix.weight[e];
  }
  return blocks;
}

}  // namespace sketchfast::cpu
