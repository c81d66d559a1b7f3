// Lines as bits, the pen as a dilation of them, and bits as bytes. Included by a path's file, which defines before, in the
// anonymous namespace of sketchfast::cpu:
//   Words                               a vector of uint64_t
//   expand_word(bits, bytes)            64 pixels: 255 where a bit is 0, 0 where it is 1
//   SKETCHFAST_RASTER_PATH, _INLINE     attributes of functions that may use the path's instructions
//
//   lines   bit c of row r is set where a line has the pixel (c - t/2, r - t/2): the pen's reach lies around the canvas
//   ink     row y, column x = OR over the places (sx, sy) of the disc of lines[y + sy][x + sx]
//
// A pixel costs one bit, and the pen is drawn once a picture, for 64 pixels at a time, not once a pixel of a line: t shifts and t
// OR of the vectors of the rows that have any. Cost at 256x256: 8 KiB of bits, 64 KiB of bytes written once.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "rasterize_task.h"

namespace sketchfast::cpu {
namespace {

constexpr int64_t kWordBits = 64;
constexpr int64_t kLaneWords = sizeof(Words) / sizeof(uint64_t);

struct BitRows {
  uint64_t* bits;
  int64_t stride;  // words
  int32_t rows, columns;
};

SKETCHFAST_RASTER_INLINE Words load_words(const uint64_t* p) {
  Words words;
  std::memcpy(&words, p, sizeof(words));
  return words;
}

SKETCHFAST_RASTER_INLINE void set_run(uint64_t* row, int32_t first, int32_t last) {
  const int32_t from = first / kWordBits, to = last / kWordBits;
  const uint64_t begin = ~uint64_t{0} << (first % kWordBits), end = ~uint64_t{0} >> (kWordBits - 1 - last % kWordBits);
  if (from == to) {
    row[from] |= begin & end;
    return;
  }
  row[from] |= begin;
  for (int32_t w = from + 1; w < to; ++w) row[w] = ~uint64_t{0};
  row[to] |= end;
}

// 1 to 57 pixels, wherever words begin; on little-endian processors, where a row's bits are its bytes' bits.
SKETCHFAST_RASTER_INLINE void set_short_run(uint64_t* row, int32_t first, int32_t count) {
  uint8_t* at = reinterpret_cast<uint8_t*>(row) + first / 8;
  uint64_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  bits |= (~uint64_t{0} >> (kWordBits - count)) << (first % 8);
  std::memcpy(at, &bits, sizeof(bits));
}

// A line of which any part may lie outside the bits. Columns and rows have the pen's reach added.
SKETCHFAST_RASTER_INLINE void draw_clipped(const BitRows& canvas, int32_t x0, int32_t y0, int32_t x1, int32_t y1) {
  raster::LineRows line = raster::line_rows(x0, y0, x1, y1, 0, canvas.rows - 1);
  for (; line.rows > 0; --line.rows, raster::next_row(line)) {
    const int32_t first = line.flat ? line.from : line.at, last = raster::last_in_row(line);
    const int32_t left = std::max(line.right > 0 ? line.x0 + first : line.x0 - last, 0);
    const int32_t right = std::min(line.right > 0 ? line.x0 + last : line.x0 - first, canvas.columns - 1);
    if (left <= right) set_run(canvas.bits + line.row * canvas.stride, left, right);
  }
}

// The same of a line that lies in the bits, without a carry: with a, b below 2^13, S = floor(2^32 a / b) and j <= b
//   steep   floor(a j / b + 1/2)      = floor((2^31 + j (S + 1)) / 2^32)
//   flat    ceil(a (2j + 1) / 2b)     = floor((S div 2 - 1 + j S) / 2^32) + 1
// as the numbers rounded are multiples of 1 / 2b > 2^-14, and the error is at most (j + 2) 2^-32, upwards and downwards.
SKETCHFAST_RASTER_INLINE void draw_inside(const BitRows& canvas, int32_t x0, int32_t y0, int32_t x1, int32_t y1) {
  const int32_t a = std::abs(x1 - x0), b = std::abs(y1 - y0);
  uint64_t* row = canvas.bits + y0 * canvas.stride;
  if (b == 0) return set_run(row, std::min(x0, x1), std::max(x0, x1));
  const int64_t step = y1 < y0 ? -canvas.stride : canvas.stride;
  const int32_t leftwards = x1 < x0 ? -1 : 0;  // (k ^ -1) + 1 = -k
  const uint64_t slope = (static_cast<uint64_t>(a) << 32) / static_cast<uint32_t>(b);
  if (a < b) {
    uint64_t at = uint64_t{1} << 31;
    for (int32_t j = b; j >= 0; --j, row += step, at += slope + 1) {
      const int32_t k = static_cast<int32_t>(at >> 32);
      const auto column = static_cast<uint32_t>(x0 + ((k ^ leftwards) - leftwards));
      row[column / kWordBits] |= uint64_t{1} << (column % kWordBits);
    }
    return;
  }
  uint64_t at = (slope >> 1) - 1 + (uint64_t{1} << 32);
  int32_t from = 0;
  const bool short_runs = a / 32 < b;  // at most 33 pixels
  for (int32_t j = b; j > 0; --j, row += step, at += slope) {
    const int32_t next = static_cast<int32_t>(at >> 32);
    const int32_t left = leftwards == 0 ? x0 + from : x0 - next + 1;
    if (short_runs) {
      set_short_run(row, left, next - from);
    } else {
      set_run(row, left, left + next - from - 1);
    }
    from = next;
  }
  set_run(row, leftwards == 0 ? x0 + from : x1, leftwards == 0 ? x1 : x0 - from);
}

SKETCHFAST_RASTER_INLINE bool inside(const BitRows& canvas, int32_t x, int32_t y) {
  return static_cast<uint32_t>(x) < static_cast<uint32_t>(canvas.columns) &&
         static_cast<uint32_t>(y) < static_cast<uint32_t>(canvas.rows);
}

SKETCHFAST_RASTER_INLINE void draw_lines(const BitRows& canvas, const int32_t* pixels, const uint8_t* lifts,
                                         int64_t length) {
  bool joined = false;  // to the point before
  bool here = length > 0 && inside(canvas, pixels[0], pixels[1]);
  for (int64_t i = 0; i < length; ++i) {
    const int32_t x = pixels[2 * i], y = pixels[2 * i + 1];
    const bool goes_on = i + 1 < length && lifts[i] == 0;
    const bool there = i + 1 < length && inside(canvas, pixels[2 * i + 2], pixels[2 * i + 3]);
    if (goes_on) {
      if (here && there) {
        draw_inside(canvas, x, y, pixels[2 * i + 2], pixels[2 * i + 3]);
      } else {
        draw_clipped(canvas, x, y, pixels[2 * i + 2], pixels[2 * i + 3]);
      }
    } else if (!joined && here) {
      set_run(canvas.bits + y * canvas.stride, x, x);
    }
    joined = goes_on;
    here = there;
  }
}

// Each word of `low` moved down by 0 <= s < 64 bits, the next word's (`high`) behind it.
SKETCHFAST_RASTER_INLINE Words shifted(Words low, Words high, int32_t s) { return low >> s | high << 1 << (63 - s); }

// ink |= lines, dilated by the disc.
SKETCHFAST_RASTER_INLINE void dilate(const BitRows& lines, int32_t thickness, const BitRows& ink) {
  int32_t insets[raster::kMaxThickness];
  const int32_t pairs =
      (thickness + 1) / 2;  // rows sy and t - 1 - sy of the disc are alike; they widen towards the middle
  for (int32_t sy = 0; sy < pairs; ++sy) insets[sy] = raster::disc_inset(thickness, sy);
  for (int32_t r = 0; r < lines.rows; ++r) {
    const uint64_t* row = lines.bits + r * lines.stride;
    for (int64_t w = 0; w < ink.stride; w += kLaneWords) {
      const Words low = load_words(row + w), high = load_words(row + w + 1);
      const Words seen = low | high;
      uint64_t any = 0;
      for (int64_t lane = 0; lane < kLaneWords; ++lane) any |= seen[lane];
      if (any == 0) continue;
      int32_t first = insets[0], last = thickness - 1 - first;  // the places joined so far
      Words wide = {};
      for (int32_t s = first; s <= last; ++s) wide |= shifted(low, high, s);
      for (int32_t sy = 0; sy < pairs; ++sy) {
        while (first > insets[sy]) {
          wide |= shifted(low, high, --first) | shifted(low, high, ++last);
        }
        for (const int32_t y : {r - sy, r - (thickness - 1 - sy)}) {
          if (y < 0 || y >= ink.rows) continue;
          uint64_t* out = ink.bits + y * ink.stride + w;
          const Words joined = load_words(out) | wide;
          std::memcpy(out, &joined, sizeof(joined));
        }
      }
    }
  }
}

SKETCHFAST_RASTER_INLINE void expand(const BitRows& ink, uint8_t* image) {
  const uint8_t* const end = image + int64_t{ink.rows} * ink.columns;
  for (int32_t y = 0; y < ink.rows; ++y) {
    const uint64_t* row = ink.bits + y * ink.stride;
    uint8_t* out = image + int64_t{y} * ink.columns;
    for (int32_t x = 0; x < ink.columns; x += kWordBits) {
      if (out + x + kWordBits <= end) {  // what reaches into the next row is written over by it
        expand_word(row[x / kWordBits], out + x);
      } else {
        uint8_t bytes[kWordBits];
        expand_word(row[x / kWordBits], bytes);
        std::memcpy(out + x, bytes, static_cast<size_t>(ink.columns - x));
      }
    }
  }
}

SKETCHFAST_RASTER_PATH void rasterize_lines(const raster::Canvas& canvas, const uint8_t* lifts, int64_t length,
                                            RasterMemory& memory, uint8_t* image) {
  const int32_t thickness = canvas.thickness, reach = thickness / 2;
  memory.pixels.resize(static_cast<size_t>(2 * length));
  const float* places = memory.places.data();
  int32_t* pixels = memory.pixels.data();
  for (int64_t i = 0; i < 2 * length; ++i) pixels[i] = raster::pixel_of(places[i]) + reach;

  const int64_t vectors = (canvas.width + kWordBits * kLaneWords - 1) / (kWordBits * kLaneWords);
  const BitRows ink = {nullptr, vectors * kLaneWords, canvas.height, canvas.width};
  // One more vector a row, as a word's neighbourhood reaches into the next word.
  BitRows lines = {nullptr, ink.stride + (thickness > 1 ? kLaneWords : 0), canvas.height + thickness - 1,
                   canvas.width + thickness - 1};
  memory.lines.assign(static_cast<size_t>(lines.stride * lines.rows) + 1, 0);  // a short run may touch one word more
  lines.bits = memory.lines.data();
  draw_lines(lines, pixels, lifts, length);
  if (thickness == 1) return expand(lines, image);
  memory.ink.assign(static_cast<size_t>(ink.stride * ink.rows), 0);
  const BitRows drawn = {memory.ink.data(), ink.stride, ink.rows, ink.columns};
  dilate(lines, thickness, drawn);
  expand(drawn, image);
}

}  // namespace
}  // namespace sketchfast::cpu
