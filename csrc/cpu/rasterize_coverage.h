// Antialiased lines. Included by a path's file behind rasterize_lines.h; it defines before
//   Floats                              a vector of float
//   root(x), least_of(bytes, values)    square roots; bytes = min(bytes, values rounded and cut to 0..255), one a lane
//
//   value of a pixel = min over segments and dots of 255 clamp(distance + 1/2 - t/2, 0, 1), rounded
//
// which is round(255 (1 - coverage)), as rounding keeps the order: the picture itself holds the minimum. Of each row only what a
// segment can reach is looked at, a vector of pixels at a time. A segment is cut to the canvas and its reach in float64; what is left
// is small enough for float32 (errors below 1/1000 of a pixel, that is a quarter of a level).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "rasterize_task.h"

namespace sketchfast::cpu {
namespace {

constexpr int32_t kLanes = sizeof(Floats) / sizeof(float);

SKETCHFAST_RASTER_INLINE Floats larger(Floats a, Floats b) { return a > b ? a : b; }

// A segment, and how far along and aside of it the lanes of a vector are from its first one.
struct SegmentLanes {
  raster::Segment of;
  Floats along, aside;
  float along_all;
};

SKETCHFAST_RASTER_INLINE SegmentLanes lanes_of(const raster::Segment& segment) {
  Floats lane;
  for (int32_t i = 0; i < kLanes; ++i) lane[i] = static_cast<float>(i);
  return {segment, segment.ux * lane, segment.uy * lane, segment.ux * (kLanes - 1)};
}

// Of kLanes pixels; px, py: the first one's place as seen from the segment's begin.
SKETCHFAST_RASTER_INLINE Floats values_at(const SegmentLanes& lanes, float px, float py, float inner) {
  const raster::Segment& segment = lanes.of;
  const float along_first = segment.ux * px + segment.uy * py, along_last = along_first + lanes.along_all;
  const Floats aside = lanes.aside + (segment.uy * px - segment.ux * py);
  Floats distance = larger(aside, -aside);
  const bool beside = std::min(along_first, along_last) >= 0 && std::max(along_first, along_last) <= segment.length;
  if (!beside) {  // an end is nearer than the line, for some of them
    const Floats along = lanes.along + along_first;
    const Floats beyond = larger(larger(-along, along - segment.length), Floats{});
    distance = root(aside * aside + beyond * beyond);
  }
  return (distance - inner) * 255.0f;
}

SKETCHFAST_RASTER_INLINE void cover(const raster::Canvas& canvas, double x0, double y0, double x1, double y1,
                                    uint8_t* image) {
  const double reach = canvas.thickness / 2.0 + 0.5;
  raster::Segment segment;
  if (!raster::segment_near(x0, y0, x1, y1, 0, 0, canvas.width - 1, canvas.height - 1, reach + 2, &segment)) return;
  const float inner = static_cast<float>(canvas.thickness) / 2 - 0.5f;
  const SegmentLanes lanes = lanes_of(segment);
  const double ax = segment.x, ay = segment.y;
  const double bx = ax + double{segment.ux} * segment.length, by = ay + double{segment.uy} * segment.length;
  const auto top = static_cast<int32_t>(std::max(0.0, std::ceil(std::min(ay, by) - reach)));
  const auto bottom = static_cast<int32_t>(std::min(canvas.height - 1.0, std::floor(std::max(ay, by) + reach)));
  const double left = std::max(0.0, std::min(ax, bx) - reach);
  const double right = std::min(canvas.width - 1.0, std::max(ax, bx) + reach);
  if (left > right) return;
  // Of a row the line's reach, |aside| < reach, is an interval that moves by the same step from row to row.
  const bool level = std::abs(segment.uy) < 1e-6f;
  const double slope = level ? 0 : double{segment.ux} / segment.uy;
  const double half = level ? 2.0 * canvas.width + 2 * reach : reach / std::abs(double{segment.uy}) + 1e-2;
  const int32_t last_start = canvas.width - kLanes;
  for (int32_t y = top; y <= bottom; ++y) {
    const double centre = ax + (y - ay) * slope;
    const auto from = static_cast<int32_t>(std::max(left, centre - half) + 0.999);  // a pixel more does no harm
    const auto to = static_cast<int32_t>(std::min(right, centre + half));
    uint8_t* row = image + int64_t{y} * canvas.width;
    const auto py = static_cast<float>(y - ay);
    for (int32_t x = from; x <= to; x += kLanes) {
      if (x <= last_start) {
        least_of(row + x, values_at(lanes, static_cast<float>(x - ax), py, inner));
      } else if (last_start >= 0) {  // the same pixels once more change nothing
        least_of(row + last_start, values_at(lanes, static_cast<float>(last_start - ax), py, inner));
      } else {
        uint8_t bytes[kLanes] = {};
        std::memcpy(bytes, row, static_cast<size_t>(canvas.width));
        least_of(bytes, values_at(lanes, static_cast<float>(-ax), py, inner));
        std::memcpy(row, bytes, static_cast<size_t>(canvas.width));
        break;
      }
    }
  }
}

SKETCHFAST_RASTER_PATH void rasterize_coverage(const raster::Canvas& canvas, const uint8_t* lifts, int64_t length,
                                               RasterMemory& memory, uint8_t* image) {
  std::memset(image, 255, static_cast<size_t>(int64_t{canvas.height} * canvas.width));
  const float* p = memory.places.data();
  bool joined = false;  // to the point before, which covers this one
  for (int64_t i = 0; i < length; ++i, p += 2) {
    const bool goes_on = i + 1 < length && lifts[i] == 0;
    if (goes_on) {
      cover(canvas, p[0], p[1], p[2], p[3], image);
    } else if (!joined) {
      cover(canvas, p[0], p[1], p[0], p[1], image);
    }
    joined = goes_on;
  }
}

SKETCHFAST_RASTER_PATH void rasterize_image(const raster::Canvas& canvas, const uint8_t* lifts, int64_t length,
                                            RasterMemory& memory, uint8_t* image) {
  (canvas.antialias ? rasterize_coverage : rasterize_lines)(canvas, lifts, length, memory, image);
}

}  // namespace
}  // namespace sketchfast::cpu
