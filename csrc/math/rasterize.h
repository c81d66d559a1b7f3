// Arithmetic of rasterize for host and device: where a point lies on the canvas, the rows of a line, the disc of a pen, the
// distance from a line.
//
//   pixel of v             floor(v + 1/2), in float32
//   k-th pixel of a line   along the longer side; across it floor((2 k |short| + |long|) / (2 |long|)), from the first point
//   disc of diameter t     (t - 1 - 2 sx)^2 + (t - 1 - 2 sy)^2 <= t^2, sx and sy in 0..t-1; place t/2 is the line's pixel
//
// Everything but distances is exact, or rounded step by step as sketchfast/reference/rasterize.py says, so that CPU and CUDA give
// the same bits. No product of two floats is added to anything in float32: a compiler that fuses changes nothing.
#pragma once

#include <math.h>

#include <cstdint>

#include "hamming.h"  // SKETCHFAST_HOST_DEVICE

namespace sketchfast::raster {

constexpr int64_t kMaxSide = 4096;
constexpr int64_t kMaxThickness = 64;         // two words of 64 pixels hold a word's neighbourhood
constexpr float kMaxCoordinate = 4194304.0f;  // 2^22: pixels fit into 24 bits, and v + 1/2 is exact to a quarter
constexpr float kMaxFitted = 0x1p100f;        // before a fit; extents stay finite

struct Canvas {
  int32_t height, width;
  int32_t thickness;
  bool antialias;
  bool fit;
  float space_x, space_y;    // with fit: between the outermost pixel centres that are drawn on
  float centre_x, centre_y;  // the same
  float largest;             // size of a legal coordinate
};

// fit: the margin as a share of the shorter side, negative for none.
inline Canvas canvas_of(int64_t height, int64_t width, int64_t thickness, bool antialias, double fit) {
  Canvas canvas = {};
  canvas.height = static_cast<int32_t>(height);
  canvas.width = static_cast<int32_t>(width);
  canvas.thickness = static_cast<int32_t>(thickness);
  canvas.antialias = antialias;
  canvas.fit = fit >= 0;
  const double margin = fit * static_cast<double>(height < width ? height : width);
  const double space_x = static_cast<double>(width - 1) - 2 * margin;
  const double space_y = static_cast<double>(height - 1) - 2 * margin;
  canvas.space_x = static_cast<float>(space_x > 0 ? space_x : 0);
  canvas.space_y = static_cast<float>(space_y > 0 ? space_y : 0);
  canvas.centre_x = static_cast<float>(width - 1) / 2;
  canvas.centre_y = static_cast<float>(height - 1) / 2;
  canvas.largest = canvas.fit ? kMaxFitted : kMaxCoordinate;
  return canvas;
}

// False for NaN too.
SKETCHFAST_HOST_DEVICE inline bool legal(const Canvas& canvas, float x, float y) {
  return fabsf(x) <= canvas.largest && fabsf(y) <= canvas.largest;
}

// How a sequence gets onto the canvas.
struct Placement {
  bool moves = false;
  float from_x = 0, from_y = 0, to_x = 0, to_y = 0;
  double scale = 1;
};

// Of the bounding box of a sequence's legal points.
SKETCHFAST_HOST_DEVICE inline Placement placement_of(const Canvas& canvas, float left, float right, float top,
                                                     float bottom) {
  Placement place;
  const float across = right - left, down = bottom - top;
  const float scale_x = across > 0 ? canvas.space_x / across : INFINITY;
  const float scale_y = down > 0 ? canvas.space_y / down : INFINITY;
  const float scale = scale_x < scale_y ? scale_x : scale_y;
  place.moves = true;
  place.from_x = (left + right) * 0.5f;
  place.from_y = (top + bottom) * 0.5f;
  place.to_x = canvas.centre_x;
  place.to_y = canvas.centre_y;
  place.scale = scale < INFINITY ? scale : 1.0f;  // no extent: only centred
  return place;
}

// The product of two float32 is exact in float64.
SKETCHFAST_HOST_DEVICE inline float placed_x(const Placement& place, float x) {
  return place.moves ? static_cast<float>(static_cast<double>(x - place.from_x) * place.scale + place.to_x) : x;
}
SKETCHFAST_HOST_DEVICE inline float placed_y(const Placement& place, float y) {
  return place.moves ? static_cast<float>(static_cast<double>(y - place.from_y) * place.scale + place.to_y) : y;
}

SKETCHFAST_HOST_DEVICE inline int32_t pixel_of(float v) {
  const float raised = v + 0.5f;
  const auto towards_zero = static_cast<int32_t>(raised);
  return towards_zero - (static_cast<float>(towards_zero) > raised ? 1 : 0);
}

// ---- lines ----

// A line's rows `top`..`bottom`, from the first point's end on. Row j of a line at least as wide as high (flat) has its pixels
// first_j..first_{j+1} - 1, first_j = ceil(a (2j - 1) / 2b) with a, b the width and height in steps; one of a steep line has
// one, floor((2 a j + b) / 2b). Both are floor((2 a j + c) / 2b), so a row costs an addition and a carry, whatever the slope.
struct LineRows {
  int32_t x0;         // of the first point; columns are x0 + right * k
  int32_t right;      // 1 or -1
  int32_t row, down;  // the first row walked, and 1 or -1
  int32_t rows;       // to walk, at most 0: none
  int32_t across;     // a
  bool flat;
  int32_t from;               // flat: k of this row's first pixel
  int32_t at, rest;           // flat: k of the next row's first pixel; steep: of this row's
  int32_t whole, part, base;  // of one step: whole + part / base
};

// Coordinates up to 2^22 + 1 in size.
SKETCHFAST_HOST_DEVICE inline LineRows line_rows(int32_t x0, int32_t y0, int32_t x1, int32_t y1, int32_t top,
                                                 int32_t bottom) {
  LineRows line;
  const int32_t dx = x1 - x0, dy = y1 - y0;
  const int32_t a = dx < 0 ? -dx : dx, b = dy < 0 ? -dy : dy;
  line.x0 = x0;
  line.right = dx < 0 ? -1 : 1;
  line.down = dy < 0 ? -1 : 1;
  line.across = a;
  line.flat = a >= b;
  const int32_t before = dy < 0 ? y0 - bottom : top - y0;  // rows to leave out
  const int32_t until = dy < 0 ? y0 - top : bottom - y0;
  const int32_t skip = before > 0 ? before : 0;
  line.rows = (until < b ? until : b) - skip + 1;
  line.row = y0 + line.down * skip;
  line.from = 0;
  line.at = a + 1;  // of a line with one row
  line.rest = line.whole = line.part = 0;
  line.base = 1;
  if (b == 0 || line.rows <= 0) return line;
  line.base = 2 * b;
  if (!line.flat) {
    line.whole = 0;
    line.part = 2 * a;
    line.at = 0;
    line.rest = b;
    if (skip > 0) {
      const int64_t n = int64_t{2} * a * skip + b;
      line.at = static_cast<int32_t>(n / line.base);
      line.rest = static_cast<int32_t>(n % line.base);
    }
    return line;
  }
  line.whole = a / b;
  const int32_t left_over = a - line.whole * b;
  line.part = 2 * left_over;
  if (skip > 0) {
    const int64_t n = int64_t{2} * a * skip + a + line.base - 1;
    line.at = static_cast<int32_t>(n / line.base);
    line.rest = static_cast<int32_t>(n % line.base);
    line.from = line.at - line.whole - (line.rest < line.part ? 1 : 0);
  } else {
    line.at = (line.whole >> 1) + ((line.whole & 1) * b + left_over > 0 ? 1 : 0);  // ceil(a / 2b)
    line.rest = static_cast<int32_t>(int64_t{a} + line.base - 1 - int64_t{line.at} * line.base);
  }
  return line;
}

SKETCHFAST_HOST_DEVICE inline void next_row(LineRows& line) {
  line.from = line.at;
  line.at += line.whole;
  line.rest += line.part;
  const bool carry = line.rest >= line.base;
  line.at += carry ? 1 : 0;
  line.rest -= carry ? line.base : 0;
  line.row += line.down;
}

// k of the last pixel in this row; its first is `from` where flat, else the same.
SKETCHFAST_HOST_DEVICE inline int32_t last_in_row(const LineRows& line) {
  if (!line.flat) return line.at;
  return line.at - 1 < line.across ? line.at - 1 : line.across;
}

// Places missing at each end of row sy of the disc.
SKETCHFAST_HOST_DEVICE inline int32_t disc_inset(int32_t thickness, int32_t sy) {
  const int32_t y = thickness - 1 - 2 * sy;
  int32_t inset = 0;
  while ((thickness - 1 - 2 * inset) * (thickness - 1 - 2 * inset) + y * y > thickness * thickness) ++inset;
  return inset;
}

// ---- coverage ----

// What lies within `length` of (x, y) in the direction (ux, uy).
struct Segment {
  float x, y, ux, uy, length;
};

// The part of the line from (x0, y0) to (x1, y1) within `far` of the rectangle, moved by (-left, -top): what is at least `far` - 1
// away from every pixel of it can be cut without a trace, and what is left is small enough for float32. False: nothing is left.
SKETCHFAST_HOST_DEVICE inline bool segment_near(double x0, double y0, double x1, double y1, double left, double top,
                                                double right, double bottom, double far, Segment* segment) {
  const double dx = x1 - x0, dy = y1 - y0;
  double begin = 0, end = 1;
  const double steps[2] = {dx, dy}, lows[2] = {left - far - x0, top - far - y0},
               highs[2] = {right + far - x0, bottom + far - y0};
  for (int axis = 0; axis < 2; ++axis) {
    if (steps[axis] == 0) {
      if (lows[axis] > 0 || highs[axis] < 0) return false;
      continue;
    }
    const double low = lows[axis] / steps[axis], high = highs[axis] / steps[axis];
    const double first = low < high ? low : high, last = low < high ? high : low;
    begin = first > begin ? first : begin;
    end = last < end ? last : end;
  }
  if (begin > end) return false;
  const double length = sqrt(dx * dx + dy * dy);
  segment->x = static_cast<float>(x0 + begin * dx - left);
  segment->y = static_cast<float>(y0 + begin * dy - top);
  segment->ux = static_cast<float>(length > 0 ? dx / length : 1.0);
  segment->uy = static_cast<float>(length > 0 ? dy / length : 0.0);
  segment->length = static_cast<float>((end - begin) * length);
  return true;
}

}  // namespace sketchfast::raster
